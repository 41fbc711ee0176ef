//! `ringfence manifests`: everything that ringfence is installed by, as files or on stdout; `ringfence manifests webhooks`:
//! the webhook configuration that it would serve for given guardrails.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use ringfence_core::guardrails::{Source, compile};

use crate::manifests::webhooks::{Address, Endpoint, webhook_configuration};
use crate::manifests::yaml::Documents;
use crate::manifests::{GENERATED, Installation, bundle, names, stream};

/// Arguments of `ringfence manifests`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    install: Install,
}

#[derive(Debug, Args)]
struct Install {
    /// Write one file each into this directory, as in deploy/. Without it, all goes to stdout, for kubectl apply -f -.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The namespace to install into.
    #[arg(long, default_value = names::NAMESPACE)]
    namespace: String,
    /// The container image.
    #[arg(long, default_value_t = Installation::default().image)]
    image: String,
    /// How many replicas.
    #[arg(long, default_value_t = Installation::default().replicas, value_parser = clap::value_parser!(i32).range(1..))]
    replicas: i32,
    /// Where the API server reaches the webhook (https://HOST[:PORT]) where it cannot reach the Service.
    #[arg(long, value_name = "BASE", value_parser = base_url)]
    url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the webhook configuration that ringfence would serve for these guardrails.
    Webhooks(WebhooksArguments),
}

#[derive(Debug, Args)]
struct WebhooksArguments {
    /// Guardrails to serve: YAML files, as they stand in the keys of the ConfigMap.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    guardrails: Vec<PathBuf>,
    /// The namespace that ringfence is installed in.
    #[arg(long, default_value = names::NAMESPACE)]
    namespace: String,
    /// Where the API server reaches the webhook (https://HOST[:PORT]) where it cannot reach the Service.
    #[arg(long, value_name = "BASE", value_parser = base_url)]
    url: Option<String>,
    /// The authority of the serving certificate, PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The unguessable first segment of the path. ringfence itself keeps one in Secret ringfence-serving.
    #[arg(long, value_name = "TOKEN", default_value = "UNGUESSABLE")]
    path: String,
}

/// Runs it.
pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { command, install } = arguments;
    match command {
        Some(Command::Webhooks(arguments)) => print_webhooks(arguments)?,
        None => write_bundle(install)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write_bundle(install: Install) -> anyhow::Result<()> {
    let Install {
        out,
        namespace,
        image,
        replicas,
        url,
    } = install;
    let installation = Installation {
        namespace,
        image,
        replicas,
        url,
    };
    let Some(directory) = out else {
        return Ok(std::io::stdout().write_all(stream(&installation)?.as_bytes())?);
    };
    for file in bundle(&installation)? {
        let path = directory.join(file.path);
        let parent = path.parent().unwrap_or(&directory);
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make directory {}", parent.display()))?;
        std::fs::write(&path, file.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn print_webhooks(arguments: WebhooksArguments) -> anyhow::Result<()> {
    let WebhooksArguments {
        guardrails,
        namespace,
        url,
        ca,
        path,
    } = arguments;
    let sources: Vec<Source> = guardrails
        .iter()
        .map(|file| source(file))
        .collect::<anyhow::Result<_>>()?;
    let compiled = compile(&sources)?;
    let endpoint = Endpoint {
        namespace,
        address: url.map_or(Address::Service, Address::Url),
        token: path,
        ca_bundle: ca.map(|file| read(&file)).transpose()?,
    };
    let mut file = Documents::new("the webhook configuration", GENERATED);
    file.push(&webhook_configuration(&compiled.guardrails, &endpoint))?;
    Ok(std::io::stdout().write_all(file.finish().as_bytes())?)
}

/// Guardrails from a file, named as it was given.
pub(super) fn source(file: &Path) -> anyhow::Result<Source> {
    Ok(Source {
        name: file.display().to_string(),
        text: read(file)?,
    })
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// A base URL that the API server accepts in a webhook configuration.
fn base_url(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("https://")
        .ok_or("the API server calls webhooks by https:// alone")?;
    if host.is_empty() || host.contains(['?', '#', '@']) {
        return Err("give https://HOST[:PORT], without user, query or fragment".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}
