//! Certificates: from files, with reload, or our own, kept in a Secret.

pub mod own;
