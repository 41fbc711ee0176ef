//! Pods that step around NetworkPolicies by their node: within the built-in `edit`, whatever labels they carry.

use serde_json::{Value, json};

use super::super::attack::{Attack, MALLORY, OTHER, TEAM_PODS, TESS, attack, create, pod, request, with};

const REFUSED: &str = "may not step around network policies";

pub(super) fn rows() -> Vec<Attack> {
    let rogue = "/api/v1/namespaces/$TEAM/pods/rogue";
    let made = |name: &str, does: &str, spec: Value, pointer: &'static str, is: Value| {
        attack(name, "pods", MALLORY)
            .does(does.to_owned())
            .attempt(create(
                TEAM_PODS,
                with(pod("rogue", OTHER, "evil"), json!({ "spec": spec })),
            ))
            .brings(rogue, pointer, is)
            .refused(REFUSED)
    };
    let security =
        |context: Value| json!({"containers": [{"name": "main", "image": "evil", "securityContext": context}]});
    vec![
        made(
            "a pod on its node's network",
            "`hostNetwork: true`: no policy selects it",
            json!({"hostNetwork": true}),
            "/spec/hostNetwork",
            true.into(),
        ),
        made(
            "a pod among its node's processes",
            "`hostPID: true`: it can enter the network of any pod there",
            json!({"hostPID": true}),
            "/spec/hostPID",
            true.into(),
        ),
        made(
            "a privileged pod",
            "A privileged container: it is root on its node",
            security(json!({"privileged": true})),
            "/spec/containers/0/securityContext/privileged",
            true.into(),
        ),
        made(
            "a pod with its node's files",
            "A `hostPath` volume: sockets of the container runtime and of the CNI",
            json!({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}),
            "/spec/volumes/0/hostPath/path",
            "/".into(),
        ),
        made(
            "a pod that shapes its network",
            "The capability NET_ADMIN",
            security(json!({"capabilities": {"add": ["NET_ADMIN"]}})),
            "/spec/containers/0/securityContext/capabilities/add/0",
            "NET_ADMIN".into(),
        ),
        made(
            "an init container that is privileged",
            "The same in an init container, which runs first",
            json!({"initContainers": [{"name": "first", "image": "evil", "securityContext": {"privileged": true}}]}),
            "/spec/initContainers/0/securityContext/privileged",
            true.into(),
        ),
        attack(
            "a privileged container in a running pod",
            "pods/ephemeralcontainers",
            TESS,
        )
        .does("A privileged ephemeral container in a pod of nobody's interest")
        .given(create(TEAM_PODS, pod("rogue", OTHER, "app")))
        .attempt(request(
            "PATCH",
            "/api/v1/namespaces/$TEAM/pods/rogue/ephemeralcontainers",
            "application/strategic-merge-patch+json",
            json!({"spec": {"ephemeralContainers": [
                {"name": "debug", "image": "evil", "securityContext": {"privileged": true}},
            ]}}),
        ))
        .brings(rogue, "/spec/ephemeralContainers/0/securityContext/privileged", true)
        .refused(REFUSED),
        attack("a DaemonSet on every node's network", "daemonsets.apps", MALLORY)
            .does("`hostNetwork: true` in a template that stands")
            .given(create(
                "/apis/apps/v1/namespaces/$TEAM/daemonsets",
                json!({
                    "metadata": {"name": "set"},
                    "spec": {"selector": {"matchLabels": {"run": "set"}}, "template": {
                        "metadata": {"labels": {"run": "set"}},
                        "spec": {"nodeSelector": {"none": "none"}, "containers": [{"name": "main", "image": "app"}]},
                    }},
                }),
            ))
            .attempt(request(
                "PATCH",
                "/apis/apps/v1/namespaces/$TEAM/daemonsets/set",
                "application/merge-patch+json",
                json!({"spec": {"template": {"spec": {"hostNetwork": true}}}}),
            ))
            .brings(
                "/apis/apps/v1/namespaces/$TEAM/daemonsets/set",
                "/spec/template/spec/hostNetwork",
                true,
            )
            .refused(REFUSED),
    ]
}
