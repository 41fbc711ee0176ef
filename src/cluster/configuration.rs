//! Our ConfigMap as written ([`Written`]), and what stands of it ([`Standing`]): which configuration is in force, and what
//! is wrong with the one in the cluster where that is another.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::Resource;
use ringfence_core::guardrails::{Compiled, Guardrails, Notice, Problems, Source, compile};

pub(super) use crate::manifests::names::{GUARDRAILS, LAST_GOOD};

/// The end of the keys that are read.
const EXTENSION: &str = ".yaml";

/// The ConfigMap as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// The keys that are read, sorted by name.
    pub(crate) sources: Vec<Source>,
    /// What to say of the keys that nobody reads.
    pub(super) ignored: Vec<String>,
    /// For Events. Without a resource version, so that nothing is written anew for a change of metadata alone.
    pub(super) reference: ObjectReference,
}

impl Written {
    /// What is read of the ConfigMap.
    pub(crate) fn of(object: &ConfigMap) -> Self {
        let mut reference = object.object_ref(&());
        reference.resource_version = None;
        let keys = object.data.iter().flat_map(BTreeMap::keys);
        let binary = object.binary_data.iter().flat_map(BTreeMap::keys);
        Self {
            sources: object.data.as_ref().map(sources).unwrap_or_default(),
            ignored: ignored(keys, binary),
            reference,
        }
    }
}

/// The keys of a ConfigMap that are read, sorted by name.
pub(super) fn sources(data: &BTreeMap<String, String>) -> Vec<Source> {
    data.iter()
        .filter(|(key, _)| key.ends_with(EXTENSION))
        .map(|(key, text)| Source {
            name: key.clone(),
            text: text.clone(),
        })
        .collect()
}

/// What to say of each key of a ConfigMap that nobody reads, most likely by mistake.
pub(super) fn ignored<'a>(
    keys: impl Iterator<Item = &'a String>,
    binary: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    keys.filter(|key| !key.ends_with(EXTENSION))
        .chain(binary)
        .map(|key| format!("key {key} is ignored: only *.yaml keys are read"))
        .collect()
}

/// A configuration that is in force.
#[derive(Debug)]
pub(crate) struct InForce {
    /// As it was written.
    pub(crate) sources: Vec<Source>,
    /// As it is decided by.
    pub(crate) guardrails: Arc<Guardrails>,
    /// What should be known about it, e.g. what it asks for that does not hold yet.
    pub(super) notices: Vec<Notice>,
}

impl InForce {
    /// Compiles what was written.
    pub(super) fn new(sources: Vec<Source>) -> Result<Self, Problems> {
        let Compiled { guardrails, notices } = compile(&sources)?;
        Ok(Self {
            sources,
            guardrails: Arc::new(guardrails),
            notices,
        })
    }
}

/// The most bytes of the text of problems: a line of YAML may be as long as the ConfigMap, an object's status may not.
const PROBLEMS: usize = 16 * 1024;

/// Compiles away from the threads that answer reviews: 1,000 segments take a while. The error is the one text of problems.
pub(crate) async fn compiled(sources: Vec<Source>) -> Result<InForce, String> {
    let compiling = tokio::task::spawn_blocking(move || {
        InForce::new(sources).map_err(|problems| shortened(&problems.to_string(), PROBLEMS))
    });
    compiling
        .await
        .unwrap_or_else(|error| Err(format!("it could not be compiled; please report this: {error}")))
}

/// A text of at most so many bytes; where it is longer, its last line tells so.
pub(super) fn shortened(text: &str, bytes: usize) -> String {
    const MORE: &str = "\n...";
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes.saturating_sub(MORE.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MORE}", &text[..end])
}

/// Why what stands in the cluster is not in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no ConfigMap.
    Missing,
    /// It is invalid; the text says where and why.
    Invalid(String),
}

/// Which configuration is in force, and what is wrong with the one in the cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// The one in force; none: not ready.
    pub(super) in_force: Option<Arc<InForce>>,
    /// Why that is not what stands in the cluster; none where it is.
    pub(super) trouble: Option<Trouble>,
    /// The ConfigMap, or where it would stand.
    pub(super) reference: ObjectReference,
}

impl Standing {
    /// What is wrong, in words that end by saying what holds meanwhile; none where all is well.
    pub(super) fn complaint(&self) -> Option<String> {
        let what = match self.trouble.as_ref()? {
            Trouble::Missing => format!("ConfigMap {GUARDRAILS} is missing"),
            Trouble::Invalid(problems) => format!("ConfigMap {GUARDRAILS} is invalid: {problems}"),
        };
        let meanwhile = match &self.in_force {
            Some(in_force) => format!("revision {} stays in force", in_force.guardrails.revision),
            None => "there is no last good one, so ringfence is not ready".to_owned(),
        };
        Some(format!("{}\n{meanwhile}", what.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn problems_of_an_endless_line_are_told_in_bounds() {
        let sources = vec![Source {
            name: "a.yaml".to_owned(),
            text: format!("kind: {}", "ä".repeat(300_000)),
        }];
        let problems = compiled(sources).await.expect_err("no such kind");
        assert!(problems.len() <= PROBLEMS, "{}", problems.len());
    }

    #[test]
    fn only_keys_that_end_in_yaml_are_read() {
        let key = |key: &str| (key.to_owned(), String::new());
        let data: BTreeMap<String, String> = [key("b.yaml"), key("a.yaml"), key("c.yml"), key("notes")].into();
        let names: Vec<String> = sources(&data).into_iter().map(|source| source.name).collect();
        assert_eq!(names, ["a.yaml", "b.yaml"]);
        assert_eq!(
            ignored(data.keys(), [String::from("d.yaml")].iter()),
            [
                "key c.yml is ignored: only *.yaml keys are read",
                "key notes is ignored: only *.yaml keys are read",
                "key d.yaml is ignored: only *.yaml keys are read",
            ]
        );
    }
}
