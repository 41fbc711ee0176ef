//! What ringfence itself may do, one row a right, with the reason. The RBAC manifests come from this table, and so does
//! what the self-protection policy lets our own pods write: that can limit by name where RBAC cannot.

use ringfence_core::model::GROUP;

use super::{names, roles};

/// A right of our service account.
#[derive(Debug, Clone)]
pub struct Right {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Plural resources, with their subresource after a slash.
    pub resources: Vec<&'static str>,
    /// RBAC verbs.
    pub verbs: Vec<&'static str>,
    /// Which objects.
    pub named: Named,
    /// In which namespaces.
    pub place: Place,
    /// Why it is needed.
    pub why: &'static str,
}

/// Objects by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// All.
    Any,
    /// This one.
    Exactly(&'static str),
    /// Those whose name begins so. RBAC has no words for it, the self-protection policy does.
    Beginning(&'static str),
    /// Those whose name ends so.
    Ending(&'static str),
}

/// Where a right holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the cluster, and in all namespaces.
    Cluster,
    /// In the namespace that ringfence is installed in.
    OwnNamespace,
}

const READ: [&str; 3] = ["get", "list", "watch"];

/// The rights, those at the cluster first.
pub fn rights() -> Vec<Right> {
    let mut rights = reading();
    rights.extend(publishing());
    rights.extend(isolating());
    rights.extend(own_namespace());
    rights
}

/// What decisions hang on.
fn reading() -> Vec<Right> {
    let read = |group, resources: &[&'static str], verbs: &[&'static str], why| Right {
        group,
        resources: resources.to_vec(),
        verbs: verbs.to_vec(),
        named: Named::Any,
        place: Place::Cluster,
        why,
    };
    let owner = "Read the owner of a pod live: what a controller makes was judged when its template was written.";
    vec![
        read(
            "authorization.k8s.io",
            &["subjectaccessreviews"],
            &["create"],
            "Ask RBAC whether whoever made a request holds the permission that it needs.",
        ),
        read(
            "",
            &["namespaces"],
            &READ,
            "Know the labels of namespaces, and read one live where a decision hangs on them.",
        ),
        read(
            "",
            &["pods"],
            &READ,
            "Find the pods behind the addresses that a proxy dials, the pod that a binding or a connection is about, and \
             count what already runs under a clause that a changed configuration adds, and see whether a policy selects any.",
        ),
        read(
            "discovery.k8s.io",
            &["endpointslices"],
            &["list"],
            "Find the addresses that the proxy of a service dials.",
        ),
        read(
            "",
            &["endpoints"],
            &["get"],
            "The same, for API servers that dial by Endpoints.",
        ),
        read(
            "networking.k8s.io",
            &["networkpolicies"],
            &["list", "watch"],
            "Know which other policies isolate the pods that a policy no longer would (requireIsolation), and which \
             policies the labels of a namespace would open (isolatedFrom).",
        ),
        read("apps", &["controllerrevisions"], &["get"], owner),
        read("batch", &["jobs"], &["get"], "The same for owners of this kind."),
        read(
            "apps",
            &["daemonsets", "deployments", "replicasets", "statefulsets"],
            &["get", "list"],
            "The same for owners of these kinds; and list those that a planted revision or a rollback could reach, and those \
             whose template stood before it was judged.",
        ),
        read(
            "batch",
            &["cronjobs"],
            &["get", "list"],
            "The same for owners of this kind; and list those whose template stood before it was judged.",
        ),
        read(
            "",
            &["replicationcontrollers"],
            &["get", "list"],
            "The same for owners of this kind; and list those whose template stood before it was judged.",
        ),
    ]
}

/// What the leader keeps in step at the cluster.
fn publishing() -> Vec<Right> {
    let write = |group, resources: &[&'static str], verbs: &[&'static str], named, why| Right {
        group,
        resources: resources.to_vec(),
        verbs: verbs.to_vec(),
        named,
        place: Place::Cluster,
        why,
    };
    vec![
        write(
            GROUP,
            &names::PUBLISHED,
            &["get", "list", "watch", "create", "patch", "delete"],
            Named::Any,
            "Publish the guardrails in force as objects, for kubectl get and kubectl auth can-i.",
        ),
        write(
            GROUP,
            &[
                "guardrails/status",
                "isolationprofiles/status",
                "policychecks/status",
                "segments/status",
            ],
            &["get", "patch"],
            Named::Any,
            "Tell in their status what is in force and what is wrong.",
        ),
        write(
            "rbac.authorization.k8s.io",
            &["clusterroles"],
            &["get", "list", "watch", "create", "patch", "delete"],
            Named::Beginning(roles::PREFIX),
            "Publish a role for each segment and verb, so that an owner only has to bind it. Never escalate, never bind: \
             RBAC lets it publish what it holds and no more. RBAC cannot limit this to names that begin with ringfence:, \
             the self-protection policy does.",
        ),
        Right {
            group: GROUP,
            resources: vec!["segments"],
            verbs: roles::SEGMENT_VERBS.iter().map(|(verb, _)| verb.as_str()).collect(),
            named: Named::Any,
            place: Place::Cluster,
            why: "Held so that it may be published: RBAC lets nobody write a role that says more than they hold. ringfence \
                  makes no pods, so it has no use for them itself.",
        },
        write(
            "admissionregistration.k8s.io",
            &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
            &["get", "list", "watch", "update"],
            Named::Exactly(names::RINGFENCE),
            "Keep its webhooks in step with the guardrails. It can neither create nor delete the configurations.",
        ),
    ]
}

/// What isolation needs. RBAC cannot limit it to names that begin with ringfence- or to objects of our label: nothing else
/// is written, and the tests say so.
fn isolating() -> Vec<Right> {
    let write = |group, resource, verbs: &[&'static str], why| Right {
        group,
        resources: vec![resource],
        verbs: verbs.to_vec(),
        named: Named::Any,
        place: Place::Cluster,
        why,
    };
    vec![
        write(
            "networking.k8s.io",
            "networkpolicies",
            &["get", "list", "watch", "create", "patch", "update", "delete"],
            "Put the policies of isolation profiles into namespaces before their first pod, keep them as they are, and take \
             away those that a profile has no longer. Only objects that it made, or that have a name reserved for it. And \
             know the policies that opted in to protection, and what they say.",
        ),
        write(
            "",
            "pods",
            &["patch"],
            "Lift the scheduling gate ringfence.dev/settle of first pods. No subresource lets one do only that; nothing else \
             of a pod is written.",
        ),
    ]
}

/// What lives beside us.
fn own_namespace() -> Vec<Right> {
    let own = |group, resource, name, verbs: &[&'static str], why| Right {
        group,
        resources: vec![resource],
        verbs: verbs.to_vec(),
        named: Named::Exactly(name),
        place: Place::OwnNamespace,
        why,
    };
    let kept = ["get", "list", "watch", "create", "update"];
    vec![
        own(
            "",
            "configmaps",
            names::GUARDRAILS,
            &READ,
            "Read the guardrails. Writing them is for people who hold `configure guardrails`, never for ringfence.",
        ),
        own(
            "",
            "configmaps",
            names::LAST_GOOD,
            &kept,
            "Keep the last good guardrails, for when invalid ones are written while ringfence is away.",
        ),
        own(
            "",
            "configmaps",
            names::ENFORCED_SINCE,
            &kept,
            "Keep since when what is enforced, to tell what stood before from what was judged.",
        ),
        own(
            "",
            "secrets",
            names::SERVING,
            &kept,
            "Keep its own serving certificate and the unguessable path, the same for all replicas.",
        ),
        own(
            "coordination.k8s.io",
            "leases",
            names::LEADER,
            &["get", "create", "patch"],
            "Elect the replica that does what one does for all.",
        ),
        Right {
            group: "events.k8s.io",
            resources: vec!["events"],
            verbs: vec!["create", "patch"],
            named: Named::Any,
            place: Place::OwnNamespace,
            why: "Say loudly, on the ConfigMap, when it is invalid or missing, and which namespaces cannot be isolated.",
        },
    ]
}
