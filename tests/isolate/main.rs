//! Isolation on a real API server, with ringfence installed from `deploy/`: the synchronous path, the controller, and what
//! both cost. One installation is shared; each test has namespaces of its own.

mod before_pods;
mod controller;
mod cost;
mod manifests;
mod settle;
mod status;
mod tampering;
mod uninstalled;
mod upgraded;
mod world;
