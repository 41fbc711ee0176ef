//! `ringfence diff`: what a change of policies and workloads opens and closes. Exit code as of diff: 0 where nothing opens,
//! 1 where something does, 2 where it cannot be told.

use std::convert::Infallible;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ringfence_core::guardrails::Guardrails;
use ringfence_core::netpol::{Changes, ReachOptions, Within};

use super::reach::{ReadingArguments, client, ended, warn};
use crate::reach::told::changes::{Altered, OneSided, write_json};
use crate::reach::{Inventory, live, load};

/// Arguments of `ringfence diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringfence diff base/manifests manifests
  ringfence diff base/manifests manifests --output markdown > comment.md
  ringfence diff cluster manifests/shop --apply
  kubectl kustomize overlays/production | ringfence diff cluster - --apply
  ringfence diff cluster:staging cluster:production

Exit code: 0 where nothing opens, 1 where something opens, 2 where manifests are refused or cannot be read.")]
pub(super) struct Arguments {
    /// What stood before: a file or folder of manifests, `-` for stdin, `cluster` for the live cluster, `cluster:CONTEXT`.
    #[arg(value_name = "OLD")]
    old: Side,
    /// What is to stand, likewise.
    #[arg(value_name = "NEW")]
    new: Side,
    /// NEW is applied over OLD: what it does not name stays as it is. Otherwise it is gone.
    #[arg(long)]
    apply: bool,
    /// Leave out what comes and goes with workloads that only one side has.
    #[arg(long)]
    existing: bool,
    /// The kubeconfig; by default what kubectl takes.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// How to tell it.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Also compare what passes among the pods of one workload.
    #[arg(long)]
    within: bool,
}

/// Where one side comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Side {
    /// Manifests.
    Manifests(PathBuf),
    /// The live cluster, of this context.
    Cluster(Option<String>),
}

impl FromStr for Side {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once(':') {
            None if text == "cluster" => Self::Cluster(None),
            Some(("cluster", context)) if !context.is_empty() => Self::Cluster(Some(context.to_owned())),
            _ => Self::Manifests(text.into()),
        })
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: what is alike is folded.
    #[default]
    Text,
    /// JSON lines: one object for a pair of ends and a protocol.
    Json,
    /// Markdown with a Mermaid flowchart, for a comment on a pull request.
    Markdown,
    /// A Mermaid flowchart.
    Mermaid,
    /// An SVG.
    Svg,
}

/// What opens gives this, as what differs does of diff.
const OPENS: u8 = 1;

/// Prints what opens and closes.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    ended(diff(arguments).map(|opens| {
        if opens {
            ExitCode::from(OPENS)
        } else {
            ExitCode::SUCCESS
        }
    }))
}

fn diff(arguments: &Arguments) -> anyhow::Result<bool> {
    let stdin = Side::Manifests(PathBuf::from("-"));
    if arguments.old == stdin && arguments.new == stdin {
        bail!("stdin can be one side only: write the other to a file");
    }
    let guardrails = arguments.reading.guardrails()?;
    let mut old = arguments.inventory(&arguments.old, &guardrails)?;
    let mut new = arguments.inventory(&arguments.new, &guardrails)?;
    let mut warnings = std::mem::take(&mut old.warnings);
    warnings.append(&mut new.warnings);
    if arguments.apply {
        new = old.clone().with_applied(new);
    }
    let (old, new) = (old.compile()?, new.compile()?);
    warnings.extend(old.warnings.iter().chain(&new.warnings).cloned());
    warnings.sort();
    warnings.dedup();
    warn(&warnings);
    let options = ReachOptions {
        ipblock_pods: arguments.reading.ipblock_pods,
        within: if arguments.within {
            Within::Answered
        } else {
            Within::LeftOut
        },
        ..ReachOptions::default()
    };
    let changes = Changes::between(&old.world, &new.world, &options);
    let one_sided = if arguments.existing {
        OneSided::LeftOut
    } else {
        OneSided::Told
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let opens = if arguments.output == Output::Json {
        write_json(&changes, one_sided, &mut out)?
    } else {
        let altered = Altered::of(&changes, one_sided);
        let text = match arguments.output {
            Output::Text | Output::Json => altered.text(),
            Output::Markdown => altered.markdown(),
            Output::Mermaid => altered.mermaid()?,
            Output::Svg => altered.svg()?,
        };
        out.write_all(text.as_bytes())?;
        altered.opens()
    };
    out.flush()?;
    Ok(opens)
}

impl Arguments {
    fn inventory(&self, side: &Side, guardrails: &Guardrails) -> anyhow::Result<Inventory> {
        let reading = self.reading.reading(guardrails);
        match side {
            Side::Manifests(path) => manifests(path, &reading),
            Side::Cluster(context) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let client = client(self.kubeconfig.as_deref(), context.as_deref())
                        .await
                        .context("there is no cluster to ask; name manifests to read those")?;
                    Ok(live::list(&client, &reading, &guardrails.workloads).await?)
                })
            }
        }
    }
}

/// A folder without manifests is nothing at all: what is compared with it is all new, or all gone.
fn manifests(path: &Path, reading: &crate::reach::Reading) -> anyhow::Result<Inventory> {
    match load::load(&[path.to_owned()], reading, io::stdin()) {
        Ok(inventory) => Ok(inventory),
        Err(load::NotLoaded::Empty(_)) => Ok(Inventory::default()),
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("cluster", Side::Cluster(None))]
    #[case("cluster:staging", Side::Cluster(Some("staging".to_owned())))]
    #[case("cluster:arn:aws:eks:x", Side::Cluster(Some("arn:aws:eks:x".to_owned())))]
    #[case("./cluster", Side::Manifests("./cluster".into()))]
    #[case("clusters", Side::Manifests("clusters".into()))]
    #[case("-", Side::Manifests("-".into()))]
    fn a_side_is_manifests_or_a_cluster(#[case] text: &str, #[case] expected: Side) {
        assert_eq!(text.parse(), Ok(expected));
    }
}
