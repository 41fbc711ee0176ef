//! `policies/hollowdb`: its bindings are what `ringfence grant` prints for its guardrails, and they say what its README says.

use std::path::{Path, PathBuf};
use std::process::Command;

use ringfence::answer::offline::{Access, World, folder};
use rstest::rstest;
use serde_json::Value;

fn policy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("policies/hollowdb")
        .join(file)
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

#[rstest]
#[case(&["connect", "segments/payments-db", "--serviceaccount", "ci:deployer"])]
#[case(&["join", "segments/payments-db", "--group", "dba"])]
#[case(&["own", "segments/payments-db", "--group", "team-payments"])]
fn its_bindings_are_what_grant_prints(#[case] arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .arg("grant")
        .args(arguments)
        .arg("--guardrails")
        .arg(policy("guardrails.yaml"))
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = documents(&std::fs::read_to_string(policy("rbac.yaml")).expect("it can be read"));
    let printed = documents(&String::from_utf8(output.stdout).expect("UTF-8"));
    assert!(!printed.is_empty());
    for document in printed {
        assert!(
            written.contains(&document),
            "rbac.yaml lacks what grant prints:\n{document:#}"
        );
    }
}

const DEVELOPER: Access<'static> = Access {
    user: "mallory",
    groups: &["system:authenticated"],
    verb: "connect",
    group: "ringfence.dev",
    resource: "segments",
    subresource: "",
    name: "payments-db",
    namespace: "payments",
};

#[rstest]
#[case::ci_connects(Access { user: "system:serviceaccount:ci:deployer", ..DEVELOPER }, true)]
#[case::ci_does_not_join(Access { user: "system:serviceaccount:ci:deployer", verb: "join", ..DEVELOPER }, false)]
#[case::an_account_of_the_same_name_elsewhere(Access { user: "system:serviceaccount:web:deployer", ..DEVELOPER }, false)]
#[case::administrators_join(Access { groups: &["dba"], verb: "join", ..DEVELOPER }, true)]
#[case::administrators_do_not_connect(Access { groups: &["dba"], ..DEVELOPER }, false)]
#[case::mallory_holds_every_verb_in_her_own_namespace(Access { namespace: "dev", ..DEVELOPER }, true)]
#[case::but_not_where_it_is_asked(DEVELOPER, false)]
#[case::the_owner_gives_it(
    Access {
        groups: &["team-payments"],
        verb: "bind",
        group: "rbac.authorization.k8s.io",
        resource: "clusterroles",
        name: "ringfence:payments-db:connect",
        ..DEVELOPER
    },
    true
)]
#[case::and_nothing_else(
    Access {
        groups: &["team-payments"],
        verb: "bind",
        group: "rbac.authorization.k8s.io",
        resource: "clusterroles",
        name: "cluster-admin",
        ..DEVELOPER
    },
    false
)]
fn its_permissions_are_those_of_its_story(#[case] access: Access<'_>, #[case] allowed: bool) {
    let files = folder::read(&policy("")).expect("it can be read");
    let world = World::parse(&files).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.manifests.rbac.allows(access), allowed);
}
