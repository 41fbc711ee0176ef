//! The small world that the rules are tried on: a segment, a few namespaces, requests of mallory's, and answers to what the
//! rules ask.

use super::*;
use crate::guardrails::{Source, compile};
use crate::model::{PolicySpecText, PolicyText, PolicyWrite};
use crate::netpol::{Leniency, NetworkPolicySpec, Policy};

/// A namespace's name.
pub(in crate::decide) fn name(text: &str) -> NamespaceName {
    NamespaceName::new(text).expect("valid name")
}

/// A selector on these labels.
pub(in crate::decide) fn selector(pairs: &[(&str, &str)]) -> Selector {
    let requirement = |(key, value): &(&str, &str)| Requirement {
        key: (*key).to_owned(),
        operator: Operator::In(vec![(*value).to_owned()]),
    };
    Selector::new(pairs.iter().map(requirement).collect())
}

/// Segment `payments-db`: members `app=hollowdb` in payments, clients `app=hollowapp` everywhere, and `app=batch` where a
/// namespace is labelled `team=blue`; consent in payments.
pub(in crate::decide) fn guardrails(mode: Mode) -> Guardrails {
    let everywhere = NamespaceSet::Selected(Selector::everything());
    let segment = Segment {
        name: SegmentName::new("payments-db").expect("valid name"),
        description: "Card data. Ask team payments for access.".to_owned(),
        mode,
        consent: Scope::Namespace(name("payments")),
        members: vec![Clause {
            namespaces: NamespaceSet::Named([name("payments")].into()),
            pods: selector(&[("app", "hollowdb")]),
        }],
        clients: vec![
            Clause {
                namespaces: everywhere,
                pods: selector(&[("app", "hollowapp")]),
            },
            Clause {
                namespaces: NamespaceSet::Selected(selector(&[("team", "blue")])),
                pods: selector(&[("app", "batch")]),
            },
        ],
        isolated_from: Vec::new(),
        require_isolation: Vec::new(),
        guard_access: true,
    };
    let id = |side, position| ClauseId {
        segment: SegmentId(0),
        side,
        position,
    };
    let index = ClauseIndex::new(&[
        (id(Side::Member, 0), &segment.members[0]),
        (id(Side::Client, 0), &segment.clients[0]),
        (id(Side::Client, 1), &segment.clients[1]),
    ]);
    Guardrails {
        mode,
        segments: vec![segment],
        index,
        selecting: vec![id(Side::Client, 1)],
        consents: BTreeMap::from([(name("payments"), vec![SegmentId(0)])]),
        system_namespaces: [name("kube-system")].into(),
        ..Guardrails::default()
    }
}

/// A namespace with these labels, as it is read live.
pub(in crate::decide) fn namespace(labels: &[(&str, &str)]) -> Namespace {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Namespace {
        uid: "ns-1".to_owned(),
        labels,
        terminating: false,
        created: None,
    }
}

/// Since when the segments of these worlds are enforced.
pub(in crate::decide) const ENFORCED: Timestamp = Timestamp(1000);
/// When what was judged was written.
pub(in crate::decide) const LATER: Option<Timestamp> = Some(Timestamp(2000));

/// A controller of this uid, none where it is empty.
pub(in crate::decide) fn controlled_by(uid: &str) -> Option<ControllerReference<'static>> {
    (!uid.is_empty()).then(|| ControllerReference {
        uid: uid.to_owned().into(),
        ..ControllerReference::default()
    })
}

/// These guardrails in a cluster of three namespaces without labels, enforced since [`ENFORCED`].
pub(in crate::decide) fn snapshot(guardrails: Guardrails) -> Snapshot {
    let namespaces: Namespaces = ["payments", "web", "kube-system"]
        .into_iter()
        .map(|text| (name(text), Arc::new(namespace(&[]))))
        .collect();
    let since = Since::default().advanced(&guardrails, ENFORCED);
    Snapshot {
        guardrails: Arc::new(guardrails),
        namespaces: Arc::new(namespaces),
        since: Arc::new(since),
        policies: Arc::default(),
    }
}

/// A pod that is created, or changed in what it runs.
pub(in crate::decide) fn placement<'a>(
    before: Option<&[(&'a str, &'a str)]>,
    after: &[(&'a str, &'a str)],
) -> Placement<'a> {
    Placement {
        kind: PlacementKind::Pod,
        before: before.map(|labels| labels.iter().copied().collect()),
        after: after.iter().copied().collect(),
        runs: Runs::Changed,
        controllers: Controllers::None,
        spec: PodSpecText::default(),
        spec_before: PodSpecText::default(),
    }
}

/// What mallory does to `rogue` in a namespace.
pub(in crate::decide) fn request<'a>(namespace: &'a str, action: Action<'a>) -> Request<'a> {
    let operation = match &action {
        Action::Place(Placement { before: Some(_), .. }) => Operation::Update,
        _ => Operation::Create,
    };
    Request {
        uid: "1".into(),
        identity: Identity {
            username: "mallory".into(),
            ..Identity::default()
        },
        operation,
        group: "".into(),
        version: "v1".into(),
        resource: "pods".into(),
        subresource: "".into(),
        dry_run: false,
        subject: Subject {
            kind: "pod".into(),
            namespace: namespace.into(),
            name: "rogue".into(),
            group_key: "rogue".into(),
        },
        actions: vec![action],
    }
}

/// The question for a permission on `payments-db`.
pub(in crate::decide) fn asks(verb: Verb, scope: Scope) -> Question {
    let segment = SegmentName::new("payments-db").expect("valid name");
    Question::Allowed(Who::Requester, Permission::segment(verb, &segment, scope))
}

/// The same, asked where its owner consents.
pub(in crate::decide) fn in_payments(verb: Verb) -> Question {
    asks(verb, Scope::Namespace(name("payments")))
}

/// Runs the steps, answering from this list; a question that is not in it fails the test. Gives the decision and what was
/// asked, round by round.
#[track_caller]
pub(in crate::decide) fn run(
    snapshot: &Snapshot,
    request: &Request<'_>,
    known: &[(Question, Answer)],
) -> (Decision, Vec<Vec<Question>>) {
    answering(snapshot, request, |question| {
        let answer = known.iter().find(|(known, _)| known == question);
        let answer = answer.unwrap_or_else(|| panic!("unexpected question: {question:?}"));
        answer.1.clone()
    })
}

/// Runs the steps with these answers. Gives the decision and what was asked, round by round.
#[track_caller]
pub(in crate::decide) fn answering(
    snapshot: &Snapshot,
    request: &Request<'_>,
    answer: impl Fn(&Question) -> Answer,
) -> (Decision, Vec<Vec<Question>>) {
    let mut answers = Answers::new();
    let mut rounds = Vec::new();
    loop {
        match decide(snapshot, request, &answers) {
            Step::Done(decision) => {
                assert!(rounds.len() <= MOST_ROUNDS, "too many rounds: {rounds:?}");
                return (decision, rounds);
            }
            Step::Ask(asked) => {
                for Asked { question, .. } in &asked {
                    answers.insert(question.clone(), answer(question));
                }
                rounds.push(asked.into_iter().map(|asked| asked.question).collect());
            }
        }
    }
}

/// The write that makes of one NetworkPolicy the other.
pub(in crate::decide) fn policy_write<'a>(
    (namespace, name): (&'a str, &'a str),
    before: Option<PolicyText<'a>>,
    after: Option<PolicyText<'a>>,
    changes: &[PolicyChange],
) -> Request<'a> {
    let operation = match (&before, &after) {
        (None, _) => Operation::Create,
        (_, None) => Operation::Delete,
        _ => Operation::Update,
    };
    let action = Action::WritePolicy(PolicyWrite {
        before,
        after,
        changes: changes.to_vec(),
    });
    let whole = request(namespace, action);
    Request {
        operation,
        group: "networking.k8s.io".into(),
        resource: "networkpolicies".into(),
        subject: Subject {
            kind: "NetworkPolicy".into(),
            name: name.into(),
            ..whole.subject.clone()
        },
        ..whole
    }
}

/// The write that makes of one spec the other.
pub(in crate::decide) fn write<'a>(
    namespace: &'a str,
    name: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    changes: &[PolicyChange],
) -> Request<'a> {
    let text = |spec| PolicyText {
        spec: PolicySpecText(spec),
        ..PolicyText::default()
    };
    policy_write((namespace, name), before.map(text), after.map(text), changes)
}

/// A policy that stands.
pub(in crate::decide) fn policy(namespace: &str, name: &str, spec: &str) -> Policy {
    let spec: NetworkPolicySpec = serde_json::from_str(spec).expect("a spec");
    Policy::read(namespace, name, &spec, Leniency::Stored).expect("a policy")
}

/// A document of the configuration, the spec in flow style.
pub(in crate::decide) fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("{{apiVersion: ringfence.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}\n---\n")
}

/// What valid documents say.
#[track_caller]
pub(in crate::decide) fn compiled(text: impl Into<String>) -> Guardrails {
    let source = Source {
        name: "guardrails.yaml".to_owned(),
        text: text.into(),
    };
    let compiled = compile(&[source]).unwrap_or_else(|problems| panic!("{problems}"));
    compiled.guardrails
}

pub(in crate::decide) const CLIENT: &[(&str, &str)] = &[("app", "hollowapp"), ("tier", "web")];
pub(in crate::decide) const MEMBER: &[(&str, &str)] = &[("app", "hollowdb")];
pub(in crate::decide) const OTHER: &[(&str, &str)] = &[("app", "other")];
pub(in crate::decide) const BATCH: &[(&str, &str)] = &[("app", "batch")];

/// The question for a namespace.
pub(in crate::decide) fn reads(text: &str) -> Question {
    Question::Namespace(name(text))
}

/// A pod of a ReplicaSet made by its controller, then one thing changed about it.
pub(in crate::decide) fn made_by_controller<'a>() -> Request<'a> {
    let owner = ControllerReference {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        name: "app-1".into(),
        uid: "rs-1".into(),
    };
    let placement = Placement {
        controllers: Controllers::One(owner),
        ..placement(None, CLIENT)
    };
    let identity = Identity {
        username: "system:serviceaccount:kube-system:replicaset-controller".into(),
        uid: "sa-1".into(),
        ..Identity::default()
    };
    Request {
        identity,
        ..request("web", Action::Place(placement))
    }
}

/// The question for the owner of that pod.
pub(in crate::decide) fn owner_question() -> Question {
    Question::Owner(crate::model::ObjectReference {
        group: "apps".into(),
        version: "v1".into(),
        resource: "replicasets".into(),
        template: "/spec/template".into(),
        namespace: name("web"),
        name: "app-1".into(),
    })
}

/// An owner that was written since its template's labels are guarded.
pub(in crate::decide) fn owner(uid: &str, labels: &[(&str, &str)]) -> Answer {
    Answer::Owner(Some(Owner {
        uid: uid.to_owned(),
        templates: vec![OwnedTemplate {
            labels: namespace(labels).labels,
            ..OwnedTemplate::default()
        }],
        created: LATER,
        written: LATER,
        ..Owner::default()
    }))
}
