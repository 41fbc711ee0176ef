//! The rules over small worlds: what is asked, in which order, and what comes of the answers.

mod checks;
mod checks_attacks;
mod cross;
mod cross_by_brute_force;
mod duties;
mod huge;
mod isolation;
mod manage;
mod modes;
mod namespaces;
mod nodes;
mod paths;
mod pods;
mod protect;
mod provenance;
mod require_isolation;
mod settle;
mod unjudged;
mod unread_policies;
pub(super) mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use rstest::rstest;

use super::*;
use crate::guardrails::{Clause, ClauseId, Guardrails, NamespaceSet, Rollout, Segment, SegmentId, Side};
use crate::labels::{ClauseIndex, Labels, Operator, Requirement, Selector};
use crate::model::{
    Action, Answer, ControllerReference, Controllers, Identity, Namespace, NamespaceName, Namespaces, Operation,
    OwnedTemplate, Owner, Permission, Placement, PlacementKind, PodSpecText, PolicyChange, Question, Runs, Scope,
    SegmentName, Since, Subject, Timestamp, Verb, Who,
};
use world::*;
