//! Which kinds say something of who reaches whom: those that make pods, with the place of their template, and those that
//! change what NetworkPolicies mean without being read here.

use ringfence_core::guardrails::Workload;

/// A kind that makes pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadKind {
    /// Its API groups: one today, and those that it had before.
    groups: Vec<String>,
    /// Kind, or plural resource in small letters where only that is known.
    name: KindName,
    /// The keys to its template.
    pub template: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum KindName {
    Kind(&'static str),
    Resource(String),
}

/// Kubernetes' own, and three that are as common.
const WORKLOADS: [(&[&str], &str, &[&str]); 10] = [
    (&["apps", "extensions"], "Deployment", &["spec", "template"]),
    (&["apps", "extensions"], "ReplicaSet", &["spec", "template"]),
    (&["apps", "extensions"], "DaemonSet", &["spec", "template"]),
    (&["apps"], "StatefulSet", &["spec", "template"]),
    (&["batch"], "Job", &["spec", "template"]),
    (&["batch"], "CronJob", &["spec", "jobTemplate", "spec", "template"]),
    (&[""], "ReplicationController", &["spec", "template"]),
    (&["apps.openshift.io"], "DeploymentConfig", &["spec", "template"]),
    (&["argoproj.io"], "Rollout", &["spec", "template"]),
    (&["kubevirt.io"], "VirtualMachine", &["spec", "template"]),
];

/// Groups whose policies hold beside or above NetworkPolicies. Each group stands for those below it.
const UNREAD_GROUPS: [&str; 6] = [
    "cilium.io",
    "projectcalico.org",
    "antrea.io",
    "policy.networking.k8s.io",
    "k8s.cni.cncf.io",
    "k8s.ovn.org",
];

/// Every kind that makes pods.
#[derive(Debug, Clone)]
pub struct WorkloadKinds(Vec<WorkloadKind>);

impl WorkloadKinds {
    /// The built-in kinds, and these of the guardrails, which come first.
    pub fn new(custom: &[Workload]) -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let custom = custom.iter().map(|workload| WorkloadKind {
            groups: vec![workload.group.clone()],
            name: KindName::Resource(workload.resource.clone()),
            template: workload.template.clone(),
        });
        let built_in = WORKLOADS.iter().map(|(groups, kind, template)| WorkloadKind {
            groups: words(groups),
            name: KindName::Kind(kind),
            template: words(template),
        });
        Self(custom.chain(built_in).collect())
    }

    /// What is known of a kind; none where it makes no pods.
    pub fn find(&self, group: &str, kind: &str) -> Option<&WorkloadKind> {
        self.0.iter().find(|known| {
            let named = match &known.name {
                KindName::Kind(name) => *name == kind,
                KindName::Resource(resource) => *resource == crate::answer::offline::guessed_resource(kind),
            };
            named && known.groups.iter().any(|known| known == group)
        })
    }
}

/// Whether objects of this kind change who reaches whom in ways that are not told here.
pub(super) fn is_unread_policy(group: &str, kind: &str) -> bool {
    let of_group = UNREAD_GROUPS
        .iter()
        .any(|known| group == *known || group.strip_suffix(known).is_some_and(|rest| rest.ends_with('.')));
    of_group && (kind.ends_with("NetworkPolicy") || kind == "EgressFirewall")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("apps", "Deployment", true)]
    #[case("extensions", "Deployment", true)]
    #[case("batch", "CronJob", true)]
    #[case("", "ReplicationController", true)]
    #[case("example.com", "Deployment", false)]
    #[case("", "Service", false)]
    #[case("example.com", "Fleet", true)]
    fn kinds_are_told_by_group_and_name(#[case] group: &str, #[case] kind: &str, #[case] known: bool) {
        let custom = Workload {
            group: "example.com".to_owned(),
            version: "v1".to_owned(),
            resource: "fleets".to_owned(),
            template: vec!["spec".to_owned(), "ships".to_owned()],
            controllers: Vec::new(),
        };
        assert_eq!(WorkloadKinds::new(&[custom]).find(group, kind).is_some(), known);
    }

    #[rstest]
    #[case("cilium.io", "CiliumNetworkPolicy", true)]
    #[case("cilium.io", "CiliumClusterwideNetworkPolicy", true)]
    #[case("cilium.io", "CiliumEndpoint", false)]
    #[case("crd.projectcalico.org", "GlobalNetworkPolicy", true)]
    #[case("projectcalico.org", "NetworkPolicy", true)]
    #[case("policy.networking.k8s.io", "ClusterNetworkPolicy", true)]
    #[case("networking.k8s.io", "NetworkPolicy", false)]
    #[case("notcilium.io", "CiliumNetworkPolicy", false)]
    fn policies_of_other_kinds_are_known(#[case] group: &str, #[case] kind: &str, #[case] unread: bool) {
        assert_eq!(is_unread_policy(group, kind), unread);
    }
}
