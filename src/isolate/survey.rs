//! [`survey`]: how it stands with the policies of every namespace, pure: from the snapshot and the injected objects as last
//! seen to a [`Row`] a namespace. The leader works off what is lacking, and `ringfence isolation status` prints the same.

use std::sync::Arc;

use hashbrown::HashMap;
use ringfence_core::guardrails::{Chosen, Coverage, Ours};
use ringfence_core::model::{Mode, Namespace, NamespaceName, ProfileName, Snapshot};

use super::content::{Seen, Standing};
use super::kinds::Form;
use super::wanted::{Kind, Profiles, Wanted};

/// An injected object as last seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'o> {
    pub(crate) kind: &'o Kind,
    pub(crate) namespace: &'o NamespaceName,
    pub(crate) name: &'o str,
    pub(crate) seen: &'o Seen,
}

/// How it stands with a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum State {
    /// All its policies stand.
    Isolated,
    /// Some do not.
    Lacking,
    /// It is being deleted: what stands is left, nothing can be put there.
    Terminating,
    /// It has no profile, by its own word or by default.
    OptedOut,
    /// It was there before, and such namespaces are reported only.
    Existing,
    /// A system namespace.
    System,
    /// Isolation is not configured.
    Off,
}

/// Every state, in the order in which they are told.
pub(crate) const STATES: [State; 7] = [
    State::Isolated,
    State::Lacking,
    State::OptedOut,
    State::Existing,
    State::Terminating,
    State::System,
    State::Off,
];

impl State {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Lacking => "lacking",
            Self::Terminating => "terminating",
            Self::OptedOut => "opted out",
            Self::Existing => "existing",
            Self::System => "system",
            Self::Off => "off",
        }
    }
}

/// A wanted object that does not stand as it should.
#[derive(Debug, Clone)]
pub(crate) struct Lack {
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) what: Lacking,
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// It is not there.
    Absent,
    /// It says something else, or something can take it away.
    Differs,
    /// It isolates, but does not say whose it is.
    Mislabelled,
    /// How it should look has to be asked first.
    Unknown,
    /// Objects of its kind cannot be watched.
    Unwatched,
}

/// An injected object that is wanted no longer.
#[derive(Debug, Clone)]
pub(crate) struct Stray {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) seen: Seen,
}

/// How it stands with one namespace.
#[derive(Debug)]
pub(crate) struct Row<'s> {
    pub(crate) name: &'s NamespaceName,
    pub(crate) namespace: &'s Namespace,
    pub(crate) state: State,
    /// The profile, and by what it was chosen; none where it has none.
    pub(crate) profile: Option<(&'s ProfileName, Chosen)>,
    /// What happens where policies do not stand; none where nothing does.
    pub(crate) mode: Option<Mode>,
    /// The kinds that its profile names and the cluster does not have.
    pub(crate) no_kind: Vec<Kind>,
    pub(crate) lacking: Vec<Lack>,
    /// Only where they are to be taken away: under Enforce.
    pub(crate) stray: Vec<Stray>,
}

impl Row<'_> {
    /// Whether anything is created, repaired or taken away here.
    pub(crate) fn is_ours_to_mend(&self) -> bool {
        self.mode == Some(Mode::Enforce) && !self.namespace.terminating
    }

    /// Whether a pod could come to exist here without its policies, or be refused for want of them.
    pub(crate) fn fails(&self) -> bool {
        self.state == State::Lacking && self.mode == Some(Mode::Enforce)
    }
}

/// Every namespace, in no order. `form` tells how the API server writes an object down.
pub(crate) fn survey<'s>(
    snapshot: &'s Snapshot,
    profiles: &Profiles,
    objects: impl Iterator<Item = Object<'s>>,
    form: impl Fn(&Wanted) -> Form,
) -> Vec<Row<'s>> {
    let mut by_namespace: HashMap<&NamespaceName, Vec<Object<'s>>> = HashMap::new();
    for object in objects.filter(|object| object.seen.ours) {
        by_namespace.entry(object.namespace).or_default().push(object);
    }
    let namespaces = snapshot.namespaces.iter();
    namespaces
        .map(|(name, namespace)| {
            let there = by_namespace.get(name).map(Vec::as_slice).unwrap_or_default();
            row(snapshot, profiles, name, namespace, there, &form)
        })
        .collect()
}

fn row<'s>(
    snapshot: &'s Snapshot,
    profiles: &Profiles,
    name: &'s NamespaceName,
    namespace: &'s Namespace,
    there: &[Object<'s>],
    form: &impl Fn(&Wanted) -> Form,
) -> Row<'s> {
    let ours = if there.is_empty() { Ours::None } else { Ours::Some };
    let guardrails = &snapshot.guardrails;
    let coverage = guardrails.coverage(name.as_str(), namespace, &snapshot.since, ours);
    let mut row = Row {
        name,
        namespace,
        state: match coverage {
            Coverage::Off => State::Off,
            Coverage::System => State::System,
            Coverage::OptedOut => State::OptedOut,
            Coverage::Existing => State::Existing,
            Coverage::Covered { .. } => State::Isolated,
        },
        profile: None,
        mode: None,
        no_kind: Vec::new(),
        lacking: Vec::new(),
        stray: Vec::new(),
    };
    let wanted = match coverage {
        Coverage::Covered { mode, profile, chosen } => {
            row.mode = Some(mode);
            row.profile = Some((&profile.name, chosen));
            profiles.get(&profile.name)
        }
        Coverage::OptedOut => {
            row.mode = guardrails.isolation_mode(name.as_str());
            Arc::default()
        }
        Coverage::Off | Coverage::System | Coverage::Existing => return row,
    };
    for wanted in wanted.iter() {
        match lacking(wanted, there, form(wanted)) {
            Ok(()) => {}
            Err(None) => row.no_kind.push(wanted.kind.clone()),
            Err(Some(what)) => row.lacking.push(Lack {
                wanted: Arc::clone(wanted),
                what,
            }),
        }
    }
    if row.is_ours_to_mend() {
        row.stray = strays(&wanted, there);
    }
    let isolates = |lack: &Lack| lack.what == Lacking::Mislabelled;
    if row.state == State::Isolated && namespace.terminating {
        row.state = State::Terminating;
    } else if !row.lacking.iter().all(isolates) {
        row.state = State::Lacking;
    }
    row
}

/// What is wrong with an object: nothing, that there is no such kind, or this.
fn lacking(wanted: &Wanted, there: &[Object<'_>], form: Form) -> Result<(), Option<Lacking>> {
    let found = there
        .iter()
        .find(|object| object.name == wanted.name && *object.kind == wanted.kind);
    let digest = match (form, found) {
        (Form::NoKind, _) => return Err(None),
        (Form::Pending, _) => return Ok(()),
        (Form::Unwatched, _) => return Err(Some(Lacking::Unwatched)),
        (_, None) => return Err(Some(Lacking::Absent)),
        (Form::Unknown, Some(_)) => return Err(Some(Lacking::Unknown)),
        (Form::Known(digest), Some(_)) => digest,
    };
    match found.map(|found| found.seen.compared(wanted, digest)) {
        Some(Standing::Stands) => Ok(()),
        Some(Standing::Mislabelled) => Err(Some(Lacking::Mislabelled)),
        Some(Standing::Differs) => Err(Some(Lacking::Differs)),
        None => Err(Some(Lacking::Absent)),
    }
}

/// What we made, by label and reserved name, and is wanted no longer.
fn strays(wanted: &[Arc<Wanted>], there: &[Object<'_>]) -> Vec<Stray> {
    there
        .iter()
        .filter(|object| object.name.starts_with(ringfence_core::guardrails::RESERVED_PREFIX))
        .filter(|object| {
            !wanted
                .iter()
                .any(|wanted| wanted.name == object.name && wanted.kind == *object.kind)
        })
        .map(|object| Stray {
            kind: object.kind.clone(),
            name: object.name.to_owned(),
            seen: object.seen.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ringfence_core::guardrails::{Guardrails, Source, compile};
    use ringfence_core::model::{Since, Timestamp};
    use serde_json::{Value, json};

    use super::*;

    const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  isolation: {mode: Enforce, defaultProfile: restricted, existingNamespaces: Report}
---
apiVersion: ringfence.dev/v1alpha1
kind: IsolationProfile
metadata: {name: restricted}
spec:
  policies:
    - builtin: default-deny-ingress
    - builtin: default-deny-egress
";
    const INGRESS: &str = "ringfence-default-deny-ingress";
    const EGRESS: &str = "ringfence-default-deny-egress";

    fn guardrails(mode: &str) -> Arc<Guardrails> {
        let source = Source {
            name: "a.yaml".to_owned(),
            text: GUARDRAILS.replace("isolation: {mode: Enforce", &format!("isolation: {{mode: {mode}")),
        };
        let compiled = compile(&[source]).unwrap_or_else(|problems| panic!("{problems}"));
        Arc::new(compiled.guardrails)
    }

    /// One namespace, made at this second; isolation is enforced since second 100.
    fn snapshot(mode: &str, created: i64, label: Option<&str>) -> Snapshot {
        let label = label.map(|label| (ringfence_core::guardrails::ISOLATION_LABEL.to_owned(), label.to_owned()));
        let namespace = Namespace {
            uid: "1".to_owned(),
            labels: label.into_iter().collect(),
            created: Some(Timestamp(created)),
            ..Namespace::default()
        };
        let mut since = Since {
            isolation: Some(Timestamp(100)),
            ..Since::default()
        };
        since.rollout.default = Some(Timestamp(100));
        Snapshot {
            guardrails: guardrails(mode),
            namespaces: Arc::new([(name(), Arc::new(namespace))].into_iter().collect()),
            since: Arc::new(since),
            policies: Arc::default(),
        }
    }

    fn name() -> NamespaceName {
        NamespaceName::new("shop").expect("a valid name")
    }

    /// What the profile puts there, changed by a test.
    fn standing(snapshot: &Snapshot, change: impl Fn(&str, &mut Value)) -> Vec<(String, Seen)> {
        let profiles = Profiles::of(&snapshot.guardrails);
        let objects = profiles.wanted().map(|wanted| {
            let mut object = wanted.object(&name());
            change(&wanted.name, &mut object);
            (wanted.name.clone(), Seen::of(&object))
        });
        objects.collect()
    }

    /// The state, what is lacking, and what is left over.
    fn told(snapshot: &Snapshot, standing: &[(String, Seen)]) -> (State, Vec<(String, Lacking)>, Vec<String>) {
        let (kind, namespace) = (Kind::network_policy(), name());
        let objects = standing.iter().map(|(name, seen)| Object {
            kind: &kind,
            namespace: &namespace,
            name,
            seen,
        });
        let profiles = Profiles::of(&snapshot.guardrails);
        let rows = survey(snapshot, &profiles, objects, |wanted| Form::Known(wanted.digest));
        let [row] = <[_; 1]>::try_from(rows).expect("one namespace");
        let lacking = row.lacking.iter().map(|lack| (lack.wanted.name.clone(), lack.what));
        (
            row.state,
            lacking.collect(),
            row.stray.into_iter().map(|stray| stray.name).collect(),
        )
    }

    #[test]
    fn a_namespace_is_isolated_where_every_policy_stands_as_it_is_in_the_profile() {
        let snapshot = snapshot("Enforce", 200, None);
        let all = standing(&snapshot, |_, _| {});
        assert_eq!(told(&snapshot, &all), (State::Isolated, vec![], vec![]));
        let (state, lacking, _) = told(&snapshot, &[]);
        let absent = |name: &str| (name.to_owned(), Lacking::Absent);
        assert_eq!(
            (state, lacking),
            (State::Lacking, vec![absent(INGRESS), absent(EGRESS)])
        );
    }

    #[rstest::rstest]
    #[case::planted_field(json!({"spec": {"ingress": [{}]}}), Lacking::Differs, State::Lacking)]
    #[case::other_selector(json!({"spec": {"podSelector": {"matchLabels": {"app": "web"}}}}), Lacking::Differs, State::Lacking)]
    #[case::owner(json!({"metadata": {"ownerReferences": [{"uid": "1"}]}}), Lacking::Differs, State::Lacking)]
    #[case::finalizer(json!({"metadata": {"finalizers": ["a/b"]}}), Lacking::Differs, State::Lacking)]
    #[case::going(json!({"metadata": {"deletionTimestamp": "2026-11-21T12:00:00Z"}}), Lacking::Differs, State::Lacking)]
    #[case::other_profile(json!({"metadata": {"labels": {"ringfence.dev/profile": "b"}}}), Lacking::Mislabelled, State::Isolated)]
    #[case::not_ours(json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}), Lacking::Absent, State::Lacking)]
    fn what_was_changed_is_told_apart(#[case] patch: Value, #[case] what: Lacking, #[case] state: State) {
        let snapshot = snapshot("Enforce", 200, None);
        let changed = standing(&snapshot, |name, object| {
            if name == INGRESS {
                json_patch_merge(object, &patch);
            }
        });
        let expected = vec![(INGRESS.to_owned(), what)];
        assert_eq!(told(&snapshot, &changed), (state, expected, vec![]));
    }

    /// The procedure of RFC 7386, for patches without nulls.
    fn json_patch_merge(target: &mut Value, patch: &Value) {
        match (target, patch) {
            (Value::Object(target), Value::Object(patch)) => {
                for (key, value) in patch {
                    json_patch_merge(target.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
            (target, patch) => *target = patch.clone(),
        }
    }

    #[test]
    fn labels_and_annotations_of_others_change_nothing() {
        let snapshot = snapshot("Enforce", 200, None);
        let tracked = standing(&snapshot, |_, object| {
            object["metadata"]["labels"]["argocd.argoproj.io/instance"] = json!("shop");
            object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!("{}");
        });
        assert_eq!(told(&snapshot, &tracked), (State::Isolated, vec![], vec![]));
    }

    #[test]
    fn what_a_namespace_that_opted_out_still_has_is_left_over_but_only_what_is_ours() {
        let snapshot = snapshot("Enforce", 200, Some("none"));
        let mut all = standing(&snapshot, |_, _| {});
        let (_, seen) = all[0].clone();
        all.push(("theirs".to_owned(), seen));
        let (state, lacking, stray) = told(&snapshot, &all);
        assert_eq!((state, lacking), (State::OptedOut, vec![]));
        assert_eq!(
            stray,
            [INGRESS, EGRESS],
            "a name that is not reserved was not made by us"
        );
    }

    #[test]
    fn under_audit_nothing_is_left_over_and_nothing_is_to_be_mended() {
        let snapshot = snapshot("Audit", 200, Some("none"));
        let all = standing(&snapshot, |_, _| {});
        assert_eq!(told(&snapshot, &all), (State::OptedOut, vec![], vec![]));
    }

    #[test]
    fn what_was_there_before_is_reported_unless_policies_of_ours_stand_there() {
        let snapshot = snapshot("Enforce", 50, None);
        assert_eq!(told(&snapshot, &[]), (State::Existing, vec![], vec![]));
        let mut one = standing(&snapshot, |_, _| {});
        one.truncate(1);
        let (state, lacking, _) = told(&snapshot, &one);
        assert_eq!(
            (state, lacking),
            (State::Lacking, vec![(EGRESS.to_owned(), Lacking::Absent)])
        );
    }
}
