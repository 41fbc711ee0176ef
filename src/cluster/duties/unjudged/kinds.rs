//! The kinds whose objects bring templates of their own. What is made for one template (ReplicaSets, Jobs,
//! ControllerRevisions) is told with its maker; there would be too many.

use ringfence_core::guardrails::Guardrails;

/// A kind whose objects bring templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    /// Its plural.
    pub(super) resource: String,
    /// JSON pointer to the template or the list of them.
    pub(super) template: String,
    /// What else tells when the template in force was written.
    pub(super) revisions: Versions,
}

/// The objects that Kubernetes makes for each template of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Versions {
    /// None, or none that pods hang on.
    None,
    /// The ReplicaSets of a Deployment.
    ReplicaSets,
    /// The ControllerRevisions of a StatefulSet.
    ControllerRevisions,
    /// A custom kind, of which nothing is known.
    Custom,
}

const TEMPLATE: &str = "/spec/template";

#[rustfmt::skip]
const BUILT_IN: &[(&str, &str, &str, Versions)] = &[
    ("apps", "deployments", TEMPLATE, Versions::ReplicaSets),
    ("apps", "statefulsets", TEMPLATE, Versions::ControllerRevisions),
    ("apps", "daemonsets", TEMPLATE, Versions::None),
    ("batch", "cronjobs", "/spec/jobTemplate/spec/template", Versions::None),
    ("", "replicationcontrollers", TEMPLATE, Versions::None),
];

/// The built-in kinds, then the configured ones.
pub(super) fn kinds(guardrails: &Guardrails) -> Vec<Kind> {
    let built_in = BUILT_IN.iter().map(|(group, resource, template, revisions)| Kind {
        group: (*group).to_owned(),
        version: "v1".to_owned(),
        resource: (*resource).to_owned(),
        template: (*template).to_owned(),
        revisions: *revisions,
    });
    let custom = guardrails.workloads.iter().map(|workload| Kind {
        group: workload.group.clone(),
        version: workload.version.clone(),
        resource: workload.resource.clone(),
        template: workload.pointer(),
        revisions: Versions::Custom,
    });
    built_in.chain(custom).collect()
}

impl Kind {
    pub(super) fn is_custom(&self) -> bool {
        self.revisions == Versions::Custom
    }

    /// As `kubectl get` takes it, e.g. `deployments.apps`.
    pub(super) fn name(&self) -> String {
        if self.group.is_empty() {
            self.resource.clone()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    /// The path of all of its objects, or of those of one namespace.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.resource),
            None => format!("{root}/{}", self.resource),
        }
    }
}
