//! One control plane for all tests of a test binary, and the loud word where there is none.
//!
//! What is shared is never dropped, because statics are not; its programs end with the process (see
//! `process.rs`).

use std::env;
use std::io::{self, Write as _};
use std::sync::OnceLock;

use crate::assets::AssetsError;
use crate::control_plane::{ControlPlane, StartError};
use crate::options::Options;

/// A place for what several tests share: a control plane, or one with more in it.
///
/// ```no_run
/// use ringfence_controlplane::{ControlPlane, Options, Shared, User};
///
/// static CLUSTER: Shared<ControlPlane> =
///     Shared::new(|| ControlPlane::start(&Options::with_users([User::new("mallory")])));
///
/// fn mallory_is_nobody() {
///     let Some(cluster) = CLUSTER.get() else { return };
///     cluster.kubectl("mallory").args(["get", "pods"]).run().refused();
/// }
/// ```
#[derive(Debug)]
pub struct Shared<T> {
    start: fn() -> Result<T, StartError>,
    started: OnceLock<Result<Option<T>, String>>,
}

impl<T> Shared<T> {
    /// Nothing yet; `start` is called by the first test that wants it.
    pub const fn new(start: fn() -> Result<T, StartError>) -> Self {
        Self {
            start,
            started: OnceLock::new(),
        }
    }

    /// What was started by the first test that came here; or `None` where there are no programs to
    /// start, said on stderr: then the test returns.
    ///
    /// # Panics
    /// If it does not start, or if there are no programs to start and `CI` is set: there, a test that
    /// did not run is a failure.
    pub fn get(&self) -> Option<&T> {
        // A failure is kept, so that the other tests fail at once instead of trying again.
        match self.started.get_or_init(|| or_skip((self.start)())) {
            Ok(started) => started.as_ref(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Starts a control plane for one test, or says loudly why that test is skipped.
///
/// # Panics
/// As [`Shared::get`].
pub fn started_or_skipped(options: &Options) -> Option<ControlPlane> {
    or_skip(ControlPlane::start(options)).unwrap_or_else(|error| panic!("{error}"))
}

fn or_skip<T>(started: Result<T, StartError>) -> Result<Option<T>, String> {
    match started {
        Ok(started) => Ok(Some(started)),
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
