//! YAML to pieces: documents one after the other, of which those that are lists give their items.

use std::io::Read;
use std::ops::Range;

use memchr::memchr;

use super::super::objects::{Implied, Irregular, implied_by, yaml_documents};
use super::super::origin::Format;
use super::{NotCut, Piece, Window};

/// Where in the text it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// In a document.
    #[default]
    Document,
    /// Among the items of a list, whose dashes stand in this column once the first has come.
    Items { dashes: Option<usize> },
    /// Behind the items of a list.
    Behind,
}

/// Takes YAML apart, line by line; the window has been looked at as far as the line that is looked at.
#[derive(Debug, Default)]
pub(super) struct YamlCutter {
    place: Place,
    /// Where the document, the item, or what is behind the items began.
    start: usize,
    /// The list without its items.
    list: String,
    implied: Option<Implied>,
    found: Vec<Range<usize>>,
}

type Each<'e> = &'e mut dyn FnMut(Piece) -> Result<(), NotCut>;

impl YamlCutter {
    pub(super) fn cut<R: Read>(mut self, window: &mut Window<R>, each: Each<'_>) -> Result<(), NotCut> {
        let mut looked = 0;
        loop {
            let from = looked.max(window.seen);
            let end = memchr(b'\n', &window.bytes[from..]);
            if let Some(end) = end {
                self.line(window, from + end + 1, each)?;
                looked = 0;
            } else {
                looked = window.bytes.len();
                if !window.fill()? {
                    break;
                }
            }
        }
        if window.seen < window.bytes.len() {
            self.line(window, window.bytes.len(), each)?;
        }
        self.document_ends(window, each)?;
        documents(window, each)
    }

    fn line<R: Read>(&mut self, window: &mut Window<R>, end: usize, each: Each<'_>) -> Result<(), NotCut> {
        let length = end - window.seen;
        let line = window.bytes[window.seen..end].trim_ascii_end();
        let column = line.iter().take_while(|byte| **byte == b' ').count();
        let rest = &line[column..];
        let dash = rest == b"-" || rest.starts_with(b"- ");
        match (line, self.place) {
            ([b'%', ..] | [b'.', b'.', b'.', ..], _) => return Err(Irregular.into()),
            ([b'-', b'-', b'-', ..], _) if !matches!(line.get(3), None | Some(b' ' | b'\t')) => {
                return Err(Irregular.into());
            }
            // What stands behind the marker belongs to the document that it opens.
            ([b'-', b'-', b'-', ..], _) => {
                self.document_ends(window, each)?;
                if window.seen >= window.size {
                    documents(window, each)?;
                }
                self.start = window.seen;
            }
            _ if rest.is_empty() || rest.starts_with(b"#") => {}
            (b"items:", Place::Document) => self.list_begins(window, each)?,
            (_, Place::Document | Place::Behind) => {}
            (_, Place::Items { dashes: None }) if dash => {
                self.place = Place::Items { dashes: Some(column) };
                self.start = window.seen;
            }
            (_, Place::Items { dashes: Some(dashes) }) if column > dashes => {}
            (_, Place::Items { dashes: Some(dashes) }) if column == dashes && dash => {
                self.entry_ends(window);
                if window.seen >= window.size {
                    self.entries(window, each)?;
                }
            }
            (_, Place::Items { dashes: Some(_) }) if column == 0 => {
                self.entry_ends(window);
                self.entries(window, each)?;
                self.place = Place::Behind;
            }
            (_, Place::Items { .. }) => return Err(Irregular.into()),
        }
        window.seen += length;
        Ok(())
    }

    fn list_begins<R: Read>(&mut self, window: &mut Window<R>, each: Each<'_>) -> Result<(), NotCut> {
        let head = std::str::from_utf8(&window.bytes[self.start..window.seen]).map_err(|_| Irregular)?;
        self.list = format!("{head}items: []\n");
        self.implied = implied_by(Format::Yaml, &self.list).ok().flatten();
        let piece = window.piece(self.start, yaml_documents, Format::Yaml, None)?;
        self.place = Place::Items { dashes: None };
        each(piece)
    }

    /// The entry ends before the line that is looked at, with which the next may begin.
    fn entry_ends<R>(&mut self, window: &Window<R>) {
        self.found.push(self.start..window.seen);
        self.start = window.seen;
    }

    /// Hands on the entries that have come.
    fn entries<R: Read>(&mut self, window: &mut Window<R>, each: Each<'_>) -> Result<(), NotCut> {
        let found = std::mem::take(&mut self.found);
        let piece = window.piece(self.start, |_| found, Format::YamlEntry, self.implied.clone())?;
        self.start = 0;
        each(piece)
    }

    /// The document ends before the line that is looked at.
    fn document_ends<R: Read>(&mut self, window: &mut Window<R>, each: Each<'_>) -> Result<(), NotCut> {
        match self.place {
            Place::Document => return Ok(()),
            Place::Items { dashes: None } => return Err(Irregular.into()),
            Place::Items { dashes: Some(_) } => {
                self.entry_ends(window);
                self.entries(window, each)?;
            }
            Place::Behind => {
                let behind = std::str::from_utf8(&window.bytes[self.start..window.seen]).map_err(|_| Irregular)?;
                self.list.push_str(behind);
                // Nobody reads it.
                window.piece(window.seen, |_| Vec::new(), Format::Yaml, None)?;
            }
        }
        if implied_by(Format::Yaml, &self.list)? != self.implied {
            return Err(Irregular.into());
        }
        (self.place, self.start) = (Place::Document, 0);
        Ok(())
    }
}

/// Hands on the documents before the line that is looked at.
fn documents<R: Read>(window: &mut Window<R>, each: Each<'_>) -> Result<(), NotCut> {
    each(window.piece(window.seen, yaml_documents, Format::Yaml, None)?)
}
