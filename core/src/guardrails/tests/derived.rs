//! What is derived from a NetworkPolicy that opted in, and what never is.

use rstest::rstest;

use super::*;
use crate::labels::Labels;
use crate::model::{Mode, NamespaceName, Scope};
use crate::netpol::{Leniency, NetworkPolicySpec, Policy};

/// What policy `web/db` of this spec (as JSON) makes.
fn derived_in(namespace: &str, spec: &str) -> Derived {
    let spec: NetworkPolicySpec = serde_json::from_str(spec).expect("a spec");
    let policy = Policy::read(namespace, "db", &spec, Leniency::Stored).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    Derived::of(&policy)
}

fn derived(spec: &str) -> Derived {
    derived_in("web", spec)
}

/// The guardrails of this spec with what is derived from policy `web/db`.
fn with(settings: &str, derived: &Derived) -> Guardrails {
    accepted(&guardrails_with(settings)).guardrails.with_derived([derived])
}

/// `namespaces: pods` of each clause; selected namespaces by their requirements.
fn clauses(guardrails: &Guardrails, side: Side) -> Vec<String> {
    let clause = |clause: &Clause| {
        let pods = clause.pods.requirements().iter().map(|one| one.key.as_str());
        let namespaces = match &clause.namespaces {
            NamespaceSet::Named(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            NamespaceSet::Selected(selector) => format!("{:?}", selector.requirements()),
        };
        format!("{namespaces}: {}", pods.collect::<Vec<_>>().join(","))
    };
    let segments = guardrails.derived().iter();
    segments
        .flat_map(|segment| match side {
            Side::Member => &segment.members,
            Side::Client => &segment.clients,
        })
        .map(clause)
        .collect()
}

const DB: &str = r#"{"matchLabels": {"app": "db"}}"#;

/// A policy over `app=db` with this one ingress peer.
fn from(peer: &str) -> Derived {
    derived(&format!(
        r#"{{"podSelector": {DB}, "ingress": [{{"from": [{peer}]}}]}}"#
    ))
}

#[test]
fn a_policy_makes_members_of_what_it_selects_and_clients_of_its_peers() {
    let spec = format!(
        r#"{{"podSelector": {DB}, "ingress": [{{"from": [{{"podSelector": {{"matchLabels": {{"app": "web"}}}}}}]}}],
            "egress": [{{"to": [{{"podSelector": {{"matchLabels": {{"role": "backup"}}}}}},
                              {{"podSelector": {{"matchLabels": {{"app": "web"}}}}}}]}}]}}"#
    );
    let made = derived(&spec);
    assert!(made.left_out.is_empty());
    let whole = with("{mode: Enforce}", &made);
    assert_eq!(clauses(&whole, Side::Member), ["web: app"]);
    assert_eq!(clauses(&whole, Side::Client), ["web: app", "web: role"]);
    let segment = &whole.derived()[0];
    assert_eq!((segment.name.as_str(), segment.mode), ("web/db", Mode::Enforce));
    assert_eq!(
        segment.consent,
        Scope::Namespace(NamespaceName::new("web").expect("a name"))
    );
    assert!(!segment.guard_access);
    let found = whole
        .index
        .candidates("web", &[("role", "backup")].into_iter().collect::<Labels<'_>>());
    assert_eq!(found.len(), 1);
    assert_eq!(whole.segment(found[0].segment).name.as_str(), "web/db");
    assert!(
        whole
            .index
            .candidates("shop", &[("app", "db")].into_iter().collect::<Labels<'_>>())
            .is_empty()
    );
}

#[rstest]
#[case::every_pod(r#"{"podSelector": {}}"#, &[LeftOut::EveryPod])]
#[case::no_pod_selector("{}", &[LeftOut::EveryPod])]
#[case::everyone(r#"{"podSelector": {}, "ingress": [{}]}"#, &[LeftOut::EveryPod, LeftOut::Everyone])]
#[case::addresses(
    r#"{"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}"#,
    &[LeftOut::EveryPod]
)]
#[case::a_namespace_of_peers(
    r#"{"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}]}"#,
    &[LeftOut::EveryPod, LeftOut::EveryPodOfPeer]
)]
#[case::an_empty_peer_selector(
    r#"{"podSelector": {}, "egress": [{"to": [{"podSelector": {}, "namespaceSelector": {}}]}]}"#,
    &[LeftOut::EveryPod, LeftOut::EveryPodOfPeer]
)]
fn what_names_no_pods_makes_nothing(#[case] spec: &str, #[case] left_out: &[LeftOut]) {
    let made = derived(spec);
    assert!(made.is_nothing());
    assert_eq!(made.left_out, left_out);
    assert!(with("{mode: Enforce}", &made).derived().is_empty());
}

#[test]
fn a_label_that_controllers_write_makes_nothing() {
    let made = derived(r#"{"podSelector": {"matchLabels": {"pod-template-hash": "5d9c"}}}"#);
    assert_eq!(made.left_out, [LeftOut::Generated("pod-template-hash".to_owned())]);
    assert!(made.is_nothing());
}

#[test]
fn more_peers_than_a_segment_may_have_are_left_out_and_told() {
    let peers: Vec<String> = (0..1_200)
        .map(|number| format!(r#"{{"podSelector": {{"matchLabels": {{"app": "a{number}"}}}}}}"#))
        .collect();
    let made = from(&peers.join(","));
    assert_eq!(made.left_out, [LeftOut::TooMany]);
    assert_eq!(clauses(&with("{}", &made), Side::Client).len(), 1_000);
}

/// Where nothing is enforced, whoever may edit opts policies in, and every replica holds what they make.
#[test]
fn what_one_policy_makes_every_replica_hold_is_bounded() {
    let values: Vec<String> = (0..10_000).map(|number| format!(r#""v{number:010}""#)).collect();
    let long = format!(
        r#"{{"matchExpressions": [{{"key": "app", "operator": "NotIn", "values": [{}]}}]}}"#,
        values.join(",")
    );
    let made = derived(&format!(r#"{{"podSelector": {long}}}"#));
    assert_eq!((made.is_nothing(), made.left_out), (true, vec![LeftOut::TooMany]));
    // What comes before it, or fits after it, is protected.
    let short = |value: &str| format!(r#"{{"podSelector": {{"matchLabels": {{"app": "{value}"}}}}}}"#);
    let made = from(&format!(r#"{}, {{"podSelector": {long}}}, {}"#, short("a"), short("b")));
    assert_eq!(made.left_out, [LeftOut::TooMany]);
    assert_eq!(clauses(&with("{}", &made), Side::Client), ["web: app", "web: app"]);
}

#[test]
fn what_the_policies_of_one_namespace_make_is_bounded_and_takes_nothing_from_others() {
    let peers: Vec<String> = (0..999)
        .map(|number| format!(r#"{{"podSelector": {{"matchLabels": {{"app": "a{number}"}}}}}}"#))
        .collect();
    let spec = format!(
        r#"{{"podSelector": {DB}, "ingress": [{{"from": [{}]}}]}}"#,
        peers.join(",")
    );
    let spec: NetworkPolicySpec = serde_json::from_str(&spec).expect("a spec");
    let of = |namespace: &str, name: &str| {
        Derived::of(&Policy::read(namespace, name, &spec, Leniency::Stored).expect("valid"))
    };
    let mut many: Vec<Derived> = (0..8).map(|number| of("web", &format!("p{number}"))).collect();
    let values: Vec<String> = (0..1_000).map(|number| format!(r#""{number:060}""#)).collect();
    let spec = format!(
        r#"{{"podSelector": {{"matchExpressions": [{{"key": "app", "operator": "In", "values": [{}]}}]}}}}"#,
        values.join(",")
    );
    many.extend((10..40).map(|number| {
        let spec: NetworkPolicySpec = serde_json::from_str(&spec).expect("a spec");
        Derived::of(&Policy::read("dev", &format!("p{number}"), &spec, Leniency::Stored).expect("valid"))
    }));
    many.extend((100..350).map(|number| {
        let spec = format!(r#"{{"podSelector": {DB}}}"#);
        let spec: NetworkPolicySpec = serde_json::from_str(&spec).expect("a spec");
        Derived::of(&Policy::read("shop", &format!("p{number}"), &spec, Leniency::Stored).expect("valid"))
    }));
    many.push(of("store", "p9"));
    many.reverse();
    let whole = accepted(&guardrails_with("{mode: Enforce}"))
        .guardrails
        .with_derived(&many);
    let (of_dev, others): (Vec<&str>, Vec<&str>) = whole
        .derived()
        .iter()
        .map(|segment| segment.name.as_str())
        .partition(|name| name.starts_with("dev/"));
    assert_eq!(
        (of_dev.len(), of_dev.last()),
        (17, Some(&"dev/p26")),
        "as many as 1 MiB holds"
    );
    let (of_shop, others): (Vec<&str>, Vec<&str>) = others.into_iter().partition(|name| name.starts_with("shop/"));
    assert_eq!((of_shop.len(), of_shop.last()), (200, Some(&"shop/p299")));
    assert_eq!(others, ["store/p9", "web/p0", "web/p1", "web/p2", "web/p3", "web/p4"]);
}

/// Nobody thinks that addresses are pods; who looks why there are no clients is told.
#[rstest]
#[case::addresses_alone(r#"{"ipBlock": {"cidr": "10.0.0.0/8"}}"#, &[LeftOut::Addresses])]
#[case::addresses_among_others(r#"{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"podSelector": {"matchLabels": {"a": "b"}}}"#, &[])]
#[case::of_a_system_namespace(
    r#"{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"a": "b"}}}"#,
    &[LeftOut::System]
)]
fn who_looks_why_is_told(#[case] peers: &str, #[case] left_out: &[LeftOut]) {
    let made = from(peers);
    assert!(made.left_out.is_empty(), "nobody is warned");
    let (segment, told) = made.under(&accepted(&guardrails_with("{mode: Enforce}")).guardrails);
    assert_eq!(told, left_out);
    assert_eq!(segment.map(|segment| segment.mode), Some(Mode::Enforce));
}

/// A policy that lets its pods ask the cluster's DNS is not to have the DNS asked for.
#[test]
fn system_namespaces_are_never_claimed_from_elsewhere() {
    let selected = from(r#"{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}"#);
    let whole = with("{mode: Enforce}", &selected);
    let clients = &whole.derived()[0].clients;
    let in_namespace = |name: &str| {
        let labels = vec![("kubernetes.io/metadata.name".to_owned(), name.to_owned())];
        clients.iter().any(|clause| clause.namespaces.contains(name, &labels))
    };
    assert!(in_namespace("shop") && !in_namespace("kube-system"));
    assert_eq!(
        whole.selecting.len(),
        1,
        "which namespaces are meant hangs on their labels"
    );
    let names = r#"{"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In",
        "values": ["shop", "kube-system", "No_Namespace"]}]}"#;
    let named = from(&format!(
        r#"{{"namespaceSelector": {names}, "podSelector": {{"matchLabels": {{"k8s-app": "kube-dns"}}}}}}"#
    ));
    let whole = with("{mode: Enforce}", &named);
    assert_eq!(clauses(&whole, Side::Client), ["shop: k8s-app"]);
    assert!(whole.selecting.is_empty(), "what is named hangs on no labels");
    let alone = r#"{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}"#;
    assert!(clauses(&with("{}", &from(alone)), Side::Client).is_empty());
}

#[test]
fn a_system_namespace_may_protect_its_own_pods() {
    let made = derived_in("kube-system", &format!(r#"{{"podSelector": {DB}}}"#));
    assert_eq!(
        clauses(&with("{mode: Enforce}", &made), Side::Member),
        ["kube-system: app"]
    );
}

/// Who may not be refused in its own namespace may not have others refused elsewhere.
#[rstest]
#[case::enforced("{mode: Enforce}", Mode::Enforce)]
#[case::warned("{mode: Warn}", Mode::Warn)]
#[case::held_back_there("{mode: Enforce, rollout: {namespaces: [{name: web, mode: Audit}]}}", Mode::Audit)]
#[case::held_back_elsewhere("{mode: Enforce, rollout: {namespaces: [{name: shop, mode: Audit}]}}", Mode::Enforce)]
fn it_is_as_strict_as_its_namespace(#[case] settings: &str, #[case] mode: Mode) {
    let whole = with(settings, &derived(&format!(r#"{{"podSelector": {DB}}}"#)));
    assert_eq!(whole.derived()[0].mode, mode);
}

#[rstest]
#[case::own_namespace(r#"{"podSelector": {"matchLabels": {"a": "b"}}}"#, None)]
#[case::pinned(
    r#"{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "web", "team": "x"}}}"#,
    None
)]
#[case::addresses(r#"{"ipBlock": {"cidr": "10.0.0.0/8"}}"#, None)]
#[case::every_namespace(r#"{"namespaceSelector": {}}"#, Some("ingress[0].from[0]"))]
#[case::another(
    r#"{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}"#,
    Some("ingress[0].from[0]")
)]
#[case::two_names(
    r#"{"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["web", "shop"]}]}}"#,
    Some("ingress[0].from[0]")
)]
#[case::all_but_another(
    r#"{"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["shop"]}]}}"#,
    Some("ingress[0].from[0]")
)]
#[case::by_a_label_of_its_own(
    r#"{"podSelector": {"matchLabels": {"a": "b"}}}, {"namespaceSelector": {"matchLabels": {"team": "web"}}}"#,
    Some("ingress[0].from[1]")
)]
fn a_peer_reaches_beyond_unless_it_is_pinned(#[case] peers: &str, #[case] beyond: Option<&str>) {
    let spec = format!(r#"{{"podSelector": {DB}, "ingress": [{{"from": [{peers}]}}]}}"#);
    let spec: NetworkPolicySpec = serde_json::from_str(&spec).expect("a spec");
    let policy = Policy::read("web", "db", &spec, Leniency::Stored).expect("valid");
    assert_eq!(reaching_beyond(&policy).as_deref(), beyond);
}

#[test]
fn webhooks_fail_closed_where_derived_segments_deny_and_wherever_a_policy_may_opt_in() {
    let made = derived(&format!(r#"{{"podSelector": {DB}}}"#));
    let settings = "{mode: Enforce, rollout: {namespaces: [{name: shop, mode: Audit}]}}";
    let whole = with(settings, &made);
    assert!(whole.enforced().contains("web") && !whole.enforced().contains("payments"));
    let policies = accepted(&guardrails_with(settings)).guardrails.enforced_on_policies();
    assert!(policies.contains("payments") && !policies.contains("shop") && !policies.contains("kube-system"));
    assert!(with("{mode: Warn}", &made).enforced().is_nowhere());
    assert!(with("{mode: Warn}", &made).enforced_on_policies().is_nowhere());
}

#[test]
fn configured_segments_keep_their_places() {
    let segment = "---\n{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {name: zoo}, spec: {members: \
                   [{namespaces: [zoo], podSelector: {matchLabels: {app: db}}}]}}\n";
    let configured = accepted(&(guardrails_with("{mode: Enforce}") + segment)).guardrails;
    let made = ["b", "a"].map(|namespace| derived_in(namespace, &format!(r#"{{"podSelector": {DB}}}"#)));
    let whole = configured.with_derived(&made);
    let names: Vec<&str> = whole.segments.iter().map(|segment| segment.name.as_str()).collect();
    assert_eq!(names, ["zoo", "a/db", "b/db"]);
    assert_eq!((whole.configured().len(), whole.derived().len()), (1, 2));
    assert_eq!(whole.revision, configured.revision);
    assert_eq!(
        whole.consents, configured.consents,
        "a derived segment's namespace is there already"
    );
    let found = whole
        .index
        .candidates("zoo", &[("app", "db")].into_iter().collect::<Labels<'_>>());
    assert_eq!(whole.segment(found[0].segment).name.as_str(), "zoo");
}
