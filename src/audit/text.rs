//! A report as people read it: by segment, then by subject, each step with the bindings that allow it. What is the same for
//! every segment is told once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::grants::{Grant, Id};
use super::reach::{Act, Hop};
use super::report::{Finding, Judged, Kind, Report};
use crate::manifests::grants::Subject;

/// The most bindings that are told of one step; records have all.
const MOST_GRANTS: usize = 3;

/// The most characters of a list of a rule.
const LONGEST_LIST: usize = 60;

impl Report<'_> {
    /// The finding, to be read after its subject.
    pub(super) fn says(&self, finding: &Finding) -> String {
        let verbs = |hops: &[Hop]| hops.first().map(|hop| hop.does.trim_start_matches("holds ").to_owned());
        let place = finding
            .namespace
            .as_deref()
            .map_or("in every namespace".to_owned(), |name| format!("in {name}"));
        let verb = self.segments[finding.segment].verb;
        match finding.kind {
            Kind::HoldsBoth => format!(
                "holds {verb} together with {}",
                verbs(&finding.places).unwrap_or_default()
            ),
            Kind::Wildcard => "holds both by a rule for every verb: it makes the question moot".to_owned(),
            Kind::Delegate => {
                let reviewed = self.delegates.get(self.grants.subject(finding.subject));
                format!(
                    "is a delegate that holds both: only what it does for others is judged as {}",
                    reviewed.map_or("another user", String::as_str)
                )
            }
            Kind::CanHoldBoth => "can come to hold both".to_owned(),
            Kind::CanGrantItself if finding.places.is_empty() => format!("can come to hold {verb}"),
            Kind::CanGrantItself => "can come to hold join or connect".to_owned(),
            Kind::WritesPolicies => format!("may write networkpolicies {place}, where it also deploys"),
            Kind::MissingAccount => {
                "does not exist: whoever creates a service account of that name holds what it is bound to".to_owned()
            }
        }
    }

    /// All of it.
    pub fn text(&self) -> String {
        let bodies: Vec<String> = self.findings.iter().map(|finding| self.finding(finding)).collect();
        let everywhere = self.everywhere(&bodies);
        let mut text = String::new();
        // What every segment has, the first one has, in its order.
        self.section(&mut text, "every segment", &bodies, |finding, body| {
            finding.segment == 0 && everywhere.contains(&(finding.subject, body))
        });
        for (position, segment) in self.segments.iter().enumerate() {
            self.section(&mut text, &headline(segment), &bodies, |finding, body| {
                finding.segment == position && !everywhere.contains(&(finding.subject, body))
            });
        }
        text.push_str(&self.summary());
        text
    }

    fn section(&self, text: &mut String, headline: &str, bodies: &[String], is_in: impl Fn(&Finding, &str) -> bool) {
        let mut last = None;
        for (finding, body) in self
            .findings
            .iter()
            .zip(bodies)
            .filter(|(finding, body)| is_in(finding, body))
        {
            if last.is_none() {
                let _ = writeln!(text, "{headline}");
            }
            if last != Some(finding.subject) {
                let _ = writeln!(text, "\n  {}", self.grants.subject(finding.subject));
            }
            text.push_str(body);
            last = Some(finding.subject);
        }
        if last.is_some() {
            text.push('\n');
        }
    }

    /// What is told of every segment in the same words.
    fn everywhere<'b>(&self, bodies: &'b [String]) -> BTreeSet<(Id, &'b str)> {
        if self.segments.len() < 2 {
            return BTreeSet::new();
        }
        let mut of: BTreeMap<(Id, &str), BTreeSet<usize>> = BTreeMap::new();
        for (finding, body) in self.findings.iter().zip(bodies) {
            of.entry((finding.subject, body)).or_default().insert(finding.segment);
        }
        of.retain(|_, segments| segments.len() == self.segments.len());
        of.into_keys().collect()
    }

    fn finding(&self, finding: &Finding) -> String {
        let mut text = format!("    {}\n", self.says(finding));
        if finding.kind == Kind::Wildcard {
            self.route(&mut text, "both", &finding.manages);
            return text;
        }
        let (first, second) = match finding.kind {
            Kind::WritesPolicies => ("writes", "deploys"),
            _ => ("manages", "places"),
        };
        self.route(&mut text, first, &finding.manages);
        self.route(&mut text, second, &finding.places);
        text
    }

    fn route(&self, text: &mut String, side: &str, route: &[Hop]) {
        for (position, hop) in route.iter().enumerate() {
            let side = if position == 0 { side } else { "" };
            let who = if position == 0 {
                String::new()
            } else {
                format!("{} ", self.grants.subject(hop.who))
            };
            let becomes = match hop.act {
                Act::Becomes(id) => format!(", and so act as {}", self.grants.subject(id)),
                Act::Holds | Act::Grants => String::new(),
            };
            let may = if hop.act == Act::Holds { "" } else { "may " };
            let _ = writeln!(text, "      {side:<8} {who}{may}{}{becomes}", hop.does);
            let mut told: Vec<String> = hop.grants.iter().map(|grant| self.grant(*grant)).collect();
            told.dedup();
            for line in told.iter().take(MOST_GRANTS) {
                let _ = writeln!(text, "                 {line}");
            }
            if told.len() > MOST_GRANTS {
                let _ = writeln!(text, "                 and {} more", told.len() - MOST_GRANTS);
            }
        }
    }

    /// `RoleBinding web/editors -> ClusterRole edit (of system:aggregate-to-edit): create on pods`.
    fn grant(&self, grant: Grant) -> String {
        let (binding, role, rule) = (
            self.grants.binding(grant),
            self.grants.bound_role(grant),
            self.grants.rule(grant),
        );
        let of = if rule.of == role {
            String::new()
        } else {
            format!(" (by {})", rule.of.name)
        };
        let list = |words: Option<&Vec<String>>| shortened(&words.map_or(String::new(), |words| words.join(", ")));
        let names = rule.rule.resource_names.as_ref().filter(|names| !names.is_empty());
        let named = names.map_or(String::new(), |names| format!(" named {}", list(Some(names))));
        format!(
            "{binding} -> {role}{of}: {} on {}{named}",
            list(Some(&rule.rule.verbs)),
            list(rule.rule.resources.as_ref())
        )
    }

    /// How many were found of each kind, whom the report leaves out, and what it could not see.
    pub fn summary(&self) -> String {
        let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
        for finding in &self.findings {
            *kinds.entry(finding.kind).or_default() += 1;
        }
        let kinds: Vec<String> = kinds
            .iter()
            .map(|(kind, count)| format!("{count} {}", kind.as_str()))
            .collect();
        let segments = match self.segments.len() {
            1 => "1 segment".to_owned(),
            count => format!("{count} segments"),
        };
        let mut text = match kinds.as_slice() {
            [] => format!("{segments}: nobody who writes policies places pods, or could come to.\n"),
            kinds => format!("{segments}: {}.\n", kinds.join(", ")),
        };
        for (who, subjects) in [("exempt", &self.exempt), ("the cluster's own and ringfence", &self.own)] {
            if !subjects.is_empty() {
                let told: Vec<String> = subjects.iter().take(MOST_GRANTS).map(Subject::to_string).collect();
                let more = match subjects.len().saturating_sub(MOST_GRANTS) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let _ = writeln!(text, "not counted, {who}: {}{more}", told.join(", "));
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }
}

fn headline(segment: &Judged) -> String {
    let Judged {
        name,
        verb: _,
        consent,
        members,
    } = segment;
    let consent = match consent {
        Some(namespace) => format!("in {namespace}"),
        None => "at the cluster".to_owned(),
    };
    let mut members: Vec<&str> = members.iter().map(String::as_str).collect();
    let more = members.len().saturating_sub(5);
    members.truncate(5);
    let members = match (members.as_slice(), more) {
        ([], _) => "no known namespace".to_owned(),
        (members, 0) => members.join(", "),
        (members, more) => format!("{} and {more} more", members.join(", ")),
    };
    format!("segment {name} (consent {consent}; members in {members})")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_LIST) {
        None => text.to_owned(),
        Some(_) => text.chars().take(LONGEST_LIST - 1).chain(['…']).collect(),
    }
}
