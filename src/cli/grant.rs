//! `ringfence grant`: prints the binding that settles a denial, or makes somebody the owner of a segment. It writes
//! nothing: what it prints is for `kubectl apply -f -`, by somebody whom RBAC lets.

mod borrowers;
mod target;

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use ringfence_core::guardrails::documents::Consent as Consented;
use ringfence_core::guardrails::{Guardrails, Source, compile};
use ringfence_core::model::{NamespaceName, Scope, SegmentName, Verb};
use ringfence_core::review::{Extent, Shape, WRITE_PATHS};

use self::target::{Target, Word};
use crate::manifests::grants::{self, Subject};
use crate::manifests::names;
use crate::manifests::published::{PublishedSegment, segment_resource};
use crate::manifests::roles::{POLICY_VERBS, SEGMENT_VERBS};

/// Arguments of `ringfence grant`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringfence grant connect segments/payments-db --user mallory | kubectl apply -f -
  ringfence grant join segments/payments-db --serviceaccount ci:deployer | kubectl apply -f -
  ringfence grant own segments/payments-db --group team-payments | kubectl apply -f -
  ringfence grant cross segments/payments-db --cluster --group platform | kubectl apply -f -
  ringfence grant connect networkpolicies/db -n payments --user mallory | kubectl apply -f -
  ringfence grant waive policychecks/HostAccess --cluster --group platform | kubectl apply -f -
  ringfence grant use isolationprofiles/none --cluster --group platform | kubectl apply -f -
  ringfence grant manage ciliumnetworkpolicies.cilium.io -n web --group team-web | kubectl apply -f -
  ringfence grant configure guardrails/default --user olga | kubectl apply -f -")]
pub(super) struct Arguments {
    /// What they may do: join, connect, enter or manage a segment; own one, which is to give these to others; cross what it
    /// is isolated from; join, connect or protect a NetworkPolicy that opted in to protection; waive a check; use or manage
    /// an isolation profile; manage policies that ringfence does not read; configure ringfence.
    #[arg(value_name = "VERB")]
    verb: Word,
    /// On what: segments/NAME, networkpolicies/NAME, policychecks/NAME, isolationprofiles/NAME, guardrails/default, or a kind
    /// of policy with its group, e.g. ciliumnetworkpolicies.cilium.io, with or without /NAME.
    #[arg(value_name = "RESOURCE/NAME")]
    target: Target,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    consent: Consent,
    /// The namespace that ringfence is installed in.
    #[arg(long, value_name = "NAMESPACE", default_value = names::NAMESPACE)]
    installed_in: NamespaceArgument,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Subjects {
    /// A user, by the name that the API server sees.
    #[arg(long = "user", value_name = "USER", value_parser = Subject::user)]
    users: Vec<Subject>,
    /// A group.
    #[arg(long = "group", value_name = "GROUP", value_parser = Subject::group)]
    groups: Vec<Subject>,
    /// A service account.
    #[arg(long = "serviceaccount", value_name = "NAMESPACE:NAME", value_parser = Subject::service_account)]
    service_accounts: Vec<Subject>,
}

/// Where the segment's owner consents. Asked of the cluster where none is given.
#[derive(Debug, Args)]
struct Consent {
    /// Read where the owner consents from these guardrails instead of the cluster.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["namespace", "cluster", "kubeconfig"])]
    guardrails: Vec<PathBuf>,
    /// The owner consents in this namespace: ask nobody.
    #[arg(long, short, value_name = "NAMESPACE", conflicts_with_all = ["cluster", "kubeconfig"])]
    namespace: Option<NamespaceArgument>,
    /// Grant at the cluster: ask nobody. Needed for segments whose consent is the cluster, for `manage`, which lets one
    /// create a consent namespace that does not exist yet, and to `protect` by a NetworkPolicy that reaches beyond its own.
    #[arg(long, conflicts_with = "kubeconfig")]
    cluster: bool,
    /// The cluster to ask; default as for kubectl.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// The name of a namespace.
#[derive(Debug, Clone)]
pub(super) struct NamespaceArgument(pub(super) NamespaceName);

impl FromStr for NamespaceArgument {
    type Err = ringfence_core::model::InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NamespaceName::new(text).map(Self)
    }
}

impl fmt::Display for NamespaceArgument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Runs it.
pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        verb,
        target,
        subjects,
        consent,
        installed_in,
    } = arguments;
    let Subjects {
        users,
        groups,
        service_accounts,
    } = subjects;
    let asks_cluster = consent.asks_cluster().then(|| consent.kubeconfig.clone());
    let subjects = [users, groups, service_accounts].concat();
    let text = match (verb, target) {
        (Word::Verb(Verb::Configure), Target::Guardrails) => grants::configuration(&installed_in.0, &subjects)?,
        (Word::Verb(Verb::Waive), Target::Check(check)) => grants::waiver(&check, &subjects)?,
        (Word::Verb(verb @ (Verb::Use | Verb::Manage)), Target::Profile(profile)) => {
            grants::on_profile(verb, &profile, &subjects)?
        }
        (Word::Verb(Verb::Cross), Target::Segment(segment)) => {
            if consent.namespace.is_some() {
                bail!("cross is asked at the cluster, whoever owns the segment: leave --namespace out");
            }
            grants::crossing(&segment, &subjects)?
        }
        (Word::Own, Target::Segment(segment)) => {
            let scope = consent.of(&segment, &installed_in.0)?;
            grants::ownership(&segment, &scope, &subjects)?
        }
        (Word::Verb(verb), Target::Segment(segment)) => {
            let Some((_, meaning)) = SEGMENT_VERBS.iter().find(|(known, _)| *known == verb) else {
                bail!(
                    "{verb} is not granted on segments: use protect on networkpolicies/NAME, waive on policychecks/NAME, use on \
                     isolationprofiles/NAME, configure on guardrails/default"
                );
            };
            let scope = consent.of(&segment, &installed_in.0)?;
            grants::on_segment(verb, meaning, &segment, &scope, &subjects)?
        }
        (Word::Verb(verb), Target::Policy(policy)) => {
            let Some((_, meaning)) = POLICY_VERBS.iter().find(|(known, _)| *known == verb) else {
                bail!("on a NetworkPolicy there are `join`, `connect` and `protect`")
            };
            let scope = consent.of_policy(&policy)?;
            grants::on_policy(verb, meaning, &policy, &scope, &subjects)?
        }
        (Word::Own, Target::Policy(_)) => bail!(
            "nobody owns a NetworkPolicy: who holds `join`, `connect` and `protect` on it and may write Roles in its \
             namespace may give them to others"
        ),
        (Word::Verb(Verb::Manage), Target::Unread(plural, group, name)) => {
            let scope = consent.said(&plural, &group)?;
            grants::on_unread_policies((&plural, &group), name.as_deref(), scope, &subjects)?
        }
        (_, Target::Unread(..)) => bail!("on a policy that ringfence does not read there is `manage` alone"),
        (_, Target::Check(_)) => bail!("on a check there is `waive` alone"),
        (_, Target::Profile(_)) => bail!("on an isolation profile there are `use` and `manage`"),
        (_, Target::Guardrails) => bail!("on guardrails/default there is `configure` alone"),
    };
    // Comments are lost on the way to kubectl; these are to be seen.
    for warning in subjects.iter().filter_map(Subject::warning) {
        eprintln!("{warning}");
    }
    if let Some(kubeconfig) = asks_cluster {
        tell_borrowers(kubeconfig.as_ref(), &subjects);
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Says on stderr who can become the service accounts on this cluster. What cannot be found out is said, too, and stops
/// nothing.
fn tell_borrowers(kubeconfig: Option<&PathBuf>, subjects: &[Subject]) {
    let accounts = subjects.iter().filter_map(|subject| match subject {
        Subject::ServiceAccount { namespace, name } => Some((namespace, name)),
        Subject::User(_) | Subject::Group(_) => None,
    });
    for (namespace, name) in accounts {
        let found = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Into::into)
            .and_then(|runtime| runtime.block_on(borrowed(kubeconfig.cloned(), namespace, name)));
        match found {
            Ok(lines) if lines.is_empty() => {
                eprintln!("On this cluster nobody but administrators can become {namespace}:{name}.");
            }
            Ok(lines) => {
                eprintln!("On this cluster these can become {namespace}:{name}, and would be granted it too:");
                for line in lines {
                    eprintln!("  {line}");
                }
            }
            Err(error) => eprintln!("Who can become {namespace}:{name} could not be found out: {error:#}"),
        }
    }
}

async fn borrowed(kubeconfig: Option<PathBuf>, namespace: &str, account: &str) -> anyhow::Result<Vec<String>> {
    let client = Client::try_from(config(kubeconfig).await?)?;
    borrowers::lines(&client, namespace, account).await.map_err(briefly)
}

/// The cluster to ask; default as for kubectl.
pub(super) async fn config(kubeconfig: Option<PathBuf>) -> anyhow::Result<Config> {
    match kubeconfig {
        Some(file) => {
            let read = Kubeconfig::read_from(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?)
        }
        None => Ok(Config::infer().await?),
    }
}

impl Consent {
    fn asks_cluster(&self) -> bool {
        self.guardrails.is_empty() && self.namespace.is_none() && !self.cluster
    }

    /// Where a policy stands, which nobody can be asked: many may have its name.
    fn of_policy(&self, policy: &str) -> anyhow::Result<Scope> {
        match (&self.namespace, self.cluster) {
            (Some(NamespaceArgument(namespace)), _) => Ok(Scope::Namespace(namespace.clone())),
            (None, true) => Ok(Scope::Cluster),
            (None, false) => {
                bail!(
                    "say in which namespace NetworkPolicy {policy} stands: -n NAMESPACE, or --cluster for all of this name"
                )
            }
        }
    }

    /// The place that is said: of what is no segment nobody else knows it.
    fn said(self, plural: &str, group: &str) -> anyhow::Result<Scope> {
        let of_the_cluster = WRITE_PATHS
            .iter()
            .any(|row| (row.resource, row.group, row.shape) == (plural, group, Shape::UnreadPolicy(Extent::Cluster)));
        match self.namespace {
            _ if self.cluster => Ok(Scope::Cluster),
            _ if of_the_cluster => bail!("{plural}.{group} are in no namespace: grant it with --cluster"),
            Some(NamespaceArgument(namespace)) => Ok(Scope::Namespace(namespace)),
            None => bail!("say where: --namespace NAMESPACE, or --cluster for every namespace"),
        }
    }

    fn of(self, segment: &SegmentName, installed_in: &NamespaceName) -> anyhow::Result<Scope> {
        let Self {
            guardrails,
            namespace,
            cluster,
            kubeconfig,
        } = self;
        if let Some(NamespaceArgument(namespace)) = namespace {
            return Ok(Scope::Namespace(namespace));
        }
        if cluster {
            return Ok(Scope::Cluster);
        }
        if !guardrails.is_empty() {
            let sources: Vec<Source> = guardrails
                .iter()
                .map(|file| super::manifests::source(file))
                .collect::<Result<_, _>>()?;
            return declared(&compile(&sources)?.guardrails, segment);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime
            .block_on(asked(kubeconfig, segment, installed_in))
            .with_context(|| {
                format!(
                    "cannot learn where the owner of segment {segment} consents; say it with --namespace NAMESPACE (or \
                 --cluster), or give the guardrails with --guardrails FILE"
                )
            })
    }
}

fn declared(guardrails: &Guardrails, segment: &SegmentName) -> anyhow::Result<Scope> {
    let segments = &guardrails.segments;
    if let Some(found) = segments.iter().find(|known| known.name == *segment) {
        return Ok(found.consent.clone());
    }
    let names: Vec<&str> = segments.iter().map(|known| known.name.as_str()).collect();
    bail!(
        "there is no segment {segment}; there are: {}",
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    )
}

/// Asks the cluster: the published segment, which many may read, else our ConfigMap, which few may.
async fn asked(
    kubeconfig: Option<PathBuf>,
    segment: &SegmentName,
    installed_in: &NamespaceName,
) -> anyhow::Result<Scope> {
    let client = Client::try_from(config(kubeconfig).await?)?;
    let published = match published(&client, segment).await {
        Ok(scope) => return Ok(scope),
        Err(error) => error,
    };
    configured(&client, segment, installed_in).await.map_err(|error| {
        anyhow::anyhow!(
            "the published segment: {published:#}; ConfigMap {} in {installed_in}: {error:#}",
            names::GUARDRAILS
        )
    })
}

async fn published(client: &Client, segment: &SegmentName) -> anyhow::Result<Scope> {
    let segments = Api::<PublishedSegment>::all_with(client.clone(), &segment_resource());
    let found = segments.get(segment.as_str()).await.map_err(briefly)?;
    match found.spec.consent {
        Some(Consented {
            namespace: Some(namespace),
            ..
        }) => Ok(Scope::Namespace(NamespaceName::new(&namespace)?)),
        Some(Consented {
            cluster: Some(true), ..
        }) => Ok(Scope::Cluster),
        _ => bail!("it does not say where its owner consents"),
    }
}

async fn configured(client: &Client, segment: &SegmentName, installed_in: &NamespaceName) -> anyhow::Result<Scope> {
    declared(&guardrails(client, installed_in).await?, segment)
}

/// The guardrails that our ConfigMap holds.
pub(super) async fn guardrails(client: &Client, installed_in: &NamespaceName) -> anyhow::Result<Guardrails> {
    Ok(compile(&sources(client, installed_in).await?)?.guardrails)
}

/// The text of the guardrails in our ConfigMap.
pub(super) async fn sources(client: &Client, installed_in: &NamespaceName) -> anyhow::Result<Vec<Source>> {
    let configuration = Api::<ConfigMap>::namespaced(client.clone(), installed_in.as_str());
    let written = configuration.get(names::GUARDRAILS).await.map_err(briefly)?;
    let keys = written
        .data
        .unwrap_or_default()
        .into_iter()
        .filter(|(key, _)| Path::new(key).extension().is_some_and(|extension| extension == "yaml"));
    Ok(keys.map(|(name, text)| Source { name, text }).collect())
}

/// Without the whole Status that the API server sent.
fn briefly(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.code == 404 => anyhow::anyhow!("not found"),
        kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
        other => other.into(),
    }
}
