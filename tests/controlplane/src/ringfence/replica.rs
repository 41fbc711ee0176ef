//! One replica of ringfence: a process with the identity of a pod.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Installation, NAME, NAMESPACE, PATIENCE, Pod};
use crate::control_plane::{ControlPlane, StartError};
use crate::kubeconfig;
use crate::ports::free_port;
use crate::process::{Launch, Process, Signal, Stdout};
use crate::records::Records;
use crate::wait::{TimedOut, wait_until};
use crate::watch_gate::WatchGate;

/// One process of ringfence.
#[derive(Debug)]
pub struct Replica {
    process: Process,
    launch: Launch,
    directory: PathBuf,
    records: Records,
    gate: WatchGate,
    pod: String,
    reviews: SocketAddr,
    health: SocketAddr,
}

impl Replica {
    /// Starts the replica `index` as `pod`, to be reviewed with at `reviews` by way of `forwarder`.
    pub(super) fn start(
        cluster: &ControlPlane,
        installation: &Installation,
        index: usize,
        pod: &Pod,
        reviews: SocketAddr,
        forwarder: SocketAddr,
    ) -> Result<Self, StartError> {
        let gate = cluster.watch_gate()?;
        let directory = cluster.directory().join(format!("{NAME}-{index}"));
        std::fs::create_dir_all(&directory)?;
        let kubeconfig = directory.join("kubeconfig");
        let token = bound_token(cluster, pod)?;
        let server = format!("https://{}", gate.address());
        kubeconfig::write(
            &kubeconfig,
            &server,
            &cluster.certificate_authority(),
            &[(NAME, &token)],
        )?;
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut arguments = serve_arguments(&kubeconfig, reviews, health, forwarder);
        arguments.extend(installation.flags.iter().cloned());
        let launch = Launch {
            name: format!("{NAME}-{index}"),
            program: installation.program.clone(),
            arguments,
            environment: vec![
                ("POD_NAME".into(), pod.name.clone().into()),
                ("POD_NAMESPACE".into(), NAMESPACE.into()),
                ("RUST_BACKTRACE".into(), "1".into()),
            ],
            stdout: Stdout::Piped,
        };
        let records = Records::default();
        let process = started(&launch, &directory, &records)?;
        Ok(Self {
            process,
            launch,
            directory,
            records,
            gate,
            pod: pod.name.clone(),
            reviews,
            health,
        })
    }

    /// Waits until its `/readyz` says so.
    ///
    /// # Errors
    /// If it ends, or is not ready in time; both with the end of its log.
    pub fn wait_until_ready(&mut self) -> Result<(), StartError> {
        let what = format!("{} to be ready", self.launch.name);
        let waited = wait_until(PATIENCE, &what, || {
            if self.health("/readyz").is_ok() {
                return Some(true);
            }
            matches!(self.process.ended(), Ok(Some(_))).then_some(false)
        });
        let (name, log) = (self.launch.name.clone(), self.process.log_tail(30));
        match waited {
            Ok(true) => Ok(()),
            Ok(false) => Err(StartError::Ended { name, log }),
            Err(timed_out) => Err(StartError::NotReady { name, timed_out, log }),
        }
    }

    /// Tells it to end in good order and waits until it has.
    ///
    /// # Errors
    /// If it does not.
    pub fn stop(&mut self) -> Result<(), TimedOut> {
        // One that has ended cannot be told, and need not be.
        let _ = self.process.signal(Signal::Terminate);
        self.process.wait(PATIENCE).map(drop)
    }

    /// Ends it at once, as the out-of-memory killer does, and waits until it is gone.
    ///
    /// # Errors
    /// If it is not.
    pub fn kill(&mut self) -> Result<(), TimedOut> {
        let _ = self.process.signal(Signal::Kill);
        self.process.wait(PATIENCE).map(drop)
    }

    /// Starts it again after [`Replica::stop`] or [`Replica::kill`], on the same addresses; what it
    /// says is added to what it said. Ready only after [`Replica::wait_until_ready`].
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.process = started(&self.launch, &self.directory, &self.records)?;
        Ok(())
    }

    /// Its process: signals, log, process id.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it has said on standard error.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What it has recorded.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// What stands between it and the API server.
    pub fn gate(&self) -> &WatchGate {
        &self.gate
    }

    /// The pod whose identity it has.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// Where it takes reviews, over TLS.
    pub fn address(&self) -> SocketAddr {
        self.reviews
    }

    /// What it answers to `/healthz`, `/readyz` or `/metrics`.
    ///
    /// # Errors
    /// If it does not answer, or with another status than 2xx.
    pub fn health(&self, path: &str) -> Result<String, ureq::Error> {
        let timeout = Some(Duration::from_secs(5));
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .proxy(None)
            .timeout_global(timeout)
            .build()
            .into();
        agent
            .get(format!("http://{}{path}", self.health))
            .call()?
            .body_mut()
            .read_to_string()
    }

    /// What a metric stands at: its name with its labels. None where it is not told, or the replica does not answer.
    pub fn metric(&self, series: &str) -> Option<String> {
        let told = self.health("/metrics").ok()?;
        told.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
            .map(str::to_owned)
    }

    /// Whether guardrails of this revision are in force on it, and no others.
    pub fn has_in_force(&self, revision: &str) -> bool {
        let metrics = self.health("/metrics").unwrap_or_default();
        let told: Vec<&str> = metrics
            .lines()
            .filter(|line| line.starts_with("ringfence_guardrails_info{"))
            .collect();
        told == [format!("ringfence_guardrails_info{{revision=\"{revision}\"}} 1")]
    }
}

/// How `ringfence serve` is called: the one place that knows its flags.
fn serve_arguments(kubeconfig: &Path, reviews: SocketAddr, health: SocketAddr, forwarder: SocketAddr) -> Vec<OsString> {
    vec![
        "serve".into(),
        "--kubeconfig".into(),
        kubeconfig.into(),
        "--listen".into(),
        reviews.to_string().into(),
        "--health-listen".into(),
        health.to_string().into(),
        "--webhook-url".into(),
        format!("https://{forwarder}").into(),
    ]
}

fn started(launch: &Launch, directory: &Path, records: &Records) -> io::Result<Process> {
    let mut process = Process::start(launch.clone(), directory)?;
    if let Some(output) = process.take_stdout() {
        records.read(output);
    }
    Ok(process)
}

/// A token as kubelet would hand it to this pod: bound to it, so that its name and uid are in the
/// `extra` of whoever bears it.
fn bound_token(cluster: &ControlPlane, pod: &Pod) -> Result<String, StartError> {
    let name = format!("--bound-object-name={}", pod.name);
    let uid = format!("--bound-object-uid={}", pod.uid);
    let create = [
        "-n",
        NAMESPACE,
        "create",
        "token",
        NAME,
        "--bound-object-kind=Pod",
        &name,
        &uid,
        "--duration=8h",
    ];
    Ok(cluster
        .kubectl("admin")
        .args(create)
        .run()
        .succeeded()?
        .trim()
        .to_owned())
}
