//! `ringfence audit sod`: who could both write a segment's policies and place pods in it, by all roles and bindings of a
//! cluster or of manifests, each with the binding that gives it. Reads, never writes.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use kube::Client;
use ringfence_core::guardrails::{Derived, Guardrails, Source, compile};

use super::grant::{self, NamespaceArgument};
use crate::answer::offline::{OptedIn, World, folder};
use crate::audit::{Evidence, Kind, Report, beyond, cluster, judge};
use crate::manifests::names;

/// The exit code of a report with findings, and that of none at all.
const FOUND: u8 = 1;
const FAILED: u8 = 2;

/// Arguments of `ringfence audit`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    about: About,
}

/// What `ringfence audit sod --help` opens with.
const SOD: &str = "\
Separation of duties: who both writes a segment's policies and places pods in it, or could come to.

For each segment of the guardrails, and each that is derived from a policy, over all Roles, ClusterRoles and their bindings:
who holds manage (protect, of a policy) together with join or connect; who can come to, by bind or escalate, by impersonation, as a service account whose tokens or pods they can make,
by a client certificate that they can have signed, over any number of steps; and who may write networkpolicies where they
deploy. Each with every binding, role and rule that gives it. Members of exempt groups, the cluster's own identities and
ringfence itself are named at the end. Who is in which group only your identity provider knows.

Exit code: 0 nothing found, 1 something found, 2 it could not be found out.";

#[derive(Debug, Subcommand)]
enum About {
    #[command(
        about = "Separation of duties: who both writes a segment's policies and places pods in it, or could come to",
        long_about = SOD
    )]
    Sod(Duties),
}

/// Arguments of `ringfence audit sod`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringfence audit sod
  ringfence audit sod --segment payments-db --output mermaid
  ringfence audit sod --kind HoldsBoth CanHoldBoth
  ringfence audit sod rbac/ guardrails.yaml
  ringfence audit sod rbac/ --output json --guardrails guardrails.yaml")]
struct Duties {
    /// Files and folders with manifests of RBAC, namespaces, service accounts and NetworkPolicies that opted in to protection
    /// (and perhaps the guardrails): judge these instead of a cluster.
    #[arg(value_name = "PATH", conflicts_with = "kubeconfig")]
    paths: Vec<PathBuf>,
    /// Files with the guardrails. Absent: those among the manifests, else the cluster's.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    guardrails: Vec<PathBuf>,
    /// Only these segments; NAMESPACE/NAME is one that is derived from a policy.
    #[arg(long = "segment", value_name = "NAME", num_args = 1..)]
    segments: Vec<String>,
    /// Only findings of these kinds.
    #[arg(long = "kind", value_name = "KIND", num_args = 1.., ignore_case = true)]
    kinds: Vec<Kind>,
    /// How it is told: text; json, one object a finding; mermaid, a flowchart of who does what by which binding.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// The cluster to ask; default as for kubectl.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The namespace that ringfence is installed in.
    #[arg(long, value_name = "NAMESPACE", default_value = names::NAMESPACE)]
    installed_in: NamespaceArgument,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
    Mermaid,
}

/// Runs it. A report that could not be made has an exit code of its own, so that no pipeline takes it for a finding.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let About::Sod(duties) = arguments.about;
    sod(duties).unwrap_or_else(|error| {
        eprintln!("ringfence: {error:#}");
        ExitCode::from(FAILED)
    })
}

fn sod(arguments: Duties) -> anyhow::Result<ExitCode> {
    let Duties {
        paths,
        guardrails,
        segments,
        kinds,
        output,
        kubeconfig,
        installed_in,
    } = arguments;
    let (evidence, guardrails) = if paths.is_empty() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(live(kubeconfig, &guardrails, &installed_in))?
    } else {
        offline(&[paths, guardrails].concat())?
    };
    known(&segments, &guardrails)?;
    let mut report = judge(&evidence, &guardrails, &segments, installed_in.0.as_str());
    if !kinds.is_empty() {
        report.findings.retain(|finding| kinds.contains(&finding.kind));
    }
    tell(&report, output)?;
    Ok(if report.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND)
    })
}

async fn live(
    kubeconfig: Option<PathBuf>,
    files: &[PathBuf],
    installed_in: &NamespaceArgument,
) -> anyhow::Result<(Evidence, Guardrails)> {
    let client = Client::try_from(grant::config(kubeconfig).await?)?;
    let configured = if files.is_empty() {
        grant::guardrails(&client, &installed_in.0).await.with_context(|| {
            format!(
                "cannot read the guardrails from ConfigMap {} in {}; give them with --guardrails FILE",
                names::GUARDRAILS,
                installed_in.0
            )
        })?
    } else {
        let sources: Vec<Source> = files
            .iter()
            .map(|file| super::manifests::source(file))
            .collect::<Result<_, _>>()?;
        compile(&sources)?.guardrails
    };
    let mut evidence = cluster::read(&client).await?;
    // Guardrails without segments may do: policies have those of their own.
    match cluster::opted_in(&client).await {
        Ok(opted_in) => {
            let derived: Vec<&Derived> = opted_in.iter().filter_map(OptedIn::derived).collect();
            evidence.beyond = beyond(derived.iter().copied());
            Ok((evidence, configured.with_derived(derived)))
        }
        Err(error) => {
            let note = format!("segments that are derived from policies are not judged: {error}");
            evidence.notes.push(note);
            Ok((evidence, configured))
        }
    }
}

fn offline(paths: &[PathBuf]) -> anyhow::Result<(Evidence, Guardrails)> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(folder::read(path)?);
    }
    let World {
        snapshot, manifests, ..
    } = World::parse(&files)?;
    let evidence = Evidence::of(&manifests);
    let guardrails = std::sync::Arc::into_inner(snapshot.guardrails);
    Ok((evidence, guardrails.context("the guardrails are held twice")?))
}

/// Refuses names of segments that there are none of: a misspelt one would be found clean.
fn known(asked: &[String], guardrails: &Guardrails) -> anyhow::Result<()> {
    let names: Vec<&str> = guardrails
        .segments
        .iter()
        .map(|segment| segment.name.as_str())
        .collect();
    if names.is_empty() {
        bail!("the guardrails have no segment; give those that have with --guardrails FILE");
    }
    match asked.iter().find(|name| !names.contains(&name.as_str())) {
        Some(name) => bail!("there is no segment {name}; there are: {}", names.join(", ")),
        None => Ok(()),
    }
}

fn tell(report: &Report<'_>, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match output {
        Output::Text => out.write_all(report.text().as_bytes())?,
        Output::Json => {
            for record in report.records() {
                serde_json::to_writer(&mut out, &record)?;
                out.write_all(b"\n")?;
            }
            eprint!("{}", report.summary());
        }
        Output::Mermaid => {
            out.write_all(report.mermaid().as_bytes())?;
            eprint!("{}", report.summary());
        }
    }
    out.flush()?;
    Ok(())
}
