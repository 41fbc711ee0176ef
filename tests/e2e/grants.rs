//! The owner grants in the owner's namespace, by what `ringfence grant` prints; then CI deploys.

use ringfence_controlplane::wait_until;

use super::world::{PATIENCE, RINGFENCE, WORLD, World, deployment};

#[test]
fn the_owner_grants_in_the_owners_namespace_and_then_ci_deploys() {
    let Some(world) = WORLD.get() else { return };
    let app = deployment("web", "shop", "hollowapp", "shop:1");
    world.apply("ci", &app).refused();
    world.grant("pam", "connect segments/payments-db --user ci").refused();
    world.grant("admin", "own segments/payments-db --user pam").ok();
    let granted = wait_until(PATIENCE, "pam to be able to grant", || {
        world
            .grant("pam", "connect segments/payments-db --user ci")
            .success
            .then_some(())
    });
    granted.unwrap_or_else(|error| panic!("{error}"));
    let deployed = wait_until(PATIENCE, "ci to be able to deploy", || {
        world.apply("ci", &app).success.then_some(())
    });
    deployed.unwrap_or_else(|error| panic!("{error}"));
    world
        .kubectl("admin", "rollout status deployment/shop -n web --timeout=60s")
        .ok();
    the_check_line_answers_what_the_webhook_answers(world);
    what_does_not_change_what_runs_is_free(world);
}

fn the_check_line_answers_what_the_webhook_answers(world: &World) {
    let check = "auth can-i connect segments.ringfence.dev/payments-db -n payments";
    assert_eq!(world.kubectl("ci", check).ok().trim(), "yes");
    assert_eq!(world.kubectl("mallory", check).stdout.trim(), "no");
    // In one's own namespace one may hold every verb; it is not asked there.
    let own = "auth can-i connect segments.ringfence.dev/payments-db -n tenant";
    assert_eq!(world.kubectl("tess", own).ok().trim(), "yes");
    let rogue = world
        .kubectl("tess", "run rogue -n tenant --image=evil --labels=app=hollowapp")
        .refused();
    assert!(rogue.contains("may not connect to segment payments-db"), "{rogue}");
}

fn what_does_not_change_what_runs_is_free(world: &World) {
    world
        .kubectl("mallory", "scale deployment/shop -n web --replicas=2")
        .ok();
    world
        .kubectl("mallory", "annotate deployment/shop -n web note=mine")
        .ok();
    world
        .kubectl("admin", "rollout status deployment/shop -n web --timeout=60s")
        .ok();
    world.kubectl("mallory", "rollout restart deployment/shop -n web").ok();
    world
        .kubectl("admin", "rollout status deployment/shop -n web --timeout=60s")
        .ok();
    let swapped = world
        .kubectl("mallory", "set image deployment/shop -n web main=evil")
        .refused();
    assert!(swapped.contains("what runs under it changes"), "{swapped}");
    let pods = world.kubectl("admin", "get pods -n web -l run=shop -o json").json();
    let pod = pods["items"][0]["metadata"]["name"].as_str().expect("a pod").to_owned();
    world
        .kubectl("mallory", &format!("set image pod/{pod} -n web main=evil"))
        .refused();
    world
        .kubectl("mallory", &format!("annotate pod/{pod} -n web note=mine"))
        .ok();
    world.kubectl("ci", "set image deployment/shop -n web main=shop:2").ok();
}

#[test]
fn a_grant_to_an_account_names_those_who_can_become_it() {
    let Some(world) = WORLD.get() else { return };
    let printed = std::process::Command::new(RINGFENCE)
        .args([
            "grant",
            "connect",
            "segments/payments-db",
            "--serviceaccount",
            "web:deployer",
        ])
        .env("KUBECONFIG", world.cluster.kubeconfig("admin"))
        .output()
        .expect("ringfence runs");
    let told = String::from_utf8_lossy(&printed.stderr);
    assert!(printed.status.success(), "{told}");
    for word in [
        "web:deployer",
        "User mallory: may create pods",
        "RoleBinding web/mallory-edit",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!told.contains("User tess"), "she has no say in web: {told}");
}
