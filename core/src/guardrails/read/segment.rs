//! Segments: who is inside, who may come in, and whose consent that takes.

use std::collections::BTreeSet;

use super::labels::{Whose, selector};
use super::{namespace, unique};
use crate::guardrails::compiled::{Clause, NamespaceSet, Segment};
use crate::guardrails::documents::{ClauseSpec, Consent, LabelSelector, SegmentSpec, SeparatedSpec};
use crate::guardrails::place::{Found, Place};
use crate::model::{Mode, NamespaceName, Scope, SegmentName};

/// The most characters of a description: it is part of every denial.
const MAX_DESCRIPTION: usize = 500;

/// The most clauses in one list.
pub(in crate::guardrails) const MAX_CLAUSES: usize = 1_000;

/// A segment, where nothing is wrong with it; `mode` is the one for segments that do not say.
pub(crate) fn segment(
    document: &Place<'_>,
    name: &str,
    spec: &SegmentSpec,
    mode: Mode,
    found: &mut Found,
) -> Option<Segment> {
    let SegmentSpec {
        description,
        mode: own_mode,
        consent: consent_given,
        members,
        clients,
        isolated_from,
        require_isolation,
        guard_access,
    } = spec;
    let place = document.field("spec");
    let before = found.problems.len();
    let name = SegmentName::new(name)
        .map_err(|error| {
            found.wrong(
                &document.field("metadata").field("name"),
                error.to_string(),
                "choose another name",
            );
        })
        .ok();
    check_description(&place.field("description"), description, found);
    if members.is_empty() {
        found.wrong(
            &place.field("members"),
            "a segment without members protects nothing",
            "name at least one clause",
        );
    }
    let members = clauses(&place.field("members"), members, found);
    let clients = clauses(&place.field("clients"), clients, found);
    let separated: Vec<ClauseSpec> = isolated_from.iter().map(separated).collect();
    let isolated_from = clauses(&place.field("isolatedFrom"), &separated, found);
    let required = place.field("requireIsolation");
    unique(
        require_isolation
            .iter()
            .enumerate()
            .map(|(position, direction)| (*direction, required.item(position))),
        |direction| format!("{direction:?}"),
        found,
    );
    let consent = match consent_given {
        Some(given) => consent(&place.field("consent"), given, found),
        None => Some(default_consent(&members)),
    };
    if found.problems.len() > before {
        return None;
    }
    Some(Segment {
        name: name?,
        description: description.trim().to_owned(),
        mode: own_mode.unwrap_or(mode),
        consent: consent?,
        members,
        clients,
        isolated_from,
        require_isolation: require_isolation.clone(),
        guard_access: *guard_access,
    })
}

fn check_description(place: &Place<'_>, description: &str, found: &mut Found) {
    let length = description.chars().count();
    if length > MAX_DESCRIPTION {
        found.wrong(
            place,
            format!("a description of {length} characters"),
            format!("it is shown in denials: use at most {MAX_DESCRIPTION}"),
        );
    }
    if description
        .chars()
        .any(|character| character.is_control() && character != '\n')
    {
        found.wrong(
            place,
            "control characters in a description",
            "it is shown in terminals: remove them",
        );
    }
}

/// What a segment is kept apart from, as a clause: all pods where it does not say which.
fn separated(written: &SeparatedSpec) -> ClauseSpec {
    let SeparatedSpec {
        namespaces,
        namespace_selector,
        pod_selector,
    } = written.clone();
    ClauseSpec {
        namespaces,
        namespace_selector,
        pod_selector: pod_selector.unwrap_or_default(),
    }
}

/// The clauses of a list; those with mistakes are left out.
fn clauses(place: &Place<'_>, written: &[ClauseSpec], found: &mut Found) -> Vec<Clause> {
    if written.len() > MAX_CLAUSES {
        found.wrong(
            place,
            format!("{} clauses in one list", written.len()),
            format!("use at most {MAX_CLAUSES}, or labels that say the same in fewer"),
        );
        return Vec::new();
    }
    let clause = |(position, clause): (usize, &ClauseSpec)| {
        let at = place.item(position);
        let ClauseSpec {
            namespaces: names,
            namespace_selector,
            pod_selector,
        } = clause;
        let namespaces = namespaces(&at, names.as_deref(), namespace_selector.as_ref(), found);
        let pods = selector(&at.field("podSelector"), pod_selector, Whose::Pods, found);
        Some(Clause {
            namespaces: namespaces?,
            pods: pods?,
        })
    };
    written.iter().enumerate().filter_map(clause).collect()
}

/// The namespaces of a clause: exactly one of the two ways to say them.
fn namespaces(
    place: &Place<'_>,
    names: Option<&[String]>,
    by_labels: Option<&LabelSelector>,
    found: &mut Found,
) -> Option<NamespaceSet> {
    match (names, by_labels) {
        (None, None) => {
            found.wrong(
                place,
                "a clause without namespaces",
                "add `namespaces: [NAME]`, or `namespaceSelector: {}` for every namespace",
            );
            None
        }
        (Some(_), Some(_)) => {
            found.wrong(
                &place.key("namespaceSelector"),
                "a clause with both namespaces and namespaceSelector",
                "keep one of them; write two clauses if either should do",
            );
            None
        }
        (Some([]), None) => {
            found.wrong(
                &place.field("namespaces"),
                "an empty list of namespaces matches none",
                "name at least one, or write `namespaceSelector: {}` for every namespace",
            );
            None
        }
        (Some(names), None) => {
            let list = place.field("namespaces");
            unique(
                names
                    .iter()
                    .enumerate()
                    .map(|(position, name)| (name, list.item(position))),
                |name| format!("namespace {name:?}"),
                found,
            );
            let names: Vec<Option<NamespaceName>> = names
                .iter()
                .enumerate()
                .map(|(position, name)| namespace(&list.item(position), name, found))
                .collect();
            names
                .into_iter()
                .collect::<Option<BTreeSet<_>>>()
                .map(NamespaceSet::Named)
        }
        (None, Some(by_labels)) => {
            selector(&place.field("namespaceSelector"), by_labels, Whose::Namespaces, found).map(NamespaceSet::Selected)
        }
    }
}

fn consent(place: &Place<'_>, given: &Consent, found: &mut Found) -> Option<Scope> {
    match given {
        Consent {
            namespace: Some(name),
            cluster: None,
        } => namespace(&place.field("namespace"), name, found).map(Scope::Namespace),
        Consent {
            namespace: None,
            cluster: Some(true),
        } => Some(Scope::Cluster),
        Consent {
            namespace: None,
            cluster: None,
        } => {
            found.wrong(
                place,
                "consent names nobody",
                "write `namespace: NAME` or `cluster: true`, or remove `consent`",
            );
            None
        }
        Consent {
            namespace: None,
            cluster: Some(false),
        } => {
            found.wrong(
                &place.field("cluster"),
                "consent names nobody",
                "write `namespace: NAME` or `cluster: true`",
            );
            None
        }
        Consent {
            namespace: Some(_),
            cluster: Some(_),
        } => {
            found.wrong(
                &place.key("cluster"),
                "consent names both a namespace and the cluster",
                "keep one of them",
            );
            None
        }
    }
}

/// The one namespace that members name, else the cluster.
fn default_consent(members: &[Clause]) -> Scope {
    let mut all = BTreeSet::new();
    for clause in members {
        match &clause.namespaces {
            NamespaceSet::Named(names) => all.extend(names),
            NamespaceSet::Selected(_) => return Scope::Cluster,
        }
    }
    match (all.pop_first(), all.is_empty()) {
        (Some(only), true) => Scope::Namespace(only.clone()),
        _ => Scope::Cluster,
    }
}
