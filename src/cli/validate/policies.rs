//! What the policies that opted in to protection come to under guardrails, told: the segment of each and who may use it, or
//! why there is none.

use ringfence_core::guardrails::{Guardrails, Segment};
use ringfence_core::model::{Mode, NETWORKING, Verb};
use ringfence_core::netpol::PolicyName;

use super::{SHOWN, clauses};
use crate::answer::offline::{OptedIn, Outcome, PRIVILEGED_GROUP, Rbac};
use crate::audit::{Grants, On, Topic};
use crate::manifests::grants::Subject;

/// How many holders of a permission are named.
const HOLDERS: usize = 5;

/// What is known of policies.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// Those that opted in, or were meant to.
    pub(super) opted_in: Vec<OptedIn>,
    /// Who may do what, where that is known.
    pub(super) rbac: Option<Rbac>,
}

impl Policies {
    /// A few lines for each; all of those that protect nothing, and the first of the others.
    pub(super) fn lines(&self, guardrails: &Guardrails) -> Vec<String> {
        let grants = self.rbac.as_ref().map(Grants::new);
        let (mut lines, mut fine, mut more) = (Vec::new(), Vec::new(), 0_usize);
        for OptedIn { name, outcome } in &self.opted_in {
            let derived = match outcome {
                Outcome::Out(why) => {
                    lines.push(format!("policy {name} did not opt in: {why}"));
                    continue;
                }
                Outcome::In(derived) => derived,
            };
            let (segment, left_out) = derived.under(guardrails);
            let mut said = vec![match &segment {
                None => format!("policy {name} opted in and protects nothing"),
                Some(segment) if segment.mode == Mode::Enforce => format!("policy {name} is a segment: Enforce"),
                Some(segment) => format!("policy {name} is a segment: {}, so nobody is refused", segment.mode),
            }];
            said.extend(segment.iter().flat_map(clauses));
            said.extend(left_out.iter().map(|why| format!("  left out: {why}")));
            if let Some(grants) = &grants {
                let (namespace, place) = match &derived.beyond {
                    None => (Some(name.namespace.as_str()), format!("in {}", name.namespace)),
                    Some(peer) => (
                        None,
                        format!("at the cluster, as {peer} reaches beyond {}", name.namespace),
                    ),
                };
                said.push(held(grants, Verb::Protect, name, namespace, &place));
                let asked = segment.iter().flat_map(asked);
                let own = (Some(name.namespace.as_str()), format!("in {}", name.namespace));
                said.extend(asked.map(|verb| held(grants, verb, name, own.0, &own.1)));
            }
            if segment.is_none() {
                lines.extend(said);
            } else if fine.len() < SHOWN {
                fine.push(said);
            } else {
                more += 1;
            }
        }
        lines.extend(fine.into_iter().flatten());
        if more > 0 {
            lines.push(format!("... and {more} more policies that are segments"));
        }
        lines
    }
}

/// The verbs that a segment is asked by.
fn asked(segment: &Segment) -> impl Iterator<Item = Verb> {
    let join = (!segment.members.is_empty()).then_some(Verb::Join);
    join.into_iter()
        .chain((!segment.clients.is_empty()).then_some(Verb::Connect))
}

/// `  protect, asked in web: User pam`.
fn held(grants: &Grants<'_>, verb: Verb, policy: &PolicyName, namespace: Option<&str>, place: &str) -> String {
    let topic = Topic {
        verb: verb.as_str(),
        group: NETWORKING,
        resource: "networkpolicies",
        subresource: "",
    };
    let held = grants.held(topic, namespace, On::Named(&policy.name));
    let subjects = held.keys().map(|id| grants.subject(*id));
    let everything = |subject: &&Subject| !matches!(subject, Subject::Group(name) if name == PRIVILEGED_GROUP);
    let mut names: Vec<String> = subjects.filter(everything).map(Subject::to_string).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(HOLDERS);
    names.truncate(HOLDERS);
    let who = match (names.as_slice(), more) {
        ([], _) => "held by nobody but cluster admins".to_owned(),
        (names, 0) => format!("held by {}", names.join(", ")),
        (names, more) => format!("held by {} and {more} more", names.join(", ")),
    };
    format!("  {verb}, asked {place}: {who}")
}
