//! [`Options`]: where we listen and every limit, each with its default and why.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Where we listen, whom we answer, and how much.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where reviews come in, over TLS. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are served, over plain HTTP. Port 0 takes a free one.
    pub health_listen: SocketAddr,
    /// PEM certificates of the authorities that clients must have a certificate of; without, any client may connect, and
    /// the path token alone tells the API server from others. Read once, at start.
    pub client_ca: Option<Vec<u8>>,
    /// How much of everything.
    pub limits: Limits,
    /// How we end.
    pub drain: Drain,
}

impl Default for Options {
    /// All addresses, reviews on 8443, health on 8080.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::UNSPECIFIED, 8443).into(),
            health_listen: (Ipv4Addr::UNSPECIFIED, 8080).into(),
            client_ca: None,
            limits: Limits::default(),
            drain: Drain::default(),
        }
    }
}

/// How much of everything one process takes. What comes over a limit is refused or closed, never queued.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections for reviews. Over it the oldest one that has not yet sent a rightly addressed request is closed for
    /// the new one: whoever merely holds connections open keeps nobody out. Default 2,000.
    pub connections: usize,
    /// Connections for health. Over it the oldest is closed. Default 128.
    pub health_connections: usize,
    /// How long a TLS handshake may take. Default 5 s.
    pub handshake: Duration,
    /// How long a connection may take from its handshake until the headers of its first rightly addressed request.
    /// Default 10 s.
    pub first_request: Duration,
    /// How long a connection may be without a request after that. Default 120 s: the API server itself drops idle
    /// connections after 90 s, and whoever drops first meets no request on the way.
    pub idle: Duration,
    /// Bytes of request line and headers; at least 8 KiB. Default 16 KiB.
    pub header_bytes: usize,
    /// HTTP/2 requests at once in one connection. Default 250.
    pub streams: u32,
    /// Bytes of one body; more is answered with 413. Default 8 MiB: a review carries two objects of up to 3 MiB each.
    pub body_bytes: usize,
    /// Bytes of all bodies held at once; over it reviews are answered with 503. Default 64 MiB.
    pub all_bodies_bytes: usize,
    /// How long a body may take from its headers. Default 5 s, as long as the API server waits for a review.
    pub body: Duration,
    /// Reviews at once; over it they are answered with 503, so that the failurePolicy decides. Default 1,000.
    pub reviews: usize,
    /// How long one review may take. Reviews bound themselves well below; this frees the place of one that hangs.
    /// Default 10 s.
    pub review: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2000,
            health_connections: 128,
            handshake: Duration::from_secs(5),
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            header_bytes: 16 * KIB,
            streams: 250,
            body_bytes: 8 * MIB,
            all_bodies_bytes: 64 * MIB,
            body: Duration::from_secs(5),
            reviews: 1000,
            review: Duration::from_secs(10),
        }
    }
}

/// How we end, once told to.
#[derive(Debug, Clone)]
pub struct Drain {
    /// How long we go on accepting, no longer ready, until everyone has heard that we leave. Default 5 s: endpoints take
    /// that long to propagate.
    pub grace: Duration,
    /// How long requests may then take to finish before they are dropped. Default 15 s; with the grace below the 30 s
    /// that Kubernetes gives a pod.
    pub deadline: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(5),
            deadline: Duration::from_secs(15),
        }
    }
}
