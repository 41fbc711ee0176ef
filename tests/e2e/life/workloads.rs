//! Workloads that controllers keep up, from their first day to their last.

use std::time::Duration;

use ringfence_controlplane::{eventually, wait_until};
use serde_json::{Value, json};

use super::super::world::{World, deployment};
use super::{Life, gone, replicas, rolled_out, settled, template};

/// A minute until a CronJob fires, and what comes of it.
const UNTIL_FIRED: Duration = Duration::from_secs(120);

/// One of each.
pub(super) fn core(life: &Life) {
    deployments(life);
    stateful_sets(life);
    daemon_sets(life);
    jobs(life);
}

fn set(kind: &str, namespace: &str, run: &str, app: &str, more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": run, "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"run": run}}, "template": template(run, app)},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}

/// A Deployment from its first day to a rollback.
fn deployments(life: &Life) {
    let front = replicas(deployment("web", "front", "hollowapp", "app:1"), 3);
    let rolled_out = |world: &World, count| rolled_out(world, "web", "deployment/front", "run=front", count);
    let whole = [("CREATE deployments", 1), ("CREATE replicasets", 1), ("CREATE pods", 3)];
    life.costs("Deployment of 3 created", &whole, |world| {
        world.apply("ci", &front).ok();
        rolled_out(world, 3);
    });
    let update = [("UPDATE deployments", 1), ("CREATE replicasets", 1), ("CREATE pods", 3)];
    life.costs("rolling update of 3 pods", &update, |world| {
        world.kubectl("ci", "set image deployment/front main=app:2 -n web").ok();
        rolled_out(world, 3);
    });
    let undo = [("UPDATE deployments", 1), ("CREATE pods", 3)];
    life.costs("rollback of 3 pods", &undo, |world| {
        world.kubectl("ci", "rollout undo deployment/front -n web").ok();
        rolled_out(world, 3);
    });
    // Whoever may edit the Deployment may restart it: what runs stays what was permitted.
    let restart = [("CREATE replicasets", 1), ("CREATE pods", 3)];
    life.costs("restart of 3 pods, by one without a permission", &restart, |world| {
        world.kubectl("mallory", "rollout restart deployment/front -n web").ok();
        rolled_out(world, 3);
    });
}

/// A StatefulSet of members, updated in two steps.
fn stateful_sets(life: &Life) {
    let hold = json!({"rollingUpdate": {"partition": 2}, "type": "RollingUpdate"});
    let more = json!({"replicas": 3, "serviceName": "db", "updateStrategy": hold, "podManagementPolicy": "Parallel"});
    let db = set("StatefulSet", "payments", "db", "hollowdb", &more);
    let whole = [
        ("CREATE statefulsets", 1),
        ("CREATE controllerrevisions", 1),
        ("CREATE pods", 3),
    ];
    life.costs("StatefulSet of 3 created", &whole, |world| {
        world.apply("ci", &db).ok();
        settled(world, "payments", "run=db", 3);
    });
    let on_image = |world: &World, count| {
        let image = |image: &str| {
            let path = "jsonpath={.items[*].spec.containers[0].image}";
            let images = world.kubectl("admin", &format!("get pods -n payments -l run=db -o {path}"));
            images.stdout.split_whitespace().filter(|found| *found == image).count()
        };
        eventually(&format!("{count} pods of the new image"), || {
            (image("app:2") == count).then_some(())
        });
        settled(world, "payments", "run=db", 3);
    };
    let one = [
        ("UPDATE statefulsets", 1),
        ("CREATE controllerrevisions", 1),
        ("CREATE pods", 1),
    ];
    life.costs("StatefulSet updated down to its partition", &one, |world| {
        world
            .kubectl("ci", "set image statefulset/db main=app:2 -n payments")
            .ok();
        on_image(world, 1);
    });
    life.costs("partition lifted", &[("CREATE pods", 2)], |world| {
        let patch = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}).to_string();
        let patched = ["patch", "statefulset", "db", "-n", "payments", "-p", &patch];
        world.cluster.kubectl("mallory").args(patched).run().ok();
        on_image(world, 3);
    });
}

fn daemon_sets(life: &Life) {
    let agent = set("DaemonSet", "web", "agent", "hollowapp", &json!({}));
    let whole = [
        ("CREATE daemonsets", 1),
        ("CREATE controllerrevisions", 1),
        ("CREATE pods", 1),
    ];
    life.costs("DaemonSet created, on one node", &whole, |world| {
        world.apply("ci", &agent).ok();
        rolled_out(world, "web", "daemonset/agent", "run=agent", 1);
    });
    let update = [
        ("UPDATE daemonsets", 1),
        ("CREATE controllerrevisions", 1),
        ("CREATE pods", 1),
    ];
    life.costs("DaemonSet updated, on one node", &update, |world| {
        world.kubectl("ci", "set image daemonset/agent main=app:2 -n web").ok();
        rolled_out(world, "web", "daemonset/agent", "run=agent", 1);
    });
}

/// A Job runs, completes, and is cleaned up.
fn jobs(life: &Life) {
    let mut template = template("once", "hollowapp");
    template["spec"]["restartPolicy"] = "Never".into();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "web"},
        "spec": {"ttlSecondsAfterFinished": 1, "template": template},
    });
    let whole = [("CREATE jobs", 1), ("CREATE pods", 1)];
    life.costs("Job from its creation to its TTL", &whole, |world| {
        world.apply("ci", &job).ok();
        eventually("the Job to complete", || {
            let events = world.kubectl("admin", "get events -n web --field-selector=reason=Completed -o name");
            (!events.stdout.trim().is_empty()).then_some(())
        });
        gone(world, "web", "job/once");
        gone(world, "web", "pods -l run=once");
    });
}

/// A CronJob fires by hand and by the clock.
pub(super) fn cron_jobs(life: &Life) {
    let mut template = template("nightly", "hollowapp");
    template["spec"]["restartPolicy"] = "Never".into();
    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "namespace": "web"},
        "spec": {"schedule": "* * * * *", "suspend": true, "jobTemplate": {"spec": {"template": template}}},
    });
    life.costs("CronJob created", &[("CREATE cronjobs", 1)], |world| {
        world.apply("ci", &cron).ok();
    });
    let fired = [("CREATE jobs", 1), ("CREATE pods", 1)];
    life.costs("kubectl create job --from", &fired, |world| {
        world
            .kubectl("ci", "create job by-hand -n web --from=cronjob/nightly")
            .ok();
        world
            .kubectl(
                "admin",
                "wait --for=condition=complete job/by-hand -n web --timeout=60s",
            )
            .ok();
    });
    life.costs("CronJob fires by itself", &fired, |world| {
        let suspend = |value: bool| {
            let patch = json!({"spec": {"suspend": value}}).to_string();
            let patch = ["patch", "cronjob", "nightly", "-n", "web", "-p", &patch];
            world.cluster.kubectl("mallory").args(patch).run().ok();
        };
        suspend(false);
        let waited = wait_until(UNTIL_FIRED, "a Job of the CronJob to complete", || {
            let jobs = world.kubectl("admin", "get jobs -n web -o json").json();
            let jobs = jobs["items"].as_array().cloned().unwrap_or_default();
            let natural = |job: &&Value| job["metadata"]["name"] != "by-hand";
            jobs.iter().find(natural)?["status"]["succeeded"]
                .is_number()
                .then_some(())
        });
        suspend(true);
        waited.unwrap_or_else(|error| panic!("{error}"));
    });
}
