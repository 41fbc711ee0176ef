//! `cargo playground`: a real control plane with ringfence installed and running, the guardrails of
//! `policies/hollowdb` in force and people to be, until Ctrl-C.
//!
//! One argument may name a `ringfence` program; without, a release build is made.

mod program;
mod welcome;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use ringfence_controlplane::{ControlPlane, Installation, Options, Records, Ringfence, User};
use tokio::signal::unix::{SignalKind, signal};

/// How often new records are looked for.
const LOOK: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("playground: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .ok_or("this crate has left its workspace")?;
    let ringfence = match std::env::args_os().nth(1) {
        Some(given) => PathBuf::from(given),
        None => program::built(workspace)?,
    };

    eprintln!("playground: starting a control plane");
    let users = [
        User::new("mallory"),
        User::new("paula").in_groups(["team-payments"]),
        User::new("dana").in_groups(["dba"]),
    ];
    let cluster = ControlPlane::start(&Options::with_users(users))?;
    let policies = workspace.join("policies/hollowdb");
    for file in ["namespaces.yaml", "networkpolicy.yaml", "rbac.yaml"] {
        apply(&cluster, &policies.join(file))?;
    }

    eprintln!("playground: installing ringfence");
    let guardrails = fs::read_to_string(policies.join("guardrails.yaml"))?;
    let installed = Ringfence::start(&cluster, &Installation::of(&ringfence, &guardrails))?;

    let deployer = cluster.account_token("ci", "deployer");
    let people = [
        ("admin", cluster.token("admin")),
        ("ci", deployer),
        ("mallory", cluster.token("mallory")),
        ("paula", cluster.token("paula")),
        ("dana", cluster.token("dana")),
    ];
    let people: Vec<(&str, &str)> = people.iter().map(|(name, token)| (*name, token.as_str())).collect();
    let kubeconfig = cluster.write_kubeconfig("playground", &people)?;
    println!(
        "{}",
        welcome::text(&kubeconfig, cluster.kubectl_directory(), &ringfence, &policies)
    );

    let told = told_to_end()?;
    let records: Vec<Records> = installed
        .replicas()
        .iter()
        .map(|replica| replica.records().clone())
        .collect();
    thread::spawn(move || show(&records));
    told.recv()?;
    eprintln!("\nplayground: ending");
    Ok(())
}

fn apply(cluster: &ControlPlane, file: &Path) -> Result<(), Box<dyn Error>> {
    cluster
        .kubectl("admin")
        .args(["apply", "--server-side", "-f"])
        .args([file])
        .run()
        .succeeded()?;
    Ok(())
}

/// Receives a word at Ctrl-C, or when we are told to end. Until this is called those end us at once, and all that was
/// started with us; from now on we end in order.
fn told_to_end() -> Result<std::sync::mpsc::Receiver<()>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // Nobody listens any more only where the playground is ending already.
        let _ = sender.send(());
    });
    Ok(receiver)
}

/// Prints every record as it comes.
fn show(replicas: &[Records]) {
    let mut shown = vec![0; replicas.len()];
    loop {
        for (records, shown) in replicas.iter().zip(&mut shown) {
            for record in records.all().iter().skip(*shown) {
                println!("{record}");
                *shown += 1;
            }
        }
        thread::sleep(LOOK);
    }
}
