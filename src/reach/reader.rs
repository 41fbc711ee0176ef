//! [`Reader`]: the fields of one object, each read or refused where it stands.

use std::fmt::Display;
use std::net::IpAddr;

use ringfence_core::labels::{check_key, check_value};
use ringfence_core::netpol::{NamedPort, NetworkPolicySpec, Protocol};
use serde_json::{Map, Value};

use super::facts::{Controller, LabelMap, Pod};
use super::objects::Object;
use super::origin::Origin;
use crate::answer::offline::Problem;

/// One object being read.
pub(super) struct Reader<'a> {
    /// All of it.
    pub(super) object: &'a Object,
    /// Its kind.
    pub(super) kind: &'a str,
    /// Its name; empty where it has none.
    pub(super) name: &'a str,
}

type Path<'p> = &'p [&'p str];

impl Reader<'_> {
    pub(super) fn wrong(&self, path: Path<'_>, message: impl Display) -> Problem {
        let place = plain(&path.join("."));
        let separator = if place.is_empty() { "" } else { ": " };
        self.origin()
            .problem(path, format!("{}: {place}{separator}{message}", self.subject()))
    }

    /// The object as people call it, as far as it says.
    fn subject(&self) -> String {
        let namespace = self.at(&["metadata", "namespace"]).and_then(Value::as_str);
        match (namespace, self.name) {
            (_, "") => self.kind.to_owned(),
            (None, name) => format!("{} {name}", self.kind),
            (Some(namespace), name) => format!("{} {namespace}/{name}", self.kind),
        }
    }

    pub(super) fn unserved(&self, written: &str, meant: &str) -> Problem {
        let message = format!("{written} has no {}: write apiVersion: {meant}", self.kind);
        self.wrong(&["apiVersion"], message)
    }

    fn origin(&self) -> &Origin {
        &self.object.origin
    }

    fn at(&self, path: Path<'_>) -> Option<&Value> {
        let found = path.iter().try_fold(&self.object.value, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            value => value.get(key),
        });
        found.filter(|value| !value.is_null())
    }

    /// A field of its metadata, none where it is absent or empty.
    pub(super) fn metadata(&self, key: &str) -> Result<Option<&str>, Problem> {
        match self.at(&["metadata", key]) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            // YAML 1.1, as kubectl reads it: a bare `on` is true.
            Some(other) => Err(self.wrong(&["metadata", key], format!("{other} is no text; put it in quotes"))),
        }
    }

    /// Its name, or the beginning of one that is generated.
    pub(super) fn named(&self) -> Result<String, Problem> {
        match (self.metadata("name")?, self.metadata("generateName")?) {
            (Some(name), _) => Ok(name.to_owned()),
            (None, Some(beginning)) if self.kind != "NetworkPolicy" => Ok(format!("{beginning}*")),
            (None, _) => Err(self.wrong(&["metadata"], "it has no name; give it one")),
        }
    }

    pub(super) fn controller(&self) -> Option<Controller> {
        let owners = self.at(&["metadata", "ownerReferences"])?.as_array()?;
        let owner = owners
            .iter()
            .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
        let text = |key: &str| owner.get(key).and_then(Value::as_str);
        // A mirror pod is owned by its node, which made it of a file.
        let kind = text("kind").filter(|kind| *kind != "Node")?;
        Some(Controller {
            kind: kind.to_owned(),
            name: text("name")?.to_owned(),
        })
    }

    pub(super) fn labels(&self, path: Path<'_>) -> Result<LabelMap, Problem> {
        let Some(labels) = self.at(path) else {
            return Ok(LabelMap::new());
        };
        let labels = labels
            .as_object()
            .ok_or_else(|| self.wrong(path, "labels are a mapping of words to words"))?;
        let label = |(key, value): (&String, &Value)| {
            let place: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
            let wrong = |error: &dyn ToString| self.wrong(&place, error.to_string());
            let value = match value {
                Value::String(value) => value.clone(),
                Value::Null => String::new(),
                other => return Err(wrong(&format!("{other} is no text; put it in quotes"))),
            };
            check_key(key).map_err(|error| wrong(&error))?;
            check_value(&value).map_err(|error| wrong(&error))?;
            Ok((key.clone(), value))
        };
        labels.iter().map(label).collect()
    }

    /// The pods of a template, or of a list of templates.
    pub(super) fn templates(&self, path: Path<'_>) -> Result<Vec<Pod>, Problem> {
        match self.at(path) {
            None => Ok(Vec::new()),
            Some(Value::Array(templates)) => {
                let one = |position: usize| {
                    let position = position.to_string();
                    let path: Vec<&str> = path.iter().copied().chain([position.as_str()]).collect();
                    self.pod(&path)
                };
                (0..templates.len()).map(one).collect()
            }
            Some(_) => Ok(vec![self.pod(path)?]),
        }
    }

    /// The pod, or template of one, at this path.
    pub(super) fn pod(&self, path: Path<'_>) -> Result<Pod, Problem> {
        let below = |keys: Path<'_>| {
            [path, keys]
                .concat()
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<String>>()
        };
        let value = |keys: Path<'_>| {
            let path = below(keys);
            self.at(&path.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let labels = below(&["metadata", "labels"]);
        let mut ports = Vec::new();
        for list in ["containers", "initContainers"] {
            let count = value(&["spec", list]).and_then(Value::as_array).map_or(0, Vec::len);
            for position in 0..count {
                let position = position.to_string();
                let path = below(&["spec", list, &position]);
                self.ports(list, &path.iter().map(String::as_str).collect::<Vec<_>>(), &mut ports)?;
            }
        }
        Ok(Pod {
            labels: self.labels(&labels.iter().map(String::as_str).collect::<Vec<_>>())?,
            ports,
            host_network: value(&["spec", "hostNetwork"]).and_then(Value::as_bool) == Some(true),
            addresses: self.addresses(),
            count: 1,
        })
    }

    /// The named ports of a container. Of the init containers, those that go on beside the others.
    fn ports(&self, list: &str, path: Path<'_>, ports: &mut Vec<NamedPort>) -> Result<(), Problem> {
        let container = self.at(path).and_then(Value::as_object);
        let text = |fields: Option<&Map<String, Value>>, key: &str| {
            fields
                .and_then(|fields| fields.get(key))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        if list == "initContainers" && text(container, "restartPolicy").as_deref() != Some("Always") {
            return Ok(());
        }
        let listed = container
            .and_then(|container| container.get("ports"))
            .and_then(Value::as_array);
        for (position, port) in listed.into_iter().flatten().enumerate() {
            let position = position.to_string();
            let place = |key: &'static str| [path, &["ports", position.as_str(), key]].concat();
            let Some(name) = text(port.as_object(), "name").filter(|name| !name.is_empty()) else {
                continue;
            };
            let name = name.into();
            let protocol = match text(port.as_object(), "protocol").as_deref() {
                None | Some("TCP" | "") => Protocol::Tcp,
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                Some(other) => {
                    let message = format!("{other:?} is no protocol: use TCP, UDP or SCTP");
                    return Err(self.wrong(&place("protocol"), message));
                }
            };
            let number = port.get("containerPort").and_then(Value::as_u64);
            let number = number
                .and_then(|number| u16::try_from(number).ok())
                .filter(|number| *number > 0);
            let number =
                number.ok_or_else(|| self.wrong(&place("containerPort"), "a port is a number from 1 to 65535"))?;
            ports.push(NamedPort { name, protocol, number });
        }
        Ok(())
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let listed = self.at(&["status", "podIPs"]).and_then(Value::as_array);
        let mut addresses: Vec<IpAddr> = listed
            .into_iter()
            .flatten()
            .filter_map(|address| address.get("ip"))
            .chain(self.at(&["status", "podIP"]))
            .filter_map(|address| address.as_str()?.parse().ok())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// How many pods it asks for. While one replaces another there are two, and as many as there are nodes of a DaemonSet.
    pub(super) fn replicas(&self) -> u32 {
        let written = [&["spec", "replicas"], &["spec", "parallelism"]]
            .into_iter()
            .find_map(|path| self.at(path).and_then(Value::as_u64));
        written
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default()
            .max(2)
    }

    pub(super) fn is_active(&self) -> bool {
        let conditions = self.at(&["status", "conditions"]).and_then(Value::as_array);
        let finished = conditions.into_iter().flatten().any(|condition| {
            let text = |key: &str| condition.get(key).and_then(Value::as_str);
            matches!(text("type"), Some("Complete" | "Failed")) && text("status") == Some("True")
        });
        match self.kind {
            "Job" => !finished,
            // What a rollout leaves behind, to go back to.
            "ReplicaSet" => {
                self.controller().is_none() || self.at(&["spec", "replicas"]).and_then(Value::as_i64) != Some(0)
            }
            _ => true,
        }
    }

    /// The spec as kubectl has the API server decode it: strictly.
    pub(super) fn policy(&self) -> Result<NetworkPolicySpec, Problem> {
        for (path, known) in [(&[][..], &FIELDS[..]), (&["metadata"][..], &METADATA[..])] {
            let fields = if path.is_empty() {
                Some(&self.object.value)
            } else {
                self.at(path)
            };
            for key in fields.and_then(Value::as_object).into_iter().flat_map(Map::keys) {
                if !known.contains(&key.as_str()) {
                    return Err(self.wrong(&[path, &[key.as_str()]].concat(), UNKNOWN));
                }
            }
        }
        let Some(spec) = self.at(&["spec"]) else {
            return Ok(NetworkPolicySpec::default());
        };
        let mut track = serde_path_to_error::Track::new();
        let mut unknown = None;
        let tracked = serde_path_to_error::Deserializer::new(spec, &mut track);
        let result = serde_ignored::deserialize(tracked, |path| {
            unknown.get_or_insert_with(|| path.to_string());
        });
        let spec = result.map_err(|error: serde_json::Error| {
            let error = error.to_string();
            let message = if error.contains("PortNumberOrName") {
                "a port is a number or a name".to_owned()
            } else if error.ends_with("expected a string") {
                error + "; put it in quotes"
            } else {
                error
            };
            self.wrong_in_spec(&track.path().to_string(), message)
        })?;
        match unknown {
            None => Ok(spec),
            Some(path) => Err(self.wrong_in_spec(&path, UNKNOWN)),
        }
    }

    fn wrong_in_spec(&self, path: &str, message: impl Display) -> Problem {
        let path = format!("spec.{path}");
        let message = format!("{}: {}: {message}", self.subject(), plain(&path));
        self.origin().problem(&segments(&path), message)
    }
}

/// Whether a text is still to be filled in by Helm, Jinja or their like.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Why a template is skipped.
pub(super) const TEMPLATE: &str = "it is a template; render it first, e.g. by helm template";

const UNKNOWN: &str = "unknown field; check its spelling";

/// The fields of a NetworkPolicy; its status was there for a while.
const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// The fields of an ObjectMeta; the last two have been there in older versions.
const METADATA: [&str; 17] = [
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "clusterName",
    "initializers",
];

/// The keys and positions of a path such as `spec.ingress[0].from`.
pub(super) fn segments(path: &str) -> Vec<&str> {
    path.split(['.', '[', ']'])
        .filter(|segment| !segment.is_empty() && *segment != "?")
        .collect()
}

/// The same with positions in brackets, as the API server writes them.
fn plain(path: &str) -> String {
    let mut text = String::new();
    for segment in segments(path) {
        if segment.bytes().all(|byte| byte.is_ascii_digit()) {
            text += &format!("[{segment}]");
        } else {
            text += if text.is_empty() { "" } else { "." };
            text += segment;
        }
    }
    text
}
