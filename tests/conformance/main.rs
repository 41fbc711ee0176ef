//! The matrix of attacks: every path by which a label, or code under a label, reaches a pod, or somebody a pod, tried on a
//! real API server without ringfence, where it must succeed, and with it, where it must be refused and leave nothing.
//!
//! - `attacks/`: the rows, by family; `attack`: what a row says; `table`: that every write path has one;
//! - `limits`: what succeeds by design, and is said in the limits;
//! - `world`, `listener`, `scene`, `run`: the two control planes, and how a row is played on one;
//! - `resize`: why one subresource of pods is no write path;
//! - `document`: `docs/write-paths.md`, which is written from these tables.
//!
//! `CONFORMANCE_ONLY=services/proxy,planted` plays only the rows whose name or path has one of these words.

#![allow(
    clippy::needless_pass_by_value,
    reason = "`json!` literals read best where they stand"
)]

mod attack;
mod attacks;
mod document;
mod limits;
mod listener;
mod resize;
mod run;
mod scene;
mod table;
mod world;
