//! One running control plane: started on free ports of 127.0.0.1, ready when `start` returns, gone
//! when it is dropped or the process ends.

mod start;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub(crate) use self::start::PATIENCE;
pub use self::start::StartError;
use crate::assets::{Assets, Program};
use crate::authority::Authority;
use crate::directory::RunDirectory;
use crate::http::{Api, Request};
use crate::kubeconfig;
use crate::kubectl::Kubectl;
use crate::options::{Controllers, User};
use crate::process::Process;
use crate::wait::wait_until;
use crate::watch_gate::WatchGate;

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped first, the last started first: nobody is left to talk to the ones before.
    processes: Vec<Process>,
    api: Api,
    port: u16,
    server: String,
    assets: Assets,
    authority: Authority,
    users: BTreeMap<String, User>,
    controllers: Controllers,
    // Dropped last: the processes write there.
    files: RunDirectory,
}

impl ControlPlane {
    fn as_admin(&self, method: &str, path: &str) -> Request {
        self.api.request(&User::admin().token(), method, path)
    }

    fn kubeconfig_path(&self, user: &str) -> PathBuf {
        let name: String = user
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
            .collect();
        self.files.path().join("kubeconfigs").join(name)
    }

    fn audit_log(&self) -> PathBuf {
        self.files.path().join("audit.log")
    }

    /// Prepares a kubectl call as one of the users.
    ///
    /// # Panics
    /// If there is no such user in [`Options::users`](crate::Options::users).
    #[track_caller]
    pub fn kubectl(&self, user: &str) -> Kubectl {
        Kubectl::new(
            self.assets.program(Program::Kubectl),
            self.files.path(),
            &self.kubeconfig(user),
        )
    }

    /// An object as `kubectl get` with these arguments gives it to the admin; none where it does not exist.
    ///
    /// # Panics
    /// If it cannot be read.
    #[track_caller]
    pub fn object(&self, arguments: &[&str]) -> Option<Value> {
        let get = self.kubectl("admin").args(["get", "-o", "json", "--ignore-not-found"]);
        let output = get.args(arguments).run().ok();
        (!output.is_empty()).then(|| serde_json::from_str(&output).expect("kubectl prints JSON"))
    }

    /// Prepares a kubectl call as a service account, with a token as TokenRequest gives it.
    ///
    /// # Panics
    /// If there is no such service account.
    #[track_caller]
    pub fn kubectl_as_account(&self, namespace: &str, name: &str) -> Kubectl {
        let token = self.account_token(namespace, name);
        let path = self
            .write_kubeconfig(&format!("account {namespace} {name}"), &[(name, &token)])
            .unwrap_or_else(|error| panic!("cannot write a kubeconfig: {error}"));
        Kubectl::new(self.assets.program(Program::Kubectl), self.files.path(), &path)
    }

    /// A token of a service account, as TokenRequest gives it.
    ///
    /// # Panics
    /// If there is no such service account.
    #[track_caller]
    pub fn account_token(&self, namespace: &str, name: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let answer = self
            .as_admin("POST", &path)
            .json(&json!({"spec": {"expirationSeconds": 28_800}}))
            .send()
            .ok();
        answer["status"]["token"]
            .as_str()
            .expect("TokenRequest gives a token")
            .to_owned()
    }

    /// Writes a kubeconfig with a context for each of these names and bearer tokens; gives its file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_kubeconfig(&self, file: &str, users: &[(&str, &str)]) -> io::Result<PathBuf> {
        let path = self.kubeconfig_path(file);
        kubeconfig::write(&path, &self.server, &self.authority.certificate(), users)?;
        Ok(path)
    }

    /// The bearer token of one of the users.
    ///
    /// # Panics
    /// If there is no such user in [`Options::users`](crate::Options::users).
    #[track_caller]
    pub fn token(&self, user: &str) -> String {
        self.user(user).token()
    }

    /// Prepares a plain request as one of the users. `path` begins with `/` and may have a query.
    ///
    /// # Panics
    /// If there is no such user in [`Options::users`](crate::Options::users).
    #[track_caller]
    pub fn request(&self, user: &str, method: &str, path: &str) -> Request {
        self.api.request(&self.user(user).token(), method, path)
    }

    /// The kubeconfig file of one of the users.
    ///
    /// # Panics
    /// If there is no such user in [`Options::users`](crate::Options::users).
    #[track_caller]
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.kubeconfig_path(&self.user(user).name)
    }

    #[track_caller]
    fn user(&self, name: &str) -> &User {
        self.users.get(name).unwrap_or_else(|| {
            panic!(
                "this control plane has no user {name:?}: name it in Options::users; it has {:?}",
                self.users.keys()
            )
        })
    }

    /// Creates a namespace with these labels, and, where there are controllers, waits until pods can be made in it.
    ///
    /// # Panics
    /// If it exists, or nobody makes its default service account.
    #[track_caller]
    pub fn create_namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        self.as_admin("POST", "/api/v1/namespaces").json(&namespace).send().ok();
        if self.controllers == Controllers::Absent {
            return;
        }
        let path = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        let made = wait_until(
            PATIENCE,
            &format!("the default service account of namespace {name}"),
            || (self.as_admin("GET", &path).send().status == 200).then_some(()),
        );
        made.unwrap_or_else(|timed_out| panic!("{timed_out}"));
    }

    /// The API server's own record of writes and connections, oldest first: `audit.k8s.io/v1` Events
    /// with the annotations that admission left.
    ///
    /// # Panics
    /// If the audit log cannot be read.
    pub fn audit_events(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.audit_log()).expect("kube-apiserver made its audit log");
        // The last line may be half written.
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Starts a gate to the API server whose watches can be stalled.
    ///
    /// # Errors
    /// If there is no port or no certificate for it.
    pub fn watch_gate(&self) -> Result<WatchGate, StartError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let identity = self.authority.issue("watch-gate", &["127.0.0.1"])?;
        Ok(WatchGate::start(address, &self.authority.certificate(), &identity)?)
    }

    /// The file of one of the programs.
    pub fn program(&self, program: Program) -> PathBuf {
        self.assets.program(program)
    }

    /// A folder with a kubectl of the API server's version, to put into `PATH`.
    pub fn kubectl_directory(&self) -> &Path {
        self.assets.directory()
    }

    /// The URL of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The PEM file of the authority that signed the API server's certificate.
    pub fn certificate_authority(&self) -> PathBuf {
        self.authority.certificate()
    }

    /// The programs, the last started first: for their process ids and logs.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// The folder of this control plane: its files are gone with it.
    pub fn directory(&self) -> &Path {
        self.files.path()
    }
}
