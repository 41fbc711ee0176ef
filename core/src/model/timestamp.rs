//! [`Timestamp`]: a moment as the API server tells it, in whole seconds. Read and written as RFC 3339.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A text that is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time; write it as RFC 3339, e.g. 2026-11-21T12:00:00Z")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// The moment so many seconds later, or the last one there is.
    #[must_use]
    pub fn after(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp(text.to_owned()))?;
        Ok(Self(moment.as_second()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only a number that no clock shows is beyond what can be written: the last moment that can be stands for it.
        let moment = jiff::Timestamp::from_second(self.0).unwrap_or(jiff::Timestamp::MAX);
        write!(formatter, "{moment:.0}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1970-01-01T00:00:01Z", 1)]
    #[case("2026-11-21T12:00:00Z", 1_795_262_400)]
    #[case("2026-11-21T13:00:00.999+01:00", 1_795_262_400)]
    fn a_moment_is_read_to_the_second(#[case] text: &str, #[case] seconds: i64) {
        assert_eq!(text.parse(), Ok(Timestamp(seconds)));
    }

    #[test]
    fn a_moment_is_written_as_the_api_server_writes_it() {
        assert_eq!(Timestamp(1_795_262_400).to_string(), "2026-11-21T12:00:00Z");
        assert_eq!(
            Timestamp(i64::MAX).to_string().parse::<Timestamp>(),
            Ok(Timestamp(253_402_207_200))
        );
    }

    #[rstest]
    #[case("")]
    #[case("yesterday")]
    #[case("2026-11-21")]
    fn what_is_no_moment_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp(text.to_owned())));
    }
}
