//! Clients of the server, from raw TLS to HTTP, each over one connection that the test holds.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::running::{LONG, Running};

/// How a client does its handshake.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) alpn: &'static [&'static str],
    /// Certificate and key, PEM.
    pub(crate) identity: Option<(String, String)>,
}

impl Default for Hello {
    fn default() -> Self {
        Self {
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: &["http/1.1"],
            identity: None,
        }
    }
}

/// HTTP/1.1 over one connection.
pub(crate) struct Http1 {
    send: http1::SendRequest<Full<Bytes>>,
    path: String,
    pub(crate) ended: JoinHandle<hyper::Result<()>>,
}

/// HTTP/2 over one connection.
pub(crate) struct Http2 {
    send: http2::SendRequest<Full<Bytes>>,
    path: String,
    address: SocketAddr,
    pub(crate) ended: JoinHandle<hyper::Result<()>>,
}

impl Running {
    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    /// TLS as a client with this hello does it.
    pub(crate) async fn handshake(&self, hello: &Hello) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let connector = TlsConnector::from(Arc::new(configuration(&self.ca_pem, hello)));
        let name = ServerName::try_from("localhost").expect("a name");
        timeout(LONG, connector.connect(name, stream)).await.expect("in time")
    }

    pub(crate) async fn tls(&self) -> TlsStream<TcpStream> {
        self.handshake(&Hello::default()).await.expect("shakes hands")
    }

    pub(crate) async fn http1(&self) -> Http1 {
        self.http1_over(self.tls().await).await
    }

    pub(crate) async fn http1_over(&self, stream: TlsStream<TcpStream>) -> Http1 {
        let (send, connection) = http1::handshake(TokioIo::new(stream)).await.expect("begins");
        Http1 {
            send,
            path: self.path(),
            ended: tokio::spawn(connection),
        }
    }

    pub(crate) async fn http2(&self) -> Http2 {
        let hello = Hello {
            alpn: &["h2"],
            ..Hello::default()
        };
        self.http2_over(self.handshake(&hello).await.expect("shakes hands"))
            .await
    }

    pub(crate) async fn http2_over(&self, stream: TlsStream<TcpStream>) -> Http2 {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (send, connection) = handshake.await.expect("begins");
        Http2 {
            send,
            path: self.path(),
            address: self.address,
            ended: tokio::spawn(connection),
        }
    }

    /// The head of a POST that is rightly addressed, with these further header lines.
    pub(crate) fn head(&self, headers: &str) -> String {
        format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}\r\n",
            self.path()
        )
    }
}

impl Http1 {
    /// Status and text of a review of this body.
    pub(crate) async fn review(&mut self, body: impl Into<Bytes>) -> (u16, String) {
        self.try_review(body).await.expect("answers")
    }

    pub(crate) async fn try_review(&mut self, body: impl Into<Bytes>) -> hyper::Result<(u16, String)> {
        let request = Request::post(&self.path)
            .header(header::HOST, "x")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .expect("a request");
        let answered = async {
            self.send.ready().await?;
            read(self.send.send_request(request).await?).await
        };
        timeout(LONG, answered).await.expect("in time")
    }
}

impl Http2 {
    /// A review of this body; several go on at once.
    pub(crate) fn review(
        &self,
        body: impl Into<Bytes>,
    ) -> impl Future<Output = hyper::Result<(u16, String)>> + Send + 'static {
        let request = Request::post(format!("https://{}{}", self.address, self.path))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .expect("a request");
        let mut send = self.send.clone();
        async move {
            let answered = async {
                send.ready().await?;
                read(send.send_request(request).await?).await
            };
            timeout(LONG, answered).await.expect("in time")
        }
    }

    pub(crate) fn sender(&self) -> http2::SendRequest<Full<Bytes>> {
        self.send.clone()
    }
}

/// A plain HTTP GET over a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answered = async {
        let stream = TcpStream::connect(address).await.expect("connects");
        let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.expect("begins");
        let connection = tokio::spawn(connection);
        let request = Request::get(path)
            .header(header::HOST, "x")
            .body(Full::<Bytes>::default());
        let response = send.send_request(request.expect("a request")).await.expect("answers");
        let answer = read(response).await.expect("reads");
        drop(connection.await);
        answer
    };
    timeout(LONG, answered).await.expect("in time")
}

/// Sends these bytes and reads until the server closes.
pub(crate) async fn exchange(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> String {
    // The server may have closed already: what it said counts.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    until_closed(stream).await
}

/// Reads until the server closes.
pub(crate) async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    // An error is an end as well: a reset, or TLS without its goodbye.
    let _ = timeout(LONG, stream.read_to_end(&mut answer))
        .await
        .expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn read(response: Response<Incoming>) -> hyper::Result<(u16, String)> {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn configuration(ca_pem: &str, hello: &Hello) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("a certificate");
    roots.add(ca).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&hello.versions)
        .expect("versions")
        .with_root_certificates(roots);
    let mut configuration = match &hello.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let cert = CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(vec![cert], key).expect("fits")
        }
    };
    configuration.alpn_protocols = hello.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    configuration
}
