//! Decoding and deciding alone, on one core without a server: `cargo bench --bench decide`. Each figure is one review: of
//! the mix that the API server sends, the mean over many; beside 10,000 policies, one write of its kind.

use std::hint::black_box;
use std::sync::LazyLock;

use divan::Bencher;
use ringfence_core::decide::{Step, decide};
use ringfence_core::model::{Answers, Asked, Decision, Snapshot};
use ringfence_core::netpol::{Direction, worse};
use ringfence_core::review::{CustomKinds, decode};
use serde_json::json;

mod cluster;
mod world;

/// Reviews in the mix.
const MIX: usize = 320;

/// Beside 10,000 policies, of which half opted in: 1,000 segments that are kept apart, and 5,000 that policies make.
static CLUSTER: LazyLock<Snapshot> = LazyLock::new(|| cluster::snapshot(1_000, cluster::NAMESPACES));

fn main() {
    divan::main();
}

fn bodies() -> Vec<Vec<u8>> {
    world::reviews(MIX).into_iter().map(|(_, body)| body).collect()
}

/// Hands each body in turn to `work`.
fn in_turn<T>(bencher: Bencher<'_, '_>, bodies: &[Vec<u8>], work: impl Fn(&[u8]) -> T + Sync) {
    let mut turn = (0..bodies.len()).cycle();
    bencher
        .with_inputs(|| turn.next().map_or(&[][..], |next| &bodies[next][..]))
        .bench_local_refs(|body| work(body));
}

/// The least that any webhook has to read: finds the uid and skips the rest.
#[divan::bench]
fn skip(bencher: Bencher<'_, '_>) {
    in_turn(bencher, &bodies(), |body| {
        let review: serde::de::IgnoredAny = serde_json::from_slice(body).expect("JSON");
        black_box(review)
    });
}

#[divan::bench]
fn decode_only(bencher: Bencher<'_, '_>) {
    let bodies = bodies();
    in_turn(bencher, &bodies, |body| {
        drop(black_box(decode(body, CustomKinds::default()).expect("a review")));
    });
}

#[divan::bench(args = [1, 100, 1000])]
fn decode_and_decide(bencher: Bencher<'_, '_>, segments: usize) {
    let (bodies, snapshot) = (bodies(), world::snapshot(segments));
    let unmatched = bodies
        .iter()
        .filter(|body| decided(&snapshot, body).findings.is_empty());
    assert_eq!(unmatched.count(), MIX / 8 * 7, "one in eight is about a segment");
    in_turn(bencher, &bodies, |body| black_box(decided(&snapshot, body)));
}

/// The mix of pods and Deployments beside 10,000 policies.
#[divan::bench]
fn beside_policies_the_mix(bencher: Bencher<'_, '_>) {
    in_turn(bencher, &bodies(), |body| black_box(decided(&CLUSTER, body)));
}

/// Of a namespace that is no segment's, where all checks let it in.
#[divan::bench]
fn beside_policies_a_policy_is_created(bencher: Bencher<'_, '_>) {
    let body = cluster::policy_review(4_001, None, Some(&cluster::database(4_001)));
    let decision = decided(&CLUSTER, &body);
    assert!(decision.allowed() && !decision.warnings.is_empty(), "{decision:?}");
    in_turn(bencher, &[body], |body| black_box(decided(&CLUSTER, body)));
}

/// Over members of a segment that is kept apart from half of the namespaces: `manage` is asked.
#[divan::bench]
fn beside_policies_a_policy_over_members_is_changed(bencher: Bencher<'_, '_>) {
    let before = cluster::database(8);
    let rule = json!({"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}]});
    let after = cluster::with_rule(before.clone(), rule);
    let body = cluster::policy_review(8, Some(&before), Some(&after));
    let decision = decided(&CLUSTER, &body);
    assert!(
        decision.findings.iter().any(|finding| finding.rule == "Manage"),
        "{decision:?}"
    );
    in_turn(bencher, &[body], |body| black_box(decided(&CLUSTER, body)));
}

/// One that connects the members with what they are kept apart from: `cross` is asked.
#[divan::bench]
fn beside_policies_a_policy_opens_what_is_kept_apart(bencher: Bencher<'_, '_>) {
    let after = cluster::with_rule(cluster::database(8), json!({"from": [{"namespaceSelector": {}}]}));
    let body = cluster::policy_review(8, None, Some(&after));
    let decision = decided(&CLUSTER, &body);
    assert!(
        decision.findings.iter().any(|finding| finding.rule == "Cross"),
        "{decision:?}"
    );
    in_turn(bencher, &[body], |body| black_box(decided(&CLUSTER, body)));
}

/// Out of what a thousand segments are kept apart from.
#[divan::bench]
fn beside_policies_a_namespace_is_relabelled(bencher: Bencher<'_, '_>) {
    let body = cluster::namespace_review(4_001, &json!({"env": "dev"}), &json!({"env": "prod"}));
    let decision = decided(&CLUSTER, &body);
    assert!(
        decision.findings.iter().any(|finding| finding.rule == "Cross"),
        "{decision:?}"
    );
    in_turn(bencher, &[body], |body| black_box(decided(&CLUSTER, body)));
}

/// What follows on each change of a policy that opted in, before it is in force.
#[divan::bench(args = [100, 1_000, 5_000], sample_size = 1)]
fn compose_with_derived_segments(bencher: Bencher<'_, '_>, protected: usize) {
    let (configured, derived) = (cluster::guardrails(1_000), cluster::derived(protected));
    bencher.bench_local(|| black_box(configured.with_derived(&derived).derived().len()));
}

/// Both forms of a policy, of which the new one has one block more.
#[divan::bench(args = [100, 1_000, 10_000], sample_size = 1)]
fn compare_policies_of_blocks(bencher: Bencher<'_, '_>, blocks: usize) {
    let of = |count| cluster::policy(0, "policy", &cluster::blocks(count));
    let (before, after) = (of(blocks), of(blocks + 1));
    assert_eq!(worse(&before, &after, Direction::Ingress).len(), 1);
    bencher.bench_local(|| black_box(worse(&before, &after, Direction::Ingress).len()));
}

fn decided(snapshot: &Snapshot, body: &[u8]) -> Decision {
    let request = decode(body, snapshot.guardrails.as_ref().into()).expect("a review");
    let mut answers = Answers::new();
    loop {
        match decide(snapshot, &request, &answers) {
            Step::Done(decision) => return decision,
            Step::Ask(asked) => {
                for Asked { question, .. } in asked {
                    let known = cluster::answer(&question);
                    let answer = known.unwrap_or_else(|| world::answer(&snapshot.namespaces, &question));
                    answers.insert(question, answer);
                }
            }
        }
    }
}
