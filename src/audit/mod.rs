//! What RBAC would let happen: who could both write a segment's policies and place pods in it, over all roles and bindings
//! of a cluster or of a folder of manifests. [`Grants`] says who holds what by which binding, `ways` how one identity becomes
//! another, `reach` searches, `duties` judges, [`Report`] tells it as text, JSON lines or a picture. Reads, never writes.

pub mod cluster;
mod duties;
mod grants;
mod picture;
mod reach;
mod record;
mod report;
mod text;
mod ways;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ringfence_core::guardrails::Derived;
use ringfence_core::model::{Namespaces, SegmentName};

use crate::answer::offline::{Manifests, Rbac};

pub use duties::judge;
pub use grants::{Grant, Grants, Held, Id, On, Topic};
pub use reach::{Act, Hop};
pub use record::{FindingRecord, SCHEMA};
pub use report::{Finding, Judged, Kind, Report};

/// Everything that an audit reads.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Roles and bindings.
    pub rbac: Rbac,
    /// Service accounts and their token Secrets.
    pub accounts: Accounts,
    /// Namespaces with their labels.
    pub namespaces: Namespaces,
    /// The derived segments whose policies reach beyond their namespace, so that `protect` is asked at the cluster.
    pub beyond: BTreeSet<SegmentName>,
    /// How much of the cluster this is.
    pub whole: Whole,
    /// What could not be read, and what follows.
    pub notes: Vec<String>,
}

/// How much of a cluster is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whole {
    /// All of it, as it stands: what is not there is not there.
    Cluster,
    /// What manifests say: they seldom hold every namespace.
    #[default]
    Manifests,
}

/// A service account by namespace and name.
pub type Account = (String, String);

/// The service accounts that exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Each of them.
    pub existing: BTreeSet<Account>,
    /// The names of the Secrets that hold a token of one.
    pub token_secrets: BTreeMap<Account, Vec<String>>,
}

/// The type of a Secret that holds a token.
pub const TOKEN_SECRET: &str = "kubernetes.io/service-account-token";

/// The annotation by which such a Secret names its account.
pub const TOKEN_OF: &str = "kubernetes.io/service-account.name";

impl Accounts {
    /// Adds a Secret of [`TOKEN_SECRET`].
    pub fn add_token_secret(&mut self, metadata: &ObjectMeta) {
        let account = metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(TOKEN_OF));
        if let (Some(account), Some(namespace), Some(name)) = (account, &metadata.namespace, &metadata.name) {
            let secrets = self
                .token_secrets
                .entry((namespace.clone(), account.clone()))
                .or_default();
            secrets.push(name.clone());
        }
    }
}

/// Those that reach beyond their namespace.
pub fn beyond<'d>(derived: impl IntoIterator<Item = &'d Derived>) -> BTreeSet<SegmentName> {
    let beyond = derived.into_iter().filter(|derived| derived.beyond.is_some());
    beyond.map(|derived| derived.name().clone()).collect()
}

impl Evidence {
    /// What manifests say.
    pub fn of(manifests: &Manifests) -> Self {
        Self {
            rbac: manifests.rbac.clone(),
            accounts: manifests.accounts.clone(),
            namespaces: (*manifests.namespaces).clone(),
            beyond: beyond(&manifests.derived),
            whole: Whole::Manifests,
            notes: Vec::new(),
        }
    }
}
