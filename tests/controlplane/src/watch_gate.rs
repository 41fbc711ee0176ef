//! A proxy between one replica and the API server that can silence its watches and nothing else, and counts what passes.
//!
//! It ends TLS on both sides, because only the request line tells a watch from a read: while watches
//! are stalled, what the API server sends on one is held back, and other requests on the same or new
//! connections are answered. HTTP/1.1 only: no other protocol is offered, so a connection has one
//! request at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::Identity;

/// A running gate; dropped, it closes its connections and its port.
#[derive(Debug)]
pub struct WatchGate {
    address: SocketAddr,
    stalled: watch::Sender<bool>,
    calls: Calls,
    // Dropped, it ends its tasks.
    _runtime: Runtime,
}

/// How often what was asked for: `PATCH networkpolicies`, `WATCH pods`.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        // A thread that panicked with the lock left the counters as valid as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Ends {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    server: SocketAddr,
    stalled: watch::Receiver<bool>,
    calls: Calls,
}

impl WatchGate {
    /// Listens on a free port of 127.0.0.1 as `identity` and forwards to the API server at `server`,
    /// which `authority` vouches for.
    pub(crate) fn start(server: SocketAddr, authority: &Path, identity: &Identity) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (sender, stalled) = watch::channel(false);
        let calls = Calls::default();
        let ends = Ends {
            acceptor: acceptor(identity)?,
            connector: connector(authority)?,
            server,
            stalled,
            calls: calls.clone(),
        };
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection that fails ends; its client sees that, and there is nobody else to tell.
                tokio::spawn(forward(ends.clone(), client));
            }
        });
        Ok(Self {
            address,
            stalled: sender,
            calls,
            _runtime: runtime,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often what has been asked for so far: the method (`WATCH` for a watch) and the resource.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.lock().clone()
    }

    /// From now on nothing arrives on any watch, open or new.
    pub fn stall_watches(&self) {
        self.stalled.send_replace(true);
    }

    /// What was held back arrives, and watches go on.
    pub fn resume_watches(&self) {
        self.stalled.send_replace(false);
    }
}

fn acceptor(identity: &Identity) -> io::Result<TlsAcceptor> {
    let chain = certificates(&identity.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn connector(authority: &Path) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let reader = BufReader::new(File::open(path)?);
    CertificateDer::pem_reader_iter(reader)
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)
}

async fn forward(ends: Ends, client: TcpStream) -> io::Result<()> {
    let Ends {
        acceptor,
        connector,
        server,
        stalled,
        calls,
    } = ends;
    client.set_nodelay(true)?;
    let client = acceptor.accept(client).await?;
    let name = ServerName::from(server.ip());
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    let server = connector.connect(name, server).await?;
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let watching = AtomicBool::new(false);
    // Whichever side ends first ends the connection: neither side half-closes HTTP connections.
    tokio::select! {
        result = requests(from_client, to_server, &watching, &calls) => result,
        result = answers(from_server, to_client, &watching, stalled) => result,
    }
}

/// Passes requests on, noting what they ask for, and whether the current one is a watch.
async fn requests(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    watching: &AtomicBool,
    calls: &Calls,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        // Clients write a request's head at once, so a chunk begins with it, or with body.
        if let Some((method, target)) = request_line(&buffer[..count]) {
            let watch = asks_to_watch(target);
            watching.store(watch, Ordering::Release);
            let call = format!("{} {}", if watch { "WATCH" } else { method }, resource(target));
            *calls.lock().entry(call).or_default() += 1;
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

/// Passes answers on; those of a watch only while watches are not stalled.
async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    watching: &AtomicBool,
    mut stalled: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if watching.load(Ordering::Acquire) && stalled.wait_for(|stalled| !stalled).await.is_err() {
            // The gate is gone.
            return Ok(());
        }
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

/// Method and target, where these bytes begin a request.
fn request_line(bytes: &[u8]) -> Option<(&str, &str)> {
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.strip_suffix(" HTTP/1.1")?.split_once(' ')
}

/// Whether a request for this target is a watch.
fn asks_to_watch(target: &str) -> bool {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .any(|parameter| matches!(parameter, "watch" | "watch=true" | "watch=1"))
}

/// The resource that a target is about; the target itself where it is about none.
fn resource(target: &str) -> &str {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let mut segments = path.trim_start_matches('/').split('/');
    let version = match segments.next() {
        Some("api") => segments.next(),
        Some("apis") => segments.nth(1),
        _ => None,
    };
    let rest: Vec<&str> = segments.collect();
    match (version, rest.as_slice()) {
        (Some(_), ["namespaces", _, resource, ..] | [resource, ..]) => resource,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_and_its_resource_are_told_by_the_request_line() {
        let cases: [(&str, Option<(bool, &str)>); 7] = [
            (
                "GET /api/v1/namespaces?watch=true&resourceVersion=7 HTTP/1.1\r\nhost: x\r\n",
                Some((true, "namespaces")),
            ),
            (
                "GET /apis/networking.k8s.io/v1/networkpolicies?allowWatchBookmarks=true&watch=1 HTTP/1.1\r\n",
                Some((true, "networkpolicies")),
            ),
            ("GET /api/v1/namespaces/web HTTP/1.1\r\n", Some((false, "namespaces"))),
            (
                "PATCH /apis/networking.k8s.io/v1/namespaces/web/networkpolicies/watch=true?force=true HTTP/1.1\r\n",
                Some((false, "networkpolicies")),
            ),
            (
                "POST /apis/authorization.k8s.io/v1/subjectaccessreviews HTTP/1.1\r\n",
                Some((false, "subjectaccessreviews")),
            ),
            ("GET /version HTTP/1.1\r\n", Some((false, "/version"))),
            ("{\"kind\":\"Body\"}", None),
        ];
        for (bytes, expected) in cases {
            let line = request_line(bytes.as_bytes());
            let told = line.map(|(_, target)| (asks_to_watch(target), resource(target)));
            assert_eq!(told, expected, "{bytes}");
        }
    }
}
