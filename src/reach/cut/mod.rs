//! Large files of manifests, taken apart while they come from disk: text in, [`Piece`]s out that hold whole objects, so
//! that no file need be in memory as a whole. Only what programs write is taken apart (`kubectl get -o json` and `-o yaml`,
//! documents one after the other); for anything else the answer is [`NotCut::Irregular`], and the file has to be read whole.

mod json;
mod yaml;

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use self::json::JsonCutter;
use self::yaml::YamlCutter;
use super::objects::{Chunk, Implied, Irregular, located};
use super::origin::{Format, lines};
use crate::answer::offline::folder::File;

/// Whole objects of a file, one after the other.
#[derive(Debug)]
pub(super) struct Piece {
    text: String,
    /// How many lines of the file stand before it.
    lines: u64,
    /// Where the objects stand in it.
    objects: Vec<Range<usize>>,
    format: Format,
    /// What the list that they are items of says of them.
    implied: Option<Implied>,
}

impl Piece {
    /// Its objects, each to be read by itself.
    pub(super) fn chunks(self, name: &str) -> Vec<Chunk> {
        let file = File {
            name: name.to_owned(),
            text: self.text,
        };
        let parts = self.objects.into_iter().map(|range| (range, self.implied.clone()));
        located(&Arc::new(file), self.lines, self.format, parts)
    }
}

/// Why a file is not taken apart.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCut {
    /// It is not written as programs do.
    #[error(transparent)]
    Irregular(#[from] Irregular),
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// Nobody wants the rest.
    #[error("nobody wants the rest")]
    Unwanted,
}

/// Takes a text apart into pieces of about `size` bytes, in their order.
pub(super) fn cut(
    reader: impl Read,
    size: usize,
    each: &mut dyn FnMut(Piece) -> Result<(), NotCut>,
) -> Result<(), NotCut> {
    let mut window = Window {
        reader,
        size,
        bytes: Vec::new(),
        seen: 0,
        lines: 0,
    };
    let first = loop {
        let more = window.fill()?;
        let first = window.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if first.is_some() || !more {
            break first;
        }
    };
    match first {
        Some(b'{') => JsonCutter::default().cut(&mut window, each),
        // A byte order mark, or nothing at all.
        Some(0xef) | None => Err(Irregular.into()),
        Some(_) => YamlCutter::default().cut(&mut window, each),
    }
}

/// The part of a text that has come and is not in a piece yet.
struct Window<R> {
    reader: R,
    size: usize,
    bytes: Vec<u8>,
    /// How far it has been looked at.
    seen: usize,
    /// How many lines stand before it.
    lines: u64,
}

impl<R: Read> Window<R> {
    /// Has more of the text come; whether there was any.
    fn fill(&mut self) -> Result<bool, NotCut> {
        let had = self.bytes.len();
        let wanted = u64::try_from(self.size).unwrap_or(u64::MAX);
        self.reader.by_ref().take(wanted).read_to_end(&mut self.bytes)?;
        Ok(self.bytes.len() > had)
    }

    /// Takes everything before `end` as a piece.
    fn piece(
        &mut self,
        end: usize,
        objects: impl FnOnce(&str) -> Vec<Range<usize>>,
        format: Format,
        implied: Option<Implied>,
    ) -> Result<Piece, NotCut> {
        let rest = self.bytes.split_off(end);
        let bytes = std::mem::replace(&mut self.bytes, rest);
        let text = String::from_utf8(bytes).map_err(|_| Irregular)?;
        let before = self.lines;
        self.lines += lines(&text);
        self.seen -= end;
        Ok(Piece {
            objects: objects(&text),
            text,
            lines: before,
            format,
            implied,
        })
    }
}
