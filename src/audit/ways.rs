//! How one identity becomes another, and what deploying and writing policies are: tables of the verbs that RBAC asks for,
//! each seen on a real API server or read in its source.

use std::borrow::Cow;

use ringfence_core::guardrails::Guardrails;

use super::grants::{Grants, Held, On, Topic};

/// What has to be held for a way: one of the verbs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need<'r> {
    verbs: &'static [&'static str],
    group: &'r str,
    resource: &'r str,
    subresource: &'static str,
    on: Object,
    at: At,
}

/// On which object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    /// Any one will do.
    Some,
    /// What has no name yet.
    New,
    /// The one whose identity is taken.
    Itself,
    /// A Secret with a token of it.
    TokenSecret,
    /// The signer of client certificates.
    Signer,
}

/// In which place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The namespace of the service account.
    Namespace,
    /// The cluster.
    Cluster,
}

/// A way to become somebody: all that it needs.
#[derive(Debug, Clone)]
pub(super) struct Way<'r> {
    /// What is done, e.g. `create pods`.
    pub(super) does: Cow<'static, str>,
    needs: Vec<Need<'r>>,
}

const fn need(
    verbs: &'static [&'static str],
    group: &'static str,
    resource: &'static str,
    on: Object,
) -> Need<'static> {
    Need {
        verbs,
        group,
        resource,
        subresource: "",
        on,
        at: At::Namespace,
    }
}

const fn of(subresource: &'static str, need: Need<'static>) -> Need<'static> {
    Need { subresource, ..need }
}

const fn at_cluster(need: Need<'static>) -> Need<'static> {
    Need {
        at: At::Cluster,
        ..need
    }
}

const CREATE: &[&str] = &["create"];
const CHANGE: &[&str] = &["update", "patch"];
const READ: &[&str] = &["get", "list", "watch"];
/// Every answer to these carries the whole object.
const SEE: &[&str] = &["get", "list", "watch", "update", "patch"];
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The built-in kinds that make pods.
const MAKERS: [(&str, &str); 7] = [
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("", "replicationcontrollers"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
];

/// The ways to act as a service account, the plainest first; what makes pods first of all, since a pod runs as the account
/// that it names.
pub(super) fn to_accounts(guardrails: &Guardrails) -> Vec<Way<'_>> {
    let mut ways = vec![Way {
        does: "create pods".into(),
        needs: vec![need(CREATE, "", "pods", Object::New)],
    }];
    for (group, resource) in makers(guardrails) {
        let base = need(CREATE, "", "", Object::New);
        ways.push(Way {
            does: format!("create {resource}").into(),
            needs: vec![Need {
                group,
                resource,
                ..base
            }],
        });
        // The template of a Job that is there cannot be changed.
        if (group, resource) != ("batch", "jobs") {
            ways.push(Way {
                does: format!("change {resource}").into(),
                needs: vec![Need {
                    group,
                    resource,
                    verbs: CHANGE,
                    on: Object::Some,
                    ..base
                }],
            });
        }
    }
    let more: [(&'static str, &[Need<'static>]); 11] = [
        (
            "create its tokens",
            &[of("token", need(CREATE, "", "serviceaccounts", Object::Itself))],
        ),
        (
            "impersonate",
            &[need(&["impersonate"], "", "serviceaccounts", Object::Itself)],
        ),
        (
            "impersonate, for what impersonate-on allows",
            &[need(
                &["impersonate:serviceaccount"],
                AUTHENTICATION,
                "serviceaccounts",
                Object::Itself,
            )],
        ),
        (
            "create a Secret with its token",
            &[
                need(CREATE, "", "secrets", Object::New),
                need(SEE, "", "secrets", Object::Some),
            ],
        ),
        (
            "read a Secret with its token",
            &[need(SEE, "", "secrets", Object::TokenSecret)],
        ),
        (
            "exec into its pods",
            &[of("exec", need(&["create", "get"], "", "pods", Object::Some))],
        ),
        (
            "attach to its pods",
            &[of("attach", need(&["create", "get"], "", "pods", Object::Some))],
        ),
        (
            "add containers to its pods",
            &[of("ephemeralcontainers", need(CHANGE, "", "pods", Object::Some))],
        ),
        (
            "change the images of its pods",
            &[need(CHANGE, "", "pods", Object::Some)],
        ),
        (
            "exec into its pods by their node",
            &[at_cluster(of(
                "proxy",
                need(&["create", "get"], "", "nodes", Object::Some),
            ))],
        ),
        ("have a client certificate signed", CERTIFICATE),
    ];
    ways.extend(more.into_iter().map(|(does, needs)| Way {
        does: does.into(),
        needs: needs.to_vec(),
    }));
    ways
}

/// What it takes to have the cluster's own signer sign a client certificate of any name and any group but system:masters.
const CERTIFICATE: &[Need<'static>] = &[
    at_cluster(need(
        CREATE,
        "certificates.k8s.io",
        "certificatesigningrequests",
        Object::New,
    )),
    at_cluster(of(
        "approval",
        need(
            CHANGE,
            "certificates.k8s.io",
            "certificatesigningrequests",
            Object::Some,
        ),
    )),
    at_cluster(need(
        READ,
        "certificates.k8s.io",
        "certificatesigningrequests",
        Object::Some,
    )),
    at_cluster(need(&["approve"], "certificates.k8s.io", "signers", Object::Signer)),
];

/// The names by which the right to approve for the signer of client certificates can be held (kubernetes
/// `plugin/pkg/admission/certificates/util.go`).
const SIGNER: [&str; 2] = ["kubernetes.io/kube-apiserver-client", "kubernetes.io/*"];

/// The ways to act as a user.
pub(super) fn to_users() -> Vec<Way<'static>> {
    vec![
        Way {
            does: "impersonate".into(),
            needs: vec![at_cluster(need(&["impersonate"], "", "users", Object::Itself))],
        },
        Way {
            does: "impersonate, for what impersonate-on allows".into(),
            needs: vec![at_cluster(need(
                &["impersonate:user-info"],
                AUTHENTICATION,
                "users",
                Object::Itself,
            ))],
        },
        Way {
            does: "have a client certificate signed".into(),
            needs: CERTIFICATE.to_vec(),
        },
    ]
}

/// The ways to act as a member of a group: a group is impersonated beside some user.
pub(super) fn to_groups(is_administrators: bool) -> Vec<Way<'static>> {
    let mut ways = vec![Way {
        does: "impersonate".into(),
        needs: vec![
            at_cluster(need(&["impersonate"], "", "groups", Object::Itself)),
            at_cluster(need(&["impersonate"], "", "users", Object::Some)),
        ],
    }];
    // The API server refuses both for system:masters.
    if !is_administrators {
        ways.push(Way {
            does: "impersonate, for what impersonate-on allows".into(),
            needs: vec![
                at_cluster(need(
                    &["impersonate:user-info"],
                    AUTHENTICATION,
                    "groups",
                    Object::Itself,
                )),
                at_cluster(need(&["impersonate:user-info"], AUTHENTICATION, "users", Object::Some)),
            ],
        });
        ways.push(Way {
            does: "have a client certificate signed".into(),
            needs: CERTIFICATE.to_vec(),
        });
    }
    ways
}

/// Whose identity is taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken<'t> {
    /// The namespace of a service account.
    pub(super) namespace: Option<&'t str>,
    /// Its name, or a user's, or a group's; none: any one of that namespace.
    pub(super) name: Option<&'t str>,
    /// The names of the Secrets with a token of it.
    pub(super) token_secrets: &'t [String],
}

impl<'r> Way<'r> {
    /// Whether it hangs on which service account of a namespace is taken.
    pub(super) fn is_of_one(&self) -> bool {
        let mut needs = self.needs.iter();
        needs.any(|need| matches!(need.on, Object::Itself | Object::TokenSecret))
    }

    /// Who can go it.
    pub(super) fn goers(&self, grants: &Grants<'r>, taken: Taken<'_>) -> Held {
        let held: Vec<Held> = self.needs.iter().map(|need| need.held(grants, taken)).collect();
        if held.iter().any(Held::is_empty) {
            return Held::new();
        }
        grants.held_all(&held.iter().collect::<Vec<_>>())
    }
}

impl<'r> Need<'r> {
    fn held(&self, grants: &Grants<'r>, taken: Taken<'_>) -> Held {
        let Self {
            verbs,
            group,
            resource,
            subresource,
            on,
            at,
        } = self;
        let namespace = match at {
            At::Namespace => taken.namespace,
            At::Cluster => None,
        };
        let topics = verbs.iter().map(|verb| Topic {
            verb,
            group,
            resource,
            subresource,
        });
        let held = |on: On<'_>| grants.held_any(topics.clone(), namespace, on);
        let any_of = |names: &mut dyn Iterator<Item = &str>| {
            let mut all = Held::new();
            for name in names {
                for (id, given) in held(On::Named(name)) {
                    super::grants::merge(all.entry(id).or_default(), &given);
                }
            }
            all
        };
        match on {
            Object::Some => held(On::Some),
            Object::New => held(On::Every),
            Object::Itself => held(taken.name.map_or(On::Some, On::Named)),
            Object::TokenSecret => any_of(&mut taken.token_secrets.iter().map(String::as_str)),
            Object::Signer => any_of(&mut SIGNER.into_iter()),
        }
    }
}

fn makers(guardrails: &Guardrails) -> impl Iterator<Item = (&str, &str)> {
    let custom = guardrails
        .workloads
        .iter()
        .map(|kind| (kind.group.as_str(), kind.resource.as_str()));
    MAKERS.into_iter().chain(custom)
}

/// Creating or changing what runs: pods, and every kind that makes them.
pub(super) fn deploying(guardrails: &Guardrails) -> impl Iterator<Item = (Topic<'_>, On<'static>)> {
    let kinds = std::iter::once(("", "pods")).chain(makers(guardrails));
    kinds.flat_map(|(group, resource)| writes(group, resource, &["create", "update", "patch"]))
}

/// Writing or deleting NetworkPolicies.
pub(super) fn writing_policies() -> impl Iterator<Item = (Topic<'static>, On<'static>)> {
    let verbs = &["create", "update", "patch", "delete", "deletecollection"];
    writes("networking.k8s.io", "networkpolicies", verbs)
}

fn writes<'r>(
    group: &'r str,
    resource: &'r str,
    verbs: &'static [&'static str],
) -> impl Iterator<Item = (Topic<'r>, On<'static>)> {
    verbs.iter().map(move |verb| {
        let topic = Topic {
            verb,
            group,
            resource,
            subresource: "",
        };
        let on = if *verb == "create" { On::Every } else { On::Some };
        (topic, on)
    })
}
