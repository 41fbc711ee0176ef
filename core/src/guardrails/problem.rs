//! [`Problems`]: what is wrong with a configuration, each with its place and a caret under it, in the one text that
//! `ringfence validate`, the webhook and status show; and [`Notice`]s: what is right but should be known.

use std::fmt;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::yaml::Mark;

/// A text of configuration: a key of the ConfigMap, or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The key or file name, for messages.
    pub name: String,
    /// YAML documents, or one JSON document.
    pub text: String,
}

/// Something wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the source; empty where no source can be named.
    pub source: String,
    /// The key within the document, e.g. `spec.members[0].podSelector`; empty for the document as a whole.
    pub path: String,
    /// From 1; 0 where it has no place.
    pub line: usize,
    /// From 1, in characters; 0 where it has no place.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
    caret: Option<Caret>,
}

/// The line that a caret is put under.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Caret {
    text: Arc<str>,
    mark: Mark,
}

/// The most characters of a message: it may quote what stands in the text, however long that is.
const MESSAGE: usize = 500;

fn shortened(message: String) -> String {
    match message.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message,
    }
}

/// How many problems are shown in full.
const SHOWN: usize = 20;

impl Problem {
    pub(super) fn new(
        source: &str,
        text: &Arc<str>,
        mark: Mark,
        path: String,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            source: source.to_owned(),
            path,
            line: mark.line,
            column: mark.column,
            message: shortened(message.into()),
            advice: shortened(advice.into()),
            caret: (mark.line > 0).then(|| Caret {
                text: text.clone(),
                mark,
            }),
        }
    }

    /// Problems are told in the order of the text, those of the whole at the end.
    pub(super) fn order(&self) -> impl Ord + use<> {
        (self.source.is_empty(), self.source.clone(), self.line, self.column)
    }

    /// A problem of the configuration as a whole.
    pub(super) fn everywhere(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new("", &Arc::from(""), Mark::default(), String::new(), message, advice)
    }
}

impl Caret {
    /// The line and where in it (bytes) the mark begins and ends; the mark never leaves the line.
    fn excerpt(&self) -> (&str, std::ops::Range<usize>) {
        let line = self.text.lines().nth(self.mark.line - 1).unwrap_or_default();
        let start = line
            .char_indices()
            .nth(self.mark.column.saturating_sub(1))
            .map_or(line.len(), |(at, _)| at);
        let end = start.saturating_add(self.mark.length).min(line.len());
        let end = (end..=line.len())
            .find(|at| line.is_char_boundary(*at))
            .unwrap_or(line.len());
        (line, start..end)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group = annotate_snippets::Group::with_title(title);
        let excerpt = self.caret.as_ref().map(Caret::excerpt);
        if let Some((line, caret)) = excerpt {
            let annotation = AnnotationKind::Primary.span(caret).label(self.path.as_str());
            group = group.element(
                Snippet::source(line)
                    .line_start(self.line)
                    .path(self.source.as_str())
                    .annotation(annotation),
            );
        }
        if !self.advice.is_empty() {
            group = group.element(Level::HELP.message(self.advice.as_str()));
        }
        formatter.write_str(&Renderer::plain().render(&[group]))
    }
}

/// Everything wrong with a configuration, in the order of the sources. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.0.iter().take(SHOWN) {
            writeln!(formatter, "{problem}\n")?;
        }
        if let Some(more) = self.0.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(formatter, "... and {more} more\n")?;
        }
        match self.0.len() {
            1 => formatter.write_str("1 error; the configuration is refused"),
            count => write!(formatter, "{count} errors; the configuration is refused"),
        }
    }
}

impl std::error::Error for Problems {}

/// Something right that should be known: shown by `ringfence validate` and in status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "notice: {}", self.message)
    }
}
