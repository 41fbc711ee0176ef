//! What the playground says once it runs: how to reach it, and what to try.

use std::path::Path;

/// The text, with commands to copy. `kubectl` is a folder with a kubectl of the cluster's version.
pub(crate) fn text(kubeconfig: &Path, kubectl: &Path, ringfence: &Path, policies: &Path) -> String {
    let (kubeconfig, kubectl) = (kubeconfig.display(), kubectl.display());
    let (ringfence, policies) = (ringfence.display(), policies.display());
    format!(
        "
ringfence guards a Kubernetes API server on this machine. In another terminal:

  export KUBECONFIG={kubeconfig}
  export PATH={kubectl}:$PATH

The context is who you are: admin (may everything), ci (the service account that deploys), mallory
(may edit in web and do everything in dev), paula (of team payments, which owns the database), dana (a dba).

  # Mallory copies the label that the database trusts: refused, with the reason.
  kubectl --context mallory -n web run rogue --image=nginx --labels=app=hollowapp
  # So is the same label on a Deployment, in a namespace where she may do everything.
  kubectl --context mallory -n dev create deployment hollowapp --image=nginx
  # Any other pod is hers to run.
  kubectl --context mallory -n web run harmless --image=nginx
  # CI may deploy what talks to the database, and does.
  kubectl --context ci apply -f {policies}/hollowapp.yaml
  kubectl --context ci -n web get pods
  # The permission is plain RBAC, in the owner's namespace: ask, then let the owner grant it.
  kubectl --context mallory auth can-i connect segments.ringfence.dev/payments-db -n payments
  {ringfence} grant connect segments/payments-db --user mallory | kubectl --context paula create -f -
  kubectl --context mallory -n web run rogue --image=nginx --labels=app=hollowapp
  # What is protected, and the guardrails that say so.
  kubectl --context admin get segments
  kubectl --context admin -n ringfence-system edit configmap ringfence-guardrails

Records of what is not plainly allowed appear below. Ctrl-C ends everything.
"
    )
}
