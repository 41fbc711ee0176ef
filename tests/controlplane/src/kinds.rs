//! Custom kinds for tests: as loose as a CustomResourceDefinition may be, since nobody but ringfence looks into them.

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::wait::wait_until;

/// A custom kind.
#[derive(Debug, Clone, Copy)]
pub struct Kind<'k> {
    /// API group.
    pub group: &'k str,
    /// The one version that is served.
    pub version: &'k str,
    /// Plural, as in paths.
    pub plural: &'k str,
    /// The kind.
    pub kind: &'k str,
    /// Where its objects live.
    pub lives: Lives,
}

/// Where the objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lives {
    /// In namespaces.
    InNamespaces,
    /// In none.
    InTheCluster,
}

impl Kind<'_> {
    /// The path of its objects in a namespace, or of all of them where they live in none.
    pub fn collection(&self, namespace: &str) -> String {
        let Self {
            group,
            version,
            plural,
            lives,
            ..
        } = self;
        match lives {
            Lives::InNamespaces => format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}"),
            Lives::InTheCluster => format!("/apis/{group}/{version}/{plural}"),
        }
    }
}

impl ControlPlane {
    /// Makes the API server serve these kinds, each with a status of its own, and waits until it does.
    ///
    /// # Panics
    /// If one of them is refused or not served in time.
    pub fn define(&self, kinds: &[Kind<'_>]) {
        for kind in kinds {
            let Kind {
                group,
                version,
                plural,
                kind,
                lives,
            } = kind;
            let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
            let scope = match lives {
                Lives::InNamespaces => "Namespaced",
                Lives::InTheCluster => "Cluster",
            };
            let definition = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                // Without it nobody may define a kind of a group of Kubernetes' own.
                "metadata": {"name": format!("{plural}.{group}"), "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}},
                "spec": {
                    "group": group, "scope": scope,
                    "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
                    "versions": [{"name": version, "served": true, "storage": true, "subresources": {"status": {}},
                        "schema": {"openAPIV3Schema": schema}}],
                },
            });
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            self.request("admin", "POST", path).json(&definition).send().ok();
        }
        for kind in kinds {
            let path = kind.collection("default");
            let served = wait_until(crate::control_plane::PATIENCE, &format!("{path} to be served"), || {
                (self.request("admin", "GET", &path).send().status == 200).then_some(())
            });
            served.unwrap_or_else(|timed_out| panic!("{timed_out}"));
        }
    }
}
