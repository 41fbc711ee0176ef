//! Child processes that end with us, whatever ends us.
//!
//! Each runs under a small shell script that reads a pipe, the lifeline. What is written to it are
//! signals for the child; when it closes, the child is killed. It closes when a [`Process`] is
//! dropped, when a test panics, and also, because the kernel closes it, when the test process exits
//! without dropping its statics or is itself killed. (`PR_SET_PDEATHSIG` would need unsafe code.)

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wait::{TimedOut, wait_until};

/// Arguments: where to write the child's process id, then the child's command line.
/// The reader of the lifeline is killed once the child has ended, so it never signals a process id
/// that another process has got meanwhile.
const LIFELINE: &str = r#"
exec 3<&0 </dev/null
pid_file=$1
shift
"$@" 3<&- &
child=$!
{ while read -r signal; do kill -s "$signal" "$child"; done; kill -s KILL "$child"; } <&3 3<&- >/dev/null 2>&1 &
reader=$!
exec 3<&-
echo "$child" >"$pid_file.new" && mv "$pid_file.new" "$pid_file"
wait "$child"
code=$?
kill -s KILL "$reader" 2>/dev/null
exit "$code"
"#;

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(20);

/// What can be told to a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End in good order.
    Terminate,
    /// End at once.
    Kill,
    /// Freeze: connections stay open and nothing answers.
    Stop,
    /// Go on after [`Signal::Stop`].
    Continue,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// A program to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What its log is called.
    pub name: String,
    /// Its file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The whole environment, but for `PATH`.
    pub environment: Vec<(OsString, OsString)>,
    /// Where its standard output goes.
    pub stdout: Stdout,
}

/// Where a program's standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// Into the log, with standard error.
    Log,
    /// To us, by [`Process::take_stdout`].
    Piped,
}

/// A running program; dropped, it is killed and gone.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    pid_file: PathBuf,
}

impl Process {
    /// Starts a program. Its log and its process id are files in `directory`, named after it.
    pub fn start(launch: Launch, directory: &Path) -> io::Result<Self> {
        let Launch {
            name,
            program,
            arguments,
            environment,
            stdout,
        } = launch;
        let log = directory.join(format!("{name}.log"));
        let pid_file = directory.join(format!("{name}.pid"));
        // That of an earlier process of this name is not this one's.
        if let Err(error) = fs::remove_file(&pid_file)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(LIFELINE)
            .arg(&name)
            .arg(&pid_file)
            .arg(program)
            .args(arguments);
        command.env_clear().envs(environment);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        match stdout {
            Stdout::Log => command.stdout(output.try_clone()?),
            Stdout::Piped => command.stdout(Stdio::piped()),
        };
        // Of its own group, so that Ctrl-C in a terminal reaches only us and we end it in order.
        let child = command.stdin(Stdio::piped()).stderr(output).process_group(0).spawn()?;
        Ok(Self {
            name,
            child,
            log,
            pid_file,
        })
    }

    /// The name by which its log is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has said on standard error (and standard output, unless that is read as records).
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The last `count` lines of [`Process::log`].
    pub fn log_tail(&self, count: usize) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Its process id, as soon as it has one.
    pub fn id(&self) -> Result<u32, TimedOut> {
        wait_until(GONE, "the process id of a started program", || {
            fs::read_to_string(&self.pid_file).ok()?.trim().parse().ok()
        })
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        let lifeline = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(lifeline, "{}", signal.name())
    }

    /// How it ended, or `None` while it runs. A signal shows as exit code 128 + its number.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus, TimedOut> {
        let what = format!("{} to end", self.name);
        wait_until(timeout, &what, || self.child.try_wait().ok().flatten())
    }

    /// Its standard output, once, if it was started with [`Stdout::Piped`].
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It has been killed; a failure to see that must not hide why we are being dropped.
        if self.wait(GONE).is_err() {
            let _ = self.child.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str, directory: &Path, stdout: Stdout) -> Process {
        let launch = Launch {
            name: "script".to_owned(),
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            stdout,
        };
        Process::start(launch, directory).expect("sh starts")
    }

    fn runs(id: u32) -> bool {
        Command::new("/bin/sh")
            .args(["-c", &format!("kill -0 {id} 2>/dev/null")])
            .status()
            .expect("sh runs")
            .success()
    }

    #[test]
    fn a_dropped_process_is_gone_even_if_it_ignores_being_asked() {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let process = shell(
            "trap '' TERM; while :; do sleep 0.1; done",
            directory.path(),
            Stdout::Log,
        );
        let id = process.id().expect("started");
        assert!(runs(id));
        drop(process);
        assert!(!runs(id));
    }

    #[test]
    fn the_exit_code_and_both_outputs_arrive() {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let mut process = shell("echo out; echo err >&2; exit 7", directory.path(), Stdout::Piped);
        let mut out = String::new();
        process
            .take_stdout()
            .expect("piped")
            .read_to_string(&mut out)
            .expect("read");
        assert_eq!(out, "out\n");
        assert_eq!(process.wait(SOON).expect("ends").code(), Some(7));
        assert_eq!(process.log(), "err\n");
    }

    #[test]
    fn a_signal_reaches_the_program_itself() {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let script = "trap 'echo asked >&2; exit 3' TERM; echo ready >&2; while :; do sleep 0.05; done";
        let mut process = shell(script, directory.path(), Stdout::Log);
        wait_until(SOON, "the trap to be set", || {
            process.log().contains("ready").then_some(())
        })
        .expect("ready");
        process.signal(Signal::Terminate).expect("sent");
        assert_eq!(process.wait(SOON).expect("ends").code(), Some(3));
        assert!(process.log().contains("asked"));
    }

    #[test]
    fn a_program_that_does_not_exist_says_so_in_its_log() {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let launch = Launch {
            name: "absent".to_owned(),
            program: PathBuf::from("/does/not/exist"),
            arguments: Vec::new(),
            environment: Vec::new(),
            stdout: Stdout::Log,
        };
        let mut process = Process::start(launch, directory.path()).expect("the shell starts");
        assert_eq!(process.wait(SOON).expect("ends").code(), Some(127));
        assert!(process.log_tail(1).contains("/does/not/exist"), "{}", process.log());
    }
}
