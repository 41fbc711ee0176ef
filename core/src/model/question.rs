//! [`Question`] and [`Answer`]: what the rules have to know beyond the snapshot. The core asks in values; a driver
//! answers them from the live cluster or from manifests, so that both decide the same.

use std::fmt;
use std::sync::Arc;

use super::questions::Questions;
use super::{
    ControllerReference, Isolate, Isolated, Mode, Namespace, NamespaceName, Permission, Running, Target, Timestamp,
};
use crate::netpol::Policy;

/// Something that a decision has to know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// May they? Answered by a SubjectAccessReview.
    Allowed(Who, Permission),
    /// The namespace as it stands now: a read that began after the review arrived.
    Namespace(NamespaceName),
    /// The owner of an object, with the template it makes pods from, as it stands now.
    Owner(ObjectReference),
    /// The pods that a connection reaches, as they stand now.
    Reached(Target),
    /// Every object of this resource in a namespace, each with the template it makes pods from, as they stand now. The
    /// reference's name is empty.
    Templates(ObjectReference),
    /// What runs in this namespace, or would by a template there, as it stands now.
    Running(NamespaceName),
    /// Whether the policies of this namespace's profile stand, each as it is in the profile: a read that began after the
    /// review arrived.
    Isolated(NamespaceName, Isolate),
    /// The NetworkPolicies of a namespace: a read that began after the review arrived. A watch would not do: of a deleted
    /// collection all go before it tells of the first.
    Policies(NamespaceName),
}

/// As whom a permission is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// As the request's own identity, whole.
    Requester,
    /// As this user, member of `system:authenticated` alone: a delegate's second review.
    User(String),
}

/// A built-in object by reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectReference {
    /// API group, empty for the core group.
    pub group: String,
    /// API version, e.g. `v1`.
    pub version: String,
    /// Plural resource, e.g. `replicasets`.
    pub resource: String,
    /// JSON pointer to the template, e.g. `/spec/template`.
    pub template: String,
    /// Namespace of the object.
    pub namespace: NamespaceName,
    /// Name of the object.
    pub name: String,
}

/// An owner as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// The object's uid.
    pub uid: String,
    /// Its own controller, from the one ownerReference with `controller: true`; none where it has none.
    pub controller: Option<ControllerReference<'static>>,
    /// When it was made; none where nobody says.
    pub created: Option<Timestamp>,
    /// When its templates were last written, at the latest; none where nobody says.
    pub written: Option<Timestamp>,
    /// The templates it makes pods from: one, or for custom kinds any number; none where it has none.
    pub templates: Vec<OwnedTemplate>,
}

impl Owner {
    /// The uid of its own controller; empty where it has none.
    pub fn controller_uid(&self) -> &str {
        self.controller.as_ref().map_or("", |controller| &controller.uid)
    }
}

/// A template of an [`Owner`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnedTemplate {
    /// Its labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// The images of its containers and init containers, by container name.
    pub images: Vec<(String, String)>,
}

/// A pod that a connection reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachedPod {
    /// Its namespace.
    pub namespace: NamespaceName,
    /// Its name.
    pub name: String,
    /// Its labels, sorted by key.
    pub labels: Vec<(String, String)>,
}

/// What is known about a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Allowed`]: true only where an authorizer said `allowed: true`.
    Allowed(bool),
    /// To [`Question::Namespace`]: none where it does not exist.
    Namespace(Option<Namespace>),
    /// To [`Question::Owner`]: none where it does not exist.
    Owner(Option<Owner>),
    /// To [`Question::Reached`]; empty where nothing is there to be reached.
    Reached(Vec<ReachedPod>),
    /// To [`Question::Templates`].
    Templates(Vec<Owner>),
    /// To [`Question::Running`]; each kind of pod once.
    Running(Vec<Running>),
    /// To [`Question::Isolated`].
    Isolated(Isolated),
    /// To [`Question::Policies`]: which pods each holds, in which directions; perhaps without what it lets pass. Without
    /// those that are being deleted, which finalizers alone still hold up, and without what cannot be read.
    Policies(Vec<Arc<Policy>>),
    /// It could not be answered; the text says why. Never read as a yes.
    Failed(String),
}

impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(Who::Requester, permission) => write!(formatter, "may they {permission}"),
            Self::Allowed(Who::User(user), permission) => {
                write!(formatter, "may {user} {permission}")
            }
            Self::Namespace(name) => write!(formatter, "read namespace {name}"),
            Self::Owner(owner) => {
                write!(formatter, "read {} {}/{}", owner.resource, owner.namespace, owner.name)
            }
            Self::Reached(target) => write!(formatter, "read {target}"),
            Self::Templates(owner) => write!(formatter, "list {} of {}", owner.resource, owner.namespace),
            Self::Running(namespace) => write!(formatter, "list what runs in {namespace}"),
            Self::Isolated(namespace, Isolate::Apply) => write!(formatter, "isolate namespace {namespace}"),
            Self::Policies(namespace) => write!(formatter, "list the NetworkPolicies of {namespace}"),
            Self::Isolated(namespace, Isolate::Look) => {
                write!(formatter, "look whether namespace {namespace} is isolated")
            }
        }
    }
}

/// A question with the strongest mode that hangs on it: what can only be recorded or said must not wait as long as what
/// may be denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What has to be known.
    pub question: Question,
    /// The strongest mode of a rule that waits for it.
    pub mode: Mode,
}

/// The answers so far of one decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(Questions<Answer>);

impl Answers {
    /// No answers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The answer to a question, if it has been given.
    pub fn get(&self, question: &Question) -> Option<&Answer> {
        self.0.get(question)
    }

    /// Adds an answer; the first one given to a question stands.
    pub fn insert(&mut self, question: Question, answer: Answer) {
        self.0.entry(question, answer);
    }
}
