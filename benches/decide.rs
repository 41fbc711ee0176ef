//! Decoding and deciding alone, on one core without a server: `cargo bench --bench decide`. Each figure is one review, the
//! mean over many of the mix that the API server sends.

use std::hint::black_box;

use divan::Bencher;
use ringfence_core::decide::{Step, decide};
use ringfence_core::model::{Answers, Asked, Decision, Snapshot};
use ringfence_core::review::{CustomKinds, decode};

mod world;

/// Reviews in the mix.
const MIX: usize = 320;

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

fn decided(snapshot: &Snapshot, body: &[u8]) -> Decision {
    let request = decode(body, snapshot.guardrails.as_ref().into()).expect("a review");
    let mut answers = Answers::new();
    loop {
        match decide(snapshot, &request, &answers) {
            Step::Done(decision) => return decision,
            Step::Ask(asked) => {
                for Asked { question, .. } in asked {
                    let answer = world::answer(&snapshot.namespaces, &question);
                    answers.insert(question, answer);
                }
            }
        }
    }
}
