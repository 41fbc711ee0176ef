//! [`Placement`]: "pods with these labels will run this, in this namespace": what every write path is reduced to.

use std::borrow::Cow;

use crate::labels::Labels;

/// One placement. The rules know nothing of kinds: all that they judge is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement<'a> {
    /// Whether a pod itself is written, or a template that pods will be made from.
    pub kind: PlacementKind,
    /// The labels before the write; absent on CREATE.
    pub before: Option<Labels<'a>>,
    /// The labels after the write.
    pub after: Labels<'a>,
    /// Whether what runs under the labels changes.
    pub runs: Runs,
    /// The controller ownerReferences of the written object.
    pub controllers: Controllers<'a>,
    /// What will run, as written; read only by the rules that look into it.
    pub spec: PodSpecText<'a>,
    /// What ran before; empty on CREATE.
    pub spec_before: PodSpecText<'a>,
}

/// A pod spec as JSON text, empty where there is none. Only its text is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PodSpecText<'a>(pub &'a str);

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlacementKind {
    /// A pod: losing a member label takes it out of the policies that hold it.
    Pod,
    /// A template: nothing runs by it until a controller makes a pod.
    Template,
}

/// Whether what runs changes. A changed image under a kept label is identity theft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// Same as before.
    Unchanged,
    /// Something that runs is new or different.
    Changed,
    /// The same runs, and the pod's status is told anew: other addresses, another phase. Networks that carry policies out by
    /// the status of pods then let in, and hold, what stands there.
    Readdressed,
}

/// The ownerReferences with `controller: true`. The API server refuses a second one, so more than one means that the
/// request is not what it seems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Controllers<'a> {
    /// None.
    #[default]
    None,
    /// Exactly one.
    One(ControllerReference<'a>),
    /// More than one.
    Several,
}

/// An ownerReference with `controller: true`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControllerReference<'a> {
    /// API version as written, e.g. `apps/v1`.
    pub api_version: Cow<'a, str>,
    /// Kind as written, e.g. `ReplicaSet`.
    pub kind: Cow<'a, str>,
    /// Name of the owner.
    pub name: Cow<'a, str>,
    /// Uid of the owner.
    pub uid: Cow<'a, str>,
}
