//! [`same`]: whether two pieces of JSON say the same, told from their text where that is enough. The API server encodes
//! both sides alike, so equal bytes are the usual case, and a changed image the next: neither needs a parse.

use serde_json::Value;
use serde_json::value::RawValue;

/// Whether both say the same: the order of keys does not matter, what does not parse differs.
pub(super) fn same(one: &RawValue, other: &RawValue) -> bool {
    let (one, other) = (one.get(), other.get());
    one == other
        || (!differs_in_a_text(one, other) && {
            let parse = |text| serde_json::from_str::<Value>(text).ok();
            matches!((parse(one), parse(other)), (Some(one), Some(other)) if one == other)
        })
}

/// Whether the first difference lies in a text that is a value. Up to there both are equal, so it is the value of the same
/// key, or the same element, in both: they differ, whatever follows. Nothing is known where it lies elsewhere (in a key,
/// it may be the order of keys) or where a text is escaped (escapes spell one text in several ways).
fn differs_in_a_text(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let equal = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let mut opened = None;
    let mut position = 0;
    while let Some(&byte) = one[..equal].get(position) {
        match (byte, opened) {
            (b'"', None) => opened = Some(position + 1),
            (b'"', Some(_)) => opened = None,
            // Only texts have it: the next byte is escaped.
            (b'\\', _) => position += 1,
            _ => (),
        }
        position += 1;
    }
    // Beyond `equal` where an escape spans the difference.
    let Some(start) = opened.filter(|_| position == equal) else {
        return false;
    };
    is_plain_value(&one[start..]) && is_plain_value(&other[start..])
}

/// Whether the text that this begins within ends without an escape, and is not a key.
fn is_plain_value(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
        return false;
    };
    let after = rest[end + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
    rest[end] == b'"' && after.is_some_and(|byte| *byte != b':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    #[rstest]
    #[case::equal(r#"{"a":"x"}"#, r#"{"a":"x"}"#, true)]
    #[case::spaces(r#"{"a":"x"}"#, r#"{ "a" : "x" }"#, true)]
    #[case::order_of_keys(r#"{"a":"x","b":"y"}"#, r#"{"b":"y","a":"x"}"#, true)]
    #[case::order_of_keys_within(r#"{"s":{"ab":"x","ac":"y"}}"#, r#"{"s":{"ac":"y","ab":"x"}}"#, true)]
    #[case::order_of_elements(r#"["a","b"]"#, r#"["b","a"]"#, false)]
    #[case::another_text(r#"{"a":"x","b":1}"#, r#"{"a":"y","b":1}"#, false)]
    #[case::a_longer_text(r#"{"a":"x"}"#, r#"{"a":"xx"}"#, false)]
    #[case::spelled_with_an_escape(r#"{"a":"xA"}"#, r#"{"a":"x\u0041"}"#, true)]
    #[case::both_escaped(r#"{"a":"\u0041"}"#, r#"{"a":"\u0061"}"#, false)]
    #[case::an_escape_spans_the_difference(r#"{"a":"\n"}"#, r#"{"a":"\t"}"#, false)]
    #[case::two_spellings_of_a_slash(r#"{"a":"/"}"#, r#"{"a":"\/"}"#, true)]
    #[case::a_quote_before(r#"{"a":"\"","b":"x"}"#, r#"{"a":"\"","b":"y"}"#, false)]
    #[case::a_key_like_a_value(r#"{"a":"x","b":"x"}"#, r#"{"b":"x","a":"x"}"#, true)]
    #[case::numbers(r#"{"a":1}"#, r#"{"a":2}"#, false)]
    #[case::another_element(r#"["a"]"#, r#"["a","b"]"#, false)]
    #[case::a_text_alone(r#""a""#, r#""b""#, false)]
    fn table(#[case] one: &str, #[case] other: &str, #[case] expected: bool) {
        assert_eq!(same(raw(one), raw(other)), expected);
        assert_eq!(same(raw(other), raw(one)), expected);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            "[ab\"\\\\/:\n]{0,3}".prop_map(Value::from),
            (0..3_u8).prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab\":]{0,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same value in another spelling: keys reversed where asked, spaces, escapes.
    fn spelled(value: &Value, reversed: bool, escaped: bool) -> String {
        let text = |text: &str| {
            let spelled = Value::from(text).to_string();
            if escaped {
                spelled.replace('a', "\\u0061").replace('/', "\\/")
            } else {
                spelled
            }
        };
        let inner = |value: &Value| spelled(value, reversed, escaped);
        match value {
            Value::String(string) => text(string),
            Value::Array(list) => format!("[{}]", list.iter().map(inner).collect::<Vec<_>>().join(", ")),
            Value::Object(map) => {
                let mut pairs: Vec<_> = map
                    .iter()
                    .map(|(key, value)| format!("{}:{}", text(key), inner(value)))
                    .collect();
                if reversed {
                    pairs.reverse();
                }
                format!("{{{}}}", pairs.join(","))
            }
            other => other.to_string(),
        }
    }

    proptest! {
        #[test]
        fn text_and_parse_agree(
            one in json(), other in json(), equal in any::<bool>(), spelling in any::<[bool; 4]>(),
        ) {
            let other = if equal { one.clone() } else { other };
            let [reversed, escaped, other_reversed, other_escaped] = spelling;
            let (text, other_text) =
                (spelled(&one, reversed, escaped), spelled(&other, other_reversed, other_escaped));
            prop_assert_eq!(same(raw(&text), raw(&other_text)), one == other, "{} {}", text, other_text);
        }
    }
}
