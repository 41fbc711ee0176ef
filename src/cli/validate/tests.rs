//! `ringfence validate` on files of a temporary folder, with its output captured.

use std::fs;

use super::*;

const GUARDRAILS: &str = "\
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  rollout: {default: Audit, namespaces: [{name: payments, mode: Enforce}]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  members:
    - namespaces: [payments]
      podSelector: {matchLabels: {app: hollowdb}}
  clients:
    - namespaceSelector: {}
      podSelector: {matchLabels: {app: hollowapp}}
  guardAccess: false
";

/// What the command said.
#[derive(Debug)]
struct Said {
    success: bool,
    out: String,
    errors: String,
}

/// Runs the command in a folder of these files; the folder's path is taken out of what it says.
fn said(files: &[(&str, &str)], arguments: &[&str], stdin: &str) -> anyhow::Result<Said> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let place = |name: &&str| {
        if *name == "-" {
            PathBuf::from("-")
        } else {
            folder.path().join(name)
        }
    };
    let arguments = Arguments {
        files: arguments.iter().map(place).collect(),
        cluster: false,
        kubeconfig: None,
        installed_in: NamespaceArgument(NamespaceName::new(names::NAMESPACE).expect("valid")),
    };
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = validate(&arguments, stdin.as_bytes(), &mut out, &mut errors)?;
    let text = |bytes: Vec<u8>| {
        let prefix = format!("{}/", folder.path().display());
        String::from_utf8(bytes).expect("text").replace(&prefix, "")
    };
    Ok(Said {
        success: code == ExitCode::SUCCESS,
        out: text(out),
        errors: text(errors),
    })
}

fn config_map(name: &str, key: &str, text: &str) -> String {
    let text = text.trim_end().replace('\n', "\n    ");
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  {key}: |\n    {text}\n")
}

#[test]
fn what_is_right_is_summed_up() {
    let said = said(&[("a.yaml", GUARDRAILS)], &["a.yaml"], "").expect("read");
    assert!(said.success && said.errors.is_empty(), "{said:?}");
    let (revision, rest) = said.out.split_once('\n').expect("lines");
    assert!(revision.starts_with("valid: 1 segment, revision "), "{revision}");
    insta::assert_snapshot!(rest, @r"
    mode: Enforce
    at most: Enforce in payments, Audit elsewhere
    can deny: in payments
    system namespaces: kube-node-lease, kube-public, kube-system, ringfence-system
    segment payments-db: Enforce, consent in payments
      members[0]: app=hollowdb in payments
      clients[0]: app=hollowapp in every namespace
    ");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let wrong = GUARDRAILS.replace("namespaceSelector: {}", "namespaceSelecter: {}");
    let said = said(&[("a.yaml", &wrong)], &["a.yaml"], "").expect("read");
    assert!(!said.success && said.out.is_empty(), "{said:?}");
    assert!(said.errors.contains("a.yaml:16:7"), "{}", said.errors);
    assert!(
        said.errors.contains("did you mean \"namespaceSelector\"?"),
        "{}",
        said.errors
    );
}

#[test]
fn a_config_map_is_unwrapped_and_places_are_counted_in_its_key() {
    let wrong = GUARDRAILS.replace("mode: Enforce\n", "mode: Enforced\n");
    let map = config_map("any", "g.yaml", &wrong);
    let said = said(&[("map.yaml", &map)], &["map.yaml"], "").expect("read");
    assert!(said.errors.contains("map.yaml[g.yaml]:5:9"), "{}", said.errors);
}

#[test]
fn keys_that_are_not_read_are_told() {
    let map = config_map("any", "g.yml", GUARDRAILS);
    let said = said(&[("map.yaml", &map)], &["map.yaml"], "").expect("read");
    assert!(said.success && said.out.starts_with("valid: no segments"), "{said:?}");
    assert!(
        said.out.contains("notice: key \"g.yml\" of map.yaml is not read"),
        "{}",
        said.out
    );
}

#[test]
fn in_a_folder_other_files_are_passed_over() {
    let (guardrails, segment) = GUARDRAILS.split_once("---\n").expect("two documents");
    let files = [
        ("policies/guardrails.yaml", guardrails),
        ("policies/deeper/segment.yml", segment),
        (
            "policies/rbac.yaml",
            "apiVersion: v1\nkind: Namespace\n---\napiVersion: v1\nkind: Namespace\n",
        ),
        ("policies/app.yaml", &config_map("app", "settings.yaml", "a: b")),
        ("policies/empty.yaml", "# nothing\n"),
        ("policies/notes.txt", "a: ["),
    ];
    let said = said(&files, &["policies"], "").expect("read");
    assert!(said.success && said.out.contains("segment payments-db"), "{said:?}");
    let told: Vec<&str> = said
        .out
        .lines()
        .filter(|line| line.starts_with("passed over"))
        .collect();
    assert_eq!(
        told,
        [
            "passed over: policies/app.yaml (ConfigMap)",
            "passed over: policies/rbac.yaml (Namespace)"
        ]
    );
}

#[test]
fn stdin_and_files_are_one_configuration() {
    let (guardrails, segment) = GUARDRAILS.split_once("---\n").expect("two documents");
    let said_both = said(&[("a.yaml", guardrails)], &["a.yaml", "-"], segment).expect("read");
    assert!(
        said_both.success && said_both.out.contains("segment payments-db"),
        "{said_both:?}"
    );
    let alone = said(&[], &["-"], segment).expect("read");
    assert!(
        alone.errors.contains("documents without a Guardrails document"),
        "{alone:?}"
    );
}

#[rstest::rstest]
#[case::other_kinds("apiVersion: v1\nkind: Pod\n", "a.yaml", "a.yaml holds no guardrails, but Pod")]
#[case::missing("", "b.yaml", "cannot read")]
#[case::folder_without("apiVersion: v1\nkind: Pod\n", "", "no guardrails in")]
fn what_holds_no_guardrails_is_an_error(#[case] text: &str, #[case] argument: &str, #[case] expected: &str) {
    let error = said(&[("a.yaml", text)], &[argument], "")
        .expect_err("nothing to validate")
        .to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn an_empty_file_means_the_defaults() {
    let said = said(&[("a.yaml", "# later\n")], &["a.yaml"], "").expect("read");
    assert!(said.success, "{said:?}");
    assert!(
        said.out.contains("can deny: nothing: there is no segment"),
        "{}",
        said.out
    );
}

#[test]
fn isolation_is_told_with_what_its_profiles_come_to() {
    let text = "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default}, spec: {mode: Enforce, \
                isolation: {defaultProfile: restricted}}}
---
{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {name: restricted}, spec: {settle: 5s, policies: \
                [{builtin: allow-dns}, {name: mine, spec: {podSelector: {}}}]}}
";
    let said = said(&[("a.yaml", text)], &["a.yaml"], "").expect("read");
    let (_, rest) = said.out.split_once('\n').expect("lines");
    insta::assert_snapshot!(rest, @r"
    mode: Enforce
    can deny: in every namespace but kube-node-lease, kube-public, kube-system, ringfence-system
    system namespaces: kube-node-lease, kube-public, kube-system, ringfence-system
    isolation: Enforce, new namespaces under profile restricted, those that are there already are reported
    profile restricted: ringfence-allow-dns, ringfence-mine, which pods wait 5 s for
    ");
}

#[test]
fn very_many_segments_are_counted() {
    let (guardrails, segment) = GUARDRAILS.split_once("---\n").expect("two documents");
    let mut text = guardrails.to_owned();
    for number in 0..25 {
        text += &format!("---\n{}", segment.replace("payments-db", &format!("s{number}")));
    }
    let said = said(&[("a.yaml", &text)], &["a.yaml"], "").expect("read");
    assert!(said.out.contains("valid: 25 segments"), "{}", said.out);
    assert!(said.out.contains("... and 5 segments more"), "{}", said.out);
}

const POLICIES: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ledger, namespace: payments, labels: {ringfence.dev/protected: 'true'}}
spec:
  podSelector: {matchLabels: {app: ledger}}
  ingress: [{from: [{podSelector: {matchLabels: {ledger: client}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: wide, namespace: payments, labels: {ringfence.dev/protected: 'true'}}
spec:
  podSelector: {matchLabels: {app: wide}}
  ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {wide: client}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out-of-the-way, namespace: web, labels: {ringfence.dev/protected: 'true'}}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: everything, namespace: payments, labels: {ringfence.dev/protected: 'true'}}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ringfence-mine, namespace: payments, labels: {ringfence.dev/protected: 'true'}}
spec: {podSelector: {matchLabels: {app: mine}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mistyped, namespace: payments, labels: {ringfence.dev/protected: 'yes'}}
spec: {podSelector: {matchLabels: {app: mistyped}}}
";

const RBAC: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: owner, namespace: payments}
rules: [{apiGroups: [networking.k8s.io], resources: [networkpolicies], resourceNames: [ledger, wide], verbs: [protect]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: owner, namespace: payments}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: owner}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: pam}]
";

#[test]
fn what_policies_come_to_that_opted_in_is_told_and_why_one_protects_nothing() {
    let files = [
        ("guardrails.yaml", GUARDRAILS),
        ("apps/policies.yaml", POLICIES),
        ("apps/rbac.yaml", RBAC),
    ];
    let said = said(&files, &["guardrails.yaml", "apps"], "").expect("read");
    assert!(said.success, "{said:?}");
    let told: Vec<&str> = said
        .out
        .lines()
        .skip_while(|line| !line.starts_with("policy"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    policy payments/everything opted in and protects nothing
      left out: its podSelector is empty, so it has no members
      left out: a peer without podSelector makes no clients
      protect, asked in payments: held by nobody but cluster admins
    policy payments/mistyped did not opt in: label ringfence.dev/protected is "yes", and only "true" counts
    policy payments/ringfence-mine opted in and protects nothing
      left out: it isolates its namespace, so it protects nothing
      protect, asked in payments: held by nobody but cluster admins
    policy payments/ledger is a segment: Enforce
      members[0]: app=ledger in payments
      clients[0]: ledger=client in payments
      protect, asked in payments: held by User pam
      join, asked in payments: held by nobody but cluster admins
      connect, asked in payments: held by nobody but cluster admins
    policy payments/wide is a segment: Enforce
      members[0]: app=wide in payments
      clients[0]: wide=client in namespaces with kubernetes.io/metadata.name notin (kube-node-lease,kube-public,kube-system,ringfence-system)
      protect, asked at the cluster, as ingress[0].from[0] reaches beyond payments: held by nobody but cluster admins
      join, asked in payments: held by nobody but cluster admins
      connect, asked in payments: held by nobody but cluster admins
    policy web/out-of-the-way is a segment: Audit, so nobody is refused
      members[0]: app=web in web
      left out: an ipBlock names no pods, so it has no clients
      protect, asked in web: held by nobody but cluster admins
      join, asked in web: held by nobody but cluster admins
    "#);
}

#[test]
fn who_may_use_it_is_not_told_where_no_binding_is_known() {
    let said = said(
        &[("a.yaml", GUARDRAILS), ("b.yaml", POLICIES)],
        &["a.yaml", "b.yaml"],
        "",
    )
    .expect("read");
    assert!(
        said.out.contains("policy payments/ledger is a segment: Enforce"),
        "{}",
        said.out
    );
    assert!(!said.out.contains("held by"), "{}", said.out);
}

#[test]
fn a_policy_that_opted_in_and_that_the_api_server_would_refuse_is_an_error() {
    let wrong = POLICIES.replace("10.0.0.0/8", "10.0.0.0/99");
    let said = said(&[("a.yaml", GUARDRAILS), ("b.yaml", &wrong)], &["a.yaml", "b.yaml"], "").expect("read");
    assert!(!said.success && said.out.is_empty(), "{said:?}");
    assert!(said.errors.contains("NetworkPolicy out-of-the-way"), "{}", said.errors);
}

#[test]
fn very_many_policies_are_counted() {
    let (one, _) = POLICIES.split_once("---\n").expect("documents");
    let many: Vec<String> = (0..25)
        .map(|number| one.replace("ledger", &format!("p{number}")))
        .collect();
    let said = said(
        &[("a.yaml", GUARDRAILS), ("b.yaml", &many.join("---\n"))],
        &["a.yaml", "b.yaml"],
        "",
    )
    .expect("read");
    assert!(
        said.out.contains("... and 5 more policies that are segments"),
        "{}",
        said.out
    );
}
