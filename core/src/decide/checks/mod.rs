//! # PolicyChecks
//!
//! **Stops** a NetworkPolicy that opens more than anybody meant, whoever writes it. Each check is on where `spec.checks` of
//! the Guardrails names it, with its own mode, and has its own permission to do what it refuses. A check judges one policy
//! by what it could let pass, whoever comes to run; what adds up over several policies is for `ringfence reach` to tell.
//!
//! **What was no better before** passes with a warning (`NoWorse`): an update that leaves what a check refuses as it was, or
//! narrows it, locks nobody out of their own policy. As soon as it selects more pods, or lets in more peers or ports there,
//! it is judged as new, and so is what changes in thousands of rules at once: to hold each against each would take minutes.
//!
//! **What is let in and opens something is told** in one warning, where `spec.mode` or a check is Warn or Enforce: how much,
//! and with which command to look at it. `ringfence diff OLD NEW` shows the same before it is applied.
//!
//! ```text
//! Warning: ringfence: policy shop/web opens ingress from everyone (all ports); see: ringfence reach --to shop/
//! ```
//!
//! **Settle it** with `ringfence grant waive policychecks/NAME --cluster --user USER`, NAME being the check's.

mod all_namespaces;
mod guarded;
mod metadata_endpoint;
mod missing_ports;
mod opened;
mod selects_nothing;
mod sight;
mod translated;
mod unknown_port;
mod unowned_namespace_label;
mod wide_cidr;
mod world;
mod world_egress;
mod world_ingress;

use super::context::{Context, Known};
use super::message::shortened;
use super::{Case, settled, unanswered};
use crate::guardrails::CheckName;
use crate::model::{Finding, Mode, Permission, Reason, RuleName, Running};

pub(super) use self::opened::opened;
use self::sight::{Breach, Sight, Standing};

/// The rule's name. Its findings carry that of their check.
pub(super) const NAME: RuleName = "PolicyChecks";

/// One check on what a policy says.
pub struct Check {
    /// As it stands in configuration, records, metrics and docs/rules.md.
    pub name: CheckName,
    /// What a policy does that it refuses: follows "may not".
    doing: &'static str,
    find: Find,
}

/// How a check finds what it refuses.
enum Find {
    /// In what the policy says.
    Said(fn(&Sight<'_>) -> Vec<Breach>),
    /// In that and in what runs in its namespace.
    Running {
        /// Whether that has to be known.
        asks: fn(&Sight<'_>) -> bool,
        find: fn(&Sight<'_>, &[Running]) -> Vec<Breach>,
    },
}

/// Every check on policies, in the order in which they are documented.
pub const CHECKS: &[Check] = &[
    Check {
        name: CheckName::WorldIngress,
        doing: "let in every source",
        find: Find::Said(world_ingress::find),
    },
    Check {
        name: CheckName::WorldEgress,
        doing: "let out to every destination",
        find: Find::Said(world_egress::find),
    },
    Check {
        name: CheckName::AllNamespaces,
        doing: "name every namespace as a peer",
        find: Find::Said(all_namespaces::find),
    },
    Check {
        name: CheckName::MissingPorts,
        doing: "leave ports open that it does not name",
        find: Find::Said(missing_ports::find),
    },
    Check {
        name: CheckName::WideCidr,
        doing: "name so wide a range of addresses",
        find: Find::Said(wide_cidr::find),
    },
    Check {
        name: CheckName::MetadataEndpoint,
        doing: "let out to the metadata endpoint",
        find: Find::Said(metadata_endpoint::find),
    },
    Check {
        name: CheckName::UnownedNamespaceLabel,
        doing: "trust a namespace label that others may copy",
        find: Find::Said(unowned_namespace_label::find),
    },
    Check {
        name: CheckName::SelectsNothing,
        doing: "stand without a pod that it selects",
        find: Find::Running {
            asks: selects_nothing::asks,
            find: selects_nothing::find,
        },
    },
    Check {
        name: CheckName::UnknownPort,
        doing: "name a port that no pod has",
        find: Find::Running {
            asks: unknown_port::asks,
            find: unknown_port::find,
        },
    },
];

/// The most breaches that one finding tells; the rest are counted.
const MOST_TOLD: usize = 2;

/// The most characters of one: a selector may be a megabyte long.
const MOST_OF_A_BREACH: usize = 400;

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    if guardrails.checks.is_empty() {
        return Vec::new();
    }
    let namespace = context.request.subject.namespace.as_ref();
    let mut found = Vec::new();
    for write in context.written_policies() {
        let Some(sight) = Sight::of(write, guardrails) else {
            continue;
        };
        for check in CHECKS {
            let Some(mode) = guardrails.check_mode(check.name, namespace) else {
                continue;
            };
            found.extend(finding(context, check, mode, &sight));
        }
    }
    found
}

fn finding(context: &Context<'_, '_>, check: &Check, mode: Mode, sight: &Sight<'_>) -> Option<Finding> {
    let breaches = match check.find {
        Find::Said(find) => find(sight),
        Find::Running { asks, find } if asks(sight) => match context.running(&sight.policy.name.namespace, mode) {
            Known::Pending => return None,
            Known::Yes(running) => find(sight, running),
            Known::Failed(why) => {
                let doing = "be written before it is known what runs there";
                return Some(unanswered(context, check.name.as_str(), mode, doing, &why));
            }
        },
        Find::Running { find, .. } => find(sight, &[]),
    };
    let (new, old): (Vec<_>, Vec<_>) = breaches
        .into_iter()
        .partition(|breach| breach.standing == Standing::New);
    let waive = Permission::waive(check.name.as_str());
    let case = |words: &[Breach], doing: String| Case {
        rule: check.name.as_str(),
        mode,
        segment: None,
        clause: None,
        doing,
        why: explained(words),
    };
    match (new.is_empty(), old.is_empty()) {
        (true, true) => None,
        (true, false) => {
            let case = case(&old, format!("go on to {}", check.doing));
            Some(case.found(context, Reason::NoWorse, Some(waive)))
        }
        (false, _) => settled(context, waive, case(&new, check.doing.to_owned())),
    }
}

/// The first of what was found, and how much more there is.
fn explained(breaches: &[Breach]) -> String {
    let told: Vec<String> = breaches
        .iter()
        .take(MOST_TOLD)
        .map(|breach| shortened(breach.why.clone(), MOST_OF_A_BREACH))
        .collect();
    let more = breaches.len() - told.len();
    let told = told.join("; ");
    if more == 0 {
        told
    } else {
        format!("{told}; and {more} more")
    }
}
