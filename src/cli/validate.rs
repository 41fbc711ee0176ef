//! `ringfence validate FILE...`: whether files hold guardrails that can come into force. What is wrong is told as the
//! webhook and status tell it; what is right, as a short summary of what would be in force, with what the policies among the
//! files, or of a cluster, come to that opted in to protection.

mod live;
mod policies;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use ringfence_core::guardrails::{
    Compiled, ConfigMap, EnforcedNamespaces, ExistingNamespaces, FileContents, Guardrails, Isolation, Profile, Segment,
    Source, compile,
};
use ringfence_core::model::{Mode, NamespaceName, Scope};

use self::live::Live;
use self::policies::Policies;
use super::grant::NamespaceArgument;
use crate::answer::offline::folder::{self, File};
use crate::answer::offline::{Manifests, opted_in};
use crate::manifests::names;

/// How many segments the summary names, and how many policies.
const SHOWN: usize = 20;

/// The kinds that are read beside guardrails: what opted in to protection, and who may use it.
const READ: [&str; 5] = [
    "NetworkPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
];

/// Arguments of `ringfence validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringfence validate guardrails.yaml
  ringfence validate guardrails.yaml policies/ rbac/
  ringfence validate --cluster
  ringfence validate --cluster guardrails.yaml")]
pub(super) struct Arguments {
    /// Files with guardrails, ConfigMaps with guardrails in their *.yaml keys, folders of them, or `-` for stdin. All
    /// together are one configuration. Of NetworkPolicies among them it is said what they come to that opted in to
    /// protection, and by roles and bindings who may use it. In folders, files of other kinds are passed over.
    #[arg(value_name = "FILE", required_unless_present = "cluster")]
    files: Vec<PathBuf>,
    /// Say what the NetworkPolicies of a cluster come to that opted in to protection, under its guardrails, or under those
    /// of the files.
    #[arg(long)]
    cluster: bool,
    /// The cluster to ask; default as for kubectl.
    #[arg(long, value_name = "FILE", requires = "cluster")]
    kubeconfig: Option<PathBuf>,
    /// The namespace that ringfence is installed in.
    #[arg(long, value_name = "NAMESPACE", default_value = names::NAMESPACE)]
    installed_in: NamespaceArgument,
}

/// Prints the summary to stdout, or what is wrong to stderr and gives exit code 1.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    validate(arguments, std::io::stdin(), std::io::stdout(), std::io::stderr())
}

fn validate(
    arguments: &Arguments,
    stdin: impl Read,
    mut out: impl Write,
    mut errors: impl Write,
) -> anyhow::Result<ExitCode> {
    let Arguments {
        files,
        cluster,
        kubeconfig,
        installed_in,
    } = arguments;
    let mut found = Found::default();
    let any = found.read(files, stdin)?;
    if !any && !cluster {
        let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        bail!(
            "no guardrails in {}: name a file or a ConfigMap that holds some, or --cluster for the cluster's",
            paths.join(", ")
        );
    }
    let live = if *cluster {
        let guardrails = if any {
            live::Guardrails::Given
        } else {
            live::Guardrails::TheClusters
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(live::read(kubeconfig.clone(), &installed_in.0, guardrails))?
    } else {
        Live::default()
    };
    let Found {
        mut sources,
        others,
        passed_over,
        mut notices,
    } = found;
    let Live {
        sources: theirs,
        mut policies,
        notices: unread,
    } = live;
    sources.extend(theirs);
    notices.extend(unread);
    match compile(&sources) {
        Ok(compiled) => {
            match opted_in(&others) {
                Ok(given) => policies.opted_in.extend(given),
                Err(problems) => {
                    writeln!(errors, "{problems}")?;
                    return Ok(ExitCode::FAILURE);
                }
            }
            if policies.rbac.is_none() && !policies.opted_in.is_empty() {
                notices.extend(add_rbac(&mut policies, &others, &compiled.guardrails));
            }
            write!(out, "{}", summary(&compiled))?;
            for line in policies.lines(&compiled.guardrails) {
                writeln!(out, "{line}")?;
            }
            for notice in compiled.notices.iter().map(ToString::to_string).chain(notices) {
                writeln!(out, "{notice}")?;
            }
            for file in passed_over {
                writeln!(out, "passed over: {file}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            writeln!(errors, "{problems}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What files hold.
#[derive(Debug, Default)]
struct Found {
    sources: Vec<Source>,
    /// Files with kinds that are read beside guardrails.
    others: Vec<File>,
    /// Files of other kinds in folders, each with its kinds.
    passed_over: Vec<String>,
    notices: Vec<String>,
}

/// Adds who may do what by the roles and bindings among files; a notice where they are not all right.
fn add_rbac(policies: &mut Policies, files: &[File], guardrails: &Guardrails) -> Option<String> {
    match Manifests::parse(files, &guardrails.workloads) {
        Ok(manifests) => {
            let any = manifests.rbac.bindings().next().is_some();
            policies.rbac = any.then_some(manifests.rbac);
            None
        }
        Err(problems) => {
            let first = problems.0.first().map(ToString::to_string).unwrap_or_default();
            Some(format!("notice: who may use what is derived is not told: {first}"))
        }
    }
}

/// How a file came to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// By its own name: it has to hold guardrails.
    Itself,
    /// By its folder: other files may lie there.
    ByFolder,
}

impl Found {
    /// Reads all; whether any of them held guardrails.
    fn read(&mut self, paths: &[PathBuf], mut stdin: impl Read) -> anyhow::Result<bool> {
        let mut any = false;
        for path in paths {
            let (files, named) = if path == Path::new("-") {
                let mut text = String::new();
                stdin.read_to_string(&mut text).context("cannot read stdin")?;
                let name = "<stdin>".to_owned();
                (vec![File { name, text }], Named::Itself)
            } else {
                let named = if path.is_dir() { Named::ByFolder } else { Named::Itself };
                (folder::read(path)?, named)
            };
            for file in files {
                any |= self.add(&file, named)?;
            }
        }
        Ok(any)
    }

    /// Adds what a file holds; whether it held guardrails.
    fn add(&mut self, file: &File, named: Named) -> anyhow::Result<bool> {
        match FileContents::of(&file.name, &file.text) {
            FileContents::Guardrails(source) => {
                self.sources.push(source);
                Ok(true)
            }
            FileContents::ConfigMaps(maps) => {
                let ours = |map: &ConfigMap| named == Named::Itself || map.name == names::GUARDRAILS;
                let maps: Vec<ConfigMap> = maps.into_iter().filter(ours).collect();
                if maps.is_empty() {
                    self.passed_over.push(format!("{} (ConfigMap)", file.name));
                }
                let any = !maps.is_empty();
                for map in maps {
                    self.add_config_map(file, map);
                }
                Ok(any)
            }
            FileContents::Others(kinds) if kinds.is_empty() && named == Named::Itself => {
                // An empty file is an empty configuration.
                Ok(true)
            }
            FileContents::Others(kinds) => {
                let (read, other): (Vec<String>, Vec<String>) =
                    kinds.into_iter().partition(|kind| READ.contains(&kind.as_str()));
                if read.is_empty() && named == Named::Itself {
                    bail!("{} holds no guardrails, but {}", file.name, listed(&other))
                }
                if !read.is_empty() {
                    self.others.push(file.clone());
                }
                if !other.is_empty() {
                    self.passed_over.push(format!("{} ({})", file.name, listed(&other)));
                }
                Ok(false)
            }
        }
    }

    fn add_config_map(&mut self, file: &File, map: ConfigMap) {
        let ConfigMap { sources, ignored, .. } = map;
        self.sources.extend(sources);
        for key in ignored {
            let name = &file.name;
            self.notices.push(format!(
                "notice: key {key:?} of {name} is not read: only keys that end in .yaml are"
            ));
        }
    }
}

/// Kinds, each once.
fn listed(kinds: &[String]) -> String {
    let mut kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.join(", ")
}

/// What would be in force, in a few lines.
fn summary(compiled: &Compiled) -> String {
    let Guardrails {
        revision,
        mode,
        rollout,
        system_namespaces,
        segments,
        isolation,
        profiles,
        ..
    } = &compiled.guardrails;
    let mut lines = vec![format!("valid: {}, revision {revision}", counted(segments.len()))];
    lines.push(format!("mode: {mode}"));
    let cap = |(name, mode): (&NamespaceName, &Mode)| format!("{mode} in {name}");
    let caps: Vec<String> = rollout.namespaces.iter().map(cap).collect();
    let default = rollout.default.map(|mode| format!("{mode} elsewhere"));
    let caps: Vec<String> = caps.into_iter().chain(default).collect();
    if !caps.is_empty() {
        lines.push(format!("at most: {}", caps.join(", ")));
    }
    lines.push(format!(
        "can deny: {}",
        can_deny(&compiled.guardrails.enforced(), segments)
    ));
    lines.push(format!("system namespaces: {}", names_of(system_namespaces)));
    if let Some(isolation) = isolation {
        lines.push(isolates(isolation));
    }
    for profile in profiles.values() {
        lines.push(comes_to(profile));
    }
    for segment in segments.iter().take(SHOWN) {
        describe(segment, &mut lines);
    }
    if segments.len() > SHOWN {
        lines.push(format!("... and {} more", counted(segments.len() - SHOWN)));
    }
    lines.join("\n") + "\n"
}

fn counted(segments: usize) -> String {
    match segments {
        0 => "no segments".to_owned(),
        1 => "1 segment".to_owned(),
        count => format!("{count} segments"),
    }
}

fn names_of<'a>(names: impl IntoIterator<Item = &'a NamespaceName>) -> String {
    let names: Vec<&str> = names.into_iter().map(NamespaceName::as_str).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn can_deny(enforced: &EnforcedNamespaces, segments: &[Segment]) -> String {
    match enforced {
        EnforcedNamespaces::Only(names) if names.is_empty() && segments.is_empty() => {
            "nothing: there is no segment".to_owned()
        }
        EnforcedNamespaces::Only(names) if names.is_empty() => "nothing: nowhere does it come to Enforce".to_owned(),
        EnforcedNamespaces::Only(names) => format!("in {}", names_of(names)),
        EnforcedNamespaces::AllBut(names) if names.is_empty() => "in every namespace".to_owned(),
        EnforcedNamespaces::AllBut(names) => format!("in every namespace but {}", names_of(names)),
    }
}

fn isolates(isolation: &Isolation) -> String {
    let Isolation {
        mode,
        default_profile,
        existing,
    } = isolation;
    let before = match existing {
        ExistingNamespaces::Report => "those that are there already are reported",
        ExistingNamespaces::Isolate => "those that are there already too",
    };
    format!("isolation: {mode}, new namespaces under profile {default_profile}, {before}")
}

fn comes_to(profile: &Profile) -> String {
    let policies = profile.policies.iter().map(|policy| policy.name.clone());
    let manifests = profile.manifests.iter();
    let manifests = manifests.map(|manifest| format!("{} {}", manifest.kind, manifest.name));
    let names: Vec<String> = policies.chain(manifests).collect();
    let settle = profile
        .settle
        .map(|settle| format!(", which pods wait {} s for", settle.as_secs()))
        .unwrap_or_default();
    format!("profile {}: {}{settle}", profile.name, names.join(", "))
}

fn describe(segment: &Segment, lines: &mut Vec<String>) {
    let Segment {
        name, mode, consent, ..
    } = segment;
    let consent = match consent {
        Scope::Namespace(namespace) => format!("consent in {namespace}"),
        Scope::Cluster => "consent at the cluster".to_owned(),
    };
    lines.push(format!("segment {name}: {mode}, {consent}"));
    lines.extend(clauses(segment));
}

/// A line for each clause.
fn clauses(segment: &Segment) -> impl Iterator<Item = String> {
    let sides = [("members", &segment.members), ("clients", &segment.clients)];
    sides.into_iter().flat_map(|(side, clauses)| {
        let line = move |(position, clause)| format!("  {side}[{position}]: {clause}");
        clauses.iter().enumerate().map(line)
    })
}

#[cfg(test)]
mod tests;
