//! Templates that stood before Enforce: their controllers go on making pods of them, each is found and told, and whoever
//! writes one again is asked.

use ringfence_controlplane::wait_until;
use serde_json::{Value, json};

use super::world::{GUARDRAILS, PATIENCE, World, deployment};

fn guardrails(mode: &str) -> String {
    GUARDRAILS.replace("mode: Enforce", &format!("mode: {mode}"))
}

/// A set of one pod, or a CronJob that fires every minute, whose pods may connect.
fn others() -> [Value; 2] {
    let template = |name: &str| {
        json!({"metadata": {"labels": {"run": name, "app": "hollowapp"}},
            "spec": {"restartPolicy": "Always", "containers": [{"name": "main", "image": "registry.example/app:1"}]}})
    };
    let mut job = template("stood-cron");
    job["spec"]["restartPolicy"] = json!("Never");
    [
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "stood-set", "namespace": "web"},
            "spec": {"serviceName": "stood-set", "selector": {"matchLabels": {"run": "stood-set"}},
                "template": template("stood-set")}}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "stood-cron", "namespace": "web"},
            "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": job}}}}),
    ]
}

/// A world whose templates were written in Audit, enforced since long enough that what is written now counts as judged.
fn enforced_later() -> Option<World> {
    let world = World::own(&guardrails("Audit"))?;
    for name in ["stood", "rewritten", "scaled", "touched"] {
        let object = deployment("web", name, "hollowapp", "registry.example/app:1");
        world.apply("mallory", &object).ok();
    }
    for object in others() {
        world.apply("mallory", &object).ok();
    }
    for name in ["stood", "rewritten", "scaled", "touched"] {
        world.eventually(
            "admin",
            &format!("rollout status deployment/{name} -n web --timeout=5s"),
        );
    }
    world.eventually("admin", "get pod stood-set-0 -n web");
    world.configure(&guardrails("Enforce")).ok();
    world.eventually_refused(
        "mallory",
        "run rogue -n web --image=evil --labels=app=hollowapp --dry-run=server",
    );
    let get = [
        "get",
        "configmap",
        "ringfence-enforced-since",
        "-n",
        "ringfence-system",
        "-o",
        "json",
    ];
    let since = wait_until(PATIENCE, "since when the segment is enforced", || {
        let kept = world.cluster.kubectl("admin").args(get).run().json();
        let text = kept["data"]["since.yaml"].as_str()?.to_owned();
        let (_, times) = text.split_once("  payments-db:\n")?;
        let time = times.lines().next()?.split_once(": ")?.1.trim_matches('"').to_owned();
        time.parse::<jiff::Timestamp>().ok()
    });
    let since = since.unwrap_or_else(|error| panic!("{error}")).as_second();
    let later = wait_until(PATIENCE, "a later second", || {
        (jiff::Timestamp::now().as_second() > since + 3).then_some(())
    });
    later.unwrap_or_else(|error| panic!("{error}"));
    Some(world)
}

/// What the published segment tells: how many, and which.
fn told(world: &World) -> Option<(i64, Vec<String>)> {
    let get = ["get", "segment.ringfence.dev", "payments-db", "-o", "json"];
    let status = world.cluster.kubectl("admin").args(get).run().json()["status"].clone();
    let names = status["unjudged"].as_array().cloned().unwrap_or_default();
    let names = names.iter().filter_map(|name| Some(name.as_str()?.to_owned()));
    Some((status["unjudgedTemplates"].as_i64()?, names.collect()))
}

#[track_caller]
fn wait_until_told(world: &World, expected: &[&str]) {
    let waited = wait_until(PATIENCE, &format!("{expected:?} to be told"), || {
        let (count, names) = told(world)?;
        (names == expected.get(..names.len())?
            && names.len() == expected.len().min(5)
            && usize::try_from(count) == Ok(expected.len()))
        .then_some(())
    });
    waited.unwrap_or_else(|error| panic!("{error}; told is {:?}", told(world)));
}

/// Waits for the record of something that a controller made of a template that nobody was asked for.
#[track_caller]
fn wait_until_found(world: &World, controller: &str, resource: &str, name: &str) {
    let record = world
        .ringfence
        .wait_for_record(&format!("{resource} {name}"), |record| {
            record["user"] == format!("system:serviceaccount:kube-system:{controller}")
                && record["resource"]["resource"] == resource
                && record["name"].as_str().is_some_and(|given| given.starts_with(name))
                && record["findings"][0]["reason"] == "UnjudgedTemplate"
        });
    assert_eq!(
        (&record["verdict"], &record["findings"][0]["allowed"]),
        (&json!("allow"), &json!(true))
    );
    assert_eq!(record["findings"][0]["segment"], "payments-db");
}

#[test]
fn templates_that_stood_before_enforce_go_on_are_told_and_end_when_they_are_written_again() {
    let Some(world) = enforced_later() else { return };
    let all = [
        "cronjobs.batch web/stood-cron",
        "deployments.apps web/rewritten",
        "deployments.apps web/scaled",
        "deployments.apps web/stood",
        "deployments.apps web/touched",
        "statefulsets.apps web/stood-set",
    ];
    wait_until_told(&world, &all);
    let table = world.kubectl("admin", "get segments").ok();
    assert!(table.contains("UNJUDGED"), "{table}");

    // Their controllers make more pods of them.
    world
        .kubectl("admin", "delete pods -n web -l run=stood --wait=false")
        .ok();
    wait_until_found(&world, "replicaset-controller", "pods", "stood-");
    world
        .kubectl("admin", "delete pod stood-set-0 -n web --wait=false")
        .ok();
    wait_until_found(&world, "statefulset-controller", "pods", "stood-set-0");

    // Scaling by an apply moves the time of all that it ever wrote; the ReplicaSet is as old as before.
    let mut scaled = deployment("web", "scaled", "hollowapp", "registry.example/app:1");
    scaled["spec"]["replicas"] = json!(2);
    world.apply("mallory", &scaled).ok();
    wait_until_found(&world, "replicaset-controller", "pods", "scaled-");
    // A ReplicaSet made anew is younger than Enforce; its Deployment's template is not.
    world
        .kubectl("mallory", "delete replicasets -n web -l run=touched")
        .ok();
    wait_until_found(&world, "deployment-controller", "replicasets", "touched-");
    wait_until_found(&world, "replicaset-controller", "pods", "touched-");
    // A restart changes nothing that runs.
    world.kubectl("mallory", "rollout restart deployment/stood -n web").ok();
    wait_until_found(&world, "deployment-controller", "replicasets", "stood-");

    // Writing one again needs the permission; who holds it settles it, for this one alone.
    let rewrite = "set image -n web deployment/rewritten main=registry.example/app:2";
    world.kubectl("mallory", rewrite).refused();
    world.let_connect("ci");
    world.eventually("ci", rewrite);
    world.eventually("admin", "rollout status deployment/rewritten -n web --timeout=5s");
    let record = world
        .ringfence
        .wait_for_record("a pod of the template that was judged", |record| {
            record["resource"]["resource"] == "pods"
                && record["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("rewritten-"))
                && record["findings"][0]["mode"] == "Enforce"
        });
    assert_eq!(record["findings"][0]["reason"], "Inherited", "{record}");
    let left = all.into_iter().filter(|name| !name.ends_with("rewritten"));
    wait_until_told(&world, &left.collect::<Vec<_>>());

    // A Job is made anew for each time that a CronJob fires.
    let fired = wait_until(PATIENCE * 3, "the CronJob to fire and be found", || {
        let mut records = world
            .ringfence
            .replicas()
            .iter()
            .flat_map(|replica| replica.records().all());
        records
            .any(|record| {
                record["user"] == "system:serviceaccount:kube-system:job-controller"
                    && record["findings"][0]["reason"] == "UnjudgedTemplate"
            })
            .then_some(())
    });
    fired.unwrap_or_else(|error| panic!("{error}"));
    wait_until_found(&world, "cronjob-controller", "jobs", "stood-cron-");

    // Nobody was refused anything but mallory's own writes.
    for replica in world.ringfence.replicas() {
        for record in replica.records().all() {
            assert!(record["verdict"] != "deny" || record["user"] == "mallory", "{record}");
        }
    }
}
