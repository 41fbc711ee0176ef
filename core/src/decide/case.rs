//! [`Case`]: what a rule looks at, before it is known how it ends. What ends it makes the [`Finding`]: a permission that is
//! asked ([`settled`]), something that could not be learned ([`Case::failed`], [`unanswered`]), or a reason that the rule
//! knows by itself ([`Case::found`]).

use super::context::{Context, Held, Known};
use crate::model::{Finding, Mode, Permission, Reason, RuleName, SegmentName};

/// A finding but for its reason.
pub(super) struct Case {
    pub(super) rule: RuleName,
    /// What a refusal comes to.
    pub(super) mode: Mode,
    pub(super) segment: Option<SegmentName>,
    pub(super) clause: Option<String>,
    /// What is done: reads on after `may` or `may not`.
    pub(super) doing: String,
    /// Why the rule looked.
    pub(super) why: String,
}

impl Case {
    /// The finding for this reason, with the permission that would settle it. What is `Unanswered` denies nothing in system
    /// namespaces.
    pub(super) fn found(self, context: &Context<'_, '_>, reason: Reason, permission: Option<Permission>) -> Finding {
        let modal = if reason.refuses() { "may not" } else { "may" };
        Finding {
            rule: self.rule,
            reason,
            mode: match reason {
                Reason::Unanswered => context.failure_mode(self.mode, &context.request.subject.namespace),
                _ => self.mode,
            },
            segment: self.segment,
            clause: self.clause,
            permission,
            reviewer: None,
            what: format!("{modal} {}", self.doing),
            why: self.why,
        }
    }

    /// The finding that something could not be learned, which is told after why the rule looked.
    pub(super) fn failed(
        mut self,
        context: &Context<'_, '_>,
        permission: Option<Permission>,
        failure: &str,
    ) -> Finding {
        self.why.push_str("; ");
        self.why.push_str(failure);
        self.found(context, Reason::Unanswered, permission)
    }
}

/// The finding on what one permission settles, asked of the requester; none until it is known.
pub(super) fn settled(context: &Context<'_, '_>, permission: Permission, case: Case) -> Option<Finding> {
    match context.allowed(&permission, case.mode) {
        Known::Pending => None,
        Known::Yes(Held::Yes) => Some(case.found(context, Reason::Permitted, Some(permission))),
        Known::Yes(Held::No(reviewer)) => Some(Finding {
            reviewer,
            ..case.found(context, Reason::LacksPermission, Some(permission))
        }),
        Known::Failed(failure) => Some(case.failed(context, Some(permission), &failure)),
    }
}

/// A finding that what had to be known before any clause could be named could not be learned.
pub(super) fn unanswered(context: &Context<'_, '_>, rule: RuleName, mode: Mode, doing: &str, why: &str) -> Finding {
    let case = Case {
        rule,
        mode,
        segment: None,
        clause: None,
        doing: doing.to_owned(),
        why: why.to_owned(),
    };
    case.found(context, Reason::Unanswered, None)
}
