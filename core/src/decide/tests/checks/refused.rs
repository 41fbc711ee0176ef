//! What each check refuses, however it is written, and what passes.

use super::*;

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
