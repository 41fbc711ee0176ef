//! [`Origin`]: where an object stands, so that what is wrong with it is told with file and line. The line is looked for only
//! then, and of the text no more is kept than somebody may still ask about.

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr_iter;

use crate::answer::offline::folder::File;
use crate::answer::offline::{Problem, line_in};

/// What a part of a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A document of YAML.
    Yaml,
    /// One entry of a list in YAML, by itself a list of one.
    YamlEntry,
    /// A value of JSON.
    Json,
}

/// Where an object stands.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) file: Arc<File>,
    /// The bytes of its document, or of itself, in the text.
    pub(super) range: Range<usize>,
    /// How many lines of the file stand before those.
    pub(super) lines: u64,
    pub(super) format: Format,
    /// Its place in the `items` there.
    pub(super) item: Option<usize>,
}

impl Origin {
    /// The file and line of what stands at this path of keys and positions, or of the deepest part of it that is there.
    pub(super) fn problem(&self, path: &[&str], message: impl Into<String>) -> Problem {
        let entry = (self.format == Format::YamlEntry).then_some("0");
        let position = self.item.map(|item| item.to_string());
        let item = position.as_deref().map(|position| ["items", position]);
        let above = entry.into_iter().chain(item.into_iter().flatten());
        let inside: Vec<&str> = above.chain(path.iter().copied()).collect();
        Problem {
            file: self.file.name.clone(),
            line: self.lines + line_in(&self.file.text[self.range.clone()], &inside),
            message: message.into(),
        }
    }

    /// The same with no more of the text than it needs, where that is much less.
    #[must_use]
    pub(super) fn kept(self) -> Self {
        if self.range.len() > self.file.text.len() / 2 {
            return self;
        }
        let text = self.file.text[self.range.clone()].to_owned();
        Self {
            range: 0..text.len(),
            file: Arc::new(File {
                name: self.file.name.clone(),
                text,
            }),
            ..self
        }
    }

    /// The same without the text, so that it need not be kept.
    #[must_use]
    pub(super) fn without_text(self) -> Self {
        Self {
            file: Arc::new(File {
                name: self.file.name.clone(),
                text: String::new(),
            }),
            range: 0..0,
            lines: 0,
            format: Format::Yaml,
            item: None,
        }
    }
}

/// How many lines end in this text.
pub(super) fn lines(text: &str) -> u64 {
    memchr_iter(b'\n', text.as_bytes()).count() as u64
}
