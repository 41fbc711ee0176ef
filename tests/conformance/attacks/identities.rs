//! A service account of one's own namespace, borrowed in each of the ways that `edit` has: it is judged by what it holds
//! itself. Where it was granted something, see the limits.

use serde_json::json;

use super::super::attack::{Answered, Attack, MALLORY, attack, calls, create, kubectl, pod};
use super::super::scene::{Answer, Scene};
use super::CONNECT;

/// The account, and its right to make pods.
pub(crate) fn deployer(row: Attack) -> Attack {
    row.given(kubectl("create serviceaccount deployer -n $TEAM"))
        .given(kubectl(
            "create rolebinding deployer -n $TEAM --clusterrole=edit --serviceaccount=$TEAM:deployer",
        ))
}

const RUN: &str = "run rogue -n $TEAM --image=evil --labels=app=client";

/// Every way to become a service account of one's namespace.
pub(crate) fn ways(about: &str, mut row: impl FnMut(Attack) -> Attack, answered: Answered) -> Vec<Attack> {
    let mut way = |name: &str, does: &str, attempt| {
        let begun = attack(format!("{name}{about}"), "pods", MALLORY).does(does.to_owned());
        let mut row = row(deployer(begun)).attempt(attempt).brings(
            "/api/v1/namespaces/$TEAM/pods/rogue",
            "/metadata/labels/app",
            "client",
        );
        row.answered = answered;
        row
    };
    vec![
        way(
            "an account by impersonation",
            "`kubectl --as` a service account of one's namespace",
            kubectl(format!("{RUN} --as=system:serviceaccount:$TEAM:deployer")),
        ),
        way(
            "an account by a requested token",
            "`kubectl create token`, then a pod with that token",
            calls(|scene, user| with_token(scene, user, "")),
        ),
        way(
            "an account by a pod's token",
            "A token bound to a pod that runs as the account",
            calls(|scene, user| {
                let object = json!({"spec": {"serviceAccountName": "deployer"}});
                let object = super::super::attack::with(pod("holder", ("app", "other"), "app"), object);
                expect(scene.perform(user, &create("/api/v1/namespaces/$TEAM/pods", object))?)?;
                with_token(scene, user, " --bound-object-kind=Pod --bound-object-name=holder")
            }),
        ),
        way(
            "an account by a legacy Secret",
            "A Secret of the type that a controller fills with a token",
            calls(by_secret),
        ),
    ]
}

pub(super) fn rows() -> Vec<Attack> {
    ways("", |row| row, Answered::ByRingfence(CONNECT))
}

/// Asserts a step of an attack that nobody refuses.
fn expect(answer: Answer) -> Result<Answer, String> {
    if answer.success {
        Ok(answer)
    } else {
        Err(format!("on the way: {}", answer.text))
    }
}

fn with_token(scene: &Scene<'_>, user: &str, bound: &str) -> Result<Answer, String> {
    let token = scene.kubectl(user, &format!("create token deployer -n $TEAM{bound}"), None)?;
    let token = expect(token)?.text;
    scene.kubectl(user, &format!("{RUN} --token={}", token.trim()), None)
}

fn by_secret(scene: &Scene<'_>, user: &str) -> Result<Answer, String> {
    let secrets = "/api/v1/namespaces/$TEAM/secrets";
    let secret = json!({
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "borrowed", "annotations": {"kubernetes.io/service-account.name": "deployer"}},
    });
    expect(scene.perform(user, &create(secrets, secret))?)?;
    let filled = super::super::attack::until(&format!("{secrets}/borrowed"), "/data/namespace", scene.encoded_team());
    scene.perform(user, &filled)?;
    let get = "get secret borrowed -n $TEAM -o go-template={{.data.token|base64decode}}";
    let token = expect(scene.kubectl(user, get, None)?)?.text;
    scene.kubectl(user, &format!("{RUN} --token={}", token.trim()), None)
}
