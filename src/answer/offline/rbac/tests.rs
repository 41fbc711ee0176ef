//! Tables of rules, subjects and bindings, each with what the API server answers.

use rstest::rstest;

use super::super::folder::File;
use super::super::manifests::Manifests;
use super::*;

const MALLORY: Access<'static> = Access {
    user: "mallory",
    groups: &["dev", "system:authenticated"],
    verb: "connect",
    group: "ringfence.dev",
    resource: "segments",
    subresource: "",
    name: "payments-db",
    namespace: "payments",
};

fn rbac(text: &str) -> Rbac {
    let file = File {
        name: "test.yaml".to_owned(),
        text: text.to_owned(),
    };
    Manifests::parse(&[file], &[])
        .unwrap_or_else(|problems| panic!("{problems}"))
        .rbac
}

/// A Role and a ClusterRole `r`, both with this one rule.
fn roles(rule: &str) -> String {
    format!(
        "---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: r, namespace: payments}}, rules: [{rule}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: r}}, rules: [{rule}]}}
"
    )
}

fn binding(kind: &str, namespace: &str, role: &str, subject: &str) -> String {
    format!(
        "---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: b, namespace: {namespace}}},
  roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}, name: r}}, subjects: [{subject}]}}
"
    )
}

const RULE: &str =
    "{apiGroups: [ringfence.dev], resources: [segments], resourceNames: [payments-db], verbs: [connect]}";

#[rstest]
#[case::exactly_this(
    "{apiGroups: [ringfence.dev], resources: [segments], resourceNames: [payments-db], verbs: [connect]}",
    true
)]
#[case::one_of_several(
    "{apiGroups: ['', ringfence.dev], resources: [pods, segments], resourceNames: [a, payments-db], verbs: [join, connect]}",
    true
)]
#[case::resource_names_absent("{apiGroups: [ringfence.dev], resources: [segments], verbs: [connect]}", true)]
#[case::resource_names_empty(
    "{apiGroups: [ringfence.dev], resources: [segments], resourceNames: [], verbs: [connect]}",
    true
)]
#[case::another_name(
    "{apiGroups: [ringfence.dev], resources: [segments], resourceNames: [cards], verbs: [connect]}",
    false
)]
#[case::a_star_among_names_is_a_name(
    "{apiGroups: [ringfence.dev], resources: [segments], resourceNames: ['*'], verbs: [connect]}",
    false
)]
#[case::an_empty_name_is_a_name(
    "{apiGroups: [ringfence.dev], resources: [segments], resourceNames: [''], verbs: [connect]}",
    false
)]
#[case::every_verb("{apiGroups: [ringfence.dev], resources: [segments], verbs: ['*']}", true)]
#[case::another_verb(
    "{apiGroups: [ringfence.dev], resources: [segments], verbs: [join, get, update]}",
    false
)]
#[case::a_verb_by_prefix(
    "{apiGroups: [ringfence.dev], resources: [segments], verbs: ['con*', connec, CONNECT]}",
    false
)]
#[case::every_group("{apiGroups: ['*'], resources: [segments], verbs: [connect]}", true)]
#[case::the_core_group_alone("{apiGroups: [''], resources: [segments], verbs: [connect]}", false)]
#[case::a_group_by_suffix("{apiGroups: ['*.dev', dev], resources: [segments], verbs: [connect]}", false)]
#[case::every_resource("{apiGroups: [ringfence.dev], resources: ['*'], verbs: [connect]}", true)]
#[case::a_subresource_alone(
    "{apiGroups: [ringfence.dev], resources: [segments/status], verbs: [connect]}",
    false
)]
#[case::every_subresource_is_no_wildcard(
    "{apiGroups: [ringfence.dev], resources: ['segments/*'], verbs: [connect]}",
    false
)]
#[case::a_subresource_of_everything("{apiGroups: [ringfence.dev], resources: ['*/segments'], verbs: [connect]}", false)]
fn a_rule_is_matched_as_the_api_server_does(#[case] rule: &str, #[case] allowed: bool) {
    let rbac = rbac(&(roles(rule) + &binding("RoleBinding", "payments", "Role", "{kind: User, name: mallory}")));
    assert_eq!(rbac.allows(MALLORY), allowed);
}

#[rstest]
#[case::the_resource_alone("pods", false)]
#[case::exactly("pods/exec", true)]
#[case::of_everything("*/exec", true)]
#[case::everything("*", true)]
#[case::another_of_everything("*/ec", false)]
#[case::every_subresource_is_no_wildcard("pods/*", false)]
#[case::of_another("services/exec", false)]
fn a_subresource_is_matched_as_the_api_server_does(#[case] resource: &str, #[case] allowed: bool) {
    let rule = format!("{{apiGroups: [''], resources: ['{resource}'], verbs: [create]}}");
    let rbac = rbac(&(roles(&rule) + &binding("RoleBinding", "payments", "Role", "{kind: User, name: mallory}")));
    let exec = Access {
        group: "",
        resource: "pods",
        subresource: "exec",
        verb: "create",
        ..MALLORY
    };
    assert_eq!(rbac.allows(exec), allowed);
}

#[test]
fn an_empty_name_never_matches_resource_names() {
    let rbac = rbac(&(roles(RULE) + &binding("RoleBinding", "payments", "Role", "{kind: User, name: mallory}")));
    assert!(rbac.allows(MALLORY));
    assert!(!rbac.allows(Access { name: "", ..MALLORY }));
}

const CI: Access<'static> = Access {
    user: "system:serviceaccount:ci:deployer",
    groups: &[
        "system:serviceaccounts",
        "system:serviceaccounts:ci",
        "system:authenticated",
    ],
    ..MALLORY
};

#[rstest]
#[case::by_name("{kind: User, name: mallory}", MALLORY, true)]
#[case::another_name("{kind: User, name: Mallory}", MALLORY, false)]
#[case::a_group("{kind: Group, name: dev}", MALLORY, true)]
#[case::everyone("{kind: Group, name: 'system:authenticated'}", MALLORY, true)]
#[case::a_group_is_no_user("{kind: User, name: dev}", MALLORY, false)]
#[case::a_user_is_no_group("{kind: Group, name: mallory}", MALLORY, false)]
#[case::an_account("{kind: ServiceAccount, name: deployer, namespace: ci}", CI, true)]
#[case::an_account_as_user("{kind: User, name: 'system:serviceaccount:ci:deployer'}", CI, true)]
#[case::all_accounts("{kind: Group, name: 'system:serviceaccounts'}", CI, true)]
#[case::all_accounts_of_a_namespace("{kind: Group, name: 'system:serviceaccounts:ci'}", CI, true)]
#[case::all_accounts_of_another("{kind: Group, name: 'system:serviceaccounts:web'}", CI, false)]
#[case::an_account_elsewhere("{kind: ServiceAccount, name: deployer, namespace: web}", CI, false)]
#[case::an_account_of_the_bindings_own_namespace("{kind: ServiceAccount, name: deployer}", CI, false)]
#[case::any_account_is_no_name("{kind: ServiceAccount, name: '*', namespace: ci}", CI, false)]
fn a_subject_is_matched_as_the_api_server_does(
    #[case] subject: &str,
    #[case] access: Access<'_>,
    #[case] allowed: bool,
) {
    let rbac = rbac(&(roles(RULE) + &binding("RoleBinding", "payments", "Role", subject)));
    assert_eq!(rbac.allows(access), allowed);
}

#[test]
fn an_account_without_a_namespace_is_of_the_bindings() {
    let subject = "{kind: ServiceAccount, name: deployer}";
    let rbac = rbac(&(roles(RULE) + &binding("RoleBinding", "payments", "Role", subject)));
    assert!(rbac.allows(Access {
        user: "system:serviceaccount:payments:deployer",
        ..MALLORY
    }));
}

#[rstest]
#[case::a_role("RoleBinding", "payments", "Role", "payments", true)]
#[case::a_role_at_the_cluster("RoleBinding", "payments", "Role", "", false)]
#[case::a_role_elsewhere("RoleBinding", "payments", "Role", "web", false)]
#[case::a_binding_to_a_role_of_another_namespace("RoleBinding", "web", "Role", "web", false)]
#[case::a_cluster_role_in_a_namespace("RoleBinding", "payments", "ClusterRole", "payments", true)]
#[case::a_cluster_role_in_a_namespace_not_elsewhere("RoleBinding", "payments", "ClusterRole", "web", false)]
#[case::a_cluster_role_in_a_namespace_not_at_the_cluster("RoleBinding", "payments", "ClusterRole", "", false)]
#[case::at_the_cluster("ClusterRoleBinding", "", "ClusterRole", "", true)]
#[case::at_the_cluster_in_every_namespace("ClusterRoleBinding", "", "ClusterRole", "web", true)]
fn a_binding_holds_where_it_stands(
    #[case] kind: &str,
    #[case] bound_in: &str,
    #[case] role: &str,
    #[case] asked_in: &str,
    #[case] allowed: bool,
) {
    let rbac = rbac(&(roles(RULE) + &binding(kind, bound_in, role, "{kind: User, name: mallory}")));
    let access = Access {
        namespace: asked_in,
        ..MALLORY
    };
    assert_eq!(rbac.allows(access), allowed);
}

#[test]
fn a_binding_to_a_missing_role_grants_nothing_and_hides_nothing() {
    let missing = "---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a, namespace: payments},
  roleRef: {kind: Role, name: gone}, subjects: [{kind: User, name: mallory}]}
";
    assert!(!rbac(missing).allows(MALLORY));
    let beside = roles(RULE) + &binding("RoleBinding", "payments", "Role", "{kind: User, name: mallory}") + missing;
    assert!(rbac(&beside).allows(MALLORY));
}

#[test]
fn a_cluster_role_binding_does_not_reach_a_role() {
    let role = roles(RULE)
        .split("---")
        .nth(1)
        .map(|role| format!("---{role}"))
        .expect("the Role comes first");
    let binding = binding("ClusterRoleBinding", "", "ClusterRole", "{kind: User, name: mallory}");
    assert!(!rbac(&(role + &binding)).allows(MALLORY));
}

#[test]
fn system_masters_may_do_everything_without_a_binding() {
    let root = Access {
        groups: &["system:masters"],
        ..MALLORY
    };
    assert!(Rbac::default().allows(root));
    assert!(!Rbac::default().allows(MALLORY));
}

#[rstest]
#[case("cluster-admin", true)]
#[case("admin", false)]
#[case("edit", false)]
fn the_built_in_roles_are_there(#[case] role: &str, #[case] allowed: bool) {
    let binding = format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: b, namespace: payments}},
          roleRef: {{kind: ClusterRole, name: {role}}}, subjects: [{{kind: User, name: mallory}}]}}"
    );
    assert_eq!(rbac(&binding).allows(MALLORY), allowed);
}

/// ClusterRoles `r` (aggregates label `to: r`), `middle` (labelled so, aggregates `to: middle` and `to: r`), `leaf`.
fn aggregated(leaf_label: &str) -> String {
    format!(
        "---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: r}}
aggregationRule: {{clusterRoleSelectors: [{{matchLabels: {{to: r}}}}]}}
rules: [{{apiGroups: ['*'], resources: ['*'], verbs: [written-and-overwritten]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: middle, labels: {{to: r}}}}
aggregationRule: {{clusterRoleSelectors: [{{matchLabels: {{to: r}}}}, {{matchExpressions: [{{key: to, operator: In, values: [middle]}}]}}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: leaf, labels: {{to: {leaf_label}}}}}
rules: [{RULE}]
"
    ) + &binding("RoleBinding", "payments", "ClusterRole", "{kind: User, name: mallory}")
}

#[rstest]
#[case::directly("r", true)]
#[case::through_another("middle", true)]
#[case::by_another_label("other", false)]
fn an_aggregated_role_has_the_rules_of_what_it_selects(#[case] leaf_label: &str, #[case] allowed: bool) {
    assert_eq!(rbac(&aggregated(leaf_label)).allows(MALLORY), allowed);
}

#[test]
fn what_is_written_in_an_aggregated_role_is_overwritten() {
    let access = Access {
        verb: "written-and-overwritten",
        ..MALLORY
    };
    assert!(!rbac(&aggregated("r")).allows(access));
}

#[test]
fn a_role_labelled_for_admin_reaches_whoever_is_admin() {
    let text = format!(
        "---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, rules: [{RULE}],
  metadata: {{name: r, labels: {{rbac.authorization.k8s.io/aggregate-to-edit: 'true'}}}}}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: b, namespace: payments}},
  roleRef: {{kind: ClusterRole, name: admin}}, subjects: [{{kind: User, name: mallory}}]}}
"
    );
    assert!(rbac(&text).allows(MALLORY));
}
