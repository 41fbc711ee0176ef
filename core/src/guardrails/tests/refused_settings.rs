//! What is refused in the Guardrails document. Some of it is not supported yet, and is
//! judged all the same: what is wrong must not become right on the day that its row in the table goes.

use rstest::Context;

use super::{compile, guardrails_with, refused, source};

/// The messages, without those of what is not yet supported.
fn messages(text: &str) -> Vec<String> {
    let Err(problems) = compile(&[source(text)]) else {
        return Vec::new();
    };
    problems
        .0
        .into_iter()
        .map(|problem| problem.message)
        .filter(|message| !message.contains("not yet supported"))
        .collect()
}

#[rstest::rstest]
#[case::rollout_twice("{rollout: {namespaces: [{name: a, mode: Audit}, {name: a, mode: Warn}]}}")]
#[case::rollout_name("{rollout: {namespaces: [{name: A, mode: Audit}]}}")]
#[case::rollout_without_mode("{rollout: {namespaces: [{name: a}]}}")]
#[case::system_namespaces("{systemNamespaces: [kube-*, kube-system, kube-system]}")]
#[case::unknown_check("{checks: [{name: WorldIngres}, {name: WideCidr}, {name: SomethingElse}]}")]
#[case::duties("{separationOfDuties: {exemptGroups: [a, '', a]}}")]
#[case::check_twice("{checks: [{name: WorldIngress}, {name: WorldIngress, mode: Warn}]}")]
#[case::everything_not_yet_supported(
    "{checks: [{name: HostAccess}], separationOfDuties: {exemptGroups: [system:masters]}, \
     delegates: [{user: cd, reviewAs: 'gitops:{namespace}'}], workloads: [{group: argoproj.io, version: v1alpha1, resource: \
     rollouts, template: /spec/template}], exceptions: {maxDuration: 4h}}"
)]
fn settings(#[context] context: Context, #[case] spec: &str) {
    let name = context.description.unwrap_or_default();
    insta::assert_snapshot!(format!("settings_{name}"), refused(&guardrails_with(spec)));
}

#[rstest::rstest]
#[case::nowhere("restrictd", &["no IsolationProfile is called \"restrictd\""])]
#[case::there("restricted", &[])]
#[case::reserved("none", &[])]
fn the_default_profile_is_one_that_is_there(#[case] name: &str, #[case] expected: &[&str]) {
    let text = guardrails_with(&format!("{{isolation: {{defaultProfile: {name}}}}}"))
        + "---\n{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {name: restricted}, \
           spec: {policies: [{builtin: allow-dns}]}}\n";
    assert_eq!(messages(&text), expected);
}

#[rstest::rstest]
#[case("4h", true)]
#[case("1h30m", true)]
#[case("90m", true)]
#[case("1h0m5s", true)]
#[case("", false)]
#[case("0h", false)]
#[case("h", false)]
#[case("4", false)]
#[case("4d", false)]
#[case("30m1h", false)]
#[case("1h 30m", false)]
#[case("-1h", false)]
#[case("1.5h", false)]
#[case("99999999999999999999h", false)]
fn durations(#[case] text: &str, #[case] valid: bool) {
    let messages = messages(&guardrails_with(&format!("{{exceptions: {{maxDuration: {text:?}}}}}")));
    let expected = if valid {
        vec![]
    } else {
        vec![format!("{text:?} is not a duration")]
    };
    assert_eq!(messages, expected);
}

#[rstest::rstest]
#[case("gitops:{namespace}", true)]
#[case("gitops", true)]
#[case("", false)]
#[case("{namespace}", false)]
#[case("gitops:{ns}", false)]
#[case("gitops:{namespace", false)]
#[case("system:serviceaccount:{namespace}:gitops", false)]
#[case("system:masters", false)]
#[case("cd", false)]
#[case("flux", false)]
#[case(" gitops", false)]
fn a_delegate_is_reviewed_as_somebody_else(#[case] review_as: &str, #[case] valid: bool) {
    let text = guardrails_with(&format!(
        "{{delegates: [{{user: cd, reviewAs: {review_as:?}}}, {{user: flux, reviewAs: other}}]}}"
    ));
    assert_eq!(messages(&text).is_empty(), valid, "{:?}", messages(&text));
}

#[test]
fn delegates_are_told_apart() {
    let text =
        guardrails_with("{delegates: [{user: cd, reviewAs: a}, {user: cd, reviewAs: b}, {user: '', reviewAs: c}]}");
    assert_eq!(
        messages(&text),
        ["delegate \"cd\" is given twice", "\"\" is not the name of a user"]
    );
}

#[rstest::rstest]
#[case("{}", &[])]
#[case("{template: spec/template}", &["\"spec/template\" is not a JSON pointer: it begins with '/'"])]
#[case("{template: \"\"}", &["\"\" is not a JSON pointer: it begins with '/'"])]
#[case("{template: /spec~1a~0b/templates}", &[])]
#[case("{template: /spec~2}", &["\"/spec~2\" is not a JSON pointer: a key is missing, or a '~' that is neither ~0 nor ~1"])]
#[case("{template: /spec/}", &["\"/spec/\" is not a JSON pointer: a key is missing, or a '~' that is neither ~0 nor ~1"])]
#[case("{template: /status/template}", &["no template is under /status"])]
#[case("{resource: rollouts/scale}", &["no webhook covers \"rollouts/scale\" as a kind that makes pods"])]
#[case("{resource: '*'}", &["no webhook covers \"*\" as a kind that makes pods"])]
#[case("{resource: Rollout}", &["\"Rollout\" is not a resource"])]
#[case("{group: apps}", &["no configured kind can be of API group \"apps\""])]
#[case("{group: ''}", &["no configured kind can be of API group \"\""])]
#[case("{group: admissionregistration.k8s.io}", &["no configured kind can be of API group \"admissionregistration.k8s.io\""])]
#[case("{group: cluster.x-k8s.io}", &[])]
#[case("{group: ringfence.dev}", &["ringfence's own kinds make no pods"])]
#[case("{group: 'argoproj.io/v1'}", &["\"argoproj.io/v1\" is not an API group"])]
#[case("{version: '1'}", &["\"1\" is not an API version"])]
#[case("{controllers: ['system:serviceaccount:argo-rollouts:argo-rollouts', argo]}", &[])]
#[case("{controllers: ['system:serviceaccount:argo']}", &["\"system:serviceaccount:argo\" is not a service account"])]
#[case("{controllers: ['']}", &["\"\" is not the name of a user"])]
fn custom_kinds(#[case] differing: &str, #[case] expected: &[&str]) {
    let usual = [
        ("group", "argoproj.io"),
        ("version", "v1alpha1"),
        ("resource", "rollouts"),
        ("template", "/spec/template"),
    ];
    let rest: String = usual
        .iter()
        .filter(|(key, _)| !differing.contains(&format!("{key}:")))
        .fold(String::new(), |rest, (key, value)| rest + ", " + key + ": " + value);
    let inner = differing.trim_matches(['{', '}']);
    let entry = format!("{{{}}}", format!("{inner}{rest}").trim_start_matches(", "));
    assert_eq!(
        messages(&guardrails_with(&format!("{{workloads: [{entry}]}}"))),
        expected
    );
}

#[test]
fn custom_kinds_are_told_apart() {
    let entry = "{group: argoproj.io, version: v1alpha1, resource: rollouts, template: /spec/template}";
    let text = guardrails_with(&format!("{{workloads: [{entry}, {entry}]}}"));
    assert_eq!(messages(&text), ["rollouts.v1alpha1.argoproj.io is given twice"]);
}

#[test]
fn the_guardrails_document_has_a_name_like_any_object() {
    let text = guardrails_with("{}").replace("name: default", "name: \"\\e[2J\"");
    assert_eq!(messages(&text), ["\"\\u{1b}[2J\" is not a valid name"]);
}

#[rstest::rstest]
#[case("{name: AllNamespaces, podRanges: [10.244.0.0/16, 'fd00:10:244::/56', 10.1.2.3]}", &[])]
#[case(
    "{name: AllNamespaces, podRanges: [10.244.0.0/99, pods, 10.244.0.1/16]}",
    &[
        "\"10.244.0.0/99\" is not a range of addresses: write ADDRESS/BITS, e.g. 10.0.0.0/8 or 2001:db8::/64",
        "\"pods\" is not a range of addresses: write ADDRESS/BITS, e.g. 10.0.0.0/8 or 2001:db8::/64",
        "\"10.244.0.1/16\" has bits beyond its length: write 10.244.0.0/16 for the range, or 10.244.0.1/32 for the address",
    ]
)]
#[case("{name: AllNamespaces, podRanges: [0.0.0.0/1, 128.0.0.0/1]}", &["every ipBlock would count as one of pods"])]
#[case("{name: AllNamespaces, podRanges: ['::/0']}", &["every ipBlock would count as one of pods"])]
#[case(
    "{name: WorldIngress, podRanges: [10.244.0.0/16]}",
    &["WorldIngress has no option podRanges: it is one of AllNamespaces"]
)]
#[case(
    "{name: MetadataEndpoint, endpoints: [metadata], ports: [0, 65536, 80]}",
    &[
        "\"metadata\" is not a range of addresses: write ADDRESS/BITS, e.g. 10.0.0.0/8 or 2001:db8::/64",
        "0 is not a port",
        "65536 is not a port",
    ]
)]
#[case(
    "{name: MetadataEndpoint, services: [Azure]}",
    &["unknown value \"Azure\""]
)]
#[case(
    "{name: WideCIDR, services: [ECS], commonLabels: [team]}",
    &[
        "WideCIDR has no option services: it is one of MetadataEndpoint",
        "WideCIDR has no option commonLabels: it is one of AllNamespaces",
    ]
)]
#[case(
    "{name: AllNamespaces, commonLabels: [a b]}",
    &["\"a b\" is not a label key: write NAME or PREFIX/NAME, where NAME has at most 63 letters, digits, '-', '_' or '.', \
       begins and ends with a letter or digit, and PREFIX is a DNS name"]
)]
#[case("{name: WorldIngress, allowFrom: [0.0.0.0/0]}", &["WorldIngress would have nothing to refuse"])]
#[case("{name: WorldEgress, allowTo: [0.0.0.0/1, 128.0.0.0/1]}", &["WorldEgress would have nothing to refuse"])]
#[case("{name: MissingPorts, mostPorts: 65535}", &["65535 is not a number of ports that leaves some out"])]
#[case("{name: WideCIDR, widest: {ipv4: 0}}", &["0 is not the length of a prefix that leaves something out"])]
#[case("{name: WideCIDR, widest: {ipv6: 129}}", &["129 is not the length of a prefix that leaves something out"])]
fn options_of_checks(#[case] check: &str, #[case] expected: &[&str]) {
    assert_eq!(messages(&guardrails_with(&format!("{{checks: [{check}]}}"))), expected);
}
