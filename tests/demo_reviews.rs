//! The demo against a real API server: its story is played with kubectl, the same engine decides, and both the
//! AdmissionReviews that arrive and what kubectl prints must be those that the demo has built in.
//!
//! `RINGFENCE_RECORD=1 cargo test --test demo_reviews` writes the reviews anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use prometheus_client::registry::Registry;
use regex::{Captures, Regex};
use ringfence::cli::demo::stage::Stage;
use ringfence::cli::demo::story::{Player, Prints, STORY, Scene};
use ringfence::cli::local::{Listen, Local};
use ringfence::serve::{Limits, Reply, Reviewer};
use ringfence_controlplane::{
    ControlPlane, Controllers, Kubectl, Nodes, Options, User, started_or_skipped, wait_until,
};
use ringfence_core::review::{WRITE_PATHS, Webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps every review in the order of arrival, and has another one decide.
struct Taping<R> {
    reviewer: R,
    tape: Tape,
}

type Tape = Arc<Mutex<Vec<String>>>;

impl<R: Reviewer> Reviewer for Taping<R> {
    async fn review(&self, webhook: Webhook, body: Bytes) -> Reply {
        let text = String::from_utf8(body.to_vec()).expect("an API server sends UTF-8");
        self.tape.lock().expect("nobody panics with it").push(text);
        self.reviewer.review(webhook, body).await
    }
}

#[test]
fn the_demo_plays_what_a_real_api_server_sends_and_prints_what_kubectl_prints() {
    let options = Options {
        users: vec![User::new("mallory").in_groups(["developers"])],
        controllers: Controllers::AccountEach,
        nodes: Nodes::Absent,
    };
    let Some(cluster) = started_or_skipped(&options) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (stage, mut registry, tape) = (
        Stage::new().expect("the built-in files"),
        Registry::default(),
        Tape::default(),
    );
    let reviewer = Taping {
        reviewer: stage.reviewer(&mut registry),
        tape: Arc::clone(&tape),
    };
    let server = runtime
        .block_on(Local::start(reviewer, registry, Listen::FREE, Limits::default()))
        .expect("it serves");
    let token = prepare(&cluster, &server);

    let demo = demo();
    let mut steady = Steady::default();
    for scene in STORY {
        stage.switch(scene.mode).expect("the built-in files");
        let output = play(&cluster, scene, &token).run();
        let said = match scene.prints {
            Prints::Done(_) => output.ok(),
            Prints::Refused(_) => {
                assert!(!output.success, "not refused: {}", output.stdout);
                output.stderr
            }
        };
        for line in said.lines() {
            assert!(
                demo.lines().any(|told| told.trim() == line.trim()),
                "the demo does not print {line:?}:\n{demo}"
            );
        }
        let arrived = arrived(&tape, scene.reviews.len());
        for (recorded, review) in scene.reviews.iter().zip(&arrived) {
            compare(recorded.file, recorded.body, &steady.of(review));
        }
        if scene.user == Player::Ci {
            settle(&cluster);
        }
    }
    runtime.block_on(server.stop()).expect("it ends");
}

/// What `ringfence demo` prints.
fn demo() -> String {
    let demo = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .arg("demo")
        .output()
        .expect("it starts");
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    String::from_utf8(demo.stdout).expect("UTF-8")
}

/// The namespaces, permissions and policy of the demo; then the webhook. Gives the token of CI's service account.
fn prepare(cluster: &ControlPlane, server: &Local) -> String {
    for file in ["namespaces.yaml", "rbac.yaml", "networkpolicy.yaml"] {
        cluster
            .kubectl("admin")
            .args(["apply", "-f"])
            .args([policy(file)])
            .run()
            .ok();
    }
    let accounts = ["get", "serviceaccount/default", "-n"];
    for namespace in ["web", "dev"] {
        let made = wait_until(PATIENCE, "the default service account", || {
            cluster
                .kubectl("admin")
                .args(accounts)
                .args([namespace])
                .run()
                .success
                .then_some(())
        });
        made.unwrap_or_else(|timed_out| panic!("{timed_out}"));
    }
    let token = cluster
        .kubectl("admin")
        .args(["create", "token", "deployer", "-n", "ci"])
        .run()
        .ok();
    let configuration = configuration(server);
    cluster
        .kubectl("admin")
        .args(["create", "-f", "-"])
        .stdin(configuration.to_string())
        .run()
        .ok();
    // Served by every API server within moments; until then nothing is refused.
    let probe = [
        "run",
        "probe",
        "--image=x",
        "--labels=app=hollowapp",
        "-n",
        "dev",
        "--dry-run=server",
    ];
    let guarded = wait_until(PATIENCE, "the webhook to be called", || {
        (!cluster
            .kubectl("admin")
            .args(["--as=nobody-known", "--as-group=system:authenticated"])
            .args(probe)
            .run()
            .success
            && !cluster.kubectl("mallory").args(probe).run().success)
            .then_some(())
    });
    guarded.unwrap_or_else(|timed_out| panic!("{timed_out}"));
    token.trim_end().to_owned()
}

/// The webhook as the product has it, for the kinds of the story.
fn configuration(server: &Local) -> Value {
    let paths: Vec<_> = WRITE_PATHS
        .iter()
        .filter(|path| path.subresource.is_empty() && ["pods", "deployments", "replicasets"].contains(&path.resource))
        .collect();
    let rules = paths.iter().map(|path| {
        json!({
            "apiGroups": [path.group], "apiVersions": path.versions, "resources": [path.rule_resource()],
            "operations": path.operations.iter().map(|operation| operation.as_str()).collect::<Vec<_>>(),
        })
    });
    let conditions = paths.iter().filter_map(|path| {
        let resource = path.resource;
        let expression = format!(
            "request.resource.resource != \"{resource}\" || ({})",
            path.match_condition()?
        );
        Some(json!({"name": resource, "expression": expression}))
    });
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "ringfence"},
        "webhooks": [{
            "name": Webhook::Workloads.name(),
            "clientConfig": {
                "url": server.url(Webhook::Workloads), "caBundle": BASE64_STANDARD.encode(server.ca_pem()),
            },
            "rules": rules.collect::<Vec<_>>(),
            "matchConditions": conditions.collect::<Vec<_>>(),
            "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun", "admissionReviewVersions": ["v1"],
        }],
    })
}

fn policy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("policies/hollowdb")
        .join(file)
}

/// The scene's command, run by its player.
fn play(cluster: &ControlPlane, scene: &Scene, token: &str) -> Kubectl {
    let words = scene.command.split(' ').skip(1).map(|word| {
        if Path::new(word).extension().is_some_and(|extension| extension == "yaml") {
            policy(word).display().to_string()
        } else {
            word.to_owned()
        }
    });
    let kubectl = cluster.kubectl("mallory");
    match scene.user {
        Player::Mallory => kubectl.args(words),
        Player::Ci => kubectl.args(["--token", token]).args(words),
    }
}

/// What arrived since the last call, dry runs apart, once it is this much.
fn arrived(tape: &Tape, count: usize) -> Vec<String> {
    let persistent = || -> Vec<String> {
        let tape = tape.lock().expect("nobody panics with it");
        let is_dry_run = |text: &String| {
            let review: Value = serde_json::from_str(text).expect("a review is JSON");
            review["request"]["dryRun"] == true
        };
        tape.iter().filter(|text| !is_dry_run(text)).cloned().collect()
    };
    let all = wait_until(PATIENCE, "the reviews of the scene", || {
        let reviews = persistent();
        (reviews.len() >= count).then_some(reviews)
    });
    let all = all.unwrap_or_else(|timed_out| panic!("{timed_out}"));
    tape.lock().expect("nobody panics with it").clear();
    assert_eq!(all.len(), count, "more arrived than the story tells: {all:#?}");
    all
}

/// Waits until the controllers have written what they know of the Deployment, so that its next review is always the same.
fn settle(cluster: &ControlPlane) {
    let get = ["get", "deployment/hollowapp", "-n", "web", "-o", "json"];
    let settled = wait_until(PATIENCE, "the Deployment's status", || {
        let status = cluster.kubectl("admin").args(get).run().json()["status"].take();
        let complete = status["replicas"] == 1 && status["updatedReplicas"] == 1;
        (complete
            && status["conditions"]
                .as_array()
                .is_some_and(|conditions| conditions.len() == 2))
        .then_some(())
    });
    settled.unwrap_or_else(|timed_out| panic!("{timed_out}"));
}

/// Takes out of reviews what differs from run to run: each uid becomes a fixed one, by the order in which it appears.
struct Steady {
    uids: BTreeMap<String, usize>,
    uid: Regex,
    replaced: Vec<(Regex, &'static str)>,
}

impl Default for Steady {
    fn default() -> Self {
        let regex = |text: &str| Regex::new(text).expect("a valid expression");
        Self {
            uids: BTreeMap::new(),
            uid: regex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
            replaced: vec![
                (
                    regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
                    "2026-11-21T09:00:00Z",
                ),
                (regex(r#""resourceVersion": "\d+""#), r#""resourceVersion": "1""#),
                (regex("kube-api-access-[a-z0-9]{5}"), "kube-api-access-x7k2p"),
                (regex("(hollowapp-[a-f0-9]{8,10})-[a-z0-9]{5}\""), "${1}-q4w8z\""),
            ],
        }
    }
}

impl Steady {
    fn of(&mut self, review: &str) -> String {
        let text = pretty(review);
        let uids = &mut self.uids;
        let text = self.uid.replace_all(&text, |found: &Captures<'_>| {
            let next = uids.len() + 1;
            let number = *uids.entry(found[0].to_owned()).or_insert(next);
            format!("00000000-0000-4000-8000-{number:012}")
        });
        self.replaced.iter().fold(text.into_owned(), |text, (regex, with)| {
            regex.replace_all(&text, *with).into_owned()
        })
    }
}

/// JSON over several lines, its keys in the order in which the API server sent them.
fn pretty(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut escaped) = (String::new(), 0, false, false);
    for character in json.trim().chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            text.push(character);
            continue;
        }
        let line = |depth: usize| format!("\n{}", "  ".repeat(depth));
        match character {
            '}' | ']' if text.ends_with(&line(depth)) => {
                depth -= 1;
                text.truncate(text.trim_end().len());
                text.push(character);
            }
            '{' | '[' => {
                depth += 1;
                text.push(character);
                text.push_str(&line(depth));
            }
            '}' | ']' => {
                depth -= 1;
                text.push_str(&line(depth));
                text.push(character);
            }
            ',' => text.push_str(&format!(",{}", line(depth))),
            ':' => text.push_str(": "),
            _ => {
                in_string = character == '"';
                text.push(character);
            }
        }
    }
    text + "\n"
}

fn compare(file: &str, recorded: &str, live: &str) {
    if std::env::var_os("RINGFENCE_RECORD").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/cli/demo/reviews")
            .join(file);
        std::fs::write(&path, live).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    } else {
        assert!(
            recorded == live,
            "{file} is not what the API server sends now; record anew with RINGFENCE_RECORD=1 and look at the difference:\n{live}"
        );
    }
}
