//! The README walked through against a real control plane: every `console` block, in order, as a cluster admin types it, and
//! what it shows must be what comes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ringfence_controlplane::{
    ControlPlane, Installation, Options, Program, Ringfence, User, started_or_skipped, wait_until,
};

use crate::markdown::{Page, root};

const PATIENCE: Duration = Duration::from_secs(60);

/// A command and the lines that it has to print, among others.
pub(crate) struct Step {
    pub(crate) command: String,
    shown: Vec<String>,
}

/// The steps of the README.
pub(crate) fn steps() -> Vec<Step> {
    let readme = Page::read(root().join("README.md"));
    let mut steps: Vec<Step> = Vec::new();
    for block in readme.blocks().iter().filter(|block| block.language == "console") {
        for line in &block.lines {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    shown: Vec::new(),
                }),
                (None, Some(step)) => step.shown.push((*line).to_owned()),
                (None, None) => panic!("a console block begins with a command, not with {line:?}"),
            }
        }
    }
    steps
}

#[test]
fn the_readme_can_be_walked_through() {
    let Some(cluster) = started_or_skipped(&Options::with_users([User::new("mallory")])) else {
        return;
    };
    // The README begins where nothing is there but the replicas, which cannot run in pods here.
    let installation = Installation {
        guardrails: None,
        ..Installation::of(env!("CARGO_BIN_EXE_ringfence"), "")
    };
    let _running = Ringfence::start(&cluster, &installation).unwrap_or_else(|error| panic!("{error}"));
    for step in steps() {
        walk(&cluster, &step);
    }
}

/// Types a command. What ringfence does, it does within moments: what is shown is waited for.
fn walk(cluster: &ControlPlane, step: &Step) {
    let kubectl = cluster.program(Program::Kubectl);
    let ringfence = Path::new(env!("CARGO_BIN_EXE_ringfence"));
    let folders =
        [kubectl.as_path(), ringfence].map(|program| program.parent().expect("a program is in a folder").to_owned());
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&inherited))).expect("a PATH");
    let mut last = String::new();
    let done = wait_until(PATIENCE, &step.command, || {
        let output = Command::new("sh")
            .args(["-c", &step.command])
            .current_dir(root())
            .env("PATH", &path)
            .env("KUBECONFIG", cluster.kubeconfig("admin"))
            .output()
            .expect("sh starts");
        last = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let shown = step
            .shown
            .iter()
            .all(|shown| last.lines().any(|line| line.contains(shown.as_str())));
        (output.status.success() && shown).then_some(())
    });
    done.unwrap_or_else(|timed_out| panic!("{timed_out}; it is to show {:?}; the last time:\n{last}", step.shown));
}
