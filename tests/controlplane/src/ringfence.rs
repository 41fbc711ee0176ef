//! ringfence as installed from its manifests, its replicas running on this machine.
//!
//! The manifests are applied as a cluster administrator would; the pods of its Deployment are
//! stand-ins that run nothing. For each there is a process here with a token bound to that pod, so
//! that the API server sees the identity it would see in a cluster. The API server reaches them
//! through a forwarder, they reach it through a gate each.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::control_plane::{ControlPlane, StartError};
use crate::forward::Forwarder;
use crate::kubeconfig;
use crate::ports::free_port;
use crate::process::{Launch, Process, Signal, Stdout};
use crate::records::Records;
use crate::wait::{TimedOut, wait_until};
use crate::watch_gate::WatchGate;

/// Where ringfence is installed.
pub const NAMESPACE: &str = "ringfence-system";

/// The name of its Deployment, its service account and its `app.kubernetes.io/name`.
const NAME: &str = "ringfence";

const PATIENCE: Duration = Duration::from_secs(60);

/// What to install and run.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The `ringfence` program.
    pub program: PathBuf,
    /// The kustomization to apply: a folder with a `kustomization.yaml`.
    pub manifests: PathBuf,
    /// How many replicas run.
    pub replicas: usize,
    /// Flags of `ringfence serve` beside those that this harness sets.
    pub flags: Vec<OsString>,
}

impl Installation {
    /// The manifests of this workspace with two replicas of `program`, without other flags.
    pub fn of(program: impl Into<PathBuf>) -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap_or(Path::new("."));
        Self {
            program: program.into(),
            manifests: workspace.join("deploy"),
            replicas: 2,
            flags: Vec::new(),
        }
    }
}

/// ringfence, running. Dropped, its replicas are killed; what was installed stays in the cluster.
#[derive(Debug)]
pub struct Ringfence {
    replicas: Vec<Replica>,
    forwarder: Forwarder,
}

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

impl Ringfence {
    /// Applies the manifests, starts the replicas and waits until all are ready.
    pub fn start(cluster: &ControlPlane, installation: &Installation) -> Result<Self, StartError> {
        cluster
            .kubectl("admin")
            .args(["apply", "--server-side", "-k"])
            .args([&installation.manifests])
            .run()
            .succeeded()?;
        let count = installation.replicas;
        let in_namespace = || cluster.kubectl("admin").args(["-n", NAMESPACE]);
        let deployment = format!("deployment/{NAME}");
        in_namespace()
            .args(["scale", &deployment, &format!("--replicas={count}")])
            .run()
            .succeeded()?;
        in_namespace()
            .args(["rollout", "status", &deployment, "--timeout=60s"])
            .run()
            .succeeded()?;
        let pods = running_pods(cluster)?;
        let mut addresses = Vec::new();
        for _ in 0..count {
            addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        }
        let forwarder = Forwarder::start(&addresses)?;
        let mut replicas = Vec::new();
        for (index, (pod, reviews)) in pods.iter().take(count).zip(addresses).enumerate() {
            let flags = &installation.flags;
            replicas.push(Replica::start(
                cluster,
                index,
                pod,
                &installation.program,
                reviews,
                forwarder.address(),
                flags,
            )?);
        }
        let mut ringfence = Self { replicas, forwarder };
        for replica in &mut ringfence.replicas {
            replica.wait_until_ready()?;
        }
        Ok(ringfence)
    }

    /// The replicas, in the order of the forwarder's targets.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// One replica, to stop, freeze or start again.
    ///
    /// # Panics
    /// If there is no such replica.
    pub fn replica(&mut self, index: usize) -> &mut Replica {
        &mut self.replicas[index]
    }

    /// What stands between the API server and the replicas.
    pub fn forwarder(&self) -> &Forwarder {
        &self.forwarder
    }

    /// Waits until a record of any replica `matches`, one that is there already included.
    ///
    /// # Panics
    /// If there is none in time; shows those that there are.
    #[track_caller]
    pub fn wait_for_record(&self, what: &str, mut matches: impl FnMut(&Value) -> bool) -> Value {
        let found = wait_until(PATIENCE, &format!("a record of {what}"), || {
            self.replicas
                .iter()
                .flat_map(|replica| replica.records.all())
                .find(|record| matches(record))
        });
        found.unwrap_or_else(|timed_out| {
            let all = self.replicas.iter().flat_map(|replica| replica.records.all());
            let all: Vec<String> = all.map(|record| record.to_string()).collect();
            panic!("{timed_out}; there are:\n{}", all.join("\n"))
        })
    }
}

impl Replica {
    fn start(
        cluster: &ControlPlane,
        index: usize,
        pod: &Pod,
        program: &Path,
        reviews: SocketAddr,
        forwarder: SocketAddr,
        flags: &[OsString],
    ) -> Result<Self, StartError> {
        let gate = cluster.watch_gate()?;
        let directory = cluster.directory().join(format!("{NAME}-{index}"));
        std::fs::create_dir_all(&directory)?;
        let kubeconfig = directory.join("kubeconfig");
        let token = bound_token(cluster, pod)?;
        let server = format!("https://{}", gate.address());
        kubeconfig::write(&kubeconfig, &server, &cluster.certificate_authority(), &token)?;
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut arguments = serve_arguments(&kubeconfig, reviews, health, forwarder);
        arguments.extend(flags.iter().cloned());
        let launch = Launch {
            name: format!("{NAME}-{index}"),
            program: program.to_owned(),
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

struct Pod {
    name: String,
    uid: String,
}

/// The running pods of the Deployment, the oldest names first.
fn running_pods(cluster: &ControlPlane) -> Result<Vec<Pod>, StartError> {
    let selector = format!("app.kubernetes.io/name={NAME}");
    let list = [
        "-n",
        NAMESPACE,
        "get",
        "pods",
        "-l",
        &selector,
        "--field-selector=status.phase=Running",
        "-o",
        "json",
    ];
    let list = cluster.kubectl("admin").args(list).run().succeeded()?;
    let list: Value = serde_json::from_str(&list).map_err(io::Error::other)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pods = list["items"].as_array().into_iter().flatten();
    let pods = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    Ok(pods
        .map(|pod| Pod {
            name: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
        })
        .collect())
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
