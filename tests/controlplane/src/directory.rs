//! The folder of one running control plane: its store, certificates, logs.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Set, it keeps the folder after the end: for reading logs.
const KEEP_VARIABLE: &str = "RINGFENCE_CONTROLPLANE_KEEP";

/// Removes the folder once the pipe it reads closes without a word: the test process has ended
/// without dropping what it had. Twice, because programs killed at the same moment may still be
/// writing.
const JANITOR: &str = r#"read -r word && exit 0; rm -rf -- "$1"; sleep 1; rm -rf -- "$1""#;

/// A folder that is removed when this is dropped, and also when the process ends without that.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    directory: TempDir,
    janitor: Option<Child>,
}

impl RunDirectory {
    pub(crate) fn new() -> io::Result<Self> {
        let mut directory = tempfile::Builder::new().prefix("ringfence-controlplane-").tempdir()?;
        if std::env::var_os(KEEP_VARIABLE).is_some_and(|value| !value.is_empty()) {
            directory.disable_cleanup(true);
            writeln!(
                io::stderr(),
                "ringfence-controlplane: keeping {}",
                directory.path().display()
            )?;
            return Ok(Self {
                directory,
                janitor: None,
            });
        }
        let janitor = Command::new("/bin/sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self {
            directory,
            janitor: Some(janitor),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Some(mut janitor) = self.janitor.take() {
            // The folder itself is removed by TempDir. Nothing is left to do if the janitor is gone.
            if let Some(mut stdin) = janitor.stdin.take() {
                let _ = writeln!(stdin, "done");
            }
            let _ = janitor.wait();
        }
    }
}
