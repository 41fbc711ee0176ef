//! `ringfence audit sod`: over manifests that lie beside this file, and over a real cluster, where what it says can be done
//! is done.

mod cluster;
mod folder;
mod parity;
mod scale;
