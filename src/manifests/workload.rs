//! What runs: Namespace, Deployment, Service, PodDisruptionBudget and the quota that some clusters ask of critical pods.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Namespace,
    ObjectFieldSelector, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    ResourceQuota, ResourceQuotaSpec, ResourceRequirements, ScopeSelector, ScopedResourceSelectorRequirement,
    SeccompProfile, SecurityContext, Service, ServicePort, ServiceSpec, TopologySpreadConstraint,
    WeightedPodAffinityTerm,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Installation, names};

/// Reviews, HTTPS. Above 1024: nothing in the pod is privileged.
const REVIEW_PORT: i32 = 8443;
/// `/healthz`, `/readyz` and `/metrics`, plain HTTP.
const HEALTH_PORT: i32 = 8080;
/// Not root, and not an id that a node gives to anybody.
const USER: i64 = 65532;
/// Longer than it takes until every API server has stopped sending and what is in flight is answered.
const GRACE_SECONDS: i64 = 30;
const PRIORITY_CLASS: &str = "system-cluster-critical";

/// The namespace. Nothing in it needs a privilege, and nobody may bring one in.
pub(super) fn namespace(installation: &Installation) -> Namespace {
    let mut metadata = names::cluster_metadata(&installation.namespace);
    let security = ["enforce", "warn", "audit"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted".to_owned()));
    metadata.labels.get_or_insert_default().extend(security);
    Namespace {
        metadata,
        ..Namespace::default()
    }
}

/// The Deployment.
pub(super) fn deployment(installation: &Installation) -> Deployment {
    Deployment {
        metadata: names::metadata(&installation.namespace, names::RINGFENCE),
        spec: Some(DeploymentSpec {
            replicas: Some(installation.replicas),
            revision_history_limit: Some(3),
            selector: selector(),
            // Never fewer replicas than asked for: with all webhooks failing closed, none would stop the cluster.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(names::pod_labels()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(installation)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn pod(installation: &Installation) -> PodSpec {
    PodSpec {
        service_account_name: Some(names::RINGFENCE.to_owned()),
        automount_service_account_token: Some(true),
        // Webhooks that fail closed must be there before what they guard. Allowed outside kube-system since 1.17.
        priority_class_name: Some(PRIORITY_CLASS.to_owned()),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        // Both prefer rather than require: a cluster of one node must be able to run two replicas.
        affinity: Some(Affinity {
            pod_anti_affinity: Some(PodAntiAffinity {
                preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                    weight: 100,
                    pod_affinity_term: PodAffinityTerm {
                        label_selector: Some(selector()),
                        topology_key: "kubernetes.io/hostname".to_owned(),
                        ..PodAffinityTerm::default()
                    },
                }]),
                ..PodAntiAffinity::default()
            }),
            ..Affinity::default()
        }),
        topology_spread_constraints: Some(vec![TopologySpreadConstraint {
            max_skew: 1,
            topology_key: "topology.kubernetes.io/zone".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(selector()),
            ..TopologySpreadConstraint::default()
        }]),
        containers: vec![container(installation)],
        ..PodSpec::default()
    }
}

fn container(installation: &Installation) -> Container {
    let mut arguments = vec!["serve".to_owned()];
    if let Some(url) = &installation.url {
        arguments.push(format!("--webhook-url={url}"));
    }
    let quantity = |name: &str, amount: &str| (name.to_owned(), Quantity(amount.to_owned()));
    Container {
        name: names::RINGFENCE.to_owned(),
        image: Some(installation.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(arguments),
        env: Some(vec![
            from_field("POD_NAME", "metadata.name"),
            from_field("POD_NAMESPACE", "metadata.namespace"),
        ]),
        ports: Some(vec![port("https", REVIEW_PORT), port("health", HEALTH_PORT)]),
        // No CPU limit: being throttled would be felt by everybody who creates a pod.
        resources: Some(ResourceRequirements {
            requests: Some(BTreeMap::from([quantity("cpu", "100m"), quantity("memory", "64Mi")])),
            limits: Some(BTreeMap::from([quantity("memory", "512Mi")])),
            claims: None,
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        startup_probe: Some(probe("/healthz", 1, 30)),
        liveness_probe: Some(probe("/healthz", 10, 3)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        ..Container::default()
    }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("health".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn from_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
    }
}

fn selector() -> LabelSelector {
    LabelSelector {
        match_labels: Some(names::pod_labels()),
        match_expressions: None,
    }
}

/// The Service that the API server dials.
pub(super) fn service(installation: &Installation) -> Service {
    Service {
        metadata: names::metadata(&installation.namespace, names::RINGFENCE),
        spec: Some(ServiceSpec {
            selector: Some(names::pod_labels()),
            ports: Some(vec![ServicePort {
                name: Some("https".to_owned()),
                port: 443,
                target_port: Some(IntOrString::String("https".to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// One replica at a time may be moved; one that is not ready may always be, so that it never holds up a node.
pub(super) fn disruption_budget(installation: &Installation) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: names::metadata(&installation.namespace, names::RINGFENCE),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            min_available: None,
            selector: Some(selector()),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        }),
        status: None,
    }
}

/// Some providers let critical pods run only in namespaces with a quota for them.
pub(super) fn critical_pods_quota(installation: &Installation) -> ResourceQuota {
    ResourceQuota {
        metadata: names::metadata(&installation.namespace, "ringfence-critical-pods"),
        spec: Some(ResourceQuotaSpec {
            hard: Some(BTreeMap::from([("pods".to_owned(), Quantity("100".to_owned()))])),
            scope_selector: Some(ScopeSelector {
                match_expressions: Some(vec![ScopedResourceSelectorRequirement {
                    scope_name: "PriorityClass".to_owned(),
                    operator: "In".to_owned(),
                    values: Some(vec![PRIORITY_CLASS.to_owned()]),
                }]),
            }),
            scopes: None,
        }),
        status: None,
    }
}
