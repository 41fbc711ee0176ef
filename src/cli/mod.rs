//! The command line: one file a subcommand; the only place that prints.

mod audit;
pub mod demo;
mod diff;
mod grant;
mod isolation;
pub mod local;
mod manifests;
mod reach;
mod schema;
mod serve;
mod standalone;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes network segmentation hold: asks RBAC whether whoever creates, relabels or re-images a workload may put it where
/// NetworkPolicies let it in.
#[derive(Debug, Parser)]
#[command(name = "ringfence", version, propagate_version = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what ringfence refuses and what it lets pass: the real webhook on loopback, no cluster needed.
    Demo(demo::Arguments),
    /// Serve the webhook: follow the cluster, decide reviews, record decisions.
    Serve(serve::Arguments),
    /// Say who reaches whom, from manifests or the live cluster.
    Reach(reach::Arguments),
    /// Say what a change of manifests opens and closes: two folders, files, or the live cluster.
    Diff(diff::Arguments),
    /// Print the JSON Schema of a kind of configuration, or of the records.
    Schema(schema::Arguments),
    /// Say what is wrong with guardrails, or what they would come to.
    Validate(validate::Arguments),
    /// Print the binding that lets somebody use a segment, own one, or configure ringfence.
    Grant(grant::Arguments),
    /// Say what RBAC would let happen on a cluster, or by manifests.
    Audit(audit::Arguments),
    /// Say which namespaces are isolated, and which lack policies.
    Isolation(isolation::Arguments),
    /// Print what ringfence is installed by: RBAC, CRDs, Deployment, self-protection.
    Manifests(manifests::Arguments),
}

/// Runs one command. What goes wrong is said on stderr, with its causes, and gives exit code 1.
pub fn run(arguments: Arguments) -> ExitCode {
    let Arguments { command } = arguments;
    let outcome: anyhow::Result<ExitCode> = match command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Reach(arguments) => Ok(reach::run(arguments)),
        Command::Diff(arguments) => Ok(diff::run(&arguments)),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Grant(arguments) => grant::run(arguments),
        Command::Audit(arguments) => Ok(audit::run(arguments)),
        Command::Isolation(arguments) => isolation::run(arguments),
        Command::Manifests(arguments) => manifests::run(arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("ringfence: {error:#}");
        ExitCode::FAILURE
    })
}
