//! JSON to pieces: values one after the other, of which those that are lists give their items.

use std::io::Read;
use std::mem;
use std::ops::Range;

use memchr::memchr2;

use super::super::objects::{Implied, Irregular, implied_by};
use super::super::origin::Format;
use super::{NotCut, Piece, Window};

/// Where in the text it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Between values.
    #[default]
    Between,
    /// In a value, or in what stands before the items of a list.
    Value,
    /// Between items.
    Items { comma: bool },
    /// In an item.
    Item,
    /// Behind the items of a list.
    Behind,
}

/// Takes JSON apart.
#[derive(Debug, Default)]
pub(super) struct JsonCutter {
    place: Place,
    /// How many braces and brackets are open.
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// Where the value, the item, or what is behind the items began.
    start: usize,
    /// Where the last text began that stands in the value itself, and how long it is.
    word: Range<usize>,
    /// Whether what comes is the value of `items`.
    is_items: bool,
    /// The list without its items.
    list: Vec<u8>,
    implied: Option<Implied>,
    found: Vec<Range<usize>>,
}

type Each<'e> = &'e mut dyn FnMut(Piece) -> Result<(), NotCut>;

impl JsonCutter {
    pub(super) fn cut<R: Read>(mut self, window: &mut Window<R>, each: Each<'_>) -> Result<(), NotCut> {
        loop {
            while window.seen < window.bytes.len() {
                self.step(window, each)?;
            }
            if !window.fill()? {
                break;
            }
        }
        if self.place != Place::Between {
            return Err(Irregular.into());
        }
        self.flush(window, each)
    }

    /// Goes on to where it is somewhere else, or to the end of what has come.
    fn step<R: Read>(&mut self, window: &mut Window<R>, each: Each<'_>) -> Result<(), NotCut> {
        match self.place {
            Place::Item => {
                if self.pass(window, 2) {
                    self.place = Place::Items { comma: false };
                    self.found(window, each)?;
                }
                return Ok(());
            }
            Place::Value | Place::Behind if self.depth > 1 => {
                self.pass(window, 1);
                return Ok(());
            }
            _ => {}
        }
        let (at, byte) = (window.seen, window.bytes[window.seen]);
        window.seen += 1;
        match (self.place, byte) {
            (Place::Value | Place::Behind, _) if self.in_text => self.text(at, byte),
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (Place::Between, b'{') => {
                (self.place, self.depth, self.start) = (Place::Value, 1, at);
                (self.is_items, self.word) = (false, at..at);
            }
            (Place::Value | Place::Behind, b'"') => (self.in_text, self.word) = (true, at + 1..at + 1),
            (Place::Value, b':') => self.is_items = &window.bytes[self.word.clone()] == b"items",
            (Place::Value | Place::Behind, b',' | b':') => self.is_items = false,
            (Place::Value, b'[') if self.is_items => {
                self.list = window.bytes[self.start..=at].to_vec();
                self.implied = self.implied(b"]}").ok().flatten();
                self.flush(window, each)?;
                (self.place, self.depth) = (Place::Items { comma: false }, 2);
            }
            (Place::Value | Place::Behind, b'{' | b'[') => self.depth = 2,
            (Place::Value, b'}') => {
                (self.place, self.depth) = (Place::Between, 0);
                self.found(window, each)?;
            }
            (Place::Items { comma }, b'{') if comma || self.list.last() == Some(&b'[') => {
                if !comma {
                    // From now on another item needs a comma before it.
                    self.list.push(b' ');
                }
                (self.place, self.depth, self.start) = (Place::Item, 3, at);
            }
            (Place::Items { comma: false }, b',') if self.list.last() == Some(&b' ') => {
                self.place = Place::Items { comma: true };
            }
            (Place::Items { comma: false }, b']') => {
                (self.place, self.depth, self.start) = (Place::Behind, 1, at);
            }
            (Place::Behind, b'}') => {
                self.list.extend_from_slice(&window.bytes[self.start..=at]);
                if self.implied(b"")? != self.implied {
                    return Err(Irregular.into());
                }
                (self.place, self.depth) = (Place::Between, 0);
                self.flush(window, each)?;
                self.implied = None;
            }
            // Numbers, true, false and null, letter by letter.
            (Place::Value | Place::Behind, byte) if !matches!(byte, b']' | b'}') => {}
            _ => return Err(Irregular.into()),
        }
        Ok(())
    }

    /// Goes on until so many braces and brackets are open; whether that is so.
    fn pass<R>(&mut self, window: &mut Window<R>, depth: usize) -> bool {
        let bytes = &window.bytes[..];
        let mut at = window.seen;
        while at < bytes.len() {
            if self.in_text {
                if mem::take(&mut self.escaped) {
                    at += 1;
                    continue;
                }
                let rest = &bytes[at..];
                let stop = memchr2(b'"', b'\\', rest);
                match stop.map(|stop| rest[stop]) {
                    Some(b'\\') => self.escaped = true,
                    Some(_) => self.in_text = false,
                    None => {}
                }
                at += stop.map_or(rest.len(), |stop| stop + 1);
                continue;
            }
            let byte = bytes[at];
            at += 1;
            match byte {
                // What programs print for people begins its lines with many.
                b' ' => at += bytes[at..].iter().take_while(|byte| **byte == b' ').count(),
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == depth {
                        break;
                    }
                }
                _ => {}
            }
        }
        window.seen = at;
        self.depth == depth
    }

    /// One more letter of a text that stands in the value itself.
    fn text(&mut self, at: usize, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_text = false;
                self.word.end = at;
            }
            _ => {}
        }
    }

    fn implied(&self, end: &[u8]) -> Result<Option<Implied>, Irregular> {
        let list = [&self.list, end].concat();
        implied_by(Format::Json, std::str::from_utf8(&list).map_err(|_| Irregular)?)
    }

    /// What began at `start` is whole.
    fn found<R: Read>(&mut self, window: &mut Window<R>, each: Each<'_>) -> Result<(), NotCut> {
        self.found.push(self.start..window.seen);
        if window.seen >= window.size {
            return self.flush(window, each);
        }
        Ok(())
    }

    fn flush<R: Read>(&mut self, window: &mut Window<R>, each: Each<'_>) -> Result<(), NotCut> {
        let Some(last) = self.found.last() else {
            return Ok(());
        };
        let end = last.end;
        let implied = match self.place {
            Place::Value => None,
            _ => self.implied.clone(),
        };
        let objects = mem::take(&mut self.found);
        each(window.piece(end, |_| objects, Format::Json, implied)?)
    }
}
