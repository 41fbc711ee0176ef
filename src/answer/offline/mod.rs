//! Offline answers: the core's questions answered from manifests, as the API server would answer them with these applied.
//! [`folder`] reads files, [`Manifests`] makes sense of them, [`Rbac`] evaluates permissions, [`Offline`] answers.

mod acceptance;
mod document;
pub mod folder;
mod manifests;
mod opted_in;
mod rbac;
mod world;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
pub use document::Problem;
pub(crate) use document::line_in;
pub(crate) use manifests::guessed_resource;
pub use manifests::{Manifests, Problems};
pub use opted_in::{OptedIn, Outcome, opted_in};
pub use rbac::{
    Access, Binding, EffectiveRule, Holder, PRIVILEGED_GROUP, Rbac, RoleName, account_namespace, covers, covers_name,
};
use ringfence_core::model::{Answer, Asked, Identity, Isolated, Permission, Question, Target, Who};
use serde_json::Value;

pub use world::{InvalidWorld, World};

use super::Answerer;

/// Answers from manifests, which can be swapped whole while it answers.
#[derive(Debug, Clone, Default)]
pub struct Offline(Arc<ArcSwap<Manifests>>);

impl Offline {
    /// Answers from these.
    pub fn new(manifests: Manifests) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(manifests)))
    }

    /// Answers from these from now on.
    pub fn replace(&self, manifests: Manifests) {
        self.0.store(Arc::new(manifests));
    }

    /// Adds or replaces an owner of pods, as the API server stores it; what is none is passed over.
    pub fn store(&self, object: &Value) {
        self.0.rcu(|manifests| {
            let mut manifests = Manifests::clone(manifests);
            manifests.store(object.clone());
            manifests
        });
    }

    /// What it answers from now.
    pub fn manifests(&self) -> Arc<Manifests> {
        self.0.load_full()
    }
}

impl Answerer for Offline {
    async fn answer(&self, identity: &Identity<'_>, asked: Vec<Asked>, _received: Instant) -> Vec<(Question, Answer)> {
        let manifests = self.0.load();
        asked
            .into_iter()
            .map(|Asked { question, mode: _ }| {
                let answer = match &question {
                    Question::Allowed(who, permission) => {
                        Answer::Allowed(allows(&manifests.rbac, identity, who, permission))
                    }
                    Question::Namespace(name) => {
                        Answer::Namespace(manifests.namespaces.get(name).map(|namespace| (**namespace).clone()))
                    }
                    Question::Owner(reference) => Answer::Owner(manifests.owner(reference)),
                    Question::Templates(reference) => Answer::Templates(manifests.templates(reference)),
                    Question::Running(namespace) => Answer::Running(manifests.running(namespace)),
                    Question::Reached(target) => reached(&manifests, target),
                    Question::Policies(namespace) => Answer::Policies(manifests.policies_of(namespace)),
                    // What a namespace lacks ringfence applies: with these manifests applied its policies stand.
                    Question::Isolated(..) => Answer::Isolated(Isolated::Stands { settles_in: None }),
                };
                (question, answer)
            })
            .collect()
    }
}

/// Manifests rarely hold running pods and never say which addresses lead to them: what is not written down is not known,
/// rather than not there.
fn reached(manifests: &Manifests, target: &Target) -> Answer {
    let pod = match target {
        Target::Pod(namespace, name) => manifests.pod(namespace, name),
        Target::PodAddresses(..) | Target::Service(..) | Target::Node(_) => None,
    };
    pod.map_or_else(
        || Answer::Failed(format!("no manifest tells {target}")),
        |pod| Answer::Reached(vec![pod.clone()]),
    )
}

fn allows(rbac: &Rbac, identity: &Identity<'_>, who: &Who, permission: &Permission) -> bool {
    let own_groups: Vec<&str> = identity.groups.iter().map(AsRef::as_ref).collect();
    let (user, groups): (&str, &[&str]) = match who {
        Who::Requester => (&identity.username, &own_groups),
        Who::User(user) => (user, &["system:authenticated"]),
    };
    rbac.allows(Access {
        user,
        groups,
        verb: permission.verb.as_str(),
        group: &permission.group,
        resource: &permission.resource,
        subresource: "",
        name: &permission.name,
        namespace: permission.scope.namespace(),
    })
}
