//! `ringfence isolation status`: what it prints and how it exits, on a cluster where all is well and where it is not.

use std::process::{Command, Output};

use ringfence_controlplane::eventually;
use serde_json::{Value, json};

use crate::world::{RESTRICTED, World, world};

fn status(world: &World, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["isolation", "status", "--kubeconfig"])
        .arg(world.cluster.kubeconfig("admin"))
        .args(arguments)
        .output()
        .expect("it runs")
}

fn rows(output: &Output) -> Vec<Value> {
    let status: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    status["namespaces"].as_array().expect("a list").clone()
}

#[test]
fn each_namespace_is_told_with_its_profile_and_state() {
    let Some(world) = world() else { return };
    world.namespace("told", &json!({}));
    world.namespace("told-open", &json!({"ringfence.dev/isolation": "open"}));
    world.namespace("told-none", &json!({"ringfence.dev/isolation": "none"}));
    world.wait_for_policies("told", &RESTRICTED);
    world.wait_for_policies("told-open", &crate::world::OPEN);
    let output = eventually("nothing to be lacking", || {
        let output = status(&world, &["--output", "json"]);
        output.status.success().then_some(output)
    });
    let rows = rows(&output);
    let row = |name: &str| {
        let row = rows.iter().find(|row| row["namespace"] == name).expect("told");
        (row["state"].clone(), row["profile"].clone(), row["chosen"].clone())
    };
    assert_eq!(row("told"), (json!("isolated"), json!("restricted"), json!("default")));
    assert_eq!(row("told-open"), (json!("isolated"), json!("open"), json!("label")));
    assert_eq!(row("told-none"), (json!("opted out"), Value::Null, Value::Null));
    assert_eq!(row("kube-system"), (json!("system"), Value::Null, Value::Null));
    assert_eq!(row("default").0, "existing");
    let one = status(&world, &["told"]);
    let text = String::from_utf8(one.stdout).expect("text");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[1], ["told", "isolated", "Enforce", "restricted", "default"]);
    let nowhere = status(&world, &["nowhere"]);
    assert_eq!(nowhere.status.code(), Some(1));
    let said = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(said.contains("namespace nowhere is not there"), "{said}");
}

#[test]
fn what_lacks_policies_is_named_and_gives_another_exit_code() {
    let Some(world) = world() else { return };
    // Nobody learns of it.
    world.stall_watches();
    world.namespace("lacking", &json!({}));
    let output = status(&world, &["lacking", "--output", "json"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let [row] = rows(&output).try_into().expect("one row");
    assert_eq!(
        (&row["state"], &row["missing"]),
        (
            &json!("lacking"),
            &json!([
                "ringfence-default-deny-ingress",
                "ringfence-default-deny-egress",
                "ringfence-allow-dns"
            ])
        )
    );
    world.pod("lacking", "first").ok();
    let output = status(&world, &["lacking"]);
    assert!(output.status.success(), "{output:?}");
}
