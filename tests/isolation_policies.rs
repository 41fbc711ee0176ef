//! `policies/isolation`: its profiles let pass and stop what its README says, and its bindings are what `ringfence grant`
//! prints.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ringfence::answer::offline::{Access, World as Folder, folder};
use ringfence_core::guardrails::{Coverage, Ours};
use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{
    End, EndpointId, Leniency, NamedPort, NetworkPolicySpec, Policy, Protocol, Reach, ReachOptions, Workload, World,
};
use rstest::rstest;
use serde_json::Value;

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("policies/isolation")
        .join(path)
}

fn folder_of(name: &str) -> Folder {
    let files = folder::read(&example(name)).expect("it can be read");
    Folder::parse(&files).unwrap_or_else(|error| panic!("{error}"))
}

/// A pod of the small world that each example is tried on: namespace, name, labels.
type Pod = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const PODS: &[Pod] = &[
    ("shop", "web", &[("app", "web")]),
    ("shop", "cart", &[("app", "cart")]),
    ("bank", "ledger", &[("app", "ledger")]),
    ("crawler", "spider", &[("app", "spider")]),
    ("kube-system", "dns", &[("k8s-app", "kube-dns")]),
    ("kube-system", "other", &[("k8s-app", "other")]),
    (
        "ingress-nginx",
        "controller",
        &[("app.kubernetes.io/name", "ingress-nginx")],
    ),
    ("ingress-nginx", "job", &[("app", "job")]),
    ("monitoring", "prometheus", &[("app", "prometheus")]),
];

fn name(text: &str) -> NamespaceName {
    NamespaceName::new(text).expect("a valid name")
}

fn workload(&(namespace, pod, labels): &Pod) -> Workload {
    let metrics = NamedPort {
        name: Arc::from("metrics"),
        protocol: Protocol::Tcp,
        number: 9090,
    };
    Workload {
        namespace: name(namespace),
        kind: Arc::from("Pod"),
        name: Arc::from(pod),
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ports: vec![metrics],
        host_network: false,
        addresses: Vec::new(),
        pods: 1,
    }
}

/// The world with the policies that the example's profiles put into each namespace.
fn world(folder: &Folder) -> World {
    let (guardrails, since) = (&folder.snapshot.guardrails, &folder.snapshot.since);
    let mut world = World {
        workloads: PODS.iter().map(workload).collect(),
        ..World::default()
    };
    for namespace in ["shop", "bank", "crawler", "kube-system", "ingress-nginx", "monitoring"] {
        let known = folder.snapshot.namespaces.get(namespace).map(|known| (**known).clone());
        let known = known.unwrap_or_default();
        world.namespaces.insert(name(namespace), known.labels.clone());
        let coverage = guardrails.coverage(namespace, &known, since, Ours::None);
        let Coverage::Covered { profile, .. } = coverage else {
            continue;
        };
        for policy in &profile.policies {
            let spec: NetworkPolicySpec = serde_json::from_value(policy.spec.clone()).expect("a spec");
            let policy = Policy::read(namespace, &policy.name, &spec, Leniency::Written);
            world
                .policies
                .push(policy.unwrap_or_else(|invalid| panic!("{invalid:?}")));
        }
    }
    world
}

/// One end: `NAMESPACE/POD`, or an address.
fn end(reach: &Reach<'_>, text: &str) -> End {
    let Some((namespace, pod)) = text.split_once('/').filter(|(namespace, _)| !namespace.contains('.')) else {
        return End::Outside(text.parse().expect("a range"));
    };
    let is = |id: &EndpointId| {
        let endpoint = reach.endpoint(*id);
        endpoint.namespace.as_str() == namespace && &*endpoint.name == pod
    };
    End::Workload(reach.ids().find(is).unwrap_or_else(|| panic!("there is no {text}")))
}

const TCP: Protocol = Protocol::Tcp;
const UDP: Protocol = Protocol::Udp;

#[rstest]
#[case::a_pod_beside_it("multi-tenant", "shop/web", "shop/cart", TCP, 8080, true)]
#[case::another_tenant("multi-tenant", "shop/web", "bank/ledger", TCP, 8080, false)]
#[case::names("multi-tenant", "shop/web", "kube-system/dns", UDP, 53, true)]
#[case::names_over_tcp("multi-tenant", "shop/web", "kube-system/dns", TCP, 53, true)]
#[case::more_of_dns("multi-tenant", "shop/web", "kube-system/dns", TCP, 9153, false)]
#[case::others_of_the_system("multi-tenant", "shop/web", "kube-system/other", UDP, 53, false)]
#[case::the_internet("multi-tenant", "shop/web", "203.0.113.7/32", TCP, 443, false)]
#[case::from_the_internet("multi-tenant", "203.0.113.7/32", "shop/web", TCP, 443, false)]
#[case::the_internet_with_egress("multi-tenant", "crawler/spider", "203.0.113.7/32", TCP, 443, true)]
#[case::metadata_with_egress("multi-tenant", "crawler/spider", "169.254.169.254/32", TCP, 80, false)]
#[case::another_tenant_with_egress("multi-tenant", "crawler/spider", "bank/ledger", TCP, 8080, false)]
#[case::the_ingress_controller("multi-tenant", "ingress-nginx/controller", "shop/web", TCP, 8080, true)]
#[case::a_pod_beside_the_controller("multi-tenant", "ingress-nginx/job", "shop/web", TCP, 8080, false)]
#[case::monitoring("multi-tenant", "monitoring/prometheus", "bank/ledger", TCP, 9090, true)]
#[case::monitoring_of_more("multi-tenant", "monitoring/prometheus", "bank/ledger", TCP, 8080, false)]
#[case::names_where_all_is_denied("default-deny", "shop/web", "kube-system/dns", UDP, 53, true)]
#[case::a_pod_beside_it_where_all_is_denied("default-deny", "shop/web", "shop/cart", TCP, 8080, false)]
#[case::the_internet_where_all_is_denied("default-deny", "shop/web", "203.0.113.7/32", TCP, 443, false)]
fn its_readme_is_right(
    #[case] folder: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] protocol: Protocol,
    #[case] port: u16,
    #[case] passes: bool,
) {
    let world = world(&folder_of(folder));
    let reach = Reach::new(&world, &ReachOptions::default());
    let explained = reach.explain(end(&reach, from), end(&reach, to), protocol, port);
    assert!(!explained.is_empty());
    for explanation in explained {
        assert_eq!(explanation.allowed(), passes, "{explanation:?}");
    }
}

#[test]
fn its_bindings_are_what_grant_prints() {
    let arguments = [
        "grant",
        "use",
        "isolationprofiles/egress",
        "--cluster",
        "--group",
        "platform",
    ];
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(arguments)
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documents = |text: &str| -> Vec<Value> { serde_saphyr::from_multiple(text).expect("YAML") };
    let written = std::fs::read_to_string(example("multi-tenant/rbac.yaml")).expect("it can be read");
    assert_eq!(
        documents(&written),
        documents(&String::from_utf8(output.stdout).expect("UTF-8"))
    );
}

#[rstest]
#[case("platform", "egress", true)]
#[case("platform", "none", false)]
#[case("developers", "egress", false)]
fn only_those_named_choose_a_profile(#[case] group: &str, #[case] profile: &str, #[case] allowed: bool) {
    let access = Access {
        user: "somebody",
        groups: &["system:authenticated", group],
        verb: "use",
        group: "ringfence.dev",
        resource: "isolationprofiles",
        subresource: "",
        name: profile,
        namespace: "",
    };
    assert_eq!(folder_of("multi-tenant").manifests.rbac.allows(access), allowed);
}
