//! What Kubernetes takes as the key and the value of a label (apimachinery `IsQualifiedName` and `IsValidLabelValue`;
//! "Labels and Selectors" in its documentation).

use crate::model::is_dns_subdomain;

/// A key or value that Kubernetes would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// Not a label key.
    #[error(
        "{0:?} is not a label key: write NAME or PREFIX/NAME, where NAME has at most 63 letters, digits, '-', '_' or \
         '.', begins and ends with a letter or digit, and PREFIX is a DNS name"
    )]
    Key(String),
    /// Not a label value.
    #[error(
        "{0:?} is not a label value: write at most 63 letters, digits, '-', '_' or '.', beginning and ending with a \
         letter or digit, or nothing"
    )]
    Value(String),
}

/// Whether it is a word of at most 63 letters, digits and `-_.` that begins and ends with a letter or digit.
fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Refuses what is not a label key.
pub fn check_key(key: &str) -> Result<(), InvalidLabel> {
    let valid = match key.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_word(name),
        None => is_word(key),
    };
    if valid {
        Ok(())
    } else {
        Err(InvalidLabel::Key(key.to_owned()))
    }
}

/// Refuses what is not a label value.
pub fn check_value(value: &str) -> Result<(), InvalidLabel> {
    if value.is_empty() || is_word(value) {
        Ok(())
    } else {
        Err(InvalidLabel::Value(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("app", true)]
    #[case("app.kubernetes.io/name", true)]
    #[case("A_b.c-1", true)]
    #[case("1", true)]
    #[case("", false)]
    #[case("/", false)]
    #[case("a/", false)]
    #[case("/a", false)]
    #[case("a/b/c", false)]
    #[case("Upper.io/a", false)]
    #[case("-a", false)]
    #[case("a.", false)]
    #[case("a b", false)]
    #[case("é", false)]
    fn keys(#[case] key: &str, #[case] valid: bool) {
        assert_eq!(check_key(key).is_ok(), valid, "{key}");
    }

    #[test]
    fn limits_are_those_of_kubernetes() {
        check_key(&"a".repeat(63)).expect("63 characters");
        check_key(&"a".repeat(64)).expect_err("64 characters");
        check_key(&format!("{}/a", "a".repeat(253))).expect("253 characters");
        check_key(&format!("{}/a", "a".repeat(254))).expect_err("254 characters");
        check_value(&"a".repeat(63)).expect("63 characters");
        check_value(&"a".repeat(64)).expect_err("64 characters");
    }

    #[rstest::rstest]
    #[case("", true)]
    #[case("a", true)]
    #[case("1.2_3-x", true)]
    #[case("-", false)]
    #[case("a/b", false)]
    #[case("a b", false)]
    fn values(#[case] value: &str, #[case] valid: bool) {
        assert_eq!(check_value(value).is_ok(), valid, "{value}");
    }
}
