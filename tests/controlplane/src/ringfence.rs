//! ringfence as installed from its manifests, its replicas running on this machine.
//!
//! The manifests are applied as a cluster administrator would; the pods of its Deployment are
//! stand-ins that run nothing. For each there is a process here with a token bound to that pod, so
//! that the API server sees the identity it would see in a cluster. The API server reaches them
//! through a forwarder, they reach it through a gate each.

mod replica;

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

pub use self::replica::Replica;
use crate::control_plane::{ControlPlane, StartError};
use crate::forward::Forwarder;
use crate::kubectl::Output;
use crate::ports::free_port;
use crate::wait::{TimedOut, wait_until};

/// Where ringfence is installed.
pub const NAMESPACE: &str = "ringfence-system";

/// The name of its Deployment, its service account and its `app.kubernetes.io/name`.
const NAME: &str = "ringfence";

/// The ConfigMap that guardrails are written in.
const GUARDRAILS: &str = "ringfence-guardrails";

const PATIENCE: Duration = Duration::from_secs(60);

/// What to install and run.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The `ringfence` program.
    pub program: PathBuf,
    /// The kustomization to apply: a folder with a `kustomization.yaml`.
    pub manifests: PathBuf,
    /// The guardrails that are there before the first replica starts: documents as in a file of one's
    /// own. `None`: there is no ConfigMap, no replica becomes ready, and none is waited for.
    pub guardrails: Option<String>,
    /// How many replicas run.
    pub replicas: usize,
    /// Flags of `ringfence serve` beside those that this harness sets.
    pub flags: Vec<OsString>,
}

impl Installation {
    /// The manifests of this workspace with two replicas of `program` and these guardrails; replicas
    /// that are told to end do so at once.
    pub fn of(program: impl Into<PathBuf>, guardrails: &str) -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap_or(Path::new("."));
        Self {
            program: program.into(),
            manifests: workspace.join("deploy"),
            guardrails: Some(guardrails.to_owned()),
            replicas: 2,
            // Nobody else has to hear that a replica leaves.
            flags: vec!["--drain-grace=0".into()],
        }
    }
}

/// ringfence, running. Dropped, its replicas are killed; what was installed stays in the cluster.
#[derive(Debug)]
pub struct Ringfence {
    replicas: Vec<Replica>,
    forwarder: Forwarder,
}

impl Ringfence {
    /// Applies the manifests, starts the replicas, and waits until all are ready and the API server
    /// asks them.
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
        if let Some(guardrails) = &installation.guardrails {
            configure(cluster, "admin", guardrails).succeeded()?;
        }
        let pods = running_pods(cluster)?;
        let mut addresses = Vec::new();
        for _ in 0..count {
            addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        }
        let forwarder = Forwarder::start(&addresses)?;
        let mut replicas = Vec::new();
        for (index, (pod, reviews)) in pods.iter().take(count).zip(addresses).enumerate() {
            let front = forwarder.address();
            replicas.push(Replica::start(cluster, installation, index, pod, reviews, front)?);
        }
        if installation.guardrails.is_some() {
            replicas.iter_mut().try_for_each(Replica::wait_until_ready)?;
            wait_until_asked(cluster).map_err(|timed_out| StartError::NotReady {
                name: NAME.to_owned(),
                timed_out,
                log: replicas.iter().map(Replica::log).collect(),
            })?;
        }
        Ok(Self { replicas, forwarder })
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

    /// Starts those replicas again that have ended. Ready only after [`Ringfence::wait_until_ready`].
    ///
    /// # Errors
    /// If one cannot be started.
    pub fn start_ended(&mut self) -> io::Result<()> {
        for replica in &mut self.replicas {
            if !matches!(replica.process().ended(), Ok(None)) {
                replica.start_again()?;
            }
        }
        Ok(())
    }

    /// Waits until all replicas are ready.
    ///
    /// # Errors
    /// As [`Replica::wait_until_ready`].
    pub fn wait_until_ready(&mut self) -> Result<(), StartError> {
        self.replicas.iter_mut().try_for_each(Replica::wait_until_ready)
    }

    /// Waits until guardrails of this revision are in force on all replicas.
    ///
    /// # Panics
    /// If they are not in time.
    #[track_caller]
    pub fn wait_for_revision(&self, revision: &str) {
        for replica in &self.replicas {
            let what = format!("revision {revision} in force on {}", replica.pod());
            let waited = wait_until(PATIENCE, &what, || replica.has_in_force(revision).then_some(()));
            waited.unwrap_or_else(|timed_out| panic!("{timed_out}; it said:\n{}", replica.log()));
        }
    }

    /// What a metric has come to on all replicas together: its name with its labels.
    pub fn counted(&self, series: &str) -> u64 {
        let counts = self.replicas.iter().filter_map(|replica| replica.metric(series));
        counts.filter_map(|count| count.parse::<u64>().ok()).sum()
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
                .flat_map(|replica| replica.records().all())
                .find(|record| matches(record))
        });
        found.unwrap_or_else(|timed_out| {
            let all = self.replicas.iter().flat_map(|replica| replica.records().all());
            let all: Vec<String> = all.map(|record| record.to_string()).collect();
            panic!("{timed_out}; there are:\n{}", all.join("\n"))
        })
    }
}

/// Writes the guardrails as `user`: documents as in a file of one's own become the one key of the
/// ConfigMap that ringfence reads.
///
/// # Panics
/// If there is no such user.
#[track_caller]
pub fn configure(cluster: &ControlPlane, user: &str, guardrails: &str) -> Output {
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": GUARDRAILS, "namespace": NAMESPACE},
        "data": {"guardrails.yaml": guardrails},
    });
    cluster
        .kubectl(user)
        .args(["apply", "-f", "-"])
        .stdin(map.to_string())
        .run()
}

/// Waits until the API server asks ringfence: it follows webhook configurations with a delay of its
/// own. Guardrails that can never be right are refused then, whatever those in force say.
fn wait_until_asked(cluster: &ControlPlane) -> Result<(), TimedOut> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{GUARDRAILS}?dryRun=All");
    let wrong = json!({"data": {"guardrails.yaml": "kind: Nonsense"}});
    wait_until(PATIENCE, "the API server to ask ringfence", || {
        let answer = cluster.request("admin", "PATCH", &path).json(&wrong).send();
        (answer.status >= 400 && answer.text.contains("ringfence.dev")).then_some(())
    })
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
