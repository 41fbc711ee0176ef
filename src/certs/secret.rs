//! [`ServingSecret`]: what all replicas share to be reached, kept in the Secret `ringfence-serving`: the unguessable path,
//! and our own certificate where none is given. Whoever finds it absent or unfit writes it; the API server lets one win,
//! and all take what stands there, so two replicas never disagree.

mod contents;
mod names;

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::contents::Unfit;
use self::contents::{Contents, Wanted};
pub use self::names::{InvalidWebhookUrl, Names};
use super::ServingCertificate;
use super::own::IssueError;
use crate::cluster::{Duty, Error, FIELD_MANAGER, Mirror};
use crate::manifests::names::SERVING as SECRET;
use crate::serve::{Condition, PathToken, PathTokens};

/// How long a path that was replaced is still answered: until the webhook configuration follows.
const OLD_PATH: Duration = Duration::from_secs(30);
/// How often a file with a given authority is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Where the serving certificate comes from.
#[derive(Debug, Clone)]
pub enum Certificate {
    /// Our own, kept in the Secret, handed to whoever serves.
    Own(Names, ServingCertificate),
    /// Given in files; this is the PEM file with its authority. None where the API server trusts it anyway.
    Given(Option<PathBuf>),
}

/// How the API server reaches us, the same on all replicas.
#[derive(Clone, PartialEq, Eq)]
pub struct Reached {
    /// The unguessable path segment.
    pub path: String,
    /// What the certificate is trusted by, PEM; none for what the API server trusts anyway.
    pub ca_pem: Option<String>,
}

impl std::fmt::Debug for Reached {
    /// Without the path, which is a secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Reached")
            .field("ca_pem", &self.ca_pem)
            .finish_non_exhaustive()
    }
}

/// Why the Secret could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No certificate could be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The file of `--tls-ca`.
    #[error("cannot read the certificate authority {path}: {source}; check --tls-ca", path = path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The API server refused, or could not be reached.
    #[error("cannot {what} Secret {SECRET}: {source}")]
    Api {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// What was just written is not fit.
    #[error("Secret {SECRET} is not fit although it was just written: {0}")]
    StillUnfit(Unfit),
}

/// Keeps the Secret, and hands what stands in it to whoever serves and to whoever registers the webhooks.
pub struct ServingSecret {
    api: Api<Secret>,
    live: Mirror<String, Secret>,
    certificate: Certificate,
    tokens: PathTokens,
    ready: Condition,
    reached: watch::Sender<Option<Reached>>,
    path: Option<PathToken>,
    /// The path before, and since when it is.
    old_path: Option<(PathToken, Instant)>,
}

impl ServingSecret {
    /// Watches and writes with this client; `tokens` and `reached` get what stands in the Secret.
    pub fn new(
        client: &Client,
        namespace: &str,
        certificate: Certificate,
        tokens: PathTokens,
        ready: Condition,
        reached: watch::Sender<Option<Reached>>,
        errors: Counter,
    ) -> Self {
        let api = Api::<Secret>::namespaced(client.clone(), namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={SECRET}"));
        let keep = |mut secret: Secret| {
            secret.metadata.managed_fields = None;
            Some((secret.metadata.name.clone()?, secret))
        };
        ready.missing("no path to be reached by yet");
        Self {
            live: Mirror::new("serving-secret", api.clone(), only, errors, keep),
            api,
            certificate,
            tokens,
            ready,
            reached,
            path: None,
            old_path: None,
        }
    }

    /// Hands out what stands in the Secret.
    async fn take(&mut self, contents: Contents) -> Result<(), SecretError> {
        let Contents { path, pair } = contents;
        let ca_pem = match &self.certificate {
            Certificate::Own(_, serving) => pair.map(|pair| {
                // Logged and counted there; what serves meanwhile stays.
                let _ = serving.replace(pair.cert_pem.as_bytes(), pair.key_pem.as_bytes());
                pair.ca_pem
            }),
            Certificate::Given(None) => None,
            Certificate::Given(Some(file)) => {
                let read = tokio::fs::read_to_string(file).await;
                Some(read.map_err(|source| SecretError::Authority {
                    path: file.clone(),
                    source,
                })?)
            }
        };
        let known = self.path.as_ref().is_some_and(|known| known.as_str() == path.as_str());
        if !known {
            let old = self.path.replace(path.clone());
            self.old_path = old.map(|old| (old, Instant::now()));
        }
        self.old_path.take_if(|(_, since)| since.elapsed() > OLD_PATH);
        let old = self.old_path.as_ref().map(|(old, _)| old);
        self.tokens.replace(self.path.iter().chain(old).cloned());
        self.ready.met();
        let now = Some(Reached {
            path: path.as_str().to_owned(),
            ca_pem,
        });
        self.reached.send_if_modified(|reached| {
            let modified = *reached != now;
            *reached = now;
            modified
        });
        Ok(())
    }
}

impl Certificate {
    fn wanted(&self) -> Wanted<'_> {
        match self {
            Self::Own(names, _) => Wanted::CertificateFor(names),
            Self::Given(_) => Wanted::PathAlone,
        }
    }
}

/// The Secret as it has to be taken: as it stands where it is fit, else as written anew. None where another replica
/// was faster: the watch brings what it wrote.
async fn fit(api: &Api<Secret>, live: Option<&Secret>, wanted: Wanted<'_>) -> Result<Option<Contents>, SecretError> {
    let unfit = match live.map(|secret| Contents::read(secret, wanted)) {
        Some(Ok(contents)) => return Ok(Some(contents)),
        Some(Err(unfit)) => Some(unfit),
        None => None,
    };
    let secret = contents::make(live, wanted)?;
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let (what, written) = match &unfit {
        None => ("create", api.create(&params, &secret).await),
        // Carries the resource version of what was found unfit, so nothing else is ever overwritten.
        Some(_) => ("replace", api.replace(SECRET, &params, &secret).await),
    };
    match (written, unfit) {
        (Ok(written), unfit) => {
            match unfit {
                None => tracing::info!("Secret {SECRET} created"),
                Some(unfit) => tracing::warn!("Secret {SECRET} written anew: {unfit}"),
            }
            let contents = Contents::read(&written, wanted).map_err(SecretError::StillUnfit)?;
            Ok(Some(contents))
        }
        (Err(kube::Error::Api(status)), _) if status.is_already_exists() || status.is_conflict() => Ok(None),
        (Err(source), _) => {
            let source = Box::new(source);
            Err(SecretError::Api { what, source })
        }
    }
}

impl Duty for ServingSecret {
    const NAME: &'static str = "serving-secret";

    async fn pass(&mut self) -> Result<(), Error> {
        let Some(live) = self.live.objects() else {
            return Ok(());
        };
        if let Some(contents) = fit(&self.api, live.get(SECRET), self.certificate.wanted()).await? {
            self.take(contents).await?;
        }
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), Error> {
        let look = async {
            match self.certificate {
                Certificate::Given(Some(_)) => tokio::time::sleep(LOOK).await,
                Certificate::Given(None) | Certificate::Own(..) => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.live.changed() => Ok(changed?),
            () = look => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
