//! The ClusterRoles for people that every cluster has, for whoever evaluates manifests: those bind `edit` without bringing
//! it along. Compared with a real API server's in `tests/rbac_parity.rs`.

use std::sync::LazyLock;

use k8s_openapi::api::rbac::v1::ClusterRole;

const TEXT: &str = include_str!("built_in.yaml");

/// Each of them.
pub(super) fn cluster_roles() -> Vec<ClusterRole> {
    static ROLES: LazyLock<Vec<ClusterRole>> =
        LazyLock::new(|| serde_saphyr::from_multiple(TEXT).expect("the file is part of this program, and tested"));
    ROLES.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_whole() {
        let names: Vec<String> = cluster_roles()
            .into_iter()
            .filter_map(|role| role.metadata.name)
            .collect();
        assert_eq!(names.len(), TEXT.matches("kind: ClusterRole").count());
        assert!(
            ["cluster-admin", "admin", "edit", "view"]
                .iter()
                .all(|name| names.iter().any(|own| own == name))
        );
    }
}
