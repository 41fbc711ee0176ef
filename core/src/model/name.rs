//! Names that have a meaning: a [`SegmentName`] or a [`NamespaceName`] cannot hold what Kubernetes would refuse, so
//! past configuration nothing has to check them again. Cheap to clone (`Arc<str>`).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A name that Kubernetes would not take, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Neither an RFC 1123 label nor, where dots are allowed, a sequence of them.
    #[error(
        "{name:?} is not a valid {kind} name: use lower-case letters, digits and '-', begin and end with a letter or \
         digit, at most {limit} characters"
    )]
    Syntax {
        /// The text as given.
        name: String,
        /// What it should have named, e.g. `segment`.
        kind: &'static str,
        /// The most characters it may have.
        limit: usize,
    },
    /// Kept for what is derived from policies.
    #[error(
        "{0:?} begins with {RESERVED_FOR_DERIVED:?}, as only what is published of segments derived from NetworkPolicies \
         does; permissions on those are asked on networkpolicies/NAME"
    )]
    Reserved(String),
}

/// What the published objects of derived segments begin with, and no configured segment does.
pub const RESERVED_FOR_DERIVED: &str = "derived.";

/// Whether `text` is an RFC 1123 label, or (with `dots`) a subdomain, of at most `limit` bytes.
fn is_dns_name(text: &str, dots: Dots, limit: usize) -> bool {
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        edge(bytes.first())
            && edge(bytes.last())
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    };
    text.len() <= limit
        && match dots {
            Dots::Refused => is_label(text),
            Dots::Allowed => text.split('.').all(is_label),
        }
}

/// Whether Kubernetes would take `text` where an RFC 1123 label is asked for, e.g. as the name of a namespace.
pub fn is_dns_label(text: &str) -> bool {
    is_dns_name(text, Dots::Refused, 63)
}

/// Whether Kubernetes would take `text` where an RFC 1123 subdomain is asked for, e.g. as the name of most objects.
pub fn is_dns_subdomain(text: &str) -> bool {
    is_dns_name(text, Dots::Allowed, 253)
}

#[derive(Clone, Copy)]
enum Dots {
    Allowed,
    Refused,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $dots:expr, $limit:literal, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes a name as Kubernetes would; the error says what is allowed.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                let reserved: Option<&str> = $reserved;
                if !is_dns_name(text, $dots, $limit) {
                    return Err(InvalidName::Syntax { name: text.to_owned(), kind: $kind, limit: $limit });
                }
                if reserved.is_some_and(|prefix| text.starts_with(prefix)) {
                    return Err(InvalidName::Reserved(text.to_owned()));
                }
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }
    };
}

name_type!(
    /// The name of a segment: an RFC 1123 subdomain of at most 200 characters, as it is also the name of a published object
    /// and, with a prefix, of a ClusterRole. One that is derived from a policy is called after that ([`SegmentName::of_policy`]).
    SegmentName, "segment", Dots::Allowed, 200, Some(RESERVED_FOR_DERIVED)
);
name_type!(
    /// The name of a namespace: an RFC 1123 label of at most 63 characters.
    NamespaceName, "namespace", Dots::Refused, 63, None
);
name_type!(
    /// The name of an isolation profile: an RFC 1123 label of at most 63 characters, as namespaces choose it by a label.
    ProfileName, "profile", Dots::Refused, 63, None
);

impl SegmentName {
    /// The name of the segment that is derived from a NetworkPolicy: `NAMESPACE/NAME`, which no configured segment can have.
    pub fn of_policy(namespace: &NamespaceName, policy: &str) -> Self {
        Self(Arc::from(format!("{namespace}/{policy}")))
    }

    /// The namespace and the name of the policy that the segment is derived from; none for a configured one.
    pub fn policy(&self) -> Option<(&str, &str)> {
        self.0.split_once('/')
    }
}

impl ProfileName {
    /// The reserved profile without policies.
    pub const NONE: &str = "none";

    /// Whether it is the reserved profile without policies.
    pub fn is_none(&self) -> bool {
        self.as_str() == Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("payments", true)]
    #[case("a", true)]
    #[case("a-1", true)]
    #[case("", false)]
    #[case("-a", false)]
    #[case("a-", false)]
    #[case("A", false)]
    #[case("a.b", false)]
    #[case("a_b", false)]
    #[case("0123456789012345678901234567890123456789012345678901234567890123", false)]
    fn namespace_names_are_rfc_1123_labels(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(NamespaceName::new(text).is_ok(), valid, "{text}");
    }

    #[rstest::rstest]
    #[case("payments.db", true)]
    #[case("payments..db", false)]
    #[case(".", false)]
    #[case("derived", true)]
    #[case("derived-db", true)]
    #[case("derived.payments.db", false)]
    fn segment_names_may_have_dots(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(SegmentName::new(text).is_ok(), valid, "{text}");
    }
}
