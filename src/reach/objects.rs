//! Text of manifests to [`Object`]s: documents of YAML, JSON, one after the other, and the items of `List`s and their kin.
//! Made for very many: what no answer needs is dropped while it is read, and the line of a field is looked for only once
//! something is wrong with it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::kinds::{is_read, kinds_in};
use super::origin::{Format, Origin, lines};
use super::pruned::{Pruned, may_have_letters};
use super::reader::{TEMPLATE, is_template};
use crate::answer::offline::Problem;
use crate::answer::offline::folder::File;

/// One object, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Its content, but for what says nothing here.
    pub(super) value: Value,
    /// Where it stands.
    pub(super) origin: Origin,
}

/// A part of a text that is read by itself.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// Where it stands.
    origin: Origin,
    /// What the list that it is an item of says of its items.
    implied: Option<Implied>,
}

/// What is read as true or false where YAML is written without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Booleans {
    /// As kubectl does (YAML 1.1): `yes`, `on`, `y` and their like, too.
    Old,
    /// `true` and `false` alone (YAML 1.2).
    New,
}

const LETTER: &str =
    "a single letter without quotes is read as text; kubectl takes y for true and n for false: put it in quotes";

/// What the items of a typed list leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Implied {
    api_version: String,
    kind: String,
}

/// What makes a file up. A file of JSON that cannot be taken apart is one chunk, which says why when it is read.
pub(super) fn chunks(file: &Arc<File>) -> Vec<Chunk> {
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    let start = file.text.len() - text.len();
    json_chunks(file, text).unwrap_or_else(|| {
        let documents = yaml_documents(text).into_iter();
        let ranges = documents.map(|range| (range.start + start..range.end + start, None));
        located(file, 0, Format::Yaml, ranges)
    })
}

/// Parts of a text, in their order, before which so many lines of the file stand.
pub(super) fn located(
    file: &Arc<File>,
    before: u64,
    format: Format,
    parts: impl IntoIterator<Item = (Range<usize>, Option<Implied>)>,
) -> Vec<Chunk> {
    let (mut counted, mut found) = (0, before);
    let chunk = |(range, implied): (Range<usize>, Option<Implied>)| {
        if range.start < counted {
            (counted, found) = (0, before);
        }
        found += lines(&file.text[counted..range.start]);
        counted = range.start;
        let origin = Origin {
            file: Arc::clone(file),
            range,
            lines: found,
            format,
            item: None,
        };
        Chunk { origin, implied }
    };
    parts.into_iter().map(chunk).collect()
}

/// The parts of a list that are read apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    #[serde(borrow, default)]
    api_version: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    kind: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

fn json_chunks(file: &Arc<File>, text: &str) -> Option<Vec<Chunk>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    // Where a slice of the text begins in the file.
    let range_of = |part: &str| {
        let start = part.as_ptr() as usize - file.text.as_ptr() as usize;
        start..start + part.len()
    };
    let mut parts = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let document = match document {
            Ok(document) => document.get(),
            // Else it may be YAML that begins with a brace.
            Err(_)
                if Path::new(&*file.name)
                    .extension()
                    .is_some_and(|is| is.eq_ignore_ascii_case("json")) =>
            {
                text
            }
            Err(_) => return None,
        };
        match serde_json::from_str::<Listed<'_>>(document) {
            Ok(Listed {
                api_version,
                kind: Some(kind),
                items: Some(items),
            }) if kind.ends_with("List") => {
                let implied = implied(api_version.as_deref(), &kind);
                let items = items.into_iter().map(|item| range_of(item.get()));
                parts.extend(items.map(|range| (range, implied.clone())));
            }
            _ => parts.push((range_of(document), None)),
        }
        if document.len() == text.len() {
            break;
        }
    }
    Some(located(file, 0, Format::Json, parts))
}

/// What a list of this kind says of its items; none where each says it.
fn implied(api_version: Option<&str>, kind: &str) -> Option<Implied> {
    let kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty())?;
    Some(Implied {
        api_version: api_version?.to_owned(),
        kind: kind.to_owned(),
    })
}

/// What a list says of its items, by what is left of it without them; an error where it is no list after all.
pub(super) fn implied_by(format: Format, list: &str) -> Result<Option<Implied>, Irregular> {
    let (api_version, kind) = match format {
        Format::Json => {
            let listed: Listed<'_> = serde_json::from_str(list).map_err(|_| Irregular)?;
            listed.items.ok_or(Irregular)?;
            (listed.api_version, listed.kind)
        }
        Format::Yaml | Format::YamlEntry => {
            let options = serde_saphyr::options! { budget: None };
            let Pruned(list) = serde_saphyr::from_str_with_options(list, options).map_err(|_| Irregular)?;
            list.get("items").and_then(Value::as_array).ok_or(Irregular)?;
            let text = |key: &str| list.get(key).and_then(Value::as_str).map(|text| text.to_owned().into());
            (text("apiVersion"), text("kind"))
        }
    };
    let kind = kind.filter(|kind| kind.ends_with("List")).ok_or(Irregular)?;
    Ok(implied(api_version.as_deref(), &kind))
}

/// A text that is not written as those are that may be taken apart before they are read.
#[derive(Debug, thiserror::Error)]
#[error("it has to be read as a whole")]
pub(super) struct Irregular;

/// Documents of YAML. A line that begins with `---` ends a document wherever it stands (YAML 1.2, `c-forbidden`), so they
/// can be told apart without reading them, and what is wrong with one leaves the others.
pub(super) fn yaml_documents(text: &str) -> Vec<Range<usize>> {
    let is_marker = |line: &str, marker: &str| {
        line.strip_prefix(marker)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    let says_nothing = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with(['#', '%']) || line == "---" || line == "..."
    };
    let (mut documents, mut start, mut position) = (Vec::new(), 0, 0);
    let (mut empty, mut directives) = (true, false);
    for line in text.split_inclusive('\n') {
        let (opens, closes) = (is_marker(line, "---"), is_marker(line, "..."));
        if opens || closes {
            if !empty {
                documents.push(start..position);
            }
            // Directives stand before the marker of their document.
            if closes || !directives || !empty {
                start = if closes { position + line.len() } else { position };
            }
            (empty, directives) = (true, false);
        }
        empty &= says_nothing(line);
        directives |= line.starts_with('%');
        position += line.len();
    }
    if !empty {
        documents.push(start..text.len());
    }
    documents
}

/// What a part of a file holds.
#[derive(Debug)]
pub(super) struct Contents {
    /// The objects in it.
    pub(super) objects: Vec<Object>,
    /// A single letter that kubectl would not take for text, if there is any.
    pub(super) letter: Option<Problem>,
}

impl Chunk {
    /// How many bytes it has.
    pub(super) fn size(&self) -> usize {
        self.origin.range.len()
    }

    /// Whether it is a document, and nobody can have taken it for one that is not.
    pub(super) fn is_document(&self) -> bool {
        self.origin.format == Format::Yaml
    }

    fn text(&self) -> &str {
        &self.origin.file.text[self.origin.range.clone()]
    }

    /// The objects in it. One without content is none.
    pub(super) fn contents(&self) -> Result<Contents, Problem> {
        let text = self.text();
        let mut letter = None;
        let Pruned(value) = match self.origin.format {
            Format::Json => serde_json::from_str(text).map_err(|error| Problem {
                file: self.origin.file.name.clone(),
                line: self.origin.lines + error.line() as u64,
                message: format!("column {}: {error}", error.column()),
            })?,
            Format::Yaml | Format::YamlEntry => self.with_letters(text, &mut letter)?,
        };
        let mut objects = Vec::new();
        match (self.origin.format, value) {
            (Format::YamlEntry, Value::Array(entries)) => {
                for entry in entries {
                    self.collect(entry, &mut objects);
                }
            }
            (_, value) => self.collect(value, &mut objects),
        }
        Ok(Contents { objects, letter })
    }

    /// What the YAML of it says, and the first single letter in it.
    fn with_letters(&self, text: &str, letter: &mut Option<Problem>) -> Result<Pruned, Problem> {
        let mut read = self.yaml(text, Booleans::Old).or_else(|_| {
            // Once more, with the lines before it counted in.
            let padding = "\n".repeat(usize::try_from(self.origin.lines).unwrap_or_default());
            self.yaml(&(padding + text), Booleans::Old)
        })?;
        if may_have_letters(text)
            && let Some(path) = read.with_letters(&self.yaml(text, Booleans::New)?)
        {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            *letter = Some(self.origin.problem(&path, LETTER));
        }
        Ok(read)
    }

    /// Where it stands.
    pub(super) fn origin(&self) -> Origin {
        self.origin.clone()
    }

    /// Why what cannot be taken apart is skipped; none where it is meant to be something that is read here.
    pub(super) fn excuse(&self, problem: &Problem) -> Option<String> {
        let text = self.text();
        if is_template(text) {
            return Some(TEMPLATE.to_owned());
        }
        let meant = kinds_in(text).any(is_read);
        (!meant).then(|| format!("it cannot be read: line {}: {}", problem.line, problem.message))
    }

    fn yaml(&self, text: &str, booleans: Booleans) -> Result<Pruned, Problem> {
        let options = serde_saphyr::options! { budget: None, strict_booleans: booleans == Booleans::New };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let error = error.without_snippet();
            let line = error.location().map_or(1, |location| location.line());
            let message = error
                .to_string()
                .replace(", set DuplicateKeyPolicy in Options if acceptable", "");
            Problem {
                file: self.origin.file.name.clone(),
                line,
                message,
            }
        })
    }

    fn collect(&self, value: Value, objects: &mut Vec<Object>) {
        let mut push = |mut value: Value, item: Option<usize>, implied: Option<&Implied>| {
            if let (Some(implied), Value::Object(fields)) = (implied, &mut value) {
                let mut fill = |key: &str, text: &str| {
                    fields.entry(key).or_insert_with(|| text.into());
                };
                fill("apiVersion", &implied.api_version);
                fill("kind", &implied.kind);
            }
            if !value.is_null() {
                let origin = Origin { item, ..self.origin() };
                objects.push(Object { value, origin });
            }
        };
        let is_list = value
            .get("kind")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.ends_with("List"));
        let Value::Object(mut fields) = value else {
            return push(value, None, None);
        };
        match fields.remove("items") {
            Some(Value::Array(items)) if is_list => {
                let text = |key: &str| fields.get(key).and_then(Value::as_str);
                let implied = implied(text("apiVersion"), text("kind").unwrap_or_default());
                for (position, item) in items.into_iter().enumerate() {
                    push(item, Some(position), implied.as_ref());
                }
            }
            // `items: null`, as an empty list is written by programs.
            Some(Value::Null) if is_list => {}
            items => {
                fields.extend(items.map(|items| ("items".to_owned(), items)));
                push(Value::Object(fields), None, self.implied.as_ref());
            }
        }
    }
}
