//! [`Fact`]: what one object says of who reaches whom. Refuses what the API server would refuse of what it reads, with the
//! field; reads nothing else, so that what is wrong elsewhere in a manifest stands in nobody's way here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{NamedPort, NetworkPolicySpec};
use serde_json::Value;

use super::kinds::{WorkloadKinds, is_unread_policy, meant_version};
use super::objects::Object;
use super::reader::{Reader, TEMPLATE, is_template};
use crate::answer::offline::Problem;

/// Labels of an object.
pub(super) type LabelMap = BTreeMap<String, String>;

/// What an object says.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    /// A namespace and its labels.
    Namespace(String, LabelMap),
    /// A NetworkPolicy.
    Policy(Identity, Box<NetworkPolicySpec>, Served),
    /// A pod.
    Pod {
        /// Which.
        identity: Identity,
        /// What made it.
        controller: Option<Controller>,
        /// What it is; none for one that has completed.
        pod: Option<Pod>,
    },
    /// Something that makes pods.
    Workload(Workload),
    /// A policy of a kind that is not read.
    Unread {
        /// Its kind and group.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Something that should be known of how it is written.
    Noted(Problem),
    /// Something of Kubernetes that says nothing here.
    Silent,
    /// No object of Kubernetes at all, and why not.
    Stranger(String),
}

/// Whether API servers still serve what something is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// They do.
    Today,
    /// They did, with the same meaning.
    Formerly,
}

/// Which object, within its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The owner that is marked as the controller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Controller {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Something that makes pods.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    /// Which.
    pub identity: Identity,
    /// Its kind.
    pub kind: String,
    /// What made it.
    pub controller: Option<Controller>,
    /// The pods that it makes.
    pub templates: Vec<Pod>,
    /// Whether it makes pods: not once a Job has finished or a ReplicaSet is scaled to nothing.
    pub active: bool,
}

/// What is read of a pod or a template of pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Its labels.
    pub labels: LabelMap,
    /// The ports that have names, in the order of the containers.
    pub ports: Vec<NamedPort>,
    /// Whether it is in the network of its node.
    pub host_network: bool,
    /// The addresses in its status.
    pub addresses: Vec<IpAddr>,
    /// How many pods these are, at least: of a template, as many as it asks for, and no less than two.
    pub count: u32,
}

/// Whether the addresses of pods matter to who reaches them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Only those of nodes do.
    #[default]
    TellNothing,
    /// ipBlocks match pods by them.
    TellPodsApart,
}

/// How objects are to be read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The kinds that make pods.
    pub kinds: WorkloadKinds,
    /// Where objects are that name no namespace.
    pub namespace: String,
    /// Whether pods that differ in their addresses alone are alike.
    pub addresses: Addresses,
}

impl Reading {
    /// What an object says.
    pub(super) fn read(&self, object: &Object) -> Result<Fact, Problem> {
        let text = |key: &str| {
            object
                .value
                .get(key)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            let why = match (object.value.is_object(), text("apiVersion")) {
                (false, _) => "it is no mapping",
                (true, None) => "it has no apiVersion",
                (true, Some(_)) => "it has no kind",
            };
            return Ok(Fact::Stranger(why.to_owned()));
        };
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let metadata = object.value.get("metadata");
        let in_metadata = |key: &str| metadata.and_then(|metadata| metadata.get(key)).and_then(Value::as_str);
        let name = in_metadata("name").unwrap_or_default();
        let reader = Reader { object, kind, name };
        if [Some(name), in_metadata("namespace")]
            .into_iter()
            .flatten()
            .any(is_template)
        {
            return Ok(Fact::Stranger(TEMPLATE.to_owned()));
        }
        match (group, kind) {
            ("", "Namespace") => {
                let name = reader.named()?;
                NamespaceName::new(&name).map_err(|error| reader.wrong(&["metadata", "name"], error))?;
                Ok(Fact::Namespace(name, reader.labels(&["metadata", "labels"])?))
            }
            ("networking.k8s.io" | "extensions", "NetworkPolicy") => {
                let served = match api_version {
                    "networking.k8s.io/v1" => Served::Today,
                    "extensions/v1beta1" => Served::Formerly,
                    _ => return Err(reader.unserved(api_version, "networking.k8s.io/v1")),
                };
                let identity = self.identity(&reader)?;
                reader.labels(&["metadata", "labels"])?;
                Ok(Fact::Policy(identity, Box::new(reader.policy()?), served))
            }
            ("", "Pod") => {
                let phase = object.value.pointer("/status/phase").and_then(Value::as_str);
                let completed = matches!(phase, Some("Succeeded" | "Failed"));
                Ok(Fact::Pod {
                    identity: self.identity(&reader)?,
                    controller: reader.controller(),
                    pod: if completed { None } else { Some(reader.pod(&[])?) },
                })
            }
            _ => match self.kinds.find(group, kind) {
                Some(known) => {
                    let template: Vec<&str> = known.template.iter().map(String::as_str).collect();
                    let mut templates = reader.templates(&template)?;
                    for pod in &mut templates {
                        pod.count = reader.replicas();
                    }
                    Ok(Fact::Workload(Workload {
                        identity: self.identity(&reader)?,
                        kind: kind.to_owned(),
                        controller: reader.controller(),
                        templates,
                        active: reader.is_active(),
                    }))
                }
                None if is_unread_policy(group, kind) => Ok(Fact::Unread {
                    kind: format!("{kind} ({group})"),
                    name: name.to_owned(),
                }),
                None => match meant_version(group, kind) {
                    Some(meant) => Err(reader.unserved(api_version, meant)),
                    None => Ok(Fact::Silent),
                },
            },
        }
    }

    fn identity(&self, reader: &Reader<'_>) -> Result<Identity, Problem> {
        let namespace = reader.metadata("namespace")?.unwrap_or(&self.namespace);
        NamespaceName::new(namespace).map_err(|error| reader.wrong(&["metadata", "namespace"], error))?;
        Ok(Identity {
            namespace: namespace.to_owned(),
            name: reader.named()?,
        })
    }
}
