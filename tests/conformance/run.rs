//! Plays the rows in both worlds and compares: without ringfence each must succeed, with it each must be refused and leave
//! nothing behind.

use std::env;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use serde_json::{Value, json};

use super::attack::{Answered, Attack, Proof};
use super::scene::{Answer, Scene};
use super::world::{WITH, WITHOUT, World};
use super::{attacks, limits};

/// Whether a world has ringfence.
#[derive(Clone, Copy)]
enum Has {
    Ringfence,
    Nothing,
}

/// What a row came to in a world: what was seen, or what is wrong.
type Outcome = Result<&'static str, String>;

#[test]
fn every_attack_is_possible_without_ringfence_and_refused_with_it() {
    all_hold(attacks::all(), 0, |scene, has, row| match (row.answered, has) {
        (Answered::ByRingfence(_), Has::Nothing) => succeeds(scene, row).map(|()| "possible"),
        (Answered::ByRingfence(words), Has::Ringfence) => {
            fails(scene, row, &["guard.ringfence.dev\" denied the request", words]).map(|()| "refused")
        }
        (Answered::ByTheApiServer(words), _) => fails(scene, row, &[words]).map(|()| "refused by the API server"),
    });
}

#[test]
fn what_is_named_as_a_limit_succeeds() {
    let rows = limits::all().into_iter().map(|limit| limit.row).collect();
    all_hold(rows, 1000, |scene, _, row| succeeds(scene, row).map(|()| "possible"));
}

/// Plays every row in both worlds, which go on side by side, and tells what came of it. The namespaces of a row are numbered
/// from `first`.
fn all_hold(mut rows: Vec<Attack>, first: usize, judge: fn(&Scene<'_>, Has, &Attack) -> Outcome) {
    let words = env::var("CONFORMANCE_ONLY").unwrap_or_default();
    rows.retain(|row| {
        let mut wanted = words.split(',');
        wanted.any(|words| row.name.contains(words) || row.path.contains(words))
    });
    let (Some(without), Some(with)) = (WITHOUT.get(), WITH.get()) else {
        return;
    };
    let all = |world, has| -> Vec<Outcome> {
        let numbered = rows.iter().zip(first..);
        numbered
            .map(|(row, number)| play(world, number, has, row, judge))
            .collect()
    };
    let (without, with) = thread::scope(|scope| {
        let without = scope.spawn(|| all(without, Has::Nothing));
        let with = all(with, Has::Ringfence);
        (without.join().expect("a row's panic is caught"), with)
    });
    let said = |outcome: &Outcome| {
        outcome
            .clone()
            .map_or_else(|wrong| format!("WRONG ({wrong})"), str::to_owned)
    };
    let mut wrong = Vec::new();
    let mut lines = String::new();
    for ((row, without), with) in rows.iter().zip(without).zip(with) {
        let line = format!(
            "{:<30} {:<8} {}\n{:>32}without: {}, with: {}\n",
            row.path,
            row.user,
            row.name,
            "",
            said(&without),
            said(&with)
        );
        lines.push_str(&line);
        if without.is_err() || with.is_err() {
            wrong.push(line);
        }
    }
    // To stderr itself: the test harness would swallow what a test that passes prints.
    let told = write!(io::stderr(), "\n{lines}{} rows, {} wrong\n", rows.len(), wrong.len());
    told.expect("stderr is open");
    assert!(
        wrong.is_empty(),
        "{} of {} rows differ:\n{}",
        wrong.len(),
        rows.len(),
        wrong.concat()
    );
}

fn play(
    world: &World,
    number: usize,
    has: Has,
    row: &Attack,
    judge: fn(&Scene<'_>, Has, &Attack) -> Outcome,
) -> Outcome {
    // What a call asserts about itself is this row's failure, not the others'.
    let played = catch_unwind(AssertUnwindSafe(|| {
        let scene = Scene::set(world, number);
        let outcome = prepare(&scene, row).and_then(|()| judge(&scene, has, row));
        scene.strike();
        outcome
    }));
    played.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>();
        Err(words.map_or_else(|| "it panicked".to_owned(), Clone::clone))
    })
}

/// Does what is there before.
fn prepare(scene: &Scene<'_>, row: &Attack) -> Result<(), String> {
    for (place, step) in row.given.iter().enumerate() {
        let answer = scene.perform("admin", step)?;
        if !answer.success {
            return Err(format!("given {place} was refused: {}", answer.text));
        }
    }
    Ok(())
}

/// The attack succeeds, and its proof is seen.
fn succeeds(scene: &Scene<'_>, row: &Attack) -> Result<(), String> {
    let sight = match &row.proof {
        Proof::Reached(words) => {
            let Answer { text, .. } = scene.perform(row.user, &row.attempt)?;
            let reached = text.contains(words);
            return reached
                .then_some(())
                .ok_or_else(|| format!("nothing was reached: {text}"));
        }
        Proof::Seen(sight) => sight,
    };
    if scene.look(sight)?.as_ref() == Some(&sight.is) {
        return Err(format!("{} was there before", sight.path));
    }
    let answer = scene.perform(row.user, &row.attempt)?;
    if !answer.success {
        return Err(format!("it was refused: {}", answer.text));
    }
    for step in &row.then {
        let answer = scene.perform("admin", step)?;
        if !answer.success {
            return Err(format!("what follows was refused: {}", answer.text));
        }
    }
    scene.wait_for(sight)
}

/// The attack is refused with these words, and what it would have changed is as before.
fn fails(scene: &Scene<'_>, row: &Attack, words: &[&str]) -> Result<(), String> {
    let before = match &row.proof {
        Proof::Seen(sight) => scene.look(sight)?.map(lasting),
        Proof::Reached(_) => None,
    };
    let dialled = scene.world.listener.dialled();
    let answer = scene.perform(row.user, &row.attempt)?;
    if answer.success {
        return Err(format!("it was let in: {}", answer.text));
    }
    if let Some(missing) = words.iter().find(|words| !answer.text.contains(**words)) {
        return Err(format!("refused, but without {missing:?}: {}", answer.text));
    }
    if scene.world.listener.dialled() != dialled {
        return Err("refused, but the listener was dialled".to_owned());
    }
    match &row.proof {
        Proof::Seen(sight) if scene.look(sight)?.map(lasting) != before => {
            Err(format!("refused, but {} changed", sight.path))
        }
        _ => Ok(()),
    }
}

/// What is seen, without what others may write meanwhile: of whole objects in a list, as ringfence repairs them, only which
/// they are and what they say.
fn lasting(seen: Value) -> Value {
    let of = |object: Value| match &object["metadata"]["uid"] {
        Value::Null => object,
        uid => json!({"uid": uid, "goes": object["metadata"]["deletionTimestamp"], "spec": object["spec"]}),
    };
    match seen {
        Value::Array(list) => list.into_iter().map(of).collect(),
        other => other,
    }
}
