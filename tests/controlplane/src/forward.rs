//! A TCP forwarder in front of the replicas of a server: what a Service is in a cluster.
//!
//! Connections go round robin to the replicas; each replica can be taken out, cut off or stalled, as
//! networks and machines do it. Bytes pass as they come: TLS ends at the replica.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// What becomes of connections to one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// They are forwarded.
    Open,
    /// It gets no new ones, as a pod that is not ready: those there are go on.
    Unready,
    /// Those there are and new ones are closed, as by a machine that was restarted.
    Cut,
    /// They stay open and no byte passes, as when a machine or a link has gone silent.
    Stalled,
}

/// A running forwarder; dropped, it closes its connections and its port.
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    next: AtomicUsize,
    closed: AtomicBool,
}

#[derive(Debug)]
struct State {
    targets: Vec<(SocketAddr, Reach)>,
    /// Both ends of each connection, with the target it goes to.
    connections: Vec<(usize, TcpStream, TcpStream)>,
}

impl Forwarder {
    /// Listens on a free port of 127.0.0.1 and forwards to `targets`.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start(targets: &[SocketAddr]) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let targets = targets.iter().map(|target| (*target, Reach::Open)).collect();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                targets,
                connections: Vec::new(),
            }),
            changed: Condvar::new(),
            next: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&listener, &shared))
        };
        Ok(Self {
            address,
            shared,
            accepting: Some(accepting),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says what becomes of connections to the replica at `index` from now on.
    ///
    /// # Panics
    /// If there is no such replica.
    pub fn set(&self, index: usize, reach: Reach) {
        let mut state = self.shared.state();
        state.targets[index].1 = reach;
        if reach == Reach::Cut {
            state.connections.retain(|(target, client, server)| {
                if *target == index {
                    close(client);
                    close(server);
                }
                *target != index
            });
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        for (_, client, server) in self.shared.state().connections.drain(..) {
            close(&client);
            close(&server);
        }
        self.shared.changed.notify_all();
        // Wakes the accepting thread, which then sees that it is closed.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked with the lock left the state as valid as before.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The replica that the next connection goes to.
    fn choose(&self) -> Option<(usize, SocketAddr, Reach)> {
        let state = self.state();
        let ready = state
            .targets
            .iter()
            .enumerate()
            .filter(|(_, (_, reach))| *reach != Reach::Unready);
        let ready: Vec<_> = ready
            .map(|(index, (address, reach))| (index, *address, *reach))
            .collect();
        if ready.is_empty() {
            return None;
        }
        Some(ready[self.next.fetch_add(1, Ordering::Relaxed) % ready.len()])
    }

    /// Waits while the replica is stalled; gives whether bytes may pass after that.
    fn pass(&self, target: usize) -> bool {
        let stalled =
            |state: &mut State| state.targets[target].1 == Reach::Stalled && !self.closed.load(Ordering::Acquire);
        let state = self.changed.wait_while(self.state(), stalled);
        let state = state.unwrap_or_else(std::sync::PoisonError::into_inner);
        state.targets[target].1 != Reach::Cut && !self.closed.load(Ordering::Acquire)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((client, _)) = listener.accept() {
        if shared.closed.load(Ordering::Acquire) {
            return;
        }
        let Some((target, address, reach)) = shared.choose() else {
            continue;
        };
        if reach == Reach::Cut {
            continue;
        }
        let shared = Arc::clone(shared);
        // Of its own, because a replica that is silent must not hold up the others.
        thread::spawn(move || {
            // A connection that fails ends; its client sees that, and there is nobody else to tell.
            let _ = connect(&shared, target, &client, address);
        });
    }
}

fn connect(shared: &Arc<Shared>, target: usize, client: &TcpStream, address: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    shared
        .state()
        .connections
        .push((target, client.try_clone()?, server.try_clone()?));
    let back = {
        let (shared, client, server) = (Arc::clone(shared), client.try_clone()?, server.try_clone()?);
        thread::spawn(move || copy(&shared, target, server, client))
    };
    copy(shared, target, client.try_clone()?, server);
    let _ = back.join();
    let gone = client.peer_addr();
    shared
        .state()
        .connections
        .retain(|(_, other, _)| match (&gone, other.peer_addr()) {
            (Ok(gone), Ok(other)) => *gone != other,
            // Closed: of no use to anybody.
            _ => false,
        });
    Ok(())
}

/// Copies until one side closes; what was read while the replica stalls is held until it goes on.
fn copy(shared: &Shared, target: usize, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(count) if count > 0 && shared.pass(target) => {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    // The other direction of a half-closed connection goes on.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

fn close(stream: &TcpStream) {
    // Already closed is closed.
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A server that answers every byte with its own letter.
    fn letters(letter: u8) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("accepted");
                thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&[letter]).is_ok() {}
                });
            }
        });
        address
    }

    fn dial(forwarder: &Forwarder) -> TcpStream {
        let stream = TcpStream::connect(forwarder.address()).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        stream
    }

    fn ask(stream: &mut TcpStream) -> io::Result<u8> {
        stream.write_all(b"?")?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        Ok(answer[0])
    }

    #[test]
    fn connections_alternate_and_an_unready_replica_gets_no_new_one() {
        let forwarder = Forwarder::start(&[letters(b'a'), letters(b'b')]).expect("starts");
        let (mut one, mut two) = (dial(&forwarder), dial(&forwarder));
        assert_eq!(ask(&mut one).expect("answered"), b'a');
        assert_eq!(ask(&mut two).expect("answered"), b'b');
        forwarder.set(0, Reach::Unready);
        for _ in 0..3 {
            assert_eq!(ask(&mut dial(&forwarder)).expect("answered"), b'b');
        }
        assert_eq!(ask(&mut one).expect("those there are go on"), b'a');
    }

    #[test]
    fn a_cut_replica_loses_the_connections_it_has() {
        let forwarder = Forwarder::start(&[letters(b'a')]).expect("starts");
        let mut stream = dial(&forwarder);
        assert_eq!(ask(&mut stream).expect("answered"), b'a');
        forwarder.set(0, Reach::Cut);
        ask(&mut stream).expect_err("closed");
        ask(&mut dial(&forwarder)).expect_err("closed at once");
        forwarder.set(0, Reach::Open);
        assert_eq!(ask(&mut dial(&forwarder)).expect("answered"), b'a');
    }

    #[test]
    fn a_stalled_replica_answers_when_it_goes_on() {
        let forwarder = Forwarder::start(&[letters(b'a')]).expect("starts");
        let mut stream = dial(&forwarder);
        assert_eq!(ask(&mut stream).expect("answered"), b'a');
        forwarder.set(0, Reach::Stalled);
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        let error = ask(&mut stream).expect_err("no byte passes");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "it is not closed: {error}");
        forwarder.set(0, Reach::Open);
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let mut answer = [0];
        stream.read_exact(&mut answer).expect("the held byte was answered");
        assert_eq!(answer[0], b'a');
    }

    #[test]
    fn dropped_it_closes_its_port() {
        let forwarder = Forwarder::start(&[letters(b'a')]).expect("starts");
        let address = forwarder.address();
        let mut stream = dial(&forwarder);
        assert_eq!(ask(&mut stream).expect("answered"), b'a');
        drop(forwarder);
        ask(&mut stream).expect_err("closed");
        TcpStream::connect(address).expect_err("nobody listens");
    }
}
