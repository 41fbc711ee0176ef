//! Policies as large as they come: whoever may write policies anywhere writes them to hold ringfence up. Each is decided by
//! all rules together; were any rule slower than in proportion to what is written, these tests would not end.

use super::*;
use crate::guardrails::CheckName;
use crate::model::{PolicyChange, Running};
use crate::netpol::{NamedPort, Policy, PolicyName, Protocol};

/// A seventh of what the API server takes in one object.
const BYTES: usize = 200_000;

const SEGMENTS: usize = 10;

/// Every check is on, and segments are kept apart from `env=dev`; half of them may have members in `web`.
fn cluster() -> Snapshot {
    let on_policies = CheckName::ALL
        .into_iter()
        .filter(|check| *check != CheckName::HostAccess);
    let checks: Vec<String> = on_policies
        .map(|check| format!("{{name: {}, mode: Enforce}}", check.as_str()))
        .collect();
    let mut text = format!(
        "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, spec: {{mode: Enforce, checks: [{}]}}}}",
        checks.join(", ")
    );
    for number in 0..SEGMENTS {
        let namespaces = if number % 2 == 0 {
            "namespaces: [web]".to_owned()
        } else {
            format!("namespaceSelector: {{matchLabels: {{team: t{number}}}}}")
        };
        text.push_str(&format!(
            "
---
{{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: s{number}}}, spec: {{
  consent: {{cluster: true}}, requireIsolation: [Ingress],
  members: [{{{namespaces}, podSelector: {{matchLabels: {{app: a{number}}}}}}}],
  clients: [{{namespaceSelector: {{matchLabels: {{env: e{number}}}}}, podSelector: {{matchLabels: {{role: r{number}}}}}}}],
  isolatedFrom: [{{namespaceSelector: {{matchLabels: {{env: dev}}}}}}]}}}}"
        ));
    }
    let compiled = crate::guardrails::compile(&[crate::guardrails::Source {
        name: "guardrails.yaml".to_owned(),
        text,
    }]);
    let mut snapshot = snapshot(compiled.unwrap_or_else(|problems| panic!("{problems}")).guardrails);
    let names = (0..50).flat_map(|number| {
        [
            (format!("n{number}"), ("team", format!("t{number}"))),
            (format!("dev{number}"), ("env", "dev".to_owned())),
        ]
    });
    let mut namespaces: Namespaces = names
        .map(|(text, label)| (name(&text), Arc::new(labelled(&[label]))))
        .collect();
    namespaces.insert(name("web"), Arc::new(labelled(&[])));
    snapshot.namespaces = Arc::new(namespaces);
    snapshot
}

fn labelled(labels: &[(&str, String)]) -> Namespace {
    Namespace {
        uid: "1".to_owned(),
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
        terminating: false,
        created: None,
    }
}

/// As many entries as there is room for, between commas.
fn many(entry: impl Fn(usize) -> String) -> String {
    let mut list = entry(0);
    for number in 1.. {
        let entry = entry(number);
        if list.len() + entry.len() >= BYTES {
            break;
        }
        list.push(',');
        list.push_str(&entry);
    }
    list
}

fn address(number: usize) -> String {
    format!("{}.{}.{}.7/32", 11 + number / 65_536, number / 256 % 256, number % 256)
}

/// No two follow one another.
fn port(number: usize) -> usize {
    1 + 2 * number % 65_535
}

/// A policy over `app=web` with these rules of a direction.
fn over_web(direction: &str, rules: &str) -> String {
    format!(
        r#"{{"podSelector":{{"matchLabels":{{"app":"web"}}}},"policyTypes":["Ingress","Egress"],"{direction}":[{rules}]}}"#
    )
}

fn selecting(requirements: &str) -> String {
    format!(r#"{{"podSelector":{{"matchExpressions":[{requirements}]}}}}"#)
}

#[rstest]
#[case::blocks(over_web("ingress", &format!(r#"{{"from":[{}]}}"#, many(|n| format!(r#"{{"ipBlock":{{"cidr":"{}"}}}}"#, address(n))))))]
#[case::holes(over_web("ingress", &format!(r#"{{"from":[{{"ipBlock":{{"cidr":"0.0.0.0/0","except":[{}]}}}}]}}"#, many(|n| format!(r#""{}""#, address(n))))))]
#[case::peers(over_web("ingress", &format!(r#"{{"from":[{}]}}"#, many(|n| format!(r#"{{"namespaceSelector":{{"matchLabels":{{"number":"n{n}"}}}}}}"#)))))]
#[case::peers_everywhere(over_web("ingress", &format!(r#"{{"from":[{}]}}"#, many(|n| format!(r#"{{"namespaceSelector":{{}},"podSelector":{{"matchLabels":{{"number":"n{n}"}}}}}}"#)))))]
#[case::ports(over_web("ingress", &format!(r#"{{"from":[{{"podSelector":{{}}}}],"ports":[{}]}}"#, many(|n| format!(r#"{{"port":{}}}"#, port(n))))))]
#[case::names_of_ports(over_web("ingress", &format!(r#"{{"from":[{{"podSelector":{{}}}}],"ports":[{}]}}"#, many(|n| format!(r#"{{"port":"p{n}"}}"#)))))]
#[case::rules_of_a_block(over_web("ingress", &many(|n| format!(r#"{{"from":[{{"ipBlock":{{"cidr":"{}"}}}}],"ports":[{{"port":{}}}]}}"#, address(n), port(n)))))]
#[case::rules_of_the_world(over_web("egress", &many(|n| format!(r#"{{"to":[{{"ipBlock":{{"cidr":"0.0.0.0/0","except":["{}"]}}}}],"ports":[{{"port":{}}}]}}"#, address(n), port(n)))))]
#[case::rules_of_a_port(over_web("ingress", &many(|n| format!(r#"{{"ports":[{{"port":{}}}]}}"#, port(n)))))]
#[case::rules_of_a_name(over_web("ingress", &many(|n| format!(r#"{{"ports":[{{"port":"p{n}"}}]}}"#))))]
#[case::rules_of_a_name_of_others(over_web("egress", &many(|n| format!(r#"{{"to":[{{"podSelector":{{}}}}],"ports":[{{"port":"p{n}"}}]}}"#))))]
#[case::excluded_values(selecting(&many(|n| format!(r#"{{"key":"app","operator":"NotIn","values":["v{n}"]}}"#))))]
#[case::values(selecting(&format!(r#"{{"key":"app","operator":"In","values":[{}]}}"#, many(|n| format!(r#""v{n}""#)))))]
#[case::keys(selecting(&many(|n| format!(r#"{{"key":"k{n}","operator":"Exists"}}"#))))]
fn the_largest_policies_hold_nobody_up(#[case] spec: String) {
    let snapshot = cluster();
    // Every entry differs from what it was.
    let other = spec
        .replace(".7/32", ".8/32")
        .replace("\"n", "\"m")
        .replace("\"p", "\"q")
        .replace("\"qo", "\"po");
    let content: &[PolicyChange] = &[PolicyChange::Content];
    for (before, after, changes) in [
        (None, Some(spec.as_str()), &[][..]),
        (Some(other.as_str()), Some(spec.as_str()), content),
        (Some(spec.as_str()), None, &[][..]),
    ] {
        let request = write("web", "mine", before, after, changes);
        let decision = answered(&snapshot, &request);
        let unanswered = decision
            .findings
            .iter()
            .find(|finding| finding.reason == Reason::Unanswered);
        assert_eq!(unanswered, None);
        let longest = decision.findings.iter().map(|finding| finding.why.len()).max();
        assert!(
            longest.unwrap_or_default() < 2_000,
            "nobody reads a megabyte: {longest:?}"
        );
    }
}

/// Decides, whoever asks holding nothing, with two hundred kinds of pods that run.
fn answered(snapshot: &Snapshot, request: &Request<'_>) -> Decision {
    let mut answers = Answers::new();
    for _ in 0..MOST_ROUNDS {
        match decide(snapshot, request, &answers) {
            Step::Done(decision) => return decision,
            Step::Ask(missing) => {
                for asked in missing {
                    let answer = answer(&asked.question);
                    answers.insert(asked.question, answer);
                }
            }
        }
    }
    panic!("more rounds than there may be")
}

fn answer(question: &Question) -> Answer {
    let running = |number: usize| Running {
        labels: vec![
            ("app".to_owned(), "web".to_owned()),
            ("number".to_owned(), number.to_string()),
        ],
        ports: vec![NamedPort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            number: 80,
        }],
    };
    let other = PolicyName {
        namespace: name("web"),
        name: "other".into(),
    };
    match question {
        Question::Running(_) => Answer::Running((0..200).map(running).collect()),
        Question::Policies(_) => Answer::Policies(vec![Arc::new(Policy::unread(other))]),
        Question::Namespace(_) => Answer::Namespace(Some(labelled(&[]))),
        Question::Allowed(..) => Answer::Allowed(false),
        other => panic!("unexpected question: {other:?}"),
    }
}
