//! [`ConfigurationGuard`]: the review of our own ConfigMap. What would not take effect is refused with the text that says
//! where and why; what would is let in, with a warning for each thing that whoever writes it should know.

mod coverage;
mod decode;
mod pods;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kube::Client;
use ringfence_core::guardrails::Guardrails;
use ringfence_core::model::{Decision, Operation, Snapshot, Verdict};
use ringfence_core::review::{self, CustomKinds, Undecodable, Webhook};
use tokio::time::Instant;

use self::coverage::{Coverage, questions};
use self::decode::Edit;
pub(super) use self::pods::NOT_ENDED;
use super::configuration::{GUARDRAILS, compiled, sources};
use crate::Current;
use crate::record::{Recorder, Reviewed};
use crate::serve::{Reply, Reviewer};

/// The most characters of a warning; the API server cuts longer ones.
const WARNING: usize = 120;
/// The most segments that get a warning of their own.
const SEGMENTS: usize = 5;
/// How long counting running pods may take, within the webhook's timeout of 5 s.
const COUNTING: Duration = Duration::from_secs(2);

/// Reviews what is written to our ConfigMap.
#[derive(Clone)]
pub struct ConfigurationGuard {
    current: Current,
    client: Client,
    namespace: Arc<str>,
    recorder: Arc<Recorder>,
}

impl ConfigurationGuard {
    /// A guard of the ConfigMap in this namespace. The client lists running pods, metadata only; what is refused is told to
    /// the recorder.
    pub fn new(current: Current, client: Client, namespace: &str, recorder: Arc<Recorder>) -> Self {
        Self {
            current,
            client,
            namespace: Arc::from(namespace),
            recorder,
        }
    }

    async fn decide(&self, edit: Edit) -> Decision {
        if edit.namespace != *self.namespace || edit.name != GUARDRAILS {
            return Decision::plain_allow();
        }
        match edit.operation {
            Operation::Delete => allow(vec![self.deleted()]),
            Operation::Connect => Decision::plain_allow(),
            // Labels and annotations of a ConfigMap that was written while we were away may be mended.
            Operation::Update if edit.unchanged => Decision::plain_allow(),
            Operation::Create | Operation::Update => self.written(edit).await,
        }
    }

    fn deleted(&self) -> String {
        let advice = "write it again; without it no replica can start";
        match self.current.load() {
            Some(snapshot) => format!(
                "ringfence: revision {} stays in force; {advice}",
                snapshot.guardrails.revision
            ),
            None => format!("ringfence: nothing is in force; {advice}"),
        }
    }

    async fn written(&self, edit: Edit) -> Decision {
        let written = match compiled(sources(&edit.data)).await {
            Ok(written) => written,
            Err(problems) => {
                return Decision {
                    verdict: Verdict::Deny(format!("ConfigMap {GUARDRAILS} is not valid:\n{problems}")),
                    findings: Vec::new(),
                    warnings: Vec::new(),
                };
            }
        };
        let mut warnings: Vec<String> = edit.ignored.iter().map(|line| warning(line)).collect();
        warnings.extend(written.notices.iter().map(|notice| warning(&notice.message)));
        warnings.extend(self.newly_covered(&written.guardrails).await);
        allow(warnings)
    }

    /// A line for each segment that newly covers running pods, or one that says why they could not be counted.
    async fn newly_covered(&self, new: &Guardrails) -> Vec<String> {
        let Some(snapshot) = self.current.load() else {
            return vec![uncounted("ringfence has nothing in force yet")];
        };
        let Snapshot {
            guardrails: old,
            namespaces,
            since: _,
            policies: _,
        } = &*snapshot;
        let questions = questions(old, new);
        let mut coverage = Coverage::new(old, new, namespaces);
        match pods::count(&self.client, &questions, &mut coverage, Instant::now() + COUNTING).await {
            Ok(looked) => coverage.lines(looked, SEGMENTS),
            Err(error) => {
                tracing::warn!(%error, "running pods could not be counted for a warning");
                vec![uncounted("the API server did not list them")]
            }
        }
    }
}

impl Reviewer for ConfigurationGuard {
    async fn review(&self, webhook: Webhook, body: Bytes) -> Reply {
        let received = Instant::now();
        let request = match review::decode(&body, CustomKinds::default()) {
            Ok(request) => request,
            Err(Undecodable { uid: Some(uid), reason }) => return self.invalid(webhook, &uid, &reason, received),
            Err(Undecodable { uid: None, reason }) => {
                self.recorder.malformed(webhook, &reason, received.elapsed());
                return Reply::Malformed(reason);
            }
        };
        let edit = match decode::edit(&body, &request) {
            Ok(edit) => edit,
            Err(reason) => return self.invalid(webhook, &request.uid, &reason, received),
        };
        let decision = self.decide(edit).await;
        let snapshot = self.current.load();
        let annotations = self.recorder.decided(&Reviewed {
            webhook,
            request: &request,
            decision: &decision,
            revision: snapshot.as_ref().map_or("", |snapshot| &snapshot.guardrails.revision.0),
            took: received.elapsed(),
        });
        Reply::Review(review::respond(&request.uid, &decision, &annotations).into())
    }
}

impl ConfigurationGuard {
    fn invalid(&self, webhook: Webhook, uid: &str, reason: &str, received: Instant) -> Reply {
        self.recorder.invalid(webhook, uid, reason, received.elapsed());
        Reply::Review(review::respond_invalid(uid, &format!("ringfence: {reason}")).into())
    }
}

fn allow(warnings: Vec<String>) -> Decision {
    Decision {
        warnings,
        ..Decision::plain_allow()
    }
}

fn uncounted(why: &str) -> String {
    warning(&format!(
        "running pods that this newly covers could not be counted: {why}"
    ))
}

/// One line, marked as ours, cut where it would be too long.
fn warning(text: &str) -> String {
    let line = format!("ringfence: {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.chars().count() <= WARNING {
        return line;
    }
    let kept: String = line.chars().take(WARNING - 3).collect();
    format!("{}...", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use prometheus_client::registry::Registry;
    use ringfence_core::model::Snapshot;
    use serde_json::{Value, json};

    use super::*;
    use crate::record::{self, Collected, DryRuns};

    const SEGMENT: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Enforce}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  members:
    - namespaces: [payments]
      podSelector: {matchLabels: {app: hollowdb}}
";

    /// What the API server lists, by page; an error where there is none left.
    fn guard(pages: Vec<Value>) -> ConfigurationGuard {
        let pages = Arc::new(std::sync::Mutex::new(pages.into_iter()));
        let service = tower::service_fn(move |request: Request<Body>| {
            let page = pages.lock().expect("not poisoned").next();
            let query = request.uri().query().unwrap_or_default().to_owned();
            async move {
                assert!(query.contains("limit="), "{query}");
                let (code, body) = match page {
                    Some(page) => (200, page.to_string()),
                    None => (
                        500,
                        json!({"kind": "Status", "code": 500, "message": "down"}).to_string(),
                    ),
                };
                Response::builder().status(code).body(Body::from(body.into_bytes()))
            }
        });
        let client = Client::new(service, "default");
        guard_recording(client, Collected::default())
    }

    fn guard_recording(client: Client, records: Collected) -> ConfigurationGuard {
        let metrics = record::Metrics::register(&mut Registry::default());
        let recorder = Recorder::new(metrics, DryRuns::Recorded, vec![Box::new(records)]);
        ConfigurationGuard::new(
            Current::fixed(Snapshot::default()),
            client,
            "ringfence-system",
            recorder,
        )
    }

    fn pod_list(names: &[&str], next: &str) -> Value {
        let items: Vec<Value> = names
            .iter()
            .map(|name| json!({"metadata": {"name": name, "namespace": "payments", "labels": {"app": "hollowdb"}}}))
            .collect();
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"continue": next}, "items": items})
    }

    fn body(operation: &str, object: &Value, old: &Value) -> Bytes {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1-2", "operation": operation, "name": "ringfence-guardrails", "namespace": "ringfence-system",
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "userInfo": {"username": "admin"}, "object": object, "oldObject": old}});
        Bytes::from(review.to_string())
    }

    fn config_map(data: &Value) -> Value {
        json!({"metadata": {"name": "ringfence-guardrails", "namespace": "ringfence-system"}, "data": data})
    }

    async fn answer(guard: &ConfigurationGuard, body: Bytes) -> Value {
        match guard.review(Webhook::Config, body).await {
            Reply::Review(json) => serde_json::from_slice::<Value>(&json).expect("JSON")["response"].clone(),
            Reply::Malformed(text) => panic!("{text}"),
        }
    }

    #[tokio::test]
    async fn what_is_not_valid_is_refused_with_its_place() {
        let data = json!({"a.yaml": SEGMENT.replace("podSelector", "podSelektor")});
        let answer = answer(&guard(Vec::new()), body("CREATE", &config_map(&data), &Value::Null)).await;
        assert_eq!(answer["uid"], "1-2");
        assert_eq!(answer["allowed"], false);
        let message = answer["status"]["message"].as_str().expect("a message");
        assert!(
            message.starts_with("ConfigMap ringfence-guardrails is not valid:\n"),
            "{message}"
        );
        assert!(message.contains("a.yaml:13:"), "{message}");
        assert!(message.contains("podSelektor"), "{message}");
    }

    #[tokio::test]
    async fn what_is_refused_is_recorded() {
        let records = Collected::default();
        let guard = guard_recording(guard(Vec::new()).client, records.clone());
        let wrong = config_map(&json!({"a.yaml": "kind: Nonsense"}));
        let answer = answer(&guard, body("CREATE", &wrong, &Value::Null)).await;
        assert_eq!(answer["allowed"], false);
        let [record] = records.drain().try_into().expect("one record");
        assert_eq!((record.verdict, record.user.as_str()), ("deny", "admin"));
        assert_eq!(
            (record.webhook, record.name.as_str()),
            ("config.guard.ringfence.dev", "ringfence-guardrails")
        );
    }

    #[tokio::test]
    async fn what_it_newly_covers_is_counted_over_all_pages() {
        let pages = vec![pod_list(&["db-0", "db-1"], "more"), pod_list(&["db-2"], "")];
        let data = json!({"a.yaml": SEGMENT, "notes.txt": "read me"});
        let answer = answer(
            &guard(pages),
            body("UPDATE", &config_map(&data), &config_map(&json!({}))),
        )
        .await;
        assert_eq!(answer["allowed"], true);
        let warnings: Vec<&str> = answer["warnings"]
            .as_array()
            .expect("warnings")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(
            warnings[0],
            "ringfence: key notes.txt is ignored: only *.yaml keys are read"
        );
        assert!(
            warnings.contains(
                &"ringfence: payments-db newly covers 3 running pods in payments; they keep running, changes to them need the \
                  permission"
            ),
            "{warnings:?}"
        );
        assert!(warnings.iter().all(|line| line.len() <= WARNING), "{warnings:?}");
    }

    #[tokio::test]
    async fn where_pods_cannot_be_listed_it_says_so() {
        let data = json!({"a.yaml": SEGMENT});
        let answer = answer(&guard(Vec::new()), body("CREATE", &config_map(&data), &Value::Null)).await;
        assert_eq!(answer["allowed"], true);
        let warnings = answer["warnings"].to_string();
        assert!(
            warnings.contains("could not be counted: the API server did not list them"),
            "{warnings}"
        );
    }

    #[tokio::test]
    async fn metadata_of_an_invalid_one_may_be_mended() {
        let broken = config_map(&json!({"a.yaml": "kind: Nonsense"}));
        let answer = answer(&guard(Vec::new()), body("UPDATE", &broken, &broken)).await;
        assert_eq!(answer["allowed"], true);
    }

    #[tokio::test]
    async fn deleting_warns_of_what_stays_in_force() {
        let old = config_map(&json!({"a.yaml": SEGMENT}));
        let answer = answer(&guard(Vec::new()), body("DELETE", &Value::Null, &old)).await;
        assert_eq!(answer["allowed"], true);
        assert!(answer["warnings"].to_string().contains("stays in force"), "{answer}");
    }

    #[tokio::test]
    async fn another_config_map_is_none_of_our_business() {
        let mut other = config_map(&json!({"a.yaml": "kind: Nonsense"}));
        other["metadata"]["name"] = json!("somebody-elses");
        let review = String::from_utf8(body("CREATE", &other, &Value::Null).to_vec()).expect("UTF-8");
        let review = review.replace("\"name\":\"ringfence-guardrails\"", "\"name\":\"somebody-elses\"");
        let answer = answer(&guard(Vec::new()), Bytes::from(review)).await;
        assert_eq!(answer["allowed"], true);
    }

    #[tokio::test]
    async fn what_is_no_review_is_answered_all_the_same() {
        let guard = guard(Vec::new());
        let reply = guard.review(Webhook::Config, Bytes::from_static(b"{")).await;
        assert!(matches!(reply, Reply::Malformed(_)), "{reply:?}");
        let odd = config_map(&json!({"a.yaml": 7}));
        let answer = answer(&guard, body("CREATE", &odd, &Value::Null)).await;
        assert_eq!(answer["allowed"], false);
        assert_eq!(answer["status"]["code"], 400);
    }

    #[test]
    fn a_warning_is_one_line_that_is_cut_where_it_is_long() {
        assert_eq!(warning("two\nlines"), "ringfence: two lines");
        let long = warning(&"long ".repeat(100));
        assert!(long.chars().count() <= WARNING);
        assert!(long.ends_with("..."), "{long}");
    }
}
