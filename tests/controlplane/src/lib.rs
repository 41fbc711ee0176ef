//! A real Kubernetes control plane for tests: kube-apiserver, etcd, kube-controller-manager,
//! kube-scheduler, kubectl, and kwok as the stand-in for kubelets, on free ports of 127.0.0.1.
//!
//! Where to look:
//! - `assets`, `go_build`: the programs, built once from the Go modules in `go/`;
//! - `options`, `components`, `control_plane`: what is started, with which flags, and when it is ready;
//! - `process`, `directory`: children and files that never outlive the test, however it ends;
//! - `kubectl`, `http`: asking the API server as somebody;
//! - `forward`, `watch_gate`: what stands between the API server and a replica, and how it fails;
//! - `ringfence`, `records`: ringfence installed from its manifests, its replicas as processes here;
//! - `playground`: all of that with the guardrails of `policies/hollowdb`, and things to try;
//! - `shared`: one control plane for the tests of a binary, and skipping where there is none.
//!
//! Functions that tests call to ask something panic where the answer is not the expected one, as
//! assertions do; starting returns errors.

mod assets;
mod authority;
mod components;
mod control_plane;
mod directory;
mod forward;
mod go_build;
mod http;
mod kinds;
mod kubeconfig;
mod kubectl;
mod options;
mod playground;
mod ports;
mod process;
mod records;
mod ringfence;
mod shared;
mod wait;
mod watch_gate;

pub use assets::{Assets, AssetsError, Program};
pub use authority::AuthorityError;
pub use components::NODE_USER;
pub use control_plane::{ControlPlane, StartError};
pub use forward::{Forwarder, Reach};
pub use http::{Request, Response, resource_version};
pub use kinds::{Kind, Lives};
pub use kubectl::{CallFailed, Kubectl, Output};
pub use options::{Controllers, Nodes, Options, User};
pub use playground::{Outcome, Playground, Step};
pub use ports::free_port;
pub use process::{Launch, Process, Signal, Stdout};
pub use records::Records;
pub use ringfence::{Installation, NAMESPACE, Replica, Ringfence, configure};
pub use shared::{Shared, started_or_skipped};
pub use wait::{TimedOut, eventually, wait_until};
pub use watch_gate::WatchGate;
