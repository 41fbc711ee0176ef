//! What people read: the denial that kubectl prints and the warning lines. Untrusted words (user names above all) are
//! quoted, so that nobody writes lines of their own into it.

use crate::model::{Finding, GROUP, Identity, Permission, Reason, Request, Scope};

/// The most findings that one answer tells; the rest are counted.
pub(super) const MOST_FINDINGS: usize = 5;

/// The most characters of a warning: clients may cut what is longer.
pub(super) const MOST_WARNING_CHARACTERS: usize = 120;

/// The text of a denial: every finding with why it is so, how to check it and what would settle it.
pub(super) fn denial(request: &Request<'_>, findings: &[&Finding]) -> String {
    let mut text = findings
        .iter()
        .take(MOST_FINDINGS)
        .map(|finding| explained(request, finding))
        .collect::<Vec<_>>()
        .join("\n");
    if findings.len() > MOST_FINDINGS {
        text.push_str(&format!("\nand {} more", findings.len() - MOST_FINDINGS));
    }
    text
}

fn explained(request: &Request<'_>, finding: &Finding) -> String {
    let user = quoted(lacking(request, finding));
    let (subject, what) = (&request.subject, &finding.what);
    let mut text = match finding.reason {
        Reason::Unanswered if finding.permission.is_none() => {
            format!("{subject} {what}, for now: what decides it could not be found out. Try again.")
        }
        Reason::Unanswered => format!(
            "{subject} {what} for now: whether user {user} holds the permission could not be found out. Try again."
        ),
        Reason::Refused | Reason::NotIsolated | Reason::NotSettled { .. } => format!("{subject} {what}."),
        _ => format!("{subject} {what}: user {user} lacks the permission."),
    };
    text.push_str(&format!("\n  why:   {}", finding.why));
    if finding.reviewer.is_some() {
        text.push_str(&format!(
            "; asked for {}, a delegate",
            quoted(&request.identity.username)
        ));
    }
    if let Some(permission) = &finding.permission {
        text.push_str(&format!("\n  check: {}", permission.can_i()));
        if finding.reason == Reason::LacksPermission {
            let identity = Identity {
                username: lacking(request, finding).into(),
                ..Identity::default()
            };
            text.push_str(&format!("\n  grant: {}", grant(permission, &identity)));
        }
    }
    text
}

/// The user who lacks the permission: the requester, or whom a delegate is reviewed as.
fn lacking<'r>(request: &'r Request<'_>, finding: &'r Finding) -> &'r str {
    finding.reviewer.as_deref().unwrap_or(&request.identity.username)
}

/// The `ringfence grant` line that prints what would settle it.
fn grant(permission: &Permission, identity: &Identity<'_>) -> String {
    let Permission {
        verb,
        group,
        resource,
        name,
        scope,
    } = permission;
    // Where a segment's owner consents is looked up; of other groups nobody but the permission says it.
    let (target, place) = match (group == GROUP, scope) {
        (true, Scope::Namespace(_)) => (resource.to_string(), String::new()),
        (true, Scope::Cluster) => (resource.to_string(), " --cluster".to_owned()),
        (false, Scope::Namespace(namespace)) => (format!("{resource}.{group}"), format!(" -n {namespace}")),
        (false, Scope::Cluster) => (format!("{resource}.{group}"), " --cluster".to_owned()),
    };
    let subject = match identity.service_account() {
        Some(account) => format!(
            "--serviceaccount {}",
            shell_word(&format!("{}:{}", account.namespace, account.name))
        ),
        None => format!("--user {}", shell_word(&identity.username)),
    };
    format!("ringfence grant {verb} {target}/{name}{place} {subject}")
}

/// One line that begins `ringfence:`.
pub(super) fn warning(request: &Request<'_>, finding: &Finding) -> String {
    let user = quoted(lacking(request, finding));
    let rest = match (finding.reason, &finding.permission) {
        (Reason::Unanswered, _) => "could not be checked".to_owned(),
        (Reason::NotIsolated, _) => "its policies do not stand".to_owned(),
        (Reason::Refused, _) => "no permission settles it".to_owned(),
        (Reason::NoWorse, _) => "no worse than before".to_owned(),
        (_, Some(permission)) => match &permission.scope {
            Scope::Namespace(namespace) => format!("user {user} lacks {} in {namespace}", permission.verb),
            Scope::Cluster => format!("user {user} lacks {} at the cluster", permission.verb),
        },
        (_, None) => format!("user {user} lacks the permission"),
    };
    shortened(
        format!("ringfence: {} {}: {rest}", request.subject, finding.what),
        MOST_WARNING_CHARACTERS,
    )
}

/// One line that begins `ringfence:` on what was let in.
pub(super) fn advice(request: &Request<'_>, what: &str) -> String {
    shortened(
        format!("ringfence: {}: {what}", request.subject),
        MOST_WARNING_CHARACTERS,
    )
}

pub(super) fn shortened(text: String, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text,
        Some(_) => text.chars().take(limit - 1).chain(['…']).collect(),
    }
}

/// In double quotes, with everything that could break a line escaped.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(text.escape_debug().to_string(), 256))
}

/// As one word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.:@/+=,%".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        let visible: String = text.chars().filter(|character| !character.is_control()).collect();
        format!("'{}'", visible.replace('\'', r"'\''"))
    }
}
