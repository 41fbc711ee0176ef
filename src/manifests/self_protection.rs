//! The ValidatingAdmissionPolicy that guards ringfence itself: whoever may not `configure guardrails` changes nothing in
//! its namespace and none of its objects at the cluster. The API server evaluates it, so it holds with ringfence down.
//!
//! What it cannot guard is itself: policies are never applied to policies and their bindings (the API server skips them,
//! so that nobody locks themselves out). RBAC on those is the root of trust.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation,
    Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use ringfence_core::labels::NAMESPACE_NAME_LABEL;
use ringfence_core::model::{GROUP, Verb};

use super::rights::{Named, Place, Right, rights};
use super::{names, roles};

/// Objects outside our namespace that make us what we are.
struct Guarded {
    group: &'static str,
    resources: &'static [&'static str],
    named: Named,
}

/// The namespace itself is added where its name is known.
const GUARDED: &[Guarded] = &[
    Guarded {
        group: GROUP,
        resources: &names::PUBLISHED,
        named: Named::Any,
    },
    Guarded {
        group: "apiextensions.k8s.io",
        resources: &["customresourcedefinitions"],
        named: Named::Ending(".ringfence.dev"),
    },
    Guarded {
        group: "admissionregistration.k8s.io",
        resources: &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        named: Named::Exactly(names::RINGFENCE),
    },
    Guarded {
        group: "rbac.authorization.k8s.io",
        resources: &["clusterroles"],
        named: Named::Beginning(roles::PREFIX),
    },
    Guarded {
        group: "rbac.authorization.k8s.io",
        resources: &["clusterrolebindings", "clusterroles"],
        named: Named::Exactly(names::RINGFENCE),
    },
    Guarded {
        group: "rbac.authorization.k8s.io",
        resources: &["clusterrolebindings", "clusterroles"],
        named: Named::Exactly(names::WORKLOADS),
    },
    Guarded {
        group: "rbac.authorization.k8s.io",
        resources: &["clusterrolebindings", "clusterroles"],
        named: Named::Exactly(names::POLICIES),
    },
];

/// Groups that are Kubernetes itself: cluster admins by certificate, the controllers, the kubelets.
const KUBERNETES_GROUPS: [&str; 3] = ["system:masters", "system:nodes", "system:serviceaccounts:kube-system"];

/// Users that are Kubernetes itself. The controller manager is one user where its controllers have no service accounts.
const KUBERNETES_USERS: [&str; 2] = ["system:kube-controller-manager", "system:kube-scheduler"];

/// The policy.
pub(super) fn policy(namespace: &str) -> ValidatingAdmissionPolicy {
    ValidatingAdmissionPolicy {
        metadata: names::cluster_metadata(names::SELF_PROTECTION),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_constraints: Some(matched(namespace)),
            match_conditions: Some(conditions()),
            variables: Some(variables(namespace)),
            validations: Some(vec![Validation {
                expression: "!variables.guarded || variables.mayConfigure || variables.ownWrite || variables.drain"
                    .to_owned(),
                reason: Some("Forbidden".to_owned()),
                message: Some(format!(
                    "ringfence guards itself: this needs the permission {} guardrails.{GROUP}/default in {namespace}",
                    Verb::Configure
                )),
                message_expression: Some(message(namespace)),
            }]),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    }
}

/// Its binding: deny, and leave a trace in the cluster's own audit log.
pub(super) fn binding() -> ValidatingAdmissionPolicyBinding {
    ValidatingAdmissionPolicyBinding {
        metadata: names::cluster_metadata(names::SELF_PROTECTION),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: names::SELF_PROTECTION.to_owned(),
            validation_actions: vec!["Deny".to_owned(), "Audit".to_owned()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    }
}

/// Everything in our namespace, and the kinds of what is guarded at the cluster. The namespaceSelector says nothing about
/// cluster-scoped objects (but Namespaces, by their own labels), so those are told apart by name, in [`guarded`].
fn matched(namespace: &str) -> MatchResources {
    let rule = |group: &str, resources: Vec<String>, scope: &str| NamedRuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec!["*".to_owned()]),
        operations: Some(vec!["*".to_owned()]),
        resources: Some(resources),
        scope: Some(scope.to_owned()),
        resource_names: None,
    };
    let mut kinds: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let guarded = GUARDED.iter().map(|guarded| (guarded.group, guarded.resources));
    for (group, resources) in guarded.chain([("", ["namespaces"].as_slice())]) {
        let with_subresources = resources
            .iter()
            .flat_map(|name| [(*name).to_owned(), format!("{name}/*")]);
        kinds.entry(group).or_default().extend(with_subresources);
    }
    let everything = rule("*", vec!["*/*".to_owned()], "Namespaced");
    let named = kinds
        .into_iter()
        .map(|(group, resources)| rule(group, resources.into_iter().collect(), "Cluster"));
    MatchResources {
        resource_rules: Some([everything].into_iter().chain(named).collect()),
        namespace_selector: Some(LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: NAMESPACE_NAME_LABEL.to_owned(),
                operator: "In".to_owned(),
                values: Some(vec![namespace.to_owned()]),
            }]),
            match_labels: None,
        }),
        match_policy: Some("Equivalent".to_owned()),
        ..MatchResources::default()
    }
}

/// Which requests are judged at all.
fn conditions() -> Vec<MatchCondition> {
    let condition = |name: &str, expression: String| MatchCondition {
        name: name.to_owned(),
        expression,
    };
    vec![
        condition(
            "not-kubernetes-itself",
            format!(
                "!(request.userInfo.?username.orValue(\"\") in {} ||\n  \
                 request.userInfo.?groups.orValue([]).exists(group, group in {}))",
                list(KUBERNETES_USERS),
                list(KUBERNETES_GROUPS),
            ),
        ),
        condition(
            "not-an-event",
            "!(request.resource.resource == \"events\" && request.resource.group in [\"\", \"events.k8s.io\"])"
                .to_owned(),
        ),
    ]
}

fn variables(namespace: &str) -> Vec<Variable> {
    let variable = |name: &str, expression: &str| Variable {
        name: name.to_owned(),
        expression: expression.to_owned(),
    };
    vec![
        variable("user", "request.userInfo.?username.orValue(\"\")"),
        variable(
            "resource",
            "request.resource.resource + (request.resource.group == \"\" ? \"\" : \".\" + request.resource.group)",
        ),
        variable("subresource", "request.?subResource.orValue(\"\")"),
        // The request has none in a deletecollection and where a name is generated.
        variable(
            "name",
            "request.?name.orValue(\"\") != \"\" ? request.name :\n\
             object != null ? object.?metadata.?name.orValue(\"\") : oldObject.?metadata.?name.orValue(\"\")",
        ),
        variable("guarded", &guarded(namespace)),
        variable(
            "mayConfigure",
            &format!(
                "authorizer.group(\"{GROUP}\").resource(\"guardrails\").namespace(\"{namespace}\").name(\"default\")\n  \
                 .check(\"{}\").allowed()",
                Verb::Configure
            ),
        ),
        variable(
            "ownWrite",
            &format!(
                "{} && (\n{})",
                names::our_own_pod(namespace),
                any_of(rights().iter().filter_map(own_write))
            ),
        ),
        // Whoever drains nodes may evict everywhere, and the PodDisruptionBudget paces it. Whoever may evict in our
        // namespace alone has no such business.
        variable(
            "drain",
            "variables.resource == \"pods\" && variables.subresource == \"eviction\" &&\n\
             authorizer.group(\"\").resource(\"pods\").subresource(\"eviction\").check(\"create\").allowed()",
        ),
    ]
}

/// In our namespace, or guarded at the cluster, or of a guarded kind and written by our own service account: RBAC cannot
/// limit by name what that may write, this does.
fn guarded(namespace: &str) -> String {
    let kinds: BTreeSet<String> = GUARDED
        .iter()
        .flat_map(|guarded| {
            guarded
                .resources
                .iter()
                .map(|resource| qualified(resource, guarded.group))
        })
        .collect();
    let mut alternatives = vec![
        format!("!(variables.resource in {})", list(kinds)),
        format!("variables.user == \"{}\"", names::username(namespace)),
    ];
    alternatives.extend(
        GUARDED
            .iter()
            .map(|guarded| is_one_of(guarded.group, guarded.resources, guarded.named)),
    );
    any_of(alternatives)
}

/// What a right of ours lets our own pods write; none where it writes nothing that is guarded.
fn own_write(right: &Right) -> Option<String> {
    let Right {
        group,
        resources,
        verbs,
        named,
        place,
        why: _,
    } = right;
    let operations: BTreeSet<&str> = verbs
        .iter()
        .filter_map(|verb| match *verb {
            "create" => Some("CREATE"),
            "update" | "patch" => Some("UPDATE"),
            "delete" => Some("DELETE"),
            _ => None,
        })
        .collect();
    let (resources, subresources): (Vec<&str>, BTreeSet<&str>) = resources
        .iter()
        .map(|resource| resource.split_once('/').unwrap_or((resource, "")))
        .unzip();
    let guarded = *place == Place::OwnNamespace
        || GUARDED.iter().any(|guarded| {
            guarded.group == *group && resources.iter().all(|resource| guarded.resources.contains(resource))
        });
    // Events are not judged.
    if operations.is_empty() || !guarded || resources == ["events"] {
        return None;
    }
    Some(format!(
        "  {} &&\n    variables.subresource in {} && request.operation in {}",
        is_one_of(group, &resources, *named),
        list(subresources),
        list(operations),
    ))
}

fn is_one_of(group: &str, resources: &[&str], named: Named) -> String {
    let kind = format!(
        "variables.resource in {}",
        list(resources.iter().map(|resource| qualified(resource, group)))
    );
    match named {
        Named::Any => kind,
        Named::Exactly(name) => format!("{kind} && variables.name == \"{name}\""),
        Named::Beginning(prefix) => format!("{kind} && variables.name.startsWith(\"{prefix}\")"),
        Named::Ending(suffix) => format!("{kind} && variables.name.endsWith(\"{suffix}\")"),
    }
}

/// One line: the API server drops messages that have more.
fn message(namespace: &str) -> String {
    let permission = format!("{} guardrails.{GROUP}/default", Verb::Configure);
    let installed_in = match namespace {
        names::NAMESPACE => String::new(),
        other => format!("--installed-in {other} "),
    };
    format!(
        "\"ringfence guards itself: user \\\"\" + variables.user + \"\\\" may not \" + request.operation.lowerAscii() + \" \" +\n\
         variables.resource + (variables.subresource == \"\" ? \"\" : \"/\" + variables.subresource) + \" \" + variables.name +\n\
         \": that needs the permission {permission} in {namespace}. \" +\n\
         \"check: kubectl auth can-i {permission} -n {namespace}; \" +\n\
         \"grant: ringfence grant {} guardrails/default {installed_in}--user \" + variables.user",
        Verb::Configure
    )
}

/// As kubectl spells it: `clusterroles.rbac.authorization.k8s.io`, `pods`.
fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    }
}

/// Alternatives, one a line.
fn any_of(alternatives: impl IntoIterator<Item = String>) -> String {
    alternatives.into_iter().collect::<Vec<_>>().join(" ||\n")
}

fn list<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("\"{}\"", word.as_ref())).collect();
    format!("[{}]", quoted.join(", "))
}
