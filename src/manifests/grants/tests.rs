//! What each grant comes to, and that it says where and to whom.

use rstest::rstest;

use super::*;

const CILIUM: (&str, &str) = ("ciliumnetworkpolicies", "cilium.io");

fn payments() -> Scope {
    Scope::Namespace(NamespaceName::new("payments").expect("a valid name"))
}

fn segment() -> SegmentName {
    SegmentName::new("payments-db").expect("a valid name")
}

#[test]
fn a_grant_binds_the_published_role_where_the_owner_consents() {
    let subjects =
        [Subject::user("mallory"), Subject::service_account("ci:deployer")].map(|subject| subject.expect("valid"));
    let text = on_segment(
        Verb::Connect,
        "place pods that its policies let in",
        &segment(),
        &payments(),
        &subjects,
    );
    insta::assert_snapshot!(text.expect("can be written"));
}

#[test]
fn a_grant_at_the_cluster_is_a_cluster_role_binding() {
    let subjects = [Subject::group("team payments").expect("valid")];
    let text = on_segment(
        Verb::Manage,
        "create its consent namespace",
        &segment(),
        &Scope::Cluster,
        &subjects,
    );
    insta::assert_snapshot!(text.expect("can be written"));
}

#[test]
fn an_owner_may_bind_the_roles_of_the_segment_and_no_others() {
    let subjects = [Subject::group("team-payments").expect("valid")];
    insta::assert_snapshot!(ownership(&segment(), &payments(), &subjects).expect("can be written"));
}

#[test]
fn an_owner_at_the_cluster_may_not_delete_bindings_of_others() {
    let subjects = [Subject::group("team-payments").expect("valid")];
    let text = ownership(&segment(), &Scope::Cluster, &subjects).expect("can be written");
    assert!(text.contains("- clusterrolebindings\n"), "{text}");
    assert!(!text.contains("delete"), "{text}");
}

#[test]
fn what_no_role_is_published_for_brings_its_own() {
    let subjects = [Subject::user("olga").expect("valid")];
    let installed_in = NamespaceName::new("ringfence-system").expect("a valid name");
    let none = ProfileName::new("none").expect("a valid name");
    let texts = [
        configuration(&installed_in, &subjects),
        crossing(&SegmentName::new("payments-db").expect("a valid name"), &subjects),
        waiver("HostAccess", &subjects),
        on_profile(Verb::Use, &none, &subjects),
        on_unread_policies(CILIUM, Some("open"), payments(), &subjects),
        on_unread_policies(CILIUM, None, Scope::Cluster, &subjects),
    ];
    insta::assert_snapshot!(texts.map(|text| text.expect("can be written")).join("\n"));
}

#[rstest]
#[case(Subject::user("mallory"), None)]
#[case(Subject::user("system:serviceaccount:ci:deployer"), Some("in namespace ci"))]
#[case(Subject::user("system:anonymous"), Some("everybody"))]
#[case(Subject::group("dev"), None)]
#[case(Subject::group("system:authenticated"), Some("everybody"))]
#[case(Subject::group("system:serviceaccounts:ci"), Some("all service accounts of ci"))]
#[case(Subject::service_account("ci:deployer"), Some("service account ci:deployer"))]
fn who_can_be_borrowed_is_warned_of(#[case] subject: Result<Subject, InvalidSubject>, #[case] words: Option<&str>) {
    let warning = subject.expect("valid").warning();
    match words {
        None => assert_eq!(warning, None),
        Some(words) => assert!(
            warning.as_deref().is_some_and(|text| text.contains(words)),
            "{warning:?}"
        ),
    }
}

#[rstest]
#[case(Subject::user(""))]
#[case(Subject::group(""))]
#[case(Subject::service_account("deployer"))]
#[case(Subject::service_account("ci:"))]
#[case(Subject::service_account("ci:a:b"))]
#[case(Subject::user("system:serviceaccount:ci"))]
fn subjects_that_rbac_would_not_understand_are_refused(#[case] subject: Result<Subject, InvalidSubject>) {
    assert!(subject.is_err(), "{subject:?}");
}

#[test]
fn names_of_bindings_are_path_segments_and_told_apart() {
    let name = |user: &str| Subject::user(user).expect("valid").binding_name("ringfence:db:join");
    assert_eq!(name("a@example.com"), "ringfence:db:join:user:a@example.com");
    let odd = [
        "https://issuer/#a",
        "https://issuer/%a",
        "https:--issuer--a",
        "ü",
        "ä",
        &"x".repeat(300),
        &"x".repeat(301),
    ];
    let names: std::collections::BTreeSet<String> = odd.iter().map(|user| name(user)).collect();
    assert_eq!(names.len(), odd.len());
    for name in names {
        assert!(
            name.len() <= 253 && name.is_ascii() && !name.contains(['/', '%', '#', ' ']),
            "{name}"
        );
    }
    assert_ne!(
        name("x"),
        Subject::group("x").expect("valid").binding_name("ringfence:db:join")
    );
}

/// At the cluster it is one on every policy of that name.
#[test]
fn a_grant_on_a_policy_says_which_policies_it_is_on() {
    let subjects = [Subject::user("olga").expect("valid")];
    let on = |verb, scope: &Scope| on_policy(verb, "have it so", "ledger", scope, &subjects).expect("can be written");
    let here = on(Verb::Connect, &payments());
    assert!(
        here.contains("Policy: NetworkPolicy ledger in namespace payments."),
        "{here}"
    );
    assert!(
        here.contains("kind: RoleBinding") && !here.contains("kind: ClusterRole"),
        "{here}"
    );
    assert!(
        here.contains("- networking.k8s.io") && here.contains("- ledger"),
        "{here}"
    );
    let everywhere = on(Verb::Protect, &Scope::Cluster);
    assert!(
        everywhere.contains("every NetworkPolicy that is called ledger, in all namespaces"),
        "{everywhere}"
    );
    assert!(everywhere.contains("kind: ClusterRoleBinding"), "{everywhere}");
}
