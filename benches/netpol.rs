//! Who reaches whom at the size of a large cluster, on one core: `cargo bench --bench netpol`. 100,000 pods of 20,000
//! workloads in 5,000 namespaces, each pod with labels that nobody else has, and 10,000 policies; each figure is one whole
//! answer.

use std::hint::black_box;
use std::sync::LazyLock;

use divan::Bencher;
use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{
    Changes, Connection, Direction, Ends, Filter, Leniency, NamedPort, Policy, Protocol, Reach, ReachOptions,
    Unrestricted, Workload, World,
};
use serde_json::{Value, json};

const NAMESPACES: usize = 5_000;
const APPS: [&str; 4] = ["web", "app", "db", "jobs"];
const REPLICAS: usize = 5;

static ISOLATED: LazyLock<World> = LazyLock::new(|| world(NAMESPACES));
static OPEN: LazyLock<World> = LazyLock::new(|| World {
    policies: Vec::new(),
    ..world(NAMESPACES)
});

fn main() {
    let pods: u32 = ISOLATED.workloads.iter().map(|workload| workload.pods).sum();
    let found = Reach::new(&ISOLATED, &ReachOptions::default());
    println!(
        "{pods} pods, {} policies, {} ends, {} connections",
        ISOLATED.policies.len(),
        found.endpoints().len(),
        found.connections(&Filter::default()).count()
    );
    divan::main();
}

fn namespace(number: usize) -> NamespaceName {
    NamespaceName::new(&format!("team-{number}")).expect("a name")
}

fn policy(namespace: usize, name: &str, spec: Value) -> Policy {
    let spec = serde_json::from_value(spec).expect("a spec");
    Policy::read(&format!("team-{namespace}"), name, &spec, Leniency::Written).expect("a valid policy")
}

/// Each namespace is closed but for itself, DNS and an API outside; its database is open to its application and to another
/// team's, and every database to the monitoring of the first namespaces.
fn world(namespaces: usize) -> World {
    let mut world = World::default();
    for number in 0..namespaces {
        let labels = [
            ("tier", if number < 10 { "platform" } else { "tenant" }.to_owned()),
            ("team", number.to_string()),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value));
        world.namespaces.insert(namespace(number), labels.to_vec());
        for app in APPS {
            for replica in 0..REPLICAS {
                let own = format!("{number}-{app}-{replica}");
                let labels = [
                    ("app", app),
                    ("pod-template-hash", "7d9f"),
                    ("statefulset.kubernetes.io/pod-name", &own),
                ];
                world.workloads.push(Workload {
                    namespace: namespace(number),
                    kind: "Deployment".into(),
                    name: app.into(),
                    labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
                    ports: vec![NamedPort {
                        name: "sql".into(),
                        protocol: Protocol::Tcp,
                        number: 3306,
                    }],
                    host_network: false,
                    addresses: Vec::new(),
                    pods: 1,
                });
            }
        }
        let closed = json!({
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}],
            "egress": [
                {"to": [{"podSelector": {}}]},
                {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team-0"}},
                         "podSelector": {"matchLabels": {"app": "app"}}}], "ports": [{"port": 53, "protocol": "UDP"}]},
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.169.254/32"]}}],
                 "ports": [{"port": 443}]},
            ],
        });
        let other = format!("team-{}", (number + 1) % namespaces);
        let database = json!({
            "podSelector": {"matchLabels": {"app": "db"}},
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": "app"}}}], "ports": [{"port": "sql"}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": other}},
                           "podSelector": {"matchLabels": {"app": "app"}}}], "ports": [{"port": 3306}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"tier": "platform"}},
                           "podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}],
                 "ports": [{"port": 9090}]},
            ],
        });
        world.policies.push(policy(number, "closed", closed));
        world.policies.push(policy(number, "database", database));
    }
    world
}

fn left_out() -> ReachOptions {
    ReachOptions {
        unrestricted: Unrestricted::LeftOut,
        ..ReachOptions::default()
    }
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn read_and_compile_a_policy_of_each(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| black_box(world(NAMESPACES).policies.len()));
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn compile(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| black_box(Reach::new(&ISOLATED, &ReachOptions::default()).endpoints().len()));
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn compile_and_list_every_connection(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let reach = Reach::new(&ISOLATED, &ReachOptions::default());
        black_box(reach.connections(&Filter::default()).count())
    });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn list_what_reaches_one_workload(bencher: Bencher<'_, '_>) {
    let reach = Reach::new(&ISOLATED, &ReachOptions::default());
    let last = reach.ids().last().expect("workloads");
    let filter = Filter {
        to: Some(Ends {
            endpoints: [last].into(),
            ..Ends::default()
        }),
        ..Filter::default()
    };
    bencher.bench_local(|| black_box(reach.connections(&filter).collect::<Vec<Connection>>()));
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn what_one_policy_opens(bencher: Bencher<'_, '_>) {
    let mut after = ISOLATED.clone();
    after.policies.push(policy(7, "opens", json!({"ingress": [{}]})));
    bencher.bench_local(|| {
        let changes = Changes::between(&ISOLATED, &after, &ReachOptions::default());
        black_box(changes.differences().count())
    });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn compile_and_fold_a_world_without_policies(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let reach = Reach::new(&OPEN, &left_out());
        let open = reach
            .ids()
            .filter(|id| reach.isolating(*id, Direction::Ingress).next().is_none());
        black_box((open.count(), reach.connections(&Filter::default()).count()))
    });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn list_a_hundred_thousand_connections_of_a_world_without_policies(bencher: Bencher<'_, '_>) {
    let reach = Reach::new(&OPEN, &ReachOptions::default());
    bencher.bench_local(|| black_box(reach.connections(&Filter::default()).take(100_000).count()));
}
