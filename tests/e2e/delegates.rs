//! Delegates: a deployer that may do everything is asked for twice, as itself and as whom RoleBindings name for the
//! namespace that it deploys into. Each step of docs/delegates.md.

use serde_json::Value;

use super::recipe;
use super::world::{World, bind, deployment};

const PAGE: &str = include_str!("../../docs/delegates.md");

const SEGMENT: &str = r"
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  consent: {namespace: payments}
  members: [{namespaces: [payments], podSelector: {matchLabels: {app: hollowdb}}}]
  clients: [{namespaceSelector: {}, podSelector: {matchLabels: {app: hollowapp}}}]
";

/// The guardrails of the page, with a segment, and a person as one more delegate.
fn guardrails() -> String {
    let nate = "    - {user: nate, reviewAs: \"gitops:{namespace}\"}\n";
    format!("{}{nate}---{SEGMENT}", recipe::yaml(PAGE))
}

const CONNECT: &str = "ClusterRole/ringfence:payments-db:connect";

/// The deployer's account, bound to cluster-admin as Argo CD's is by default.
fn deployer(world: &World) {
    world.cluster.create_namespace("argocd", &[]);
    world
        .kubectl("admin", "create serviceaccount argocd-application-controller -n argocd")
        .ok();
    world
        .kubectl(
            "admin",
            "create clusterrolebinding argocd --clusterrole=cluster-admin \
             --serviceaccount=argocd:argocd-application-controller",
        )
        .ok();
}

fn sync(world: &World, object: &Value) -> ringfence_controlplane::Output {
    world
        .cluster
        .kubectl_as_account("argocd", "argocd-application-controller")
        .args(["apply", "--server-side", "-f", "-"])
        .stdin(object.to_string())
        .run()
}

#[test]
fn a_deployer_that_may_do_everything_needs_the_grant_of_the_namespace_it_deploys_into() {
    let Some(world) = World::own(&guardrails()) else { return };
    deployer(&world);
    let front = deployment("web", "front", "hollowapp", "app:1");
    let said = sync(&world, &front).refused();
    assert!(
        said.contains("may not connect to segment payments-db") && said.contains("gitops:web"),
        "{said}"
    );
    assert!(
        said.contains("ringfence grant connect segments/payments-db --user gitops:web"),
        "it says whom to grant: {said}"
    );
    // What no segment protects is deployed as ever.
    sync(&world, &deployment("web", "plain", "other", "app:1")).ok();

    assert_eq!(recipe::follow(&world, PAGE), 3, "the page has these commands");
    let granted = ringfence_controlplane::wait_until(super::world::PATIENCE, "the deployer to be let in", || {
        sync(&world, &front).succeeded().ok()
    });
    granted.unwrap_or_else(|error| panic!("{error}"));
    world
        .kubectl("admin", "rollout status deployment/front -n web --timeout=60s")
        .ok();

    // The grant is of that namespace: from another the same deployer is refused.
    let said = sync(&world, &deployment("tenant", "front", "hollowapp", "app:1")).refused();
    assert!(said.contains("gitops:tenant"), "{said}");
}

#[test]
fn a_delegate_that_lacks_the_permission_itself_is_refused_whoever_it_is_reviewed_as() {
    let Some(world) = World::own(&guardrails()) else { return };
    bind(&world.cluster, "web", "ClusterRole/edit", "nate");
    bind(&world.cluster, "payments", CONNECT, "gitops:web");
    let run = "run front -n web --image=app --labels=app=hollowapp --dry-run=server";
    world.eventually(
        "admin",
        "auth can-i connect segments.ringfence.dev/payments-db -n payments --as=gitops:web",
    );
    world.eventually("nate", "auth can-i create pods -n web");
    let said = world.kubectl("nate", run).refused();
    assert!(said.contains("user \"nate\" lacks the permission"), "{said}");
    bind(&world.cluster, "payments", CONNECT, "nate");
    world.eventually("nate", run);
    // Both must hold: without the namespace's grant its own is not enough.
    world
        .kubectl(
            "admin",
            "delete rolebinding -n payments gitops:web-ringfence-payments-db-connect",
        )
        .ok();
    world.eventually_refused("nate", run);
}
