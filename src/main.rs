//! The ringfence command: parse arguments, run one command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    ringfence::cli::run(ringfence::cli::Arguments::parse())
}
