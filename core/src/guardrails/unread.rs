//! How strictly policies that ringfence does not read are guarded: as strictly as the strictest rule that they could get around.

use super::compiled::{Guardrails, NamespaceSet, Segment};
use super::documents::CheckName;
use crate::model::Mode;

impl Guardrails {
    /// What a refusal of a policy that ringfence does not read comes to in a namespace, or, where none is given, for one of
    /// the whole cluster: as much as that of the strictest rule that such a policy could get around there. At most a warning
    /// in system namespaces.
    pub fn unread_policy_mode(&self, namespace: Option<&str>) -> Mode {
        let Some(namespace) = namespace else {
            return self.unread_policy_mode_at_the_cluster();
        };
        let concerned = |segment: &&Segment| {
            let mut held = segment.members.iter().chain(&segment.isolated_from);
            held.any(|clause| match &clause.namespaces {
                NamespaceSet::Named(names) => names.contains(namespace),
                NamespaceSet::Selected(_) => true,
            })
        };
        let strictest = self.strictest(self.segments.iter().filter(concerned));
        let mode = self.rollout.cap(namespace, strictest);
        if self.system_namespaces.contains(namespace) {
            mode.min(Mode::Warn)
        } else {
            mode
        }
    }

    fn unread_policy_mode_at_the_cluster(&self) -> Mode {
        if !self.enforced_on_policies().is_nowhere() {
            return Mode::Enforce;
        }
        let uncapped = self.rollout.default.unwrap_or(Mode::Enforce);
        let most = self.rollout.namespaces.values().copied().fold(uncapped, Mode::max);
        self.strictest(&self.segments).min(most).min(Mode::Warn)
    }

    /// The strictest of `spec.mode`, isolation, the checks on policies and these segments, before the rollout's cap.
    pub(super) fn strictest<'s>(&self, segments: impl IntoIterator<Item = &'s Segment>) -> Mode {
        let isolation = self.isolation.as_ref().map(|isolation| isolation.mode);
        let on_policies = self.checks.iter().filter(|(name, _)| **name != CheckName::HostAccess);
        let checks = on_policies.map(|(_, mode)| *mode);
        let modes = segments.into_iter().map(|segment| segment.mode);
        modes.chain(isolation).chain(checks).fold(self.mode, Mode::max)
    }
}
