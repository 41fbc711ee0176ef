//! That the tables are whole: every write path has an attack, every attack is one of a write path, and the API server
//! serves no version of them that no row names.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::review::{WRITE_PATHS, WritePath};

use super::attacks;
use super::world::WITHOUT;

/// A write path as rows name it: `pods/status`, `deployments.apps`.
pub(crate) fn path_name(path: &WritePath) -> String {
    if path.group.is_empty() {
        path.rule_resource()
    } else {
        format!("{}.{}", path.rule_resource(), path.group)
    }
}

#[test]
fn every_write_path_has_an_attack_and_every_attack_a_write_path() {
    let paths: BTreeSet<String> = WRITE_PATHS.iter().map(path_name).collect();
    let attacked: BTreeSet<String> = attacks::all().iter().map(|row| row.path.clone()).collect();
    assert_eq!(paths, attacked);
}

#[test]
fn names_of_attacks_are_unique_and_there_are_many() {
    let rows = attacks::all();
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len());
    assert!(rows.len() >= 60, "{} rows", rows.len());
    assert!(
        rows.iter().all(|row| !row.does.is_empty()),
        "every row says what is done"
    );
}

#[test]
fn the_api_server_serves_no_version_that_the_table_does_not_name() {
    let Some(world) = WITHOUT.get() else { return };
    let groups = world.cluster.request("admin", "GET", "/apis").send().ok();
    let served: BTreeMap<&str, Vec<&str>> = groups["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|group| {
            let versions = group["versions"].as_array()?.iter();
            Some((
                group["name"].as_str()?,
                versions.filter_map(|version| version["version"].as_str()).collect(),
            ))
        })
        .collect();
    // Of some kinds every version is guarded.
    let named = |path: &&WritePath| !path.group.is_empty() && path.versions != ["*"];
    let grouped = WRITE_PATHS.iter().filter(named);
    for path in grouped {
        let versions = served.get(path.group).map(Vec::as_slice);
        assert_eq!(versions, Some(path.versions), "versions of {}", path_name(path));
    }
}
