//! Who can grant themselves a permission by RBAC alone: RBAC lets nobody bind a role whose rules they do not hold, or write
//! rules that they do not hold, unless they may `bind` it or `escalate` (kubernetes `pkg/registry/rbac`).

use std::rc::Rc;

use super::{Asked, Edge, Search, told};
use crate::answer::offline::RoleName;
use crate::audit::grants::{Held, On, Topic, merge};

const GROUP: &str = "rbac.authorization.k8s.io";

const fn topic(verb: &'static str, resource: &'static str) -> Topic<'static> {
    Topic {
        verb,
        group: GROUP,
        resource,
        subresource: "",
    }
}

/// Where a binding is written: a namespace, or the cluster. One at the cluster grants in every namespace, too.
#[derive(Debug, Clone, Copy)]
struct Place<'p>(Option<&'p str>);

impl Place<'_> {
    fn bindings(self) -> &'static str {
        match self.0 {
            Some(_) => "rolebindings",
            None => "clusterrolebindings",
        }
    }

    fn words(self) -> String {
        self.0
            .map_or_else(|| "at the cluster".to_owned(), |namespace| format!("in {namespace}"))
    }

    /// The kinds of roles that can be bound there, each with where it lives.
    fn roles(self) -> Vec<(&'static str, Self)> {
        let inside = self.0.map(|_| ("roles", self));
        inside.into_iter().chain([("clusterroles", Self(None))]).collect()
    }
}

fn kind_of(role: RoleName<'_>) -> &'static str {
    if role.namespace.is_empty() {
        "clusterroles"
    } else {
        "roles"
    }
}

impl<'r> Search<'_, 'r> {
    /// Who can grant themselves one of these verbs where it is asked.
    pub(super) fn granters(&self, verbs: &[&'r str], on: Asked<'_>, asked_in: Option<&str>) -> Vec<Edge> {
        let places = std::iter::once(Place(None)).chain(asked_in.map(|namespace| Place(Some(namespace))));
        let mut edges = Vec::new();
        for place in places {
            edges.extend(self.rewriting(place).iter().cloned());
            let roles = verbs
                .iter()
                .flat_map(|verb| self.grants.roles_with(on.topic(verb), place.0, on.name));
            let mut seen: Vec<RoleName<'r>> = Vec::new();
            for role in roles {
                // At the cluster only ClusterRoles can be bound.
                if !seen.contains(&role) && (place.0.is_some() || role.namespace.is_empty()) {
                    seen.push(role);
                    let does = format!("bind {role} to itself {}", place.words());
                    edges.extend(told(self.binders(role, place), &does));
                }
            }
        }
        edges
    }

    /// Who can bind this role to themselves there: who may `bind` it, and make a binding or add to one of it.
    fn binders(&self, role: RoleName<'_>, place: Place<'_>) -> Held {
        let grants = self.grants;
        let may_bind = grants.held(topic("bind", kind_of(role)), place.0, On::Named(role.name));
        if may_bind.is_empty() {
            return may_bind;
        }
        let mut all = grants.held_all(&[&may_bind, &self.makers_of_bindings(place)]);
        for (name, _) in grants.bound_to(role, place.0.unwrap_or_default()) {
            let change = ["update", "patch"].map(|verb| topic(verb, place.bindings()));
            let may_change = grants.held_any(change, place.0, On::Named(name));
            for (id, found) in grants.held_all(&[&may_bind, &may_change]) {
                merge(all.entry(id).or_default(), &found);
            }
        }
        all
    }

    /// Who can make a binding there: one of any name, or by a write that makes what is not there, one of a name that they
    /// may both create and change.
    fn makers_of_bindings(&self, place: Place<'_>) -> Held {
        let grants = self.grants;
        let resource = place.bindings();
        let mut makers = grants.held(topic("create", resource), place.0, On::Every);
        let named = grants.held(topic("create", resource), place.0, On::Some);
        let change = grants.held_any(["update", "patch"].map(|verb| topic(verb, resource)), place.0, On::Some);
        for (id, found) in grants.held_all(&[&named, &change]) {
            makers.entry(id).or_insert(found);
        }
        makers
    }

    /// Who can have a role of theirs say whatever they like there.
    fn rewriting(&self, place: Place<'_>) -> Rc<Vec<Edge>> {
        let key = place.0.map(str::to_owned);
        if let Some(known) = self.rewriting.borrow().get(&key) {
            return Rc::clone(known);
        }
        let mut edges = Vec::new();
        for role in self
            .grants
            .roles_at(place.0)
            .filter(|role| place.0.is_some() || role.namespace.is_empty())
        {
            let rewriters = self.rewriters(role);
            if rewriters.is_empty() {
                continue;
            }
            for (_, subjects) in self.grants.bound_to(role, place.0.unwrap_or_default()) {
                let bound: Held = subjects.iter().map(|id| (*id, Vec::new())).collect();
                let does = format!("rewrite {role}, which it is bound to {}", place.words());
                edges.extend(told(self.grants.held_all(&[&rewriters, &bound]), &does));
            }
            let does = format!("rewrite {role} and bind it to itself {}", place.words());
            let binders = self.binders(role, place);
            edges.extend(told(self.grants.held_all(&[&rewriters, &binders]), &does));
        }
        edges.extend(self.making_roles(place));
        edges.extend(self.aggregating(place));
        let edges = Rc::new(edges);
        self.rewriting.borrow_mut().insert(key, Rc::clone(&edges));
        edges
    }

    /// Who may write any rule into this role.
    fn rewriters(&self, role: RoleName<'_>) -> Held {
        let grants = self.grants;
        let namespace = Some(role.namespace).filter(|namespace| !namespace.is_empty());
        let resource = kind_of(role);
        let escalate = grants.held(topic("escalate", resource), namespace, On::Named(role.name));
        // The rules of an aggregated role are overwritten by those it aggregates.
        if escalate.is_empty() || grants.is_aggregated(role) {
            return Held::new();
        }
        let change = ["update", "patch"].map(|verb| topic(verb, resource));
        grants.held_all(&[&escalate, &grants.held_any(change, namespace, On::Named(role.name))])
    }

    /// Who can make an empty role, which anybody may bind, bind it, and then fill it.
    fn making_roles(&self, place: Place<'_>) -> Vec<Edge> {
        let grants = self.grants;
        let makers = self.makers_of_bindings(place);
        let mut edges = Vec::new();
        for (resource, Place(namespace)) in place.roles() {
            let held = |verb: &'static str| grants.held(topic(verb, resource), namespace, On::Every);
            let change = grants.held_any(
                ["update", "patch"].map(|verb| topic(verb, resource)),
                namespace,
                On::Every,
            );
            let all = grants.held_all(&[&held("escalate"), &held("create"), &change, &makers]);
            edges.extend(told(
                all,
                &format!("make a role of its own say it, and bind that {}", place.words()),
            ));
        }
        edges
    }

    /// Who can make a ClusterRole that is aggregated into one which they are bound to.
    fn aggregating(&self, place: Place<'_>) -> Vec<Edge> {
        let grants = self.grants;
        let held = |verb: &'static str| grants.held(topic(verb, "clusterroles"), None, On::Every);
        let makers = grants.held_all(&[&held("escalate"), &held("create")]);
        if makers.is_empty() {
            return Vec::new();
        }
        let aggregated = grants.roles_at(None).filter(|role| grants.is_aggregated(*role));
        let mut edges = Vec::new();
        for role in aggregated {
            for (_, subjects) in grants.bound_to(role, place.0.unwrap_or_default()) {
                let bound: Held = subjects.iter().map(|id| (*id, Vec::new())).collect();
                let does = format!(
                    "have {role}, which it is bound to {}, aggregate a role of its own",
                    place.words()
                );
                edges.extend(told(grants.held_all(&[&makers, &bound]), &does));
            }
        }
        edges
    }
}
