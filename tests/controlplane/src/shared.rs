//! One control plane for all tests of a test binary, and the loud word where there is none.
//!
//! It is never dropped, because statics are not; its programs end with the process (see
//! `process.rs`).

use std::env;
use std::io::{self, Write as _};
use std::sync::OnceLock;

use crate::assets::AssetsError;
use crate::control_plane::{ControlPlane, StartError};
use crate::options::Options;

/// A place for a control plane that several tests share:
///
/// ```no_run
/// use ringfence_controlplane::{Options, SharedControlPlane, User};
///
/// static CLUSTER: SharedControlPlane = SharedControlPlane::new(|| Options::with_users([User::new("mallory")]));
///
/// fn mallory_is_nobody() {
///     let Some(cluster) = CLUSTER.get() else { return };
///     cluster.kubectl("mallory").args(["get", "pods"]).run().refused();
/// }
/// ```
#[derive(Debug)]
pub struct SharedControlPlane {
    options: fn() -> Options,
    cluster: OnceLock<Result<Option<ControlPlane>, String>>,
}

impl SharedControlPlane {
    /// Nothing yet; `options` are asked for when the first test wants it.
    pub const fn new(options: fn() -> Options) -> Self {
        Self {
            options,
            cluster: OnceLock::new(),
        }
    }

    /// The control plane, started by the first test that comes here; or `None` where there are no
    /// programs to start, said on stderr: then the test returns.
    ///
    /// # Panics
    /// If it does not start, or if there are no programs to start and `CI` is set: there, a test that
    /// did not run is a failure.
    pub fn get(&self) -> Option<&ControlPlane> {
        // The failure is kept, so that the other tests fail at once instead of trying again.
        match self.cluster.get_or_init(|| start_or_skip(&(self.options)())) {
            Ok(cluster) => cluster.as_ref(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Starts a control plane for one test, or says loudly why that test is skipped.
///
/// # Panics
/// As [`SharedControlPlane::get`].
pub fn started_or_skipped(options: &Options) -> Option<ControlPlane> {
    start_or_skip(options).unwrap_or_else(|error| panic!("{error}"))
}

fn start_or_skip(options: &Options) -> Result<Option<ControlPlane>, String> {
    match ControlPlane::start(options) {
        Ok(cluster) => Ok(Some(cluster)),
        Err(StartError::Assets(error @ AssetsError::NoGo)) => {
            if env::var_os("CI").is_some_and(|value| !value.is_empty()) {
                return Err(format!("{error}\n(CI is set: tests may not be skipped)"));
            }
            // To stderr itself: the test harness would swallow what `eprintln!` says in a test that passes.
            let _ = writeln!(io::stderr(), "\nSKIPPED: tests against a real control plane: {error}\n");
            Ok(None)
        }
        Err(error) => Err(error.to_string()),
    }
}
