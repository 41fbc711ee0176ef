//! Starting a control plane: each program in its turn, ready before the next needs it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::ControlPlane;
use crate::assets::{Assets, AssetsError, Program};
use crate::authority::{Authority, AuthorityError, TokenKeys};
use crate::components::{self, ApiServer, NODE};
use crate::directory::RunDirectory;
use crate::http::Api;
use crate::kubeconfig;
use crate::kubectl::CallFailed;
use crate::options::{Controllers, Nodes, Options, User};
use crate::ports::free_port;
use crate::process::{Launch, Process, Stdout};
use crate::wait::{TimedOut, wait_until};

/// How long each step of a start may take; a loaded machine is slow, not broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How often a start is tried when another process took a port first.
const ATTEMPTS: usize = 5;

/// A control plane that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There are no programs to start.
    #[error(transparent)]
    Assets(#[from] AssetsError),
    /// No certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file could not be written, a program or port not be had.
    #[error("cannot start the control plane: {0}")]
    Io(#[from] io::Error),
    /// The API server cannot be asked.
    #[error("cannot ask the API server: {0}")]
    Api(#[from] ureq::Error),
    /// kubectl failed.
    #[error(transparent)]
    Kubectl(#[from] CallFailed),
    /// A step did not come to its end.
    #[error("{timed_out}; the last lines of {name}:\n{log}")]
    NotReady {
        /// The program.
        name: String,
        /// What was waited for.
        timed_out: TimedOut,
        /// The end of its log.
        log: String,
    },
    /// A program ended.
    #[error("{name} ended; its last lines:\n{log}")]
    Ended {
        /// The program.
        name: String,
        /// The end of its log.
        log: String,
    },
}

impl ControlPlane {
    /// Starts a control plane and waits until it serves, its controllers work and its node is ready.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let assets = Assets::find_or_build()?;
        let mut attempt = 1;
        loop {
            match Self::start_once(options, &assets) {
                Err(StartError::Ended { log, .. }) if attempt < ATTEMPTS && log.contains("address already in use") => {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn start_once(options: &Options, assets: &Assets) -> Result<Self, StartError> {
        let files = RunDirectory::new()?;
        let authority = Authority::new(&files.path().join("pki"))?;
        let port = free_port()?;
        let server = format!("https://127.0.0.1:{port}");
        let mut cluster = Self {
            processes: Vec::new(),
            api: Api::new(&server, &authority.pem())?,
            port,
            server,
            assets: assets.clone(),
            authority,
            users: BTreeMap::new(),
            controllers: options.controllers,
            files,
        };
        let token_keys = cluster.authority.token_keys()?;
        cluster.enroll(options)?;
        let etcd = cluster.start_etcd()?;
        cluster.start_api_server(etcd, &token_keys)?;
        if options.controllers != Controllers::Absent {
            cluster.start_controllers(options.controllers, &token_keys)?;
        }
        if options.nodes == Nodes::One {
            cluster.start_node()?;
        }
        if options.controllers != Controllers::Absent {
            cluster.wait_for_service_account("default")?;
        }
        Ok(cluster)
    }

    /// Writes the users and their kubeconfigs, those of the components among them.
    fn enroll(&mut self, options: &Options) -> Result<(), StartError> {
        let components = [
            User::new("system:kube-controller-manager"),
            User::new("system:kube-scheduler"),
            // As a kubelet's user its writes pass by what asks for the node of a pod. It stands in for other nodes as well, so
            // it may do everything, and not only what a node may.
            User::new(components::NODE_USER).in_groups(["system:masters"]),
        ];
        let users = [User::admin()]
            .into_iter()
            .chain(components)
            .chain(options.users.iter().cloned());
        self.users = users.map(|user| (user.name.clone(), user)).collect();
        let lines: String = self.users.values().map(User::token_line).collect();
        fs::write(self.files.path().join("tokens.csv"), lines)?;
        fs::create_dir_all(self.files.path().join("kubeconfigs"))?;
        for user in self.users.values() {
            let path = self.kubeconfig_path(&user.name);
            kubeconfig::write(
                &path,
                &self.server,
                &self.authority.certificate(),
                &[(&user.name, &user.token())],
            )?;
        }
        Ok(())
    }

    fn start_etcd(&mut self) -> Result<u16, StartError> {
        let (client, peer) = (free_port()?, free_port()?);
        self.start_program(Program::Etcd, components::etcd(self.files.path(), client, peer))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, client));
        self.wait_for("etcd to listen", |_| TcpStream::connect(address).is_ok())?;
        Ok(client)
    }

    fn start_api_server(&mut self, etcd: u16, token_keys: &TokenKeys) -> Result<(), StartError> {
        let directory = self.files.path();
        let policy = directory.join("audit-policy.yaml");
        fs::write(&policy, components::AUDIT_POLICY)?;
        let arguments = components::api_server(&ApiServer {
            directory,
            port: self.port,
            etcd,
            authority: &self.authority.certificate(),
            serving: &self.authority.issue("kube-apiserver", &["127.0.0.1", "localhost"])?,
            kubelet_client: &self.authority.issue("kube-apiserver-kubelet-client", &[])?,
            token_keys,
            tokens: &directory.join("tokens.csv"),
            audit_policy: &policy,
            audit_log: &self.audit_log(),
        });
        self.start_program(Program::ApiServer, arguments)?;
        self.wait_for("kube-apiserver to be ready", |cluster| {
            cluster
                .as_admin("GET", "/readyz")
                .try_send()
                .is_ok_and(|answer| answer.status == 200)
        })
    }

    fn start_controllers(&mut self, controllers: Controllers, token_keys: &TokenKeys) -> Result<(), StartError> {
        let kubeconfig = self.kubeconfig_path("system:kube-controller-manager");
        let arguments =
            components::controller_manager(&kubeconfig, &self.authority.certificate(), token_keys, controllers);
        self.start_program(Program::ControllerManager, arguments)
    }

    /// Starts what binds and runs pods, and one node to run them on.
    fn start_node(&mut self) -> Result<(), StartError> {
        let scheduler = components::scheduler(&self.kubeconfig_path("system:kube-scheduler"));
        self.start_program(Program::Scheduler, scheduler)?;
        let serving = self.authority.issue("kwok", &["127.0.0.1"])?;
        let kwok = components::kwok(
            &self.kubeconfig_path(components::NODE_USER),
            &self.assets.stages(),
            &serving,
            free_port()?,
        );
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": NODE,
            "labels": {
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": "zone-a",
                "topology.kubernetes.io/region": "region-a",
            },
        }});
        // Its taint `not-ready`, set by admission, would be removed by the node lifecycle controller.
        self.as_admin("POST", "/api/v1/nodes").json(&node).try_send()?;
        let untainted = json!({"spec": {"taints": null}});
        let path = format!("/api/v1/nodes/{NODE}");
        self.as_admin("PATCH", &path).json(&untainted).try_send()?;
        self.start_program(Program::Kwok, kwok)?;
        self.wait_for("the stand-in node to be ready", |cluster| {
            cluster.as_admin("GET", &path).try_send().is_ok_and(|answer| {
                let node: Value = serde_json::from_str(&answer.text).unwrap_or_default();
                let ready = json!("Ready");
                let conditions = node["status"]["conditions"].as_array();
                conditions.is_some_and(|all| all.iter().any(|one| one["type"] == ready && one["status"] == "True"))
            })
        })
    }

    fn start_program(&mut self, program: Program, arguments: Vec<OsString>) -> Result<(), StartError> {
        let launch = Launch {
            name: program.name().to_owned(),
            program: self.assets.program(program),
            arguments,
            // kwok reads ~/.kwok where there is one.
            environment: vec![("HOME".into(), self.files.path().into())],
            stdout: Stdout::Log,
        };
        self.processes.insert(0, Process::start(launch, self.files.path())?);
        Ok(())
    }

    /// Waits for a condition, or for the program that was started last to end before it holds.
    fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) -> Result<(), StartError> {
        let waited = wait_until(PATIENCE, what, || {
            if holds(self) {
                return Some(Ok(()));
            }
            let ended = self.processes.iter_mut().find_map(|process| match process.ended() {
                Ok(None) => None,
                Ok(Some(_)) | Err(_) => Some(StartError::Ended {
                    name: process.name().to_owned(),
                    log: process.log_tail(20),
                }),
            });
            ended.map(Err)
        });
        waited.unwrap_or_else(|timed_out| {
            let newest = &self.processes[0];
            Err(StartError::NotReady {
                name: newest.name().to_owned(),
                timed_out,
                log: newest.log_tail(20),
            })
        })
    }

    fn wait_for_service_account(&mut self, namespace: &str) -> Result<(), StartError> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        self.wait_for(
            &format!("the default service account of namespace {namespace}"),
            |cluster| {
                cluster
                    .as_admin("GET", &path)
                    .try_send()
                    .is_ok_and(|answer| answer.status == 200)
            },
        )
    }
}
