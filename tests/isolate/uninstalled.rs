//! Uninstalling leaves policies in place, reinstalling adopts them without a write, and the line of the documentation removes
//! them. On a cluster of its own.

use ringfence_controlplane::{ControlPlane, Installation, Options, Ringfence, eventually, started_or_skipped};
use serde_json::json;

use crate::world::{GUARDRAILS, RESTRICTED, World};

const DOCUMENTATION: &str = include_str!("../../docs/isolation.md");

fn installed(cluster: ControlPlane) -> World {
    let installation = Installation::of(env!("CARGO_BIN_EXE_ringfence"), GUARDRAILS);
    let ringfence = Ringfence::start(&cluster, &installation).unwrap_or_else(|error| panic!("{error}"));
    World { cluster, ringfence }
}

#[test]
fn policies_outlive_an_uninstall_and_are_adopted_by_the_next_install() {
    let Some(cluster) = started_or_skipped(&Options::default()) else {
        return;
    };
    let world = installed(cluster);
    world.wait_until_enforced();
    world.namespace("lasting", &json!({}));
    world.wait_for_policies("lasting", &RESTRICTED);

    let World { cluster, ringfence } = world;
    drop(ringfence);
    let admin = |arguments: &[&str]| cluster.kubectl("admin").args(arguments).run();
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    admin(&["delete", "-k", deploy, "--ignore-not-found", "--timeout=60s"]).ok();
    let left = |cluster: &ControlPlane| {
        let list = ["-n", "lasting", "get", "networkpolicies", "-o", "name"];
        cluster.kubectl("admin").args(list).run().ok().lines().count()
    };
    assert_eq!(left(&cluster), RESTRICTED.len());

    let world = installed(cluster);
    world.wait_until_enforced();
    let before = world.writes();
    // It was there before this installation, but its policies show that it was covered.
    eventually("it to be adopted", || {
        (world
            .ringfence
            .counted("ringfence_isolation_namespaces{state=\"isolated\"}")
            == 1)
            .then_some(())
    });
    world.namespace("later", &json!({}));
    world.wait_for_policies("later", &RESTRICTED);
    assert_eq!(world.writes() - before, RESTRICTED.len(), "only those of the new one");

    let World { cluster, ringfence } = world;
    drop(ringfence);
    let admin = |arguments: &[&str]| cluster.kubectl("admin").args(arguments).run();
    admin(&["delete", "-k", deploy, "--ignore-not-found", "--timeout=60s"]).ok();
    let line = DOCUMENTATION
        .lines()
        .find_map(|line| line.strip_prefix("$ kubectl delete networkpolicies "));
    let arguments: Vec<&str> = line.expect("it is shown").split_whitespace().collect();
    admin(&[&["delete", "networkpolicies"], arguments.as_slice()].concat()).ok();
    assert_eq!(left(&cluster), 0);
}
