//! Kubeconfig files: how kubectl, the controllers and ringfence find the API server and say who
//! they are.

use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};

/// Writes a kubeconfig with a context for each of `users`, a name and a bearer token; the first one
/// is current. JSON, which every reader of kubeconfigs takes.
pub(crate) fn write(path: &Path, server: &str, authority: &Path, users: &[(&str, &str)]) -> io::Result<()> {
    let named = |entry: fn(&str, &str) -> Value| -> Vec<Value> {
        users.iter().map(|(name, token)| entry(name, token)).collect()
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": named(|name, token| json!({"name": name, "user": {"token": token}})),
        "contexts": named(|name, _| json!({"name": name, "context": {"cluster": "test", "user": name}})),
        "current-context": users.first().map(|(name, _)| name),
    });
    fs::write(path, format!("{config:#}\n"))
}
