//! [`Place`]: a cursor into a document, so that what is found wrong in a typed value can be pointed at in the text it
//! came from; and [`Found`], which collects it.

use std::sync::Arc;

use super::problem::{Notice, Problem};
use super::yaml::{Entry, Mark, Node};

/// A source as it is read: its name, and its text shared by the problems that point into it.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) text: Arc<str>,
}

/// A value of a document, by its path.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    text: &'a Text,
    node: Option<&'a Node>,
    mark: Mark,
    path: String,
}

impl<'a> Place<'a> {
    /// A whole document.
    pub(super) fn document(text: &'a Text, node: &'a Node) -> Self {
        Self {
            text,
            node: Some(node),
            mark: node.mark(),
            path: String::new(),
        }
    }

    /// The value of a key. Where the key is missing, the path goes there and the mark stays.
    pub(super) fn field(&self, key: &str) -> Self {
        match self.node.and_then(|node| node.entry(key)) {
            Some(entry) => self.entry(entry),
            None => Self {
                text: self.text,
                node: None,
                mark: self.mark,
                path: self.path_to(key),
            },
        }
    }

    /// The value of an entry of this mapping.
    pub(super) fn entry(&self, entry: &'a Entry) -> Self {
        Self {
            text: self.text,
            node: Some(&entry.value),
            mark: entry.value.mark(),
            path: self.path_to(&entry.key),
        }
    }

    /// The key itself rather than its value.
    pub(super) fn key(&self, key: &str) -> Self {
        match self.node.and_then(|node| node.entry(key)) {
            Some(entry) => self.key_of(entry),
            None => self.field(key),
        }
    }

    /// The key of an entry of this mapping.
    pub(super) fn key_of(&self, entry: &'a Entry) -> Self {
        Self {
            mark: entry.mark,
            ..self.entry(entry)
        }
    }

    fn path_to(&self, key: &str) -> String {
        let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match (plain, self.path.is_empty()) {
            (true, true) => key.to_owned(),
            (true, false) => format!("{}.{key}", self.path),
            (false, _) => format!("{}[{key:?}]", self.path),
        }
    }

    /// An item of a list.
    pub(super) fn item(&self, position: usize) -> Self {
        let node = self.node.and_then(|node| node.items().get(position));
        Self {
            text: self.text,
            node,
            mark: node.map_or(self.mark, Node::mark),
            path: format!("{}[{position}]", self.path),
        }
    }

    /// What stands there.
    pub(super) fn node(&self) -> Option<&'a Node> {
        self.node
    }

    /// `guardrails.yaml:3`, for messages that speak of another place.
    pub(super) fn line(&self) -> String {
        format!("{}:{}", self.text.name, self.mark.line)
    }

    /// A problem at this place.
    pub(super) fn problem(&self, message: impl Into<String>, advice: impl Into<String>) -> Problem {
        Problem::new(
            &self.text.name,
            &self.text.text,
            self.mark,
            self.path.clone(),
            message,
            advice,
        )
    }
}

/// What was found while reading.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
    pub(super) notices: Vec<Notice>,
}

impl Found {
    /// Adds a problem: what is wrong, and what to do.
    pub(super) fn wrong(&mut self, place: &Place<'_>, message: impl Into<String>, advice: impl Into<String>) {
        self.problems.push(place.problem(message, advice));
    }

    /// Adds a notice.
    pub(super) fn notice(&mut self, message: impl Into<String>) {
        self.notices.push(Notice {
            message: message.into(),
        });
    }
}
