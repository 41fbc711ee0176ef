//! [`Request`]: one admission request, reduced to what rules read.

use std::borrow::Cow;
use std::fmt;

use super::{Identity, NamespaceName, Placement, PolicyWrite};
use crate::labels::Labels;

/// One admission request. Borrows from the body of the AdmissionReview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The request's uid, to be echoed.
    pub uid: Cow<'a, str>,
    /// Who asked.
    pub identity: Identity<'a>,
    /// What is done.
    pub operation: Operation,
    /// API group of the resource, empty for the core group.
    pub group: Cow<'a, str>,
    /// API version of the resource.
    pub version: Cow<'a, str>,
    /// Plural resource.
    pub resource: Cow<'a, str>,
    /// Subresource, empty where there is none.
    pub subresource: Cow<'a, str>,
    /// Whether nothing will be persisted.
    pub dry_run: bool,
    /// What is written, for messages and records.
    pub subject: Subject<'a>,
    /// What the request means; empty where no rule judges any of it.
    pub actions: Vec<Action<'a>>,
}

/// What is written, as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The kind in words, e.g. `pod`, `Deployment`.
    pub kind: Cow<'a, str>,
    /// Namespace of the object; the object's own name for a Namespace, empty for other cluster-scoped ones.
    pub namespace: Cow<'a, str>,
    /// Name of the object; where only generateName is given, that with `*` appended.
    pub name: Cow<'a, str>,
    /// Name or uid of the owner by which records are grouped: the controller's, else the object's own.
    pub group_key: Cow<'a, str>,
}

impl fmt::Display for Subject<'_> {
    /// `pod web/rogue`, `namespace payments`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind, namespace, name, ..
        } = self;
        if namespace.is_empty() || kind == "namespace" {
            write!(formatter, "{kind} {name}")
        } else {
            write!(formatter, "{kind} {namespace}/{name}")
        }
    }
}

/// The operation of an admission request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object, status and other subresources included.
    Update,
    /// A deleted object.
    Delete,
    /// A connection, e.g. exec.
    Connect,
}

impl Operation {
    /// As the AdmissionReview spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// One thing that a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Pods with these labels will run this, in the subject's namespace.
    Place(Placement<'a>),
    /// The pod that the subject names gets these labels beside its own.
    Overlay(Labels<'a>),
    /// Every StatefulSet and DaemonSet of the subject's namespace may come to run this under the labels it has: a
    /// ControllerRevision that is not a whole template is merged into theirs.
    Revise,
    /// The Deployment that the subject names returns to some ReplicaSet's template, written by its controller.
    RollBack {
        /// The Deployment's uid, empty on CREATE.
        uid: Cow<'a, str>,
    },
    /// A namespace comes to exist, with these labels.
    CreateNamespace(Labels<'a>),
    /// A namespace's labels change, and with them which clauses every pod in it matches.
    RelabelNamespace {
        /// The labels before.
        before: Labels<'a>,
        /// The labels after.
        after: Labels<'a>,
    },
    /// A policy comes, changes or goes, in the subject's namespace.
    WritePolicy(PolicyWrite<'a>),
    /// A connection into pods that run.
    Enter(Target),
    /// An ephemeral container in a pod with these labels.
    Debug(Labels<'a>),
}

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// One pod, reached by its kubelet: exec, attach, port-forward.
    Pod(NamespaceName, String),
    /// Whatever has the addresses in this pod's status: pods/proxy dials them.
    PodAddresses(NamespaceName, String),
    /// Whatever has the addresses in this service's EndpointSlices: services/proxy dials them.
    Service(NamespaceName, String),
    /// Every pod on this node: nodes/proxy reaches the kubelet's own exec.
    Node(String),
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(namespace, name) => write!(formatter, "pod {namespace}/{name}"),
            Self::PodAddresses(namespace, name) => write!(formatter, "the addresses of pod {namespace}/{name}"),
            Self::Service(namespace, name) => write!(formatter, "the endpoints of service {namespace}/{name}"),
            Self::Node(name) => write!(formatter, "the pods of node {name}"),
        }
    }
}
