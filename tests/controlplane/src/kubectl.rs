//! Running kubectl as somebody, the way a person would.

use std::ffi::OsString;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::wait::wait_until;

/// Longer than any kubectl call of a test takes; a call that hangs is a failure, not a hang.
const TIMEOUT: Duration = Duration::from_secs(120);

/// One kubectl call that has not been made yet.
#[derive(Clone, Debug)]
#[must_use = "a call is made by run()"]
pub struct Kubectl {
    program: PathBuf,
    home: PathBuf,
    arguments: Vec<OsString>,
    stdin: String,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, home: &Path, kubeconfig: &Path) -> Self {
        let arguments = vec!["--kubeconfig".into(), kubeconfig.into()];
        Self {
            program,
            home: home.to_owned(),
            arguments,
            stdin: String::new(),
        }
    }

    /// Adds arguments, `--as` and its kin included.
    pub fn args<Argument: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = Argument>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Gives it this text to read (with `-f -`).
    pub fn stdin(mut self, text: impl Into<String>) -> Self {
        self.stdin = text.into();
        self
    }

    /// Makes the call and waits for its end.
    ///
    /// # Panics
    /// If kubectl cannot be started or does not end.
    #[track_caller]
    pub fn run(self) -> Output {
        let Self {
            program,
            home,
            arguments,
            stdin,
        } = self;
        let shown: Vec<_> = arguments
            .iter()
            .skip(2)
            .map(|argument| argument.to_string_lossy())
            .collect();
        let call = format!("kubectl {}", shown.join(" "));
        let mut command = Command::new(&program);
        // Of its own environment and home: neither the caller's kubeconfig nor its kuberc matters.
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &home)
            .env("TMPDIR", std::env::temp_dir());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let mut input = child.stdin.take().expect("stdin is piped");
        // Threads, so that neither side waits for the other to read. A kubectl that ends before it
        // has read all closes the pipe: its own message says why.
        let writing = thread::spawn(move || drop(input.write_all(stdin.as_bytes())));
        let stdout = reading(child.stdout.take().expect("stdout is piped"));
        let stderr = reading(child.stderr.take().expect("stderr is piped"));
        let success = ended(&mut child, &call);
        writing.join().expect("the writing thread does not panic");
        let text = |thread: thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&thread.join().expect("the reading thread does not panic")).into_owned()
        };
        Output {
            call,
            success,
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }
}

fn reading(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read until an error is what there is to show.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

#[track_caller]
fn ended(child: &mut Child, call: &str) -> bool {
    let status = wait_until(TIMEOUT, &format!("`{call}` to end"), || child.try_wait().ok().flatten());
    match status {
        Ok(status) => status.success(),
        Err(timed_out) => {
            // The panic says what matters; kubectl may have ended meanwhile.
            let _ = child.kill();
            panic!("{timed_out}")
        }
    }
}

/// What a kubectl call gave.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, to show.
    pub call: String,
    /// Whether its exit code was 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error: errors and warnings.
    pub stderr: String,
}

/// A kubectl call with another exit code than 0.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{call}` failed:\n{said}")]
pub struct CallFailed {
    /// The command line.
    pub call: String,
    /// Both its outputs.
    pub said: String,
}

impl Output {
    /// Its standard output, or what it said when it failed.
    pub fn succeeded(self) -> Result<String, CallFailed> {
        if self.success {
            Ok(self.stdout)
        } else {
            Err(CallFailed {
                call: self.call,
                said: self.stdout + &self.stderr,
            })
        }
    }

    /// Its standard output, if it succeeded.
    ///
    /// # Panics
    /// If it failed, with what it said.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.success, "`{}` failed:\n{}{}", self.call, self.stdout, self.stderr);
        self.stdout
    }

    /// Its standard output as JSON (with `-o json`), if it succeeded.
    ///
    /// # Panics
    /// If it failed, or gave something else.
    #[track_caller]
    pub fn json(self) -> Value {
        let call = self.call.clone();
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{call}` gave no JSON ({error}):\n{text}"))
    }

    /// Its standard error, if the API server refused.
    ///
    /// # Panics
    /// If it succeeded, or failed before the API server answered.
    #[track_caller]
    pub fn refused(self) -> String {
        assert!(
            !self.success,
            "`{}` was not refused:\n{}{}",
            self.call, self.stdout, self.stderr
        );
        let answered = [
            "Error from server",
            "is invalid:",
            "is forbidden:",
            "denied the request",
        ];
        assert!(
            answered.iter().any(|sign| self.stderr.contains(sign)),
            "`{}` failed, but not by the API server's answer:\n{}",
            self.call,
            self.stderr
        );
        self.stderr
    }
}
