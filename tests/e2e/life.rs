//! Legitimate life goes on under Enforce: real controllers, no permission but the CI user's. What each action costs in
//! reviews is printed and bounded: what cannot change a placement costs none.

use std::time::Duration;

use ringfence_controlplane::{Controllers, NODE_USER, wait_until};
use serde_json::{Value, json};

use super::calls;
use super::world::{GUARDRAILS, PATIENCE, World, bind, deployment};

/// A minute until a CronJob fires, and what comes of it.
const UNTIL_FIRED: Duration = Duration::from_secs(120);

/// A world in which `ci` may connect and join, and what happens in it.
struct Life {
    world: World,
}

impl Life {
    fn begin(controllers: Controllers) -> Option<Self> {
        let world = World::own_with(controllers, GUARDRAILS)?;
        bind(&world.cluster, "payments", "ClusterRole/edit", "ci");
        for verb in ["connect", "join"] {
            bind(
                &world.cluster,
                "payments",
                &format!("ClusterRole/ringfence:payments-db:{verb}"),
                "ci",
            );
        }
        world.eventually(
            "ci",
            "auth can-i connect segments.ringfence.dev/payments-db -n payments",
        );
        world.eventually("ci", "auth can-i join segments.ringfence.dev/payments-db -n payments");
        Some(Self { world })
    }

    /// Does something, up to the moment at which nothing more comes of it, and compares what was asked with the most that
    /// it may cost. Everything that is asked must be allowed.
    #[track_caller]
    fn costs(&self, what: &str, most: &[(&str, u64)], act: impl FnOnce(&World)) {
        let before = calls::allowed(&self.world);
        act(&self.world);
        let cost = calls::since(&before, calls::allowed(&self.world));
        let told: Vec<String> = cost.iter().map(|(key, count)| format!("{count} x {key}")).collect();
        let told = if told.is_empty() {
            "none".to_owned()
        } else {
            told.join(", ")
        };
        println!("reviews | {what} | {told}");
        for (key, count) in &cost {
            let most = most.iter().find(|(bound, _)| bound == key).map_or(0, |(_, most)| *most);
            assert!(
                *count <= most,
                "{what}: {key} was asked {count} times, at most {most} are due"
            );
        }
        for (key, most) in most {
            assert!(
                *most == 0 || cost.contains_key(*key),
                "{what}: {key} was never asked, so nothing was shown: {told}"
            );
        }
    }

    /// No record tells of anything but what was let in.
    fn end(&self) {
        for replica in self.world.ringfence.replicas() {
            for record in replica.records().all() {
                assert_eq!(record["verdict"], "allow", "{record}");
            }
            assert_eq!(replica.records().others(), Vec::<String>::new());
        }
    }
}

/// Waits until exactly this many pods of a label are there, all of them ready, none of them leaving.
#[track_caller]
fn settled(world: &World, namespace: &str, selector: &str, count: usize) {
    let list = format!("get pods -n {namespace} -l {selector} -o json");
    let waited = wait_until(PATIENCE, &format!("{count} pods of {selector} in {namespace}"), || {
        let pods = world.kubectl("admin", &list).json();
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        };
        let stays = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_null();
        (pods.len() == count && pods.iter().all(|pod| stays(pod) && ready(pod))).then_some(())
    });
    waited.unwrap_or_else(|error| panic!("{error}: {}", world.kubectl("admin", &list).stdout));
}

/// Waits until a rollout is over and its pods are all there is.
#[track_caller]
fn rolled_out(world: &World, namespace: &str, what: &str, selector: &str, count: usize) {
    world
        .kubectl("admin", &format!("rollout status {what} -n {namespace} --timeout=60s"))
        .ok();
    settled(world, namespace, selector, count);
}

/// Waits until this is no longer there.
#[track_caller]
fn gone(world: &World, namespace: &str, what: &str) {
    let get = format!("get {what} -n {namespace} --ignore-not-found -o name");
    let waited = wait_until(PATIENCE, &format!("{what} to be gone"), || {
        world.kubectl("admin", &get).ok().trim().is_empty().then_some(())
    });
    waited.unwrap_or_else(|error| panic!("{error}"));
}

fn replicas(mut object: Value, count: u64) -> Value {
    object["spec"]["replicas"] = count.into();
    object
}

/// A template with this label `app`; `run` selects its pods.
fn template(run: &str, app: &str) -> Value {
    json!({
        "metadata": {"labels": {"run": run, "app": app}},
        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
    })
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
        let waited = wait_until(PATIENCE, &format!("{count} pods of the new image"), || {
            (image("app:2") == count).then_some(())
        });
        waited.unwrap_or_else(|error| panic!("{error}"));
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
        let event = wait_until(PATIENCE, "the Job to complete", || {
            let events = world.kubectl("admin", "get events -n web --field-selector=reason=Completed -o name");
            (!events.stdout.trim().is_empty()).then_some(())
        });
        event.unwrap_or_else(|error| panic!("{error}"));
        gone(world, "web", "job/once");
        gone(world, "web", "pods -l run=once");
    });
}

fn core(life: &Life) {
    deployments(life);
    stateful_sets(life);
    daemon_sets(life);
    jobs(life);
}

/// What people do to a Deployment that changes nothing that runs.
fn metadata(life: &Life) {
    let front = replicas(deployment("web", "front", "hollowapp", "app:1"), 3).to_string();
    let apply = |world: &World, user: &str| {
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        world.cluster.kubectl(user).args(apply).stdin(front.clone()).run().ok();
    };
    life.costs("server-side apply of what is there", &[], |world| {
        apply(world, "ci");
        apply(world, "ci");
    });
    life.costs("labels and annotations of a Deployment", &[], |world| {
        for user in ["ci", "mallory"] {
            world
                .kubectl(user, &format!("label deployment front -n web --overwrite team={user}"))
                .ok();
            world
                .kubectl(user, &format!("annotate deployment front -n web --overwrite by={user}"))
                .ok();
        }
    });
    life.costs(
        "a label of a Pod that no clause reads",
        &[("UPDATE pods", 3)],
        |world| {
            world
                .kubectl("mallory", "label pods -n web -l run=front note=mine")
                .ok();
        },
    );
}

/// Scaled by one without a permission, as an autoscaler would, and what goes away comes back.
fn comings_and_goings(life: &Life) {
    life.costs("scaled from 3 to 5 by another user", &[("CREATE pods", 2)], |world| {
        world
            .kubectl("mallory", "scale deployment/front -n web --replicas=5")
            .ok();
        rolled_out(world, "web", "deployment/front", "run=front", 5);
    });
    life.costs("scaled from 5 to 2", &[], |world| {
        world
            .kubectl("mallory", "scale deployment/front -n web --replicas=2")
            .ok();
        rolled_out(world, "web", "deployment/front", "run=front", 2);
    });
    let first = |world: &World| {
        let get = "get pods -n web -l run=front -o jsonpath={.items[0].metadata.name}";
        world.kubectl("admin", get).ok()
    };
    life.costs("a pod is deleted and made anew", &[("CREATE pods", 1)], |world| {
        let pod = first(world);
        world.kubectl("mallory", &format!("delete pod {pod} -n web")).ok();
        settled(world, "web", "run=front", 2);
    });
    life.costs("a pod is evicted and made anew", &[("CREATE pods", 1)], |world| {
        let pod = first(world);
        let eviction =
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "web"}});
        let path = format!("/api/v1/namespaces/web/pods/{pod}/eviction");
        world
            .cluster
            .request("admin", "POST", &path)
            .json(&eviction)
            .send()
            .ok();
        gone(world, "web", &format!("pod/{pod}"));
        settled(world, "web", "run=front", 2);
    });
    life.costs(
        "a finalizer holds a pod and lets it go",
        &[("CREATE pods", 1)],
        |world| {
            let pod = first(world);
            let patch = |finalizers: Value| {
                let patch = json!({"metadata": {"finalizers": finalizers}}).to_string();
                let patch = ["patch", "pod", &pod, "-n", "web", "--type=merge", "-p", &patch];
                world.cluster.kubectl("mallory").args(patch).run().ok();
            };
            patch(json!(["example.org/hold"]));
            world
                .kubectl("mallory", &format!("delete pod {pod} -n web --wait=false"))
                .ok();
            patch(Value::Null);
            gone(world, "web", &format!("pod/{pod}"));
            settled(world, "web", "run=front", 2);
        },
    );
}

/// Orphaned and adopted, and then deleted with all that is theirs.
fn garbage(life: &Life) {
    life.costs("a Deployment deleted, its ReplicaSets orphaned", &[], |world| {
        world
            .kubectl("mallory", "delete deployment front -n web --cascade=orphan")
            .ok();
        settled(world, "web", "run=front", 2);
    });
    let front = replicas(deployment("web", "front", "hollowapp", "app:1"), 2);
    let most = [("CREATE deployments", 1), ("CREATE replicasets", 1), ("CREATE pods", 2)];
    let before = calls::allowed(&life.world);
    life.world.apply("ci", &front).ok();
    rolled_out(&life.world, "web", "deployment/front", "run=front", 2);
    let cost = calls::since(&before, calls::allowed(&life.world));
    for (key, count) in &cost {
        assert!(
            most.contains(&(key.as_str(), *count)) || most.iter().any(|(bound, most)| bound == key && count <= most),
            "{cost:?}"
        );
    }
    println!("reviews | a Deployment that adopts ReplicaSets | {cost:?}");
    life.costs("deleted in the foreground", &[], |world| {
        world
            .kubectl(
                "mallory",
                "delete deployment front -n web --cascade=foreground --timeout=60s",
            )
            .ok();
        gone(world, "web", "pods -l run=front");
    });
    life.costs("deleted in the background", &[], |world| {
        world.kubectl("mallory", "delete daemonset agent -n web").ok();
        gone(world, "web", "pods -l run=agent");
    });
}

fn namespaces(life: &Life) {
    life.costs("a namespace comes", &[("CREATE namespaces", 1)], |world| {
        world.cluster.create_namespace("passing", &[]);
    });
    bind(&life.world.cluster, "passing", "ClusterRole/edit", "ci");
    life.world.eventually("ci", "auth can-i create deployments -n passing");
    let whole = [("CREATE deployments", 1), ("CREATE replicasets", 1), ("CREATE pods", 1)];
    life.costs("a Deployment in it", &whole, |world| {
        world
            .apply("ci", &deployment("passing", "front", "hollowapp", "app:1"))
            .ok();
        rolled_out(world, "passing", "deployment/front", "run=front", 1);
    });
    life.costs("a namespace goes with all in it", &[], |world| {
        world.kubectl("admin", "annotate namespace passing note=mine").ok();
        world.kubectl("admin", "delete namespace passing --timeout=60s").ok();
    });
}

/// A pod that a node runs by a file of its own, and tells.
fn mirrors(life: &Life) {
    let mut mirror = template("mirrored", "hollowapp");
    mirror["apiVersion"] = "v1".into();
    mirror["kind"] = "Pod".into();
    mirror["metadata"]["name"] = "mirrored".into();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "a-hash"});
    mirror["spec"]["nodeName"] = "node-0".into();
    life.costs("a mirror pod by its node", &[("CREATE pods", 1)], |world| {
        let create = world
            .cluster
            .request(NODE_USER, "POST", "/api/v1/namespaces/web/pods")
            .json(&mirror);
        create.send().ok();
        settled(world, "web", "run=mirrored", 1);
    });
    let mirrored = |record: &Value| record["findings"][0]["reason"] == "Mirrored" && record["name"] == "mirrored";
    let mut replicas = life.world.ringfence.replicas().iter();
    assert!(
        replicas.any(|replica| replica.records().all().iter().any(mirrored)),
        "it is recorded"
    );
}

/// A debugger joins a pod that no segment protects.
fn debugging(life: &Life) {
    life.costs("a pod that no clause matches", &[("CREATE pods", 1)], |world| {
        world
            .kubectl("tess", "run plain -n tenant --image=app --labels=run=plain")
            .ok();
        settled(world, "tenant", "run=plain", 1);
    });
    life.costs("kubectl debug", &[("UPDATE pods/ephemeralcontainers", 1)], |world| {
        world
            .kubectl(
                "tess",
                "debug plain -n tenant --image=debugger --container=debugger --profile=general",
            )
            .ok();
        let get = "get pod plain -n tenant -o jsonpath={.spec.ephemeralContainers[0].name}";
        assert_eq!(world.kubectl("tess", get).ok(), "debugger");
    });
}

/// A CronJob fires by hand and by the clock.
fn cron_jobs(life: &Life) {
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

#[test]
fn life_goes_on_where_each_controller_has_an_account() {
    let Some(life) = Life::begin(Controllers::AccountEach) else {
        return;
    };
    core(&life);
    metadata(&life);
    comings_and_goings(&life);
    garbage(&life);
    namespaces(&life);
    debugging(&life);
    mirrors(&life);
    cron_jobs(&life);
    life.end();
}

#[test]
fn life_goes_on_where_controllers_are_one_user() {
    let Some(life) = Life::begin(Controllers::OneUser) else {
        return;
    };
    core(&life);
    life.end();
}
