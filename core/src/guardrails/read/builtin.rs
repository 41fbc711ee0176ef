//! The built-in policies of isolation profiles: their name and options in, a NetworkPolicySpec out. Nothing is opened to
//! whoever takes a name first: only the DNS of kube-system has a default, other peers have to be said.

use super::labels::{Whose, selector};
use super::network_policy::{block, cidrs, ports};
use super::{namespace, unique};
use crate::guardrails::documents::{
    BuiltinOptions, BuiltinPolicy, Direction, EgressRule, IngressRule, LabelSelector, LabelSelectorRequirement,
    NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec, PortNumberOrName, Protocol, SelectorOperator,
};
use crate::guardrails::place::{Found, Place};
use crate::labels::NAMESPACE_NAME_LABEL;

/// The options that say who is on the other side.
const PEERS: [&str; 4] = ["namespaces", "namespaceSelector", "podSelector", "addresses"];

/// A built-in policy: which options it takes, and what to write where it needs one that is missing.
struct Builtin {
    policy: BuiltinPolicy,
    options: &'static [&'static str],
    /// Advice where nobody is on the other side; none where nobody need be, or a default is.
    without_peers: Option<&'static str>,
}

#[rustfmt::skip]
const BUILTINS: [Builtin; 8] = [
    Builtin { policy: BuiltinPolicy::DefaultDenyIngress, options: &[], without_peers: None },
    Builtin { policy: BuiltinPolicy::DefaultDenyEgress, options: &[], without_peers: None },
    Builtin { policy: BuiltinPolicy::AllowDns, options: &["namespaces", "namespaceSelector", "podSelector", "addresses", "ports"], without_peers: None },
    Builtin { policy: BuiltinPolicy::AllowSameNamespace, options: &["directions"], without_peers: None },
    Builtin {
        policy: BuiltinPolicy::AllowFromIngressController,
        options: &["namespaces", "namespaceSelector", "podSelector", "addresses", "ports"],
        without_peers: Some("say where it runs, e.g. `with: {namespaces: [ingress-nginx]}`"),
    },
    Builtin {
        policy: BuiltinPolicy::AllowFromMonitoring,
        options: &["namespaces", "namespaceSelector", "podSelector", "addresses", "ports"],
        without_peers: Some("say where it runs, e.g. `with: {namespaces: [monitoring]}`"),
    },
    Builtin {
        policy: BuiltinPolicy::AllowToApiserver,
        options: &["addresses", "ports"],
        without_peers: Some(
            "no selector finds it: give `with: {addresses: [...]}` as told by `kubectl get endpointslices -n default -l \
             kubernetes.io/service-name=kubernetes`, and the address of `kubectl get service kubernetes`",
        ),
    },
    Builtin { policy: BuiltinPolicy::DenyExternalEgress, options: &["addresses"], without_peers: None },
];

/// A policy whose spec is known, but for the directions of allow-same-namespace, which hang on the rest of the profile.
pub(super) enum Made {
    /// The spec.
    Spec(NetworkPolicySpec),
    /// allow-same-namespace in whatever directions the rest of the profile isolates.
    SameNamespace,
}

/// Makes a built-in policy, where nothing is wrong with its options.
pub(super) fn builtin(
    place: &Place<'_>,
    policy: BuiltinPolicy,
    options: Option<&BuiltinOptions>,
    found: &mut Found,
) -> Option<Made> {
    let before = found.problems.len();
    let with = place.field("with");
    let none = BuiltinOptions::default();
    let options = options.unwrap_or(&none);
    refuse_foreign(&with, policy, options, found);
    let peers = peers(place, policy, options, found);
    ports(
        &with.field("ports"),
        options.ports.as_deref().unwrap_or_default(),
        found,
    );
    let at = with.field("directions");
    let directions = options.directions.as_deref();
    unique(
        directions
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(position, direction)| (*direction, at.item(position))),
        |direction| format!("{direction:?}"),
        found,
    );
    if found.problems.len() > before {
        return None;
    }
    let ports = |default: &[(i32, Protocol)]| match &options.ports {
        Some(ports) => Some(ports.clone()),
        None if default.is_empty() => None,
        None => Some(
            default
                .iter()
                .map(|(number, protocol)| port(*number, *protocol))
                .collect(),
        ),
    };
    Some(Made::Spec(match policy {
        BuiltinPolicy::DefaultDenyIngress => isolating(Direction::Ingress),
        BuiltinPolicy::DefaultDenyEgress => isolating(Direction::Egress),
        BuiltinPolicy::AllowDns => to(peers, ports(&[(53, Protocol::Udp), (53, Protocol::Tcp)])),
        BuiltinPolicy::AllowSameNamespace => match directions {
            Some(directions) => same_namespace(directions),
            None => return Some(Made::SameNamespace),
        },
        BuiltinPolicy::AllowFromIngressController | BuiltinPolicy::AllowFromMonitoring => from(peers, ports(&[])),
        BuiltinPolicy::AllowToApiserver => to(peers, ports(&[(443, Protocol::Tcp), (6443, Protocol::Tcp)])),
        BuiltinPolicy::DenyExternalEgress => to(peers, None),
    }))
}

/// allow-same-namespace in these directions.
pub(super) fn same_namespace(directions: &[Direction]) -> NetworkPolicySpec {
    let own = || NetworkPolicyPeer {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    let (ingress, egress) = (
        directions
            .contains(&Direction::Ingress)
            .then(|| from(vec![own()], None)),
        directions.contains(&Direction::Egress).then(|| to(vec![own()], None)),
    );
    NetworkPolicySpec {
        policy_types: Some(directions.to_vec()),
        ingress: ingress.and_then(|spec| spec.ingress),
        egress: egress.and_then(|spec| spec.egress),
        ..NetworkPolicySpec::default()
    }
}

fn isolating(direction: Direction) -> NetworkPolicySpec {
    NetworkPolicySpec {
        policy_types: Some(vec![direction]),
        ..NetworkPolicySpec::default()
    }
}

fn from(peers: Vec<NetworkPolicyPeer>, ports: Option<Vec<NetworkPolicyPort>>) -> NetworkPolicySpec {
    NetworkPolicySpec {
        ingress: Some(vec![IngressRule {
            from: Some(peers),
            ports,
        }]),
        ..isolating(Direction::Ingress)
    }
}

fn to(peers: Vec<NetworkPolicyPeer>, ports: Option<Vec<NetworkPolicyPort>>) -> NetworkPolicySpec {
    NetworkPolicySpec {
        egress: Some(vec![EgressRule { to: Some(peers), ports }]),
        ..isolating(Direction::Egress)
    }
}

fn port(number: i32, protocol: Protocol) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol),
        port: Some(PortNumberOrName::Number(number)),
        end_port: None,
    }
}

/// Refuses options that a policy does not take, and lists without items: absent and empty mean different things elsewhere.
fn refuse_foreign(with: &Place<'_>, policy: BuiltinPolicy, options: &BuiltinOptions, found: &mut Found) {
    let BuiltinOptions {
        namespaces,
        namespace_selector,
        pod_selector,
        addresses,
        ports,
        directions,
    } = options;
    let given = [
        ("namespaces", namespaces.as_ref().map(Vec::len)),
        ("namespaceSelector", namespace_selector.as_ref().map(|_| 1)),
        ("podSelector", pod_selector.as_ref().map(|_| 1)),
        ("addresses", addresses.as_ref().map(Vec::len)),
        ("ports", ports.as_ref().map(Vec::len)),
        ("directions", directions.as_ref().map(Vec::len)),
    ];
    let takes = row(policy).map_or(&[][..], |row| row.options);
    for (option, items) in given {
        match items {
            Some(_) if !takes.contains(&option) => {
                let advice = match takes {
                    [] => {
                        "it takes no options; for anything else write your own policy with `name` and `spec`".to_owned()
                    }
                    takes => format!("its options are: {}", takes.join(", ")),
                };
                found.wrong(
                    &with.key(option),
                    format!("{} takes no {option}", policy.as_str()),
                    advice,
                );
            }
            Some(0) => found.wrong(
                &with.field(option),
                format!("an empty list of {option}"),
                "give at least one, or remove the key for the default",
            ),
            Some(_) | None => {}
        }
    }
}

fn row(policy: BuiltinPolicy) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|row| row.policy == policy)
}

/// Who is on the other side.
fn peers(
    place: &Place<'_>,
    policy: BuiltinPolicy,
    options: &BuiltinOptions,
    found: &mut Found,
) -> Vec<NetworkPolicyPeer> {
    let with = place.field("with");
    let takes = row(policy).map_or(&[][..], |row| row.options);
    if !PEERS.iter().any(|option| takes.contains(option)) {
        return Vec::new();
    }
    let mut peers = Vec::new();
    match policy {
        BuiltinPolicy::AllowDns => peers.extend(pods(&with, &dns(options), found)),
        // Every pod of the cluster: a selector never matches what is outside.
        BuiltinPolicy::DenyExternalEgress => peers.push(NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector::default()),
            ..NetworkPolicyPeer::default()
        }),
        _ => peers.extend(pods(&with, options, found)),
    }
    let addresses = options.addresses.as_deref().unwrap_or_default();
    peers.extend(cidrs(&with.field("addresses"), addresses, found).into_iter().map(block));
    let says_nobody =
        options.addresses.is_none() && options.namespaces.is_none() && options.namespace_selector.is_none();
    if let Some(advice) = row(policy).and_then(|row| row.without_peers).filter(|_| says_nobody) {
        found.wrong(
            &place.field("builtin"),
            format!("{} does not say who is on the other side", policy.as_str()),
            advice,
        );
    }
    peers
}

/// The options of allow-dns with its default: the pods labelled k8s-app=kube-dns of kube-system. Where other namespaces are
/// given, other DNS runs there, with labels of its own.
fn dns(options: &BuiltinOptions) -> BuiltinOptions {
    let mut options = options.clone();
    if options.namespaces.is_none() && options.namespace_selector.is_none() {
        options.namespaces = Some(vec!["kube-system".to_owned()]);
        options.pod_selector.get_or_insert_with(|| label("k8s-app", "kube-dns"));
    }
    options
}

/// The pods on the other side, none where no namespaces are given.
fn pods(with: &Place<'_>, options: &BuiltinOptions, found: &mut Found) -> Option<NetworkPolicyPeer> {
    if let Some(pods) = &options.pod_selector {
        selector(&with.field("podSelector"), pods, Whose::PolicyPods, found);
    }
    let namespaces = match (&options.namespaces, &options.namespace_selector) {
        (None, None) => {
            if options.pod_selector.is_some() {
                found.wrong(
                    &with.field("podSelector"),
                    "pods of no namespace",
                    "say where they run, by `namespaces` or `namespaceSelector`",
                );
            }
            return None;
        }
        (Some(_), Some(_)) => {
            found.wrong(
                &with.key("namespaceSelector"),
                "both namespaces and namespaceSelector",
                "keep one of them",
            );
            return None;
        }
        (Some(names), None) => named(&with.field("namespaces"), names, found),
        (None, Some(by_labels)) => {
            selector(&with.field("namespaceSelector"), by_labels, Whose::Namespaces, found);
            by_labels.clone()
        }
    };
    Some(NetworkPolicyPeer {
        namespace_selector: Some(namespaces),
        pod_selector: options.pod_selector.clone(),
        ip_block: None,
    })
}

/// The selector of namespaces by their names.
fn named(place: &Place<'_>, names: &[String], found: &mut Found) -> LabelSelector {
    unique(
        names
            .iter()
            .enumerate()
            .map(|(position, name)| (name, place.item(position))),
        |name| format!("namespace {name:?}"),
        found,
    );
    for (position, name) in names.iter().enumerate() {
        namespace(&place.item(position), name, found);
    }
    match names {
        [only] => label(NAMESPACE_NAME_LABEL, only),
        names => LabelSelector {
            match_expressions: vec![LabelSelectorRequirement {
                key: NAMESPACE_NAME_LABEL.to_owned(),
                operator: SelectorOperator::In,
                values: names.to_vec(),
            }],
            ..LabelSelector::default()
        },
    }
}

fn label(key: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: [(key.to_owned(), value.to_owned())].into(),
        ..LabelSelector::default()
    }
}
