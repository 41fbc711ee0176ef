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
    (&["apps.openshift.io", ""], "DeploymentConfig", &["spec", "template"]),
    (&["argoproj.io"], "Rollout", &["spec", "template"]),
    (&["kubevirt.io"], "VirtualMachine", &["spec", "template"]),
];

/// Kinds that are read and the version of today in which they are written. Built-in groups know them in no other group.
const WRITTEN_AS: [(&str, &str); 10] = [
    ("Namespace", "v1"),
    ("Pod", "v1"),
    ("ReplicationController", "v1"),
    ("NetworkPolicy", "networking.k8s.io/v1"),
    ("Deployment", "apps/v1"),
    ("ReplicaSet", "apps/v1"),
    ("DaemonSet", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
];

/// The apiVersion that is meant where one of these kinds is written in a group of Kubernetes that does not have it: no API
/// server takes that. What other groups call so is of their own.
pub(super) fn meant_version(group: &str, kind: &str) -> Option<&'static str> {
    let built_in = !group.contains('.') || group.ends_with(".k8s.io");
    let known = WRITTEN_AS.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind));
    known.filter(|_| built_in).map(|(_, version)| *version)
}

/// Whether a kind, as a text names it, is one that is read, or a list.
pub(super) fn is_read(kind: &str) -> bool {
    let built_in = WRITTEN_AS.iter().map(|(known, _)| known);
    let others = WORKLOADS.iter().map(|(_, known, _)| known);
    kind.ends_with("List") || built_in.chain(others).any(|known| known.eq_ignore_ascii_case(kind))
}

/// The words that follow `kind:` in a text of YAML or JSON, whatever else is wrong with it.
pub(super) fn kinds_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("kind").filter_map(|(place, key)| {
        let rest = text[place + key.len()..].trim_start_matches(['"', '\'']).trim_start();
        let value = rest.strip_prefix(':')?.trim_start().trim_start_matches(['"', '\'']);
        let end = value.find(|letter: char| !letter.is_ascii_alphanumeric());
        Some(&value[..end.unwrap_or(value.len())])
    })
}

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
    #[case("", "DeploymentConfig", true)]
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
    #[case("", "NetworkPolicy", Some("networking.k8s.io/v1"))]
    #[case("networking.k8s.io", "Networkpolicy", Some("networking.k8s.io/v1"))]
    #[case("", "Deployment", Some("apps/v1"))]
    #[case("apps", "Pod", Some("v1"))]
    #[case("projectcalico.org", "NetworkPolicy", None)]
    #[case("serving.knative.dev", "Deployment", None)]
    #[case("", "Service", None)]
    fn a_kind_in_a_group_that_lacks_it_is_meant_otherwise(
        #[case] group: &str,
        #[case] kind: &str,
        #[case] meant: Option<&str>,
    ) {
        assert_eq!(meant_version(group, kind), meant);
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
