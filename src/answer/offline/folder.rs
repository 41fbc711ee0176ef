//! Manifests from disk: a file or a folder in, the text of every YAML and JSON file under it out, in a fixed order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One file, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, as problems name it: the path as it was given or found.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A file or folder that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {source}", path = path.display())]
pub struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// What kustomize reads: not an object, and often without apiVersion and kind.
const KUSTOMIZATIONS: [&str; 2] = ["kustomization.yaml", "kustomization.yml"];

/// A file that is there to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, as problems name it: the path as it was given or found.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
    path: PathBuf,
}

impl Listed {
    /// Reads it whole.
    pub fn read(&self) -> Result<File, Unreadable> {
        Ok(File {
            name: self.name.clone(),
            text: at(&self.path, fs::read_to_string(&self.path))?,
        })
    }

    /// Opens it, to be read bit by bit.
    pub fn open(&self) -> Result<fs::File, Unreadable> {
        at(&self.path, fs::File::open(&self.path))
    }

    /// What is to be said where that does not go well.
    pub fn unreadable(&self, source: io::Error) -> Unreadable {
        let path = self.path.clone();
        Unreadable { path, source }
    }
}

/// Reads a file, or every `*.yaml`, `*.yml` and `*.json` under a folder, sorted by path. Hidden files and folders are
/// passed over, as is kustomize's own file.
pub fn read(path: &Path) -> Result<Vec<File>, Unreadable> {
    list(path)?.iter().map(Listed::read).collect()
}

/// The files that [`read`] reads, in its order.
pub fn list(path: &Path) -> Result<Vec<Listed>, Unreadable> {
    let mut files = Vec::new();
    let known = at(path, fs::metadata(path))?;
    if known.is_dir() {
        list_folder(path, &mut files)?;
    } else {
        files.push(listed(path, &known));
    }
    Ok(files)
}

fn list_folder(folder: &Path, files: &mut Vec<Listed>) -> Result<(), Unreadable> {
    let entries = at(folder, fs::read_dir(folder))?;
    let mut paths = at(
        folder,
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>(),
    )?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_manifest = path
            .extension()
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known));
        if name.starts_with('.') || KUSTOMIZATIONS.contains(&name.as_str()) {
            continue;
        }
        let known = at(&path, fs::metadata(&path))?;
        if known.is_dir() {
            list_folder(&path, files)?;
        } else if is_manifest {
            files.push(listed(&path, &known));
        }
    }
    Ok(())
}

fn listed(path: &Path, known: &fs::Metadata) -> Listed {
    Listed {
        name: path.display().to_string(),
        bytes: known.len(),
        path: path.to_owned(),
    }
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, Unreadable> {
    result.map_err(|source| Unreadable {
        path: path.to_owned(),
        source,
    })
}
