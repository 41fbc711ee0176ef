//! Who reaches whom, and what a change of that opens: [`load`] reads manifests and [`live`] the cluster, both to an
//! [`Inventory`] of namespaces, workloads and policies; its world is asked in the core ([`ringfence_core::netpol`]), and
//! [`told`] writes the answers down.

pub mod asked;
mod cut;
mod facts;
mod gather;
mod inventory;
mod kinds;
pub mod live;
pub mod load;
mod objects;
mod origin;
mod pruned;
mod reader;
pub mod told;
mod world;

pub use facts::{Addresses, Reading};
pub use inventory::{Inventory, Owner};
pub use kinds::WorkloadKinds;
pub use world::Compiled;

#[cfg(test)]
mod tests;
