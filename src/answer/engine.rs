//! [`Engine`]: a review from its body to its reply. Decodes, decides by the snapshot in force, has the core's questions
//! answered within their time, tells the recorder, responds. What cannot be decided is refused or let in by the webhook's
//! rule, never left open.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ringfence_core::decide::{MOST_ROUNDS, Step, decide, decide_unanswered};
use ringfence_core::model::{
    Answer, Answers, Asked, Decision, Finding, Mode, Question, Reason, Request, RetryAfter, Snapshot, Verdict,
};
use ringfence_core::review::{CustomKinds, Failure, Undecodable, Webhook, decode, respond, respond_invalid};
use tokio::time::{Instant, timeout_at};

use super::{Answerer, deadline, patience};
use crate::Current;
use crate::record::{Recorder, Reviewed};
use crate::serve::{Reply, Reviewer};

/// What a review is told that comes before there is a configuration.
const NOT_READY: &str = "ringfence is not ready: no configuration is in force yet. Try again in a few seconds; if it stays \
                         so, see ringfence's log and its ConfigMap ringfence-guardrails";

/// Decides reviews by the snapshot in force.
#[derive(Debug)]
pub struct Engine<A> {
    pub(super) current: Current,
    answerer: A,
    recorder: Arc<Recorder>,
}

impl<A: Answerer> Engine<A> {
    /// Decides by this snapshot, has questions answered by `answerer`, tells `recorder`.
    pub fn new(current: Current, answerer: A, recorder: Arc<Recorder>) -> Self {
        Self {
            current,
            answerer,
            recorder,
        }
    }

    /// Decides, with as many rounds of questions as the core may need.
    async fn decide(&self, snapshot: &Snapshot, request: &Request<'_>, received: Instant) -> Decision {
        let mut answers = Answers::new();
        for _ in 0..MOST_ROUNDS {
            match decide(snapshot, request, &answers) {
                Step::Done(decision) => return decision,
                Step::Ask(asked) => self.answer(request, asked, received, &mut answers).await,
            }
        }
        decide_unanswered(
            snapshot,
            request,
            &mut answers,
            "it takes more questions than a review may ask",
        )
    }

    /// Has the questions of one round answered. Those that are not, in time or at all, are answered with that.
    pub(super) async fn answer(
        &self,
        request: &Request<'_>,
        asked: Vec<Asked>,
        received: Instant,
        answers: &mut Answers,
    ) {
        let received = received.into_std();
        let questions: Vec<Question> = asked.iter().map(|asked| asked.question.clone()).collect();
        let strongest = asked.iter().map(|asked| asked.mode).max().unwrap_or_default();
        let answering = self.answerer.answer(&request.identity, asked, received);
        let why = match timeout_at(deadline(received, strongest), answering).await {
            Ok(given) => {
                for (question, answer) in given {
                    answers.insert(question, answer);
                }
                "nobody answered".to_owned()
            }
            Err(_) => format!("no answer within {} ms", patience(strongest).as_millis()),
        };
        for question in questions {
            if answers.get(&question).is_none() {
                answers.insert(question, Answer::Failed(why.clone()));
            }
        }
    }

    /// The reply to what cannot be understood: where a uid was found, an AdmissionReview that is refused, or let in with a
    /// warning by a webhook that fails open.
    fn undecodable(&self, webhook: Webhook, undecodable: &Undecodable, took: Duration) -> Reply {
        let text = undecodable.to_string();
        let Some(uid) = &undecodable.uid else {
            self.recorder.malformed(webhook, &text, took);
            return Reply::Malformed(text);
        };
        self.recorder.invalid(webhook, uid, &text, took);
        let body = match webhook.fails() {
            Failure::Closed => respond_invalid(uid, &format!("ringfence: {text}")),
            Failure::Open => {
                let decision = Decision {
                    warnings: vec![
                        "ringfence: this request could not be understood and was let in unjudged".to_owned(),
                    ],
                    ..Decision::plain_allow()
                };
                respond(uid, &decision, &std::collections::BTreeMap::new())
            }
        };
        Reply::Review(body.into())
    }
}

impl<A: Answerer> Reviewer for Engine<A> {
    async fn review(&self, webhook: Webhook, body: Bytes) -> Reply {
        let received = Instant::now();
        if webhook == Webhook::Mutate {
            return self.gate(&body, received).await;
        }
        let snapshot = self.current.load();
        let custom = snapshot
            .as_ref()
            .map(|snapshot| CustomKinds::from(snapshot.guardrails.as_ref()));
        let request = match decode(&body, custom.unwrap_or_default()) {
            Ok(request) => request,
            Err(error) => return self.undecodable(webhook, &error, received.elapsed()),
        };
        let (decision, revision) = match &snapshot {
            Some(snapshot) => (
                self.decide(snapshot, &request, received).await,
                snapshot.guardrails.revision.0.as_str(),
            ),
            None => (not_ready(webhook), ""),
        };
        let annotations = self.recorder.decided(&Reviewed {
            webhook,
            request: &request,
            decision: &decision,
            revision,
            took: received.elapsed(),
        });
        Reply::Review(respond(&request.uid, &decision, &annotations).into())
    }
}

/// The decision while there is no configuration: try again, or where the webhook fails open let in and recorded.
fn not_ready(webhook: Webhook) -> Decision {
    let (verdict, mode) = match webhook.fails() {
        Failure::Closed => (Verdict::Retry(NOT_READY.to_owned(), RetryAfter(2)), Mode::Enforce),
        Failure::Open => (Verdict::Allow, Mode::Audit),
    };
    Decision {
        verdict,
        findings: vec![Finding {
            rule: "Ready",
            reason: Reason::Unanswered,
            mode,
            segment: None,
            clause: None,
            permission: None,
            reviewer: None,
            what: "could not be judged".to_owned(),
            why: NOT_READY.to_owned(),
        }],
        warnings: Vec::new(),
    }
}
