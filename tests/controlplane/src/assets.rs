//! Where the programs of the control plane come from.
//!
//! A folder laid out like envtest's `KUBEBUILDER_ASSETS`: one file a program. If that variable is
//! set, its folder is used; else the Go modules in `go/` are built, once for each state of their
//! sources, into a cache under cargo's target folder that all test binaries share.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::go_build;

/// A folder that somebody else filled with the programs.
const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// Where builds are kept, for several checkouts that share one; default `target/controlplane`.
const CACHE_VARIABLE: &str = "RINGFENCE_CONTROLPLANE_CACHE";

/// kwok's stages: what its stand-in nodes and pods go through.
const STAGES: &str = "kwok-stages.yaml";

/// One program of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The store.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// kubectl.
    Kubectl,
    /// The stand-in for kubelets.
    Kwok,
}

impl Program {
    /// Every program, in the order in which they start.
    pub const ALL: [Self; 6] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubectl,
        Self::Kwok,
    ];

    /// The name of its file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
        }
    }
}

/// Why there are no programs to start.
#[derive(Debug, thiserror::Error)]
pub enum AssetsError {
    /// Neither given nor buildable: the one error for which tests may be skipped.
    #[error(
        "there is no `go` in PATH to build a Kubernetes control plane with, and KUBEBUILDER_ASSETS is not set: \
         install Go 1.26 or later, or set KUBEBUILDER_ASSETS to a folder with {}",
        file_names()
    )]
    NoGo,
    /// `KUBEBUILDER_ASSETS` lacks something.
    #[error(
        "KUBEBUILDER_ASSETS={} lacks {}: unset the variable to have everything built from tests/controlplane/go, or add what is missing",
        directory.display(),
        missing.join(", ")
    )]
    Incomplete {
        /// The folder.
        directory: PathBuf,
        /// The files that are not in it.
        missing: Vec<String>,
    },
    /// Go refused.
    #[error("`{command}` in {} failed:\n{output}", directory.display())]
    Go {
        /// The command line.
        command: String,
        /// The Go module.
        directory: PathBuf,
        /// What it said.
        output: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The programs of the control plane, ready to start.
#[derive(Clone, Debug)]
pub struct Assets {
    directory: PathBuf,
}

impl Assets {
    /// Takes the folder that `KUBEBUILDER_ASSETS` names, else the build of this state of the
    /// sources, made now if nobody made it before (some minutes, said on stderr).
    pub fn find_or_build() -> Result<Self, AssetsError> {
        let directory = match env::var_os(ASSETS_VARIABLE) {
            Some(given) if !given.is_empty() => complete(PathBuf::from(given))?,
            _ => go_build::kept_or_built(&cache_directory())?,
        };
        Ok(Self { directory })
    }

    /// The file of a program.
    pub fn program(&self, program: Program) -> PathBuf {
        self.directory.join(program.name())
    }

    /// kwok's configuration: what stand-in nodes and pods go through.
    pub fn stages(&self) -> PathBuf {
        self.directory.join(STAGES)
    }

    /// The folder: what `KUBEBUILDER_ASSETS` may be set to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Lays out `directory`: a link for each program to the one that can be all of them.
pub(crate) fn lay_out(directory: &Path, kubernetes: &str, stages: &str) -> Result<(), AssetsError> {
    for program in Program::ALL {
        if program != Program::Kwok {
            let link = directory.join(program.name());
            std::os::unix::fs::symlink(kubernetes, &link).map_err(file("link", &link))?;
        }
    }
    let path = directory.join(STAGES);
    fs::write(&path, stages).map_err(file("write", &path))
}

/// Makes an [`AssetsError::File`] of an I/O error.
pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AssetsError {
    let path = path.to_owned();
    move |source| AssetsError::File { action, path, source }
}

fn complete(directory: PathBuf) -> Result<PathBuf, AssetsError> {
    let missing: Vec<String> = Program::ALL
        .iter()
        .map(|program| program.name())
        .chain([STAGES])
        .filter(|name| !directory.join(name).exists())
        .map(str::to_owned)
        .collect();
    if missing.is_empty() {
        Ok(directory)
    } else {
        Err(AssetsError::Incomplete { directory, missing })
    }
}

fn file_names() -> String {
    let mut names: Vec<&str> = Program::ALL.iter().map(|program| program.name()).collect();
    names.push(STAGES);
    names.join(", ")
}

fn cache_directory() -> PathBuf {
    if let Some(cache) = env::var_os(CACHE_VARIABLE).filter(|value| !value.is_empty()) {
        return PathBuf::from(cache);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."));
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    workspace.join(target).join("controlplane")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_lacks_programs_is_refused_with_their_names() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("etcd"), "").expect("written");
        let error = complete(folder.path().to_owned()).expect_err("five programs are missing");
        let AssetsError::Incomplete { missing, .. } = error else {
            panic!("another error: {error}")
        };
        assert_eq!(
            missing,
            [
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubectl",
                "kwok",
                STAGES
            ]
        );
    }

    #[test]
    fn a_layout_is_complete_and_every_program_leads_to_the_one_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("kubernetes"), "all of them").expect("written");
        fs::write(folder.path().join("kwok"), "kwok").expect("written");
        lay_out(folder.path(), "kubernetes", "stages").expect("laid out");
        complete(folder.path().to_owned()).expect("complete");
        let read = fs::read_to_string(folder.path().join("kubectl")).expect("a link that leads somewhere");
        assert_eq!(read, "all of them");
    }
}
