//! What is accepted, and what it comes to.

use std::fmt::Write as _;

use super::{accepted, source};
use crate::guardrails::documents::{GuardrailsSpec, SegmentSpec};
use crate::guardrails::{
    CheckName, ClauseId, EnforcedNamespaces, Guardrails, NamespaceSet, SegmentId, Side, Source, compile,
};
use crate::labels::{Labels, Operator};
use crate::model::{Mode, Scope};

const PAYMENTS: &str = r"
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  rollout:
    default: Audit
    namespaces: [{name: payments, mode: Enforce}, {name: web, mode: Warn}]
  systemNamespaces: [kube-system, kube-public, kube-node-lease, ringfence-system, cni]
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db, labels: {team: payments}}
spec:
  description: Card data. Ask team payments for access.
  members:
    - namespaces: [payments]
      podSelector: {matchLabels: {app: hollowdb}}
  clients:
    - namespaceSelector: {}
      podSelector:
        matchLabels: {app: hollowapp}
        matchExpressions:
          - {key: tier, operator: In, values: [web, api]}
          - {key: canary, operator: DoesNotExist}
  guardAccess: false
";

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_whole_configuration_compiles() {
    let guardrails = accepted(PAYMENTS).guardrails;
    assert_eq!(guardrails.mode, Mode::Enforce);
    assert_eq!(guardrails.rollout.cap("payments", Mode::Enforce), Mode::Enforce);
    assert_eq!(guardrails.rollout.cap("web", Mode::Enforce), Mode::Warn);
    assert_eq!(guardrails.rollout.cap("else", Mode::Enforce), Mode::Audit);
    assert!(guardrails.system_namespaces.contains("cni"));
    let segment = &guardrails.segments[0];
    assert_eq!(segment.name.as_str(), "payments-db");
    assert_eq!(segment.mode, Mode::Enforce);
    assert_eq!(segment.description, "Card data. Ask team payments for access.");
    assert!(!segment.guard_access);
    assert_eq!(segment.consent.namespace(), "payments");
    assert_eq!(guardrails.consents["payments"], [SegmentId(0)]);
    assert_eq!(
        segment.clients[0].namespaces,
        NamespaceSet::Selected(crate::labels::Selector::everything())
    );
    let operators: Vec<&Operator> = segment.clients[0]
        .pods
        .requirements()
        .iter()
        .map(|requirement| &requirement.operator)
        .collect();
    assert_eq!(
        operators,
        [
            &Operator::In(named(&["hollowapp"])),
            &Operator::In(named(&["api", "web"])),
            &Operator::DoesNotExist
        ]
    );
}

#[test]
fn the_index_finds_the_clauses() {
    let guardrails = accepted(PAYMENTS).guardrails;
    let find = |namespace: &str, labels: &[(&'static str, &'static str)]| {
        guardrails
            .index
            .candidates(namespace, &labels.iter().copied().collect::<Labels<'_>>())
    };
    let clause = |side| {
        vec![ClauseId {
            segment: SegmentId(0),
            side,
            position: 0,
        }]
    };
    assert_eq!(find("payments", &[("app", "hollowdb")]), clause(Side::Member));
    assert_eq!(find("web", &[("app", "hollowdb")]), []);
    assert_eq!(
        find("web", &[("app", "hollowapp"), ("tier", "api")]),
        clause(Side::Client)
    );
    assert_eq!(
        find("web", &[("app", "hollowapp"), ("tier", "api"), ("canary", "")]),
        []
    );
}

#[rstest::rstest]
#[case::no_sources(&[])]
#[case::an_empty_source(&[("a.yaml", "")])]
#[case::only_comments(&[("a.yaml", "# nothing yet\n---\n"), ("b.yaml", "---\n---\n")])]
fn nothing_means_the_defaults(#[case] sources: &[(&str, &str)]) {
    let sources: Vec<Source> = sources
        .iter()
        .map(|(name, text)| Source {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    let compiled = compile(&sources).expect("the defaults");
    let Guardrails {
        mode,
        segments,
        system_namespaces,
        ..
    } = &compiled.guardrails;
    assert_eq!(*mode, Mode::Audit);
    assert!(segments.is_empty());
    let names: Vec<&str> = system_namespaces
        .iter()
        .map(crate::model::NamespaceName::as_str)
        .collect();
    assert_eq!(
        names,
        ["kube-node-lease", "kube-public", "kube-system", "ringfence-system"]
    );
    assert_eq!(
        compiled.guardrails.enforced(),
        EnforcedNamespaces::Only(std::collections::BTreeSet::new())
    );
    assert_eq!(compiled.notices, []);
    assert_eq!(compiled.guardrails.revision.0.len(), 12);
}

fn segment_with(spec: &str) -> String {
    format!(
        "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, spec: {{mode: Warn}}}}\n\
         ---\n\
         {{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: s}}, spec: {spec}}}\n"
    )
}

#[rstest::rstest]
#[case::the_one_namespace("{members: [{namespaces: [a], podSelector: {}}]}", "a")]
#[case::the_same_one_twice(
    "{members: [{namespaces: [a], podSelector: {}}, {namespaces: [a], podSelector: {}}]}",
    "a"
)]
#[case::two_namespaces("{members: [{namespaces: [a, b], podSelector: {}}]}", "")]
#[case::two_clauses(
    "{members: [{namespaces: [a], podSelector: {}}, {namespaces: [b], podSelector: {}}]}",
    ""
)]
#[case::by_labels("{members: [{namespaceSelector: {}, podSelector: {}}]}", "")]
#[case::one_of_each(
    "{members: [{namespaces: [a], podSelector: {}}, {namespaceSelector: {}, podSelector: {}}]}",
    ""
)]
#[case::clients_do_not_count(
    "{members: [{namespaces: [a], podSelector: {}}], clients: [{namespaces: [b], podSelector: {}}]}",
    "a"
)]
#[case::said("{consent: {namespace: c}, members: [{namespaces: [a], podSelector: {}}]}", "c")]
#[case::said_cluster("{consent: {cluster: true}, members: [{namespaces: [a], podSelector: {}}]}", "")]
fn consent_is_the_one_namespace_of_the_members(#[case] spec: &str, #[case] namespace: &str) {
    let guardrails = accepted(&segment_with(spec)).guardrails;
    assert_eq!(guardrails.segments[0].consent.namespace(), namespace);
    assert_eq!(guardrails.segments[0].consent == Scope::Cluster, namespace.is_empty());
    assert_eq!(
        guardrails
            .consents
            .keys()
            .map(AsRef::as_ref)
            .collect::<Vec<&str>>()
            .join(""),
        namespace
    );
}

#[rstest::rstest]
#[case("{members: [{namespaces: [a], podSelector: {}}]}", Mode::Warn)]
#[case("{mode: Enforce, members: [{namespaces: [a], podSelector: {}}]}", Mode::Enforce)]
fn a_segment_may_say_its_own_mode(#[case] spec: &str, #[case] mode: Mode) {
    assert_eq!(accepted(&segment_with(spec)).guardrails.segments[0].mode, mode);
}

#[test]
fn json_is_accepted() {
    let json = serde_json::json!({
        "apiVersion": "ringfence.dev/v1alpha1", "kind": "Guardrails", "metadata": {"name": "default"},
        "spec": {"mode": "Enforce"},
    });
    for text in [
        json.to_string(),
        serde_json::to_string_pretty(&json).expect("JSON").replace("  ", "\t"),
    ] {
        assert_eq!(accepted(&text).guardrails.mode, Mode::Enforce, "{text}");
    }
}

#[test]
fn documents_may_be_spread_over_keys_in_any_order() {
    let (guardrails, segment) = PAYMENTS.split_once("---\n").expect("two documents");
    let make = |names: [&str; 2]| {
        let sources = [(names[0], guardrails), (names[1], segment)].map(|(name, text)| Source {
            name: name.to_owned(),
            text: text.to_owned(),
        });
        let reversed: Vec<Source> = sources.iter().rev().cloned().collect();
        let revisions = [&sources[..], &reversed].map(|sources| {
            let compiled = compile(sources).expect("valid").guardrails;
            assert_eq!(compiled.segments[0].mode, Mode::Enforce);
            compiled.revision
        });
        assert_eq!(revisions[0], revisions[1], "the order of the keys says nothing");
        revisions[0].clone()
    };
    assert_ne!(make(["a.yaml", "b.yaml"]), make(["b.yaml", "a.yaml"]));
}

#[test]
fn anchors_within_bounds_are_followed() {
    let text = segment_with(
        "{members: [{namespaces: &ns [a], podSelector: &all {}}], clients: [{namespaces: *ns, podSelector: *all}]}",
    );
    let guardrails = accepted(&text).guardrails;
    assert_eq!(guardrails.segments[0].clients, guardrails.segments[0].members);
}

#[test]
fn limits_of_kubernetes_are_reached() {
    let name = format!("{}.{}", "s".repeat(99), "t".repeat(100));
    let key = format!("{}/{}", vec!["p".repeat(62); 4].join(".") + "pp", "k".repeat(63));
    let (namespace, value) = ("n".repeat(63), "v".repeat(63));
    assert_eq!((name.len(), key.len()), (200, 253 + 1 + 63));
    let text = segment_with(&format!(
        "{{members: [{{namespaces: [{namespace}], podSelector: {{matchLabels: {{? {key} : {value}}}}}}}]}}"
    ))
    .replace("metadata: {name: s}", &format!("metadata: {{name: {name}}}"));
    let guardrails = accepted(&text).guardrails;
    assert_eq!(guardrails.segments[0].name.as_str(), name);
    let labels: Labels<'_> = [(key.as_str(), value.as_str())].into_iter().collect();
    assert_eq!(guardrails.index.candidates(&namespace, &labels).len(), 1);
}

#[test]
fn checks_delegates_and_custom_kinds_come_into_force() {
    let text = "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default}, spec: {mode: Warn, \
                checks: [{name: HostAccess}], delegates: [{user: argo, reviewAs: 'gitops:{namespace}'}], workloads: \
                [{group: argoproj.io, version: v1alpha1, resource: rollouts, template: /spec/a~1b/template, \
                controllers: ['system:serviceaccount:rollouts:controller']}]}}";
    let guardrails = accepted(text).guardrails;
    assert_eq!(guardrails.checks, [(CheckName::HostAccess, Mode::Warn)].into());
    assert_eq!(guardrails.delegates[0].reviewer("web"), "gitops:web");
    assert_eq!(guardrails.workloads[0].template, ["spec", "a/b", "template"]);
    assert_eq!(guardrails.workloads[0].pointer(), "/spec/a~1b/template");
}

#[test]
fn system_namespaces_that_leave_out_the_usual_are_told() {
    let text = "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default}, \
                spec: {systemNamespaces: [kube-system, cni]}}";
    let compiled = accepted(text);
    let names: Vec<&str> = compiled
        .guardrails
        .system_namespaces
        .iter()
        .map(AsRef::as_ref)
        .collect();
    assert_eq!(names, ["cni", "kube-system"]);
    assert_eq!(
        compiled.notices[0].to_string(),
        "notice: systemNamespaces leaves out kube-public, kube-node-lease, ringfence-system: where something is Enforce \
         there, a failure of ringfence blocks the cluster's own pods"
    );
}

#[rstest::rstest]
#[case::each_with_what_it_leaves("{checks: [{name: AllNamespaces}, {name: WorldIngress}, {name: WorldEgress}]}", &[])]
#[case::what_leaves_nothing("{checks: [{name: MissingPorts}, {name: MetadataEndpoint}]}", &[])]
#[case::alone("{checks: [{name: AllNamespaces}]}", &["AllNamespaces leaves a rule without `from` to WorldIngress", "AllNamespaces leaves a rule without `to` to WorldEgress"])]
#[case::stricter(
    "{mode: Enforce, checks: [{name: UnownedNamespaceLabel}, {name: AllNamespaces, mode: Warn}, {name: WorldIngress}, {name: WorldEgress, mode: Warn}]}",
    &["UnownedNamespaceLabel leaves an empty namespaceSelector to AllNamespaces"]
)]
fn checks_that_leave_something_to_others_say_so_without_them(#[case] spec: &str, #[case] expected: &[&str]) {
    let told = accepted(&super::guardrails_with(spec)).notices;
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(
            told.contains(&format!("check {expected}, which is not made as strictly")),
            "{told}"
        );
    }
}

#[test]
fn a_thousand_segments_are_each_found_by_their_labels() {
    let mut text =
        "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default}, spec: {}}\n".to_owned();
    for number in 0..1000 {
        write!(
            text,
            "---\napiVersion: ringfence.dev/v1alpha1\nkind: Segment\nmetadata:\n  name: s{number}\nspec:\n  members:\n  \
             - namespaces: [n{number}]\n    podSelector: {{matchLabels: {{app: db{number}}}}}\n  clients:\n  \
             - namespaceSelector: {{}}\n    podSelector: {{matchLabels: {{app: web{number}}}}}\n"
        )
        .expect("writing to a string");
    }
    let guardrails = compile(&[source(&text)]).expect("valid").guardrails;
    assert_eq!(guardrails.segments.len(), 1000);
    assert_eq!(guardrails.consents.len(), 1000);
    let labels: Labels<'_> = [("app", "web777")].into_iter().collect();
    let found = guardrails.index.candidates("anywhere", &labels);
    let names: Vec<&str> = found
        .iter()
        .map(|id| guardrails.segment(id.segment).name.as_str())
        .collect();
    assert_eq!(names, ["s777"]);
}

#[test]
fn what_is_written_back_compiles_to_the_same() {
    let guardrails = accepted(PAYMENTS).guardrails;
    let document = |kind: &str, name: &str, spec: serde_json::Value| {
        serde_json::json!({"apiVersion": "ringfence.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
            .to_string()
    };
    let spec = serde_json::to_value(GuardrailsSpec::from(&guardrails)).expect("JSON");
    let mut text = document("Guardrails", "default", spec);
    for segment in &guardrails.segments {
        let spec = serde_json::to_value(SegmentSpec::from(segment)).expect("JSON");
        text += &format!("\n---\n{}", document("Segment", segment.name.as_str(), spec));
    }
    let again = accepted(&text).guardrails;
    assert_eq!(again.mode, guardrails.mode);
    assert_eq!(again.rollout, guardrails.rollout);
    assert_eq!(again.system_namespaces, guardrails.system_namespaces);
    assert_eq!(format!("{:?}", again.segments), format!("{:?}", guardrails.segments));
}

#[test]
fn clauses_are_told_in_short_words() {
    let text = segment_with(
        "{members: [{namespaces: [b, a], podSelector: {}}, {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}, \
         {namespaceSelector: {matchLabels: {env: prod}}, podSelector: {matchExpressions: [{key: a, operator: In, values: [x, \
         w]}, {key: b, operator: NotIn, values: [x]}, {key: c, operator: Exists}, {key: d, operator: DoesNotExist}]}}]}",
    );
    let told: Vec<String> = accepted(&text).guardrails.segments[0]
        .members
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "every pod in a,b",
            "app=db in every namespace",
            "a in (w,x),b notin (x),c,!d in namespaces with env=prod"
        ]
    );
}

#[rstest::rstest]
#[case::off("{mode: Enforce}", None, "")]
#[case::as_the_rest("{mode: Warn, separationOfDuties: {}}", Some(Mode::Warn), "")]
#[case::of_its_own(
    "{mode: Audit, separationOfDuties: {mode: Enforce, exemptGroups: [system:masters]}}",
    Some(Mode::Enforce),
    ""
)]
#[case::administrators_are_refused("{separationOfDuties: {mode: Enforce}}", Some(Mode::Enforce), "system:masters")]
#[case::nobody_is_asked(
    "{separationOfDuties: {exemptGroups: [system:authenticated]}}",
    Some(Mode::Audit),
    "nobody is asked"
)]
fn separation_of_duties_is_off_unless_said(#[case] spec: &str, #[case] mode: Option<Mode>, #[case] notice: &str) {
    let compiled = accepted(&super::guardrails_with(spec));
    let duties = compiled.guardrails.separation_of_duties;
    assert_eq!(duties.map(|duties| duties.mode), mode);
    let told = compiled
        .notices
        .iter()
        .any(|told| told.to_string().contains("separationOfDuties"));
    assert_eq!(told, !notice.is_empty());
    assert!(compiled.notices.iter().all(|told| told.to_string().contains(notice)));
}
