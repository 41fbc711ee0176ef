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
