//! Kubeconfig files: how kubectl, the controllers and ringfence find the API server and say who
//! they are.

use std::path::Path;
use std::{fs, io};

use serde_json::json;

/// Writes a kubeconfig for the holder of `token`. JSON, which every reader of kubeconfigs takes.
pub(crate) fn write(path: &Path, server: &str, authority: &Path, token: &str) -> io::Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        "current-context": "test",
    });
    fs::write(path, format!("{config:#}\n"))
}
