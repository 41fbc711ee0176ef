//! The `ringfence` program that the playground runs: a release build by cargo, fresh or kept.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Has cargo build it, with cargo's own words on stderr; gives its file.
pub(crate) fn built() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--release", "--package", "ringfence", "--bin", "ringfence"];
    let output = Command::new(cargo)
        .args(build)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("cargo could not build ringfence: see above".into());
    }
    // One JSON message a line; that of the program's own artifact names the file.
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let programs = messages.filter(|message| message["target"]["name"] == "ringfence");
    let file = programs
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back();
    file.ok_or_else(|| "cargo built no program `ringfence`".into())
}
