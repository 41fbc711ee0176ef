//! `ringfence isolation status`: how it stands with the policies of namespaces, read from the cluster with one's own
//! kubeconfig. It works by the rules that the leader works by, whether or not any replica runs.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use kube::Client;
use ringfence_core::model::NamespaceName;

use super::grant::config;
use crate::isolate::{NamespaceStatus, Status, read_status};
use crate::manifests::names;

/// The exit code where a namespace lacks policies: another than that of an error.
const LACKING: u8 = 2;

/// Arguments of `ringfence isolation`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say for each namespace which isolation profile it has and whether its policies stand.
    #[command(after_help = "\
States:
  isolated     every policy of the profile stands as configured
  lacking      some do not; under Enforce pods are refused until they do
  opted out    the profile is the reserved `none`
  existing     it was there before isolation was enforced, and existingNamespaces is Report
  terminating  it is being deleted: what stands is left, nothing can be added
  system       one of systemNamespaces: never isolated
  off          isolation is not configured

Exit codes: 0 where no namespace under Enforce lacks policies, 2 where one does, 1 where that cannot be told.

Needs the right to get ConfigMaps in ringfence's namespace, and to list namespaces and NetworkPolicies; for one
namespace to get it and to list its NetworkPolicies.

Examples:
  ringfence isolation status
  ringfence isolation status shop --output json")]
    Status(StatusArguments),
}

#[derive(Debug, Args)]
struct StatusArguments {
    /// This namespace alone; all where none is given.
    #[arg(value_name = "NAMESPACE", value_parser = |text: &str| NamespaceName::new(text))]
    namespace: Option<NamespaceName>,
    /// How it is printed.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// The cluster to ask; default as for kubectl.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The namespace that ringfence is installed in.
    #[arg(long, value_name = "NAMESPACE", default_value = names::NAMESPACE, value_parser = |text: &str| NamespaceName::new(text))]
    installed_in: NamespaceName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A table.
    Text,
    /// One JSON document.
    Json,
}

/// Runs it.
pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Command::Status(StatusArguments {
        namespace,
        output,
        kubeconfig,
        installed_in,
    }) = arguments.command;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let status = runtime.block_on(async {
        let client = Client::try_from(config(kubeconfig).await?)?;
        anyhow::Ok(read_status(&client, &installed_in, namespace.as_ref()).await?)
    })?;
    let text = match output {
        Output::Text => table(&status),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&status)?),
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")?;
    let lacking = status.namespaces.iter().any(|namespace| namespace.fails);
    Ok(if lacking {
        ExitCode::from(LACKING)
    } else {
        ExitCode::SUCCESS
    })
}

/// A row a namespace, in columns, and what is to be said of all of them.
fn table(status: &Status) -> String {
    let mut rows = vec![["NAMESPACE", "STATE", "MODE", "PROFILE", "CHOSEN BY", "DETAILS"].map(str::to_owned)];
    rows.extend(status.namespaces.iter().map(row));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    for kind in &status.missing_kinds {
        text.push_str(&format!(
            "the cluster has no kind {kind}: its objects are left out until it has\n"
        ));
    }
    text
}

fn row(namespace: &NamespaceStatus) -> [String; 6] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let details = [
        ("missing", &namespace.missing),
        ("changed", &namespace.changed),
        ("left over", &namespace.leftover),
    ];
    let details = details
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {}", names.join(", ")));
    [
        namespace.namespace.clone(),
        namespace.state.to_owned(),
        or_dash(namespace.mode.map(|mode| mode.to_string())),
        or_dash(namespace.profile.clone()),
        or_dash(namespace.chosen.map(str::to_owned)),
        details.collect::<Vec<_>>().join("; "),
    ]
}

#[cfg(test)]
mod tests {
    use ringfence_core::model::Mode;

    use super::*;

    #[test]
    fn the_table_says_what_is_missing_and_what_was_changed() {
        let namespace = |name: &str, state, missing: &[&str]| NamespaceStatus {
            namespace: name.to_owned(),
            state,
            mode: (!missing.is_empty()).then_some(Mode::Enforce),
            profile: (!missing.is_empty()).then(|| "restricted".to_owned()),
            chosen: (!missing.is_empty()).then_some("default"),
            missing: missing.iter().map(ToString::to_string).collect(),
            changed: if missing.is_empty() {
                Vec::new()
            } else {
                vec!["ringfence-allow-dns".to_owned()]
            },
            leftover: Vec::new(),
            fails: !missing.is_empty(),
        };
        let status = Status {
            revision: "1".to_owned(),
            missing_kinds: vec!["CiliumNetworkPolicy (cilium.io/v2)".to_owned()],
            namespaces: vec![
                namespace("kube-system", "system", &[]),
                namespace("shop", "lacking", &["ringfence-a", "ringfence-b"]),
            ],
        };
        insta::assert_snapshot!(table(&status), @r"
        NAMESPACE    STATE    MODE     PROFILE     CHOSEN BY  DETAILS
        kube-system  system   -        -           -
        shop         lacking  Enforce  restricted  default    missing: ringfence-a, ringfence-b; changed: ringfence-allow-dns
        the cluster has no kind CiliumNetworkPolicy (cilium.io/v2): its objects are left out until it has
        ");
    }
}
