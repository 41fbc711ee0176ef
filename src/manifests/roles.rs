//! The ClusterRoles that ringfence publishes: one a segment and verb (`ringfence:payments-db:connect`), so that an owner
//! only has to bind. From the guardrails in, ClusterRoles out; the leader applies them, offline answers count them in.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ringfence_core::guardrails::{Guardrails, MANAGED_BY};
use ringfence_core::model::{GROUP, SegmentName, Verb};

/// The verbs on segments that a rule gives a meaning to, each with what it lets one do. ringfence's own service account
/// holds them (RBAC lets nobody publish a role that says more than they hold), and each gets a role per segment.
pub const SEGMENT_VERBS: &[(Verb, &str)] = &[
    (
        Verb::Join,
        "place pods inside the segment, change what they run, or relabel them out of it",
    ),
    (
        Verb::Connect,
        "place pods that the segment's policies let in, or change what they run",
    ),
    (
        Verb::Enter,
        "exec, attach and port-forward into members and clients, reach them by a proxy, or add containers to them",
    ),
    (
        Verb::Manage,
        "write or delete NetworkPolicies that could select members of the segment; at the cluster: create the namespace in \
         which its owner consents",
    ),
];

/// The verbs on a NetworkPolicy that opted in to protection, each with what it lets one do.
pub const POLICY_VERBS: &[(Verb, &str)] = &[
    (
        Verb::Join,
        "place pods that the policy selects, change what they run, or relabel them out of it",
    ),
    (
        Verb::Connect,
        "place pods that the policy names as peers, or change what they run",
    ),
    (
        Verb::Protect,
        "have the policy protect these pods by the label `ringfence.dev/protected: \"true\"`, and change, delete or opt out \
         the policy while it does; at the cluster where a peer reaches beyond its namespace",
    ),
];

/// What the name of every published ClusterRole begins with.
pub const PREFIX: &str = "ringfence:";

/// The name of the ClusterRole that holds `verb` on `segment`.
pub fn role_name(segment: &SegmentName, verb: Verb) -> String {
    format!("{PREFIX}{segment}:{verb}")
}

/// Every ClusterRole that these guardrails publish, by segment and then in the order of [`SEGMENT_VERBS`].
pub fn published_roles(guardrails: &Guardrails) -> Vec<ClusterRole> {
    guardrails
        .segments
        .iter()
        .flat_map(|segment| {
            SEGMENT_VERBS
                .iter()
                .map(|(verb, meaning)| published_role(&segment.name, *verb, meaning))
        })
        .collect()
}

fn published_role(segment: &SegmentName, verb: Verb, meaning: &str) -> ClusterRole {
    let description = format!("{verb} on segment {segment}: {meaning}. Bind it where the segment's owner consents.");
    ClusterRole {
        metadata: ObjectMeta {
            name: Some(role_name(segment, verb)),
            labels: Some(BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())])),
            annotations: Some(BTreeMap::from([("ringfence.dev/description".to_owned(), description)])),
            ..ObjectMeta::default()
        },
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![GROUP.to_owned()]),
            resources: Some(vec!["segments".to_owned()]),
            resource_names: Some(vec![segment.as_str().to_owned()]),
            verbs: vec![verb.as_str().to_owned()],
            non_resource_urls: None,
        }]),
        aggregation_rule: None,
    }
}

#[cfg(test)]
mod tests {
    use ringfence_core::guardrails::Segment;
    use ringfence_core::model::{Mode, Scope};

    use super::*;

    #[test]
    fn each_segment_and_verb_gets_a_role_that_says_that_and_no_more() {
        let segment = |name: &str| Segment {
            name: SegmentName::new(name).expect("a valid name"),
            description: String::new(),
            mode: Mode::Enforce,
            consent: Scope::Cluster,
            members: Vec::new(),
            clients: Vec::new(),
            isolated_from: Vec::new(),
            require_isolation: Vec::new(),
            guard_access: true,
        };
        let guardrails = Guardrails {
            segments: vec![segment("cards"), segment("payments-db")],
            ..Guardrails::default()
        };

        let roles = published_roles(&guardrails);

        let names: Vec<_> = roles.iter().filter_map(|role| role.metadata.name.as_deref()).collect();
        assert_eq!(
            names,
            [
                "ringfence:cards:join",
                "ringfence:cards:connect",
                "ringfence:cards:enter",
                "ringfence:cards:manage",
                "ringfence:payments-db:join",
                "ringfence:payments-db:connect",
                "ringfence:payments-db:enter",
                "ringfence:payments-db:manage",
            ]
        );
        let granted = roles[5].rules.as_deref().expect("a published role has rules");
        let [rule] = granted else {
            panic!("one rule, not {granted:?}")
        };
        assert_eq!(rule.verbs, ["connect"]);
        assert_eq!(rule.resources.as_deref(), Some(&["segments".to_owned()][..]));
        assert_eq!(rule.resource_names.as_deref(), Some(&["payments-db".to_owned()][..]));
        assert_eq!(rule.api_groups.as_deref(), Some(&["ringfence.dev".to_owned()][..]));
    }
}
