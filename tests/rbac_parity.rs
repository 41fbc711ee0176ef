//! Offline answers against the API server's own: random roles and bindings are applied to a real control plane, and every
//! SubjectAccessReview must be answered as the offline evaluator answers the same question from the same YAML.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};
use ringfence::answer::offline::folder::File;
use ringfence::answer::offline::{Access, Manifests};
use ringfence_controlplane::{ControlPlane, Controllers, Nodes, Options, started_or_skipped};
use serde_json::{Value, json};

/// Informers and the controller that aggregates follow a write within moments.
const PATIENCE: Duration = Duration::from_secs(60);

const QUESTIONS: usize = 800;

// Small vocabularies, so that rules and questions meet often. Made-up resources: no built-in role speaks of them.
const NAMESPACES: [&str; 3] = ["parity-a", "parity-b", "parity-c"];
const API_GROUPS: [&str; 4] = ["", "ringfence.dev", "parity.example", "example"];
const RESOURCES: [&str; 3] = ["segments", "gadgets", "gizmos"];
const SUBRESOURCES: [&str; 3] = ["", "status", "enter"];
const VERBS: [&str; 4] = ["join", "connect", "get", "gets"];
const NAMES: [&str; 4] = ["", "payments-db", "cards", "*"];
const ROLE_NAMES: [&str; 6] = ["r0", "r1", "r2", "r3", "parity-aggregate", "never-made"];
const USERS: [&str; 5] = [
    "alice",
    "bob",
    "system:serviceaccount:parity-a:deployer",
    "system:serviceaccount:parity-b:deployer",
    "system:serviceaccount:parity-a:dep",
];
const GROUPS: [&str; 6] = [
    "dev",
    "alice",
    "system:authenticated",
    "system:serviceaccounts",
    "system:serviceaccounts:parity-a",
    "system:masters",
];

struct Generator(StdRng);

impl Generator {
    fn one<'v>(&mut self, words: &[&'v str]) -> &'v str {
        words.choose(&mut self.0).expect("vocabularies are not empty")
    }

    fn some(&mut self, words: &[&str], least: usize) -> Vec<String> {
        let count = self.0.random_range(least..=2);
        words
            .iter()
            .map(|word| (*word).to_owned())
            .choose_multiple(&mut self.0, count)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    fn rule(&mut self) -> Value {
        let star = |generator: &mut Self, words: Vec<String>| {
            if generator.chance(20) {
                vec!["*".to_owned()]
            } else {
                words
            }
        };
        let resources: Vec<String> = (0..self.0.random_range(1..=2))
            .map(|_| match self.0.random_range(0..6) {
                0 => "*".to_owned(),
                1 => format!("*/{}", self.one(&SUBRESOURCES[1..])),
                2 => format!("{}/*", self.one(&RESOURCES)),
                3 => format!("{}/{}", self.one(&RESOURCES), self.one(&SUBRESOURCES[1..])),
                _ => self.one(&RESOURCES).to_owned(),
            })
            .collect();
        let verbs = self.some(&VERBS, 1);
        let groups = self.some(&API_GROUPS, 1);
        let mut rule = json!({"verbs": star(self, verbs), "apiGroups": star(self, groups), "resources": resources});
        if self.chance(40) {
            rule["resourceNames"] = json!(self.some(&NAMES, 0));
        }
        rule
    }

    fn rules(&mut self) -> Vec<Value> {
        (0..self.0.random_range(0..=3)).map(|_| self.rule()).collect()
    }

    fn subject(&mut self, may_be_of_the_binding: bool) -> Value {
        match self.0.random_range(0..4) {
            0 => json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": self.one(&USERS)}),
            1 => json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": self.one(&GROUPS[..5])}),
            2 if may_be_of_the_binding => json!({"kind": "ServiceAccount", "name": self.one(&["deployer", "dep"])}),
            _ => json!({
                "kind": "ServiceAccount", "name": self.one(&["deployer", "dep"]), "namespace": self.one(&NAMESPACES),
            }),
        }
    }

    fn role_ref(&mut self, kinds: &[&str]) -> Value {
        let kind = self.one(kinds);
        let name = if kind == "ClusterRole" && self.chance(15) {
            self.one(&["admin", "edit", "view", "cluster-admin"])
        } else {
            self.one(&ROLE_NAMES)
        };
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})
    }

    fn object(kind: &str, name: &str, namespace: Option<&str>) -> Value {
        let mut object =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object
    }

    /// Everything that is applied.
    fn objects(&mut self) -> Vec<Value> {
        let mut objects: Vec<Value> = NAMESPACES
            .iter()
            .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .collect();
        for name in &ROLE_NAMES[..4] {
            let mut role = Self::object("ClusterRole", name, None);
            role["rules"] = json!(self.rules());
            let label = self.one(&[
                "parity/aggregate",
                "parity/second",
                "rbac.authorization.k8s.io/aggregate-to-edit",
                "rbac.authorization.k8s.io/aggregate-to-view",
            ]);
            role["metadata"]["labels"] = json!({ (label): "true" });
            objects.push(role);
            for namespace in NAMESPACES {
                let mut role = Self::object("Role", name, Some(namespace));
                role["rules"] = json!(self.rules());
                objects.push(role);
            }
        }
        for (name, to, from) in [
            ("parity-aggregate", "parity/none", "parity/aggregate"),
            ("parity-second", "parity/aggregate", "parity/second"),
        ] {
            let mut role = Self::object("ClusterRole", name, None);
            role["metadata"]["labels"] = json!({ (to): "true" });
            role["aggregationRule"] =
                json!({"clusterRoleSelectors": [{"matchExpressions": [{"key": from, "operator": "Exists"}]}]});
            objects.push(role);
        }
        for position in 0..30 {
            let namespace = self.one(&NAMESPACES);
            let mut binding = Self::object("RoleBinding", &format!("b{position}"), Some(namespace));
            binding["roleRef"] = self.role_ref(&["Role", "ClusterRole"]);
            binding["subjects"] = json!(
                (0..self.0.random_range(0..=2))
                    .map(|_| self.subject(true))
                    .collect::<Vec<_>>()
            );
            objects.push(binding);
        }
        for position in 0..5 {
            let mut binding = Self::object("ClusterRoleBinding", &format!("parity-{position}"), None);
            binding["roleRef"] = self.role_ref(&["ClusterRole"]);
            binding["subjects"] = json!([self.subject(false)]);
            objects.push(binding);
        }
        objects
    }

    fn question(&mut self) -> Question {
        let groups = self.some(&GROUPS, 0);
        Question {
            user: self.one(&USERS),
            groups: groups
                .into_iter()
                .filter(|group| group != "system:masters" || self.chance(5))
                .collect(),
            verb: self.one(&VERBS),
            group: self.one(&API_GROUPS),
            resource: self.one(&RESOURCES),
            subresource: self.one(&SUBRESOURCES),
            name: self.one(&NAMES),
            namespace: if self.chance(20) { "" } else { self.one(&NAMESPACES) },
        }
    }
}

#[derive(Debug)]
struct Question {
    user: &'static str,
    groups: Vec<String>,
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    name: &'static str,
    namespace: &'static str,
}

impl Question {
    fn offline(&self, manifests: &Manifests) -> bool {
        manifests.rbac.allows(Access {
            user: self.user,
            groups: &self.groups.iter().map(String::as_str).collect::<Vec<_>>(),
            verb: self.verb,
            group: self.group,
            resource: self.resource,
            subresource: self.subresource,
            name: self.name,
            namespace: self.namespace,
        })
    }

    fn live(&self, cluster: &ControlPlane) -> bool {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": self.user,
                "groups": self.groups,
                "resourceAttributes": {
                    "verb": self.verb, "group": self.group, "version": "v1", "resource": self.resource,
                    "subresource": self.subresource, "name": self.name, "namespace": self.namespace,
                },
            },
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = cluster.request("admin", "POST", path).json(&review).send().ok();
        answer["status"]["allowed"]
            .as_bool()
            .expect("status.allowed is a boolean")
    }
}

#[test]
fn offline_answers_are_the_api_servers() {
    let options = Options {
        users: Vec::new(),
        // The controller that aggregates ClusterRoles is one of them.
        controllers: Controllers::AccountEach,
        nodes: Nodes::Absent,
    };
    let Some(cluster) = started_or_skipped(&options) else {
        return;
    };
    for seed in 0..3 {
        compare(&cluster, seed);
    }
}

fn compare(cluster: &ControlPlane, seed: u64) {
    let mut generator = Generator(StdRng::seed_from_u64(seed));
    let text = json!({"apiVersion": "v1", "kind": "List", "items": generator.objects()}).to_string();
    let file = File {
        name: format!("seed-{seed}.json"),
        text: text.clone(),
    };
    let manifests = Manifests::parse(&[file], &[]).unwrap_or_else(|problems| panic!("{problems}"));
    // Roles are immutable in roleRef alone, so one seed's objects make room for the next one's.
    for kind in ["clusterrolebindings", "clusterroles"] {
        let names = cluster.kubectl("admin").args(["get", kind, "-o", "name"]).run().ok();
        let ours: Vec<&str> = names.lines().filter(|name| is_ours(name)).collect();
        if !ours.is_empty() {
            cluster.kubectl("admin").args(["delete"]).args(ours).run().ok();
        }
    }
    for namespace in NAMESPACES {
        for kind in ["rolebindings", "roles"] {
            cluster
                .kubectl("admin")
                .args(["delete", kind, "--all", "-n", namespace])
                .run();
        }
    }
    cluster
        .kubectl("admin")
        .args(["apply", "-f", "-"])
        .stdin(text)
        .run()
        .ok();

    let questions: Vec<Question> = (0..QUESTIONS).map(|_| generator.question()).collect();
    let allowed = questions.iter().filter(|question| question.offline(&manifests)).count();
    assert!(
        (QUESTIONS / 20..QUESTIONS * 19 / 20).contains(&allowed),
        "seed {seed} shows little: {allowed} of {QUESTIONS} are allowed"
    );
    let mut open: BTreeSet<usize> = (0..QUESTIONS).collect();
    let agree = ringfence_controlplane::wait_until(PATIENCE, "the API server to agree", || {
        open.retain(|position| {
            let question = &questions[*position];
            question.live(cluster) != question.offline(&manifests)
        });
        open.is_empty().then_some(())
    });
    let differing: Vec<String> = open
        .iter()
        .map(|position| {
            let question = &questions[*position];
            format!("{question:?}: offline {}", question.offline(&manifests))
        })
        .collect();
    assert!(
        agree.is_ok(),
        "seed {seed}, answered otherwise:\n{}",
        differing.join("\n")
    );
}

fn is_ours(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(_, name)| name.starts_with("parity-") || ROLE_NAMES.contains(&name))
}
