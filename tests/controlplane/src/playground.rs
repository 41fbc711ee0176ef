//! The playground: a control plane with ringfence installed, the guardrails of `policies/hollowdb` in
//! force, people to be, and things to try. `cargo playground` shows it; a test tries everything in it.

mod steps;

use std::io;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

pub use self::steps::{Outcome, Step};
use crate::control_plane::{ControlPlane, StartError};
use crate::options::{Options, User};
use crate::ringfence::{Installation, Ringfence};

/// A running playground; dropped, all of it ends.
#[derive(Debug)]
pub struct Playground {
    // Dropped first: it talks to the other.
    ringfence: Ringfence,
    cluster: ControlPlane,
    kubeconfig: PathBuf,
    /// A folder with `ringfence`, to put into `PATH`.
    programs: PathBuf,
    policies: PathBuf,
}

impl Playground {
    /// Starts all of it with this `ringfence` program.
    pub fn start(program: &Path) -> Result<Self, StartError> {
        let users = [
            User::new("mallory"),
            User::new("paula").in_groups(["team-payments"]),
            User::new("dana").in_groups(["dba"]),
        ];
        let cluster = ControlPlane::start(&Options::with_users(users))?;
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let policies = workspace.unwrap_or(Path::new(".")).join("policies/hollowdb");
        for file in ["namespaces.yaml", "networkpolicy.yaml", "rbac.yaml"] {
            let apply = cluster.kubectl("admin").args(["apply", "--server-side", "-f"]);
            apply.args([policies.join(file)]).run().succeeded()?;
        }
        let guardrails = fs::read_to_string(policies.join("guardrails.yaml"))?;
        let ringfence = Ringfence::start(&cluster, &Installation::of(program, &guardrails))?;
        let kubeconfig = everybody(&cluster)?;
        let programs = program.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self {
            ringfence,
            cluster,
            kubeconfig,
            programs,
            policies,
        })
    }

    /// The control plane.
    pub fn cluster(&self) -> &ControlPlane {
        &self.cluster
    }

    /// ringfence.
    pub fn ringfence(&self) -> &Ringfence {
        &self.ringfence
    }

    /// Environment variables in which the commands of [`Playground::steps`] work: a kubeconfig with a
    /// context for each of the people, and a `PATH` that begins with kubectl and ringfence.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let (kubectl, ringfence) = (self.cluster.kubectl_directory(), &self.programs);
        let path = format!("{}:{}:$PATH", kubectl.display(), ringfence.display());
        [("KUBECONFIG", self.kubeconfig.display().to_string()), ("PATH", path)]
    }

    /// What to try, in this order.
    pub fn steps(&self) -> Vec<Step> {
        steps::steps(&self.policies)
    }
}

/// What `cargo playground` says: how to reach it, who one can be, what to try.
impl fmt::Display for Playground {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "ringfence guards a Kubernetes API server on this machine. In another terminal:\n"
        )?;
        for (name, value) in self.environment() {
            writeln!(formatter, "  export {name}=\"{value}\"")?;
        }
        writeln!(
            formatter,
            "\nThe context is who you are: admin (may everything), ci (the service account that deploys), mallory\n\
             (may edit in web, and do everything in dev), paula (of team payments, which owns the database),\n\
             dana (who runs the database).\n"
        )?;
        for step in self.steps() {
            writeln!(formatter, "  # {}\n  {}", step.about, step.command)?;
        }
        write!(
            formatter,
            "\nRecords of what is not plainly allowed appear below. Ctrl-C ends everything."
        )
    }
}

/// A kubeconfig with a context for each of the people.
fn everybody(cluster: &ControlPlane) -> io::Result<PathBuf> {
    let people = [
        ("admin", cluster.token("admin")),
        ("ci", cluster.account_token("ci", "deployer")),
        ("mallory", cluster.token("mallory")),
        ("paula", cluster.token("paula")),
        ("dana", cluster.token("dana")),
    ];
    let people: Vec<(&str, &str)> = people.iter().map(|(name, token)| (*name, token.as_str())).collect();
    cluster.write_kubeconfig("playground", &people)
}
