//! Free TCP ports on loopback.
//!
//! From below the range that kernels give to outgoing connections (Linux: 32768 and up), so that no
//! connection of a test takes a port between the moment it is found free and its server's start.
//! Two test processes may still choose the same: who starts a server on one retries with another.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Finds a port on 127.0.0.1 that nobody listens on. Calls that follow each other never give the same.
///
/// # Errors
/// If all of them are taken.
pub fn free_port() -> io::Result<u16> {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    // A new place in each process: the standard library's random hash keys are the cheapest source.
    let random = || RandomState::new().build_hasher().finish();
    let next = NEXT.get_or_init(|| AtomicU16::new(u16::try_from(random() % u64::from(COUNT)).unwrap_or_default()));
    for _ in 0..COUNT {
        let port = FIRST + next.fetch_add(1, Ordering::Relaxed) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        format!("no port from {FIRST} on is free on 127.0.0.1"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_free() {
        let one = free_port().expect("a port");
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, one)).expect("it was free");
        let two = free_port().expect("another port");
        assert_ne!(one, two);
        TcpListener::bind((Ipv4Addr::LOCALHOST, two)).expect("it was free");
        drop(held);
    }
}
