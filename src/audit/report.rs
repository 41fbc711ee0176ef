//! [`Report`]: what an audit came to: each [`Finding`] with how its subject comes to do what, the segments, and whom it
//! leaves out. Told by `text`, `record` and `picture`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hashbrown::HashMap;

use super::grants::{Grants, Id};
use super::reach::Hop;
use crate::manifests::grants::Subject;

/// What is found of a subject and a segment, the plainest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum Kind {
    /// Holds manage together with join or connect.
    HoldsBoth,
    /// Holds both by a rule for every verb: a wildcard makes the question moot.
    Wildcard,
    /// A delegate that holds both: what it does for others is judged as another user, what it does itself is not.
    Delegate,
    /// Holds one of both, or neither, and can come to hold the rest.
    CanHoldBoth,
    /// Can come to hold what nobody gave it: manage, or join or connect.
    CanGrantItself,
    /// May write NetworkPolicies in a namespace of members where it also deploys.
    WritesPolicies,
    /// A service account that is bound and does not exist: whoever creates it holds what it was given.
    MissingAccount,
}

/// Something to look into.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was found.
    pub kind: Kind,
    /// The segment, by its place in the report.
    pub segment: usize,
    /// The namespace in which, for [`Kind::WritesPolicies`]; none: in every one.
    pub namespace: Option<Rc<str>>,
    /// Of whom.
    pub subject: Id,
    /// How they come to write policies; empty where they do not.
    pub manages: Vec<Hop>,
    /// How they come to place pods; empty where they do not.
    pub places: Vec<Hop>,
}

/// A segment as it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// The verb that its policies are written by.
    pub verb: &'static str,
    /// The namespace in which its permissions are asked, none for the cluster.
    pub consent: Option<String>,
    /// The namespaces that members can live in, as far as they are known.
    pub members: BTreeSet<String>,
}

/// What an audit came to.
pub struct Report<'r> {
    /// Who holds what.
    pub grants: Grants<'r>,
    /// The segments, by name.
    pub segments: Vec<Judged>,
    /// Everything found, by segment, then by subject.
    pub findings: Vec<Finding>,
    /// Whom the guardrails exempt, and who would have been found.
    pub exempt: BTreeSet<Subject>,
    /// The cluster's own identities and ringfence, which hold what they need, and would have been found.
    pub own: BTreeSet<Subject>,
    /// As whom delegates are reviewed.
    pub delegates: BTreeMap<Subject, String>,
    /// What could not be read, and what follows.
    pub notes: Vec<String>,
}

/// By segment, then by subject: first those of whom the plainest was found.
pub(super) fn sort(findings: &mut [Finding], grants: &Grants<'_>) {
    let mut plainest: HashMap<(usize, Id), Kind> = HashMap::new();
    for finding in findings.iter() {
        let kind = plainest
            .entry((finding.segment, finding.subject))
            .or_insert(finding.kind);
        *kind = finding.kind.min(*kind);
    }
    findings.sort_by_cached_key(|finding| {
        let Finding {
            kind,
            segment,
            namespace,
            subject,
            ..
        } = finding;
        let plainest = plainest.get(&(*segment, *subject)).copied();
        (
            *segment,
            plainest,
            grants.subject(*subject).clone(),
            *kind,
            namespace.clone(),
        )
    });
}
