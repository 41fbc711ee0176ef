//! Something that the API server can dial: a plain HTTP server on an address of this machine that is not loopback, since
//! the API server refuses to proxy to loopback. It answers everything with [`GREETING`].

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What it answers.
pub(crate) const GREETING: &str = "the listener was dialled";

/// A running listener. It ends with the process.
pub(crate) struct Listener {
    /// Its address, which pods are made to have.
    pub(crate) address: IpAddr,
    /// Its port.
    pub(crate) port: u16,
    dialled: Arc<AtomicUsize>,
}

impl Listener {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Self> {
        let address = outward_address()?;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = listener.local_addr()?.port();
        let dialled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&dialled);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                // Whoever hangs up early has seen that somebody is there.
                thread::spawn(move || drop(greet(stream)));
            }
        });
        Ok(Self { address, port, dialled })
    }

    /// How many connections there were.
    pub(crate) fn dialled(&self) -> usize {
        self.dialled.load(Ordering::SeqCst)
    }
}

fn greet(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{GREETING}",
        GREETING.len()
    );
    stream.write_all(answer.as_bytes())
}

/// The address by which this machine would speak to others. Nothing is sent: a UDP socket is only routed.
fn outward_address() -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).map_err(|error| {
        let why = "the conformance tests need an IPv4 address that is not loopback, for the API server to dial";
        io::Error::new(error.kind(), format!("{why}: {error}"))
    })?;
    Ok(socket.local_addr()?.ip())
}
