//! What is done to ringfence while a thousand namespaces come, each with a pod at once: nothing, its controller stopped, a
//! replica killed, a replica's watches stalled, namespaces deleted and made anew. No pod is ever exposed.

use std::time::Duration;

use ringfence_controlplane::{ControlPlane, Ringfence};

use crate::exposed::judge;
use crate::history::recorded;
use crate::load::{Storm, Weather, added, quantiles};
use crate::world::{Bare, World, eventually, guardrails, more, wanted};

/// How many namespaces each storm makes.
const NAMESPACES: usize = 1000;
/// How many it makes without ringfence, to compare with.
const BARE: usize = 300;
/// How many namespaces come one after the other, with nothing else going on.
const BREEZE: usize = 60;
/// How many names are made anew, and how often.
const NAMES: usize = 25;
const ROUNDS: usize = 3;

const BY_LEADER: &str = "ringfence_isolation_applies_total{by=\"leader\",result=\"applied\"}";

#[test]
fn no_pod_ever_exists_before_the_policies_of_its_namespace() {
    let Some(bare) = Bare::start() else { return };
    let without = without_ringfence(&bare.cluster);
    let mut world = bare.install(&guardrails("Enforce", "Report"));
    world.wait_until_enforced();
    world.wait_for_leader();
    let one_by_one = Storm::of(&world.cluster, "calm", BREEZE).breeze();
    let first_pods = storm(&mut world, "well", "all is well", |_| {});
    let later_pods = Storm::of(&world.cluster, "well", BARE).later_pods();
    let with = Took {
        one_by_one,
        storm: (first_pods, later_pods),
    };
    with.tell(&without);

    world.stop_controller();
    let by_leader = world.ringfence.counted(BY_LEADER);
    storm(&mut world, "alone", "the controller is stopped", |_| {});
    assert_eq!(
        (world.leader(), world.ringfence.counted(BY_LEADER)),
        (None, by_leader),
        "it was stopped"
    );
    world.start_controller();

    let asked = world.asked();
    storm(&mut world, "killed", "a replica is killed in the middle", |ringfence| {
        ringfence.replica(asked).kill().expect("it is gone");
    });
    world.start_replicas();

    let asked = world.asked();
    world.ringfence.replicas()[asked].gate().stall_watches();
    storm(&mut world, "stalled", "a replica's watches are stalled", |_| {});
    made_anew(&world, "anew", "made anew, a replica's watches are stalled");
    world.ringfence.replicas()[asked].gate().resume_watches();
    made_anew(&world, "again", "made anew");

    eventually("no namespace to lack policies", || {
        (world.ringfence.counted("ringfence_isolation_lacking_namespaces") == 0).then_some(())
    });
}

/// How long pods took: the first of their namespaces, and later ones.
struct Took {
    /// One namespace after the other, nothing else going on.
    one_by_one: (Vec<Duration>, Vec<Duration>),
    /// As fast as the API server takes them.
    storm: (Vec<Duration>, Vec<Duration>),
}

impl Took {
    /// Tells it beside what it took without ringfence.
    fn tell(&self, without: &Self) {
        let rows = [
            ("first pods, one by one", &self.one_by_one.0, &without.one_by_one.0),
            ("later pods, one by one", &self.one_by_one.1, &without.one_by_one.1),
            ("first pods, in a storm", &self.storm.0, &without.storm.0),
            ("later pods, in a storm", &self.storm.1, &without.storm.1),
        ];
        for (what, with, without) in rows {
            println!(
                "latency | {what} | {} | without ringfence {} | added {}",
                quantiles(with),
                quantiles(without),
                added(with, without)
            );
        }
    }
}

/// What it is like without ringfence; and where policies come after the fact, as from those who generate them on events,
/// pods are seen to be exposed.
fn without_ringfence(cluster: &ControlPlane) -> Took {
    let one_by_one = Storm::of(cluster, "bare-calm", BREEZE).breeze();
    let bare = Storm::of(cluster, "bare", BARE);
    let (weather, changes) = recorded(cluster, "bare-", || {
        let weather = bare.rage(|| {});
        for number in 0..BARE {
            bare.isolate(number);
        }
        weather
    });
    let verdict = judge(&changes, &wanted());
    told("without ringfence", &weather, verdict.exposed.len());
    assert_eq!(
        (verdict.pods, verdict.exposed.len()),
        (BARE, BARE),
        "the judge can say so"
    );
    Took {
        one_by_one,
        storm: (weather.first_pods, bare.later_pods()),
    }
}

/// One storm; does something once half of the namespaces are there. Gives how long first pods took.
fn storm(world: &mut World, prefix: &str, what: &str, halfway: impl FnOnce(&mut Ringfence)) -> Vec<Duration> {
    let before = world.calls();
    let World { cluster, ringfence, .. } = world;
    let (weather, changes) = recorded(cluster, prefix, || {
        Storm::of(cluster, prefix, NAMESPACES).rage(|| halfway(ringfence))
    });
    let verdict = judge(&changes, &wanted());
    told(what, &weather, verdict.exposed.len());
    let (calls, asked) = more(&before, &world.calls());
    println!("calls | {what} | {calls} of both replicas: {asked}");
    assert_eq!(verdict.exposed.into_iter().collect::<Vec<_>>(), [""; 0], "{what}");
    assert_eq!(verdict.pods, NAMESPACES, "{what}");
    weather.first_pods
}

/// Namespaces that go and come again by the same names.
fn made_anew(world: &World, prefix: &str, what: &str) {
    let (weather, changes) = recorded(&world.cluster, prefix, || {
        Storm::of(&world.cluster, prefix, NAMES).again_and_again(ROUNDS)
    });
    let verdict = judge(&changes, &wanted());
    told(what, &weather, verdict.exposed.len());
    assert_eq!(verdict.exposed.into_iter().collect::<Vec<_>>(), [""; 0], "{what}");
    assert_eq!(verdict.pods, NAMES * ROUNDS, "{what}");
}

fn told(what: &str, weather: &Weather, exposed: usize) {
    let Weather {
        took,
        first_pods,
        again,
    } = weather;
    println!(
        "exposure | {what} | {} pods, {exposed} exposed | {:.1} s, {again} tried again | first pods {}",
        first_pods.len(),
        took.as_secs_f32(),
        quantiles(first_pods)
    );
}
