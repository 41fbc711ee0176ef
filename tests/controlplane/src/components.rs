//! How each program of the control plane is called: one function a program, flags only.

use std::ffi::OsString;
use std::path::Path;

use crate::authority::{Identity, TokenKeys};
use crate::options::Controllers;

/// The stand-in node that pods run on.
pub(crate) const NODE: &str = "node-0";
/// The user that its kubelet is.
pub const NODE_USER: &str = "system:node:node-0";

/// What is recorded in the audit log: every write and connection, with the annotations that
/// admission left on it, but not the noise of leases and events; of reviews also what was asked.
pub(crate) const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources: [{group: coordination.k8s.io, resources: [leases]}, {group: '', resources: [events]}, {group: events.k8s.io}]
- level: Request
  resources: [{group: authorization.k8s.io}]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection, connect]
- level: Metadata
  resources: [{group: '', resources: [pods/exec, pods/attach, pods/portforward, pods/proxy, services/proxy, nodes/proxy]}]
- level: None
";

/// `--flag=value`, where the value may be a path.
fn flag(name: &str, value: impl AsRef<std::ffi::OsStr>) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(value);
    flag
}

/// etcd: one member without fsync, because nothing in it outlives the test.
pub(crate) fn etcd(directory: &Path, client: u16, peer: u16) -> Vec<OsString> {
    let client = format!("http://127.0.0.1:{client}");
    let peer = format!("http://127.0.0.1:{peer}");
    vec![
        flag("data-dir", directory.join("etcd")),
        flag("listen-client-urls", &client),
        flag("advertise-client-urls", &client),
        flag("listen-peer-urls", &peer),
        flag("initial-advertise-peer-urls", &peer),
        flag("initial-cluster", format!("default={peer}")),
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ]
}

/// Files and ports that kube-apiserver needs.
pub(crate) struct ApiServer<'run> {
    pub(crate) directory: &'run Path,
    pub(crate) port: u16,
    pub(crate) etcd: u16,
    pub(crate) authority: &'run Path,
    pub(crate) serving: &'run Identity,
    pub(crate) kubelet_client: &'run Identity,
    pub(crate) token_keys: &'run TokenKeys,
    pub(crate) tokens: &'run Path,
    pub(crate) audit_policy: &'run Path,
    pub(crate) audit_log: &'run Path,
}

/// kube-apiserver, with the authorization and admission plugins that kubeadm enables.
pub(crate) fn api_server(with: &ApiServer<'_>) -> Vec<OsString> {
    let ApiServer {
        directory,
        port,
        etcd,
        authority,
        serving,
        kubelet_client,
        token_keys,
        tokens,
        audit_policy,
        audit_log,
    } = with;
    vec![
        flag("etcd-servers", format!("http://127.0.0.1:{etcd}")),
        "--bind-address=127.0.0.1".into(),
        flag("secure-port", port.to_string()),
        // Without a word it asks the host for its outward address, and fails on a machine without one;
        // nobody reaches this API server through the service `kubernetes`, so its endpoints stay empty.
        "--advertise-address=127.0.0.1".into(),
        "--endpoint-reconciler-type=none".into(),
        flag("cert-dir", directory.join("apiserver")),
        flag("tls-cert-file", &serving.certificate),
        flag("tls-private-key-file", &serving.key),
        flag("client-ca-file", authority),
        flag("kubelet-certificate-authority", authority),
        flag("kubelet-client-certificate", &kubelet_client.certificate),
        flag("kubelet-client-key", &kubelet_client.key),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        flag("service-account-signing-key-file", &token_keys.private),
        flag("service-account-key-file", &token_keys.public),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        flag("token-auth-file", tokens),
        flag("audit-policy-file", audit_policy),
        flag("audit-log-path", audit_log),
        // An event is in the file before its answer is out.
        "--audit-log-mode=blocking".into(),
        "--profiling=false".into(),
    ]
}

/// kube-controller-manager, but for what belongs to real nodes.
pub(crate) fn controller_manager(
    kubeconfig: &Path,
    authority: &Path,
    token_keys: &TokenKeys,
    controllers: Controllers,
) -> Vec<OsString> {
    vec![
        flag("kubeconfig", kubeconfig),
        flag("root-ca-file", authority),
        flag("service-account-private-key-file", &token_keys.private),
        flag(
            "use-service-account-credentials",
            (controllers == Controllers::AccountEach).to_string(),
        ),
        "--controllers=*,-node-ipam-controller,-node-lifecycle-controller".into(),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        // Clients of tests come in bursts; the default of 20 a second is for a shared API server.
        "--kube-api-qps=500".into(),
        "--kube-api-burst=1000".into(),
    ]
}

/// kube-scheduler.
pub(crate) fn scheduler(kubeconfig: &Path) -> Vec<OsString> {
    vec![
        flag("kubeconfig", kubeconfig),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        "--kube-api-qps=500".into(),
        "--kube-api-burst=1000".into(),
    ]
}

/// kwok: kubelet of every node there is, also for the connections that the API server makes to one.
pub(crate) fn kwok(kubeconfig: &Path, stages: &Path, serving: &Identity, port: u16) -> Vec<OsString> {
    vec![
        flag("kubeconfig", kubeconfig),
        flag("config", stages),
        "--manage-all-nodes=true".into(),
        "--node-ip=127.0.0.1".into(),
        flag("node-port", port.to_string()),
        flag("server-address", format!("127.0.0.1:{port}")),
        flag("tls-cert-file", &serving.certificate),
        flag("tls-private-key-file", &serving.key),
        "--cidr=10.244.0.1/16".into(),
        // No node controller looks at heartbeats.
        "--node-lease-duration-seconds=0".into(),
    ]
}
