//! What to try in the playground: one table, from which it is shown and by which it is tested.

use std::path::Path;

/// Something to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it shows, in a line.
    pub about: &'static str,
    /// The shell command.
    pub command: String,
    /// How it ends.
    pub outcome: Outcome,
}

/// How a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeds, and its output contains this.
    Works(&'static str),
    /// The API server refuses it, and the message contains this.
    Refused(&'static str),
    /// It answers "no", with the exit code that says so.
    No,
}

/// The story of `policies/hollowdb`, whose files are in `policies`.
pub(super) fn steps(policies: &Path) -> Vec<Step> {
    use Outcome::{No, Refused, Works};
    let rogue = "kubectl --context mallory -n web run rogue --image=nginx --labels=app=hollowapp";
    let can_i = "kubectl --context mallory auth can-i connect segments.ringfence.dev/payments-db -n payments";
    let lacks = "user \"mallory\" lacks the permission";
    let app = policies.join("hollowapp.yaml");
    let step = |about, command: &str, outcome| Step {
        about,
        command: command.to_owned(),
        outcome,
    };
    vec![
        step(
            "Mallory copies the label that the database trusts: refused, with the reason.",
            rogue,
            Refused(lacks),
        ),
        step(
            "So is a Deployment with that label, even where she may do everything.",
            "kubectl --context mallory -n dev create deployment hollowapp --image=nginx",
            Refused(lacks),
        ),
        step(
            "Any other pod is hers to run;",
            "kubectl --context mallory -n web run harmless --image=nginx",
            Works("created"),
        ),
        step(
            "but not to relabel.",
            "kubectl --context mallory -n web label pod harmless app=hollowapp",
            Refused(lacks),
        ),
        step(
            "CI may deploy what talks to the database, and its controllers make the pods.",
            &format!("kubectl --context ci apply -f {}", app.display()),
            Works("created"),
        ),
        step(
            "They run.",
            "kubectl --context ci -n web rollout status deployment/hollowapp --timeout=60s",
            Works("successfully rolled out"),
        ),
        step(
            "The permission is plain RBAC, in the owner's namespace. Mallory asks;",
            can_i,
            No,
        ),
        step(
            "the owner grants it;",
            "ringfence grant connect segments/payments-db --user mallory | kubectl --context paula create -f -",
            Works("created"),
        ),
        step("now it is yes,", can_i, Works("yes")),
        step("and her pod runs.", rogue, Works("created")),
        step(
            "What is protected:",
            "kubectl --context admin get segments",
            Works("payments-db"),
        ),
        step(
            "Guardrails that are wrong are refused, with the place.",
            "kubectl --context admin -n ringfence-system patch configmap ringfence-guardrails \
             --patch '{\"data\": {\"more.yaml\": \"kind: Segmant\"}}'",
            Refused("more.yaml"),
        ),
    ]
}
