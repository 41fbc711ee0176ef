//! What is read in pieces is what is read whole: the same objects, the same problems at the same lines.

use std::fs;
use std::path::PathBuf;

use rstest::rstest;

use super::*;
use crate::reach::load::{NotLoaded, load_in_pieces, of_files};
use crate::reach::{Compiled, cut};

/// What came of it, in words.
fn told(inventory: Result<Inventory, NotLoaded>) -> String {
    let inventory = match inventory {
        Ok(inventory) => inventory,
        Err(error) => return error.to_string(),
    };
    let (namespaces, workloads) = (inventory.namespaces.clone(), inventory.workloads.clone());
    let compiled = match inventory.compile() {
        Ok(compiled) => compiled,
        Err(problems) => return problems.to_string(),
    };
    let place = |(at, _)| compiled.place(at, "spec.ingress");
    let places: Vec<String> = compiled.world.policies.iter().enumerate().map(place).collect();
    let Compiled { world, warnings, .. } = &compiled;
    format!(
        "{namespaces:#?}{workloads:#?}{:#?}{places:#?}{warnings:#?}",
        world.policies
    )
}

fn reading() -> Reading {
    Reading {
        kinds: WorkloadKinds::new(&[]),
        namespace: "default".to_owned(),
        addresses: Addresses::TellNothing,
    }
}

/// Whether a text can be taken apart, and that it then says the same, in pieces of whatever size.
fn is_taken_apart(name: &str, text: &str) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, text).expect("written");
    let name = path.display().to_string();
    let whole = told(of_files(vec![file(&name, text)], &reading()).map_err(NotLoaded::from));
    let mut apart = Vec::new();
    for size in [1, 2, 7, 64, 300, 5_000] {
        let paths: [PathBuf; 1] = [path.clone()];
        let pieces = told(load_in_pieces(&paths, &reading(), std::io::empty(), size));
        assert_eq!(pieces, whole, "in pieces of {size} bytes: {text}");
        apart.push(cut::cut(text.as_bytes(), size, &mut |_| Ok(())).is_ok());
    }
    assert!(apart.iter().all(|one| *one == apart[0]), "{apart:?}: {text}");
    apart[0]
}

const JSON_POLICY: &str = r#"{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
  "metadata": {"name": "p", "namespace": "shop", "annotations": {"a": "\"{[\\"}},
  "spec": {"podSelector": {},
    "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}}"#;
const JSON_POD: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"items": "x"}}, "spec": {"items": [1]}}"#;

#[rstest]
#[case::one(JSON_POLICY.to_owned())]
#[case::one_after_the_other(format!("{JSON_POLICY}\n{JSON_POD}{}", JSON_POD.replace("\"a\"", "\"b\"")))]
#[case::list(format!("{{\"apiVersion\": \"v1\",\n\"items\": [\n{JSON_POLICY} ,\n{JSON_POD}\n],\n\"kind\": \"List\", \"metadata\": {{\"a\": [1, {{}}]}}}}"))]
#[case::typed_list(r#"{"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}"#.to_owned())]
#[case::empty_list(r#"{"kind": "List", "apiVersion": "v1", "items": []}"#.to_owned())]
#[case::null_list(r#"{"kind": "List", "apiVersion": "v1", "items": null}"#.to_owned())]
#[case::list_in_a_list(format!(r#"{{"kind": "List", "items": [{{"kind": "List", "apiVersion": "v1", "items": [{JSON_POD}]}}, {JSON_POLICY}]}}"#))]
#[case::lists_and_others(format!("{JSON_POD} {{\"kind\": \"NamespaceList\", \"apiVersion\": \"v1\", \"items\": [{{\"metadata\": {{\"name\": \"n\"}}}}]}} {JSON_POLICY}\n\n"))]
#[case::bad_cidr(format!("{{\"kind\": \"List\", \"items\": [{JSON_POD},\n{}]}}", JSON_POLICY.replace("10.0", "10.x")))]
#[case::unknown_field(format!("{{\"kind\": \"List\", \"items\": [{JSON_POD},\n{}]}}", JSON_POLICY.replace("\"from\"", "\"form\"")))]
#[case::twice(format!("{JSON_POLICY}\n{JSON_POLICY}"))]
#[case::no_object(r#"{"kind": "List", "items": [{"a": 1}, {"apiVersion": "v1"}]} {}"#.to_owned())]
fn json_that_programs_write(#[case] text: String) {
    assert!(is_taken_apart("a.json", &text), "{text}");
}

#[rstest]
#[case::typed_behind(r#"{"apiVersion": "v1", "items": [{"metadata": {"name": "a"}}], "kind": "PodList"}"#)]
#[case::no_list(r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "items": [{"a": 1}]}"#)]
#[case::items_twice(r#"{"apiVersion": "v1", "kind": "List", "items": [{"a": 1}], "items": [{"a": 1}]}"#)]
#[case::no_comma(r#"{"apiVersion": "v1", "kind": "List", "items": [{"a": 1} {"a": 1}]}"#)]
#[case::comma_too_many(r#"{"apiVersion": "v1", "kind": "List", "items": [{"a": 1},]}"#)]
#[case::items_of_other_kinds(r#"{"apiVersion": "v1", "kind": "List", "items": [null, 1]}"#)]
#[case::not_ended(r#"{"apiVersion": "v1", "kind": "List", "items": [{"a": 1}"#)]
#[case::no_brace(r#"{"apiVersion": "v1", "kind": "List", "items": [{"a": 1}]"#)]
#[case::brackets_mixed(r#"{"apiVersion": "v1", "kind": "List", "items": [{"a": 1}}]"#)]
#[case::something_behind(r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}} ]"#)]
#[case::an_array(r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}} []"#)]
#[case::byte_order_mark("\u{feff}{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}")]
#[case::blank("  \n ")]
fn json_that_has_to_be_read_whole(#[case] text: &str) {
    assert!(!is_taken_apart("a.json", text), "{text}");
    is_taken_apart("a.yaml", text);
}

#[rstest]
#[case::comma(r#"{"apiVersion": "v1" "kind": "Pod"}"#)]
#[case::key_twice(r#"{"apiVersion": "v1", "kind": "Pod", "kind": "Pod"}"#)]
#[case::in_an_item("{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"kind\": \"Pod\",\n \"a\": }]}")]
#[case::key_twice_in_an_item(
    "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"kind\": \"Pod\",\n \"a\": 1, \"a\": 2}]}"
)]
#[case::numbers("{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"a\": tru, \"metadata\": {}}")]
fn json_that_is_wrong_is_told_of_alike(#[case] text: &str) {
    is_taken_apart("a.json", text);
    is_taken_apart("a.yaml", text);
    is_taken_apart("a.json", &format!("{JSON_POD}\n{text}\n{JSON_POLICY}"));
}

/// As an entry of a list of YAML, in some column.
fn entry(column: usize, text: &str) -> String {
    let lines = text.trim_start().lines().enumerate();
    let lines = lines.map(|(at, line)| {
        let dash = if at == 0 { "- " } else { "  " };
        format!("{}{dash}{line}\n", " ".repeat(column))
    });
    lines.collect()
}

fn list(column: usize, entries: &[&str]) -> String {
    let entries: String = entries.iter().map(|text| entry(column, text)).collect();
    format!("apiVersion: v1\n# Those that there are:\nitems:\n{entries}kind: List\nmetadata:\n  resourceVersion: ''\n")
}

const SCRIPT: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data:
  script: |
    items:
    - a

    # no comment
    --- no marker
  other: \"a
    b\"
";

#[rstest]
#[case::documents(format!("{DEPLOYMENT}---{REPLICA_SET}---\n# nothing\n---{POD}---{POLICY}---{SCRIPT}"))]
#[case::markers(format!("---{POLICY}--- # second{POD}---\n--- {{apiVersion: v1, kind: Pod, metadata: {{name: e}}}}\n---"))]
#[case::list(list(0, &[DEPLOYMENT, POD, POLICY, SCRIPT]))]
#[case::indented(list(2, &[DEPLOYMENT, POD, SCRIPT, POLICY]))]
#[case::lists(format!("{POD}---\n{}---\n{}---{DEPLOYMENT}", list(2, &[POLICY]), list(0, &[REPLICA_SET])))]
#[case::typed("kind: PodList\napiVersion: v1\nitems:\n- metadata: {name: a}\n-\n  metadata:\n    name: b\n".to_owned())]
#[case::no_newline_at_the_end("kind: PodList\napiVersion: v1\nitems:\n- metadata: {name: a}\n- metadata: {name: b}".to_owned())]
#[case::bad_cidr(list(0, &[POD, &POLICY.replace("10.0", "10.x")]))]
#[case::unknown_field(list(1, &[POD, &POLICY.replace("ports:", "port:")]))]
#[case::in_a_document(format!("{POD}---{}---{SCRIPT}", POLICY.replace("10.0", "10.x")))]
#[case::syntax(format!("{POD}---\nkind: Pod\na: [\n---{SCRIPT}"))]
#[case::template(format!("{POD}---\nkind: Pod\na: {{{{ .b }}}}\n---{SCRIPT}"))]
#[case::key_twice(format!("{POD}---\nkind: Pod\na: 1\na: 2\n---{SCRIPT}"))]
#[case::twice(format!("{POLICY}---{POLICY}"))]
fn yaml_that_programs_write(#[case] text: String) {
    assert!(is_taken_apart("a.yaml", &text), "{text}");
    is_taken_apart("a.yaml", &text.replace('\n', "\r\n"));
}

#[rstest]
#[case::directive(format!("%YAML 1.2\n---{POD}"))]
#[case::end_marker(format!("{POD}...\n---{POLICY}"))]
#[case::typed_behind("apiVersion: v1\nitems:\n- metadata: {name: a}\nkind: PodList\n".to_owned())]
#[case::no_list("apiVersion: v1\nkind: Pod\nitems:\n- metadata: {name: a}\nmetadata: {name: b}\n".to_owned())]
#[case::no_items("apiVersion: v1\nkind: PodList\nitems:\n".to_owned())]
#[case::items_twice("apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\nitems: []\n".to_owned())]
#[case::half_indented("apiVersion: v1\nkind: PodList\nitems:\n  - metadata: {name: a}\n - metadata: {name: b}\n".to_owned())]
#[case::tab("apiVersion: v1\nkind: PodList\nitems:\n\t- metadata: {name: a}\n".to_owned())]
fn yaml_that_has_to_be_read_whole(#[case] text: String) {
    assert!(!is_taken_apart("a.yaml", &text), "{text}");
}

#[rstest]
#[case::anchor("kind: PodList\napiVersion: v1\nitems:\n- metadata: &a {name: a}\n- metadata: {name: b, labels: *a}\n")]
#[case::quoted("kind: PodList\napiVersion: v1\nitems:\n- metadata: {name: a, annotations: {b: \"\n- c\"}}\n")]
#[case::flow("kind: PodList\napiVersion: v1\nitems:\n- metadata: {name: a,\n- b}\n")]
#[case::syntax("kind: PodList\napiVersion: v1\nitems:\n- metadata: {name: a}\n- metadata: [\n")]
#[case::key_twice(
    "kind: PodList\napiVersion: v1\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n  metadata: {name: b}\n"
)]
fn entries_that_cannot_be_read_alone_are_read_together(#[case] text: &str) {
    is_taken_apart("a.yaml", text);
}

#[test]
fn files_are_told_of_in_their_order_whoever_reads_them() {
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..40 {
        let text = format!("a: {number}\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\n");
        fs::write(folder.path().join(format!("{number:02}.yaml")), text).expect("written");
    }
    for size in [1, 100, 1_000] {
        let inventory = load_in_pieces(&[folder.path().to_owned()], &reading(), std::io::empty(), size);
        let inventory = inventory.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(inventory.workloads.len(), 40);
        let names: Vec<String> = (0..40).map(|number| format!("{number:02}.yaml")).collect();
        assert_eq!(inventory.warnings.len(), 40);
        for (warning, name) in inventory.warnings.iter().zip(names) {
            assert!(warning.contains(&name), "{warning} is not of {name}");
        }
    }
}

#[test]
fn pods_of_one_owner_that_are_alike_are_held_once() {
    let pods: Vec<String> = (0..100)
        .map(|number| {
            POD.replace("web-1-a", &format!("web-1-{number}")) + &format!("status: {{podIP: 10.0.0.{number}}}\n")
        })
        .collect();
    let files = || vec![file("a.yaml", &pods.join("---"))];
    let held = |addresses| {
        let inventory =
            of_files(files(), &Reading { addresses, ..reading() }).unwrap_or_else(|error| panic!("{error}"));
        let pods = inventory.workloads.into_values().flatten();
        pods.map(|pod| (pod.count, pod.addresses.len())).collect::<Vec<_>>()
    };
    assert_eq!(held(Addresses::TellNothing), [(100, 100)]);
    assert_eq!(held(Addresses::TellPodsApart), [(1, 1); 100]);
}
