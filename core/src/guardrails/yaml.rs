//! YAML text to [`Node`]s: values that know where they stand, so that every later error can point at its place. JSON is
//! read by the same parser. Words are read as kubectl reads them: `yes`, `on` and `n` are booleans unless quoted. Anchors are bounded, so that a small text cannot grow into a large configuration.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

/// The most bytes of one source: ConfigMaps hold 1 MiB in all, files may be a little larger.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The most collections within each other. The deepest field of any kind is 15 deep; a level takes some 50 KiB of stack
/// in a debug build, and threads have 2 MiB.
const MAX_DEPTH: usize = 24;

/// A place in a source text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    /// Bytes from the start of the text.
    pub(super) offset: usize,
    /// Bytes.
    pub(super) length: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    mark: Mark,
    pub(super) value: Value,
}

/// A YAML value, mappings in the order written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Node,
}

impl Node {
    /// Where to point at: a scalar itself, of a mapping its first key.
    pub(super) fn mark(&self) -> Mark {
        match &self.value {
            Value::Mapping(entries) => entries.first().map_or(self.mark, |entry| entry.mark),
            Value::List(items) => items.first().map_or(self.mark, Self::mark),
            _ => self.mark,
        }
    }

    /// The entry of this key, where this is a mapping that has it.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of this key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entries of a mapping; none of anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a string.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same value without places.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Boolean(boolean) => Json::Bool(*boolean),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Mapping(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect(),
            ),
        }
    }
}

/// Text that is not YAML, or asks for more than a configuration needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) mark: Mark,
    pub(super) message: String,
}

/// Every document of a text but empty ones. One mistake makes the whole text unreadable: where a document ends is only
/// known once what stands before could be read.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Unreadable> {
    if text.len() > MAX_BYTES {
        return Err(Unreadable {
            mark: Mark {
                line: 1,
                column: 1,
                ..Mark::default()
            },
            message: format!(
                "{} bytes are more than the {MAX_BYTES} that one source may have",
                text.len()
            ),
        });
    }
    serde_saphyr::from_multiple_with_options::<Node>(text, options()).map_err(|error| Unreadable {
        mark: error.location().map(mark_of).unwrap_or_default(),
        message: printable(&UserMessageFormatter.format_message(error.without_snippet())),
    })
}

/// Without control characters: the parser quotes keys as they are.
fn printable(message: &str) -> String {
    let escaped = |character: char| -> String {
        if character.is_control() {
            character.escape_debug().collect()
        } else {
            character.to_string()
        }
    };
    message.chars().map(escaped).collect()
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_documents: 100_000,
            max_events: 4_000_000,
            max_nodes: 2_000_000,
            max_anchors: 10_000,
            max_aliases: 10_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
        emit_comments: false,
    }
}

fn mark_of(location: Location) -> Mark {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Mark {
        line: whole(location.line()),
        column: whole(location.column()),
        offset: location.span().byte_offset().map_or(usize::MAX, whole),
        length: location.span().byte_len().map_or(0, whole),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            mark: mark_of(spanned.referenced),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Value, E> {
        Ok(Value::Boolean(boolean))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Value, E> {
        serde_json::Number::from_i128(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is too large: quote it if it is meant as text"))
    }

    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Value, E> {
        serde_json::Number::from_u128(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is too large: quote it if it is meant as text"))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number: quote it if it is meant as text"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut mapping = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Node>()? {
            mapping.push(Entry {
                mark: mark_of(key.referenced),
                key: key.value,
                value,
            });
        }
        Ok(Value::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(node: &Node, found: &mut Vec<(usize, usize, usize, usize)>) {
        let Mark {
            line,
            column,
            offset,
            length,
        } = node.mark();
        found.push((line, column, offset, length));
        for entry in node.entries() {
            found.push((entry.mark.line, entry.mark.column, entry.mark.offset, entry.mark.length));
            marks(&entry.value, found);
        }
        for item in node.items() {
            marks(item, found);
        }
    }

    #[test]
    fn every_value_and_key_knows_its_place() {
        let text = "# é\na: é1\nb:\n  - x\n---\nc: {d: [1, true]}\n";
        let documents = documents(text).expect("readable");
        assert_eq!(documents.len(), 2);
        let mut found = Vec::new();
        for node in &documents {
            marks(node, &mut found);
        }
        let words: Vec<&str> = found
            .iter()
            .map(|(_, _, offset, length)| &text[*offset..offset + length])
            .collect();
        assert_eq!(
            words,
            ["a", "a", "é1", "b", "x", "x", "c", "c", "d", "d", "1", "1", "true"]
        );
        assert_eq!(found[2], (2, 4, 8, 3));
    }

    #[test]
    fn json_is_read_as_it_is() {
        let text = "{\n\t\"a\": {\"b\": [\"x\\/y\", 1.5, null, \"\\u00e9\"]}\n}";
        let documents = documents(text).expect("readable");
        assert_eq!(
            documents[0].to_json(),
            serde_json::from_str::<serde_json::Value>(text).expect("JSON")
        );
    }

    #[test]
    fn empty_documents_are_skipped() {
        assert_eq!(documents("# nothing\n---\n---\nnull\n").expect("readable"), []);
    }

    #[test]
    fn laughs_are_bounded() {
        let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..10 {
            let inner = vec![format!("*a{}", level - 1); 8].join(", ");
            text += &format!("a{level}: &a{level} [{inner}]\n");
        }
        let refused = documents(&text).expect_err("bounded");
        assert!(refused.mark.line > 0, "{refused:?}");
    }

    #[rstest::rstest]
    #[case("a: 1\na: 2\n", (2, 1))]
    #[case("a: [1\nb: 2\n", (2, 2))]
    #[case("a: *nowhere\n", (1, 4))]
    fn mistakes_have_a_place(#[case] text: &str, #[case] place: (usize, usize)) {
        let Unreadable { mark, message } = documents(text).expect_err("refused");
        assert_eq!((mark.line, mark.column), place, "{message}");
    }

    #[rstest::rstest]
    #[case::flow(("[", "", "]"))]
    #[case::flow_mappings(("{a: ", "", "}"))]
    #[case::block(("- ", "", ""))]
    fn nesting_is_bounded(#[case] (open, inner, close): (&str, &str, &str)) {
        let nested = |depth: usize| documents(&format!("{}{inner}{}\n", open.repeat(depth), close.repeat(depth)));
        nested(MAX_DEPTH).expect("as deep as may be");
        for depth in [MAX_DEPTH + 1, 200, 300, 100_000] {
            nested(depth).expect_err("too deep");
        }
    }
}
