//! Borrowed identities: a grant to a service account is a grant to whoever can become it. docs/ci-identities.md, walked.

use ringfence_controlplane::{Output, wait_until};

use super::recipe::follow;
use super::world::{GUARDRAILS, PATIENCE, World, deployment};

const PAGE: &str = include_str!("../../docs/ci-identities.md");

const RUN: &str = "run front -n web --image=app --labels=app=hollowapp --dry-run=server";

/// A call of whoever holds this token.
fn with_token(world: &World, token: &str) -> Output {
    let file = world
        .cluster
        .write_kubeconfig("borrowed", &[("borrowed", token)])
        .unwrap_or_else(|error| panic!("cannot write a kubeconfig: {error}"));
    // The later --kubeconfig holds.
    let kubeconfig = format!("--kubeconfig={}", file.display());
    let arguments = RUN.split_whitespace().chain([kubeconfig.as_str()]);
    world.cluster.kubectl("mallory").args(arguments).run()
}

#[test]
fn in_the_developers_namespace_the_grant_is_theirs_and_in_its_own_it_is_not() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    // Where developers can write: mallory, who may edit in web and nothing else, comes to hold what the account was given.
    world.kubectl("admin", "create serviceaccount deployer -n web").ok();
    world
        .kubectl(
            "admin",
            "create rolebinding deployer -n web --clusterrole=edit --serviceaccount=web:deployer",
        )
        .ok();
    world
        .grant("admin", "connect segments/payments-db --serviceaccount web:deployer")
        .ok();
    let as_account = format!("{RUN} --as=system:serviceaccount:web:deployer");
    world.kubectl("mallory", RUN).refused();
    world.eventually("mallory", &as_account);
    let token = world.kubectl("mallory", "create token deployer -n web").ok();
    with_token(&world, token.trim()).ok();
    world.kubectl("admin", "delete serviceaccount deployer -n web").ok();
    // Whoever creates an account that is granted something already inherits it.
    world.kubectl("mallory", "create serviceaccount deployer -n web").ok();
    let token = world.kubectl("mallory", "create token deployer -n web").ok();
    with_token(&world, token.trim()).ok();

    // As the page has it.
    assert_eq!(follow(&world, PAGE), 4, "the page has these commands");
    let app = deployment("web", "front", "hollowapp", "app:1");
    let deployed = wait_until(PATIENCE, "CI to deploy", || {
        let kubectl = world.cluster.kubectl_as_account("ci-web", "deployer");
        let apply = kubectl.args(["apply", "-f", "-"]).stdin(app.to_string());
        apply.run().succeeded().ok()
    });
    deployed.unwrap_or_else(|error| panic!("{error}"));
    world
        .kubectl("admin", "rollout status deployment/front -n web --timeout=60s")
        .ok();
    for attempt in [
        format!("{RUN} --as=system:serviceaccount:ci-web:deployer"),
        "create token deployer -n ci-web".to_owned(),
        "run thief -n ci-web --image=evil".to_owned(),
    ] {
        let said = world.kubectl("mallory", &attempt).refused();
        assert!(
            said.to_lowercase().contains("forbidden") && !said.contains("ringfence"),
            "RBAC itself refuses: {said}"
        );
    }
}
