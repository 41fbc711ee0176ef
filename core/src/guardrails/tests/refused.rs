//! What is refused in documents and segments, and the texts that say so.

use rstest::Context;

use super::{guardrails_with, refused, source};
use crate::guardrails::{Problem, Source, compile};

/// Two documents: a Guardrails and a Segment with this spec, in block style as people write them.
fn segment(spec: &str) -> String {
    let indented = format!("  {}\n", spec.trim_end().replace('\n', "\n  "));
    format!(
        "{}---\napiVersion: ringfence.dev/v1alpha1\nkind: Segment\nmetadata:\n  name: payments-db\nspec:\n{indented}",
        guardrails_with("{}")
    )
}

#[rstest::rstest]
#[case::unknown_field("members:\n- namespaces: [a]\n  podSelecter: {}\n")]
#[case::unknown_field_unlike_any("members:\n- namespaces: [a]\n  podSelector: {}\n  selector: {}\n")]
#[case::missing_pod_selector("members:\n- namespaces: [a]\n")]
#[case::wrong_types("description: 7\nmembers:\n- namespaces: a\n  podSelector: []\nclients: {}\nguardAccess: \"no\"\n")]
#[case::nothing_where_something_is_due("members:\n- namespaces: [a]\n  podSelector:\n")]
#[case::label_value_that_is_not_text(
    "members:\n- namespaces: [a]\n  podSelector:\n    matchLabels:\n      version: 1.20\n      on: yes\n"
)]
#[case::words_that_yaml_reads_as_booleans("members:\n- namespaces: [n]\n  podSelector: {matchLabels: {app: y}}\n")]
#[case::unknown_operator(
    "members:\n- namespaces: [a]\n  podSelector: {matchExpressions: [{key: a, operator: NotExists}]}\n"
)]
#[case::unknown_mode("mode: enforce\nmembers:\n- namespaces: [a]\n  podSelector: {}\n")]
#[case::no_members("members: []\n")]
#[case::without_namespaces("members:\n- podSelector: {}\nclients:\n- podSelector: {matchLabels: {app: web}}\n")]
#[case::both_ways_of_namespaces("members:\n- namespaces: [a]\n  namespaceSelector: {}\n  podSelector: {}\n")]
#[case::empty_namespaces("members:\n- namespaces: []\n  podSelector: {}\n")]
#[case::invalid_namespaces("members:\n- namespaces: [Payments, \"*\", a, a]\n  podSelector: {}\n")]
#[case::invalid_labels(
    "members:\n- namespaces: [a]\n  podSelector:\n    matchLabels: {\"a b\": ok, ok: \"a b\"}\n    matchExpressions:\n    \
     - {key: -x, operator: In, values: [fine, \"-\"]}\n"
)]
#[case::operators_and_their_values(
    "members:\n- namespaces: [a]\n  podSelector:\n    matchExpressions:\n    - {key: a, operator: In}\n    \
     - {key: b, operator: NotIn, values: []}\n    - {key: c, operator: Exists, values: [x]}\n    \
     - {key: d, operator: DoesNotExist, values: [x]}\n"
)]
#[case::generated_labels(
    "members:\n- namespaces: [a]\n  podSelector: {matchLabels: {pod-template-hash: x}}\nclients:\n- namespaceSelector: {}\n  \
     podSelector: {matchExpressions: [{key: batch.kubernetes.io/job-name, operator: Exists}]}\n"
)]
#[case::topology_labels(
    "members:\n- namespaces: [a]\n  podSelector: {matchLabels: {topology.kubernetes.io/zone: z}}\n"
)]
#[case::consent_of_nobody("consent: {}\nmembers:\n- namespaces: [a]\n  podSelector: {}\n")]
#[case::consent_of_no_cluster("consent: {cluster: false}\nmembers:\n- namespaces: [a]\n  podSelector: {}\n")]
#[case::consent_of_both("consent: {namespace: a, cluster: true}\nmembers:\n- namespaces: [a]\n  podSelector: {}\n")]
#[case::consent_of_an_invalid_name("consent: {namespace: A}\nmembers:\n- namespaces: [a]\n  podSelector: {}\n")]
#[case::isolation_required_twice(
    "members:\n- namespaces: [a]\n  podSelector: {}\nrequireIsolation: [Ingress, Ingress]\n"
)]
#[case::isolation_in_no_direction("members:\n- namespaces: [a]\n  podSelector: {}\nrequireIsolation: [ingress]\n")]
#[case::separated_without_namespaces(
    "members:\n- namespaces: [a]\n  podSelector: {}\nisolatedFrom:\n- podSelector: {}\n"
)]
#[case::control_characters("description: \"a\\e[31mred\"\nmembers:\n- namespaces: [a]\n  podSelector: {}\n")]
fn segments(#[context] context: Context, #[case] spec: &str) {
    let name = context.description.unwrap_or_default();
    insta::assert_snapshot!(format!("segment_{name}"), refused(&segment(spec)));
}

#[rstest::rstest]
#[case::values_apart(
    "{matchLabels: {a: x}, matchExpressions: [{key: a, operator: In, values: [v, z]}]}",
    true
)]
#[case::values_shared(
    "{matchLabels: {a: x}, matchExpressions: [{key: a, operator: In, values: [x, z]}]}",
    false
)]
#[case::three_lists_apart(
    "{matchExpressions: [{key: a, operator: In, values: [x, v]}, {key: a, operator: In, values: [v, z]}, \
     {key: a, operator: In, values: [x, z]}]}",
    true
)]
#[case::present_and_absent(
    "{matchExpressions: [{key: a, operator: Exists}, {key: a, operator: DoesNotExist}]}",
    true
)]
#[case::valued_and_absent("{matchLabels: {a: x}, matchExpressions: [{key: a, operator: DoesNotExist}]}", true)]
#[case::other_keys(
    "{matchExpressions: [{key: a, operator: Exists}, {key: b, operator: DoesNotExist}]}",
    false
)]
#[case::all_values_excluded(
    "{matchLabels: {a: x}, matchExpressions: [{key: a, operator: NotIn, values: [x, v]}]}",
    true
)]
#[case::one_value_left(
    "{matchExpressions: [{key: a, operator: In, values: [x, v]}, {key: a, operator: NotIn, values: [x]}]}",
    false
)]
#[case::excluded_and_absent(
    "{matchExpressions: [{key: a, operator: NotIn, values: [x]}, {key: a, operator: DoesNotExist}]}",
    false
)]
#[case::excluded_and_present(
    "{matchExpressions: [{key: a, operator: NotIn, values: [x]}, {key: a, operator: Exists}]}",
    false
)]
fn what_can_never_match_is_refused(#[case] selector: &str, #[case] contradiction: bool) {
    for clause in [
        format!("members:\n- namespaces: [a]\n  podSelector: {selector}\n"),
        format!("members:\n- namespaceSelector: {selector}\n  podSelector: {{}}\n"),
    ] {
        let compiled = compile(&[source(&segment(&clause))]);
        assert_eq!(compiled.is_err(), contradiction, "{compiled:?}");
        if let Err(problems) = compiled {
            assert!(
                problems.to_string().contains("this can never match: label \"a\""),
                "{problems}"
            );
        }
    }
}

#[test]
fn every_namespace_has_its_name() {
    let clause = "members:\n- namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: \
                  DoesNotExist}]}\n  podSelector: {}\n";
    assert!(refused(&segment(clause)).to_string().contains("this can never match"));
}

#[rstest::rstest]
#[case("pod-template-hash", true)]
#[case("job-name", true)]
#[case("controller-uid", true)]
#[case("batch.kubernetes.io/controller-uid", true)]
#[case("batch.kubernetes.io/anything", true)]
#[case("job-completion-index", true)]
#[case("statefulset.kubernetes.io/pod-name", true)]
#[case("apps.kubernetes.io/pod-index", true)]
#[case("pod-template-generation", true)]
#[case("controller-revision-hash", true)]
#[case("topology.kubernetes.io/zone", true)]
#[case("topology.kubernetes.io/region", true)]
#[case("batch.kubernetes.iox/job-name", false)]
#[case("app", false)]
fn generated_labels_are_refused_on_pods_only(#[case] key: &str, #[case] generated: bool) {
    for operator in [
        "operator: Exists",
        "operator: DoesNotExist",
        "operator: NotIn, values: [x]",
    ] {
        let selector = format!("{{matchExpressions: [{{key: {key}, {operator}}}]}}");
        let pods = segment(&format!("members:\n- namespaces: [a]\n  podSelector: {selector}\n"));
        assert_eq!(compile(&[source(&pods)]).is_err(), generated, "{key} {operator}");
        let namespaces = segment(&format!(
            "members:\n- namespaceSelector: {selector}\n  podSelector: {{}}\n"
        ));
        assert!(compile(&[source(&namespaces)]).is_ok(), "{key} {operator}");
    }
}

#[rstest::rstest]
#[case::not_yaml("a: [1\nb: 2\n")]
#[case::duplicate_key("apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nkind: Segment\n")]
#[case::not_a_mapping("- a\n")]
#[case::no_kind("apiVersion: ringfence.dev/v1alpha1\n")]
#[case::misspelt_kind("apiVersion: ringfence.dev/v1alpha1\nkind: Guardrail\n")]
#[case::object_kind("apiVersion: ringfence.dev/v1alpha1\nkind: Exception\n")]
#[case::other_group("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n")]
#[case::other_version("apiVersion: ringfence.dev/v1\nkind: Guardrails\nmetadata: {name: a}\nspec: {}\n")]
#[case::no_api_version("kind: Guardrails\nmetadata: {name: a}\nspec: {}\n")]
#[case::no_name("apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nmetadata: {}\nspec: {}\n")]
#[case::no_guardrails(
    "apiVersion: ringfence.dev/v1alpha1\nkind: Segment\nmetadata: {name: a}\nspec:\n  members: [{namespaces: [a], podSelector: {}}]\n"
)]
#[case::two_guardrails(
    "apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nmetadata: {name: a}\nspec: {}\n---\n\
     apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nmetadata: {name: b}\nspec: {}\n"
)]
#[case::invalid_segment_name(
    "apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nmetadata: {name: a}\nspec: {}\n---\n\
     apiVersion: ringfence.dev/v1alpha1\nkind: Segment\nmetadata: {name: Payments_DB}\nspec: {members: [{namespaces: [a], podSelector: {}}]}\n"
)]
#[case::long_segment_name(
    "apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nmetadata: {name: a}\nspec: {}\n---\n\
     apiVersion: ringfence.dev/v1alpha1\nkind: Segment\nmetadata: {name: sssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss}\nspec: {members: [{namespaces: [a], podSelector: {}}]}\n"
)]
fn documents(#[context] context: Context, #[case] text: &str) {
    let name = context.description.unwrap_or_default();
    insta::assert_snapshot!(format!("document_{name}"), refused(text));
}

#[test]
fn names_are_unique_across_sources() {
    let segment = "{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {name: a}, \
                   spec: {members: [{namespaces: [a], podSelector: {}}]}}\n";
    let sources = [
        ("b.yaml", segment),
        ("a.yaml", &(guardrails_with("{}") + "---\n" + segment)),
    ]
    .map(|(name, text)| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    });
    let problems = compile(&sources).expect_err("the same name twice");
    insta::assert_snapshot!(problems);
}

#[test]
fn all_problems_of_all_documents_are_told_in_order() {
    let text = segment("members:\n- podSelector: {}\nclients:\n- namespaces: []\n  podSelector: {}\n")
        + "---\nkind: Segmnt\n---\napiVersion: ringfence.dev/v1alpha1\nkind: Segment\nmetadata: {name: b}\nspec: {member: []}\n";
    let problems = refused(&text);
    let told: Vec<(usize, &str)> = problems
        .0
        .iter()
        .map(|problem| (problem.line, problem.path.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (9, "spec.members[0]"),
            (11, "spec.clients[0].namespaces"),
            (14, "kind"),
            (19, "spec.member"),
        ]
    );
}

#[test]
fn a_broken_document_still_counts_where_others_refer_to_it() {
    let text = segment("members:\n- namespaces: [a]\n  podSelector: {}\n")
        .replace("spec: {}}", "spec: {modus: Audit}}")
        + "---\napiVersion: ringfence.dev/v1alpha1\nkind: Segment\nmetadata: {name: payments-db}\nspec: {}\n";
    let messages: Vec<String> = refused(&text).0.into_iter().map(|problem| problem.message).collect();
    assert_eq!(
        messages,
        [
            "unknown field \"modus\"",
            "a second Segment is called \"payments-db\"",
            "missing field \"members\""
        ]
    );
}

#[test]
fn only_the_first_of_very_many_problems_are_shown() {
    let clauses = "- podSelector: {}\n".repeat(100);
    let problems = refused(&segment(&format!("members:\n{clauses}")));
    assert_eq!(problems.0.len(), 100);
    let text = problems.to_string();
    assert_eq!(text.matches("error: ").count(), 20);
    assert!(
        text.ends_with("... and 80 more\n\n100 errors; the configuration is refused"),
        "{text}"
    );
}

#[test]
fn a_value_that_comes_by_an_alias_is_shown_where_it_is_used() {
    let text = segment(
        "members:\n- namespaces: &names []\n  podSelector: {}\nclients:\n- namespaces: *names\n  podSelector: {}\n",
    );
    let lines: Vec<usize> = refused(&text).0.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [9, 12]);
}

#[test]
fn wide_characters_do_not_shift_the_caret_to_another_place() {
    let text = segment("members:\n- {namespaces: [a], \"é€𝄞\": 1, podSelektor: {}}\n");
    let problems = refused(&text);
    let Problem { line, column, .. } = problems.0[1];
    assert_eq!((line, column), (9, 33));
    insta::assert_snapshot!(problems);
}

#[test]
fn too_much_is_refused() {
    let clauses = "- {namespaces: [a], podSelector: {}}\n".repeat(1001);
    assert!(
        refused(&segment(&format!("members:\n{clauses}")))
            .to_string()
            .contains("1001 clauses in one list")
    );
    let labels = (0..257).fold(String::new(), |all, number| all + &format!("      l{number}: x\n"));
    let selector = format!("members:\n- namespaces: [a]\n  podSelector:\n    matchLabels:\n{labels}");
    assert!(
        refused(&segment(&selector))
            .to_string()
            .contains("257 requirements in one selector")
    );
    let long = format!(
        "description: {}\nmembers:\n- {{namespaces: [a], podSelector: {{}}}}\n",
        "x".repeat(501)
    );
    assert!(
        refused(&segment(&long))
            .to_string()
            .contains("a description of 501 characters")
    );
    assert!(
        refused(&"#".repeat(8 * 1024 * 1024 + 1))
            .to_string()
            .contains("8388609 bytes are more than")
    );
}

#[test]
fn what_is_quoted_is_shortened() {
    let text = segment(&format!("mode: {}\nmembers: []\n", "x".repeat(100_000)));
    assert!(refused(&text).to_string().len() < 2_000);
}

#[test]
fn very_many_unknown_fields_are_read_in_one_pass() {
    let fields = (0..5_000).fold(String::new(), |all, number| all + &format!("unknown{number}: 1\n"));
    assert_eq!(refused(&segment(&fields)).0.len(), 5_001);
}
