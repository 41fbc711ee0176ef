//! Building the Go modules in `go/` once.
//!
//! In: their sources and the Go toolchain in PATH. Out: a folder `<cache>/<version>-<hash>` with the
//! programs, where the hash covers all that the build depends on. It appears whole or not at all,
//! and test binaries that start together wait for one of them to build.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::assets::{AssetsError, file, lay_out};

/// What a build depends on, beside the toolchain; paths in `go/`.
const SOURCES: [&str; 5] = [
    "kubernetes/go.mod",
    "kubernetes/go.sum",
    "kubernetes/main.go",
    "kwok/go.mod",
    "kwok/go.sum",
];

/// The program that is kube-apiserver, etcd and the others, by the name it is called by.
const KUBERNETES: &str = "kubernetes";

/// How often a build that takes minutes says that it is alive.
const PROGRESS: Duration = Duration::from_secs(30);

/// The folder of the programs: the kept one for this state of the sources and this toolchain, any
/// kept one for this state of the sources if there is no Go, else a new build.
pub(crate) fn kept_or_built(cache: &Path) -> Result<PathBuf, AssetsError> {
    let sources = Sources::read()?;
    let Some(toolchain) = toolchain()? else {
        return sources.kept_by_any_toolchain(cache).ok_or(AssetsError::NoGo);
    };
    let directory = cache.join(sources.folder_name(&toolchain));
    if directory.is_dir() {
        return Ok(directory);
    }
    fs::create_dir_all(cache).map_err(file("create", cache))?;
    let lock_path = cache.join(".lock");
    let lock = File::create(&lock_path).map_err(file("create", &lock_path))?;
    // Held until `lock` is closed, also when this process dies.
    lock.lock().map_err(file("lock", &lock_path))?;
    if !directory.is_dir() {
        sources.build(cache, &directory)?;
    }
    Ok(directory)
}

/// The Go modules as they are on disk.
struct Sources {
    directory: PathBuf,
    hash: Sha256,
    kubernetes: String,
}

impl Sources {
    fn read() -> Result<Self, AssetsError> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let mut hash = Sha256::new();
        let mut kubernetes = String::from("unknown");
        for name in SOURCES {
            let path = directory.join(name);
            let text = fs::read_to_string(&path).map_err(file("read", &path))?;
            if let Some(version) = required_version(&text, "k8s.io/kubernetes") {
                version.clone_into(&mut kubernetes);
            }
            hash.update(name);
            hash.update([0]);
            hash.update(&text);
            hash.update([0]);
        }
        hash.update(linker_flags(&kubernetes));
        Ok(Self {
            directory,
            hash,
            kubernetes,
        })
    }

    /// `v1.36.3-<sources>-<toolchain>`.
    fn folder_name(&self, toolchain: &str) -> String {
        format!(
            "{}{}",
            self.folder_prefix(),
            short(Sha256::new().chain_update(toolchain))
        )
    }

    fn folder_prefix(&self) -> String {
        format!("{}-{}-", self.kubernetes, short(self.hash.clone()))
    }

    fn kept_by_any_toolchain(&self, cache: &Path) -> Option<PathBuf> {
        let prefix = self.folder_prefix();
        let kept = fs::read_dir(cache).ok()?.filter_map(Result::ok);
        kept.map(|entry| entry.path()).find(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&prefix))
        })
    }

    fn build(&self, cache: &Path, directory: &Path) -> Result<(), AssetsError> {
        let building = tempfile::Builder::new()
            .prefix(".building-")
            .tempdir_in(cache)
            .map_err(file("create", cache))?;
        say(&format!(
            "building Kubernetes {} and kwok for the tests into {}: once, about five minutes on two cores",
            self.kubernetes,
            directory.display()
        ));
        let kubernetes = self.directory.join("kubernetes");
        let flags = linker_flags(&self.kubernetes);
        go_build(
            &kubernetes,
            &["-ldflags", &flags],
            &building.path().join(KUBERNETES),
            ".",
        )?;
        let kwok = self.directory.join("kwok");
        go_build(
            &kwok,
            &["-ldflags", "-s -w"],
            &building.path().join("kwok"),
            "sigs.k8s.io/kwok/cmd/kwok",
        )?;
        lay_out(building.path(), KUBERNETES, &stages(&kwok)?)?;
        // Whole or not at all: nobody sees the folder before everything is in it.
        let finished = building.keep();
        fs::rename(&finished, directory).map_err(file("rename", &finished))?;
        say("the control plane for the tests is built");
        Ok(())
    }
}

/// The version of `module` that a go.mod requires.
fn required_version<'text>(go_mod: &'text str, module: &str) -> Option<&'text str> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim_start_matches("require").split_whitespace();
        (words.next() == Some(module)).then(|| words.next()).flatten()
    })
}

/// Versions as the upstream release build writes them (hack/lib/version.sh): for the servers, and
/// for the user agent of clients. Without symbol tables, as released binaries are.
fn linker_flags(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or("1"), numbers.next().unwrap_or(""));
    let stamps = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].map(|package| {
        format!(" -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}")
    });
    format!("-s -w{}", stamps.concat())
}

fn toolchain() -> Result<Option<String>, AssetsError> {
    match Command::new("go").arg("version").output() {
        Ok(output) if output.status.success() => Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
        Ok(output) => Err(AssetsError::Go {
            command: "go version".to_owned(),
            directory: PathBuf::from("."),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file("start", Path::new("go"))(error)),
    }
}

/// A `go` command in a module, apart from any workspace around it.
fn go(module: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(module)
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null());
    command
}

fn go_build(module: &Path, flags: &[&str], program: &Path, package: &str) -> Result<(), AssetsError> {
    let mut command = go(module);
    command
        .args(["build", "-mod=readonly", "-trimpath"])
        .args(flags)
        .arg("-o")
        .arg(program)
        .arg(package);
    let log_path = program.with_extension("log");
    let log = File::create(&log_path).map_err(file("create", &log_path))?;
    command.stdout(Stdio::null()).stderr(log);
    let begun = Instant::now();
    let mut said = begun;
    let mut child = command.spawn().map_err(file("start", Path::new("go")))?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(file("wait for", Path::new("go")))? {
            break status;
        }
        if said.elapsed() >= PROGRESS {
            said = Instant::now();
            say(&format!(
                "still building {package} in {} ({} s)",
                module.display(),
                begun.elapsed().as_secs()
            ));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let output = fs::read_to_string(&log_path).map_err(file("read", &log_path))?;
    fs::remove_file(&log_path).map_err(file("remove", &log_path))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(&command, module, output))
    }
}

/// The stages that the required kwok comes with, for nodes and pods, as one YAML stream.
fn stages(module: &Path) -> Result<String, AssetsError> {
    let mut command = go(module);
    command.args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"]);
    let output = command.output().map_err(file("start", Path::new("go")))?;
    if !output.status.success() {
        return Err(failed(
            &command,
            module,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ));
    }
    let directory = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("kustomize/stage");
    let mut stream = String::new();
    for folder in ["node/fast", "pod/fast"] {
        let folder = directory.join(folder);
        let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
            .map_err(file("read", &folder))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .filter(|path| path.file_stem().is_some_and(|stem| stem != "kustomization"))
            .collect();
        paths.sort();
        for path in paths {
            stream.push_str("---\n");
            stream.push_str(&fs::read_to_string(&path).map_err(file("read", &path))?);
        }
    }
    Ok(stream)
}

fn failed(command: &Command, directory: &Path, output: String) -> AssetsError {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    AssetsError::Go {
        command: format!("go {}", arguments.join(" ")),
        directory: directory.to_owned(),
        output,
    }
}

/// To stderr itself: the test harness would keep what `eprintln!` says until the test ends.
fn say(message: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(io::stderr(), "ringfence-controlplane: {message}");
}

fn short(hash: Sha256) -> String {
    use std::fmt::Write as _;
    hash.finalize().iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_single_and_grouped_requirements() {
        assert_eq!(
            required_version("module a\nrequire k8s.io/kubernetes v1.36.3\n", "k8s.io/kubernetes"),
            Some("v1.36.3")
        );
        assert_eq!(
            required_version("require (\n\tk8s.io/kubernetes v1.36.4\n)\n", "k8s.io/kubernetes"),
            Some("v1.36.4")
        );
        assert_eq!(
            required_version("require (\n\tk8s.io/kubernetes-else v1.36.4\n)\n", "k8s.io/kubernetes"),
            None
        );
    }

    #[test]
    fn without_go_a_build_of_the_same_sources_by_another_toolchain_serves() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let sources = Sources::read().expect("the sources are in the repository");
        assert_eq!(sources.kept_by_any_toolchain(cache.path()), None);
        let kept = cache
            .path()
            .join(sources.folder_name("go version go1.26.0 linux/amd64"));
        fs::create_dir(&kept).expect("created");
        fs::create_dir(cache.path().join("v1.36.3-000000000000-000000000000")).expect("created");
        assert_eq!(sources.kept_by_any_toolchain(cache.path()), Some(kept));
    }

    #[test]
    fn the_linker_stamps_server_and_client_with_the_version() {
        let flags = linker_flags("v1.36.3");
        assert!(
            flags.contains("-X k8s.io/component-base/version.gitVersion=v1.36.3"),
            "{flags}"
        );
        assert!(flags.contains("-X k8s.io/client-go/pkg/version.gitMinor=36"), "{flags}");
    }
}
