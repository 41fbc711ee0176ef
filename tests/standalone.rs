//! `ringfence serve --standalone` as somebody runs it: the curl line that it prints works, changes of the folder are taken,
//! mistakes leave the last good state in force, Ctrl-C ends it and leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

const GRANT: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: grant, namespace: payments}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'ringfence:payments-db:connect'}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: somebody}]
";

/// A running `ringfence serve --standalone`; killed where a test ends early.
struct Running {
    child: Child,
    said: Receiver<String>,
    curl: String,
}

impl Running {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--health-listen",
                "127.0.0.1:0",
                "--standalone",
            ])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have ended.
                let _ = sender.send(line);
            }
        });
        let mut running = Self {
            child,
            said,
            curl: String::new(),
        };
        let line = running.wait_for("ask it:");
        running.curl = line
            .split_once("ask it:")
            .map(|(_, curl)| curl.trim().to_owned())
            .expect("it was waited for");
        running.wait_for("Ctrl-C ends it");
        running
    }

    /// The next line that holds this.
    fn wait_for(&self, words: &str) -> String {
        let mut passed = Vec::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => passed.push(line),
                Err(error) => panic!("no line with {words:?} ({error}); it said:\n{}", passed.join("\n")),
            }
        }
    }

    /// Runs the printed line with `sh`; gives the response of the AdmissionReview.
    fn ask(&self) -> Value {
        let output = Command::new("sh").args(["-c", &self.curl]).output().expect("sh starts");
        assert!(
            output.status.success(),
            "{}: {}",
            self.curl,
            String::from_utf8_lossy(&output.stderr)
        );
        let mut review: Value = serde_json::from_slice(&output.stdout).expect("an AdmissionReview");
        review["response"].take()
    }

    /// Sends SIGINT, as Ctrl-C does, and waits; gives what went to stdout.
    fn interrupt(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .expect("kill starts")
                .success()
        );
        let mut records = String::new();
        let mut stdout = self.child.stdout.take().expect("stdout is piped");
        stdout.read_to_string(&mut records).expect("UTF-8");
        assert!(self.child.wait().expect("it ends").success());
        records
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of `policies/hollowdb` to change.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/hollowdb");
    for entry in fs::read_dir(&policies).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        fs::copy(&path, folder.path().join(path.file_name().expect("it has a name"))).expect("copied");
    }
    folder
}

/// Whether there is a curl; if not, says loudly that the test is skipped.
fn has_curl() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok();
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "there is no curl in PATH (CI is set: tests may not be skipped)"
        );
        // To stderr itself: the test harness would swallow what `eprintln!` says in a test that passes.
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: there is no curl in PATH to ask `ringfence serve --standalone` with\n"
        );
    }
    found
}

#[test]
fn the_folder_decides_and_its_changes_are_taken() {
    if !has_curl() {
        return;
    }
    let folder = folder();
    let running = Running::start(folder.path());
    let authority = PathBuf::from(running.curl.split(' ').nth(2).expect("curl --cacert FILE"));
    assert!(authority.exists());

    let refused = running.ask();
    assert_eq!(refused["allowed"], false);
    let message = refused["status"]["message"].as_str().expect("a reason");
    assert!(
        message.contains("may not connect to segment payments-db: user \"somebody\""),
        "{message}"
    );

    fs::write(folder.path().join("grant.yaml"), GRANT).expect("written");
    running.wait_for("changed: guardrails");
    assert_eq!(running.ask()["allowed"], true);

    // A mistake in either leaves what was in force.
    let guardrails = folder.path().join("guardrails.yaml");
    let good = fs::read_to_string(&guardrails).expect("it can be read");
    fs::write(&guardrails, good.replace("mode: Enforce", "mode: Enforced")).expect("written");
    running.wait_for("what was in force stays");
    running.wait_for("guardrails.yaml:");
    assert_eq!(running.ask()["allowed"], true);
    fs::write(
        folder.path().join("grant.yaml"),
        GRANT.replace("roleRef", "roleReference"),
    )
    .expect("written");
    fs::write(&guardrails, &good).expect("written");
    running.wait_for("grant.yaml:5: RoleBinding grant: roleReference: unknown field");
    assert_eq!(running.ask()["allowed"], true);

    fs::remove_file(folder.path().join("grant.yaml")).expect("removed");
    running.wait_for("changed: guardrails");
    assert_eq!(running.ask()["allowed"], false);

    let records = running.interrupt();
    let first = records.lines().next().expect("a record");
    let first: Value = serde_json::from_str(first).expect("a record is JSON");
    assert_eq!([&first["user"], &first["verdict"]], ["somebody", "deny"]);
    assert!(!authority.exists(), "{} is left behind", authority.display());
}

#[test]
fn a_folder_that_is_wrong_to_begin_with_is_not_served() {
    let folder = folder();
    fs::write(folder.path().join("grant.yaml"), "just text").expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--health-listen",
            "127.0.0.1:0",
            "--standalone",
        ])
        .arg(folder.path())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("grant.yaml:1: not a Kubernetes object"), "{stderr}");
    assert_eq!(output.stdout, b"");
}
