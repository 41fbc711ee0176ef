//! [`Search`]: who comes to hold a permission, and how: by a binding, by granting it to themselves, or by becoming somebody
//! who does, over as many steps as it takes. Searched backwards from those who hold it, so that the shortest route is found.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use hashbrown::HashMap;
use ringfence_core::guardrails::Guardrails;
use ringfence_core::model::{GROUP, NETWORKING, SegmentName};

use super::Accounts;
use super::grants::{Grant, Grants, Held, Id, On, Topic, administrators, merge};
use super::ways::{self, Taken, Way};
use crate::manifests::grants::Subject;

mod granting;

/// One step of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Who takes it.
    pub who: Id,
    /// What they do, e.g. `create pods in ci`, or at the end `holds manage`.
    pub does: Rc<str>,
    /// What lets them: none for whom the API server lets do everything.
    pub grants: Rc<[Grant]>,
    /// What comes of it.
    pub act: Act,
}

/// What comes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing: it is held already.
    Holds,
    /// They hold it from then on.
    Grants,
    /// They act as somebody else.
    Becomes(Id),
}

/// How everybody who can come to hold something does: each one's first hop.
#[derive(Debug, Default)]
pub(super) struct Reach(HashMap<Id, Hop>);

impl Reach {
    /// Everybody whom a hop is known of.
    pub(super) fn subjects(&self) -> impl Iterator<Item = Id> {
        self.0.keys().copied()
    }

    /// The whole route of a subject, its own or that of a group it is certainly in; empty where there is none.
    pub(super) fn route(&self, grants: &Grants<'_>, id: Id) -> Vec<Hop> {
        let mut route: Vec<Hop> = Vec::new();
        let mut at = Some(id);
        while let Some(id) = at {
            let hop = grants.principals(id).iter().find_map(|principal| self.0.get(principal));
            let Some(hop) = hop.filter(|hop| !route.contains(hop)) else {
                break;
            };
            at = match hop.act {
                Act::Becomes(id) => Some(id),
                Act::Holds | Act::Grants => None,
            };
            route.push(hop.clone());
        }
        route
    }
}

/// A way from one subject to another.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    who: Id,
    does: Rc<str>,
    grants: Rc<[Grant]>,
}

impl Edge {
    fn new((who, grants): (Id, Vec<Grant>), does: &Rc<str>) -> Self {
        Self {
            who,
            does: Rc::clone(does),
            grants: grants.into(),
        }
    }
}

/// What the permissions of a segment are asked on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'n> {
    group: &'static str,
    resource: &'static str,
    name: &'n str,
}

impl<'n> Asked<'n> {
    /// The segment itself, or the policy that it is derived from.
    pub(super) fn of(segment: &'n SegmentName) -> Self {
        match segment.policy() {
            None => Self {
                group: GROUP,
                resource: "segments",
                name: segment.as_str(),
            },
            Some((_, name)) => Self {
                group: NETWORKING,
                resource: "networkpolicies",
                name,
            },
        }
    }

    /// The name of it.
    pub(super) fn on(self) -> On<'n> {
        On::Named(self.name)
    }

    /// This verb on it.
    pub(super) fn topic(self, verb: &str) -> Topic<'_> {
        Topic {
            verb,
            group: self.group,
            resource: self.resource,
            subresource: "",
        }
    }
}

/// Searches one cluster; what it learns of one permission serves the next.
pub(super) struct Search<'s, 'r> {
    grants: &'s Grants<'r>,
    accounts: &'s Accounts,
    to_accounts: Vec<Way<'r>>,
    /// Whose tokens and pods our self-protection guards.
    guarded: Option<Id>,
    edges: RefCell<HashMap<Id, Rc<Vec<Edge>>>>,
    in_namespaces: RefCell<HashMap<Option<String>, Rc<Vec<Edge>>>>,
    rewriting: RefCell<HashMap<Option<String>, Rc<Vec<Edge>>>>,
}

impl<'s, 'r> Search<'s, 'r> {
    pub(super) fn new(
        grants: &'s Grants<'r>,
        accounts: &'s Accounts,
        guardrails: &'r Guardrails,
        guarded: &Subject,
    ) -> Self {
        Self {
            grants,
            accounts,
            to_accounts: ways::to_accounts(guardrails),
            guarded: grants.find(guarded),
            edges: RefCell::default(),
            in_namespaces: RefCell::default(),
            rewriting: RefCell::default(),
        }
    }

    /// Who can come to hold one of these verbs, in a namespace or at the cluster.
    pub(super) fn reach(&self, verbs: &[&'r str], on: Asked<'_>, place: Option<&str>) -> Reach {
        let mut reach = Reach::default();
        let mut open = VecDeque::new();
        let mut take = |edge: Edge, act: Act, open: &mut VecDeque<Id>| {
            // Who is in a group that gets there needs no way of its own.
            let principals = self.grants.principals(edge.who);
            if principals.iter().all(|principal| !reach.0.contains_key(principal)) {
                let Edge { who, does, grants } = edge;
                reach.0.insert(who, Hop { who, does, grants, act });
                open.push_back(who);
            }
        };
        for edge in self.holders(verbs, on, place) {
            take(edge, Act::Holds, &mut open);
        }
        for edge in self.granters(verbs, on, place) {
            take(edge, Act::Grants, &mut open);
        }
        while let Some(id) = open.pop_front() {
            if Some(id) != self.guarded {
                for edge in self.becoming(id).iter() {
                    take(edge.clone(), Act::Becomes(id), &mut open);
                }
            }
        }
        reach
    }

    /// Who holds one of these verbs by a binding; groups first, so that they stand for their members.
    fn holders(&self, verbs: &[&'r str], on: Asked<'_>, place: Option<&str>) -> Vec<Edge> {
        let mut holders: BTreeMap<Id, (Vec<&str>, Vec<Grant>)> = BTreeMap::new();
        for verb in verbs {
            for (id, grants) in self.grants.held(on.topic(verb), place, on.on()) {
                let (words, all) = holders.entry(id).or_default();
                words.push(verb);
                merge(all, &grants);
            }
        }
        let mut edges: Vec<Edge> = holders
            .into_iter()
            .map(|(id, (words, grants))| Edge::new((id, grants), &format!("holds {}", words.join(" and ")).into()))
            .collect();
        if let Some(who) = self.grants.find(&administrators()) {
            let does = "may do everything".into();
            let grants = Rc::from([]);
            if edges.iter().all(|edge| edge.who != who) {
                edges.push(Edge { who, does, grants });
            }
        }
        edges.sort_by_key(|edge| (self.grants.principals(edge.who).len(), edge.who));
        edges
    }

    /// Who can become this one in one step.
    fn becoming(&self, id: Id) -> Rc<Vec<Edge>> {
        if let Some(known) = self.edges.borrow().get(&id) {
            return Rc::clone(known);
        }
        let edges: Vec<Edge> = match self.grants.subject(id) {
            Subject::ServiceAccount { namespace, name } => {
                let account = (namespace.clone(), name.clone());
                let taken = Taken {
                    namespace: Some(namespace),
                    name: Some(name),
                    token_secrets: self.accounts.token_secrets.get(&account).map_or(&[], Vec::as_slice),
                };
                let mut edges = self.in_namespace(Some(namespace)).to_vec();
                let of_one = self.to_accounts.iter().filter(|way| way.is_of_one());
                self.add(&mut edges, of_one, taken);
                edges
            }
            Subject::User(name) => self.named(&ways::to_users(), name),
            Subject::Group(name) => {
                let mut edges = self.named(&ways::to_groups(*self.grants.subject(id) == administrators()), name);
                let inside = match name.as_str() {
                    // Everybody is, or nobody can be told apart.
                    "system:authenticated" | "system:unauthenticated" => return Rc::default(),
                    "system:serviceaccounts" => Some(None),
                    name => name.strip_prefix("system:serviceaccounts:").map(Some),
                };
                if let Some(namespace) = inside {
                    edges.extend(self.in_namespace(namespace).iter().cloned());
                    let of_one = self.to_accounts.iter().filter(|way| way.is_of_one());
                    self.add(
                        &mut edges,
                        of_one,
                        Taken {
                            namespace,
                            ..Taken::default()
                        },
                    );
                }
                edges
            }
        };
        let edges = Rc::new(edges);
        self.edges.borrow_mut().insert(id, Rc::clone(&edges));
        edges
    }

    fn named(&self, ways: &[Way<'r>], name: &str) -> Vec<Edge> {
        let mut edges = Vec::new();
        let taken = Taken {
            name: Some(name),
            ..Taken::default()
        };
        self.add(&mut edges, ways.iter(), taken);
        edges
    }

    /// Who can become any service account of a namespace.
    fn in_namespace(&self, namespace: Option<&str>) -> Rc<Vec<Edge>> {
        let key = namespace.map(str::to_owned);
        if let Some(known) = self.in_namespaces.borrow().get(&key) {
            return Rc::clone(known);
        }
        let mut edges = Vec::new();
        let ways = self.to_accounts.iter().filter(|way| !way.is_of_one());
        self.add(
            &mut edges,
            ways,
            Taken {
                namespace,
                ..Taken::default()
            },
        );
        let edges = Rc::new(edges);
        self.in_namespaces.borrow_mut().insert(key, Rc::clone(&edges));
        edges
    }

    /// Adds whoever can go one of these ways and has none yet: the first of the table is the one that is told.
    fn add<'w>(&self, edges: &mut Vec<Edge>, ways: impl Iterator<Item = &'w Way<'r>>, taken: Taken<'_>)
    where
        'r: 'w,
    {
        for way in ways {
            let place = taken
                .namespace
                .map(|namespace| format!(" in {namespace}"))
                .unwrap_or_default();
            let does: Rc<str> = format!("{}{place}", way.does).into();
            for goer in way.goers(self.grants, taken) {
                if edges.iter().all(|edge| edge.who != goer.0) {
                    edges.push(Edge::new(goer, &does));
                }
            }
        }
    }
}

/// Adds who holds, under words of what they do.
fn told(held: Held, does: &str) -> Vec<Edge> {
    let does: Rc<str> = does.into();
    held.into_iter().map(|holder| Edge::new(holder, &does)).collect()
}
