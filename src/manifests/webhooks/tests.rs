//! The served webhooks over sample configurations: who comes to which, where they fail closed, and what never comes.

use ringfence_core::guardrails::{PolicyKind, Source, Workload, compile};
use ringfence_core::labels::{Labels, Operator, Requirement, Selector};
use ringfence_core::model::{Mode, Operation};
use ringfence_core::review::{Extent, Shape, WRITE_PATHS, WritePath};

use super::*;

const SAMPLES: &[&str] = &[
    "",
    "{}",
    // One namespace is named, nothing is selected.
    "{mode: Enforce} | {members: [{namespaces: [payments], podSelector: {matchLabels: {app: db}}}]}",
    // Clients everywhere.
    "{mode: Enforce} | {members: [{namespaces: [payments], podSelector: {}}], \
     clients: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]}",
    // Namespaces by their labels, consent elsewhere.
    "{mode: Enforce} | {consent: {namespace: owners}, \
     members: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {}}]}",
    // Capped but in two namespaces, one of which is a system namespace.
    "{mode: Enforce, rollout: {default: Audit, namespaces: [{name: payments, mode: Enforce}, {name: kube-system, mode: \
     Enforce}]}} | {consent: {namespace: owners}, members: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {}}]}",
    // Capped in one namespace.
    "{mode: Enforce, rollout: {namespaces: [{name: web, mode: Warn}]}} | \
     {members: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {}}], consent: {cluster: true}}",
    // Isolation, but not in one namespace.
    "{mode: Enforce, rollout: {namespaces: [{name: web, mode: Warn}]}, isolation: {defaultProfile: none}}",
    // Nothing is enforced.
    "{mode: Warn} | {members: [{namespaces: [payments], podSelector: {}}]}",
];

const NAMESPACES: &[&str] = &[
    "payments",
    "owners",
    "web",
    "default",
    "kube-system",
    "ringfence-system",
    "new",
];

fn guardrails(sample: &str) -> Guardrails {
    let (spec, segments) = sample.split_once('|').unwrap_or((sample, ""));
    if spec.is_empty() {
        return Guardrails::default();
    }
    let document = |kind: &str, name: &str, spec: &str| {
        format!("apiVersion: ringfence.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    let mut text = document("Guardrails", "default", spec.trim());
    if !segments.is_empty() {
        text = format!("{text}---\n{}", document("Segment", "segment", segments.trim()));
    }
    let sources = [Source {
        name: "sample".to_owned(),
        text,
    }];
    compile(&sources)
        .unwrap_or_else(|problems| panic!("{problems}"))
        .guardrails
}

fn endpoint() -> Endpoint {
    Endpoint {
        namespace: "ringfence-system".to_owned(),
        address: Address::Service,
        token: "token".to_owned(),
        ca_bundle: Some("PEM".to_owned()),
    }
}

fn served(sample: &str) -> Vec<ValidatingWebhook> {
    let configuration = webhook_configuration(&guardrails(sample), &endpoint());
    configuration.webhooks.expect("it has webhooks")
}

/// As the API server evaluates a namespaceSelector, for a namespace with no labels but its name.
fn selects(selector: Option<&LabelSelector>, namespace: &str) -> bool {
    let expressions = selector
        .and_then(|selector| selector.match_expressions.clone())
        .unwrap_or_default();
    let requirements = expressions.into_iter().map(|expression| Requirement {
        key: expression.key,
        operator: Operator::new(&expression.operator, expression.values.unwrap_or_default()).expect("a valid selector"),
    });
    let labels = Labels::from_iter([(NAMESPACE_NAME_LABEL, namespace)]);
    Selector::new(requirements.collect()).matches(&labels)
}

/// The webhooks that a request of this row, in this namespace, reaches.
fn reached<'w>(
    webhooks: &'w [ValidatingWebhook],
    row: &WritePath,
    operation: Operation,
    namespace: &str,
) -> Vec<&'w ValidatingWebhook> {
    let resource = row.rule_resource();
    let among = |words: &Option<Vec<String>>, word: &str| words.iter().flatten().any(|known| known == word);
    let has = |rule: &&RuleWithOperations| {
        among(&rule.api_groups, row.group)
            && among(&rule.resources, &resource)
            && among(&rule.operations, operation.as_str())
    };
    let in_no_namespace = row.shape.is_in_no_namespace();
    webhooks
        .iter()
        .filter(|webhook| webhook.rules.iter().flatten().any(|rule| has(&rule)))
        .filter(|webhook| in_no_namespace || selects(webhook.namespace_selector.as_ref(), namespace))
        .collect()
}

#[test]
fn every_request_reaches_exactly_one_webhook_and_fails_closed_only_where_something_can_be_denied() {
    let mut closed = 0;
    for sample in SAMPLES {
        let guardrails = guardrails(sample);
        let webhooks = served(sample);
        for row in WRITE_PATHS {
            for (operation, namespace) in row
                .operations
                .iter()
                .flat_map(|operation| NAMESPACES.iter().map(move |name| (*operation, *name)))
            {
                let case = format!(
                    "{} {} in {namespace} by {sample:?}",
                    operation.as_str(),
                    row.rule_resource()
                );
                let reached = reached(&webhooks, row, operation, namespace);
                let [webhook] = reached.as_slice() else {
                    panic!(
                        "{case}: {:?}",
                        reached.iter().map(|webhook| &webhook.name).collect::<Vec<_>>()
                    );
                };
                let deniable = match row.shape {
                    Shape::Namespace => guardrails.enforced_on_namespaces().contains(namespace),
                    Shape::NetworkPolicy | Shape::UnreadPolicy(Extent::Namespace) => {
                        guardrails.enforced_on_policies().contains(namespace)
                    }
                    Shape::UnreadPolicy(Extent::Cluster) => !guardrails.enforced_on_policies().is_nowhere(),
                    Shape::NodeProxy => !guardrails.enforced().is_nowhere(),
                    _ => guardrails.enforced().contains(namespace),
                };
                // Where one that ringfence does not read can be denied, and where it is reviewed without fail, are the same.
                if let Shape::UnreadPolicy(extent) = row.shape {
                    let place = (extent == Extent::Namespace).then_some(namespace);
                    assert_eq!(
                        guardrails.unread_policy_mode(place) == Mode::Enforce,
                        deniable,
                        "{case}"
                    );
                }
                let policy = if deniable { "Fail" } else { "Ignore" };
                assert_eq!(webhook.failure_policy.as_deref(), Some(policy), "{case}");
                closed += usize::from(deniable);
            }
        }
    }
    assert!(closed > 100, "the samples enforce something");
}

#[test]
fn system_namespaces_never_fail_closed() {
    for sample in SAMPLES {
        for webhook in served(sample)
            .iter()
            .filter(|webhook| webhook.failure_policy.as_deref() == Some("Fail"))
        {
            for namespace in ["kube-system", "ringfence-system"] {
                assert!(
                    !selects(webhook.namespace_selector.as_ref(), namespace),
                    "{}: {sample}",
                    webhook.name
                );
            }
        }
    }
}

#[test]
fn a_consent_namespace_fails_closed_for_itself_and_not_for_its_pods() {
    let webhooks = served(
        SAMPLES[2]
            .replace("{members", "{consent: {namespace: owners}, members")
            .as_str(),
    );
    let row = |resource: &str| {
        WRITE_PATHS
            .iter()
            .find(|row| row.rule_resource() == resource)
            .expect("a row")
    };
    let policy = |resource: &str, namespace: &str| {
        reached(&webhooks, row(resource), Operation::Create, namespace)[0]
            .failure_policy
            .clone()
    };
    assert_eq!(policy("namespaces", "owners").as_deref(), Some("Fail"));
    assert_eq!(policy("pods", "owners").as_deref(), Some("Ignore"));
    assert_eq!(policy("pods", "payments").as_deref(), Some("Fail"));
    assert_eq!(policy("namespaces", "payments").as_deref(), Some("Ignore"));
}

#[test]
fn custom_kinds_get_rules_and_conditions_as_far_as_there_is_room() {
    let kinds: Vec<Workload> = (0..100)
        .map(|number| Workload {
            group: "argoproj.io".to_owned(),
            version: "v1alpha1".to_owned(),
            resource: format!("rollouts{number}"),
            template: vec!["spec".to_owned(), if number == 0 { "0" } else { "template" }.to_owned()],
            controllers: Vec::new(),
        })
        .collect();
    let guardrails = Guardrails {
        workloads: kinds,
        ..Guardrails::default()
    };
    let webhooks = webhook_configuration(&guardrails, &endpoint())
        .webhooks
        .expect("it has webhooks");
    for name in ["workloads.guard.ringfence.dev", "open.guard.ringfence.dev"] {
        let webhook = webhooks
            .iter()
            .find(|webhook| webhook.name == name)
            .expect("it is there");
        let custom = webhook
            .rules
            .iter()
            .flatten()
            .filter(|rule| rule.api_groups == Some(vec!["argoproj.io".to_owned()]));
        let resources: Vec<&String> = custom.flat_map(|rule| rule.resources.iter().flatten()).collect();
        assert_eq!(resources.len(), 100);
        let conditions = webhook.match_conditions.as_deref().unwrap_or_default();
        assert_eq!(conditions.len(), MOST_MATCH_CONDITIONS);
        let of = |resource: &str| {
            conditions
                .iter()
                .find(|condition| condition.expression.contains(&format!("\"{resource}\"")))
        };
        assert!(of("rollouts0").is_none(), "a pointer into a list has no condition");
        let expected = "object[?\"spec\"][?\"template\"] != oldObject[?\"spec\"][?\"template\"]";
        assert!(of("rollouts1").is_some_and(|condition| condition.expression.contains(expected)));
    }
}

#[test]
fn kinds_of_policies_get_a_rule_and_a_condition_a_group() {
    let kind = |group: &str, kind: &str| PolicyKind {
        group: group.to_owned(),
        kind: kind.to_owned(),
    };
    let guardrails = Guardrails {
        policy_kinds: vec![
            kind("nets.example.com", "A"),
            kind("nets.example.com", "B"),
            kind("cilium.io", "C"),
            kind("cilium.io", "CiliumNetworkPolicy"),
            kind("crd.antrea.io", "ClusterNetworkPolicy"),
        ],
        ..Guardrails::default()
    };
    let webhooks = webhook_configuration(&guardrails, &endpoint())
        .webhooks
        .expect("webhooks");
    let having = |webhook: &&ValidatingWebhook| {
        let mut groups = webhook
            .rules
            .iter()
            .flatten()
            .flat_map(|rule| rule.api_groups.iter().flatten());
        groups.any(|group| group == "nets.example.com")
    };
    let names: Vec<&str> = webhooks
        .iter()
        .filter(having)
        .map(|webhook| webhook.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "networkpolicies.guard.ringfence.dev",
            "networkpolicies.open.guard.ringfence.dev"
        ]
    );
    for webhook in webhooks.iter().filter(having) {
        let conditions: Vec<&str> = webhook
            .match_conditions
            .iter()
            .flatten()
            .map(|condition| condition.expression.as_str())
            .filter(|expression| expression.contains("request.kind.kind"))
            .collect();
        let [cilium, other] = conditions.as_slice() else {
            panic!("one a group, none for kinds of the table alone: {conditions:?}")
        };
        let of_the_table = "[\"ciliumnetworkpolicies\", \"ciliumclusterwidenetworkpolicies\"]";
        let begins = format!(
            "request.resource.group != \"cilium.io\" || request.resource.resource in {of_the_table} || \
             (request.kind.kind in [\"C\"] && "
        );
        assert!(cilium.starts_with(&begins), "{cilium}");
        let begins = "request.resource.group != \"nets.example.com\" || request.resource.resource in [] || \
                      (request.kind.kind in [\"A\", \"B\"] && ";
        assert!(other.starts_with(begins), "{other}");
    }
}

#[test]
fn conditions_are_named_once_and_guarded() {
    for webhook in served(SAMPLES[3]) {
        let conditions = webhook.match_conditions.unwrap_or_default();
        let mut names: Vec<&str> = conditions.iter().map(|condition| condition.name.as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{}", webhook.name);
        let guarded = conditions.iter().skip(1).all(|condition| {
            condition.expression.starts_with("[request.resource.group, ") || webhook.name == Webhook::Config.name()
        });
        assert!(guarded, "{}", webhook.name);
    }
}

#[test]
fn the_address_is_the_service_or_a_url() {
    let client = |address| {
        let endpoint = Endpoint { address, ..endpoint() };
        let webhooks = webhook_configuration(&Guardrails::default(), &endpoint)
            .webhooks
            .expect("it has webhooks");
        let open = webhooks
            .into_iter()
            .find(|webhook| webhook.name == Webhook::Open.name());
        open.expect("it is there").client_config
    };
    let service = client(Address::Service).service.expect("a service");
    assert_eq!(
        (service.name.as_str(), service.namespace.as_str()),
        ("ringfence", "ringfence-system")
    );
    assert_eq!(service.path.as_deref(), Some("/token/open"));
    let url = client(Address::Url("https://10.0.0.1:8443/".to_owned())).url;
    assert_eq!(url.as_deref(), Some("https://10.0.0.1:8443/token/open"));
}
