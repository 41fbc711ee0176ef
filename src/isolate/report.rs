//! [`Report`]: how it stands with all namespaces, by profile: what the published IsolationProfiles tell in their status.

use std::collections::BTreeMap;

use ringfence_core::guardrails::Guardrails;
use ringfence_core::model::{Mode, ProfileName};

use super::survey::{Row, State};

/// How many failing namespaces are named.
const NAMED: usize = 5;

/// How it stands with the namespaces of every profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) profiles: BTreeMap<ProfileName, ProfileReport>,
}

/// How it stands with the namespaces of one profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProfileReport {
    /// Namespaces in which it is enforced.
    pub(crate) covered: usize,
    /// Namespaces that would have it, but are reported only: by their mode, or because they were there before.
    pub(crate) reported: usize,
    /// Those of the covered in which not all of its policies stand.
    pub(crate) failing: usize,
    /// The first of those, each with the reason where there is one.
    pub(crate) failing_namespaces: Vec<String>,
    /// The kinds that it names and the cluster does not have.
    pub(crate) missing_kinds: Vec<String>,
}

impl Report {
    /// What the rows come to. `why` tells why a namespace fails.
    pub(crate) fn of(guardrails: &Guardrails, rows: &[Row<'_>], why: impl Fn(&Row<'_>) -> Option<String>) -> Self {
        let mut profiles: BTreeMap<ProfileName, ProfileReport> = guardrails
            .profiles
            .values()
            .map(|profile| (profile.name.clone(), ProfileReport::default()))
            .collect();
        let mut failing: BTreeMap<&ProfileName, Vec<&Row<'_>>> = BTreeMap::new();
        let default = guardrails
            .isolation
            .as_ref()
            .map(|isolation| &isolation.default_profile);
        for row in rows {
            let profile = match row.state {
                // It would have the default: one that its label chose would cover it.
                State::Existing => default,
                _ => row.profile.map(|(profile, _)| profile),
            };
            let Some((profile, report)) = profile.and_then(|profile| Some((profile, profiles.get_mut(profile)?)))
            else {
                continue;
            };
            if row.state == State::Existing || row.mode != Some(Mode::Enforce) {
                report.reported += 1;
            } else {
                report.covered += 1;
            }
            if row.fails() {
                report.failing += 1;
                failing.entry(profile).or_default().push(row);
            }
            for kind in &row.no_kind {
                let kind = kind.to_string();
                if !report.missing_kinds.contains(&kind) {
                    report.missing_kinds.push(kind);
                }
            }
        }
        for (profile, mut rows) in failing {
            rows.sort_by_key(|row| row.name);
            if let Some(report) = profiles.get_mut(profile) {
                let named = rows.iter().take(NAMED);
                report.failing_namespaces = named
                    .map(|row| why(row).map_or_else(|| row.name.to_string(), |why| format!("{}: {why}", row.name)))
                    .collect();
            }
        }
        Self { profiles }
    }
}
