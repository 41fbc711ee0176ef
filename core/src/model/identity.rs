//! [`Identity`]: who asked, whole, as the API server authenticated it (or as it was impersonated).

use std::borrow::Cow;

/// Who asked, as in the AdmissionReview's `userInfo`: all of it goes into a SubjectAccessReview and into the key of the
/// review cache, since authorizers may read any of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Identity<'a> {
    /// The user name, e.g. `system:serviceaccount:web:ci`.
    pub username: Cow<'a, str>,
    /// The uid, empty where the authenticator gave none (and under impersonation).
    pub uid: Cow<'a, str>,
    /// The groups, in the order given.
    pub groups: Vec<Cow<'a, str>>,
    /// Extra keys, e.g. `authentication.kubernetes.io/pod-name`, each with its values.
    pub extra: Extra<'a>,
}

/// The extra keys of an identity, each with its values, in the order given.
pub type Extra<'a> = Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>;

/// A service account as its user name spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceAccount<'a> {
    /// The namespace it lives in.
    pub namespace: &'a str,
    /// Its name there.
    pub name: &'a str,
}

impl Identity<'_> {
    /// The service account that this user name stands for, if it is one.
    pub fn service_account(&self) -> Option<ServiceAccount<'_>> {
        let (namespace, name) = self.username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some(ServiceAccount { namespace, name })
    }

    /// The values of an extra key, empty where it is absent.
    pub fn extra(&self, key: &str) -> &[Cow<'_, str>] {
        self.extra
            .iter()
            .find(|(name, _)| name == key)
            .map_or(&[], |(_, values)| values)
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Identity<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Identity {
            username: own(self.username),
            uid: own(self.uid),
            groups: self.groups.into_iter().map(own).collect(),
            extra: self
                .extra
                .into_iter()
                .map(|(key, values)| (own(key), values.into_iter().map(own).collect()))
                .collect(),
        }
    }
}
