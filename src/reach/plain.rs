//! YAML as programs print it, one key or entry a line, straight to a value without what says nothing of who reaches whom:
//! ten times as quick as a parser of all of YAML. [`read`] answers only where nothing could be meant otherwise: blocks of
//! plain words, numbers and text in quotes on one line. Whatever else stands there, and whatever is wrong, is left to the
//! parser: flow collections, comments, anchors, tags, keys that stand twice.

use serde_json::{Map, Value};

use super::pruned::is_dropped;

/// Deeper than any object is.
const MOST_LEVELS: usize = 48;

/// More keys than these are not compared with each other one by one.
const MOST_KEYS: usize = 256;

/// What a document says; none where the parser has to be asked.
pub(super) fn read(text: &str) -> Option<Value> {
    if text.bytes().any(|byte| !matches!(byte, b' '..=b'~' | b'\n')) {
        return None;
    }
    let text = text.strip_prefix("---\n").unwrap_or(text);
    let mut lines = Lines { rest: text, line: None };
    lines.go_on();
    let value = lines.block(Purpose::Kept, MOST_LEVELS)?;
    lines.line.is_none().then_some(value)
}

/// What becomes of what is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Somebody asks for it.
    Kept,
    /// It only has to be right.
    Dropped,
}

/// The lines to come.
struct Lines<'t> {
    /// Behind the line that is read.
    rest: &'t str,
    /// What is left of that line, and the column in which it begins.
    line: Option<(usize, &'t str)>,
}

impl<'t> Lines<'t> {
    /// To the next line that is not blank.
    fn go_on(&mut self) {
        self.line = None;
        while self.line.is_none() && !self.rest.is_empty() {
            let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            self.rest = rest;
            let content = line.trim_start_matches(' ');
            let column = line.len() - content.len();
            let content = content.trim_end_matches(' ');
            self.line = Some((column, content)).filter(|_| !content.is_empty());
        }
    }

    /// The mapping or sequence that begins here.
    fn block(&mut self, purpose: Purpose, levels: usize) -> Option<Value> {
        let levels = levels.checked_sub(1)?;
        let (column, line) = self.line?;
        if line.starts_with("- ") {
            self.sequence(column, purpose, levels)
        } else {
            self.mapping(column, purpose, levels)
        }
    }

    fn sequence(&mut self, column: usize, purpose: Purpose, levels: usize) -> Option<Value> {
        let mut items = Vec::new();
        while let Some((at, line)) = self.line {
            if at != column || !line.starts_with("- ") {
                // Who called knows whether it may stand there.
                break;
            }
            let entry = &line[2..];
            let item = if is_entry(entry) {
                self.line = Some((column + 2, entry));
                self.block(purpose, levels)?
            } else {
                self.scalar(entry, column, purpose)?
            };
            if purpose == Purpose::Kept {
                items.push(item);
            }
        }
        Some(Value::Array(items))
    }

    fn mapping(&mut self, column: usize, purpose: Purpose, levels: usize) -> Option<Value> {
        let (mut fields, mut keys) = (Map::new(), Vec::new());
        while let Some((at, line)) = self.line {
            if at < column {
                break;
            }
            let (key, value) = key_of(line).filter(|_| at == column)?;
            if keys.contains(&key) || keys.len() == MOST_KEYS {
                return None;
            }
            keys.push(key);
            let inside = if is_dropped(key) { Purpose::Dropped } else { purpose };
            let value = if value.is_empty() {
                self.go_on();
                match self.line {
                    // A sequence may stand in the column of its key.
                    Some((below, line)) if below > column || below == column && line.starts_with("- ") => {
                        self.block(inside, levels)?
                    }
                    _ => Value::Null,
                }
            } else {
                // What is no list and no mapping is kept under every key.
                self.scalar(value, column, purpose)?
            };
            if purpose == Purpose::Kept {
                let block = value.is_array() || value.is_object();
                let dropped = block && inside == Purpose::Dropped;
                fields.insert(key.to_owned(), if dropped { Value::Bool(true) } else { value });
            }
        }
        Some(Value::Object(fields))
    }

    /// What stands behind a key or a dash of this column.
    fn scalar(&mut self, text: &'t str, column: usize, purpose: Purpose) -> Option<Value> {
        if matches!(text, "|" | "|-" | "|+" | ">" | ">-" | ">+") {
            // What it says would have to be put together.
            return (purpose == Purpose::Dropped && self.pass_text(column)).then_some(Value::Null);
        }
        let value = match purpose {
            Purpose::Kept => value_of(text)?,
            Purpose::Dropped => Some(Value::Null).filter(|_| is_sound(text))?,
        };
        self.go_on();
        // Else it goes on there.
        let goes_on = self.line.is_some_and(|(below, _)| below > column);
        (!goes_on).then_some(value)
    }

    /// Passes over text that stands in lines of its own, further in than this column; whether it is as it should be.
    fn pass_text(&mut self, column: usize) -> bool {
        let mut first = None;
        loop {
            let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            let content = line.trim_start_matches(' ');
            let at = line.len() - content.len();
            match first {
                _ if content.is_empty() => {
                    // Blank lines before the text may not be longer than it is far in: seldom, and not looked at.
                    if at > 0 && first.is_none() {
                        return false;
                    }
                }
                None if at > column => first = Some(at),
                Some(first) if at >= first => {}
                Some(_) if at > column => return false,
                _ => break,
            }
            self.rest = rest;
            if rest.is_empty() {
                break;
            }
        }
        self.go_on();
        true
    }
}

/// Whether what follows a dash is a mapping or a sequence.
fn is_entry(text: &str) -> bool {
    text.starts_with("- ") || key_of(text).is_some()
}

/// A key that is a word, and what follows its colon.
fn key_of(line: &str) -> Option<(&str, &str)> {
    let bytes = line.as_bytes();
    let end = bytes
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'_' | b'/' | b'-'))?;
    let key = &line[..end];
    let value = match &bytes[end..] {
        [b':'] => "",
        [b':', b' ', value, ..] if *value != b' ' => &line[end + 2..],
        _ => return None,
    };
    (bytes[0].is_ascii_alphabetic() && !is_reserved(key)).then_some((key, value))
}

/// Words that are no text, or were none in older versions of YAML.
fn is_reserved(word: &str) -> bool {
    const RESERVED: [&str; 12] = [
        "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity",
    ];
    word.len() <= 8 && RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// What a scalar of one line says, where there is no doubt.
fn value_of(text: &str) -> Option<Value> {
    match text.as_bytes() {
        b"{}" => Some(Value::Object(Map::new())),
        b"[]" => Some(Value::Array(Vec::new())),
        b"null" => Some(Value::Null),
        b"true" => Some(Value::Bool(true)),
        b"false" => Some(Value::Bool(false)),
        [b'"' | b'\'', ..] => quoted(text).map(Value::from),
        [b'0'] => Some(Value::from(0_u64)),
        [b'1'..=b'9', digits @ ..] if digits.len() < 15 && digits.iter().all(u8::is_ascii_digit) => {
            text.parse::<u64>().ok().map(Value::from)
        }
        [b'0'..=b'9', ..] => is_address(text).then(|| Value::from(text)),
        _ => (is_sound(text) && text.as_bytes()[0].is_ascii_alphabetic() && !is_reserved(text))
            .then(|| Value::from(text)),
    }
}

/// What stands in quotes without an escape.
fn quoted(text: &str) -> Option<&str> {
    let quote = &text[..1];
    let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inside.contains(quote) && !inside.contains('\\')).then_some(inside)
}

/// Whether this is an IPv4 address, which is no number.
fn is_address(text: &str) -> bool {
    let mut parts = text.split('.');
    let part = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.clone().count() == 4 && parts.all(part)
}

/// Whether a scalar of one line is well written and ends with it.
fn is_sound(text: &str) -> bool {
    match text.as_bytes() {
        [] => false,
        b"{}" | b"[]" => true,
        [b'"' | b'\'', ..] => quoted(text).is_some(),
        [first, ..] => {
            (first.is_ascii_alphanumeric() || matches!(first, b'/' | b'.' | b'_' | b'$' | b'('))
                && !text.contains(": ")
                && !text.contains(" #")
                && !text.ends_with(':')
        }
    }
}

#[cfg(test)]
mod tests;
