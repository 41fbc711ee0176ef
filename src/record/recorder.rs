//! [`Recorder`]: takes every decision, counts it, gives its audit annotations and records what is not a plain allow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use ringfence_core::model::{Decision, Request};
use ringfence_core::review::Webhook;
use tokio_util::sync::CancellationToken;

use super::annotations::annotations;
use super::metrics::{Counted, INVALID, MALFORMED};
use super::repetitions::Repetitions;
use super::{DecisionRecord, Metrics, Sink};

/// How often it is looked for minutes that are over.
const TICK: Duration = Duration::from_secs(1);

/// Whether dry runs, which are always counted, are recorded too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DryRuns {
    /// Counted only.
    #[default]
    Counted,
    /// Counted and recorded.
    Recorded,
}

/// A review that was decided.
#[derive(Debug, Clone, Copy)]
pub struct Reviewed<'a> {
    /// The webhook that it came in by.
    pub webhook: Webhook,
    /// What was asked.
    pub request: &'a Request<'a>,
    /// What was decided.
    pub decision: &'a Decision,
    /// The revision of the configuration that decided; empty where none was in force.
    pub revision: &'a str,
    /// From receipt to decision.
    pub took: Duration,
}

/// Takes every decision. Shared by whoever decides; [`Recorder::run`] has to run beside them.
pub struct Recorder {
    metrics: Metrics,
    dry_runs: DryRuns,
    repetitions: Mutex<Repetitions>,
    sinks: Vec<Box<dyn Sink>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dry_runs, sinks, .. } = self;
        formatter
            .debug_struct("Recorder")
            .field("dry_runs", dry_runs)
            .field("sinks", &sinks.len())
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder that hands its records to all of these sinks.
    pub fn new(metrics: Metrics, dry_runs: DryRuns, sinks: Vec<Box<dyn Sink>>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            dry_runs,
            repetitions: Mutex::default(),
            sinks,
        })
    }

    /// Counts a decision, records it where it is more than a plain allow, and gives the audit annotations that go with
    /// its answer.
    pub fn decided(&self, reviewed: &Reviewed<'_>) -> BTreeMap<String, String> {
        let Reviewed {
            webhook,
            request,
            decision,
            revision,
            took,
        } = *reviewed;
        self.metrics
            .reviewed(Counted::of(webhook, request), decision.outcome(), took);
        if decision.allowed() && decision.findings.is_empty() {
            return BTreeMap::new();
        }
        self.metrics.found(&decision.findings);
        if !request.dry_run || self.dry_runs == DryRuns::Recorded {
            self.record(DecisionRecord::of(reviewed, Timestamp::now()));
        }
        annotations(decision, revision)
    }

    /// Counts and records a review of which nothing could be understood but its uid, for the reason given. Whether it is
    /// let in is the webhook's affair.
    pub fn invalid(&self, webhook: Webhook, uid: &str, reason: &str, took: Duration) {
        self.metrics.reviewed(Counted::unknown(webhook), INVALID, took);
        self.record(DecisionRecord::of_invalid(webhook, uid, reason, took, Timestamp::now()));
    }

    /// Counts and logs what is not even a review.
    pub fn malformed(&self, webhook: Webhook, reason: &str, took: Duration) {
        self.metrics.reviewed(Counted::unknown(webhook), MALFORMED, took);
        tracing::warn!(
            webhook = webhook.name(),
            reason,
            "a request to this webhook's path was not an AdmissionReview"
        );
    }

    /// Tells of what repeated within each minute that is over, until stopped; then of all the rest. To lose nothing, stop it
    /// after the server has drained, and close the sinks after it has ended.
    pub async fn run(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let over = self.repetitions.lock().over(now());
            self.tell(over);
        }
        let rest = self.repetitions.lock().end();
        self.tell(rest);
    }

    fn record(&self, record: DecisionRecord) {
        let records = self.repetitions.lock().admit(record, now());
        self.tell(records);
    }

    fn tell(&self, records: impl IntoIterator<Item = DecisionRecord>) {
        for record in records {
            for sink in &self.sinks {
                sink.take(&record);
            }
        }
    }
}

/// Now, by the clock that tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use ringfence_core::model::{Finding, Mode, Reason, Verdict};
    use ringfence_core::review::{CustomKinds, decode};

    use super::super::Collected;
    use super::*;

    const BODY: &str = r#"{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "u-1", "operation": "CREATE", "name": "rogue", "namespace": "web",
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "userInfo": {"username": "mallory"},
        "object": {"metadata": {"name": "rogue", "namespace": "web"}, "spec": {}}}}"#;

    struct Bench {
        recorder: Arc<Recorder>,
        records: Collected,
        registry: Registry,
    }

    impl Bench {
        fn new(dry_runs: DryRuns) -> Self {
            let (mut registry, records) = (Registry::default(), Collected::default());
            let metrics = Metrics::register(&mut registry);
            let recorder = Recorder::new(metrics, dry_runs, vec![Box::new(records.clone())]);
            Self {
                recorder,
                records,
                registry,
            }
        }

        fn decide(&self, body: &str, decision: &Decision) -> BTreeMap<String, String> {
            let request = decode(body.as_bytes(), CustomKinds::default()).expect("a review");
            self.recorder.decided(&Reviewed {
                webhook: Webhook::Workloads,
                request: &request,
                decision,
                revision: "0123456789ab",
                took: Duration::from_micros(20),
            })
        }

        fn metric(&self, line: &str) -> bool {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("encodes into memory");
            text.lines().any(|printed| printed == line)
        }
    }

    fn denied() -> Decision {
        Decision {
            verdict: Verdict::Deny("no".to_owned()),
            findings: vec![Finding {
                rule: "Segments",
                reviewer: None,
                reason: Reason::LacksPermission,
                mode: Mode::Enforce,
                segment: None,
                clause: None,
                permission: None,
                what: String::new(),
                why: String::new(),
            }],
            warnings: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_plain_allow_is_counted_and_not_recorded() {
        let bench = Bench::new(DryRuns::Counted);
        assert_eq!(bench.decide(BODY, &Decision::plain_allow()), BTreeMap::new());
        assert_eq!(bench.records.drain(), []);
        assert!(bench.metric(
            "ringfence_reviews_total{webhook=\"workloads.guard.ringfence.dev\",operation=\"CREATE\",\
             resource=\"pods\",verdict=\"allow\",dry_run=\"false\"} 1"
        ));
    }

    #[tokio::test]
    async fn an_allow_by_a_permission_is_recorded() {
        let bench = Bench::new(DryRuns::Counted);
        let mut decision = denied();
        decision.verdict = Verdict::Allow;
        decision.findings[0].reason = Reason::Permitted;
        let annotations = bench.decide(BODY, &decision);
        assert_eq!(annotations["decision"], "allow");
        let records = bench.records.drain();
        assert_eq!(
            (records.len(), records[0].verdict, records[0].findings[0].allowed),
            (1, "allow", true)
        );
    }

    #[tokio::test]
    async fn dry_runs_are_counted_and_annotated_but_only_recorded_where_asked() {
        let body = BODY.replace(r#""uid": "u-1","#, r#""uid": "u-1", "dryRun": true,"#);
        let bench = Bench::new(DryRuns::Counted);
        assert_eq!(bench.decide(&body, &denied())["decision"], "deny");
        assert_eq!(bench.records.drain(), []);
        assert!(bench.metric(
            "ringfence_reviews_total{webhook=\"workloads.guard.ringfence.dev\",operation=\"CREATE\",\
             resource=\"pods\",verdict=\"deny\",dry_run=\"true\"} 1"
        ));
        assert!(bench.metric(
            "ringfence_findings_total{rule=\"Segments\",reason=\"LacksPermission\",mode=\"Enforce\",segment=\"\"} 1"
        ));
        let bench = Bench::new(DryRuns::Recorded);
        bench.decide(&body, &denied());
        assert!(bench.records.drain()[0].dry_run);
    }

    #[tokio::test(start_paused = true)]
    async fn what_repeats_is_told_after_its_minute_and_the_rest_when_stopped() {
        let bench = Bench::new(DryRuns::Counted);
        let stop = CancellationToken::new();
        let (recorder, stopped) = (Arc::clone(&bench.recorder), stop.clone());
        let running = tokio::spawn(async move { recorder.run(stopped).await });
        for _ in 0..5 {
            bench.decide(BODY, &denied());
        }
        let counts = |records: Vec<DecisionRecord>| records.iter().map(|record| record.count).collect::<Vec<_>>();
        assert_eq!(counts(bench.records.drain()), [1]);
        tokio::time::sleep(Duration::from_secs(62)).await;
        assert_eq!(counts(bench.records.drain()), [4]);
        for _ in 0..3 {
            bench.decide(BODY, &denied());
        }
        assert_eq!(counts(bench.records.drain()), [1]);
        stop.cancel();
        running.await.expect("it ends");
        assert_eq!(counts(bench.records.drain()), [2]);
    }

    #[tokio::test]
    async fn what_is_not_understood_is_counted_apart() {
        let bench = Bench::new(DryRuns::Counted);
        bench.recorder.invalid(Webhook::Open, "u-1", "why", Duration::ZERO);
        bench.recorder.malformed(Webhook::Open, "why", Duration::ZERO);
        for verdict in ["invalid", "malformed"] {
            assert!(bench.metric(&format!(
                "ringfence_reviews_total{{webhook=\"open.guard.ringfence.dev\",operation=\"\",resource=\"other\",\
                 verdict=\"{verdict}\",dry_run=\"false\"}} 1"
            )));
        }
        let records = bench.records.drain();
        assert_eq!((records.len(), records[0].uid.as_str()), (1, "u-1"));
    }
}
