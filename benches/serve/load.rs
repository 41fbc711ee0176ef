//! The load generator, a process of its own so that its CPU is not the server's: [`Load`] starts this program again with
//! [`ARGUMENT`], and [`generate`] is what runs there.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::try_join_all;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::served::Served;
use crate::world;

/// The first argument of the load generator.
pub(crate) const ARGUMENT: &str = "--generate-load";

/// Connections, one request at a time each: as the API server speaks to webhooks.
pub(crate) const HTTP1: usize = 8;
/// Connections, each with [`STREAMS`] requests at a time.
pub(crate) const HTTP2: usize = 2;
/// Requests at a time in one HTTP/2 connection.
pub(crate) const STREAMS: usize = 4;

/// Different bodies.
const BODIES: usize = 320;

/// What to do to which server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Load {
    address: SocketAddr,
    path: String,
    ca_pem: String,
    until: Until,
}

/// When it is enough.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Until {
    /// After this time.
    Time(Duration),
    /// After so many reviews.
    Count(usize),
}

/// What was done.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) reviews: u32,
    pub(crate) took: Duration,
}

impl Load {
    pub(crate) fn on(served: &Served, until: Until) -> Self {
        Self {
            address: served.address,
            path: served.path.clone(),
            ca_pem: served.ca_pem.clone(),
            until,
        }
    }

    /// Does it, in another process.
    pub(crate) fn run(&self) -> Done {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut input = child.stdin.take().expect("piped");
        serde_json::to_writer(&mut input, self).expect("writes");
        drop(input);
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "the load generator failed");
        serde_json::from_slice(&output.stdout).expect("says what it did")
    }
}

/// Reads a [`Load`] from standard input, does it, and writes what was [`Done`].
pub(crate) fn generate() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("reads");
    let load: Load = serde_json::from_str(&text).expect("a load");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime
        .expect("a runtime")
        .block_on(put_on(load))
        .expect("every review is answered");
    serde_json::to_writer(std::io::stdout().lock(), &done).expect("writes");
    std::io::stdout().flush().expect("writes");
}

type Failure = Box<dyn std::error::Error>;

/// What all connections share.
struct Work {
    bodies: Vec<Bytes>,
    taken: AtomicUsize,
    done: AtomicU32,
    start: Instant,
    load: Load,
}

async fn put_on(load: Load) -> Result<Done, Failure> {
    let bodies = world::reviews(BODIES).into_iter().map(|(_, body)| body.into());
    let work = Work {
        bodies: bodies.collect(),
        taken: AtomicUsize::new(0),
        done: AtomicU32::new(0),
        start: Instant::now(),
        load,
    };
    let over_http1 = try_join_all((0..HTTP1).map(|_| work.over_http1()));
    let over_http2 = try_join_all((0..HTTP2).map(|_| work.over_http2()));
    tokio::try_join!(over_http1, over_http2)?;
    Ok(Done {
        reviews: work.done.load(Ordering::Relaxed),
        took: work.start.elapsed(),
    })
}

fn post(uri: &str) -> http::request::Builder {
    Request::post(uri).header(header::CONTENT_TYPE, "application/json")
}

impl Work {
    /// The next body, none once it is enough.
    fn next(&self) -> Option<Bytes> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let enough = match self.load.until {
            Until::Time(time) => self.start.elapsed() >= time,
            Until::Count(count) => taken >= count,
        };
        (!enough).then(|| self.bodies[taken % self.bodies.len()].clone())
    }

    async fn over_http1(&self) -> Result<(), Failure> {
        let stream = self.connect("http/1.1").await?;
        let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        while let Some(body) = self.next() {
            send.ready().await?;
            let request = post(&self.load.path).header(header::HOST, "localhost");
            self.read(send.send_request(request.body(Full::new(body))?).await?)
                .await?;
        }
        drop(send);
        Ok(connection.await??)
    }

    async fn over_http2(&self) -> Result<(), Failure> {
        let stream = self.connect("h2").await?;
        let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let uri = format!("https://localhost{}", self.load.path);
        try_join_all((0..STREAMS).map(|_| async {
            let mut send = send.clone();
            while let Some(body) = self.next() {
                send.ready().await?;
                self.read(send.send_request(post(&uri).body(Full::new(body))?).await?)
                    .await?;
            }
            Ok::<(), Failure>(())
        }))
        .await?;
        drop(send);
        Ok(connection.await??)
    }

    async fn read(&self, response: http::Response<hyper::body::Incoming>) -> Result<(), Failure> {
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        let allowed = answer.windows(14).any(|window| window == b"\"allowed\":true");
        if status != StatusCode::OK || !allowed {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&answer)).into());
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn connect(&self, alpn: &str) -> Result<TlsStream<TcpStream>, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.load.ca_pem.as_bytes())?)?;
        let mut configuration = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        configuration.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.load.address).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::new(configuration));
        Ok(connector.connect(ServerName::try_from("localhost")?, stream).await?)
    }
}
