//! Watches of a real client are silenced by the gate while its other requests are answered.

use std::time::Duration;

use ringfence_controlplane::{ControlPlane, Launch, Options, Process, Program, Stdout, started_or_skipped, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

/// A kubectl that watches namespaces by way of `server` and logs the names that it sees.
fn watching(cluster: &ControlPlane, name: &str, server: &str) -> Process {
    let arguments = ["get", "namespaces", "--watch", "-o", "name", "--server", server];
    let mut launch = Launch {
        name: name.to_owned(),
        program: cluster.program(Program::Kubectl),
        arguments: vec!["--kubeconfig".into(), cluster.kubeconfig("admin").into()],
        environment: vec![("HOME".into(), cluster.directory().into())],
        stdout: Stdout::Log,
    };
    launch.arguments.extend(arguments.map(Into::into));
    Process::start(launch, cluster.directory()).expect("kubectl starts")
}

fn wait_to_see(process: &Process, namespace: &str) {
    let line = format!("namespace/{namespace}\n");
    let what = format!("{} to see {namespace}", process.name());
    wait_until(PATIENCE, &what, || process.log().contains(&line).then_some(())).expect("seen");
}

#[test]
fn a_stalled_watch_is_silent_while_requests_are_answered() {
    let Some(cluster) = started_or_skipped(&Options::bare()) else {
        return;
    };
    let gate = cluster.watch_gate().expect("a gate");
    let server = format!("https://{}", gate.address());
    let through_the_gate = watching(&cluster, "through-the-gate", &server);
    let direct = watching(&cluster, "direct", cluster.server());
    let create = |name: &str| cluster.create_namespace(name, &[]);

    create("before");
    wait_to_see(&through_the_gate, "before");
    gate.stall_watches();
    create("meanwhile");
    wait_to_see(&direct, "meanwhile");
    let read = cluster
        .kubectl("admin")
        .args(["get", "namespace", "meanwhile", "-o", "name", "--server", &server]);
    assert_eq!(read.run().ok(), "namespace/meanwhile\n", "a read passes the gate");
    assert!(
        !through_the_gate.log().contains("meanwhile"),
        "{}",
        through_the_gate.log()
    );
    gate.resume_watches();
    wait_to_see(&through_the_gate, "meanwhile");
}
