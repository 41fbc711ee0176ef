//! `ringfence grant` on a real API server: an owner gives what is theirs to give with what it prints, and nothing else;
//! what is printed is what `kubectl auth can-i` then says.

use std::process::{Command, Stdio};
use std::time::Duration;

use ringfence::manifests::published::published_segments;
use ringfence::manifests::roles::published_roles;
use ringfence_controlplane::{ControlPlane, Nodes, Options, Output, Shared, User, wait_until};
use ringfence_core::guardrails::{Source, compile};

const PATIENCE: Duration = Duration::from_secs(60);

const GUARDRAILS: &str = r"
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Enforce}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  consent: {namespace: payments}
  members:
  - {namespaces: [payments], podSelector: {matchLabels: {app: db}}}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: ledger}
spec:
  consent: {namespace: payments}
  members:
  - {namespaces: [payments], podSelector: {matchLabels: {app: ledger}}}
";

/// With what ringfence publishes, as the leader would. `olga` is of the team that will own a segment, `mallory` is not.
static CLUSTER: Shared<ControlPlane> = Shared::new(|| {
    let users = [User::new("olga").in_groups(["team-payments"]), User::new("mallory")];
    let options = Options {
        nodes: Nodes::Absent,
        ..Options::with_users(users)
    };
    let cluster = ControlPlane::start(&options)?;
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    cluster.kubectl("admin").args(["apply", "-k", deploy]).run().ok();
    for namespace in ["payments", "web"] {
        cluster.create_namespace(namespace, &[]);
    }
    let sources = [Source {
        name: "guardrails.yaml".to_owned(),
        text: GUARDRAILS.to_owned(),
    }];
    let guardrails = compile(&sources)
        .unwrap_or_else(|problems| panic!("{problems}"))
        .guardrails;
    let apply = |json: String| cluster.kubectl("admin").args(["apply", "-f", "-"]).stdin(json).run();
    for role in published_roles(&guardrails) {
        apply(serde_json::to_string(&role).expect("it is JSON")).ok();
    }
    for segment in published_segments(&guardrails) {
        let json = serde_json::to_string(&segment).expect("it is JSON");
        wait_until(PATIENCE, "the CRDs to be served", || {
            apply(json.clone()).success.then_some(())
        })
        .expect("they are");
    }
    Ok(cluster)
});

/// What `ringfence grant` prints, asking the cluster as the admin where nothing else says where the owner consents.
fn grant(cluster: &ControlPlane, arguments: &[&str]) -> String {
    let output = ringfence(cluster, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn ringfence(cluster: &ControlPlane, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .arg("grant")
        .args(arguments)
        .env("KUBECONFIG", cluster.kubeconfig("admin"))
        .stdin(Stdio::null())
        .output()
        .expect("ringfence can be run")
}

fn apply(cluster: &ControlPlane, user: &str, text: &str) -> Output {
    cluster.kubectl(user).args(["apply", "-f", "-"]).stdin(text).run()
}

fn may(cluster: &ControlPlane, user: &str, verb: &str, segment: &str) -> bool {
    let what = format!("segments.ringfence.dev/{segment}");
    cluster
        .kubectl(user)
        .args(["auth", "can-i", "-q", verb, &what, "-n", "payments"])
        .run()
        .success
}

fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    wait_until(PATIENCE, what, || holds().then_some(())).unwrap_or_else(|timed_out| panic!("{timed_out}"));
}

#[test]
fn an_owner_gives_and_takes_back_what_is_theirs_and_nothing_else() {
    let Some(cluster) = CLUSTER.get() else { return };
    let connect = grant(cluster, &["connect", "segments/payments-db", "--user", "mallory"]);
    assert!(connect.contains("namespace: payments"), "{connect}");
    apply(cluster, "olga", &connect).refused();
    apply(
        cluster,
        "admin",
        &grant(cluster, &["own", "segments/payments-db", "--group", "team-payments"]),
    )
    .ok();

    soon("the owner to own", || apply(cluster, "olga", &connect).success);
    assert!(!may(cluster, "olga", "connect", "payments-db"), "to own is not to hold");
    soon("mallory to hold it", || {
        may(cluster, "mallory", "connect", "payments-db")
    });
    assert!(!may(cluster, "mallory", "join", "payments-db"));
    assert!(!may(cluster, "mallory", "connect", "ledger"));
    // The same again changes nothing.
    apply(cluster, "olga", &connect).ok();

    let others = grant(cluster, &["connect", "segments/ledger", "--user", "mallory"]);
    let elsewhere = grant(
        cluster,
        &["connect", "segments/payments-db", "--user", "mallory", "-n", "web"],
    );
    let everywhere = grant(
        cluster,
        &["connect", "segments/payments-db", "--user", "mallory", "--cluster"],
    );
    let owning = grant(cluster, &["own", "segments/payments-db", "--user", "mallory"]);
    for text in [&others, &elsewhere, &everywhere, &owning] {
        apply(cluster, "olga", text).refused();
    }
    for role in [
        "--clusterrole=admin",
        "--clusterrole=cluster-admin",
        "--clusterrole=ringfence:ledger:join",
    ] {
        let create = [
            "create",
            "rolebinding",
            "planted",
            role,
            "--user=olga",
            "-n",
            "payments",
        ];
        cluster.kubectl("olga").args(create).run().refused();
    }

    let line = connect
        .lines()
        .find_map(|line| line.split_once("kubectl delete"))
        .expect("how to take it back")
        .1;
    let arguments = line.split_whitespace().map(|word| word.trim_matches('\''));
    cluster.kubectl("olga").args(["delete"]).args(arguments).run().ok();
    soon("mallory to hold it no longer", || {
        !may(cluster, "mallory", "connect", "payments-db")
    });
}

#[test]
fn every_grant_is_taken_by_the_api_server_and_gives_what_it_says() {
    let Some(cluster) = CLUSTER.get() else { return };
    let odd = "https://issuer.example/#o'neill";
    for arguments in [
        vec!["join", "segments/ledger", "--user", odd],
        vec!["enter", "segments/ledger", "--group", "a team"],
        vec![
            "manage",
            "segments/ledger",
            "--cluster",
            "--serviceaccount",
            "ci:deployer",
        ],
        vec!["cross", "segments/ledger", "--cluster", "--user", odd],
        vec!["waive", "policychecks/HostAccess", "--cluster", "--user", odd],
        vec![
            "waive",
            "policychecks/RequireIsolation",
            "--cluster",
            "--group",
            "a team",
        ],
        vec!["use", "isolationprofiles/none", "--cluster", "--user", odd],
        vec!["manage", "isolationprofiles/ledger", "--cluster", "--group", "a team"],
        vec!["configure", "guardrails/default", "--user", "someone"],
        vec!["own", "segments/ledger", "--cluster", "--user", "someone"],
    ] {
        let text = grant(cluster, &arguments);
        apply(cluster, "admin", &text).ok();
        let Some((_, check)) = text.lines().find_map(|line| line.split_once("check:")) else {
            assert_eq!(arguments[0], "own", "{text}");
            continue;
        };
        // Read by a shell, as by whoever copies it.
        let kubectl = cluster.program(ringfence_controlplane::Program::Kubectl);
        let shell = check.trim().replacen("kubectl", &format!("'{}'", kubectl.display()), 1);
        soon(check, || {
            let run = Command::new("sh")
                .args(["-c", &shell])
                .env("KUBECONFIG", cluster.kubeconfig("admin"))
                .output();
            run.is_ok_and(|output| output.status.success())
        });
    }
}

#[test]
fn what_cannot_be_known_is_said() {
    let Some(cluster) = CLUSTER.get() else { return };
    let says = |arguments: &[&str]| {
        let output = ringfence(cluster, arguments);
        assert!(!output.status.success());
        assert!(output.stdout.is_empty(), "nothing that could be applied");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = says(&["connect", "segments/nowhere", "--user", "mallory"]);
    assert!(
        text.contains("--namespace NAMESPACE") && text.contains("not found"),
        "{text}"
    );
    let text = says(&["connect", "segments/ledger"]);
    assert!(text.contains("--user"), "{text}");
    let text = says(&["connect", "guardrails/default", "--user", "mallory"]);
    assert!(text.contains("configure"), "{text}");

    let output = ringfence(cluster, &["join", "segments/ledger", "--serviceaccount", "ci:deployer"]);
    assert!(output.status.success());
    let warning = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        warning.contains("WARNING: a grant to service account ci:deployer"),
        "{warning}"
    );
}
