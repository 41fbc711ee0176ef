//! `ringfence reach`: who reaches whom, from manifests or the live cluster. Exit code 2 where it cannot be told.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use ringfence_core::guardrails::{Guardrails, Source, compile};
use ringfence_core::netpol::{AddressSet, End, Ends, Filter, Reach, ReachOptions, Unrestricted, Within};

use crate::reach::asked::{AskedEnd, AskedPort};
use crate::reach::told::explain::{Explainer, MOST_PAIRS};
use crate::reach::told::fold::{Line, fold, unrestricted};
use crate::reach::told::names::Names;
use crate::reach::told::picture::{Everybody, Picture};
use crate::reach::told::policies::PolicyNames;
use crate::reach::told::{json, mermaid, svg, table};
use crate::reach::{Addresses, Compiled, Reading, WorkloadKinds, live, load};

/// Arguments of `ringfence reach`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringfence reach policies/three-tiers
  ringfence reach manifests/ --to payments/ --port 5432
  ringfence reach manifests/ --from shop/web --to payments/db --explain
  ringfence reach --output json > reach.jsonl
  kubectl kustomize overlays/production | ringfence reach - --output svg > reach.svg

Exit code: 0; 2 where manifests are refused or cannot be read.")]
pub(super) struct Arguments {
    /// Manifests: files, folders, or `-` for stdin. None: the live cluster.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    reading: ReadingArguments,
    /// How to tell it.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Only from there: NAMESPACE/NAME, NAMESPACE/KIND/NAME, NAMESPACE/, an address, a CIDR, or `outside`.
    #[arg(long, value_name = "END")]
    from: Option<AskedEnd>,
    /// Only to there, likewise.
    #[arg(long, value_name = "END")]
    to: Option<AskedEnd>,
    /// Only on this port: 80 (which is TCP), UDP/53.
    #[arg(long, value_name = "PORT")]
    port: Option<AskedPort>,
    /// Say which rule allows it, or which isolation denies it, at each end.
    #[arg(long, requires = "from", requires = "to")]
    explain: bool,
    /// Also tell what passes among the pods of one workload.
    #[arg(long)]
    within: bool,
}

/// Which cluster, where it is the live one.
#[derive(Debug, Args)]
struct Cluster {
    /// The kubeconfig; by default what kubectl takes.
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    kubeconfig: Option<PathBuf>,
    /// The context in it.
    #[arg(long, value_name = "NAME", conflicts_with = "paths")]
    context: Option<String>,
}

/// How manifests are read; the same for `ringfence diff`.
#[derive(Debug, Args)]
pub(super) struct ReadingArguments {
    /// The namespace of objects that name none.
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// Guardrails whose custom kinds make pods, too.
    #[arg(long, value_name = "FILE")]
    guardrails: Vec<PathBuf>,
    /// Let ipBlocks match the addresses of pods, as some network plugins do.
    #[arg(long)]
    pub(super) ipblock_pods: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: what is alike is folded.
    #[default]
    Text,
    /// JSON lines: one object a connection.
    Json,
    /// A Mermaid flowchart, for Markdown.
    Mermaid,
    /// An SVG.
    Svg,
}

/// What cannot be told gives this, as it does of diff.
pub(super) const TROUBLE: u8 = 2;

/// Prints who reaches whom.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    ended(reach(arguments).map(|()| ExitCode::SUCCESS))
}

/// The exit code of what was tried; trouble is told on stderr. Whoever closes our output has seen enough.
pub(super) fn ended(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        let closed = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if closed {
            return ExitCode::SUCCESS;
        }
        eprintln!("ringfence: {error:#}");
        ExitCode::from(TROUBLE)
    })
}

/// Says what should be known, one a line.
pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("ringfence: warning: {warning}");
    }
}

fn reach(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        paths,
        cluster,
        reading,
        output,
        from,
        to,
        port,
        explain,
        within,
    } = arguments;
    let guardrails = reading.guardrails()?;
    let inventory = if paths.is_empty() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = cluster
                .client()
                .await
                .context("there is no cluster to ask; name manifests to read those")?;
            live::list(&client, &reading.reading(&guardrails), &guardrails.workloads)
                .await
                .map_err(anyhow::Error::from)
        })?
    } else {
        load::load(&paths, &reading.reading(&guardrails), io::stdin())?
    };
    let compiled = inventory.compile()?;
    warn(&compiled.warnings);
    let folds = output != Output::Json && !explain;
    let options = ReachOptions {
        ipblock_pods: reading.ipblock_pods,
        within: if within { Within::Answered } else { Within::LeftOut },
        unrestricted: if folds {
            Unrestricted::LeftOut
        } else {
            Unrestricted::Answered
        },
    };
    let reach = Reach::new(&compiled.world, &options);
    let names = Names::new(reach.endpoints(), reach.ids().collect());
    if names.endpoints().is_empty() {
        warn(&["no workload found: only pods and what makes them can reach or be reached".to_owned()]);
    }
    let ends = |asked: Option<&AskedEnd>| asked.map(|asked| asked.ends(&names)).transpose();
    let filter = Filter {
        from: ends(from.as_ref())?,
        to: ends(to.as_ref())?,
        port: port.map(|AskedPort(protocol, number)| (protocol, number)),
    };
    let policies = PolicyNames::new(&compiled.world.policies);
    let mut out = BufWriter::new(io::stdout().lock());
    let told = Told {
        reach: &reach,
        compiled: &compiled,
        names: &names,
        policies: &policies,
        filter: &filter,
    };
    match output {
        _ if explain => told.explained(output, &mut out)?,
        Output::Json => json::write(reach.connections(&filter), &names, &policies, &mut out)?,
        Output::Text => out.write_all(told.text().as_bytes())?,
        Output::Mermaid => out.write_all(mermaid::mermaid(&told.picture()?).as_bytes())?,
        Output::Svg => out.write_all(svg::svg(&told.picture()?).as_bytes())?,
    }
    out.flush()?;
    Ok(())
}

/// Everything that is told of.
struct Told<'r> {
    reach: &'r Reach<'r>,
    compiled: &'r Compiled,
    names: &'r Names<'r>,
    policies: &'r PolicyNames,
    filter: &'r Filter,
}

impl Told<'_> {
    fn is_narrowed(&self) -> bool {
        *self.filter != Filter::default()
    }

    fn lines(&self) -> Vec<Line> {
        fold(
            self.reach.connections(self.filter),
            unrestricted(self.names, self.filter),
        )
    }

    fn text(&self) -> String {
        let lines = self.lines();
        let mut text = table::table(&lines, self.names, self.policies);
        if !self.is_narrowed() {
            text += &table::silent(&lines, self.names);
        } else if lines.is_empty() {
            text += "nothing\n";
        }
        text
    }

    fn picture(&self) -> anyhow::Result<Picture> {
        let everybody = if self.is_narrowed() {
            Everybody::LeftOut
        } else {
            Everybody::Drawn
        };
        Ok(Picture::of(&self.lines(), self.names, everybody)?)
    }

    fn explained(&self, output: Output, out: &mut impl Write) -> anyhow::Result<()> {
        let ends = |ends: &Option<Ends>| {
            let ends = ends.clone().unwrap_or_default();
            let addresses: AddressSet = ends.addresses;
            let workloads = ends.endpoints.into_iter().map(End::Workload);
            workloads
                .chain(addresses.cidrs().map(End::Outside))
                .collect::<Vec<End>>()
        };
        let (sources, destinations) = (ends(&self.filter.from), ends(&self.filter.to));
        if sources.len() * destinations.len() > MOST_PAIRS {
            bail!(
                "{} pairs are more than can be explained at once; narrow --from and --to",
                sources.len() * destinations.len()
            );
        }
        let explainer = Explainer {
            reach: self.reach,
            compiled: self.compiled,
            names: self.names,
            policies: self.policies,
        };
        for source in &sources {
            for destination in &destinations {
                let outside = |end: &End| matches!(end, End::Outside(_));
                if source == destination && sources.len() * destinations.len() > 1
                    || outside(source) && outside(destination)
                {
                    continue;
                }
                let explained = explainer.explain(*source, *destination, self.filter);
                match output {
                    Output::Json => explainer.json(&explained, out)?,
                    Output::Text => out.write_all(explainer.text(&explained).as_bytes())?,
                    Output::Mermaid | Output::Svg => bail!("--explain is told as text or json"),
                }
            }
        }
        Ok(())
    }
}

impl ReadingArguments {
    /// The guardrails; the defaults where none are given.
    pub(super) fn guardrails(&self) -> anyhow::Result<Guardrails> {
        let sources: Vec<Source> = self
            .guardrails
            .iter()
            .map(|file| super::manifests::source(file))
            .collect::<Result<_, _>>()?;
        Ok(compile(&sources)?.guardrails)
    }

    /// How objects are to be read.
    pub(super) fn reading(&self, guardrails: &Guardrails) -> Reading {
        Reading {
            kinds: WorkloadKinds::new(&guardrails.workloads),
            namespace: self.namespace.clone(),
            addresses: if self.ipblock_pods {
                Addresses::TellPodsApart
            } else {
                Addresses::TellNothing
            },
        }
    }
}

impl Cluster {
    async fn client(&self) -> anyhow::Result<Client> {
        client(self.kubeconfig.as_deref(), self.context.as_deref()).await
    }
}

/// A client for the cluster of this kubeconfig and context; of what kubectl takes where they are not said.
pub(super) async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<Client> {
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = match kubeconfig {
        Some(file) => {
            let read = Kubeconfig::read_from(file).with_context(|| format!("cannot read {}", file.display()))?;
            kube::Config::from_custom_kubeconfig(read, &options).await?
        }
        None if context.is_some() => kube::Config::from_kubeconfig(&options).await?,
        None => kube::Config::infer().await?,
    };
    Ok(Client::try_from(config)?)
}
