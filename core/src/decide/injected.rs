//! # Injected
//!
//! **Stops** whoever writes policies in a namespace from taking down the ones that isolate it. The built-in roles `admin`
//! and `edit` may change and delete NetworkPolicies, and a tenant may hold every verb in its namespace; so what ringfence
//! puts there is ringfence's to change, also while the namespace is being deleted: its pods may live on, and a policy that is
//! gone cannot be put back.
//!
//! **Example.** `kubectl delete networkpolicy --all` in an isolated namespace deletes one's own policies and is refused for
//! `ringfence-default-deny-ingress`. So are a change of its spec, labels or annotations, an ownerReference or a finalizer on
//! it, a new policy whose name begins with `ringfence-`, whatever its labels, and one that is labelled
//! `app.kubernetes.io/managed-by: ringfence`. The same holds for the kinds of a profile's `manifests`. Deletions by the
//! namespace controller never come to ringfence: a namespace goes also while ringfence is away.
//!
//! **Settle it** with another profile for the namespace (`ringfence.dev/isolation`), or with `manage` on the namespace's
//! profile: `ringfence grant manage isolationprofiles/restricted --cluster --user NAME`. Under Enforce ringfence puts back
//! what somebody with `manage` changed.

use super::context::{Context, Known};
use super::{Case, settled, unanswered};
use crate::guardrails::{Guardrails, ISOLATION_LABEL, Isolation, MANAGED_BY, RESERVED_PREFIX};
use crate::labels::LabelSet;
use crate::model::{
    Action, Finding, Mode, Namespace, NamespaceName, Operation, Permission, PolicyChange, PolicyWrite, RuleName, Verb,
};

/// The rule's name.
pub(super) const NAME: RuleName = "Injected";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let namespace = context.request.subject.namespace.as_ref();
    let (Some(isolation), Some(mode)) = (&guardrails.isolation, guardrails.isolation_mode(namespace)) else {
        return Vec::new();
    };
    // Profiles put nothing where there is no namespace.
    if namespace.is_empty() {
        return Vec::new();
    }
    let writes = context.request.actions.iter().filter_map(|action| match action {
        Action::WritePolicy(write) => Some(write),
        _ => None,
    });
    writes
        .filter_map(|write| finding(context, isolation, mode, write))
        .collect()
}

/// By what a policy is one of ringfence's.
enum Mark {
    /// By its name, which is reserved whatever its labels.
    Name,
    /// By its label, before or after the write.
    Label,
}

fn mark(name: &str, write: &PolicyWrite<'_>) -> Option<Mark> {
    let labelled = [&write.before, &write.after]
        .into_iter()
        .flatten()
        .any(|policy| policy.labels.value(MANAGED_BY.0) == Some(MANAGED_BY.1));
    if name.starts_with(RESERVED_PREFIX) {
        Some(Mark::Name)
    } else {
        labelled.then_some(Mark::Label)
    }
}

fn finding(context: &Context<'_, '_>, isolation: &Isolation, mode: Mode, write: &PolicyWrite<'_>) -> Option<Finding> {
    let request = context.request;
    let mark = mark(&request.subject.name, write)?;
    let doing = match request.operation {
        Operation::Create => "be created",
        Operation::Delete => "be deleted",
        Operation::Update | Operation::Connect if write.changes.is_empty() => return None,
        Operation::Update | Operation::Connect => "be changed",
    };
    let namespace = match NamespaceName::new(&request.subject.namespace) {
        Ok(namespace) => namespace,
        Err(error) => return Some(unanswered(context, NAME, mode, doing, &error.to_string())),
    };
    // Read live: which profile's permission settles it hangs on the namespace's labels, never on the policy's own.
    let profile = match context.live_namespace(&namespace, mode) {
        Known::Pending => return None,
        Known::Failed(why) => return Some(unanswered(context, NAME, mode, doing, &why)),
        Known::Yes(live) => profile(&context.snapshot.guardrails, isolation, live),
    };
    let case = Case {
        rule: NAME,
        mode,
        segment: None,
        clause: None,
        doing: doing.to_owned(),
        why: explained(&mark, &write.changes, &namespace, profile),
    };
    settled(context, Permission::profile(Verb::Manage, profile), case)
}

/// The name of the profile that a namespace's labels choose. One that is gone has the default's.
fn profile<'g>(guardrails: &'g Guardrails, isolation: &'g Isolation, namespace: Option<&Namespace>) -> &'g str {
    let label = namespace.and_then(|namespace| namespace.labels.value(ISOLATION_LABEL));
    guardrails.choice(isolation, label).profile_name()
}

fn explained(mark: &Mark, changes: &[PolicyChange], namespace: &NamespaceName, profile: &str) -> String {
    let mut why = match mark {
        Mark::Name => format!("names that begin with {RESERVED_PREFIX} are kept for"),
        Mark::Label => format!("label {}={} marks", MANAGED_BY.0, MANAGED_BY.1),
    };
    why.push_str(&format!(
        " the policies that isolate namespace {namespace} (profile {profile})"
    ));
    if !changes.is_empty() {
        let words: Vec<&str> = changes.iter().map(|change| change.as_str()).collect();
        why.push_str(&format!("; it would change its {}", words.join(", ")));
    }
    why
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::decide::tests::world::{answering, compiled, document, namespace, policy_write};
    use crate::decide::{Step, decide};
    use crate::labels::Labels;
    use crate::model::{Answer, Answers, Decision, PolicyText, Question, Reason, Request, Snapshot, Verdict, Who};

    fn snapshot(spec: &str) -> Snapshot {
        let profile = "{policies: [{builtin: default-deny-ingress}]}";
        let text = document("Guardrails", "default", spec)
            + &document("IsolationProfile", "restricted", profile)
            + &document("IsolationProfile", "strict", profile);
        Snapshot {
            guardrails: Arc::new(compiled(text)),
            ..Snapshot::default()
        }
    }

    const ENFORCE: &str = "{mode: Enforce, isolation: {defaultProfile: restricted}}";
    type Pairs = &'static [(&'static str, &'static str)];

    const OURS: Pairs = &[("app.kubernetes.io/managed-by", "ringfence")];
    const OTHERS: Pairs = &[("app.kubernetes.io/managed-by", "helm")];
    const NOTHING: Pairs = &[];
    const STRICT: Pairs = &[(ISOLATION_LABEL, "strict")];
    const OPTED_OUT: Pairs = &[(ISOLATION_LABEL, "none")];
    const GONE: Pairs = &[(ISOLATION_LABEL, "gone")];
    const NAMED: &str = "ringfence-default-deny-ingress";

    fn request(
        (namespace, name): (&'static str, &'static str),
        before: Option<Pairs>,
        after: Option<Pairs>,
        changes: &[PolicyChange],
    ) -> Request<'static> {
        let text = |labels: Pairs| PolicyText {
            labels: labels.iter().copied().collect::<Labels<'_>>(),
            ..PolicyText::default()
        };
        policy_write((namespace, name), before.map(text), after.map(text), changes)
    }

    fn manage(profile: &str) -> Question {
        Question::Allowed(Who::Requester, Permission::profile(Verb::Manage, profile))
    }

    /// Decides with a namespace that stands so, and with these permissions.
    fn decided(
        snapshot: &Snapshot,
        request: &Request<'_>,
        namespace: Option<Pairs>,
        held: &[&str],
    ) -> (Decision, usize) {
        let (decision, rounds) = answering(snapshot, request, |question| match question {
            Question::Namespace(_) => Answer::Namespace(namespace.map(|labels| Namespace {
                terminating: true,
                ..self::namespace(labels)
            })),
            Question::Allowed(..) => Answer::Allowed(held.iter().any(|held| manage(held) == *question)),
            other => panic!("unexpected: {other}"),
        });
        (decision, rounds.iter().map(Vec::len).sum())
    }

    #[test]
    fn a_denial_says_what_is_whose() {
        let request = request(
            ("web", NAMED),
            Some(OURS),
            Some(OTHERS),
            &[PolicyChange::Content, PolicyChange::Labels],
        );
        let (decision, _) = decided(&snapshot(ENFORCE), &request, Some(NOTHING), &["strict", "none"]);
        let Verdict::Deny(text) = decision.verdict else {
            panic!("expected a denial: {decision:?}")
        };
        insta::assert_snapshot!(text, @r#"
        NetworkPolicy web/ringfence-default-deny-ingress may not be changed: user "mallory" lacks the permission.
          why:   names that begin with ringfence- are kept for the policies that isolate namespace web (profile restricted); it would change its spec, labels
          check: kubectl auth can-i manage isolationprofiles.ringfence.dev/restricted --all-namespaces
          grant: ringfence grant manage isolationprofiles/restricted --cluster --user mallory
        "#);
    }

    #[rstest]
    #[case::a_reserved_name_is_created(NAMED, None, Some(OTHERS), &[])]
    #[case::with_any_suffix("ringfence-", None, Some(OTHERS), &[])]
    #[case::by_a_generated_name("ringfence-*", None, Some(NOTHING), &[])]
    #[case::one_that_says_it_is_ours("mine", None, Some(OURS), &[])]
    #[case::one_that_comes_to_say_so("mine", Some(OTHERS), Some(OURS), &[PolicyChange::Labels])]
    #[case::one_that_no_longer_says_so("mine", Some(OURS), Some(OTHERS), &[PolicyChange::Labels])]
    #[case::its_spec(NAMED, Some(OURS), Some(OURS), &[PolicyChange::Content])]
    #[case::its_annotations(NAMED, Some(OURS), Some(OURS), &[PolicyChange::Annotations])]
    #[case::an_owner(NAMED, Some(OURS), Some(OURS), &[PolicyChange::Owners])]
    #[case::a_finalizer(NAMED, Some(OURS), Some(OURS), &[PolicyChange::Finalizers])]
    #[case::deleted(NAMED, Some(OURS), None, &[])]
    #[case::deleted_after_it_lost_its_label(NAMED, Some(OTHERS), None, &[])]
    fn what_is_ours_needs_manage(
        #[case] name: &'static str,
        #[case] before: Option<Pairs>,
        #[case] after: Option<Pairs>,
        #[case] changes: &[PolicyChange],
    ) {
        let request = request(("web", name), before, after, changes);
        let snapshot = snapshot(ENFORCE);
        let (refused, _) = decided(&snapshot, &request, Some(NOTHING), &[]);
        assert!(matches!(refused.verdict, Verdict::Deny(_)), "{refused:?}");
        let (allowed, _) = decided(&snapshot, &request, Some(NOTHING), &["restricted"]);
        assert!(allowed.allowed(), "{allowed:?}");
        assert_eq!(allowed.findings[0].reason, Reason::Permitted);
    }

    #[rstest]
    #[case::ones_own(("web", "mine"), None, Some(OTHERS), &[])]
    #[case::a_name_that_is_only_like_it(("web", "ringfenced"), None, Some(OTHERS), &[])]
    #[case::ones_own_deleted(("web", "mine"), Some(OTHERS), None, &[])]
    #[case::ours_untouched(("web", NAMED), Some(OURS), Some(OURS), &[])]
    #[case::of_a_system_namespace(("kube-system", NAMED), None, Some(OURS), &[])]
    fn everything_else_passes_and_nothing_is_asked(
        #[case] object: (&'static str, &'static str),
        #[case] before: Option<Pairs>,
        #[case] after: Option<Pairs>,
        #[case] changes: &[PolicyChange],
    ) {
        let request = request(object, before, after, changes);
        let (decision, asked) = decided(&snapshot(ENFORCE), &request, Some(NOTHING), &[]);
        assert_eq!(
            (decision.verdict, decision.findings.len(), asked),
            (Verdict::Allow, 0, 0)
        );
    }

    #[rstest]
    #[case::by_default(Some(NOTHING), "restricted")]
    #[case::chosen(Some(STRICT), "strict")]
    #[case::opted_out(Some(OPTED_OUT), "none")]
    #[case::one_that_is_gone(Some(GONE), "restricted")]
    #[case::a_namespace_that_is_gone(None, "restricted")]
    fn the_namespace_says_which_profile_is_asked(#[case] namespace: Option<Pairs>, #[case] profile: &str) {
        let request = request(("web", NAMED), Some(OURS), None, &[]);
        let snapshot = snapshot(ENFORCE);
        assert!(decided(&snapshot, &request, namespace, &[profile]).0.allowed());
        let others: Vec<&str> = ["restricted", "strict", "none", "gone"]
            .into_iter()
            .filter(|name| *name != profile)
            .collect();
        assert!(!decided(&snapshot, &request, namespace, &others).0.allowed());
    }

    #[rstest]
    #[case::off("{mode: Enforce}", "allow")]
    #[case::warned("{mode: Warn, isolation: {defaultProfile: restricted}}", "warn")]
    #[case::recorded("{mode: Enforce, isolation: {mode: Audit, defaultProfile: restricted}}", "audit")]
    #[case::capped(
        "{mode: Enforce, rollout: {default: Audit}, isolation: {defaultProfile: restricted}}",
        "audit"
    )]
    #[case::enforced(ENFORCE, "deny")]
    fn the_mode_of_isolation_holds(#[case] guardrails: &str, #[case] outcome: &str) {
        let request = request(("web", NAMED), Some(OURS), None, &[]);
        let (decision, _) = decided(&snapshot(guardrails), &request, Some(NOTHING), &[]);
        assert_eq!(decision.outcome(), outcome);
    }

    #[test]
    fn what_could_not_be_read_is_tried_again() {
        let request = request(("web", NAMED), Some(OURS), None, &[]);
        let mut answers = Answers::new();
        let namespace = NamespaceName::new("web").expect("a name");
        answers.insert(Question::Namespace(namespace), Answer::Failed("no answer".to_owned()));
        let Step::Done(decision) = decide(&snapshot(ENFORCE), &request, &answers) else {
            panic!("nothing else is asked")
        };
        assert!(matches!(decision.verdict, Verdict::Retry(..)), "{decision:?}");
    }
}
