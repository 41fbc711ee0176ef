//! The checks on policies: what each refuses, however it is written, and what passes.

use super::*;
use crate::guardrails::CheckName;
use crate::model::Running;
use crate::netpol::{NamedPort, Protocol};

/// Guardrails with these settings, and with these segments.
fn configured(settings: &str, segments: &str) -> Snapshot {
    snapshot(compiled(document("Guardrails", "default", settings) + segments))
}

pub(super) fn enforcing(check: &str) -> Snapshot {
    configured(&format!("{{mode: Audit, checks: [{{mode: Enforce, {check}}}]}}"), "")
}

fn waiver(check: &str) -> Question {
    Question::Allowed(Who::Requester, Permission::waive(check))
}

/// Decides an update, or a creation where there was nothing before; who asks holds no waiver.
pub(super) fn judged(snapshot: &Snapshot, before: Option<&str>, after: &str) -> Decision {
    let changes: &[PolicyChange] = if before.is_some() {
        &[PolicyChange::Content]
    } else {
        &[]
    };
    let request = write("web", "mine", before, Some(after), changes);
    let known: Vec<_> = CheckName::ALL
        .into_iter()
        .map(|check| (waiver(check.as_str()), Answer::Allowed(false)))
        .collect();
    run(snapshot, &request, &known).0
}

/// The findings as `WorldIngress LacksPermission`.
pub(super) fn found(decision: &Decision) -> Vec<String> {
    let told = |finding: &Finding| format!("{} {}", finding.rule, finding.reason.as_str());
    decision.findings.iter().map(told).collect()
}

#[rstest]
#[case::absent("name: WorldIngress", r#"{"ingress":[{}]}"#)]
#[case::empty("name: WorldIngress", r#"{"ingress":[{"from":[],"ports":[{"port":80}]}]}"#)]
#[case::null("name: WorldIngress", r#"{"ingress":[{"from":null}]}"#)]
#[case::a_null_rule("name: WorldIngress", r#"{"ingress":[null]}"#)]
#[case::beside_a_narrow_rule("name: WorldIngress", r#"{"ingress":[{"from":[{"podSelector":{}}]},{}]}"#)]
#[case::a_default_policy_type("name: WorldIngress", r#"{"ingress":[{}],"policyTypes":[]}"#)]
#[case::all_of_ipv4("name: WorldIngress", r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0"}}]}]}"#)]
#[case::all_of_ipv6("name: WorldIngress", r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"::/0"}}]}]}"#)]
#[case::two_halves(
    "name: WorldIngress",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/1"}},{"ipBlock":{"cidr":"128.0.0.0/1"}}]}]}"#
)]
#[case::one_half(
    "name: WorldIngress",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"128.0.0.0/1"}}]}]}"#
)]
#[case::in_two_rules(
    "name: WorldIngress",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"20.0.0.0/9"}}],"ports":[{"port":80}]},{"from":[{"ipBlock":{"cidr":"30.0.0.0/9"}}]}]}"#
)]
#[case::with_a_hole(
    "name: WorldIngress",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8","1.2.3.4/32"]}}]}]}"#
)]
#[case::the_ipv6_that_is_in_use("name: WorldIngress", r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"2600::/12"}}]}]}"#)]
#[case::ipv4_as_ipv6_sees_it(
    "name: WorldIngress",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"64:ff9b::/96"}}]}]}"#
)]
#[case::ipv4_mapped(
    "name: WorldIngress",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"::ffff:0:0/96"}}]}]}"#
)]
#[case::beyond_the_load_balancer(
    "name: WorldIngress, allowFrom: [203.0.113.0/28]",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0"}}]}]}"#
)]
#[case::what_nobody_can_read("name: WorldIngress", r#"{"ingress":[{"from":7}]}"#)]
#[case::out("name: WorldEgress", r#"{"egress":[{}]}"#)]
#[case::out_to_an_empty_list(
    "name: WorldEgress",
    r#"{"egress":[{"to":[],"ports":[{"port":443}]}],"policyTypes":["Egress"]}"#
)]
#[case::out_to_all("name: WorldEgress", r#"{"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0"}}]}]}"#)]
#[case::out_of_private_ranges(
    "name: WorldEgress",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8","172.16.0.0/12","192.168.0.0/16"]}}]}]}"#
)]
#[case::every_namespace("name: AllNamespaces", r#"{"ingress":[{"from":[{"namespaceSelector":{}}]}]}"#)]
#[case::every_namespace_of_some_pods(
    "name: AllNamespaces",
    r#"{"ingress":[{"from":[{"namespaceSelector":{},"podSelector":{"matchLabels":{"app":"hollowapp"}}}]}]}"#
)]
#[case::every_namespace_out("name: AllNamespaces", r#"{"egress":[{"to":[{"namespaceSelector":{}}]}]}"#)]
#[case::whatever_has_a_name(
    "name: AllNamespaces",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"Exists"}]}}]}]}"#
)]
#[case::all_but_one_name(
    "name: AllNamespaces",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["x"]}]}}]}]}"#
)]
#[case::whatever_lacks_a_label(
    "name: AllNamespaces",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]}}]}]}"#
)]
#[case::all_but_one_value(
    "name: AllNamespaces",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchExpressions":[{"key":"env","operator":"NotIn","values":["x"]}]}}]}]}"#
)]
#[case::the_addresses_of_all_pods(
    "name: AllNamespaces, podRanges: [10.244.0.0/16]",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.244.0.0/16"}}]}]}"#
)]
#[case::a_range_around_them(
    "name: AllNamespaces, podRanges: [10.244.0.0/16]",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"}}]}]}"#
)]
#[case::half_of_them_out(
    "name: AllNamespaces, podRanges: [10.244.0.0/16]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"10.244.0.0/17"}}]}]}"#
)]
#[case::one_of_them(
    "name: AllNamespaces, podRanges: [10.1.0.0/16, 10.244.0.0/16]",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.244.3.7/32"}}]}]}"#
)]
#[case::all_but_one_of_them(
    "name: AllNamespaces, podRanges: [10.244.0.0/30]",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.244.0.0/31","10.244.0.2/32"]}}]}]}"#
)]
#[case::by_ipv6_of_pods(
    "name: AllNamespaces, podRanges: [10.244.0.0/16, 'fd00:10:244::/56']",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"fd00:10:244::/64"}}]}]}"#
)]
#[case::mapped_addresses_of_pods(
    "name: AllNamespaces, podRanges: [10.244.0.0/16]",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"::ffff:10.244.0.0/112"}}]}]}"#
)]
#[case::no_ports("name: MissingPorts", r#"{"ingress":[{"from":[{"podSelector":{}}]}]}"#)]
#[case::empty_ports("name: MissingPorts", r#"{"ingress":[{"from":[{"podSelector":{}}],"ports":[]}]}"#)]
#[case::no_ports_out("name: MissingPorts", r#"{"egress":[{"to":[{"podSelector":{}}]}]}"#)]
#[case::a_port_without_a_number("name: MissingPorts", r#"{"ingress":[{"from":[{"podSelector":{}}],"ports":[{}]}]}"#)]
#[case::a_whole_protocol("name: MissingPorts", r#"{"ingress":[{"ports":[{"protocol":"UDP"}]}]}"#)]
#[case::all_but_one_port("name: MissingPorts", r#"{"ingress":[{"ports":[{"port":2,"endPort":65535}]}]}"#)]
#[case::ports_in_halves(
    "name: MissingPorts, mostPorts: 40000",
    r#"{"ingress":[{"ports":[{"port":1,"endPort":32767}]},{"ports":[{"port":32768,"endPort":65535}]}]}"#
)]
#[case::more_ports_than_allowed(
    "name: MissingPorts, mostPorts: 10",
    r#"{"ingress":[{"ports":[{"port":1,"endPort":11}]}]}"#
)]
#[case::a_wide_range("name: WideCIDR", r#"{"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8"}}]}]}"#)]
#[case::a_wide_range_with_a_hole(
    "name: WideCIDR",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/15","except":["10.0.0.0/16"]}}]}]}"#
)]
#[case::a_wide_range_of_ipv6("name: WideCIDR", r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"2001:db8::/32"}}]}]}"#)]
#[case::wider_than_allowed(
    "name: WideCIDR, widest: {ipv4: 24}",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/23"}}]}]}"#
)]
#[case::a_wide_range_as_ipv6_sees_it(
    "name: WideCIDR",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"64:ff9b::2000:0/105"}}]}]}"#
)]
#[case::the_metadata_endpoint(
    "name: MetadataEndpoint",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"169.254.169.254/32"}}]}]}"#
)]
#[case::a_range_around_it(
    "name: MetadataEndpoint",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"169.254.0.0/16"}}]}]}"#
)]
#[case::a_hole_beside_it(
    "name: MetadataEndpoint",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["169.254.169.253/32"]}}]}]}"#
)]
#[case::a_hole_in_one_of_two_blocks(
    "name: MetadataEndpoint",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["169.254.169.254/32"]}},{"ipBlock":{"cidr":"169.254.169.0/24"}}]}]}"#
)]
#[case::everywhere("name: MetadataEndpoint", r#"{"egress":[{"ports":[{"port":1,"endPort":1024}]}]}"#)]
#[case::by_ipv6("name: MetadataEndpoint", r#"{"egress":[{"to":[{"ipBlock":{"cidr":"fd00::/8"}}]}]}"#)]
#[case::mapped(
    "name: MetadataEndpoint",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"::ffff:169.254.169.254/128"}}]}]}"#
)]
#[case::another_endpoint(
    "name: MetadataEndpoint, endpoints: [100.100.100.200]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"100.100.100.200/32"}}],"ports":[{"port":80}]}]}"#
)]
#[case::by_ipv6_of_another_cloud(
    "name: MetadataEndpoint",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"fd00::/8","except":["fd00:ec2::254/128"]}}],"ports":[{"port":80}]}]}"#
)]
#[case::another_port_of_ones_own_endpoint(
    "name: MetadataEndpoint, endpoints: [10.0.0.9], ports: [8181]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.9/32"}}],"ports":[{"port":8181}]}]}"#
)]
#[case::another_port_of_the_endpoint(
    "name: MetadataEndpoint, ports: [8775]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"169.254.169.254/32"}}],"ports":[{"port":8000,"endPort":9000}]}]}"#
)]
#[case::the_wire_server(
    "name: MetadataEndpoint, services: [AzureWireServer]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"168.63.129.16/32"}}],"ports":[{"port":32526}]}]}"#
)]
#[case::the_wire_server_beside_the_usual_exception(
    "name: MetadataEndpoint, services: [ECS, AzureWireServer]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["169.254.0.0/16"]}}],"ports":[{"port":80}]}]}"#
)]
#[case::a_service_that_answers_where_it_is_sent_to(
    "name: MetadataEndpoint, services: [GKEMetadataServer]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"169.254.169.252/32"}}],"ports":[{"port":988}]}]}"#
)]
#[case::to_everyone_on_a_port_of_a_service(
    "name: MetadataEndpoint, services: [GKEMetadataServer]",
    r#"{"egress":[{"ports":[{"port":988}]}]}"#
)]
#[case::a_label_to_copy(
    "name: UnownedNamespaceLabel",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"env":"prod"}}}]}]}"#
)]
#[case::a_label_to_copy_out(
    "name: UnownedNamespaceLabel",
    r#"{"egress":[{"to":[{"namespaceSelector":{"matchExpressions":[{"key":"env","operator":"Exists"}]},"podSelector":{}}]}]}"#
)]
#[case::an_owned_label_only_excluded(
    "name: UnownedNamespaceLabel, ownedLabels: [team]",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"env":"prod"},"matchExpressions":[{"key":"team","operator":"NotIn","values":["x"]}]}}]}]}"#
)]
#[case::any_name_and_a_label(
    "name: UnownedNamespaceLabel",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"env":"prod"},"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"Exists"}]}}]}]}"#
)]
#[case::a_label_excluded(
    "name: UnownedNamespaceLabel",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchExpressions":[{"key":"env","operator":"NotIn","values":["dev"]}]}}]}]}"#
)]
fn what_a_check_refuses_is_refused_however_it_is_written(#[case] check: &str, #[case] spec: &str) {
    let decision = judged(&enforcing(check), None, spec);
    let name = check.trim_start_matches("name: ").split(',').next().unwrap_or_default();
    assert_eq!(found(&decision), [format!("{name} LacksPermission")], "{decision:?}");
    assert!(matches!(decision.verdict, Verdict::Deny(_)), "{decision:?}");
}

#[rstest]
#[case::a_denial("name: WorldIngress", r#"{"ingress":[],"policyTypes":["Ingress"]}"#)]
#[case::no_spec("name: WorldIngress", "")]
#[case::rules_of_no_policy_type("name: WorldIngress", r#"{"ingress":[{}],"policyTypes":["Egress"]}"#)]
#[case::the_other_direction("name: WorldIngress", r#"{"egress":[{}],"policyTypes":["Egress"]}"#)]
#[case::named_pods(
    "name: WorldIngress",
    r#"{"ingress":[{"from":[{"podSelector":{}},{"namespaceSelector":{}}]}]}"#
)]
#[case::a_network_of_ones_own(
    "name: WorldIngress",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"}}]}]}"#
)]
#[case::all_private_ranges(
    "name: WorldIngress",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8"}},{"ipBlock":{"cidr":"172.16.0.0/12"}},{"ipBlock":{"cidr":"fd00::/8"}}]}]}"#
)]
#[case::the_load_balancer(
    "name: WorldIngress, allowFrom: [20.0.0.0/8]",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"20.0.0.0/8"}}]}]}"#
)]
#[case::a_policy_that_selects_nobody(
    "name: WorldIngress",
    r#"{"podSelector":{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]},"ingress":[{}]}"#
)]
#[case::a_partner(
    "name: WorldEgress, allowTo: [17.0.0.0/8]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"17.0.0.0/8"}}]}]}"#
)]
#[case::egress_by_default_policy_types("name: WorldEgress", r#"{"ingress":[{}]}"#)]
#[case::the_own_namespace("name: AllNamespaces", r#"{"ingress":[{"from":[{"podSelector":{}}]}]}"#)]
#[case::a_namespace_by_name(
    "name: AllNamespaces",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"shop"}}}]}]}"#
)]
#[case::a_label_that_is_needed(
    "name: AllNamespaces",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchExpressions":[{"key":"env","operator":"Exists"}]}}]}]}"#
)]
#[case::nobodys_pods(
    "name: AllNamespaces",
    r#"{"ingress":[{"from":[{"namespaceSelector":{},"podSelector":{"matchExpressions":[{"key":"a","operator":"Exists"},{"key":"a","operator":"DoesNotExist"}]}}]}]}"#
)]
#[case::addresses_of_no_pods(
    "name: AllNamespaces, podRanges: [10.244.0.0/16]",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.244.0.0/17","10.244.128.0/17"]}}]}]}"#
)]
#[case::addresses_beside_those_of_pods(
    "name: AllNamespaces, podRanges: [10.244.0.0/16, 'fd00:10:244::/56']",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.243.0.0/16"}},{"ipBlock":{"cidr":"10.245.0.0/16"}},{"ipBlock":{"cidr":"fd00:10:245::/56"}}]}]}"#
)]
#[case::addresses_of_which_nobody_said_whose(
    "name: AllNamespaces",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"10.244.0.0/16"}}]}]}"#
)]
#[case::a_port("name: MissingPorts", r#"{"ingress":[{"from":[],"ports":[{"port":443}]}]}"#)]
#[case::a_port_by_name("name: MissingPorts", r#"{"ingress":[{"ports":[{"port":"http"}]}]}"#)]
#[case::node_ports("name: MissingPorts", r#"{"ingress":[{"ports":[{"port":30000,"endPort":32767}]}]}"#)]
#[case::a_denial_of_ports("name: MissingPorts", r#"{"policyTypes":["Ingress","Egress"]}"#)]
#[case::a_narrow_range("name: WideCIDR", r#"{"egress":[{"to":[{"ipBlock":{"cidr":"172.16.32.0/27"}}]}]}"#)]
#[case::two_ranges_side_by_side(
    "name: WideCIDR",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/16"}},{"ipBlock":{"cidr":"10.1.0.0/16"}}]}]}"#
)]
#[case::one_address_of_ipv6(
    "name: WideCIDR, widest: {ipv4: 1, ipv6: 128}",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"fd00::1/128"}},{"ipBlock":{"cidr":"0.0.0.0/1"}}]}]}"#
)]
#[case::a_hole(
    "name: MetadataEndpoint",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["169.254.0.0/16"]}}]}]}"#
)]
#[case::names_to_everywhere("name: MetadataEndpoint", r#"{"egress":[{"ports":[{"port":53,"protocol":"UDP"}]}]}"#)]
#[case::the_exception_that_everybody_writes(
    "name: MetadataEndpoint",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["169.254.169.254/32"]}}]}]}"#
)]
#[case::names_by_the_wire_server(
    "name: MetadataEndpoint, services: [AzureWireServer]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"168.63.129.16/32"}}],"ports":[{"port":53},{"port":53,"protocol":"UDP"}]}]}"#
)]
#[case::a_port_of_another_endpoint(
    "name: MetadataEndpoint, services: [AzureWireServer]",
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"169.254.169.254/32"}}],"ports":[{"port":32526}]}]}"#
)]
#[case::from_the_endpoint(
    "name: MetadataEndpoint",
    r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"169.254.169.254/32"}}]}]}"#
)]
#[case::an_owned_label(
    "name: UnownedNamespaceLabel, ownedLabels: [env]",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"env":"prod"}}}]}]}"#
)]
#[case::an_owned_label_that_exists(
    "name: UnownedNamespaceLabel, ownedLabels: [env]",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchExpressions":[{"key":"env","operator":"Exists"},{"key":"other","operator":"Exists"}]}}]}]}"#
)]
#[case::a_name_and_a_label(
    "name: UnownedNamespaceLabel",
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"shop","env":"prod"}}}]}]}"#
)]
#[case::no_label_at_all(
    "name: UnownedNamespaceLabel",
    r#"{"ingress":[{"from":[{"namespaceSelector":{}}]}]}"#
)]
fn what_a_check_leaves_alone_passes(#[case] check: &str, #[case] spec: &str) {
    let decision = judged(&enforcing(check), None, spec);
    assert_eq!((found(&decision), &decision.verdict), (Vec::new(), &Verdict::Allow));
}

/// Neither 256 parts of a wide range, nor half of them, come to something else than the range.
#[rstest]
#[case("name: WideCIDR", 1)]
#[case("name: WideCIDR", 2)]
#[case("name: AllNamespaces, podRanges: [10.0.0.0/8]", 1)]
#[case("name: AllNamespaces, podRanges: [10.244.0.0/16]", 2)]
fn a_range_that_is_cut_up_is_as_wide(#[case] check: &str, #[case] every: usize) {
    let parts: Vec<String> = (0..=255)
        .step_by(every)
        .map(|part| format!(r#"{{"ipBlock":{{"cidr":"10.{part}.0.0/16"}}}}"#))
        .collect();
    let spec = format!(r#"{{"egress":[{{"to":[{}]}}]}}"#, parts.join(","));
    let decision = judged(&enforcing(check), None, &spec);
    let name = check.trim_start_matches("name: ").split(',').next().unwrap_or_default();
    assert_eq!(found(&decision), [format!("{name} LacksPermission")]);
}

const WORLD: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80}]}]}"#;
const WORLD_TLS: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":443}]}]}"#;
const WORLD_OF_ALL: &str = r#"{"ingress":[{"ports":[{"port":80}]}]}"#;
const WORLD_AND_PODS: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80}]},{"from":[{"podSelector":{}}]}]}"#;
const DENIED: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}}}"#;
const NEVER_IN_FORCE: &str =
    r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80}]}],"policyTypes":["Egress"]}"#;

#[rstest]
#[case::narrowed(WORLD_OF_ALL, WORLD, &["WorldIngress NoWorse"])]
#[case::beside_it_something_opens(WORLD, WORLD_AND_PODS, &["WorldIngress NoWorse"])]
#[case::something_beside_it_closes(WORLD_AND_PODS, WORLD, &["WorldIngress NoWorse"])]
#[case::mended(WORLD, DENIED, &[])]
#[case::the_same(WORLD, WORLD, &[])]
#[case::another_port(WORLD, WORLD_TLS, &["WorldIngress LacksPermission"])]
#[case::more_pods(WORLD, WORLD_OF_ALL, &["WorldIngress LacksPermission"])]
#[case::it_was_not_there(DENIED, WORLD, &["WorldIngress LacksPermission"])]
#[case::it_was_not_in_force(NEVER_IN_FORCE, WORLD, &["WorldIngress LacksPermission"])]
#[case::half_of_it_was(
    r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/1"}}]}]}"#,
    r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/1"}},{"ipBlock":{"cidr":"128.0.0.0/1"}}]}]}"#,
    &["WorldIngress LacksPermission"]
)]
fn what_was_no_better_before_passes_and_what_is_worse_does_not(
    #[case] before: &str,
    #[case] after: &str,
    #[case] expected: &[&str],
) {
    let decision = judged(&enforcing("name: WorldIngress"), Some(before), after);
    assert_eq!(found(&decision), expected);
    let denied = expected.iter().any(|finding| finding.ends_with("LacksPermission"));
    assert_eq!(decision.allowed(), !denied);
    let still = expected.iter().any(|finding| finding.ends_with("NoWorse"));
    let warning = "ringfence: NetworkPolicy web/mine may go on to let in every source: no worse than before";
    assert_eq!(
        decision.warnings.iter().any(|line| line == warning),
        still,
        "{decision:?}"
    );
}

#[test]
fn a_refusal_says_where_why_and_what_settles_it() {
    let decision = judged(&enforcing("name: WorldIngress"), None, r#"{"ingress":[{"from":[]}]}"#);
    let Verdict::Deny(text) = decision.verdict else {
        panic!("expected a denial: {decision:?}")
    };
    insta::assert_snapshot!(text, @r#"
    NetworkPolicy web/mine may not let in every source: user "mallory" lacks the permission.
      why:   spec.ingress[0].from is absent or empty, which is every source; to deny all, leave spec.ingress empty
      check: kubectl auth can-i waive policychecks.ringfence.dev/WorldIngress --all-namespaces
      grant: ringfence grant waive policychecks/WorldIngress --cluster --user mallory
    "#);
}

#[test]
fn what_is_refused_twice_is_told_at_once() {
    let checks = "{mode: Enforce, checks: [{name: WorldEgress}, {name: MissingPorts}, {name: MetadataEndpoint}]}";
    let blocks = r#"{"ipBlock":{"cidr":"20.0.0.0/8"}},{"ipBlock":{"cidr":"169.254.0.0/16"}}"#;
    let spec = format!(r#"{{"egress":[{{"to":[{blocks}]}},{{}}],"policyTypes":["Egress"]}}"#);
    let decision = judged(&configured(checks, ""), None, &spec);
    let whys: Vec<String> = decision
        .findings
        .iter()
        .map(|finding| format!("{}: {}", finding.rule, finding.why))
        .collect();
    insta::assert_snapshot!(whys.join("\n"), @"
    WorldEgress: spec.egress[1].to is absent or empty, which is every destination; to deny all, leave spec.egress empty; the ipBlocks of spec.egress hold 16777216 public IPv4 addresses, which is as good as every destination
    MissingPorts: spec.egress[0].ports is absent or empty, which is every port; spec.egress[1].ports is absent or empty, which is every port
    MetadataEndpoint: spec.egress[0].to[1].ipBlock 169.254.0.0/16 holds 169.254.169.254; spec.egress[1].to is absent or empty, which is every destination, the metadata endpoint among them
    ");
}

#[rstest]
#[case::enforced("Enforce", "deny", 0)]
#[case::warned("Warn", "warn", 2)]
#[case::recorded("Audit", "audit", 0)]
fn the_mode_of_the_check_holds(#[case] mode: &str, #[case] outcome: &str, #[case] warnings: usize) {
    let settings = format!("{{checks: [{{name: WorldIngress, mode: {mode}}}]}}");
    let decision = judged(&configured(&settings, ""), None, WORLD);
    assert_eq!(
        (decision.outcome(), decision.warnings.len()),
        (outcome, warnings),
        "{decision:?}"
    );
}

#[test]
fn whoever_may_waive_it_does_what_a_check_refuses() {
    let request = write("web", "mine", None, Some(WORLD), &[]);
    let known = [(waiver("WorldIngress"), Answer::Allowed(true))];
    let (decision, rounds) = run(&enforcing("name: WorldIngress"), &request, &known);
    assert_eq!(found(&decision), ["WorldIngress Permitted"]);
    assert_eq!((decision.outcome(), rounds.len()), ("allow", 1));
    let failed = [(waiver("WorldIngress"), Answer::Failed("no answer".to_owned()))];
    let (decision, _) = run(&enforcing("name: WorldIngress"), &request, &failed);
    assert!(matches!(decision.verdict, Verdict::Retry(..)), "{decision:?}");
}

#[test]
fn a_deletion_is_no_matter_of_checks() {
    let request = write("web", "mine", Some(WORLD), None, &[]);
    let (decision, rounds) = run(&enforcing("name: WorldIngress"), &request, &[]);
    assert_eq!((found(&decision), rounds.len()), (Vec::new(), 0));
}

#[test]
fn system_namespaces_are_warned_at_most() {
    let request = write("kube-system", "mine", None, Some(WORLD), &[]);
    let known = [(waiver("WorldIngress"), Answer::Allowed(false))];
    assert_eq!(
        run(&enforcing("name: WorldIngress"), &request, &known).0.outcome(),
        "warn"
    );
}

/// Segment `app`: clients `app=hollowapp` everywhere, and `app=batch` where `team=blue`.
const SEGMENT: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: app}
spec:
  mode: MODE
  consent: {cluster: true}
  members: [{namespaces: [bank], podSelector: {matchLabels: {app: hollowdb}}}]
  clients:
    - {namespaceSelector: {}, podSelector: {matchLabels: {app: hollowapp}}}
    - {namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: batch}}}
";

#[rstest]
#[case::guarded("Enforce", "{}", "{}", "hollowapp", &[])]
#[case::guarded_by_its_namespaces("Enforce", "{}", r#"{"matchLabels":{"team":"blue"}}"#, "batch", &[])]
#[case::other_pods("Enforce", "{}", "{}", "web", &["AllNamespaces LacksPermission"])]
#[case::other_namespaces("Enforce", "{}", r#"{"matchLabels":{"env":"prod"}}"#, "batch", &["UnownedNamespaceLabel LacksPermission"])]
#[case::not_enforced("Warn", "{}", "{}", "hollowapp", &["AllNamespaces LacksPermission"])]
#[case::not_enforced_everywhere(
    "Enforce",
    "{namespaces: [{name: dev, mode: Warn}]}",
    "{}",
    "hollowapp",
    &["AllNamespaces LacksPermission"]
)]
fn a_label_that_a_segment_guards_cannot_be_copied(
    #[case] mode: &str,
    #[case] rollout: &str,
    #[case] namespaces: &str,
    #[case] app: &str,
    #[case] expected: &[&str],
) {
    let settings = format!(
        "{{mode: Enforce, rollout: {rollout}, checks: [{{name: AllNamespaces}}, {{name: UnownedNamespaceLabel}}]}}"
    );
    let snapshot = configured(&settings, &SEGMENT.replace("MODE", mode));
    let spec = format!(
        r#"{{"ingress":[{{"from":[{{"namespaceSelector":{namespaces},"podSelector":{{"matchLabels":{{"app":"{app}"}}}}}}]}}]}}"#
    );
    assert_eq!(found(&judged(&snapshot, None, &spec)), expected);
}

#[rstest]
#[case::everyone(
    None,
    Some(r#"{"ingress":[{}]}"#),
    "opens ingress from everyone (all ports); see: ringfence reach --to web/"
)]
#[case::pods(
    None,
    Some(
        r#"{"ingress":[{"from":[{"podSelector":{}},{"namespaceSelector":{}}],"ports":[{"port":80},{"port":"http"}]}]}"#
    ),
    "opens ingress from 2 selectors of pods (TCP 80, 1 by name); see: ringfence reach --to web/"
)]
#[case::addresses(
    None,
    Some(r#"{"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8"}},{"ipBlock":{"cidr":"fd00::/64"}}]}],"policyTypes":["Egress"]}"#),
    "opens egress to 16777216 addresses, IPv6 /64 (all ports); see: ringfence reach --from web/"
)]
#[case::one_more_port(
    Some(r#"{"ingress":[{"ports":[{"port":80}]}]}"#),
    Some(r#"{"ingress":[{"ports":[{"port":80},{"port":1000,"endPort":2000},{"port":53,"protocol":"UDP"}]}]}"#),
    "opens ingress from everyone (1003 ports); see: ringfence reach --to web/"
)]
#[case::both_ways(
    None,
    Some(r#"{"ingress":[{}],"egress":[{}]}"#),
    "opens ingress from everyone, egress to everyone; see: ringfence reach --to web/"
)]
#[case::deleted(Some(DENIED), None, "no longer isolates ingress; see: ringfence reach --to web/")]
#[case::left_the_policy_types(
    Some(r#"{"policyTypes":["Ingress","Egress"]}"#),
    Some(r#"{"policyTypes":["Ingress"]}"#),
    "no longer isolates egress; see: ringfence reach --from web/"
)]
#[case::selects_fewer(
    Some("{}"),
    Some(DENIED),
    "no longer isolates ingress; see: ringfence reach --to web/"
)]
fn what_opens_something_says_how_much(
    #[case] before: Option<&str>,
    #[case] after: Option<&str>,
    #[case] expected: &str,
) {
    let changes: &[PolicyChange] = if before.is_some() && after.is_some() {
        &[PolicyChange::Content]
    } else {
        &[]
    };
    let request = write("web", "mine", before, after, changes);
    let decision = run(&configured("{mode: Warn}", ""), &request, &[]).0;
    assert_eq!(decision.warnings, [format!("ringfence: policy web/mine {expected}")]);
    assert!(decision.warnings[0].chars().count() <= 120);
    let silent = run(&configured("{mode: Audit}", ""), &request, &[]).0;
    assert_eq!(silent, Decision::plain_allow());
}

#[rstest]
#[case::a_denial(None, Some(DENIED))]
#[case::narrowed(
    Some(WORLD_OF_ALL),
    Some(r#"{"ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":80}]}]}"#)
)]
#[case::nobody(None, Some(r#"{"podSelector":{"matchExpressions":[{"key":"a","operator":"Exists"},{"key":"a","operator":"DoesNotExist"}]},"ingress":[{}]}"#))]
fn what_opens_nothing_says_nothing(#[case] before: Option<&str>, #[case] after: Option<&str>) {
    let request = write("web", "mine", before, after, &[PolicyChange::Content]);
    assert_eq!(
        run(&configured("{mode: Warn}", ""), &request, &[]).0,
        Decision::plain_allow()
    );
}

#[test]
fn the_command_stands_however_long_the_names_are() {
    let (namespace, policy) = ("n".repeat(63), "p".repeat(253));
    let request = write(&namespace, &policy, None, Some(r#"{"ingress":[{}]}"#), &[]);
    let decision = run(&configured("{mode: Warn}", ""), &request, &[]).0;
    let line = &decision.warnings[0];
    assert!(line.chars().count() <= 120, "{line}");
    assert!(
        line.starts_with("ringfence: policy n") && line.contains("; see: ringfence reach"),
        "{line}"
    );
    assert!(line.contains("opens ingress"), "{line}");
}

#[test]
fn webhooks_for_policies_fail_closed_where_a_check_is_enforced() {
    let enforced = |settings: &str| configured(settings, "").guardrails.enforced_on_policies();
    let anywhere = enforced("{checks: [{name: WorldIngress, mode: Enforce}]}");
    assert!(anywhere.contains("web") && !anywhere.contains("kube-system"));
    assert!(enforced("{mode: Warn, checks: [{name: WorldIngress}]}").is_nowhere());
    assert!(enforced("{checks: [{name: HostAccess, mode: Enforce}]}").is_nowhere());
    let pods = configured("{checks: [{name: WorldIngress, mode: Enforce}]}", "");
    assert!(
        pods.guardrails.enforced().is_nowhere(),
        "no check of policies looks at pods"
    );
    let pods = configured("{checks: [{name: HostAccess, mode: Enforce}]}", "");
    assert!(pods.guardrails.enforced().contains("web"));
}

/// Pods with this label `app` and these named ports.
fn running(app: &str, ports: &[(&str, Protocol)]) -> Running {
    let port = |(name, protocol): &(&str, Protocol)| NamedPort {
        name: (*name).into(),
        protocol: *protocol,
        number: 8080,
    };
    Running {
        labels: vec![("app".to_owned(), app.to_owned())],
        ports: ports.iter().map(port).collect(),
    }
}

/// Decides where `app=web` runs with TCP `http` and UDP `dns`, and `app=db` with TCP `sql`.
fn judged_beside(check: &str, before: Option<&str>, after: &str) -> (Decision, Vec<Vec<Question>>) {
    let changes: &[PolicyChange] = if before.is_some() {
        &[PolicyChange::Content]
    } else {
        &[]
    };
    let request = write("web", "mine", before, Some(after), changes);
    let there = vec![
        running("web", &[("http", Protocol::Tcp), ("dns", Protocol::Udp)]),
        running("db", &[("sql", Protocol::Tcp)]),
    ];
    let known = [
        (Question::Running(name("web")), Answer::Running(there)),
        (waiver("SelectsNothing"), Answer::Allowed(false)),
        (waiver("UnknownPort"), Answer::Allowed(false)),
    ];
    run(&enforcing(check), &request, &known)
}

#[rstest]
#[case::nobody(r#"{"podSelector":{"matchLabels":{"app":"wbe"}}}"#, true)]
#[case::another_key(r#"{"podSelector":{"matchLabels":{"run":"web"}}}"#, true)]
#[case::one_of_two_labels(r#"{"podSelector":{"matchLabels":{"app":"web","tier":"x"}}}"#, true)]
#[case::a_contradiction(
    r#"{"podSelector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"app","operator":"DoesNotExist"}]}}"#,
    true
)]
#[case::somebody(r#"{"podSelector":{"matchLabels":{"app":"web"}}}"#, false)]
#[case::who_lacks_a_label(
    r#"{"podSelector":{"matchExpressions":[{"key":"tier","operator":"NotIn","values":["x"]}]}}"#,
    false
)]
#[case::everybody(r#"{"podSelector":{}}"#, false)]
#[case::everybody_unsaid("{}", false)]
fn a_policy_that_selects_nobody_is_found(#[case] spec: &str, #[case] refused: bool) {
    let (decision, _) = judged_beside("name: SelectsNothing", None, spec);
    let expected: &[&str] = if refused {
        &["SelectsNothing LacksPermission"]
    } else {
        &[]
    };
    assert_eq!(found(&decision), expected);
}

#[rstest]
#[case::nobody_has_it(r#"{"ingress":[{"ports":[{"port":"htpp"}]}]}"#, true)]
#[case::those_selected_lack_it(
    r#"{"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"ports":[{"port":"http"}]}]}"#,
    true
)]
#[case::of_another_protocol(r#"{"ingress":[{"ports":[{"port":"dns"}]}]}"#, true)]
#[case::beside_one_that_is_there(r#"{"ingress":[{"ports":[{"port":"http"},{"port":"htpp"}]}]}"#, true)]
#[case::out_to_those_who_lack_it(
    r#"{"egress":[{"to":[{"podSelector":{"matchLabels":{"app":"db"}}}],"ports":[{"port":"http"}]}]}"#,
    true
)]
#[case::out_to_addresses(
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/24"}}],"ports":[{"port":"http"}]}]}"#,
    true
)]
#[case::somebody_has_it(r#"{"ingress":[{"ports":[{"port":"http"}]}]}"#, false)]
#[case::of_its_protocol(r#"{"ingress":[{"ports":[{"port":"dns","protocol":"UDP"}]}]}"#, false)]
#[case::nobody_is_selected(
    r#"{"podSelector":{"matchLabels":{"app":"x"}},"ingress":[{"ports":[{"port":"htpp"}]}]}"#,
    false
)]
#[case::out_to_other_namespaces(
    r#"{"egress":[{"to":[{"namespaceSelector":{}},{"podSelector":{}}],"ports":[{"port":"htpp"}]}]}"#,
    false
)]
#[case::out_to_everyone(r#"{"egress":[{"ports":[{"port":"sql"}]}]}"#, false)]
#[case::in_no_direction_that_holds(r#"{"ingress":[{"ports":[{"port":"htpp"}]}],"policyTypes":["Egress"]}"#, false)]
fn a_name_that_no_port_has_is_found(#[case] spec: &str, #[case] refused: bool) {
    let (decision, _) = judged_beside("name: UnknownPort", None, spec);
    let expected: &[&str] = if refused { &["UnknownPort LacksPermission"] } else { &[] };
    assert_eq!(found(&decision), expected, "{decision:?}");
}

#[rstest]
#[case::no_check("name: WorldIngress", DENIED, 0)]
#[case::every_pod("name: SelectsNothing", "{}", 0)]
#[case::some_pods("name: SelectsNothing", DENIED, 1)]
#[case::no_name("name: UnknownPort", WORLD, 0)]
#[case::a_name(
    "name: UnknownPort",
    r#"{"ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":"http"}]}]}"#,
    1
)]
#[case::no_port("name: UnknownPort", DENIED, 0)]
fn who_runs_is_asked_only_where_something_hangs_on_it(#[case] check: &str, #[case] spec: &str, #[case] asked: usize) {
    let (_, rounds) = judged_beside(check, None, spec);
    assert_eq!(rounds.len(), asked, "{rounds:?}");
}

#[rstest]
#[case::selects_nobody_still(
    "name: SelectsNothing",
    r#"{"podSelector":{"matchLabels":{"app":"x"}}}"#,
    r#"{"podSelector":{"matchLabels":{"app":"y"}}}"#,
    "NoWorse"
)]
#[case::selected_somebody(
    "name: SelectsNothing",
    DENIED,
    r#"{"podSelector":{"matchLabels":{"app":"x"}}}"#,
    "LacksPermission"
)]
#[case::named_it_before(
    "name: UnknownPort",
    r#"{"ingress":[{"ports":[{"port":"x"}]}]}"#,
    r#"{"ingress":[{"ports":[{"port":"http"}]},{"ports":[{"port":"x"}]}]}"#,
    "NoWorse"
)]
#[case::named_another(
    "name: UnknownPort",
    r#"{"ingress":[{"ports":[{"port":"x"}]}]}"#,
    r#"{"ingress":[{"ports":[{"port":"y"}]}]}"#,
    "LacksPermission"
)]
fn what_hangs_on_who_runs_is_compared_beside_the_same(
    #[case] check: &str,
    #[case] before: &str,
    #[case] after: &str,
    #[case] reason: &str,
) {
    let (decision, _) = judged_beside(check, Some(before), after);
    let name = check.trim_start_matches("name: ");
    assert_eq!(found(&decision), [format!("{name} {reason}")]);
}

#[test]
fn who_runs_is_a_warning_unless_configured_otherwise() {
    let request = write(
        "web",
        "mine",
        None,
        Some(r#"{"podSelector":{"matchLabels":{"app":"wbe"}}}"#),
        &[],
    );
    let snapshot = configured("{mode: Enforce, checks: [{name: SelectsNothing}]}", "");
    let known = [
        (Question::Running(name("web")), Answer::Running(Vec::new())),
        (waiver("SelectsNothing"), Answer::Allowed(false)),
    ];
    let (decision, rounds) = run(&snapshot, &request, &known);
    assert_eq!((decision.outcome(), rounds.len()), ("warn", 2));
    let failed = [(Question::Running(name("web")), Answer::Failed("no answer".to_owned()))];
    let (decision, _) = run(&snapshot, &request, &failed);
    assert_eq!(
        decision.warnings,
        [
            "ringfence: NetworkPolicy web/mine may not be written before it is known what runs there: could not be checked"
        ]
    );
}
