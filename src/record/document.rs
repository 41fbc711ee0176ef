//! [`DecisionRecord`]: the versioned document of one decision, as it is printed, one JSON line each. Text that callers
//! choose is bounded here, so that no record can be larger than about 40 kB.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use ringfence_core::model::{Finding, Identity, Mode, Reason, Request};
use ringfence_core::review::{Failure, Webhook};
use schemars::JsonSchema;
use serde::Serialize;

use super::Reviewed;

/// The `schema` of every record; a change that readers must notice makes a new version.
pub const SCHEMA: &str = "ringfence.dev/decision/v1alpha1";

/// The most bytes of a text that a caller chooses: a user name, an object's name.
const TEXT_LIMIT: usize = 512;
/// The most bytes of a finding's detail.
const DETAIL_LIMIT: usize = 1024;
/// The most groups, and the most findings, of one record.
const LIST_LIMIT: usize = 32;

/// One decision that was not a plain allow, or several alike within a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// The version of this schema.
    #[schemars(with = "String", extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// When it was decided (RFC 3339, UTC); of a record that stands for several, the last of them.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// Uid of the admission request, by which it is found in the API server's audit log.
    pub uid: String,
    /// The webhook that the review came in by.
    #[schemars(with = "String")]
    pub webhook: &'static str,
    /// Name of the user who asked.
    pub user: String,
    /// Groups of the user who asked; the last entry says how many more there were, where there were many.
    pub groups: Vec<String>,
    /// The operation: CREATE, UPDATE, DELETE or CONNECT; empty where the review could not be understood.
    #[schemars(with = "String")]
    pub verb: &'static str,
    /// What kind of object was written.
    pub resource: ResourceRecord,
    /// The subresource, empty where there is none.
    pub subresource: String,
    /// Namespace of the object, empty for one of the cluster.
    pub namespace: String,
    /// Name of the object; where only generateName was given, that with `*` appended.
    pub name: String,
    /// What the object belongs to (its controller, else itself): what repeats for it within a minute is one record.
    pub owner: String,
    /// Whether nothing was to be persisted.
    pub dry_run: bool,
    /// What came of it.
    #[schemars(extend("enum" = ["allow", "audit", "warn", "deny", "retry"]))]
    #[schemars(with = "String")]
    pub verdict: &'static str,
    /// Everything that the rules found, worst first.
    pub findings: Vec<FindingRecord>,
    /// How many findings more there were than are listed.
    pub findings_omitted: usize,
    /// The revision of the configuration that decided; empty where none was in force.
    pub revision: String,
    /// The exception by which it was let in, if one was used.
    pub exception: Option<String>,
    /// From receipt of the review to its decision.
    pub microseconds: u64,
    /// How many reviews this record stands for. Of several alike within a minute the first is recorded at once with a
    /// count of 1, the others together at the end of that minute, so that the sum of counts is the number of reviews.
    pub count: u64,
    /// Where `count` is above 1: when the first of them was decided.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
}

/// A kind of object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ResourceRecord {
    /// API group, empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource.
    pub resource: String,
}

/// One rule's result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct FindingRecord {
    /// Which rule; docs/rules.md tells more.
    #[schemars(with = "String")]
    pub rule: &'static str,
    /// The segment it is about, if it is about one.
    pub segment: Option<String>,
    /// The clause that matched, e.g. `clients[0]`.
    pub clause: Option<String>,
    /// The permission that would settle it, or did.
    pub permission: Option<PermissionRecord>,
    /// Who lacks it where that is not the user: whom a delegate is reviewed as.
    pub reviewer: Option<String>,
    /// Whether the rule let it pass.
    pub allowed: bool,
    /// What a refusal comes to here.
    #[schemars(with = "String", extend("enum" = ["Audit", "Warn", "Enforce"]))]
    pub mode: &'static str,
    /// The static reason, to group by.
    #[schemars(with = "String")]
    pub reason: &'static str,
    /// What happened and why the rule looked, to read.
    pub detail: String,
}

/// A permission, as `kubectl auth can-i VERB RESOURCE.GROUP/NAME -n NAMESPACE` asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct PermissionRecord {
    /// What one wants to do.
    #[schemars(with = "String")]
    pub verb: &'static str,
    /// API group of the resource.
    pub group: String,
    /// Plural resource.
    pub resource: String,
    /// Name of the object.
    pub name: String,
    /// Where it is asked; empty at the cluster.
    pub namespace: String,
}

impl DecisionRecord {
    /// The record of a review that was decided at `time`.
    pub(super) fn of(reviewed: &Reviewed<'_>, time: Timestamp) -> Self {
        let Reviewed {
            webhook,
            request,
            decision,
            revision,
            took,
        } = reviewed;
        let Request {
            uid,
            identity,
            operation,
            group,
            version,
            resource,
            subresource,
            dry_run,
            subject,
            actions: _,
        } = request;
        Self {
            schema: SCHEMA,
            time,
            uid: text(uid),
            webhook: webhook.name(),
            user: text(&identity.username),
            groups: groups(identity),
            verb: operation.as_str(),
            resource: ResourceRecord {
                group: text(group),
                version: text(version),
                resource: text(resource),
            },
            subresource: text(subresource),
            namespace: text(&subject.namespace),
            name: text(&subject.name),
            owner: text(&subject.group_key),
            dry_run: *dry_run,
            verdict: decision.outcome(),
            findings: decision
                .findings
                .iter()
                .take(LIST_LIMIT)
                .map(FindingRecord::of)
                .collect(),
            findings_omitted: decision.findings.len().saturating_sub(LIST_LIMIT),
            revision: (*revision).to_owned(),
            exception: None,
            microseconds: microseconds(*took),
            count: 1,
            since: None,
        }
    }

    /// The record of a review of which nothing could be understood but its uid.
    pub(super) fn of_invalid(webhook: Webhook, uid: &str, reason: &str, took: Duration, time: Timestamp) -> Self {
        let (verdict, mode) = match webhook.fails() {
            Failure::Closed => ("deny", Mode::Enforce),
            Failure::Open => ("warn", Mode::Warn),
        };
        Self {
            schema: SCHEMA,
            time,
            uid: text(uid),
            webhook: webhook.name(),
            user: String::new(),
            groups: Vec::new(),
            verb: "",
            resource: ResourceRecord::default(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            owner: String::new(),
            dry_run: false,
            verdict,
            findings: vec![FindingRecord {
                rule: "Understood",
                segment: None,
                clause: None,
                permission: None,
                reviewer: None,
                allowed: false,
                mode: mode.as_str(),
                reason: Reason::Unanswered.as_str(),
                detail: bounded(reason, DETAIL_LIMIT).into_owned(),
            }],
            findings_omitted: 0,
            revision: String::new(),
            exception: None,
            microseconds: microseconds(took),
            count: 1,
            since: None,
        }
    }

    /// Whether both tell of the same: the same user, object's owner and findings. The operation and the kind count too,
    /// since a record that stands for several names one of each.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        self.grouping() == other.grouping()
    }

    pub(super) fn grouping(&self) -> impl PartialEq + std::hash::Hash + '_ {
        (
            (self.webhook, self.verdict, self.verb, self.dry_run),
            (&self.user, &self.namespace, &self.owner),
            (&self.resource.group, &self.resource.resource, &self.subresource),
            (&self.findings, self.findings_omitted),
        )
    }
}

impl FindingRecord {
    fn of(finding: &Finding) -> Self {
        let Finding {
            rule,
            reason,
            mode,
            segment,
            clause,
            permission,
            reviewer,
            what,
            why,
        } = finding;
        let detail = match (what.as_str(), why.as_str()) {
            (what, "") => bounded(what, DETAIL_LIMIT),
            ("", why) => bounded(why, DETAIL_LIMIT),
            (what, why) => Cow::Owned(bounded(&format!("{what}: {why}"), DETAIL_LIMIT).into_owned()),
        };
        Self {
            rule,
            segment: segment.as_ref().map(ToString::to_string),
            clause: clause.clone(),
            permission: permission.as_ref().map(|permission| PermissionRecord {
                verb: permission.verb.as_str(),
                group: text(&permission.group),
                resource: text(&permission.resource),
                name: text(&permission.name),
                namespace: permission.scope.namespace().to_owned(),
            }),
            reviewer: reviewer.as_deref().map(text),
            allowed: !reason.refuses(),
            mode: mode.as_str(),
            reason: reason.as_str(),
            detail: detail.into_owned(),
        }
    }
}

fn groups(identity: &Identity<'_>) -> Vec<String> {
    let mut groups: Vec<String> = identity
        .groups
        .iter()
        .take(LIST_LIMIT)
        .map(|group| text(group))
        .collect();
    if let Some(more @ 1..) = identity.groups.len().checked_sub(LIST_LIMIT) {
        groups.push(format!("…({more} more groups)"));
    }
    groups
}

fn microseconds(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// A text that a caller chose, bounded.
fn text(text: &str) -> String {
    bounded(text, TEXT_LIMIT).into_owned()
}

/// A text of at most about `limit` bytes: a longer one is cut and says how long it was.
fn bounded(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let end = (0..=limit)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or_default();
    Cow::Owned(format!("{}…(cut from {} bytes)", &text[..end], text.len()))
}
