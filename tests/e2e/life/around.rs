//! What people, nodes and autoscalers do beside them: labels, scaling, evictions, deletions, namespaces, debuggers.

use ringfence_controlplane::NODE_USER;
use serde_json::{Value, json};

use super::super::calls;
use super::super::world::{World, bind, deployment};
use super::{Life, gone, replicas, rolled_out, settled, template};

/// What people do to a Deployment that changes nothing that runs.
pub(super) fn metadata(life: &Life) {
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
pub(super) fn comings_and_goings(life: &Life) {
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
pub(super) fn garbage(life: &Life) {
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

pub(super) fn namespaces(life: &Life) {
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
pub(super) fn mirrors(life: &Life) {
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
pub(super) fn debugging(life: &Life) {
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
