//! The checks against a tenant who writes policies step by step: what could not be created may not come to stand by updates
//! that are each no worse than what stood, nor by any other way of writing it.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::checks::{enforcing, found, judged};
use super::*;

/// Every check on what policies say, strict enough that few peers and ports break it.
const ALL: &str = "name: WorldIngress}, {name: WorldEgress}, \
                   {name: AllNamespaces, podRanges: [10.0.1.0/24], commonLabels: [team]}, {name: MissingPorts, mostPorts: 4}, \
                   {name: WideCIDR, widest: {ipv4: 28}}, {name: MetadataEndpoint, services: [AzureWireServer]}, \
                   {name: UnownedNamespaceLabel, ownedLabels: [team]";

static ALL_ENFORCED: LazyLock<Snapshot> = LazyLock::new(|| enforcing(&ALL.replace("{name", "{mode: Enforce, name")));

/// One rule as it is written.
#[derive(Debug, Clone, Default)]
struct Rule {
    peers: Vec<Value>,
    ports: Vec<Value>,
}

/// A policy as it is written.
#[derive(Debug, Clone)]
struct Draft {
    pods: Value,
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
    types: &'static [&'static str],
}

impl Draft {
    fn text(&self) -> String {
        let list = |rules: &[Rule], peers: &str| -> Vec<Value> {
            let rule = |rule: &Rule| json!({peers: rule.peers, "ports": rule.ports});
            rules.iter().map(rule).collect()
        };
        let spec = json!({
            "podSelector": self.pods,
            "ingress": list(&self.ingress, "from"),
            "egress": list(&self.egress, "to"),
            "policyTypes": self.types,
        });
        spec.to_string()
    }
}

/// One step of a tenant, by numbers that are taken modulo what there is.
#[derive(Debug, Clone, Copy)]
enum Move {
    AddRule(usize, usize),
    DropRule,
    AddPeer(usize),
    DropPeer(usize),
    /// Writes two ipBlocks side by side as one.
    Join,
    /// Writes an ipBlock as its halves.
    Split(usize),
    AddPort(usize),
    SetPorts(usize),
    Pods(usize),
    Types(usize),
}

fn peers() -> Vec<Value> {
    let block = |cidr: String| json!({"ipBlock": {"cidr": cidr}});
    let namespaces = |selector: Value| json!({"namespaceSelector": selector});
    let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    let mut peers: Vec<Value> = (0..24)
        .map(|part| block(format!("10.0.0.{}/28", part * 16 % 256)))
        .collect();
    peers.extend((0..8).map(|part| block(format!("32.{}.0.0/28", part * 32))));
    peers.extend(
        [
            "10.0.1.0/28",
            "169.254.169.254/32",
            "168.63.129.16/32",
            "64:ff9b::a00:0/124",
            "fd00::/64",
        ]
        .map(|cidr| block(cidr.into())),
    );
    peers.extend([
        json!({"podSelector": {}}),
        json!({"podSelector": {"matchLabels": {"app": "a"}}}),
        namespaces(json!({})),
        namespaces(json!({"matchLabels": {"kubernetes.io/metadata.name": "bank"}})),
        namespaces(json!({"matchLabels": {"team": "blue"}})),
        namespaces(json!({"matchLabels": {"env": "prod"}})),
        namespaces(expression("team", "Exists", &[])),
        namespaces(expression("env", "NotIn", &["dev"])),
        namespaces(expression("kubernetes.io/metadata.name", "NotIn", &["bank"])),
    ]);
    peers
}

fn ports() -> Vec<Value> {
    vec![
        json!({"port": 80}),
        json!({"port": 53, "protocol": "UDP"}),
        json!({"port": 8000, "endPort": 8002}),
        json!({"port": 9000, "endPort": 9003}),
        json!({"port": 32526}),
        json!({"port": "http"}),
        json!({"protocol": "SCTP"}),
    ]
}

fn block_of(peer: &Value) -> Option<ipnet::Ipv4Net> {
    peer["ipBlock"]["cidr"].as_str()?.parse().ok()
}

impl Draft {
    fn moved(&self, direction: usize, rule: usize, by: Move) -> Self {
        let (peers, ports) = (peers(), ports());
        let mut draft = self.clone();
        let rules = if direction == 0 {
            &mut draft.ingress
        } else {
            &mut draft.egress
        };
        let at = rule % rules.len().max(1);
        match by {
            Move::AddRule(peer, port) => rules.push(Rule {
                peers: peers.get(peer % (peers.len() + 1)).cloned().into_iter().collect(),
                ports: ports.get(port % (ports.len() + 1)).cloned().into_iter().collect(),
            }),
            Move::Pods(which) => {
                let few = [
                    json!({"matchLabels": {"app": "a"}}),
                    json!({"matchLabels": {"app": "b"}}),
                ];
                draft.pods = few.get(which % 3).cloned().unwrap_or_else(|| json!({}));
            }
            Move::Types(which) => {
                let types: [&[&str]; 3] = [&["Ingress", "Egress"], &["Ingress"], &["Egress"]];
                draft.types = types[which % 3];
            }
            _ if rules.is_empty() => {}
            Move::DropRule => {
                rules.remove(at);
            }
            Move::AddPeer(peer) => rules[at].peers.push(peers[peer % peers.len()].clone()),
            Move::DropPeer(peer) => {
                let listed = &mut rules[at].peers;
                // An emptied list is everyone: that, too, is tried.
                let peer = peer % listed.len().max(1);
                listed.drain(peer.min(listed.len())..(peer + 1).min(listed.len()));
            }
            Move::Join => {
                let blocks: Vec<_> = rules[at].peers.iter().filter_map(block_of).collect();
                let joined = ipnet::Ipv4Net::aggregate(&blocks);
                rules[at].peers.retain(|peer| block_of(peer).is_none());
                let written = joined.iter().map(|net| json!({"ipBlock": {"cidr": net.to_string()}}));
                rules[at].peers.extend(written);
            }
            Move::Split(peer) => {
                let listed = &mut rules[at].peers;
                let peer = peer % listed.len().max(1);
                let halves = listed
                    .get(peer)
                    .and_then(block_of)
                    .and_then(|net| net.subnets(net.prefix_len() + 1).ok());
                if let Some(halves) = halves {
                    listed.remove(peer);
                    listed.extend(halves.map(|net| json!({"ipBlock": {"cidr": net.to_string()}})));
                }
            }
            Move::AddPort(port) => rules[at].ports.push(ports[port % ports.len()].clone()),
            Move::SetPorts(port) => {
                rules[at].ports = ports.get(port % (ports.len() + 1)).cloned().into_iter().collect();
            }
        }
        draft
    }
}

fn moves() -> impl Strategy<Value = (usize, usize, Move)> {
    let any = || 0..64_usize;
    let by = prop_oneof![
        3 => (any(), any()).prop_map(|(peer, port)| Move::AddRule(peer, port)),
        1 => Just(Move::DropRule),
        6 => any().prop_map(Move::AddPeer),
        1 => any().prop_map(Move::DropPeer),
        3 => Just(Move::Join),
        1 => any().prop_map(Move::Split),
        2 => any().prop_map(Move::AddPort),
        1 => any().prop_map(Move::SetPorts),
        1 => any().prop_map(Move::Pods),
        1 => any().prop_map(Move::Types),
    ];
    (0..2_usize, 0..3_usize, by)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Whatever stands that nobody waived could be created as it stands.
    #[test]
    fn nothing_comes_to_stand_by_steps_that_could_not_be_created(steps in prop::collection::vec(moves(), 1..32)) {
        let snapshot = &*ALL_ENFORCED;
        let mut standing = Draft {
            pods: json!({"matchLabels": {"app": "a"}}),
            ingress: Vec::new(),
            egress: Vec::new(),
            types: &["Ingress", "Egress"],
        };
        prop_assert!(judged(snapshot, None, &standing.text()).allowed());
        for (direction, rule, by) in steps {
            let next = standing.moved(direction, rule, by);
            let (before, after) = (standing.text(), next.text());
            if before == after || !judged(snapshot, Some(&before), &after).allowed() {
                continue;
            }
            let anew = judged(snapshot, None, &after);
            prop_assert!(anew.allowed(), "{:?}: {} then {}", found(&anew), before, after);
            standing = next;
        }
    }
}

fn blocks(cidrs: &[String]) -> String {
    let peers: Vec<Value> = cidrs.iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}})).collect();
    json!({"egress": [{"to": peers, "ports": [{"port": 443}]}], "policyTypes": ["Egress"]}).to_string()
}

fn parts(first: u8, last: u8) -> Vec<String> {
    (first..=last).map(|part| format!("10.{part}.0.0/16")).collect()
}

/// Sixteen ranges may stand; put together they are one that is too wide, beside which there would be room for sixteen more.
#[test]
fn small_ranges_are_not_put_together_to_a_wide_one() {
    let snapshot = enforcing("name: WideCIDR");
    let small = parts(0, 15);
    assert_eq!(found(&judged(&snapshot, None, &blocks(&small))), Vec::<String>::new());
    let together = ["10.0.0.0/12".to_owned()];
    let decision = judged(&snapshot, Some(&blocks(&small)), &blocks(&together));
    assert_eq!(found(&decision), ["WideCIDR LacksPermission"]);
    // Nor beside a wide one that stands from before, which itself may stay and shrink.
    let beside = [&together[..], &parts(16, 31)].concat();
    let decision = judged(&snapshot, Some(&blocks(&together)), &blocks(&beside));
    assert_eq!(found(&decision), ["WideCIDR NoWorse"]);
    let wider = ["10.0.0.0/11".to_owned()];
    let decision = judged(&snapshot, Some(&blocks(&beside)), &blocks(&wider));
    assert_eq!(found(&decision), ["WideCIDR LacksPermission"]);
    let decision = judged(&snapshot, Some(&blocks(&beside)), &blocks(&["10.0.0.0/13".to_owned()]));
    assert_eq!(found(&decision), ["WideCIDR NoWorse"]);
    // What was refused as too many may be written as one.
    let many = parts(0, 31);
    let decision = judged(&snapshot, Some(&blocks(&many)), &blocks(&wider));
    assert_eq!(found(&decision), ["WideCIDR NoWorse"]);
    // What everyone was let out to may be narrowed to it.
    let everyone = r#"{"egress":[{}],"policyTypes":["Egress"]}"#;
    let decision = judged(&snapshot, Some(everyone), &blocks(&wider));
    assert_eq!(found(&decision), ["WideCIDR NoWorse"]);
}

const WORLD: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80}]}]}"#;

/// What stands from before holds for the pods for which it stood, in the direction and on the ports in which it did.
#[rstest]
#[case::other_pods(r#"{"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"ports":[{"port":80}]}]}"#)]
#[case::all_pods_but_few(
    r#"{"podSelector":{"matchExpressions":[{"key":"app","operator":"NotIn","values":["x"]}]},"ingress":[{"ports":[{"port":80}]}]}"#
)]
#[case::pods_of_either_label(
    r#"{"podSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["web","db"]}]},"ingress":[{"ports":[{"port":80}]}]}"#
)]
#[case::the_name_of_a_port(r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":"admin"}]}]}"#)]
#[case::another_protocol(
    r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80,"protocol":"UDP"}]}]}"#
)]
#[case::a_range_of_ports(
    r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80,"endPort":81}]}]}"#
)]
#[case::beside_it(
    r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80}]},{"ports":[{"port":22}]}]}"#
)]
fn what_stands_from_before_does_not_move(#[case] after: &str) {
    let decision = judged(&enforcing("name: WorldIngress"), Some(WORLD), after);
    assert_eq!(found(&decision), ["WorldIngress LacksPermission"]);
}

/// Mended once, it is as new: neither what stood two steps ago nor another policy is what it is compared with.
#[test]
fn what_was_taken_back_is_judged_as_new() {
    let snapshot = enforcing("name: WorldIngress");
    let nobody = r#"{"podSelector":{"matchExpressions":[{"key":"a","operator":"Exists"},{"key":"a","operator":"DoesNotExist"}]},"ingress":[{}]}"#;
    let out =
        r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80}]}],"policyTypes":["Egress"]}"#;
    for harmless in [r#"{"podSelector":{"matchLabels":{"app":"web"}}}"#, nobody, out] {
        assert!(judged(&snapshot, Some(WORLD), harmless).allowed());
        let decision = judged(&snapshot, Some(harmless), WORLD);
        assert_eq!(found(&decision), ["WorldIngress LacksPermission"], "{harmless}");
    }
}

/// Selectors that come to every namespace where each one carries the label, and those that do not.
#[rstest]
#[case::that_it_exists(r#"[{"key":"team","operator":"Exists"}]"#, true)]
#[case::all_but_one_team(
    r#"[{"key":"team","operator":"Exists"},{"key":"team","operator":"NotIn","values":["x"]}]"#,
    true
)]
#[case::all_but_one_team_alone(r#"[{"key":"team","operator":"NotIn","values":["x"]}]"#, true)]
#[case::and_some_name(
    r#"[{"key":"team","operator":"Exists"},{"key":"kubernetes.io/metadata.name","operator":"Exists"}]"#,
    true
)]
#[case::one_team(r#"[{"key":"team","operator":"In","values":["x"]}]"#, false)]
#[case::a_label_that_few_carry(r#"[{"key":"team","operator":"Exists"},{"key":"env","operator":"Exists"}]"#, false)]
#[case::no_team(r#"[{"key":"team","operator":"DoesNotExist"}]"#, false)]
fn that_a_common_label_exists_narrows_nothing(#[case] expressions: &str, #[case] refused: bool) {
    let snapshot = enforcing("name: AllNamespaces, commonLabels: [team]");
    let spec = format!(r#"{{"ingress":[{{"from":[{{"namespaceSelector":{{"matchExpressions":{expressions}}}}}]}}]}}"#);
    assert_eq!(judged(&snapshot, None, &spec).allowed(), !refused);
}
