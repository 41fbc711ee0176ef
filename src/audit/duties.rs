//! Separation of duties, judged over all bindings: for each segment who writes its policies (`manage`, or `protect` of the
//! policy that it is derived from) and places its pods (`join`, `connect`), or could come to do both. In: [`Evidence`] and
//! guardrails; out: a [`Report`].

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hashbrown::HashMap;
use ringfence_core::guardrails::{Guardrails, NamespaceSet, Segment};
use ringfence_core::model::Scope;

use super::grants::{Grant, Grants, Held, Id, administrators, merge};
use super::reach::{Act, Asked, Hop, Reach, Search};
use super::report::{self, Finding, Judged, Kind, Report};
use super::{Evidence, Whole, ways};
use crate::manifests::grants::Subject;
use crate::manifests::names;

/// Judges every segment of the guardrails, or those of these names.
pub fn judge<'r>(
    evidence: &'r Evidence,
    guardrails: &'r Guardrails,
    only: &[String],
    installed_in: &str,
) -> Report<'r> {
    let grants = Grants::new(&evidence.rbac);
    let ringfence = Subject::ServiceAccount {
        namespace: installed_in.to_owned(),
        name: names::RINGFENCE.to_owned(),
    };
    let exempt_groups = match &guardrails.separation_of_duties {
        Some(duties) => duties.exempt_groups.clone(),
        None => [administrators_name()].into(),
    };
    let delegates = guardrails.delegates.iter().filter_map(|delegate| {
        let subject = Subject::user(&delegate.user).ok()?;
        Some((subject, delegate.review_as.clone()))
    });
    let mut auditor = Auditor {
        search: Search::new(&grants, &evidence.accounts, guardrails, &ringfence),
        grants: &grants,
        evidence,
        guardrails,
        exempt_groups: exempt_groups.into_iter().map(Subject::Group).collect(),
        ringfence: &ringfence,
        delegates: delegates.collect(),
        writing: HashMap::new(),
        segments: Vec::new(),
        findings: Vec::new(),
        exempt: BTreeSet::new(),
        own: BTreeSet::new(),
    };
    for segment in &guardrails.segments {
        if only.is_empty() || only.iter().any(|name| name == segment.name.as_str()) {
            auditor.segment(segment);
        }
    }
    let Auditor {
        delegates,
        segments,
        mut findings,
        exempt,
        own,
        ..
    } = auditor;
    report::sort(&mut findings, &grants);
    Report {
        grants,
        segments,
        findings,
        exempt,
        own,
        delegates,
        notes: evidence.notes.clone(),
    }
}

fn administrators_name() -> String {
    match administrators() {
        Subject::Group(name) | Subject::User(name) | Subject::ServiceAccount { name, .. } => name,
    }
}

struct Auditor<'a, 'r> {
    search: Search<'a, 'r>,
    grants: &'a Grants<'r>,
    evidence: &'r Evidence,
    guardrails: &'r Guardrails,
    exempt_groups: BTreeSet<Subject>,
    ringfence: &'a Subject,
    delegates: BTreeMap<Subject, String>,
    /// Who both writes policies and deploys, by namespace; none: in every one.
    writing: HashMap<Option<String>, Rc<Vec<Writer>>>,
    segments: Vec<Judged>,
    findings: Vec<Finding>,
    exempt: BTreeSet<Subject>,
    own: BTreeSet<Subject>,
}

/// One who writes policies where it deploys.
struct Writer {
    who: Id,
    writes: Rc<[Grant]>,
    deploys: Rc<[Grant]>,
}

impl<'r> Auditor<'_, 'r> {
    fn segment(&mut self, segment: &'r Segment) {
        let position = self.segments.len();
        let consent = self.consent(segment).map(str::to_owned);
        let members = self.members(segment);
        let on = Asked::of(&segment.name);
        let (verb, managed_in) = match segment.is_derived() {
            false => ("manage", consent.as_deref()),
            true if self.evidence.beyond.contains(&segment.name) => ("protect", None),
            true => ("protect", consent.as_deref()),
        };
        let manage = self.search.reach(&[verb], on, managed_in);
        let place = self.search.reach(&["join", "connect"], on, consent.as_deref());
        let wildcards = self.both(position, &manage, &place);
        self.missing_accounts(position, on, (verb, managed_in), consent.as_deref());
        // Other policies over the same pods need no permission on a derived segment, whoever writes them.
        if !segment.is_derived() {
            self.writers(position, &members, &wildcards);
        }
        self.segments.push(Judged {
            name: segment.name.to_string(),
            verb,
            consent,
            members,
        });
    }

    /// Where the segment's permissions are asked: at the cluster while its consent namespace does not exist or terminates.
    fn consent(&self, segment: &'r Segment) -> Option<&'r str> {
        let Scope::Namespace(name) = &segment.consent else {
            return None;
        };
        let stands = || {
            self.evidence
                .namespaces
                .get(name)
                .is_some_and(|namespace| !namespace.terminating)
        };
        (self.evidence.whole == Whole::Manifests || stands()).then_some(name.as_str())
    }

    fn members(&self, segment: &Segment) -> BTreeSet<String> {
        let mut members = BTreeSet::new();
        for clause in &segment.members {
            match &clause.namespaces {
                NamespaceSet::Named(names) => members.extend(names.iter().map(ToString::to_string)),
                NamespaceSet::Selected(selector) => {
                    let known = self.evidence.namespaces.iter();
                    let selected = known.filter(|(_, namespace)| selector.matches(&namespace.labels));
                    members.extend(selected.map(|(name, _)| name.to_string()));
                }
            }
        }
        members
    }

    /// Who holds, or can come to hold, both or one of both. Gives those who do by wildcards.
    fn both(&mut self, segment: usize, manage: &Reach, place: &Reach) -> BTreeSet<Id> {
        let mut wildcards = BTreeSet::new();
        let subjects: BTreeSet<Id> = manage.subjects().chain(place.subjects()).collect();
        for subject in subjects {
            let (manages, places) = (manage.route(self.grants, subject), place.route(self.grants, subject));
            if Self::is_a_groups(subject, &manages, &places) {
                continue;
            }
            let kind = self.kind(subject, &manages, &places);
            let Some(kind) = kind.filter(|_| self.is_asked(subject)) else {
                continue;
            };
            if kind <= Kind::Delegate && manages.first().is_some_and(|manage| self.by_wildcard(manage)) {
                wildcards.insert(subject);
            }
            self.findings.push(Finding {
                kind,
                segment,
                namespace: None,
                subject,
                manages,
                places,
            });
        }
        wildcards
    }

    /// Whether all of it is what one of its groups is found for.
    fn is_a_groups(subject: Id, manages: &[Hop], places: &[Hop]) -> bool {
        let firsts = [manages.first(), places.first()];
        !firsts.into_iter().flatten().any(|hop| hop.who == subject)
    }

    fn kind(&self, subject: Id, manages: &[Hop], places: &[Hop]) -> Option<Kind> {
        let held = |route: &[Hop]| matches!(route, [only] if only.act == Act::Holds);
        let is_delegate = self.delegates.contains_key(self.grants.subject(subject));
        match (manages, places) {
            ([], []) => None,
            ([], route) | (route, []) => (!held(route)).then_some(Kind::CanGrantItself),
            _ if !(held(manages) && held(places)) => Some(Kind::CanHoldBoth),
            _ if is_delegate => Some(Kind::Delegate),
            ([manage], [_]) if self.by_wildcard(manage) => Some(Kind::Wildcard),
            _ => Some(Kind::HoldsBoth),
        }
    }

    /// Whether one rule for every verb gives both, as it does for whom the API server lets do everything: what gives the
    /// right to manage by `*` gives the others too, though one may hold them by a group besides.
    fn by_wildcard(&self, manages: &Hop) -> bool {
        let every = |grant: &Grant| self.grants.rule(*grant).rule.verbs.iter().any(|verb| verb == "*");
        manages.grants.is_empty() || manages.grants.iter().any(every)
    }

    /// Whether the subject is one to be told; if not, it is counted where it belongs.
    fn is_asked(&mut self, subject: Id) -> bool {
        let principals = self.grants.principals(subject).iter();
        let exempt = principals
            .map(|id| self.grants.subject(*id))
            .any(|one| self.exempt_groups.contains(one));
        let subject = self.grants.subject(subject);
        if exempt {
            self.exempt.insert(subject.clone());
        } else if subject == self.ringfence || is_the_clusters(subject) {
            self.own.insert(subject.clone());
        } else {
            return true;
        }
        false
    }

    fn missing_accounts(
        &mut self,
        segment: usize,
        on: Asked<'_>,
        (verb, managed_in): (&'static str, Option<&str>),
        consent: Option<&str>,
    ) {
        let held = |verbs: &[&'static str], place: Option<&str>| {
            let topics = verbs.iter().map(|verb| on.topic(verb));
            self.grants.held_any(topics, place, on.on())
        };
        let (manage, place) = (held(&[verb], managed_in), held(&["join", "connect"], consent));
        let subjects: BTreeSet<Id> = manage.keys().chain(place.keys()).copied().collect();
        for subject in subjects {
            if !self.is_missing(subject) || !self.is_asked(subject) {
                continue;
            }
            let hop = |held: &Held, verbs: &str| {
                held.get(&subject).map(|grants| Hop {
                    who: subject,
                    does: format!("would hold {verbs}").into(),
                    grants: grants.as_slice().into(),
                    act: Act::Holds,
                })
            };
            self.findings.push(Finding {
                kind: Kind::MissingAccount,
                segment,
                namespace: None,
                subject,
                manages: hop(&manage, verb).into_iter().collect(),
                places: hop(&place, "join or connect").into_iter().collect(),
            });
        }
    }

    fn is_missing(&self, subject: Id) -> bool {
        let Subject::ServiceAccount { namespace, name } = self.grants.subject(subject) else {
            return false;
        };
        // Every namespace gets a `default` of its own.
        let made = name == "default" && self.evidence.whole == Whole::Manifests;
        !made
            && !self
                .evidence
                .accounts
                .existing
                .contains(&(namespace.clone(), name.clone()))
    }

    /// Who may write NetworkPolicies where it deploys, in every namespace or in one of the members'.
    fn writers(&mut self, segment: usize, members: &BTreeSet<String>, wildcards: &BTreeSet<Id>) {
        if members.is_empty() {
            return;
        }
        let everywhere = self.writers_in(None);
        let everywhere_too = std::iter::once(None);
        for namespace in everywhere_too.chain(members.iter().map(|name| Some(Rc::<str>::from(name.as_str())))) {
            let writers = self.writers_in(namespace.as_deref());
            for writer in writers.iter() {
                let Writer { who, writes, deploys } = writer;
                let told_already = namespace.is_some() && everywhere.iter().any(|other| other.who == *who);
                if told_already || wildcards.contains(who) || !self.is_asked(*who) {
                    continue;
                }
                let place = namespace
                    .as_deref()
                    .map_or("in every namespace".to_owned(), |name| format!("in {name}"));
                let hop = |does: &str, grants: &Rc<[Grant]>| Hop {
                    who: *who,
                    does: format!("{does} {place}").into(),
                    grants: Rc::clone(grants),
                    act: Act::Holds,
                };
                self.findings.push(Finding {
                    kind: Kind::WritesPolicies,
                    segment,
                    namespace: namespace.clone(),
                    subject: *who,
                    manages: vec![hop("write networkpolicies", writes)],
                    places: vec![hop("deploy", deploys)],
                });
            }
        }
    }

    fn writers_in(&mut self, namespace: Option<&str>) -> Rc<Vec<Writer>> {
        let key = namespace.map(str::to_owned);
        if let Some(known) = self.writing.get(&key) {
            return Rc::clone(known);
        }
        let grants = self.grants;
        let mut writes = Held::new();
        for (topic, on) in ways::writing_policies() {
            add(&mut writes, grants.held(topic, namespace, on));
        }
        let mut deploys = Held::new();
        for (topic, on) in ways::deploying(self.guardrails) {
            add(&mut deploys, grants.held(topic, namespace, on));
        }
        let both = grants.held_all(&[&writes, &deploys]);
        let of = |held: &Held, id: Id| -> Rc<[Grant]> { grants.lookup(held, id).map_or(&[][..], Vec::as_slice).into() };
        let writers = both.into_keys().map(|who| Writer {
            who,
            writes: of(&writes, who),
            deploys: of(&deploys, who),
        });
        let writers = Rc::new(writers.collect::<Vec<_>>());
        self.writing.insert(key, Rc::clone(&writers));
        writers
    }
}

fn add(into: &mut Held, from: Held) {
    for (id, grants) in from {
        merge(into.entry(id).or_default(), &grants);
    }
}

/// The identities of the control plane and of nodes: whoever can act as one is found, they themselves are not.
fn is_the_clusters(subject: &Subject) -> bool {
    match subject {
        Subject::ServiceAccount { namespace, .. } => namespace == "kube-system",
        Subject::User(name) => name.starts_with("system:kube-") || name.starts_with("system:node:"),
        Subject::Group(name) => name == "system:nodes",
    }
}
