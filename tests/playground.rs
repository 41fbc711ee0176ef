//! Everything that `cargo playground` suggests to try ends as it says.

use std::process::Command;
use std::time::Duration;

use ringfence_controlplane::{Outcome, Playground, Shared, Step, wait_until};

/// The API server sees a new role or object a moment later, and a denial is remembered for a second.
const A_MOMENT: Duration = Duration::from_secs(20);

static PLAYGROUND: Shared<Playground> = Shared::new(|| Playground::start(env!("CARGO_BIN_EXE_ringfence").as_ref()));

struct Tried {
    success: bool,
    stdout: String,
    stderr: String,
}

impl Tried {
    fn ended_in(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Works(text) => self.success && self.stdout.contains(text),
            Outcome::Refused(text) => !self.success && self.stderr.contains(text),
            Outcome::No => !self.success && self.stdout.trim() == "no",
        }
    }
}

/// As a person would: in a shell, with the exports that the playground prints.
fn try_out(playground: &Playground, step: &Step) -> Tried {
    let exports = playground
        .environment()
        .map(|(name, value)| format!("export {name}=\"{value}\"\n"));
    let script = format!("{}{}", exports.concat(), step.command);
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .env("HOME", playground.cluster().directory())
        .output();
    let output = output.expect("sh runs");
    Tried {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn every_step_ends_as_it_says() {
    let Some(playground) = PLAYGROUND.get() else { return };
    for step in playground.steps() {
        let mut last = try_out(playground, &step);
        let as_it_says = match step.outcome {
            // Only what should work may be tried again: what is refused is so from the first time on.
            Outcome::Works(_) => wait_until(A_MOMENT, step.about, || {
                let works = last.ended_in(step.outcome);
                if !works {
                    last = try_out(playground, &step);
                }
                works.then_some(())
            })
            .is_ok(),
            Outcome::Refused(_) | Outcome::No => last.ended_in(step.outcome),
        };
        assert!(
            as_it_says,
            "{}\n{}\n{}{}",
            step.about, step.command, last.stdout, last.stderr
        );
    }
}
