//! What the status of a pod says of it: networks that carry policies out by the status of pods let in, and hold, what
//! stands at the addresses there, on the node there, until the phase says that it has ended. So do the proxies of the API
//! server.

use serde_json::{Value, json};

use super::super::attack::{
    Attack, CLIENT, MEMBER, OTHER, TEAM_PODS, TESS, VAULT_PODS, attack, calls, create, get, merge, pod, replace,
};
use super::super::scene::{Answer, Scene};
use super::connections::{GREETING, listening};

const PATH: &str = "pods/status";
const TOLD: &str = "may not be given another address or phase in segment vault";

const DATABASE: &str = "/api/v1/namespaces/$VAULT/pods/database";
const CLIENTS: &str = "/api/v1/namespaces/$TEAM/pods/client";
/// Where an attacker's own pod is.
const ELSEWHERE: &str = "198.51.100.1";

fn elsewhere() -> Value {
    json!({"podIP": ELSEWHERE, "podIPs": [{"ip": ELSEWHERE}]})
}

fn member(name: &str) -> Attack {
    listening(attack(name, PATH, TESS), VAULT_PODS, "database", MEMBER).refused(TOLD)
}

fn client(name: &str) -> Attack {
    attack(name, PATH, TESS)
        .given(create(TEAM_PODS, pod("client", CLIENT, "app")))
        .refused(TOLD)
}

fn tell(pod: &str, status: &Value) -> super::super::attack::Step {
    merge(&format!("{pod}/status"), json!({ "status": status }))
}

pub(super) fn rows() -> Vec<Attack> {
    let other_node = json!({"hostIP": ELSEWHERE, "hostIPs": [{"ip": ELSEWHERE}]});
    vec![
        member("another address for a member")
            .does("Another address in the status of a member, which leaves its own without policies")
            .attempt(tell(DATABASE, &elsewhere()))
            .brings(DATABASE, "/status/podIP", ELSEWHERE),
        member("a member that is said to have ended")
            .does("The phase Succeeded in the status of a member: networks take their policies off it")
            .attempt(tell(DATABASE, &json!({"phase": "Succeeded"})))
            .brings(DATABASE, "/status/phase", "Succeeded"),
        member("a member that is said to have ended, by replacement")
            .does("PUT of pods/status with the phase Failed")
            .attempt(replace(DATABASE, &format!("{DATABASE}/status"), "/status/phase", "Failed"))
            .brings(DATABASE, "/status/phase", "Failed"),
        member("a member that is said to be on another node")
            .does("The address of another node in the status of a member: the network of its own node looks for it there no more")
            .attempt(tell(DATABASE, &other_node))
            .brings(DATABASE, "/status/hostIP", ELSEWHERE),
        client("an address for a client that waits")
            .does("The address of a pod of one's own in the status of a client that has none yet: networks let it in as the client")
            .attempt(tell(CLIENTS, &elsewhere()))
            .brings(CLIENTS, "/status/podIP", ELSEWHERE),
        listening(attack("another address for a client", PATH, TESS), TEAM_PODS, "client", CLIENT)
            .does("The same over the address that the client has")
            .attempt(tell(CLIENTS, &elsewhere()))
            .brings(CLIENTS, "/status/podIP", ELSEWHERE)
            .refused(TOLD),
        hidden("a member hidden by another address, then the proxy of a decoy")
            .does("Another address in the status of a member, then the proxy of a pod of one's own that was given the right one")
            .attempt(calls(|scene, user| dial_decoy(scene, user, &elsewhere()))),
        hidden("a member hidden by its phase, then the proxy of a decoy")
            .does("The phase Succeeded in the status of a member, then the proxy of a pod of one's own that was given its address")
            .attempt(calls(|scene, user| dial_decoy(scene, user, &json!({"phase": "Succeeded"})))),
    ]
}

/// A member, and a pod of one's own with its address.
fn hidden(name: &str) -> Attack {
    listening(member(name), TEAM_PODS, "decoy", OTHER).reaches(GREETING)
}

/// Tells the member anew, so that nothing shows any more whose address it is, and dials it by the decoy.
fn dial_decoy(scene: &Scene<'_>, user: &str, status: &Value) -> Result<Answer, String> {
    let told = scene.perform(user, &tell(DATABASE, status))?;
    if !told.success {
        return Ok(told);
    }
    scene.perform(user, &get(&format!("{TEAM_PODS}/decoy:$PORT/proxy/")))
}
