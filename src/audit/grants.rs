//! [`Grants`]: who holds what by which binding, looked up by verb and resource. Roles are laid open once, so that an audit
//! of thousands of bindings asks each rule of each role once a question, not once a binding.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use hashbrown::HashMap;

use crate::answer::offline::{
    Binding, EffectiveRule, PRIVILEGED_GROUP, Rbac, RoleName, account_namespace, covers, covers_name,
};
use crate::manifests::grants::Subject;

/// A subject, by its place in [`Grants`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u32);

/// A verb on a resource, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic<'t> {
    /// The verb.
    pub verb: &'t str,
    /// API group, empty for the core group.
    pub group: &'t str,
    /// Plural resource.
    pub resource: &'t str,
    /// Subresource, empty for the object itself.
    pub subresource: &'t str,
}

/// Which objects a right is looked for on.
#[derive(Debug, Clone, Copy)]
pub enum On<'n> {
    /// Any one will do.
    Some,
    /// All of them; also what has no name yet, as whatever is created.
    Every,
    /// The one of this name.
    Named(&'n str),
}

/// One rule that one binding gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    bound: u32,
    rule: u32,
}

/// Who holds something, each with all that gives it.
pub type Held = BTreeMap<Id, Vec<Grant>>;

/// A role and its rules, aggregated ones too.
struct Role<'r> {
    name: RoleName<'r>,
    rules: Vec<EffectiveRule<'r>>,
    bound: Vec<u32>,
}

/// A binding whose role is there.
struct Bound<'r> {
    binding: Binding<'r>,
    role: u32,
    subjects: Vec<Id>,
}

/// What speaks of one topic.
#[derive(Default)]
struct Speaking<'r> {
    /// Roles, each with those of its rules that do.
    roles: Vec<(u32, Vec<u32>)>,
    /// Bindings of these roles by their namespace, empty for the cluster.
    bound: HashMap<&'r str, Vec<Grant>>,
}

/// Roles and bindings, laid open.
pub struct Grants<'r> {
    rbac: &'r Rbac,
    subjects: Vec<Subject>,
    ids: HashMap<Subject, Id>,
    /// What each subject is beside itself: the groups that it is certainly in.
    principals: Vec<Vec<Id>>,
    roles: Vec<Role<'r>>,
    bound: Vec<Bound<'r>>,
    speaking: RefCell<HashMap<Topic<'r>, Rc<Speaking<'r>>>>,
}

impl<'r> Grants<'r> {
    /// Lays these open.
    pub fn new(rbac: &'r Rbac) -> Self {
        let roles = |name: RoleName<'r>| Role {
            name,
            rules: rbac.rules(name),
            bound: Vec::new(),
        };
        let mut grants = Self {
            rbac,
            subjects: Vec::new(),
            ids: HashMap::new(),
            principals: Vec::new(),
            roles: rbac.role_names().map(roles).collect(),
            bound: Vec::new(),
            speaking: RefCell::default(),
        };
        grants.roles.sort_by(|one, other| one.name.cmp(&other.name));
        let mut bindings: Vec<Binding<'r>> = rbac.bindings().collect();
        bindings.sort_by(|one, other| (one.namespace, one.name).cmp(&(other.namespace, other.name)));
        for binding in bindings {
            grants.bind(binding);
        }
        grants.id(&administrators());
        grants
    }

    fn bind(&mut self, binding: Binding<'r>) {
        let Some(role) = self.role(bound_role(&binding)) else {
            return;
        };
        let given = binding
            .subjects
            .iter()
            .filter_map(|subject| read(subject, binding.namespace));
        let mut subjects: Vec<Id> = given
            .collect::<Vec<_>>()
            .iter()
            .map(|subject| self.id(subject))
            .collect();
        subjects.sort_unstable();
        subjects.dedup();
        let position = number(self.bound.len());
        self.roles[role as usize].bound.push(position);
        self.bound.push(Bound {
            binding,
            role,
            subjects,
        });
    }

    fn role(&self, name: RoleName<'_>) -> Option<u32> {
        let found = self.roles.binary_search_by(|role| role.name.cmp(&name)).ok()?;
        Some(number(found))
    }

    /// The id of a subject, made where there is none yet.
    fn id(&mut self, subject: &Subject) -> Id {
        if let Some(id) = self.ids.get(subject) {
            return *id;
        }
        let id = Id(number(self.subjects.len()));
        self.ids.insert(subject.clone(), id);
        self.subjects.push(subject.clone());
        self.principals.push(vec![id]);
        for group in groups(subject) {
            let group = self.id(&Subject::Group(group));
            self.principals[id.0 as usize].push(group);
        }
        id
    }

    /// The subject of this id.
    pub fn subject(&self, id: Id) -> &Subject {
        &self.subjects[id.0 as usize]
    }

    /// Every subject that a binding names, and the groups that it is certainly in.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.subjects.iter()
    }

    /// The id of a subject that some binding names, or of a group of one.
    pub fn find(&self, subject: &Subject) -> Option<Id> {
        self.ids.get(subject).copied()
    }

    /// A subject and the groups that it is certainly in, itself first.
    pub fn principals(&self, id: Id) -> &[Id] {
        &self.principals[id.0 as usize]
    }

    fn speaking(&self, topic: Topic<'r>) -> Rc<Speaking<'r>> {
        if let Some(known) = self.speaking.borrow().get(&topic) {
            return Rc::clone(known);
        }
        let Topic {
            verb,
            group,
            resource,
            subresource,
        } = topic;
        let mut speaking = Speaking::default();
        for (position, role) in (0..).zip(&self.roles) {
            let matching = (0..)
                .zip(&role.rules)
                .filter(|(_, rule)| covers(rule.rule, (verb, group, resource, subresource)));
            let rules: Vec<u32> = matching.map(|(position, _)| position).collect();
            if rules.is_empty() {
                continue;
            }
            for bound in &role.bound {
                let namespace = self.bound[*bound as usize].binding.namespace;
                let grants = rules.iter().map(|rule| Grant {
                    bound: *bound,
                    rule: *rule,
                });
                speaking.bound.entry(namespace).or_default().extend(grants);
            }
            speaking.roles.push((position, rules));
        }
        let speaking = Rc::new(speaking);
        self.speaking.borrow_mut().insert(topic, Rc::clone(&speaking));
        speaking
    }

    /// Who holds this in a namespace, by its own bindings or the cluster's; or at the cluster where there is none.
    pub fn held(&self, topic: Topic<'r>, namespace: Option<&str>, on: On<'_>) -> Held {
        let speaking = self.speaking(topic);
        let places = [Some(""), namespace.filter(|namespace| !namespace.is_empty())];
        let mut held = Held::new();
        for place in places.into_iter().flatten() {
            for grant in speaking.bound.get(place).into_iter().flatten() {
                if is_on(self.rule(*grant), on) {
                    for subject in &self.bound[grant.bound as usize].subjects {
                        held.entry(*subject).or_default().push(*grant);
                    }
                }
            }
        }
        held
    }

    /// Who holds any of these.
    pub fn held_any(&self, topics: impl IntoIterator<Item = Topic<'r>>, namespace: Option<&str>, on: On<'_>) -> Held {
        let mut all = Held::new();
        for topic in topics {
            for (id, grants) in self.held(topic, namespace, on) {
                merge(all.entry(id).or_default(), &grants);
            }
        }
        all
    }

    /// What gives a subject this, itself or by a group that it is certainly in.
    pub fn lookup<'h>(&self, held: &'h Held, id: Id) -> Option<&'h Vec<Grant>> {
        self.principals(id).iter().find_map(|principal| held.get(principal))
    }

    /// Who holds all of these, with what gives them. A subject that adds nothing to what one of its groups holds is not
    /// listed beside that group.
    pub fn held_all(&self, all: &[&Held]) -> Held {
        let whole = |id: Id| all.iter().all(|held| self.lookup(held, id).is_some());
        let candidates: std::collections::BTreeSet<Id> = all.iter().flat_map(|held| held.keys().copied()).collect();
        let mut result = Held::new();
        for id in candidates {
            let by_group = self.principals(id).iter().skip(1).any(|group| whole(*group));
            if whole(id) && !by_group {
                let grants = result.entry(id).or_default();
                for held in all {
                    merge(grants, self.lookup(held, id).map_or(&[][..], Vec::as_slice));
                }
            }
        }
        result
    }

    /// Whether a subject may do this, itself or by a group that it is certainly in: what a SubjectAccessReview with those
    /// groups answers.
    pub fn may(&self, subject: &Subject, topic: Topic<'r>, namespace: Option<&str>, name: &str) -> bool {
        let held = self.held(topic, namespace, On::Named(name));
        let groups = groups(subject).into_iter().map(Subject::Group);
        let mut principals = std::iter::once(subject.clone()).chain(groups);
        principals.any(|principal| {
            principal == administrators() || self.find(&principal).is_some_and(|id| held.contains_key(&id))
        })
    }

    /// Roles that say this of an object of that name: ClusterRoles, and those of the namespace.
    pub fn roles_with(&self, topic: Topic<'r>, namespace: Option<&str>, name: &str) -> Vec<RoleName<'r>> {
        let speaking = self.speaking(topic);
        let says = |(position, rules): &&(u32, Vec<u32>)| {
            let role = &self.roles[*position as usize];
            (role.name.namespace.is_empty() || Some(role.name.namespace) == namespace)
                && rules
                    .iter()
                    .any(|rule| covers_name(role.rules[*rule as usize].rule, name))
        };
        let found = speaking.roles.iter().filter(says);
        found.map(|(position, _)| self.roles[*position as usize].name).collect()
    }

    /// Every role that can be bound in a namespace, or at the cluster.
    pub fn roles_at(&self, namespace: Option<&str>) -> impl Iterator<Item = RoleName<'r>> {
        let here = move |name: &RoleName<'r>| name.namespace.is_empty() || Some(name.namespace) == namespace;
        self.roles.iter().map(|role| role.name).filter(here)
    }

    /// Who is bound to a role by the bindings of one place, empty for the cluster, with the names of those bindings.
    pub fn bound_to(&self, role: RoleName<'_>, place: &str) -> Vec<(&'r str, &[Id])> {
        let Some(position) = self.role(role) else {
            return Vec::new();
        };
        let bound = self.roles[position as usize].bound.iter();
        bound
            .map(|bound| &self.bound[*bound as usize])
            .filter(|bound| bound.binding.namespace == place)
            .map(|bound| (bound.binding.name, bound.subjects.as_slice()))
            .collect()
    }

    /// Whether the rules of a role are those of others, by their labels.
    pub fn is_aggregated(&self, role: RoleName<'_>) -> bool {
        self.rbac.is_aggregated(role)
    }

    /// The binding of a grant.
    pub fn binding(&self, grant: Grant) -> Binding<'r> {
        self.bound[grant.bound as usize].binding
    }

    /// The role that is bound.
    pub fn bound_role(&self, grant: Grant) -> RoleName<'r> {
        self.roles[self.bound[grant.bound as usize].role as usize].name
    }

    /// The rule of a grant, which for an aggregated role stands in another.
    pub fn rule(&self, grant: Grant) -> EffectiveRule<'r> {
        self.roles[self.bound[grant.bound as usize].role as usize].rules[grant.rule as usize]
    }
}

fn is_on(rule: EffectiveRule<'_>, on: On<'_>) -> bool {
    match on {
        On::Some => true,
        On::Every => rule.rule.resource_names.as_deref().unwrap_or_default().is_empty(),
        On::Named(name) => covers_name(rule.rule, name),
    }
}

/// Adds what is not there yet.
pub(super) fn merge(into: &mut Vec<Grant>, from: &[Grant]) {
    for grant in from {
        if !into.contains(grant) {
            into.push(*grant);
        }
    }
}

/// The group that the API server lets do everything.
pub(super) fn administrators() -> Subject {
    Subject::Group(PRIVILEGED_GROUP.to_owned())
}

/// The groups that the API server puts a subject into; those of people only the one who authenticates them knows.
fn groups(subject: &Subject) -> Vec<String> {
    const ACCOUNTS: &str = "system:serviceaccounts";
    const EVERYBODY: &str = "system:authenticated";
    let all = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect();
    match subject {
        Subject::ServiceAccount { namespace, .. } => all(&[&format!("{ACCOUNTS}:{namespace}"), ACCOUNTS, EVERYBODY]),
        Subject::Group(name) if name == EVERYBODY || name == "system:unauthenticated" => Vec::new(),
        Subject::Group(name) if name.starts_with("system:serviceaccounts:") => all(&[ACCOUNTS, EVERYBODY]),
        Subject::User(name) if name == "system:anonymous" => all(&["system:unauthenticated"]),
        Subject::Group(_) | Subject::User(_) => all(&[EVERYBODY]),
    }
}

/// A subject of a binding; a service account may be named as a user.
fn read(subject: &k8s_openapi::api::rbac::v1::Subject, namespace: &str) -> Option<Subject> {
    match subject.kind.as_str() {
        "User" => Subject::user(&subject.name)
            .or_else(|_| Ok::<_, ()>(Subject::User(subject.name.clone())))
            .ok(),
        "Group" => Some(Subject::Group(subject.name.clone())),
        "ServiceAccount" => {
            let own = account_namespace(subject, namespace);
            (!own.is_empty()).then(|| Subject::ServiceAccount {
                namespace: own.to_owned(),
                name: subject.name.clone(),
            })
        }
        _ => None,
    }
}

fn bound_role<'r>(binding: &Binding<'r>) -> RoleName<'r> {
    RoleName {
        namespace: if binding.role.kind == "Role" {
            binding.namespace
        } else {
            ""
        },
        name: &binding.role.name,
    }
}

/// There are never as many objects as would not fit.
fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
