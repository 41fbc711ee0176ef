//! Policies of kinds that ringfence does not read: each kind of the table, and what is written of one all day.

use ringfence_controlplane::{Kind, Lives};
use ringfence_core::review::{Extent, Shape, WRITE_PATHS};
use serde_json::{Value, json};

use super::cases::{Case, MERGE, NAMESPACE, No, Reaches, Yes};
use crate::world::World;

/// The kinds of the table; whatever version of them is served.
fn kinds() -> Vec<Kind<'static>> {
    let lives = |shape| match shape {
        Shape::UnreadPolicy(Extent::Namespace) => Some(Lives::InNamespaces),
        Shape::UnreadPolicy(Extent::Cluster) => Some(Lives::InTheCluster),
        _ => None,
    };
    let rows = WRITE_PATHS.iter().filter_map(|row| {
        Some(Kind {
            group: row.group,
            version: "v1",
            plural: row.resource,
            kind: row.kind,
            lives: lives(row.shape)?,
        })
    });
    rows.collect()
}

/// Has the kinds served, and gives the cases of one object each, which they begin from.
pub(super) fn prepared(world: &World) -> Vec<Case> {
    let kinds = kinds();
    world.cluster.define(&kinds);
    let made = kinds.iter().map(|kind| {
        let collection = kind.collection(NAMESPACE);
        let Kind {
            group, version, kind, ..
        } = kind;
        let object = json!({
            "apiVersion": format!("{group}/{version}"), "kind": kind,
            "metadata": {"name": "still", "finalizers": ["example.org/one"], "annotations": {"kept": "as it is"}},
            "spec": {"selector": {}, "ingress": []}, "specs": [{"ingress": []}],
        });
        world
            .cluster
            .request("admin", "POST", &collection)
            .json(&object)
            .send()
            .ok();
        format!("{collection}/still")
    });
    let at: Vec<String> = made.collect();
    kinds.iter().zip(at).flat_map(|(kind, at)| cases(kind, &at)).collect()
}

fn cases(kind: &Kind<'_>, at: &str) -> Vec<Case> {
    let owner = json!([{"apiVersion": "example.org/v1", "kind": "Unknown", "name": "one", "uid": "1"}]);
    let changes: [(Value, &str, Reaches); 10] = [
        (json!({}), "", No),
        (json!({"metadata": {"finalizers": null}}), "", No),
        (json!({"status": {"nodes": {"node-0": {"ok": true}}}}), "", No),
        (json!({"status": {"nodes": {"node-0": {"ok": true}}}}), "/status", No),
        (json!({"spec": {"ingress": [{}]}}), "", Yes),
        (json!({"spec": null}), "", Yes),
        (json!({"specs": [{"ingress": [{}]}]}), "", Yes),
        (json!({"specs": null}), "", Yes),
        (json!({"beside": {"ingress": [{}]}}), "", Yes),
        (json!({"metadata": {"ownerReferences": owner}}), "", Yes),
    ];
    let case = |(body, below, reaches): (Value, &str, Reaches)| Case {
        path: format!("UPDATE {}.{}", kind.plural, kind.group),
        user: "admin",
        method: "PATCH",
        content: MERGE,
        at: format!("{at}{below}"),
        body,
        reaches,
    };
    changes.into_iter().map(case).collect()
}
