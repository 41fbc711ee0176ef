//! [`Sink`]: where records go; [`line`]: a record as the line that is printed; [`Collected`]: records kept for whoever
//! wants to show them.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use super::DecisionRecord;

/// Where records go. Called while a review waits for its answer: takes a record and returns, never blocks.
pub trait Sink: Send + Sync + 'static {
    /// Takes a record: a decision, or several that repeat one that it took before.
    fn take(&self, record: &DecisionRecord);
}

/// A sink that its owner keeps a hold of, to close it in the end.
impl<S: Sink> Sink for Arc<S> {
    fn take(&self, record: &DecisionRecord) {
        S::take(self, record);
    }
}

/// Records in memory, for those who show them themselves and for tests.
#[derive(Debug, Clone, Default)]
pub struct Collected(Arc<Mutex<Vec<DecisionRecord>>>);

impl Collected {
    /// What was recorded since the last call.
    pub fn drain(&self) -> Vec<DecisionRecord> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Sink for Collected {
    fn take(&self, record: &DecisionRecord) {
        self.0.lock().push(record.clone());
    }
}

/// A record as the one line of JSON that is printed, without its newline. Beyond what JSON demands, characters that would
/// steer a terminal or reorder what it shows are escaped too: user names and labels are chosen by those who are recorded.
#[expect(
    clippy::missing_panics_doc,
    reason = "writing strings, numbers and lists of them into memory cannot fail"
)]
pub fn line(record: &DecisionRecord) -> Vec<u8> {
    let mut line = Vec::with_capacity(1024);
    record
        .serialize(&mut serde_json::Serializer::with_formatter(
            &mut line,
            Inert(CompactFormatter),
        ))
        .expect("strings, numbers and lists of them always serialize into memory");
    line
}

/// Compact JSON in which nothing steers a terminal.
struct Inert(CompactFormatter);

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, character) in fragment.char_indices().filter(|(_, character)| steers(*character)) {
            self.0.write_string_fragment(writer, &fragment[plain..at])?;
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = at + character.len_utf8();
        }
        self.0.write_string_fragment(writer, &fragment[plain..])
    }
}

/// Control characters that JSON leaves alone (DEL and C1), line and paragraph separators, and the invisible and
/// bidirectional formatting characters (CVE-2021-42574).
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn a_hostile_name_stays_on_its_line_and_cannot_steer_a_terminal() {
        let name = "mal\nlory\"\u{1b}[2K\u{9b}2K\u{202e}drow\u{2028}\u{7f}é";
        let record = DecisionRecord {
            user: name.to_owned(),
            ..example()
        };
        let line = String::from_utf8(line(&record)).expect("JSON is UTF-8");
        assert!(line.chars().all(|character| !steers(character)), "{line:?}");
        assert!(line.contains(r"é"), "{line}");
        let back: serde_json::Value = serde_json::from_str(&line).expect("valid JSON");
        assert_eq!(back["user"], name);
    }
}
