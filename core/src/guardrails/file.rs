//! [`FileContents`]: what a file on disk holds: guardrails as they are, a ConfigMap with guardrails in its keys, or
//! something else that happens to lie in the same folder.

use super::documents::API_VERSION;
use super::problem::Source;
use super::yaml::{self, Node};
use crate::model::GROUP;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContents {
    /// Documents of ringfence, or text of which only [`super::compile`] can say what is wrong with it.
    Guardrails(Source),
    /// ConfigMaps, with a source for each `*.yaml` key.
    ConfigMaps(Vec<ConfigMap>),
    /// Only objects of other kinds, e.g. `Deployment`.
    Others(Vec<String>),
}

/// A ConfigMap in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMap {
    /// `metadata.name`.
    pub name: String,
    /// The `*.yaml` keys, each named `FILE[KEY]`; places are counted within the key.
    pub sources: Vec<Source>,
}

impl FileContents {
    /// Takes the file's text and its name as problems shall call it.
    pub fn of(name: &str, text: &str) -> Self {
        let source = || {
            Self::Guardrails(Source {
                name: name.to_owned(),
                text: text.to_owned(),
            })
        };
        let Ok(documents) = yaml::documents(text) else {
            return source();
        };
        let is_ours = |document: &Node| {
            let version = document.get("apiVersion").and_then(Node::text).unwrap_or(API_VERSION);
            version.split('/').next() == Some(GROUP) || document.get("kind").is_none()
        };
        if documents.iter().any(is_ours) {
            return source();
        }
        let maps: Vec<ConfigMap> = documents
            .iter()
            .filter(|document| kind(document) == "ConfigMap")
            .map(|document| config_map(name, document))
            .collect();
        if maps.is_empty() {
            Self::Others(documents.iter().map(|document| kind(document).to_owned()).collect())
        } else {
            Self::ConfigMaps(maps)
        }
    }
}

/// Whether a key of the ConfigMap is read: `*.yaml`.
pub fn is_source_key(key: &str) -> bool {
    key.rsplit_once('.').is_some_and(|(_, extension)| extension == "yaml")
}

fn kind(document: &Node) -> &str {
    document.get("kind").and_then(Node::text).unwrap_or_default()
}

fn config_map(file: &str, document: &Node) -> ConfigMap {
    let name = document
        .get("metadata")
        .and_then(|metadata| metadata.get("name"))
        .and_then(Node::text)
        .unwrap_or_default();
    let source = |key: &str, text: &str| Source {
        name: format!("{file}[{key}]"),
        text: text.to_owned(),
    };
    let entries = document.get("data").map_or(&[][..], Node::entries).iter();
    ConfigMap {
        name: name.to_owned(),
        sources: entries
            .filter(|entry| is_source_key(&entry.key))
            .filter_map(|entry| Some(source(&entry.key, entry.value.text()?)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARDRAILS: &str = "apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\n";

    #[rstest::rstest]
    #[case::guardrails(GUARDRAILS)]
    #[case::broken("a: [")]
    #[case::without_kind("metadata: {name: a}\n")]
    #[case::mixed("apiVersion: v1\nkind: Namespace\n---\napiVersion: ringfence.dev/v1alpha1\nkind: Segment\n")]
    #[case::not_a_mapping("- a\n")]
    fn what_may_be_meant_as_guardrails_is_compiled(#[case] text: &str) {
        let source = Source {
            name: "a.yaml".to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(FileContents::of("a.yaml", text), FileContents::Guardrails(source));
    }

    #[test]
    fn config_maps_are_unwrapped() {
        let text = format!(
            "apiVersion: v1\nkind: Namespace\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata:\n  \
             b.yaml: |\n    {}\n  notes.txt: x\n  a.yaml: \"\"\n",
            GUARDRAILS.trim_end().replace('\n', "\n    ")
        );
        let source = |key: &str, text: &str| Source {
            name: format!("f.yaml[{key}]"),
            text: text.to_owned(),
        };
        let map = ConfigMap {
            name: "m".to_owned(),
            sources: vec![source("b.yaml", GUARDRAILS), source("a.yaml", "")],
        };
        assert_eq!(FileContents::of("f.yaml", &text), FileContents::ConfigMaps(vec![map]));
    }

    #[test]
    fn other_kinds_are_named() {
        let text = "apiVersion: v1\nkind: Namespace\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n";
        let kinds = ["Namespace", "Role"].map(str::to_owned).to_vec();
        assert_eq!(FileContents::of("f.yaml", text), FileContents::Others(kinds));
        assert_eq!(
            FileContents::of("f.yaml", "# nothing\n"),
            FileContents::Others(Vec::new())
        );
    }
}
