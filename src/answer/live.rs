//! [`Live`]: answers from the API server. Permissions by SubjectAccessReview, behind a cache of seconds; namespaces and
//! owners by reads that began after the review arrived, shared by those who wait together and kept by nobody.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant as StdInstant;

use futures::future::join_all;
use ringfence_core::model::{
    Answer, Asked, Identity, Isolate, Isolated, Namespace, NamespaceName, ObjectReference, Owner, Permission, Question,
    ReachedPod, Running, Target, Who,
};
use ringfence_core::netpol::Policy;
use tokio::time::{Instant, timeout_at};

use super::calls::{CallError, Calls, Reviewed};
use super::metrics::{Metrics, Source};
use super::permissions::{Key, KeyRef, Permissions};
use super::shared::{Freshness, SharedReads, Sharing};
use super::{Answerer, deadline, patience};
use crate::Current;
use crate::isolate::{self, Failure, Synchronous};

/// How many different things of one kind may be asked of the API server at a time; more are not worth waiting for.
const MOST_WAITING: usize = 2048;

/// Answers from the API server.
pub struct Live {
    calls: Arc<Calls>,
    permissions: Arc<Permissions>,
    reviews: SharedReads<Arc<Key>, Result<bool, CallError>>,
    namespaces: SharedReads<NamespaceName, Result<Option<Namespace>, CallError>>,
    owners: SharedReads<ObjectReference, Result<Option<Owner>, CallError>>,
    templates: SharedReads<ObjectReference, Result<Vec<Owner>, CallError>>,
    running: SharedReads<NamespaceName, Result<Vec<Running>, CallError>>,
    reached: SharedReads<Target, Result<Vec<ReachedPod>, CallError>>,
    policies: SharedReads<NamespaceName, Result<Vec<Arc<Policy>>, CallError>>,
    isolation: Synchronous,
    metrics: Metrics,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// Answers from the API server of this configuration, over connections of its own: watches that stall, or that are
    /// held back, hold up no answer. Which policies a namespace gets is what `current` says. Needs a runtime, in which the
    /// connections live.
    pub fn connect(
        config: kube::Config,
        current: Current,
        metrics: Metrics,
        isolation: isolate::Metrics,
    ) -> Result<Self, kube::Error> {
        Ok(Self::over(Calls::to(config)?, current, metrics, isolation))
    }

    pub(super) fn over(calls: Calls, current: Current, metrics: Metrics, isolation: isolate::Metrics) -> Self {
        let calls = Arc::new(calls);
        Self {
            isolation: Synchronous::new(Arc::clone(&calls), current, isolation),
            calls,
            permissions: Arc::default(),
            reviews: SharedReads::new(MOST_WAITING),
            namespaces: SharedReads::new(MOST_WAITING),
            owners: SharedReads::new(MOST_WAITING),
            templates: SharedReads::new(MOST_WAITING),
            running: SharedReads::new(MOST_WAITING),
            reached: SharedReads::new(MOST_WAITING),
            policies: SharedReads::new(MOST_WAITING),
            metrics,
        }
    }

    /// Whether they may: by what was said seconds ago, by what is just being asked, or by asking.
    async fn allowed(&self, identity: &Identity<'_>, permission: &Permission) -> Result<bool, CallError> {
        let key = KeyRef { identity, permission };
        if let Some(allowed) = self.permissions.get(&key) {
            self.metrics.looked_up(Source::Kept);
            return Ok(allowed);
        }
        let (calls, permissions) = (Arc::clone(&self.calls), Arc::clone(&self.permissions));
        let metrics = self.metrics.clone();
        let review = move |key: Arc<Key>| {
            let (calls, permissions, metrics) = (Arc::clone(&calls), Arc::clone(&permissions), metrics.clone());
            async move {
                let asked = Instant::now();
                let reviewed = calls.review(&key.identity, &key.permission).await;
                metrics.reviewed(&reviewed, asked.elapsed());
                let reviewed = reviewed?;
                let allowed = reviewed == Reviewed::Allowed;
                if reviewed != Reviewed::RefusedForNow {
                    permissions.keep(key, allowed, asked);
                }
                Ok(allowed)
            }
        };
        let (ticket, sharing) = self
            .reviews
            .join(key.to_key(), Freshness::UnderWay, review)
            .ok_or(CallError::TooMany)?;
        self.metrics.looked_up(match sharing {
            Sharing::Own => Source::Asked,
            Sharing::Joined => Source::Joined,
        });
        ticket.value().await.unwrap_or(Err(CallError::Died))
    }

    async fn namespace(&self, name: NamespaceName, fresh: Freshness) -> Result<Option<Namespace>, CallError> {
        let calls = Arc::clone(&self.calls);
        let read = move |name| {
            let calls = Arc::clone(&calls);
            async move { calls.namespace(&name).await }
        };
        let (ticket, sharing) = self.namespaces.join(name, fresh, read).ok_or(CallError::TooMany)?;
        let namespace = ticket.value().await.unwrap_or(Err(CallError::Died));
        self.metrics.read("namespace", &namespace, sharing);
        namespace
    }

    async fn owner(&self, reference: ObjectReference, fresh: Freshness) -> Result<Option<Owner>, CallError> {
        let calls = Arc::clone(&self.calls);
        let read = move |reference| {
            let calls = Arc::clone(&calls);
            async move { calls.owner(&reference).await }
        };
        let (ticket, sharing) = self.owners.join(reference, fresh, read).ok_or(CallError::TooMany)?;
        let owner = ticket.value().await.unwrap_or(Err(CallError::Died));
        self.metrics.read("owner", &owner, sharing);
        owner
    }

    async fn templates(&self, reference: ObjectReference, fresh: Freshness) -> Result<Vec<Owner>, CallError> {
        let calls = Arc::clone(&self.calls);
        let read = move |reference| {
            let calls = Arc::clone(&calls);
            async move { calls.templates(&reference).await }
        };
        let (ticket, sharing) = self.templates.join(reference, fresh, read).ok_or(CallError::TooMany)?;
        let owners = ticket.value().await.unwrap_or(Err(CallError::Died));
        self.metrics.listed("templates", &owners, sharing);
        owners
    }

    async fn reached(&self, target: Target, fresh: Freshness) -> Result<Vec<ReachedPod>, CallError> {
        let calls = Arc::clone(&self.calls);
        let read = move |target| {
            let calls = Arc::clone(&calls);
            async move { calls.reached(&target).await }
        };
        let (ticket, sharing) = self.reached.join(target, fresh, read).ok_or(CallError::TooMany)?;
        let pods = ticket.value().await.unwrap_or(Err(CallError::Died));
        self.metrics.listed("reached", &pods, sharing);
        pods
    }

    async fn policies(&self, namespace: NamespaceName, fresh: Freshness) -> Result<Vec<Arc<Policy>>, CallError> {
        let calls = Arc::clone(&self.calls);
        let read = move |namespace| {
            let calls = Arc::clone(&calls);
            async move { calls.policies(&namespace).await }
        };
        let (ticket, sharing) = self.policies.join(namespace, fresh, read).ok_or(CallError::TooMany)?;
        let policies = ticket.value().await.unwrap_or(Err(CallError::Died));
        self.metrics.listed("networkpolicies", &policies, sharing);
        policies
    }

    async fn running(&self, namespace: NamespaceName, fresh: Freshness) -> Result<Vec<Running>, CallError> {
        let calls = Arc::clone(&self.calls);
        let read = move |namespace| {
            let calls = Arc::clone(&calls);
            async move { calls.running(&namespace).await }
        };
        let (ticket, sharing) = self.running.join(namespace, fresh, read).ok_or(CallError::TooMany)?;
        let running = ticket.value().await.unwrap_or(Err(CallError::Died));
        self.metrics.listed("running", &running, sharing);
        running
    }

    async fn isolated(&self, name: &NamespaceName, isolate: Isolate, received: Instant) -> Answer {
        match self.isolation.isolated(name, isolate, received).await {
            Ok(isolated) => Answer::Isolated(isolated),
            Err(Failure::Refused(why)) => Answer::Isolated(Isolated::Refused(why)),
            Err(Failure::Passing(why)) => Answer::Failed(why),
        }
    }

    async fn one(&self, identity: &Identity<'_>, question: &Question, received: Instant) -> Result<Answer, CallError> {
        let fresh = Freshness::BeganAfter(received);
        match question {
            Question::Allowed(Who::Requester, permission) => {
                self.allowed(identity, permission).await.map(Answer::Allowed)
            }
            Question::Allowed(Who::User(user), permission) => self
                .allowed(&authenticated(user), permission)
                .await
                .map(Answer::Allowed),
            Question::Namespace(name) => self.namespace(name.clone(), fresh).await.map(Answer::Namespace),
            Question::Owner(reference) => self.owner(reference.clone(), fresh).await.map(Answer::Owner),
            Question::Templates(reference) => self.templates(reference.clone(), fresh).await.map(Answer::Templates),
            Question::Reached(target) => self.reached(target.clone(), fresh).await.map(Answer::Reached),
            Question::Policies(name) => self.policies(name.clone(), fresh).await.map(Answer::Policies),
            Question::Running(namespace) => self.running(namespace.clone(), fresh).await.map(Answer::Running),
            Question::Isolated(name, isolate) => Ok(self.isolated(name, *isolate, received).await),
        }
    }

    async fn in_time(&self, identity: &Identity<'_>, asked: Asked, received: StdInstant) -> (Question, Answer) {
        let Asked { question, mode } = asked;
        let answer = self.one(identity, &question, Instant::from_std(received));
        let answer = match timeout_at(deadline(received, mode), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::Failed(error.to_string()),
            Err(_) => Answer::Failed(CallError::TimedOut(patience(mode)).to_string()),
        };
        (question, answer)
    }
}

impl Answerer for Live {
    async fn answer(
        &self,
        identity: &Identity<'_>,
        asked: Vec<Asked>,
        received: StdInstant,
    ) -> Vec<(Question, Answer)> {
        join_all(asked.into_iter().map(|asked| self.in_time(identity, asked, received))).await
    }
}

/// A user of whom nothing is known but that they were authenticated.
fn authenticated(user: &str) -> Identity<'_> {
    Identity {
        username: Cow::Borrowed(user),
        groups: vec![Cow::Borrowed("system:authenticated")],
        ..Identity::default()
    }
}
