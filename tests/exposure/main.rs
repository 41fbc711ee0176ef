//! Proof, on a real API server, that no pod ever exists in a namespace before the namespace's policies do, whatever becomes
//! of ringfence meanwhile; and what that costs, printed: nothing is timed against a bound, a busy machine must not decide.
//!
//! `history` writes down every change as the API server ordered them, `exposed` judges it, `load` is the clients in a hurry,
//! `storms` what is done to ringfence under them, `convergence` a cluster of thousands of namespaces that gets a profile.

mod convergence;
mod exposed;
mod history;
mod load;
mod storms;
mod world;
