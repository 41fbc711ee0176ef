//! [`FileContents`]: what a file on disk holds: guardrails as they are, a ConfigMap with guardrails in its keys, or
//! something else that happens to lie in the same folder.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Source;
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
    /// The keys that are not read.
    pub ignored: Vec<String>,
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
        let Some(heads) = documents::<Head>(text) else {
            return source();
        };
        if heads.iter().any(Head::may_be_ours) {
            return source();
        }
        let kinds: Vec<String> = heads.into_iter().filter_map(|head| head.kind).collect();
        if kinds.iter().all(|kind| kind != CONFIG_MAP) {
            return Self::Others(kinds);
        }
        // Read again for their data, which in other kinds is of any shape.
        documents::<Body>(text).map_or_else(source, |bodies| {
            Self::ConfigMaps(
                bodies
                    .into_iter()
                    .filter_map(|body| body.into_config_map(name))
                    .collect(),
            )
        })
    }
}

const CONFIG_MAP: &str = "ConfigMap";

/// Every document of a text but empty ones, as far as `T` reads them; none where one is otherwise.
fn documents<T: DeserializeOwned>(text: &str) -> Option<Vec<T>> {
    serde_saphyr::from_multiple(text).ok()
}

/// What tells documents apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<String>,
    kind: Option<String>,
}

impl Head {
    /// Whether only [`super::compile`] can say what is wrong with it.
    fn may_be_ours(&self) -> bool {
        let group = self.api_version.as_deref().map(|version| version.split('/').next());
        self.kind.is_none() || group.is_none_or(|group| group == Some(GROUP))
    }
}

#[derive(Deserialize)]
struct Body {
    kind: Option<String>,
    metadata: Option<Metadata>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Option<String>,
}

/// The data of a ConfigMap, or that of another kind.
#[derive(Deserialize)]
#[serde(untagged)]
enum Data {
    Texts(BTreeMap<String, String>),
    Other(serde::de::IgnoredAny),
}

impl Body {
    fn into_config_map(self, file: &str) -> Option<ConfigMap> {
        if self.kind.as_deref() != Some(CONFIG_MAP) {
            return None;
        }
        let texts = match self.data {
            Some(Data::Texts(texts)) => texts,
            Some(Data::Other(_)) | None => BTreeMap::new(),
        };
        let (read, ignored): (Vec<_>, Vec<_>) = texts.into_iter().partition(|(key, _)| is_source_key(key));
        let source = |(key, text): (String, String)| Source {
            name: format!("{file}[{key}]"),
            text,
        };
        Some(ConfigMap {
            name: self.metadata.and_then(|metadata| metadata.name).unwrap_or_default(),
            sources: read.into_iter().map(source).collect(),
            ignored: ignored.into_iter().map(|(key, _)| key).collect(),
        })
    }
}

/// Whether a key of the ConfigMap is read: `*.yaml`.
pub fn is_source_key(key: &str) -> bool {
    key.rsplit_once('.').is_some_and(|(_, extension)| extension == "yaml")
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
            sources: vec![source("a.yaml", ""), source("b.yaml", GUARDRAILS)],
            ignored: vec!["notes.txt".to_owned()],
        };
        assert_eq!(FileContents::of("f.yaml", &text), FileContents::ConfigMaps(vec![map]));
    }

    #[test]
    fn deep_objects_and_data_of_other_shapes_are_passed_over() {
        let deep = format!(
            "apiVersion: a/v1\nkind: Deep\nspec: {}1{}\n",
            "{a: ".repeat(50),
            "}".repeat(50)
        );
        let other = "---\napiVersion: apps/v1\nkind: ControllerRevision\ndata: {spec: {a: [1]}}\n";
        let kinds = ["Deep", "ControllerRevision"].map(str::to_owned).to_vec();
        assert_eq!(FileContents::of("f.yaml", &(deep + other)), FileContents::Others(kinds));
        let map = format!("apiVersion: v1\nkind: ConfigMap\n{other}");
        let FileContents::ConfigMaps(maps) = FileContents::of("f.yaml", &map) else {
            panic!("not a ConfigMap");
        };
        assert_eq!((maps.len(), maps[0].sources.len()), (1, 0));
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
