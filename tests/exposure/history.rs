//! Writes down every change of pods and NetworkPolicies while something goes on, by watches that go on where the one before
//! ended. It is whole: it ends at an object that was made after everything else.

use std::sync::atomic::{AtomicU64, Ordering};

use ringfence_controlplane::{ControlPlane, resource_version};
use serde_json::{Value, json};

use crate::exposed::{Change, What};
use crate::world::held_pod;

/// A resource that is followed.
struct Followed {
    /// The path of all its objects.
    path: &'static str,
    /// Where the last one is made.
    last: &'static str,
    /// What an event of this type means.
    change: fn(&str, &Value) -> Option<What>,
}

const PODS: Followed = Followed {
    path: "/api/v1/pods",
    last: "/api/v1/namespaces/default/pods",
    change: |kind, _| match kind {
        "ADDED" => Some(What::PodAppeared),
        "DELETED" => Some(What::PodWent),
        _ => None,
    },
};

const POLICIES: Followed = Followed {
    path: "/apis/networking.k8s.io/v1/networkpolicies",
    last: "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
    change: |kind, policy| match kind {
        "ADDED" | "MODIFIED" => Some(What::Policy(policy["spec"].clone())),
        "DELETED" => Some(What::PolicyWent),
        _ => None,
    },
};

/// Ends what follows if it is dropped: they must not wait for what never comes.
struct Ends<'last>([&'last AtomicU64; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        for last in self.0 {
            let _ = last.compare_exchange(u64::MAX, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

/// Does something, and gives what came of it with every change meanwhile in namespaces whose names begin so.
pub(crate) fn recorded<T>(cluster: &ControlPlane, prefix: &str, what: impl FnOnce() -> T) -> (T, Vec<Change>) {
    // The last version that counts of each; not known yet.
    let (pods, policies) = (AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX));
    std::thread::scope(|scope| {
        let follow = |followed: &'static Followed, last| {
            let list = cluster
                .request("admin", "GET", &format!("{}?limit=1", followed.path))
                .send()
                .ok();
            let from = resource_version(&list);
            scope.spawn(move || followed.follow(cluster, from, last))
        };
        let following = [follow(&PODS, &pods), follow(&POLICIES, &policies)];
        let _ends = Ends([&pods, &policies]);
        let result = what();
        let mut pod = held_pod("");
        pod["metadata"] = json!({"generateName": "last-"});
        let policy = json!({"metadata": {"generateName": "last-"}, "spec": {"podSelector": {}}});
        pods.store(PODS.make_last(cluster, &pod), Ordering::SeqCst);
        policies.store(POLICIES.make_last(cluster, &policy), Ordering::SeqCst);
        let changes = following
            .into_iter()
            .flat_map(|following| following.join().expect("it followed to the end"));
        (
            result,
            changes.filter(|change| change.namespace.starts_with(prefix)).collect(),
        )
    })
}

impl Followed {
    /// Watches, one window after the other, until the last version has been told of.
    fn follow(&self, cluster: &ControlPlane, mut from: u64, last: &AtomicU64) -> Vec<Change> {
        let mut changes = Vec::new();
        while from < last.load(Ordering::SeqCst) {
            let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion={from}");
            let window = cluster
                .request("admin", "GET", &format!("{}?{query}", self.path))
                .send();
            assert_eq!(window.status, 200, "{window}");
            for line in window.text.lines() {
                let event: Value = serde_json::from_str(line).expect("an event");
                let (kind, object) = (event["type"].as_str().expect("a type"), &event["object"]);
                assert_ne!(kind, "ERROR", "the watch lost its place: {event}");
                from = resource_version(object);
                if let Some(what) = (self.change)(kind, object) {
                    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
                    changes.push(Change {
                        version: from,
                        namespace: text("namespace"),
                        name: text("name"),
                        what,
                    });
                }
            }
        }
        changes
    }

    /// Makes an object after everything else, and gives its version.
    fn make_last(&self, cluster: &ControlPlane, object: &Value) -> u64 {
        let made = cluster.request("admin", "POST", self.last).json(object).send().ok();
        let name = made["metadata"]["name"].as_str().expect("named");
        let path = format!("{}/{name}", self.last);
        cluster.request("admin", "DELETE", &path).send().ok();
        resource_version(&made)
    }
}
