//! Legitimate life goes on under Enforce: real controllers, no permission but the CI user's. What each action costs in
//! reviews is printed and bounded: what cannot change a placement costs none.

mod around;
mod workloads;

use ringfence_controlplane::{Controllers, eventually, wait_until};
use serde_json::{Value, json};

use self::around::{comings_and_goings, debugging, garbage, metadata, mirrors, namespaces};
use self::workloads::{core, cron_jobs};
use super::calls;
use super::world::{GUARDRAILS, PATIENCE, World, bind};

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
    eventually(&format!("{what} to be gone"), || {
        world.kubectl("admin", &get).ok().trim().is_empty().then_some(())
    });
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
