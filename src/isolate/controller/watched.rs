//! [`Watched`]: the injected objects of all namespaces as last seen: NetworkPolicies always, other kinds while a profile
//! names them and the cluster has them. Only what carries our label is watched, and of that only a digest is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use kube::api::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use ringfence_core::guardrails::MANAGED_BY;
use tokio::time::Instant;

use super::waiting::Wrote;
use crate::cluster::{Mirror, WatchEnded};
use crate::isolate::content::{Key, Seen, keyed};
use crate::isolate::failure::Failure;
use crate::isolate::kinds::{ASK_AGAIN, Form, Kinds};
use crate::isolate::survey::Object;
use crate::isolate::wanted::{Kind, Wanted};

/// How long a first list may take before it is a trouble.
const FIRST_LIST: Duration = Duration::from_secs(5);

/// Injected objects as last seen.
pub(super) struct Watched {
    client: Client,
    errors: Counter,
    kinds: Kinds,
    network_policy: Kind,
    policies: Objects,
    unread: BTreeMap<Kind, Unread>,
}

/// The objects of one kind.
struct Objects {
    mirror: Mirror<Key, Seen>,
    /// The latest version of an object that the watch told of, a deletion's included.
    latest: Arc<AtomicU64>,
}

/// A kind that ringfence does not read.
enum Unread {
    /// It is being asked what it is called.
    Asking,
    /// There is no such kind, or that could not be asked; until then.
    Absent(Instant, Option<Failure>),
    /// Watched since then.
    Watched(Box<Objects>, Instant),
}

/// What a kind is called in paths, once asked.
pub(super) type Asked = (Kind, Result<Option<Arc<str>>, Failure>);

impl Watched {
    pub(super) fn new(client: Client, errors: Counter, kinds: Kinds) -> Self {
        let network_policy = Kind::network_policy();
        Self {
            policies: Objects::watch(&client, &network_policy, "networkpolicies", errors.clone()),
            client,
            errors,
            kinds,
            network_policy,
            unread: BTreeMap::new(),
        }
    }

    /// Whether NetworkPolicies have been listed.
    pub(super) fn is_complete(&self) -> bool {
        self.policies.mirror.objects().is_some()
    }

    /// Whether all watches work.
    pub(super) fn is_in_touch(&self) -> bool {
        let unread = self.unread.values().all(|unread| match unread {
            Unread::Watched(objects, _) => objects.mirror.is_in_touch(),
            Unread::Asking | Unread::Absent(..) => true,
        });
        self.policies.mirror.is_in_touch() && unread
    }

    /// Every object as last seen.
    pub(super) fn objects(&self) -> impl Iterator<Item = Object<'_>> {
        let unread = self.unread.iter().filter_map(|(kind, unread)| match unread {
            Unread::Watched(objects, _) => Some((kind, &**objects)),
            Unread::Asking | Unread::Absent(..) => None,
        });
        let kinds = [(&self.network_policy, &self.policies)].into_iter().chain(unread);
        kinds.flat_map(|(kind, objects)| {
            let objects = objects.mirror.objects().into_iter().flat_map(|objects| objects.iter());
            objects.map(move |((namespace, name), seen)| Object {
                kind,
                namespace,
                name,
                seen,
            })
        })
    }

    /// Whether the watch shows what was written, or what came after it.
    pub(super) fn shows(&self, wrote: &Wrote) -> bool {
        let objects = if wrote.kind == self.network_policy {
            &self.policies
        } else {
            match self.unread.get(&wrote.kind) {
                Some(Unread::Watched(objects, _)) => objects,
                _ => return true,
            }
        };
        // Versions of one resource are numbers that grow (KEP-5504). One that is none is not waited for.
        let version = wrote.resource_version.parse();
        version.is_ok_and(|version: u64| objects.latest.load(Ordering::Relaxed) >= version)
    }

    /// How the API server writes a wanted object down, as far as its kind can be watched.
    pub(super) fn form(&self, wanted: &Wanted) -> Form {
        if wanted.kind.is_network_policy() {
            return Form::Known(wanted.digest);
        }
        match self.unread.get(&wanted.kind) {
            None | Some(Unread::Asking) => Form::Pending,
            Some(Unread::Absent(_, None)) => Form::NoKind,
            Some(Unread::Absent(_, Some(_))) => Form::Unwatched,
            Some(Unread::Watched(objects, since)) => match objects.mirror.objects() {
                Some(_) => self.kinds.form(wanted),
                None if since.elapsed() < FIRST_LIST => Form::Pending,
                None => Form::Unwatched,
            },
        }
    }

    /// Why a kind cannot be watched; none where it can.
    pub(super) fn trouble(&self, kind: &Kind) -> Option<String> {
        match self.unread.get(kind)? {
            Unread::Absent(_, Some(failure)) => Some(failure.to_string()),
            Unread::Watched(objects, _) if objects.mirror.objects().is_none() => Some(format!(
                "objects of kind {kind} cannot be watched ({}); label a ClusterRole that gives ringfence their rights \
                 ringfence.dev/aggregate-to-policies=true",
                objects.mirror.trouble().unwrap_or("they have not been listed yet")
            )),
            Unread::Asking | Unread::Absent(_, None) | Unread::Watched(..) => None,
        }
    }

    /// Follows these kinds and lets go of the others, but not before nothing of ours is left of them. Gives what has to be
    /// asked.
    pub(super) fn follow(&mut self, wanted: &BTreeSet<Kind>) -> Vec<BoxFuture<'static, Asked>> {
        let kinds = &self.kinds;
        self.unread.retain(|kind, unread| match unread {
            _ if wanted.contains(kind) => true,
            Unread::Watched(objects, _) => objects.mirror.objects().is_some_and(|objects| !objects.is_empty()),
            Unread::Asking | Unread::Absent(..) => false,
        });
        for (kind, unread) in &mut self.unread {
            if matches!(unread, Unread::Watched(..)) && kinds.is_absent(kind) {
                *unread = Unread::Absent(Instant::now() + ASK_AGAIN, None);
            }
        }
        let now = Instant::now();
        let due = wanted.iter().filter(|kind| match self.unread.get(kind) {
            None => true,
            Some(Unread::Absent(until, _)) => *until <= now,
            Some(Unread::Asking | Unread::Watched(..)) => false,
        });
        let due: Vec<Kind> = due.cloned().collect();
        due.into_iter()
            .map(|kind| {
                match self.unread.entry(kind.clone()).or_insert(Unread::Asking) {
                    Unread::Absent(until, _) => *until = now + ASK_AGAIN,
                    Unread::Asking | Unread::Watched(..) => {}
                }
                let kinds = self.kinds.clone();
                async move {
                    let plural = kinds.plural(&kind).await;
                    (kind, plural)
                }
                .boxed()
            })
            .collect()
    }

    /// Takes what was asked.
    pub(super) fn asked(&mut self, (kind, plural): Asked) {
        let Some(unread) = self.unread.get_mut(&kind) else {
            return;
        };
        if matches!(unread, Unread::Watched(..)) {
            return;
        }
        let again = Instant::now() + ASK_AGAIN;
        *unread = match plural {
            Ok(Some(plural)) => {
                tracing::info!(%kind, "watched, a profile names it");
                let objects = Objects::watch(&self.client, &kind, &plural, self.errors.clone());
                Unread::Watched(Box::new(objects), Instant::now())
            }
            Ok(None) => {
                if matches!(unread, Unread::Asking) {
                    tracing::warn!(%kind, "a profile names a kind that the cluster does not have; its objects are left out");
                }
                Unread::Absent(again, None)
            }
            Err(failure) => Unread::Absent(again, Some(failure)),
        };
    }

    /// When a kind has to be asked for again.
    pub(super) fn next(&self) -> Option<Instant> {
        let absent = self.unread.values().filter_map(|unread| match unread {
            Unread::Absent(until, _) => Some(*until),
            Unread::Watched(objects, since) if objects.mirror.objects().is_none() => Some(*since + FIRST_LIST),
            Unread::Asking | Unread::Watched(..) => None,
        });
        let now = Instant::now();
        absent.filter(|until| *until > now).min()
    }

    /// Waits until some objects are not what they were.
    pub(super) async fn changed(&mut self) -> Result<(), WatchEnded> {
        let unread = self.unread.values_mut().filter_map(|unread| match unread {
            Unread::Watched(objects, _) => Some(objects.mirror.changed().boxed()),
            Unread::Asking | Unread::Absent(..) => None,
        });
        let all = [self.policies.mirror.changed().boxed()].into_iter().chain(unread);
        select_all(all).await.0
    }
}

impl Objects {
    /// Watches what carries our label.
    fn watch(client: &Client, kind: &Kind, plural: &str, errors: Counter) -> Self {
        let resource = kind.resource(plural);
        let (key, value) = MANAGED_BY;
        let ours = watcher::Config::default().labels(&format!("{key}={value}"));
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let latest = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&latest);
        let keep = move |object| {
            let (key, seen) = keyed(object)?;
            let version = seen.resource_version.parse().unwrap_or_default();
            told.fetch_max(version, Ordering::Relaxed);
            Some((key, seen))
        };
        Self {
            mirror: Mirror::new("injected policies", api, ours, errors, keep),
            latest,
        }
    }
}
