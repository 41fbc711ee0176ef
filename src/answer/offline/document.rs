//! YAML and JSON text to [`Document`]s: every value with the line it stands on, so that whatever is wrong with a manifest
//! is said with its file and line. Knows nothing of kinds; `List`s are taken apart here.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::folder::File;

/// What is wrong with a manifest, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as named when it was read.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl Problem {
    /// `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, message } = self;
        write!(formatter, "{file}:{line}: {message}")
    }
}

/// One object of a manifest.
#[derive(Debug)]
pub(super) struct Document {
    /// The file it stands in.
    pub(super) file: String,
    /// `apiVersion`.
    pub(super) api_version: String,
    /// `kind`.
    pub(super) kind: String,
    node: Node,
}

impl Document {
    /// The object as JSON.
    pub(super) fn value(&self) -> Value {
        self.node.to_value()
    }

    /// The API group: what stands before the slash of `apiVersion`, empty for the core group.
    pub(super) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// A problem with the whole object.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        self.problem_at(&[], message)
    }

    /// A problem with what stands at this path of keys and positions, or with the deepest part of it that is there.
    pub(super) fn problem_at(&self, path: &[&str], message: impl Into<String>) -> Problem {
        let name = self.node.at(&["metadata", "name"]).and_then(Node::as_str);
        let subject = name.map_or_else(|| self.kind.clone(), |name| format!("{} {name}", self.kind));
        Problem {
            file: self.file.clone(),
            line: self.node.deepest(path).line,
            message: format!("{subject}: {}", message.into()),
        }
    }
}

/// Every object in this text; `List` and its kin count as their items. Documents without content (a comment, `---`) are
/// passed over; what is not a Kubernetes object is a problem.
pub(super) fn parse(file: &File) -> Result<Vec<Document>, Vec<Problem>> {
    let nodes = serde_saphyr::from_multiple::<Node>(&file.text).map_err(|error| {
        let error = error.without_snippet();
        vec![Problem {
            file: file.name.clone(),
            line: error.location().map_or(1, |location| location.line()),
            message: error.to_string(),
        }]
    })?;
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    for node in nodes {
        collect(&file.name, node, None, &mut documents, &mut problems);
    }
    if problems.is_empty() {
        Ok(documents)
    } else {
        Err(problems)
    }
}

/// The line, from 1, of what stands at this path in the first document of a text, or of the deepest part of the path that
/// is there.
pub(crate) fn line_in(text: &str, path: &[&str]) -> u64 {
    let options = serde_saphyr::options! { budget: None };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_or(1, |node| node.deepest(path).line)
}

/// The apiVersion and kind that the items of a typed list leave out.
type Implied = (String, String);

fn collect(
    file: &str,
    node: Node,
    implied: Option<&Implied>,
    documents: &mut Vec<Document>,
    problems: &mut Vec<Problem>,
) {
    let text = |key: &str| node.at(&[key]).and_then(Node::as_str).map(str::to_owned);
    let (api_version, kind) = match (text("apiVersion"), text("kind"), implied) {
        (Some(api_version), Some(kind), _) => (api_version, kind),
        (None, None, Some(implied)) => implied.clone(),
        _ => {
            let missing = if text("apiVersion").is_none() {
                "apiVersion"
            } else {
                "kind"
            };
            problems.push(Problem {
                file: file.to_owned(),
                line: node.line,
                message: format!(
                    "not a Kubernetes object: it has no {missing}; give it one, or take this file out of the folder"
                ),
            });
            return;
        }
    };
    if let (Some(item_kind), Some(Content::Sequence(_))) = (
        kind.strip_suffix("List"),
        node.at(&["items"]).map(|items| &items.content),
    ) {
        let implied = (!item_kind.is_empty()).then(|| (api_version.clone(), item_kind.to_owned()));
        for item in node.into_items() {
            collect(file, item, implied.as_ref(), documents, problems);
        }
        return;
    }
    documents.push(Document {
        file: file.to_owned(),
        api_version,
        kind,
        node,
    });
}

/// One value with the line it stands on.
#[derive(Debug)]
struct Node {
    line: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>),
}

impl Node {
    fn child(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Scalar(_) => None,
            Content::Sequence(items) => items.get(key.parse::<usize>().ok()?),
            Content::Mapping(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
        }
    }

    fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.child(key))
    }

    fn deepest(&self, path: &[&str]) -> &Node {
        match path
            .split_first()
            .and_then(|(key, rest)| Some((self.child(key)?, rest)))
        {
            Some((child, rest)) => child.deepest(rest),
            None => self,
        }
    }

    fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    fn into_items(self) -> Vec<Node> {
        let Content::Mapping(entries) = self.content else {
            return Vec::new();
        };
        entries
            .into_iter()
            .find_map(|(key, node)| match node.content {
                Content::Sequence(items) if key == "items" => Some(items),
                _ => None,
            })
            .unwrap_or_default()
    }

    fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Sequence(items) => items.iter().map(Node::to_value).collect(),
            Content::Mapping(entries) => entries
                .iter()
                .map(|(key, node)| (key.clone(), node.to_value()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            line: referenced.line(),
            content: value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a Kubernetes object")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that JSON does not know"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(Value::String(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Content::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = mapping.next_entry()? {
            entries.push(entry);
        }
        Ok(Content::Mapping(entries))
    }
}
