//! What succeeds with ringfence as without it, by design: each is named in the limits, and proved so that the words there
//! stay true.

use serde_json::json;

use super::attack::{Answered, Attack, create};
use super::attacks::identities::ways;

/// Something that ringfence does not stop.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) row: Attack,
    /// Why, and what to do instead.
    pub(crate) why: &'static str,
}

/// Every limit.
pub(crate) fn all() -> Vec<Limit> {
    let granted = |row: Attack| {
        row.given(create(
            "/apis/rbac.authorization.k8s.io/v1/namespaces/owners/roles",
            json!({"metadata": {"name": "$TEAM"}, "rules": [{
                "apiGroups": ["ringfence.dev"], "resources": ["segments"], "resourceNames": ["vault"], "verbs": ["connect"],
            }]}),
        ))
        .given(create(
            "/apis/rbac.authorization.k8s.io/v1/namespaces/owners/rolebindings",
            json!({
                "metadata": {"name": "$TEAM"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "$TEAM"},
                "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": "$TEAM"}],
            }),
        ))
    };
    ways(" that holds a grant", granted, Answered::ByRingfence(""))
        .into_iter()
        .map(|row| Limit {
            row,
            why: "A grant to a service account is a grant to whoever may create pods, tokens or token Secrets, or impersonate, in \
                  its namespace. Keep such an account in a namespace that developers cannot write to.",
        })
        .collect()
}
