//! [`PathToken`]: the unguessable first segment of the path that the webhook configuration names, by which the API server
//! is told from any pod that can reach us; [`PathTokens`]: those that are answered now.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::RngCore;
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

/// One unguessable path segment. Never printed by `Debug`.
#[derive(Clone)]
pub struct PathToken(String);

/// Not a token of ours.
#[derive(Debug, Error)]
#[error(
    "a path token is 43 or more characters of A-Z, a-z, 0-9, - and _: delete it where it is kept and a new one is made"
)]
pub struct WeakToken;

impl PathToken {
    /// Random bytes in one token.
    const BYTES: usize = 32;
    /// Their length in base64url without padding.
    const CHARACTERS: usize = 43;

    /// A new one, of 32 random bytes.
    pub fn generate() -> Self {
        let mut bytes = [0; Self::BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// One that is kept somewhere.
    pub fn parse(text: &str) -> Result<Self, WeakToken> {
        let ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.len() >= Self::CHARACTERS && text.bytes().all(ours) {
            Ok(Self(text.to_owned()))
        } else {
            Err(WeakToken)
        }
    }

    /// The segment as it stands in the webhook configuration. A secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PathToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PathToken(..)")
    }
}

/// The tokens that are answered now; none at first, and then nothing is. Several while one replaces another. Clones share
/// them.
#[derive(Debug, Clone, Default)]
pub struct PathTokens(Arc<ArcSwap<Vec<PathToken>>>);

impl PathTokens {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers to these and no others from now on.
    pub fn replace(&self, tokens: impl IntoIterator<Item = PathToken>) {
        self.0.store(Arc::new(tokens.into_iter().collect()));
    }

    /// Whether this segment is one of them. Takes the same time whichever byte differs.
    pub(crate) fn holds(&self, segment: &str) -> bool {
        let matches = |token: &PathToken| token.0.as_bytes().ct_eq(segment.as_bytes());
        let any = |found: Choice, token| found | matches(token);
        self.0.load().iter().fold(Choice::from(0), any).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tokens_in_force_are_held() {
        let tokens = PathTokens::new();
        assert!(!tokens.holds(""));
        let (old, new) = (PathToken::generate(), PathToken::generate());
        tokens.replace([old.clone(), new.clone()]);
        assert!(tokens.holds(old.as_str()) && tokens.holds(new.as_str()));
        tokens.replace([new.clone()]);
        assert!(!tokens.holds(old.as_str()) && tokens.holds(new.as_str()));
        assert!(!tokens.holds(&new.as_str()[1..]) && !tokens.holds(""));
    }

    #[test]
    fn a_generated_token_parses_and_is_not_printed() {
        let token = PathToken::generate();
        assert_eq!(token.as_str().len(), PathToken::CHARACTERS);
        assert_eq!(
            PathToken::parse(token.as_str()).expect("parses").as_str(),
            token.as_str()
        );
        assert!(!format!("{token:?}").contains(token.as_str()));
    }

    #[test]
    fn guessable_tokens_are_refused() {
        for weak in ["", "secret", &"a/".repeat(30), &"ü".repeat(43)] {
            PathToken::parse(weak).expect_err(weak);
        }
    }
}
