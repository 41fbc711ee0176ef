//! No program and no file of a control plane outlives the test that started it: dropped, panicked,
//! ended without dropping, or killed.
//!
//! The last three happen to a child process: this test binary again, running one of the ignored
//! tests below.

use std::env;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use ringfence_controlplane::{ControlPlane, Options, Shared, started_or_skipped, wait_until};

/// What all of them need, and enough to show that children end.
fn small() -> Options {
    Options::bare()
}

fn process_ids(cluster: &ControlPlane) -> Vec<u32> {
    cluster
        .processes()
        .iter()
        .map(|process| process.id().expect("it runs"))
        .collect()
}

fn runs(id: u32) -> bool {
    let probe = Command::new("/bin/sh")
        .args(["-c", &format!("kill -0 {id}")])
        .stderr(Stdio::null())
        .status();
    probe.expect("sh runs").success()
}

/// Announces what the parent must see vanish: `ids <id>... <folder>`.
fn announce(cluster: &ControlPlane) {
    let ids: Vec<String> = process_ids(cluster).iter().map(u32::to_string).collect();
    println!("\nids {} {}", ids.join(" "), cluster.directory().display());
}

struct Announced {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    ids: Vec<u32>,
    directory: PathBuf,
}

impl Announced {
    /// Lets it go on, by closing its stdin, to its end; gives the rest of what it says.
    fn finish(&mut self) -> String {
        drop(self.child.stdin.take());
        let said: Vec<String> = self.lines.by_ref().map_while(Result::ok).collect();
        self.child.wait().expect("it ends");
        said.join("\n")
    }
}

/// Runs one of the ignored tests in a process of its own, up to its announcement.
fn child(test: &str) -> Option<Announced> {
    let mut child = Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", test, "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let said = lines.by_ref().map_while(Result::ok);
    let announcement = said
        .into_iter()
        .find_map(|line| line.strip_prefix("ids ").map(str::to_owned));
    let Some(announcement) = announcement else {
        // It said nothing because it was skipped, as this test is then.
        assert!(
            started_or_skipped(&small()).is_none(),
            "the child did not announce itself"
        );
        child.wait().expect("it ends");
        return None;
    };
    let mut words: Vec<&str> = announcement.split(' ').collect();
    let directory = PathBuf::from(words.pop().expect("a folder"));
    let ids: Vec<u32> = words.iter().map(|word| word.parse().expect("a process id")).collect();
    assert_eq!(ids.len(), 2, "etcd and kube-apiserver");
    assert!(ids.iter().all(|id| runs(*id)) && directory.is_dir());
    Some(Announced {
        child,
        lines,
        ids,
        directory,
    })
}

fn assert_vanished(ids: &[u32], directory: &Path) {
    wait_until(Duration::from_secs(20), "programs and files to be gone", || {
        (!directory.exists() && !ids.iter().any(|id| runs(*id))).then_some(())
    })
    .expect("gone");
}

#[test]
fn nothing_is_left_after_a_drop() {
    let Some(cluster) = started_or_skipped(&small()) else {
        return;
    };
    let (ids, directory) = (process_ids(&cluster), cluster.directory().to_owned());
    assert!(ids.iter().all(|id| runs(*id)) && directory.is_dir());
    drop(cluster);
    assert!(!ids.iter().any(|id| runs(*id)), "gone when drop returns");
    assert!(!directory.exists());
}

#[test]
fn nothing_is_left_after_a_panic() {
    let Some(mut announced) = child("part_that_panics") else {
        return;
    };
    let said = announced.finish();
    assert!(said.contains("part_that_panics ... FAILED"), "{said}");
    assert_vanished(&announced.ids, &announced.directory);
}

#[test]
fn nothing_is_left_after_an_end_without_dropping() {
    let Some(mut announced) = child("part_that_never_drops") else {
        return;
    };
    let said = announced.finish();
    assert!(said.contains("part_that_never_drops ... ok"), "{said}");
    assert_vanished(&announced.ids, &announced.directory);
}

#[test]
fn nothing_is_left_after_a_kill() {
    let Some(mut announced) = child("part_that_is_killed") else {
        return;
    };
    announced.child.kill().expect("it runs");
    announced.child.wait().expect("it ends");
    assert_vanished(&announced.ids, &announced.directory);
}

/// Blocks until the parent has seen the programs run.
fn wait_for_the_parent() {
    std::io::stdin().read_line(&mut String::new()).expect("stdin");
}

#[test]
#[ignore = "the child of nothing_is_left_after_a_panic"]
fn part_that_panics() {
    let Some(cluster) = started_or_skipped(&small()) else {
        return;
    };
    announce(&cluster);
    wait_for_the_parent();
    panic!("as a failing assertion does");
}

#[test]
#[ignore = "the child of nothing_is_left_after_an_end_without_dropping"]
fn part_that_never_drops() {
    static CLUSTER: Shared<ControlPlane> = Shared::new(|| ControlPlane::start(&small()));
    let Some(cluster) = CLUSTER.get() else { return };
    announce(cluster);
    wait_for_the_parent();
}

#[test]
#[ignore = "the child of nothing_is_left_after_a_kill"]
fn part_that_is_killed() {
    let Some(cluster) = started_or_skipped(&small()) else {
        return;
    };
    announce(&cluster);
    wait_for_the_parent();
}
