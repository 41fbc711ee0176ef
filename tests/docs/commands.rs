//! Every command that the documentation shows is run by something: the README's `console` blocks by the walk, all others by
//! what this table names.

use std::collections::BTreeSet;

use crate::markdown::{pages, root};
use crate::walk;

/// What runs a command: words that stand in a file.
struct Proof {
    command: &'static str,
    file: &'static str,
    words: &'static str,
}

const fn proof(command: &'static str, file: &'static str, words: &'static str) -> Proof {
    Proof { command, file, words }
}

const PROOFS: &[Proof] = &[
    proof(
        "ringfence grant protect networkpolicies/ledger -n payments --user pam | kubectl apply -f -",
        "tests/e2e/derived.rs",
        "include_str!(\"../../docs/derived-segments.md\")",
    ),
    proof(
        "kubectl label networkpolicy ledger -n payments ringfence.dev/protected=true",
        "tests/e2e/derived.rs",
        "include_str!(\"../../docs/derived-segments.md\")",
    ),
    proof(
        "ringfence grant connect networkpolicies/ledger -n payments --user ci | kubectl apply -f -",
        "tests/e2e/derived.rs",
        "include_str!(\"../../docs/derived-segments.md\")",
    ),
    proof(
        "kubectl get networkpolicies -A -l ringfence.dev/protected=true",
        "tests/e2e/derived.rs",
        "include_str!(\"../../docs/derived-segments.md\")",
    ),
    proof(
        "kubectl get segments -l ringfence.dev/derived-in=payments",
        "tests/e2e/derived.rs",
        "include_str!(\"../../docs/derived-segments.md\")",
    ),
    proof(
        "ringfence validate --cluster",
        "tests/e2e/derived.rs",
        "include_str!(\"../../docs/derived-segments.md\")",
    ),
    proof(
        "ringfence grant use isolationprofiles/none --cluster --group platform | kubectl apply -f -",
        "tests/grant.rs",
        "vec![\"use\", \"isolationprofiles/none\", \"--cluster\"",
    ),
    proof(
        "ringfence grant cross segments/payments-db --cluster --group platform | kubectl apply -f -",
        "tests/grant.rs",
        "vec![\"cross\", \"segments/ledger\", \"--cluster\"",
    ),
    proof(
        "ringfence grant waive policychecks/AllNamespaces --cluster --group platform | kubectl apply -f -",
        "tests/e2e/checks.rs",
        "\"waive policychecks/{} --cluster --user ci\"",
    ),
    proof(
        "ringfence grant manage ciliumnetworkpolicies.cilium.io -n web --group team-web | kubectl apply -f -",
        "tests/e2e/policies.rs",
        "\"manage ciliumnetworkpolicies.cilium.io -n web --user ci\"",
    ),
    proof(
        "ringfence audit sod",
        "tests/audit/cluster.rs",
        "fn exactly_those_who_could_are_named",
    ),
    proof(
        "ringfence audit sod rbac/ --guardrails guardrails.yaml",
        "tests/audit/folder.rs",
        "fn guardrails_may_stand_elsewhere",
    ),
    proof(
        "ringfence audit sod rbac/ --guardrails guardrails.yaml --kind HoldsBoth CanHoldBoth",
        "tests/audit/folder.rs",
        "&[\"--output\", \"json\", \"--kind\", \"HoldsBoth\", \"CanHoldBoth\"]",
    ),
    proof(
        "cargo run --release -- demo",
        "tests/demo.rs",
        "fn the_demo_tells_its_story_and_succeeds",
    ),
    proof(REACH, "tests/policies.rs", "fn every_readme_shows_what_reach_prints"),
    proof(
        "ringfence diff policies/three-tiers policies/three-tiers/workloads.yaml",
        "tests/reach/diff.rs",
        "diff(TIERS, \"policies/three-tiers/workloads.yaml\", &[])",
    ),
    proof("cargo test", ".ci/run", "cargo test --locked"),
    proof(
        "cargo run --release -- serve --standalone policies/hollowdb",
        "tests/standalone.rs",
        "fn the_folder_decides_and_its_changes_are_taken",
    ),
    proof("cargo playground", "tests/playground.rs", "fn "),
    proof(
        "cargo run -- manifests --out deploy",
        "tests/manifests.rs",
        "fn deploy_is_what_the_code_says",
    ),
    proof(
        "RINGFENCE_WRITE_DOCS=1 cargo test --test docs",
        "tests/docs/generated.rs",
        "fn generated_parts_are_what_the_code_says",
    ),
    proof(
        "RINGFENCE_RECORD=1 cargo test --test demo_reviews",
        "tests/demo_reviews.rs",
        "fn the_demo_plays_what_a_real_api_server_sends_and_prints_what_kubectl_prints",
    ),
    proof(
        "kubectl get isolationprofiles",
        "tests/isolate/controller.rs",
        "\"get\", \"isolationprofiles\"",
    ),
    proof(
        "ringfence isolation status",
        "tests/isolate/status.rs",
        "fn each_namespace_is_told_with_its_profile_and_state",
    ),
    proof(
        "kubectl delete networkpolicies --all-namespaces --selector app.kubernetes.io/managed-by=ringfence",
        "tests/isolate/uninstalled.rs",
        "include_str!(\"../../docs/isolation.md\")",
    ),
    proof(
        "kubectl create namespace ci-web",
        "tests/e2e/borrowed.rs",
        "include_str!(\"../../docs/ci-identities.md\")",
    ),
    proof(
        "kubectl create serviceaccount deployer -n ci-web",
        "tests/e2e/borrowed.rs",
        "include_str!(\"../../docs/ci-identities.md\")",
    ),
    proof(
        "kubectl create rolebinding ci-deployer -n web --clusterrole=edit --serviceaccount=ci-web:deployer",
        "tests/e2e/borrowed.rs",
        "include_str!(\"../../docs/ci-identities.md\")",
    ),
    proof(
        "ringfence grant connect segments/payments-db --serviceaccount ci-web:deployer | kubectl apply -f -",
        "tests/e2e/borrowed.rs",
        "include_str!(\"../../docs/ci-identities.md\")",
    ),
    proof(
        "ringfence grant connect segments/payments-db --user gitops:web | kubectl apply -f -",
        "tests/e2e/delegates.rs",
        "include_str!(\"../../docs/delegates.md\")",
    ),
    proof(
        "ringfence grant connect segments/payments-db --serviceaccount flux-system:kustomize-controller | kubectl apply -f -",
        "tests/e2e/delegates.rs",
        "include_str!(\"../../docs/delegates.md\")",
    ),
    proof(
        "kubectl auth can-i connect segments.ringfence.dev/payments-db -n payments --as=gitops:web",
        "tests/e2e/delegates.rs",
        "include_str!(\"../../docs/delegates.md\")",
    ),
];

/// The READMEs of the policies show what it prints of them.
const REACH: &str = "ringfence reach policies/three-tiers";

#[test]
fn every_command_shown_is_run_by_something() {
    let shown_by_policies = |command: &str| command.starts_with("ringfence reach policies/");
    let mut unused: BTreeSet<&str> = PROOFS.iter().map(|proof| proof.command).collect();
    let walked: Vec<String> = walk::steps().into_iter().map(|step| step.command).collect();
    for page in pages() {
        for block in page.blocks() {
            let commands: Vec<&str> = match block.language {
                "sh" => block.lines,
                "console" => block
                    .lines
                    .into_iter()
                    .filter_map(|line| line.strip_prefix("$ "))
                    .collect(),
                "yaml" | "json" | "text" | "mermaid" | "cel" => continue,
                other => panic!("{}: say what a block of {other:?} is", page.path.display()),
            };
            for command in commands {
                unused.remove(command);
                assert!(
                    walked.iter().any(|walked| walked == command)
                        || is_proved(command)
                        || shown_by_policies(command) && is_proved(REACH),
                    "{}: nothing runs `{command}`; add a test and name it here",
                    page.path.display()
                );
            }
        }
    }
    assert!(unused.is_empty(), "no page shows these any more: {unused:?}");
}

fn is_proved(command: &str) -> bool {
    PROOFS.iter().filter(|proof| proof.command == command).any(|proof| {
        let text =
            std::fs::read_to_string(root().join(proof.file)).unwrap_or_else(|error| panic!("{}: {error}", proof.file));
        assert!(
            text.contains(proof.words),
            "{} no longer has {:?}, which ran `{command}`",
            proof.file,
            proof.words
        );
        true
    })
}
