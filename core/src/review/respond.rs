//! [`respond`]: a decision as the JSON of an AdmissionReview. Our own type, since it must always carry the request's uid.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{Decision, RetryAfter, Verdict};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    /// JSON in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'static str,
    code: u16,
    reason: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u32,
}

/// A denial as a Kubernetes Status: HTTP-like `code`, its `reason` word (`Forbidden`, `TooManyRequests`, `BadRequest`).
fn status<'a>(code: u16, reason: &'static str, message: &'a str, retry: Option<RetryAfter>) -> Status<'a> {
    let details = retry.map(|RetryAfter(seconds)| Details {
        retry_after_seconds: seconds,
    });
    Status {
        status: "Failure",
        code,
        reason,
        message,
        details,
    }
}

fn write(response: Response<'_>) -> Vec<u8> {
    let review = Review {
        api_version: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response,
    };
    serde_json::to_vec(&review).expect("strings, numbers and a map with string keys always serialize")
}

/// The answer to the request of this uid, as JSON. A refusal carries code 403, one for want of an answer 429 with
/// `retryAfterSeconds`.
pub fn respond(uid: &str, decision: &Decision, audit_annotations: &BTreeMap<String, String>) -> Vec<u8> {
    let status = match &decision.verdict {
        Verdict::Allow => None,
        Verdict::Deny(message) => Some(status(403, "Forbidden", message, None)),
        Verdict::Retry(message, after) => Some(status(429, "TooManyRequests", message, Some(*after))),
    };
    write(Response {
        uid,
        allowed: decision.allowed(),
        status,
        patch_type: None,
        patch: None,
        warnings: &decision.warnings,
        audit_annotations,
    })
}

/// The refusal of what cannot be understood, as JSON: code 400.
pub fn respond_invalid(uid: &str, message: &str) -> Vec<u8> {
    let status = Some(status(400, "BadRequest", message, None));
    write(Response {
        uid,
        allowed: false,
        status,
        patch_type: None,
        patch: None,
        warnings: &[],
        audit_annotations: &BTreeMap::new(),
    })
}

/// What a mutating webhook answers, as JSON: let in, changed by this JSON patch (RFC 6902) in base64, or as it is.
pub fn respond_patched(uid: &str, patch: Option<&str>) -> Vec<u8> {
    write(Response {
        uid,
        allowed: true,
        status: None,
        patch_type: patch.map(|_| "JSONPatch"),
        patch,
        warnings: &[],
        audit_annotations: &BTreeMap::new(),
    })
}
