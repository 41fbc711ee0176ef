//! The serving certificate from files: [`Files`] looks at their content again and again and hands in what changed.
//! Content, not events: kubelet swaps a symlink (`..data`) two levels above the names that we open, which watches on the
//! files, or on their inodes, do not see.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::task::spawn_blocking;

use super::ServingCertificate;

/// How often files are looked at unless said otherwise. Kubelet itself takes up to a minute or two to project a Secret.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A certificate chain and its key, each a PEM file.
#[derive(Debug, Clone)]
pub struct Files {
    cert: PathBuf,
    key: PathBuf,
    last: Option<Look>,
}

/// What one look found: the content, or why there was none.
type Look = Result<Content, String>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
}

#[derive(Debug, Error)]
enum LookError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} changes while it is being read")]
    Moving(PathBuf),
}

impl Files {
    /// Certificate and key by these paths, which may be symlinks at any level.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            cert: cert.into(),
            key: key.into(),
            last: None,
        }
    }

    /// Follows the files for ever, looking every so often, at once to begin with. Ends by being dropped.
    pub async fn follow(mut self, serving: ServingCertificate, every: Duration) -> Infallible {
        loop {
            self.look(&serving).await;
            tokio::time::sleep(every).await;
        }
    }

    /// Looks once and hands in what changed since the last look. What cannot serve is logged and counted once, not at
    /// every look.
    pub async fn look(&mut self, serving: &ServingCertificate) {
        let (cert, key) = (self.cert.clone(), self.key.clone());
        let found = match spawn_blocking(move || read(&cert, &key)).await {
            Ok(found) => found.map_err(|error| error.to_string()),
            // Only when the runtime shuts down.
            Err(_) => return,
        };
        if self.last.as_ref() == Some(&found) {
            return;
        }
        match &found {
            // A refusal is logged and counted there.
            Ok(content) => drop(serving.replace(&content.cert, &content.key)),
            Err(error) => serving.refused(error),
        }
        self.last = Some(found);
    }
}

/// Reads both from one state of the directory: a swap in between would pair one's certificate with the other's key, or
/// leave a name that leads nowhere for an instant.
fn read(cert: &Path, key: &Path) -> Result<Content, LookError> {
    const ATTEMPTS: usize = 3;
    let mut result = Err(LookError::Moving(cert.to_owned()));
    for _ in 0..ATTEMPTS {
        result = read_once(cert, key);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn read_once(cert: &Path, key: &Path) -> Result<Content, LookError> {
    let content = Content {
        cert: read_file(cert)?,
        key: read_file(key)?,
    };
    if read_file(cert)? == content.cert {
        Ok(content)
    } else {
        Err(LookError::Moving(cert.to_owned()))
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, LookError> {
    std::fs::read(path).map_err(|source| LookError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::certs::Metrics;
    use crate::certs::own::{Issued, issue};
    use crate::serve::Readiness;

    /// A volume as kubelet's `AtomicWriter` lays it out: `tls.crt -> ..data/tls.crt`, `..data -> ..RELEASE`.
    struct Volume(tempfile::TempDir);

    impl Volume {
        fn new(pair: &Issued) -> Self {
            let volume = Self(tempfile::tempdir().expect("a directory"));
            volume.project("..first", &pair.cert_pem, &pair.key_pem);
            for name in ["tls.crt", "tls.key"] {
                symlink(format!("..data/{name}"), volume.path(name)).expect("links");
            }
            volume
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Writes a new directory, swaps `..data` to it in one rename, and removes the old one.
        fn project(&self, release: &str, cert: &str, key: &str) {
            let old = std::fs::read_link(self.path("..data"));
            std::fs::create_dir(self.path(release)).expect("creates");
            std::fs::write(self.path(release).join("tls.crt"), cert).expect("writes");
            std::fs::write(self.path(release).join("tls.key"), key).expect("writes");
            symlink(release, self.path("..data_tmp")).expect("links");
            std::fs::rename(self.path("..data_tmp"), self.path("..data")).expect("renames");
            if let Ok(old) = old {
                std::fs::remove_dir_all(self.0.path().join(old)).expect("removes");
            }
        }

        fn files(&self) -> Files {
            Files::new(self.path("tls.crt"), self.path("tls.key"))
        }
    }

    struct Served {
        certificate: ServingCertificate,
        readiness: Readiness,
        registry: Registry,
    }

    impl Served {
        fn new() -> Self {
            let (readiness, mut registry) = (Readiness::new(), Registry::default());
            let metrics = Metrics::register(&mut registry);
            Self {
                certificate: ServingCertificate::new(readiness.condition("certificate"), metrics),
                readiness,
                registry,
            }
        }

        /// How often replaced, how often refused.
        fn counts(&self) -> [u64; 2] {
            let mut text = String::new();
            encode(&mut text, &self.registry).expect("encodes");
            ["replaced", "refused"].map(|result| {
                let prefix = format!("ringfence_tls_certificate_reloads_total{{result=\"{result}\"}} ");
                let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
                value.expect("counted").parse().expect("a number")
            })
        }
    }

    fn issued() -> Issued {
        issue(&["localhost".to_owned()], &[]).expect("issues")
    }

    #[tokio::test]
    async fn a_swap_as_kubelet_does_it_is_seen() {
        let (first, second) = (issued(), issued());
        let (volume, served) = (Volume::new(&first), Served::new());
        let mut files = volume.files();
        files.look(&served.certificate).await;
        files.look(&served.certificate).await;
        assert_eq!(served.counts(), [1, 0]);
        volume.project("..second", &second.cert_pem, &second.key_pem);
        files.look(&served.certificate).await;
        assert_eq!(served.counts(), [2, 0]);
        assert!(served.readiness.missing().is_empty());
    }

    #[tokio::test]
    async fn a_broken_swap_is_refused_once_and_the_next_good_one_taken() {
        let (first, second) = (issued(), issued());
        let (volume, served) = (Volume::new(&first), Served::new());
        let mut files = volume.files();
        files.look(&served.certificate).await;
        volume.project("..mismatched", &second.cert_pem, &first.key_pem);
        files.look(&served.certificate).await;
        files.look(&served.certificate).await;
        assert_eq!(served.counts(), [1, 1]);
        assert!(served.readiness.missing().is_empty());
        volume.project("..second", &second.cert_pem, &second.key_pem);
        files.look(&served.certificate).await;
        assert_eq!(served.counts(), [2, 1]);
    }

    #[tokio::test]
    async fn files_that_are_not_there_yet_are_taken_when_they_come() {
        let (directory, served) = (tempfile::tempdir().expect("a directory"), Served::new());
        let (cert, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
        let mut files = Files::new(&cert, &key);
        files.look(&served.certificate).await;
        files.look(&served.certificate).await;
        assert_eq!(served.counts(), [0, 1]);
        let reason = served.readiness.missing()[0].reason.clone();
        assert!(
            reason.starts_with("cannot read ") && reason.contains("tls.crt"),
            "{reason}"
        );
        let pair = issued();
        std::fs::write(&cert, &pair.cert_pem).expect("writes");
        std::fs::write(&key, &pair.key_pem).expect("writes");
        files.look(&served.certificate).await;
        assert_eq!(served.counts(), [1, 1]);
        assert!(served.readiness.missing().is_empty());
    }

    #[tokio::test]
    async fn files_that_vanish_leave_the_certificate_in_use() {
        let (volume, served) = (Volume::new(&issued()), Served::new());
        let mut files = volume.files();
        files.look(&served.certificate).await;
        std::fs::remove_file(volume.path("..data")).expect("removes");
        files.look(&served.certificate).await;
        assert_eq!(served.counts(), [1, 1]);
        assert!(served.readiness.missing().is_empty());
    }
}
