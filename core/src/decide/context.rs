//! [`Context`]: what a rule may read and ask. Asking gives the answer if it is there; if not, the question is kept and the
//! rule goes on as far as it can, so that all questions of a step are asked at once.

use std::cell::{OnceCell, Ref, RefCell};
use std::sync::Arc;

use super::message;
use super::policies::{self, Written};
use crate::model::{
    Answer, Answers, Asked, Finding, Isolate, Isolated, Mode, Namespace, NamespaceName, ObjectReference, Owner,
    Permission, Question, Questions, ReachedPod, Request, Running, Scope, Snapshot, Target, Who,
};
use crate::netpol::Policy;

/// What a rule may read and ask.
pub(super) struct Context<'c, 'r> {
    pub(super) snapshot: &'c Snapshot,
    pub(super) request: &'c Request<'r>,
    answers: &'c Answers,
    missing: RefCell<Questions<Mode>>,
    findings: RefCell<Vec<Finding>>,
    policies: OnceCell<Vec<Written>>,
    advice: RefCell<Vec<String>>,
}

/// What became of a read or a review.
pub(super) enum Known<T> {
    /// The answer.
    Yes(T),
    /// Asked; not answered yet.
    Pending,
    /// It could not be answered, and why.
    Failed(String),
}

/// Whether a permission is held.
pub(super) enum Held {
    /// It is.
    Yes,
    /// It is not; named is who lacks it where that is not the requester.
    No(Option<String>),
}

impl<'c, 'r> Context<'c, 'r> {
    pub(super) fn new(snapshot: &'c Snapshot, request: &'c Request<'r>, answers: &'c Answers) -> Self {
        Self {
            snapshot,
            request,
            answers,
            missing: RefCell::default(),
            findings: RefCell::default(),
            policies: OnceCell::new(),
            advice: RefCell::default(),
        }
    }

    /// Everything that was found, the questions that are still open, each once with its strongest mode, and the advice.
    pub(super) fn into_parts(self) -> (Vec<Finding>, Vec<Asked>, Vec<String>) {
        let Self {
            findings,
            missing,
            advice,
            ..
        } = self;
        let missing = missing.into_inner().into_listed().into_iter();
        let missing = missing.map(|(question, mode)| Asked { question, mode }).collect();
        (findings.into_inner(), missing, advice.into_inner())
    }

    /// Has something said to whoever asks, of what is let in: a line that reads on after the subject and a colon.
    pub(super) fn advise(&self, what: &str) {
        self.advice.borrow_mut().push(message::advice(self.request, what));
    }

    /// Keeps what a rule found.
    pub(super) fn keep(&self, found: Vec<Finding>) {
        self.findings.borrow_mut().extend(found);
    }

    /// What the rules before this one found.
    pub(super) fn found(&self) -> Ref<'_, [Finding]> {
        Ref::map(self.findings.borrow(), Vec::as_slice)
    }

    /// The NetworkPolicies that the request writes, each compiled once.
    pub(super) fn written_policies(&self) -> &[Written] {
        self.policies.get_or_init(|| policies::written(self.request))
    }

    /// Whether a question is still open.
    pub(super) fn is_missing_any(&self) -> bool {
        !self.missing.borrow().is_empty()
    }

    /// The answer, none where it is not there yet; then it will be asked.
    pub(super) fn ask(&self, question: Question, mode: Mode) -> Option<&'c Answer> {
        let answer = self.answers.get(&question);
        if answer.is_none() {
            let mut missing = self.missing.borrow_mut();
            let strongest = missing.entry(question, mode);
            *strongest = mode.max(*strongest);
        }
        answer
    }

    /// Whether the requester holds a permission. A delegate's own rights say nothing about who asked, so it is asked twice,
    /// as itself and as its `reviewAs`, and both must hold it.
    pub(super) fn allowed(&self, permission: &Permission, mode: Mode) -> Known<Held> {
        let itself = self.review(Who::Requester, permission, mode);
        let Some(reviewer) = self.reviewer() else { return itself };
        match (itself, self.review(Who::User(reviewer.clone()), permission, mode)) {
            (Known::Pending, _) | (_, Known::Pending) => Known::Pending,
            (Known::Yes(Held::No(_)), _) => Known::Yes(Held::No(None)),
            (_, Known::Yes(Held::No(_))) => Known::Yes(Held::No(Some(reviewer))),
            (Known::Failed(why), _) | (_, Known::Failed(why)) => Known::Failed(why),
            (Known::Yes(Held::Yes), Known::Yes(Held::Yes)) => Known::Yes(Held::Yes),
        }
    }

    /// As whom a delegate's requests are reviewed too, none where it is no delegate who asks.
    pub(super) fn reviewer(&self) -> Option<String> {
        let request = self.request;
        let mut delegates = self.snapshot.guardrails.delegates.iter();
        let delegate = delegates.find(|delegate| delegate.user == request.identity.username)?;
        Some(delegate.reviewer(&request.subject.namespace))
    }

    /// Whether they hold a permission, asked of them alone.
    pub(super) fn review(&self, who: Who, permission: &Permission, mode: Mode) -> Known<Held> {
        match self.ask(Question::Allowed(who, permission.clone()), mode) {
            None => Known::Pending,
            Some(Answer::Allowed(true)) => Known::Yes(Held::Yes),
            Some(Answer::Allowed(false)) => Known::Yes(Held::No(None)),
            Some(Answer::Failed(why)) => Known::Failed(why.clone()),
            Some(other) => Known::Failed(format!("the review was answered with {other:?}")),
        }
    }

    /// The pods that a connection reaches.
    pub(super) fn reached(&self, target: Target, mode: Mode) -> Known<&'c [ReachedPod]> {
        match self.ask(Question::Reached(target), mode) {
            None => Known::Pending,
            Some(Answer::Reached(pods)) => Known::Yes(pods),
            Some(Answer::Failed(why)) => Known::Failed(why.clone()),
            Some(other) => Known::Failed(format!("the read was answered with {other:?}")),
        }
    }

    /// The owner of an object.
    pub(super) fn owner(&self, reference: ObjectReference, mode: Mode) -> Known<Option<&'c Owner>> {
        match self.ask(Question::Owner(reference), mode) {
            None => Known::Pending,
            Some(Answer::Owner(owner)) => Known::Yes(owner.as_ref()),
            Some(Answer::Failed(why)) => Known::Failed(why.clone()),
            Some(other) => Known::Failed(format!("the read was answered with {other:?}")),
        }
    }

    /// The objects of an `apps/v1` resource in a namespace, with their templates.
    pub(super) fn templates(&self, resource: &str, namespace: &NamespaceName, mode: Mode) -> Known<&'c [Owner]> {
        let reference = ObjectReference {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            template: "/spec/template".to_owned(),
            namespace: namespace.clone(),
            name: String::new(),
        };
        match self.ask(Question::Templates(reference), mode) {
            None => Known::Pending,
            Some(Answer::Templates(owners)) => Known::Yes(owners),
            Some(Answer::Failed(why)) => Known::Failed(why.clone()),
            Some(other) => Known::Failed(format!("the list was answered with {other:?}")),
        }
    }

    /// What runs in a namespace, or would by a template there.
    pub(super) fn running(&self, namespace: &NamespaceName, mode: Mode) -> Known<&'c [Running]> {
        match self.ask(Question::Running(namespace.clone()), mode) {
            None => Known::Pending,
            Some(Answer::Running(running)) => Known::Yes(running),
            Some(Answer::Failed(why)) => Known::Failed(why.clone()),
            Some(other) => Known::Failed(format!("the list was answered with {other:?}")),
        }
    }

    /// Whether a namespace's policies stand; what does not may be applied first.
    pub(super) fn isolated(&self, namespace: NamespaceName, isolate: Isolate, mode: Mode) -> Known<&'c Isolated> {
        match self.ask(Question::Isolated(namespace, isolate), mode) {
            None => Known::Pending,
            Some(Answer::Isolated(isolated)) => Known::Yes(isolated),
            Some(Answer::Failed(why)) => Known::Failed(why.clone()),
            Some(other) => Known::Failed(format!("isolation was answered with {other:?}")),
        }
    }

    /// The NetworkPolicies of a namespace as they stand now, but for those that are being deleted.
    pub(super) fn policies(&self, namespace: &NamespaceName, mode: Mode) -> Known<&'c [Arc<Policy>]> {
        match self.ask(Question::Policies(namespace.clone()), mode) {
            None => Known::Pending,
            Some(Answer::Policies(policies)) => Known::Yes(policies),
            Some(Answer::Failed(why)) => Known::Failed(why.clone()),
            Some(other) => Known::Failed(format!("the list was answered with {other:?}")),
        }
    }

    /// A namespace as last seen.
    pub(super) fn cached_namespace(&self, name: &str) -> Option<&'c Arc<Namespace>> {
        self.snapshot.namespaces.get(name)
    }

    /// A namespace as it stands now, none where it does not exist.
    pub(super) fn live_namespace(&self, name: &NamespaceName, mode: Mode) -> Known<Option<&'c Namespace>> {
        match self.ask(Question::Namespace(name.clone()), mode) {
            None => Known::Pending,
            Some(Answer::Namespace(namespace)) => Known::Yes(namespace.as_ref()),
            Some(Answer::Failed(why)) => Known::Failed(why.clone()),
            Some(other) => Known::Failed(format!("the read was answered with {other:?}")),
        }
    }

    /// Where a consent is asked now. While its namespace does not exist or terminates, consent is the cluster's: whoever
    /// makes the namespace would come to hold every verb in it.
    pub(super) fn consent(&self, consent: &Scope, mode: Mode) -> Known<Scope> {
        let Scope::Namespace(name) = consent else {
            return Known::Yes(Scope::Cluster);
        };
        let stands = |namespace: &Namespace| !namespace.terminating;
        if self
            .cached_namespace(name.as_str())
            .is_some_and(|cached| stands(cached))
        {
            return Known::Yes(consent.clone());
        }
        // The cache may lag behind a namespace that has just been made: only the API server knows that it is absent.
        match self.live_namespace(name, mode) {
            Known::Pending => Known::Pending,
            Known::Failed(why) => Known::Failed(why),
            Known::Yes(Some(namespace)) if stands(namespace) => Known::Yes(consent.clone()),
            Known::Yes(_) => Known::Yes(Scope::Cluster),
        }
    }

    /// What a failure to learn something comes to in a namespace: in system namespaces it never denies.
    pub(super) fn failure_mode(&self, mode: Mode, namespace: &str) -> Mode {
        if self.snapshot.guardrails.system_namespaces.contains(namespace) {
            mode.min(Mode::Warn)
        } else {
            mode
        }
    }
}
