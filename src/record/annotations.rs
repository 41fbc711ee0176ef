//! [`annotations`]: the same facts for the API server's own audit log, which is the tamper-evident copy. The API server
//! puts the webhook's name and a slash before each key (`AuditAnnotations` in Dynamic Admission Control).

use std::collections::BTreeMap;

use ringfence_core::model::{Decision, Finding};
use serde::Serialize;

/// The most bytes of the findings' annotation.
const FINDINGS_LIMIT: usize = 4096;

/// A finding in short.
#[derive(Serialize)]
struct Short<'a> {
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission: Option<String>,
    mode: &'static str,
    reason: &'static str,
}

impl<'a> From<&'a Finding> for Short<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            rule: finding.rule,
            segment: finding.segment.as_ref().map(AsRef::as_ref),
            clause: finding.clause.as_deref(),
            permission: finding.permission.as_ref().map(ToString::to_string),
            mode: finding.mode.as_str(),
            reason: finding.reason.as_str(),
        }
    }
}

/// The annotations of a decision: `decision` (its outcome), `revision` (of the configuration) and `findings`: a JSON list,
/// worst first, at most 4 kB, that ends with `{"omitted": N}` where there were more.
pub(super) fn annotations(decision: &Decision, revision: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("decision".to_owned(), decision.outcome().to_owned()),
        ("findings".to_owned(), findings(&decision.findings)),
        ("revision".to_owned(), revision.to_owned()),
    ])
}

fn findings(findings: &[Finding]) -> String {
    let mut list = String::from("[");
    for (at, finding) in findings.iter().enumerate() {
        let separator = if at == 0 { "" } else { "," };
        let short = serde_json::to_string(&Short::from(finding)).expect("strings always serialize");
        let omitted = format!("{separator}{{\"omitted\":{}}}]", findings.len() - at);
        if list.len() + separator.len() + short.len() + omitted.len() > FINDINGS_LIMIT {
            return list + &omitted;
        }
        list = list + separator + &short;
    }
    list + "]"
}

#[cfg(test)]
mod tests {
    use ringfence_core::model::{Mode, Permission, Reason, RetryAfter, Scope, SegmentName, Verb, Verdict};

    use super::*;

    fn finding(segment: &str) -> Finding {
        let name = SegmentName::new(segment).expect("a valid name");
        Finding {
            rule: "Segments",
            reviewer: None,
            reason: Reason::LacksPermission,
            mode: Mode::Enforce,
            permission: Some(Permission::segment(Verb::Connect, &name, Scope::Cluster)),
            segment: Some(name),
            clause: Some("clients[0]".to_owned()),
            what: String::new(),
            why: String::new(),
        }
    }

    fn decision(findings: Vec<Finding>) -> Decision {
        Decision {
            verdict: Verdict::Retry(String::new(), RetryAfter(1)),
            findings,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_decision_is_told_in_short() {
        insta::assert_debug_snapshot!(annotations(&decision(vec![finding("payments-db")]), "0123456789ab"), @r#"
        {
            "decision": "retry",
            "findings": "[{\"rule\":\"Segments\",\"segment\":\"payments-db\",\"clause\":\"clients[0]\",\"permission\":\"connect segments.ringfence.dev/payments-db at the cluster\",\"mode\":\"Enforce\",\"reason\":\"LacksPermission\"}]",
            "revision": "0123456789ab",
        }
        "#);
    }

    #[test]
    fn keys_are_such_as_the_api_server_keeps() {
        for key in annotations(&decision(Vec::new()), "").keys() {
            assert!(
                key.bytes().all(|byte| byte.is_ascii_alphanumeric()) && key.len() < 63,
                "{key}"
            );
        }
    }

    #[test]
    fn many_findings_are_cut_to_a_list_that_is_still_json() {
        let long = "a".repeat(180);
        let many: Vec<_> = (100..200).map(|at| finding(&format!("{long}-{at}"))).collect();
        let value = &annotations(&decision(many), "")["findings"];
        assert!(
            value.len() <= FINDINGS_LIMIT && value.len() > FINDINGS_LIMIT - 600,
            "{}",
            value.len()
        );
        let list: Vec<serde_json::Value> = serde_json::from_str(value).expect("valid JSON");
        let omitted = list
            .last()
            .and_then(|last| last["omitted"].as_u64())
            .expect("says how many are missing");
        assert_eq!(list.len() as u64 - 1 + omitted, 100);
    }
}
