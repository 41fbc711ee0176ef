//! What `ringfence grant` is told to give: the verb, and on what, as people write them.

use std::str::FromStr;

use ringfence_core::decide::REQUIRE_ISOLATION;
use ringfence_core::guardrails::documents::CheckName;
use ringfence_core::model::{GROUP, NETWORKING, ProfileName, SegmentName, Verb, is_dns_label, is_dns_subdomain};
use ringfence_core::review::{Shape, WRITE_PATHS, WritePath};

use crate::manifests::roles::SEGMENT_VERBS;

/// A verb, or `own`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Own,
    Verb(Verb),
}

/// What a grant is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Segment(SegmentName),
    /// A NetworkPolicy that guards its own labels.
    Policy(String),
    Check(String),
    Profile(ProfileName),
    /// A kind of policy that ringfence does not read: plural and group, and perhaps a name.
    Unread(String, String, Option<String>),
    Guardrails,
}

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "own" {
            return Ok(Self::Own);
        }
        let verbs = || {
            SEGMENT_VERBS.iter().map(|(verb, _)| *verb).chain([
                Verb::Cross,
                Verb::Protect,
                Verb::Waive,
                Verb::Use,
                Verb::Configure,
            ])
        };
        verbs()
            .find(|verb| verb.as_str() == text)
            .map(Self::Verb)
            .ok_or_else(|| {
                let words: Vec<&str> = verbs().map(Verb::as_str).collect();
                format!("use own, {}", words.join(", "))
            })
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (resource, name) = match text.split_once('/') {
            Some((resource, name)) => (resource, Some(name)),
            None => (text, None),
        };
        let resource = resource.strip_suffix(&format!(".{GROUP}")).unwrap_or(resource);
        if let Some((plural, group)) = resource.split_once('.').filter(|(_, group)| *group != NETWORKING) {
            return unread(plural, group, name);
        }
        let name = name.ok_or("write RESOURCE/NAME, e.g. segments/payments-db")?;
        let networking = resource.strip_suffix(&format!(".{NETWORKING}"));
        match (networking.unwrap_or(resource), name) {
            ("networkpolicies" | "networkpolicy" | "netpol", name) if is_dns_subdomain(name) => {
                Ok(Self::Policy(name.to_owned()))
            }
            ("networkpolicies" | "networkpolicy" | "netpol", name) => {
                Err(format!("{name:?} is not the name of a NetworkPolicy"))
            }
            _ if networking.is_some() => Err(format!(
                "nothing is granted on {resource:?}: write networkpolicies.{NETWORKING}/NAME"
            )),
            ("segments" | "segment", name) => SegmentName::new(name)
                .map(Self::Segment)
                .map_err(|error| error.to_string()),
            ("policychecks" | "policycheck", name) => {
                if name == REQUIRE_ISOLATION {
                    return Ok(Self::Check(name.to_owned()));
                }
                // Spelled as in `spec.checks`.
                let check = serde_json::from_value::<CheckName>(name.into());
                check
                    .map(|_| Self::Check(name.to_owned()))
                    .map_err(|error| error.to_string())
            }
            // `none` and profiles that are yet to be configured are granted like any other.
            ("isolationprofiles" | "isolationprofile", name) => ProfileName::new(name)
                .map(Self::Profile)
                .map_err(|error| error.to_string()),
            ("guardrails", "default") => Ok(Self::Guardrails),
            ("guardrails", _) => Err("the guardrails are called default: write guardrails/default".to_owned()),
            (other, _) => Err(format!(
                "nothing is granted on {other:?}: write segments/NAME, networkpolicies/NAME, policychecks/NAME, isolationprofiles/NAME, \
                 guardrails/default, or a kind of policy with its group, e.g. ciliumnetworkpolicies.cilium.io"
            )),
        }
    }
}

/// A kind of policy that ringfence does not read: one of the table, or one that some profile brings.
fn unread(plural: &str, group: &str, name: Option<&str>) -> Result<Target, String> {
    if !is_dns_label(plural) || !group.contains('.') || !is_dns_subdomain(group) {
        return Err(format!(
            "{plural}.{group} is no kind of policy: write PLURAL.GROUP, e.g. ciliumnetworkpolicies.cilium.io"
        ));
    }
    let mut known = WRITE_PATHS.iter().filter(|row| row.group == group);
    if known.clone().next().is_some() && known.all(|row| (row.resource, is_unread(row)) != (plural, true)) {
        return Err(format!(
            "{plural}.{group} is not granted on: it is no kind of policy that ringfence does not read"
        ));
    }
    if name.is_some_and(|name| !is_dns_subdomain(name)) {
        return Err("a policy has no such name".to_owned());
    }
    Ok(Target::Unread(
        plural.to_owned(),
        group.to_owned(),
        name.map(str::to_owned),
    ))
}

fn is_unread(row: &WritePath) -> bool {
    matches!(row.shape, Shape::UnreadPolicy(_))
}
