//! A cluster of thousands of namespaces that gets a profile: how long until all are isolated, what it takes of the API server
//! and of memory; and that a restart then writes nothing.

use std::time::Instant;

use crate::load::Storm;
use crate::world::{Bare, World, eventually, guardrails, memory, more, wanted};

/// How many namespaces are there.
const NAMESPACES: usize = 5000;

const ISOLATED: &str = "ringfence_isolation_namespaces{state=\"isolated\"}";
const LAST_CHECK: &str = "ringfence_isolation_last_full_check_timestamp_seconds";

#[test]
fn thousands_of_namespaces_are_isolated_and_after_a_restart_nothing_is_written() {
    let Some(bare) = Bare::start() else { return };
    let began = Instant::now();
    Storm::of(&bare.cluster, "many", NAMESPACES).make_all();
    println!(
        "made | {NAMESPACES} namespaces | {:.1} s",
        began.elapsed().as_secs_f32()
    );
    let mut world = bare.install(&guardrails("Audit", "Isolate"));
    world.wait_for_leader();
    tell_memory(&mut world, "before");

    let (began, before) = (Instant::now(), world.calls());
    world.configure(&guardrails("Enforce", "Isolate"));
    wait_until_isolated(&world);
    let took = began.elapsed();
    let (calls, told) = more(&before, &world.calls());
    let policies = NAMESPACES * wanted().len();
    println!(
        "converged | {NAMESPACES} namespaces, {policies} policies | {:.1} s",
        took.as_secs_f32()
    );
    println!("converged | {calls} calls of both replicas: {told}");
    tell_memory(&mut world, "converged");

    world.stop_replicas();
    let (began, before, written) = (Instant::now(), world.calls(), world.written().len());
    world.start_replicas();
    let ready = began.elapsed();
    wait_until_isolated(&world);
    let took = began.elapsed();
    let (calls, told) = more(&before, &world.calls());
    println!(
        "restarted | ready after {:.1} s, all looked at after {:.1} s",
        ready.as_secs_f32(),
        took.as_secs_f32()
    );
    println!("restarted | {calls} calls of both replicas: {told}");
    tell_memory(&mut world, "restarted");
    let written = world.written().split_off(written);
    println!("restarted | {} writes: {}", written.len(), written.join(", "));
    let policies = written.iter().filter(|written| written.contains(" networkpolicies "));
    assert_eq!(policies.collect::<Vec<_>>(), [""; 0]);
    // What replicas tell of themselves; nothing that grows with the cluster.
    assert!(written.len() <= 20, "{written:?}");
}

/// Waits until the leader has found the policies of every namespace to stand.
fn wait_until_isolated(world: &World) {
    eventually("all namespaces to be isolated", || {
        let all = world.ringfence.counted(ISOLATED) >= NAMESPACES as u64 && world.ringfence.counted(LAST_CHECK) > 0;
        (all && world.ringfence.counted("ringfence_isolation_lacking_namespaces") == 0).then_some(())
    });
}

fn tell_memory(world: &mut World, when: &str) {
    for index in 0..2 {
        let leads = if world.leader() == Some(index) {
            "the leader"
        } else {
            "a follower"
        };
        let (now, most) = memory(world.ringfence.replica(index));
        println!("memory | {when} | {leads} {now} MB resident, {most} MB at most");
    }
}
