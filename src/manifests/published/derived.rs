//! How a segment that is derived from a policy is published: under a name that the API server takes and no configured
//! segment can have, within bounds, since whoever may opt policies in writes what it holds.

use ringfence_core::guardrails::documents::SegmentSpec;
use ringfence_core::guardrails::{Clause, Segment};
use ringfence_core::model::{NETWORKING, RESERVED_FOR_DERIVED, SegmentName};
use sha2::{Digest, Sha256};

use super::in_short;

/// The most derived segments that are published, the first by name.
pub const MOST: usize = 1_000;

/// The label of what is published of a derived segment: the namespace of its policy.
pub const LABEL: &str = "ringfence.dev/derived-in";

/// The most bytes of clauses, as JSON, that are published of one.
const LONGEST: usize = 16 * 1024;

/// The most characters of clauses in short words.
const BRIEFEST: usize = 160;

/// The longest name of a policy that is published as it is: that of its namespace and what is added stay within the 253
/// characters of an object's name.
const LONGEST_NAME: usize = 140;

/// What is published of a derived segment beside what every segment has.
pub(super) struct Derivation {
    /// The object's name.
    pub(super) object: String,
    /// The policy's namespace.
    pub(super) namespace: String,
    /// The policy, as `NAMESPACE/NAME`.
    pub(super) policy: String,
}

impl Derivation {
    /// None for a segment that is configured.
    pub(super) fn of(name: &SegmentName) -> Option<Self> {
        let (namespace, policy) = name.policy()?;
        Some(Self {
            object: format!("{RESERVED_FOR_DERIVED}{namespace}.{}", bounded(policy)),
            namespace: namespace.to_owned(),
            policy: name.to_string(),
        })
    }
}

/// The name of a policy, or where it is too long for what is added, its beginning with a digest of the whole: longer than
/// any that is kept, so that it is no other policy's.
fn bounded(policy: &str) -> String {
    if policy.len() <= LONGEST_NAME {
        return policy.to_owned();
    }
    let digest: [u8; 32] = Sha256::digest(policy.as_bytes()).into();
    let digest = digest
        .iter()
        .take(16)
        .fold(0_u128, |all, byte| (all << 8) | u128::from(*byte));
    let beginning: String = policy.chars().take(LONGEST_NAME).collect();
    // Whatever it ends with, a letter may follow.
    format!("{beginning}x{digest:032x}")
}

/// The spec of a derived segment. Clauses that are very long are left to the policy to tell.
pub(super) fn spec(segment: &Segment) -> SegmentSpec {
    let (_, policy) = segment.name.policy().unwrap_or_default();
    let spec = SegmentSpec {
        description: format!(
            "Derived from the NetworkPolicy of that name: its permissions are asked on networkpolicies.{NETWORKING}/{policy}."
        ),
        ..segment.into()
    };
    let length = serde_json::to_vec(&(&spec.members, &spec.clients)).map_or(usize::MAX, |json| json.len());
    if length <= LONGEST {
        return spec;
    }
    SegmentSpec {
        members: Vec::new(),
        clients: Vec::new(),
        ..spec
    }
}

/// Clauses in short words that are short, whatever they hold.
pub(super) fn briefly(clauses: &[Clause]) -> String {
    let words = in_short(clauses);
    match words.char_indices().nth(BRIEFEST) {
        None => words,
        Some((end, _)) => format!("{}…", &words[..end]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ringfence_core::guardrails::{Derived, Guardrails};
    use ringfence_core::model::{NamespaceName, is_dns_subdomain};
    use ringfence_core::netpol::{Leniency, NetworkPolicySpec, Policy};
    use serde_json::{Value, json};

    use super::super::{published_guardrails, published_segments};
    use super::*;

    fn derived(namespace: &str, name: &str, spec: &Value) -> Derived {
        let spec: NetworkPolicySpec = serde_json::from_value(spec.clone()).expect("a spec");
        Derived::of(&Policy::read(namespace, name, &spec, Leniency::Stored).expect("valid"))
    }

    fn over(label: &str) -> Value {
        json!({"podSelector": {"matchLabels": {"app": label}}})
    }

    fn with(derived: &[Derived]) -> Guardrails {
        Guardrails::default().with_derived(derived)
    }

    #[test]
    fn it_says_of_which_policy_it_is_and_where_to_ask() {
        let published = published_segments(&with(&[derived("web", "db", &over("db"))])).remove(0);
        let status = published.status.expect("a status");
        assert_eq!(published.metadata.name.as_deref(), Some("derived.web.db"));
        assert_eq!(published.metadata.labels.expect("labels")[LABEL], "web");
        assert_eq!(
            (
                status.policy.as_deref(),
                status.consent.as_str(),
                status.members.as_str()
            ),
            (Some("web/db"), "web", "app=db in web")
        );
        assert!(
            published
                .spec
                .description
                .contains("networkpolicies.networking.k8s.io/db"),
            "{}",
            published.spec.description
        );
        assert_eq!(published.spec.members.len(), 1);
    }

    /// Whoever may opt policies in chooses what they are called.
    #[test]
    fn every_policy_has_a_name_of_its_own_that_the_api_server_takes_and_no_segment_can_have() {
        let namespace = NamespaceName::new(&"n".repeat(63)).expect("valid");
        let long = |last: &str| "p.".repeat(110) + last;
        let mut policies = vec![
            "db".to_owned(),
            "d.b".to_owned(),
            long("a"),
            long("b"),
            "x".repeat(140),
            "x".repeat(141),
            "-".repeat(140),
        ];
        // What the long ones come to is taken by nobody else.
        policies.extend([bounded(&long("a")), bounded(&"x".repeat(141))]);
        let names: BTreeSet<String> = policies
            .iter()
            .map(|policy| {
                Derivation::of(&SegmentName::of_policy(&namespace, policy))
                    .expect("derived")
                    .object
            })
            .collect();
        assert_eq!(names.len(), policies.len());
        for name in names.iter().filter(|name| !name.contains(".-")) {
            assert!(is_dns_subdomain(name), "{name}");
            assert!(SegmentName::new(name).is_err(), "{name}");
        }
        // A dot in the one is not a dot in the other.
        let other = |namespace: &str, policy: &str| {
            let namespace = NamespaceName::new(namespace).expect("valid");
            Derivation::of(&SegmentName::of_policy(&namespace, policy))
                .expect("derived")
                .object
        };
        assert_ne!(other("a", "b.c"), other("a-b", "c"));
    }

    #[test]
    fn what_one_policy_may_make_us_store_is_bounded() {
        let values: Vec<String> = (0..2_000).map(|number| format!("value-{number}")).collect();
        let spec = json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": values}]}});
        let published = published_segments(&with(&[derived("web", "db", &spec)])).remove(0);
        let json = serde_json::to_vec(&published).expect("JSON");
        assert!(json.len() < 4 * 1024, "{}", json.len());
        let members = published.status.expect("a status").members;
        assert!(
            members.starts_with("app in (value-0,") && members.ends_with('…'),
            "{members}"
        );
    }

    #[test]
    fn beyond_the_most_they_are_counted_and_in_force() {
        // A namespace has no more than 200.
        let many: Vec<Derived> = (0..=MOST)
            .map(|number| derived(&format!("web-{}", number / 200), &format!("p{number:04}"), &over("db")))
            .collect();
        let guardrails = with(&many);
        assert_eq!(published_segments(&guardrails).len(), MOST);
        let status = published_guardrails(&guardrails, &[], None, None, jiff::Timestamp::UNIX_EPOCH)
            .status
            .expect("a status");
        assert_eq!((status.segments, status.derived_segments), (0, 1_001));
        assert_eq!(
            status.notices,
            ["1001 segments are derived from policies; the first 1000 by name are published, all are in force"]
        );
        let few = published_guardrails(&with(&many[..MOST]), &[], None, None, jiff::Timestamp::UNIX_EPOCH);
        assert!(few.status.expect("a status").notices.is_empty());
    }
}
