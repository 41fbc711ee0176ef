//! Connections into pods: exec and its kin, and the proxies with every form of their names. Where exec leads, the stand-in
//! kubelet answers; where a proxy leads, the listener does.

use serde_json::json;

use super::super::attack::{
    Attack, CLIENT, MALLORY, MEMBER, NORA, OTHER, TEAM_PODS, TESS, VAULT_PODS, attack, create, get, kubectl, merge,
    pod, until, with,
};
use super::ENTER;

/// What the listener says.
pub(super) const GREETING: &str = super::super::listener::GREETING;
/// What the API server says of the listener where it speaks TLS to it.
const NO_TLS: &str = "tls: first record does not look like a TLS handshake";

/// A pod that runs on the stand-in node.
fn running(row: Attack, collection: &str, label: (&str, &str)) -> Attack {
    let object = with(pod("target", label, "app"), json!({"spec": {"nodeName": "node-0"}}));
    row.given(create(collection, object))
        .given(until(&format!("{collection}/target"), "/status/phase", "Running"))
}

/// A pod of no node that has the listener's address, as if it ran the listener.
pub(super) fn listening(row: Attack, collection: &str, name: &str, label: (&str, &str)) -> Attack {
    let status = json!({"status": {"phase": "Running", "podIP": "$ADDRESS", "podIPs": [{"ip": "$ADDRESS"}]}});
    row.given(create(collection, pod(name, label, "app")))
        .given(merge(&format!("{collection}/{name}/status"), status))
}

pub(super) fn rows() -> Vec<Attack> {
    [commands(), pod_proxies(), service_proxies(), node_proxies()]
        .into_iter()
        .flatten()
        .collect()
}

fn commands() -> Vec<Attack> {
    let no_exec = "no exec found for container";
    vec![
        running(attack("a command in a member", "pods/exec", MALLORY), VAULT_PODS, MEMBER)
            .does("`kubectl exec` in a member")
            .attempt(kubectl("exec target -n $VAULT -- id"))
            .reaches(no_exec)
            .refused(ENTER),
        running(attack("a command in a client", "pods/exec", MALLORY), TEAM_PODS, CLIENT)
            .does("`kubectl exec` in a pod that the policies let in")
            .attempt(kubectl("exec target -n $TEAM -- id"))
            .reaches(no_exec)
            .refused(ENTER),
        running(attack("a file from a member", "pods/exec", MALLORY), VAULT_PODS, MEMBER)
            .does("`kubectl cp`, which is an exec of tar")
            .attempt(kubectl("cp $VAULT/target:/etc/passwd /dev/null"))
            .reaches(no_exec)
            .refused(ENTER),
        running(attack("the terminal of a member", "pods/attach", MALLORY), VAULT_PODS, MEMBER)
            .does("`kubectl attach` to a member")
            .attempt(kubectl("attach target -n $VAULT"))
            .reaches("no attaches found for container")
            .refused(ENTER),
        running(attack("a port of a member", "pods/portforward", MALLORY), VAULT_PODS, MEMBER)
            .does("`kubectl port-forward` to a member (here to a local port that is taken, so that kubectl ends once the kubelet has answered)")
            .attempt(kubectl("port-forward --address=127.0.0.1 pod/target -n $VAULT $PORT:5432"))
            .reaches("unable to listen on any of the requested ports")
            .refused(ENTER),
    ]
}

fn pod_proxies() -> Vec<Attack> {
    let database = |name| listening(attack(name, "pods/proxy", MALLORY), VAULT_PODS, "database", MEMBER);
    let proxy = |name: &str| get(&format!("{VAULT_PODS}/{name}/proxy/"));
    vec![
        database("a member by its proxy, port named")
            .does("GET of pods/NAME:PORT/proxy")
            .attempt(proxy("database:$PORT"))
            .reaches(GREETING)
            .refused(ENTER),
        listening(
            attack("a member by its proxy", "pods/proxy", MALLORY),
            VAULT_PODS,
            "database",
            MEMBER,
        )
        .does("GET of pods/NAME/proxy: the port is that of the first container")
        .attempt(proxy("database"))
        .reaches("error trying to reach service: dial tcp")
        .refused(ENTER),
        database("a member by its proxy, scheme and port named")
            .does("GET of pods/https:NAME:PORT/proxy")
            .attempt(proxy("https:database:$PORT"))
            .reaches(NO_TLS)
            .refused(ENTER),
        database("a member by its proxy, scheme http")
            .does("GET of pods/http:NAME:PORT/proxy")
            .attempt(proxy("http:database:$PORT"))
            .reaches(GREETING)
            .refused(ENTER),
        listening(
            listening(
                attack("a decoy with a member's address", "pods/proxy", TESS),
                VAULT_PODS,
                "database",
                MEMBER,
            ),
            TEAM_PODS,
            "decoy",
            OTHER,
        )
        .does("The proxy of a pod of one's own whose status was made to carry a member's address")
        .attempt(get(&format!("{TEAM_PODS}/decoy:$PORT/proxy/")))
        .reaches(GREETING)
        .refused(ENTER),
        listening(
            attack("a client by its proxy", "pods/proxy", MALLORY),
            TEAM_PODS,
            "client",
            CLIENT,
        )
        .does("The proxy of a pod that the policies let in")
        .attempt(get(&format!("{TEAM_PODS}/client:$PORT/proxy/")))
        .reaches(GREETING)
        .refused(ENTER),
    ]
}

/// A member that has the listener's address, and a service without selector in `namespace` that leads there: its Endpoints
/// are what the API server dials by, as long as they name a pod of their namespace that has the address.
fn door(name: &str, namespace: &str, pod: &str) -> Attack {
    let reference = json!({"kind": "Pod", "namespace": namespace, "name": pod});
    let endpoints = json!({
        "metadata": {"name": "door"},
        "subsets": [{
            "addresses": [{"ip": "$ADDRESS", "targetRef": reference}],
            "ports": [{"name": "web", "port": "$NUMBER"}],
        }],
    });
    let service = json!({"metadata": {"name": "door"}, "spec": {"ports": [{"name": "web", "port": 80}]}});
    listening(attack(name, "services/proxy", TESS), VAULT_PODS, "database", MEMBER)
        .given(create(&format!("/api/v1/namespaces/{namespace}/services"), service).by(TESS))
        .given(create(&format!("/api/v1/namespaces/{namespace}/endpoints"), endpoints).by(TESS))
}

fn service_proxies() -> Vec<Attack> {
    let proxy = |name: &str| get(&format!("/api/v1/namespaces/$VAULT/services/{name}/proxy/"));
    let selecting = json!({"metadata": {"name": "door"}, "spec": {
        "selector": {"app": "vault"}, "ports": [{"name": "web", "port": 80, "targetPort": "$NUMBER"}],
    }});
    vec![
        door("a service to a member, port named", "$VAULT", "database")
            .does("A service without selector whose Endpoints lead to a member, then services/NAME:PORT/proxy")
            .attempt(proxy("door:web"))
            .reaches(GREETING)
            .refused(ENTER),
        door("a service to a member, port by number", "$VAULT", "database")
            .does("The same by the number of the service's port")
            .attempt(proxy("door:80"))
            .reaches(GREETING)
            .refused(ENTER),
        door("a service to a member, scheme named", "$VAULT", "database")
            .does("The same by services/https:NAME:PORT/proxy")
            .attempt(proxy("https:door:web"))
            .reaches(NO_TLS)
            .refused(ENTER),
        listening(
            door("a service to a decoy with a member's address", "$TEAM", "decoy"),
            TEAM_PODS,
            "decoy",
            OTHER,
        )
        .does("Endpoints that name a pod of one's own, whose status was made to carry a member's address")
        .attempt(get("/api/v1/namespaces/$TEAM/services/door:web/proxy/"))
        .reaches(GREETING)
        .refused(ENTER),
        running(
            attack("a service that selects members", "services/proxy", MALLORY),
            VAULT_PODS,
            MEMBER,
        )
        .does("A service with the members' selector, then its proxy")
        .given(merge(
            &format!("{VAULT_PODS}/target/status"),
            json!({"status": {"podIP": "$ADDRESS", "podIPs": [{"ip": "$ADDRESS"}]}}),
        ))
        .given(create("/api/v1/namespaces/$VAULT/services", selecting).by(MALLORY))
        .given(until(
            "/api/v1/namespaces/$VAULT/endpoints/door",
            "/subsets/0/addresses/0/ip",
            "$ADDRESS",
        ))
        .attempt(get("/api/v1/namespaces/$VAULT/services/door:web/proxy/"))
        .reaches(GREETING)
        .refused(ENTER),
    ]
}

/// A node whose kubelet is the listener, with a member on it.
fn node(name: &'static str) -> Attack {
    let node = json!({
        "metadata": {"name": "$TEAM"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "$ADDRESS"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    let object = with(pod("target", MEMBER, "app"), json!({"spec": {"nodeName": "$TEAM"}}));
    attack(name, "nodes/proxy", NORA)
        .given(create("/api/v1/nodes", node))
        .given(create(VAULT_PODS, object))
}

fn node_proxies() -> Vec<Attack> {
    let command = |node: &str| {
        get(&format!(
            "/api/v1/nodes/{node}/proxy/exec/$VAULT/target/main?command=id"
        ))
    };
    vec![
        node("a command by the kubelet's own API")
            .does("GET of nodes/NAME/proxy/exec/...: RBAC calls this a get")
            .attempt(command("$TEAM"))
            .reaches("dial tcp")
            .refused(ENTER),
        node("a command by the kubelet's API, port named")
            .does("GET of nodes/http:NAME:PORT/proxy/exec/...")
            .attempt(command("http:$TEAM:$PORT"))
            .reaches(GREETING)
            .refused(ENTER),
        node("a command by the kubelet's API, scheme and port named")
            .does("GET of nodes/https:NAME:PORT/proxy/exec/...")
            .attempt(command("https:$TEAM:$PORT"))
            .reaches(NO_TLS)
            .refused(ENTER),
    ]
}
