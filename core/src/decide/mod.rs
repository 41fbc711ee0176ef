//! The rules, one file each, and [`decide`], which runs them. Sans-IO: a rule that has to know something asks for it by
//! its [`Context`], and a driver answers and calls again. A new rule is one file here and a row in [`RULES`]; a new check on
//! policies one file in `checks/` and a row in [`CHECKS`].

mod access;
mod apart;
mod case;
mod checks;
mod clauses;
mod consent;
mod context;
mod cross;
mod crowd;
mod host_access;
mod injected;
mod isolation;
mod manage;
mod message;
mod namespaces;
mod policies;
mod profile;
mod protect;
mod provenance;
mod require_isolation;
mod rollback;
mod segments;
mod separation_of_duties;
mod settle;
mod unjudged;
mod unread_policies;

use std::cmp::Reverse;

use case::{Case, settled, unanswered};
use context::Context;

pub use checks::{CHECKS, Check};
pub use require_isolation::NAME as REQUIRE_ISOLATION;
pub use settle::{Gates, Gating, gate};

pub use self::unjudged::{unjudged, written};

use crate::model::{Answers, Asked, Decision, Finding, Mode, Reason, Request, RetryAfter, RuleName, Snapshot, Verdict};

/// How far a decision has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These have to be answered first, all at once; then call again with the answers added.
    Ask(Vec<Asked>),
    /// Decided.
    Done(Decision),
}

/// The most steps that ask before a decision is done. A driver that is asked more often has found a defect, and must
/// treat it as an answer that could not be had.
pub const MOST_ROUNDS: usize = 5;

/// One rule: its name, and what it finds.
pub struct Rule {
    /// As it stands in records, metrics and docs/rules.md.
    pub name: RuleName,
    stage: Stage,
    judge: fn(&Context<'_, '_>) -> Vec<Finding>,
}

/// When a rule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// With all others.
    Judge,
    /// Once all others let the request in: its questions have effects, and what is refused anyway has none.
    Prepare,
}

/// Every rule, in the order in which they run.
pub const RULES: &[Rule] = &[
    Rule {
        name: segments::NAME,
        stage: Stage::Judge,
        judge: segments::judge,
    },
    Rule {
        name: namespaces::NAME,
        stage: Stage::Judge,
        judge: namespaces::judge,
    },
    Rule {
        name: access::NAME,
        stage: Stage::Judge,
        judge: access::judge,
    },
    Rule {
        name: rollback::NAME,
        stage: Stage::Judge,
        judge: rollback::judge,
    },
    Rule {
        name: host_access::NAME,
        stage: Stage::Judge,
        judge: host_access::judge,
    },
    Rule {
        name: consent::NAME,
        stage: Stage::Judge,
        judge: consent::judge,
    },
    Rule {
        name: profile::NAME,
        stage: Stage::Judge,
        judge: profile::judge,
    },
    Rule {
        name: injected::NAME,
        stage: Stage::Judge,
        judge: injected::judge,
    },
    Rule {
        name: manage::NAME,
        stage: Stage::Judge,
        judge: manage::judge,
    },
    Rule {
        name: cross::NAME,
        stage: Stage::Judge,
        judge: cross::judge,
    },
    Rule {
        name: require_isolation::NAME,
        stage: Stage::Judge,
        judge: require_isolation::judge,
    },
    Rule {
        name: protect::NAME,
        stage: Stage::Judge,
        judge: protect::judge,
    },
    Rule {
        name: checks::NAME,
        stage: Stage::Judge,
        judge: checks::judge,
    },
    Rule {
        name: unread_policies::NAME,
        stage: Stage::Judge,
        judge: unread_policies::judge,
    },
    // Judges what those above let in.
    Rule {
        name: separation_of_duties::NAME,
        stage: Stage::Judge,
        judge: separation_of_duties::judge,
    },
    Rule {
        name: isolation::NAME,
        stage: Stage::Prepare,
        judge: isolation::judge,
    },
    // Asks what the rule on isolation asks, and so costs nothing.
    Rule {
        name: settle::NAME,
        stage: Stage::Prepare,
        judge: settle::judge,
    },
];

/// Decides one request by the snapshot and what is known so far. Pure: the same input gives the same step.
pub fn decide(snapshot: &Snapshot, request: &Request<'_>, answers: &Answers) -> Step {
    let context = Context::new(snapshot, request, answers);
    let run = |stage: Stage| {
        for rule in RULES.iter().filter(|rule| rule.stage == stage) {
            let found = (rule.judge)(&context);
            context.keep(found);
        }
    };
    run(Stage::Judge);
    if !context.is_missing_any() && !context.found().iter().any(denies) {
        run(Stage::Prepare);
    }
    let opened = (!context.is_missing_any()).then(|| checks::opened(&context)).flatten();
    let (findings, missing, advice) = context.into_parts();
    if missing.is_empty() {
        Step::Done(conclude(request, findings, advice.into_iter().chain(opened)))
    } else {
        Step::Ask(missing)
    }
}

/// Decides although these questions stay unanswered: each is answered with why it could not be. Used where a driver runs
/// out of time or rounds.
pub fn decide_unanswered(snapshot: &Snapshot, request: &Request<'_>, answers: &mut Answers, why: &str) -> Decision {
    loop {
        match decide(snapshot, request, answers) {
            Step::Done(decision) => return decision,
            Step::Ask(missing) => {
                for asked in missing {
                    answers.insert(asked.question, crate::model::Answer::Failed(why.to_owned()));
                }
            }
        }
    }
}

/// Whether the request is denied for this.
fn denies(finding: &Finding) -> bool {
    finding.reason.refuses() && finding.mode == Mode::Enforce
}

/// Whether the request is let in with a warning for this.
fn warns(finding: &Finding) -> bool {
    match finding.reason {
        Reason::NoWorse => finding.mode > Mode::Audit,
        reason => reason.refuses() && finding.mode == Mode::Warn,
    }
}

/// The verdict on what was found; `advice` is said of what is let in.
fn conclude(request: &Request<'_>, mut findings: Vec<Finding>, advice: impl Iterator<Item = String>) -> Decision {
    findings.sort_by_key(|finding| (Reverse(finding.reason.refuses()), Reverse(finding.mode), finding.reason));
    let denying: Vec<&Finding> = findings.iter().filter(|finding| denies(finding)).collect();
    let verdict = if denying.is_empty() {
        Verdict::Allow
    } else {
        let text = message::denial(request, &denying);
        let passing: Option<Vec<RetryAfter>> = denying.iter().map(|finding| finding.reason.retry_after()).collect();
        match passing.and_then(|passing| passing.into_iter().max()) {
            Some(after) => Verdict::Retry(text, after),
            None => Verdict::Deny(text),
        }
    };
    let mut warnings: Vec<String> = findings
        .iter()
        .filter(|finding| warns(finding))
        .take(message::MOST_FINDINGS)
        .map(|finding| message::warning(request, finding))
        .collect();
    if verdict == Verdict::Allow {
        warnings.extend(advice);
    }
    Decision {
        verdict,
        findings,
        warnings,
    }
}

#[cfg(test)]
mod tests;
