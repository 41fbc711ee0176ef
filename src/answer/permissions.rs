//! [`Permissions`]: what the API server said about who may what, kept for seconds: a yes for 5, a no for 1. Keyed on the
//! whole identity, since authorizers may read any of it; bounded by bytes, since callers choose how long theirs is.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Weighter};
use ringfence_core::model::{Identity, Permission};
use tokio::time::Instant;

/// How long a yes may be used, from when it was asked.
const ALLOWED: Duration = Duration::from_secs(5);
/// How long a no may be used: shorter, as whoever was just granted something tries again.
const REFUSED: Duration = Duration::from_secs(1);
/// The most bytes that are kept, about.
const CAPACITY_BYTES: u64 = 4 << 20;
/// A guess at the bytes of one entry, for the size of the tables.
const ENTRY_BYTES: u64 = 1 << 10;

/// Who asks for what.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) identity: Identity<'static>,
    pub(super) permission: Permission,
}

/// The same, borrowed: a lookup builds no key.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct KeyRef<'a> {
    pub(super) identity: &'a Identity<'a>,
    pub(super) permission: &'a Permission,
}

impl KeyRef<'_> {
    pub(super) fn to_key(self) -> Arc<Key> {
        Arc::new(Key {
            identity: self.identity.clone().into_owned(),
            permission: self.permission.clone(),
        })
    }
}

impl Equivalent<Arc<Key>> for KeyRef<'_> {
    fn equivalent(&self, key: &Arc<Key>) -> bool {
        *self.permission == key.permission && *self.identity == key.identity
    }
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    allowed: bool,
    until: Instant,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Arc<Key>, Kept> for Bytes {
    fn weight(&self, key: &Arc<Key>, _: &Kept) -> u64 {
        let Identity {
            username,
            uid,
            groups,
            extra,
        } = &key.identity;
        let texts = groups.iter().chain(
            extra
                .iter()
                .flat_map(|(key, values)| std::iter::once(key).chain(values)),
        );
        let bytes: usize = texts.map(|text| text.len() + size_of_val(text)).sum();
        let fixed = size_of::<Key>() + size_of::<Kept>() + username.len() + uid.len() + key.permission.name.len();
        (bytes + fixed) as u64
    }
}

/// What was said, while it may be used.
#[derive(Debug)]
pub(super) struct Permissions(Cache<Arc<Key>, Kept, Bytes, RandomState, DefaultLifecycle<Arc<Key>, Kept>>);

impl Default for Permissions {
    fn default() -> Self {
        let entries = usize::try_from(CAPACITY_BYTES / ENTRY_BYTES).unwrap_or(usize::MAX);
        Self(Cache::with(
            entries,
            CAPACITY_BYTES,
            Bytes,
            RandomState::new(),
            DefaultLifecycle::default(),
        ))
    }
}

impl Permissions {
    /// What was said to this, where it may still be used.
    pub(super) fn get(&self, key: &KeyRef<'_>) -> Option<bool> {
        let Kept { allowed, until } = self.0.get(key)?;
        (Instant::now() < until).then_some(allowed)
    }

    /// Keeps what was said to this when it was asked at `asked`.
    pub(super) fn keep(&self, key: Arc<Key>, allowed: bool, asked: Instant) {
        let until = asked + if allowed { ALLOWED } else { REFUSED };
        self.0.insert(key, Kept { allowed, until });
    }
}

#[cfg(test)]
mod tests {
    use ringfence_core::model::{NamespaceName, Scope, SegmentName, Verb};

    use super::*;

    fn identity(username: &str) -> Identity<'static> {
        Identity {
            username: username.to_owned().into(),
            uid: "u".into(),
            groups: vec!["developers".into()],
            extra: vec![("scopes".into(), vec!["all".into()])],
        }
    }

    fn permission() -> Permission {
        let segment = SegmentName::new("payments-db").expect("a valid name");
        let consent = NamespaceName::new("payments").expect("a valid name");
        Permission::segment(Verb::Connect, &segment, Scope::Namespace(consent))
    }

    fn keep(kept: &Permissions, identity: &Identity<'_>, allowed: bool) {
        let permission = &permission();
        kept.keep(KeyRef { identity, permission }.to_key(), allowed, Instant::now());
    }

    fn get(kept: &Permissions, identity: &Identity<'_>) -> Option<bool> {
        let permission = &permission();
        kept.get(&KeyRef { identity, permission })
    }

    #[tokio::test(start_paused = true)]
    async fn a_yes_holds_five_seconds_and_a_no_one() {
        let kept = Permissions::default();
        keep(&kept, &identity("ci"), true);
        keep(&kept, &identity("mallory"), false);
        let both = || (get(&kept, &identity("ci")), get(&kept, &identity("mallory")));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(both(), (Some(true), Some(false)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(both(), (Some(true), None));
        tokio::time::advance(Duration::from_millis(3999)).await;
        assert_eq!(both(), (Some(true), None));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(both(), (None, None));
    }

    /// Any difference in who asks, or for what, is another question.
    #[tokio::test]
    async fn nothing_is_answered_to_another_identity_or_permission() {
        let kept = Permissions::default();
        let known = identity("ci");
        keep(&kept, &known, true);
        assert_eq!(get(&kept, &known), Some(true));
        let others = [
            identity("ci2"),
            Identity {
                uid: "".into(),
                ..known.clone()
            },
            Identity {
                groups: vec![],
                ..known.clone()
            },
            Identity {
                groups: vec!["developers".into(), "admins".into()],
                ..known.clone()
            },
            Identity {
                extra: vec![],
                ..known.clone()
            },
            Identity {
                extra: vec![("scopes".into(), vec!["some".into()])],
                ..known.clone()
            },
        ];
        for other in &others {
            assert_eq!(get(&kept, other), None, "{other:?}");
        }
        let asked = permission();
        let permissions = [
            Permission {
                verb: Verb::Join,
                ..asked.clone()
            },
            Permission {
                name: "other".to_owned(),
                ..asked.clone()
            },
            Permission {
                scope: Scope::Cluster,
                ..asked.clone()
            },
            Permission {
                resource: "policychecks".into(),
                ..asked.clone()
            },
            Permission {
                group: "".into(),
                ..asked
            },
        ];
        for permission in &permissions {
            assert_eq!(
                kept.get(&KeyRef {
                    identity: &known,
                    permission
                }),
                None,
                "{permission}"
            );
        }
    }

    #[tokio::test]
    async fn a_flood_of_identities_is_forgotten_rather_than_kept() {
        let kept = Permissions::default();
        for at in 0..20_000 {
            let flood = Identity {
                extra: vec![("long".into(), vec!["x".repeat(4096).into()])],
                ..identity(&format!("user-{at}"))
            };
            keep(&kept, &flood, false);
        }
        assert!(kept.0.weight() <= CAPACITY_BYTES, "{}", kept.0.weight());
        assert!(kept.0.len() < 2000, "{}", kept.0.len());
        keep(&kept, &identity("ci"), true);
        assert_eq!(get(&kept, &identity("ci")), Some(true));
    }
}
