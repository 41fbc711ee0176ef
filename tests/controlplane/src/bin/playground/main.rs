//! `cargo playground`: shows the playground and the records of ringfence, until Ctrl-C.
//!
//! One argument may name a `ringfence` program; without, a release build is made.

mod program;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use ringfence_controlplane::{Playground, Records};
use tokio::runtime::Builder;
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
    let ringfence = match std::env::args_os().nth(1) {
        Some(given) => PathBuf::from(given).canonicalize()?,
        None => program::built()?,
    };
    eprintln!("playground: starting a control plane with ringfence");
    let playground = Playground::start(&ringfence)?;
    let told = told_to_end()?;
    println!("\n{playground}\n");
    let replicas = playground.ringfence().replicas().iter();
    let records: Vec<Records> = replicas.map(|replica| replica.records().clone()).collect();
    thread::spawn(move || show(&records));
    told.recv()?;
    eprintln!("\nplayground: ending");
    Ok(())
}

/// Receives a word at Ctrl-C, or when we are told to end. Until this is called those end us at once,
/// and all that was started with us; from now on we end in order.
fn told_to_end() -> Result<Receiver<()>, Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (sender, receiver) = channel();
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
