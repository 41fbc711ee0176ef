//! The documentation is what the code says: generated tables, configuration that compiles, commands that something runs, and
//! the README's own walk against a real control plane.
//!
//! `RINGFENCE_WRITE_DOCS=1 cargo test --test docs` writes the generated parts anew.

mod commands;
mod generated;
mod markdown;
mod walk;
