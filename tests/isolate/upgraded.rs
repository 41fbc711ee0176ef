//! An upgrade of what profiles come to, as a new version or new options of built-in policies bring it: it rolls through all
//! namespaces without a moment in which one has fewer policies than before or after, by the API server's own account.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};

use ringfence_controlplane::{configure, eventually, resource_version};
use serde_json::{Value, json};

use crate::world::{GUARDRAILS, RESTRICTED, World, world};

const NAMESPACES: usize = 12;
const OURS: &str = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dringfence";
const ALL: &str = "/apis/networking.k8s.io/v1/networkpolicies";

/// The specs of a namespace's policies, by name.
type Specs = BTreeMap<String, Value>;

fn name(number: usize) -> String {
    format!("rolling-{number}")
}

fn specs(world: &World, namespace: &str) -> Specs {
    let standing = world.policies(namespace).into_iter();
    let specs = standing.map(|policy| {
        let name = policy["metadata"]["name"].as_str().expect("named").to_owned();
        (name, policy["spec"].clone())
    });
    specs.collect()
}

/// Everything that happened to policies of ours between two states of the cluster.
fn events(world: &World, from: &str, to: &str) -> Vec<Value> {
    let path = format!("{ALL}?watch=true&resourceVersion={from}&timeoutSeconds=2&{OURS}");
    let answer = world.cluster.request("admin", "GET", &path).send();
    let lines = BufReader::new(answer.text.as_bytes()).lines();
    let events = lines.map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("an event"));
    let to: u64 = to.parse().expect("a number");
    events
        .filter(|event| resource_version(&event["object"]) <= to)
        .collect()
}

/// The state of the cluster that a list is of.
fn now(world: &World) -> String {
    let list = world
        .cluster
        .request("admin", "GET", &format!("{ALL}?{OURS}"))
        .send()
        .ok();
    list["metadata"]["resourceVersion"]
        .as_str()
        .expect("it has one")
        .to_owned()
}

/// That at every moment of a change each namespace had all that both profiles have, as one of them has it, and one of the
/// two sets of names whole.
fn assert_without_a_gap(world: &World, from: &str, before: &Specs, after: &Specs) {
    let events = events(world, from, &now(world));
    let mut standing: BTreeMap<String, Specs> = (0..NAMESPACES).map(|number| (name(number), before.clone())).collect();
    let mut changed = BTreeSet::new();
    for event in events {
        let metadata = &event["object"]["metadata"];
        let namespace = metadata["namespace"].as_str().expect("namespaced");
        let Some(standing) = standing.get_mut(namespace) else {
            continue;
        };
        changed.insert(namespace.to_owned());
        let policy = metadata["name"].as_str().expect("named").to_owned();
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => {
                let spec = event["object"]["spec"].clone();
                let known = [before, after].iter().any(|specs| specs.get(&policy) == Some(&spec));
                assert!(known, "{namespace} got what neither has: {event}");
                standing.insert(policy, spec);
            }
            Some("DELETED") => _ = standing.remove(&policy),
            other => panic!("{other:?}"),
        }
        let stands = |specs: &Specs| specs.keys().all(|name| standing.contains_key(name));
        let kept = before.keys().filter(|name| after.contains_key(*name));
        for name in kept {
            assert!(standing.contains_key(name), "{namespace} lacked {name}");
        }
        assert!(stands(before) || stands(after), "{namespace} had only {standing:?}");
    }
    assert_eq!(changed.len(), NAMESPACES, "every one of them was changed");
    for (namespace, standing) in standing {
        assert_eq!(standing, *after, "{namespace}");
    }
}

/// Waits until all have these.
fn wait_until_all(world: &World, done: impl Fn(&Specs) -> bool) -> Specs {
    for number in 0..NAMESPACES {
        eventually(&format!("{} to be upgraded", name(number)), || {
            done(&specs(world, &name(number))).then_some(())
        });
    }
    specs(world, &name(0))
}

#[test]
fn an_upgraded_profile_rolls_through_without_a_moment_in_which_a_namespace_has_none() {
    let Some(mut world) = world() else { return };
    for number in 0..NAMESPACES {
        world.namespace(&name(number), &json!({}));
    }
    let dns = "ringfence-allow-dns";
    let mut before = wait_until_all(&world, |specs| specs.len() == RESTRICTED.len());

    // Options: the same names, another spec.
    let options = GUARDRAILS.replace(
        "builtin: allow-dns",
        "{builtin: allow-dns, with: {ports: [{port: 5353}]}}",
    );
    let from = now(&world);
    world.configure(&options);
    let old = before[dns].clone();
    let after = wait_until_all(&world, |specs| specs.get(dns).is_some_and(|spec| *spec != old));
    assert!(after[dns].to_string().contains("5353"), "{after:?}");
    assert_without_a_gap(&world, &from, &before, &after);
    before = after;

    // Other policies: some come, some go, and nobody is there to see the configuration change.
    let others = GUARDRAILS
        .replace("    - builtin: allow-dns\n", "    - builtin: allow-same-namespace\n")
        .replacen(
            "    - builtin: default-deny-egress\n",
            "    - builtin: deny-external-egress\n",
            1,
        );
    let from = now(&world);
    for index in 0..2 {
        world.ringfence.replica(index).stop().expect("it ends");
    }
    configure(&world.cluster, "admin", &others).ok();
    assert_eq!(specs(&world, &name(0)), before, "they stay while ringfence is away");
    for index in 0..2 {
        world.ringfence.replica(index).start_again().expect("it starts");
    }
    let expected = BTreeSet::from([
        "ringfence-allow-same-namespace",
        "ringfence-default-deny-ingress",
        "ringfence-deny-external-egress",
    ]);
    let after = wait_until_all(&world, |specs| {
        specs.keys().map(String::as_str).collect::<BTreeSet<_>>() == expected
    });
    assert_without_a_gap(&world, &from, &before, &after);
    before = after;

    // And back, while pods come.
    for index in 0..2 {
        world.ringfence.replica(index).wait_until_ready().expect("ready");
    }
    let from = now(&world);
    world.configure(GUARDRAILS);
    for number in 0..NAMESPACES {
        world.pod(&name(number), "comes").ok();
    }
    let restricted = BTreeSet::from(RESTRICTED);
    let after = wait_until_all(&world, |specs| {
        specs.keys().map(String::as_str).collect::<BTreeSet<_>>() == restricted
    });
    assert_without_a_gap(&world, &from, &before, &after);
}
