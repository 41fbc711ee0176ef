//! One connection from its handshake to its end: which protocol, within which limits, and when it has to leave.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::Limits;
use super::connections::{Leaving, Link};

/// How the connections of one listener are served.
#[derive(Clone)]
pub(super) struct Serving {
    /// None for plain HTTP.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) router: Router,
    pub(super) keep_alive: KeepAlive,
    pub(super) limits: Limits,
    /// Every task of every connection.
    pub(super) tasks: TaskTracker,
    /// Ends them all at once.
    pub(super) abort: CancellationToken,
}

/// Whether a connection stays open after its first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeepAlive {
    /// It does.
    Yes,
    /// It does not: nobody can hold a place by asking once.
    No,
}

/// HTTP/2 flow control: bytes that a client may have on the way, in one stream and in all of one connection. A review of
/// usual size needs no round trip for more.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that a client has opened and reset before we looked at them (CVE-2023-44487), and that we reset for its errors:
/// over it the connection is closed.
const MOST_RESETS: usize = 20;
/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(10);

impl Serving {
    /// Serves one connection in a task of its own.
    pub(super) fn spawn<Io>(&self, io: Io, link: Arc<Link>)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let serving = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = serving.abort.cancelled() => (),
                () = link.evicted() => (),
                () = serving.serve(io, &link) => (),
            }
        });
    }

    async fn serve<Io>(&self, io: Io, link: &Arc<Link>)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(tls) = &self.tls else {
            return self.converse(io, self.protocols().http1_only(), link).await;
        };
        let stream = match timeout(self.limits.handshake, tls.accept(io)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                return link.connections().handshake_failed("failed");
            }
            Err(_) => return link.connections().handshake_failed("timed_out"),
        };
        // Chosen in the handshake: nothing has to be guessed from the first bytes.
        let protocols = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.protocols().http2_only(),
            _ => self.protocols().http1_only(),
        };
        self.converse(stream, protocols, link).await;
    }

    /// Answers requests until the client or we have to leave.
    async fn converse<Io>(&self, io: Io, protocols: Builder<Streams>, link: &Arc<Link>)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| answer(self.router.clone(), Arc::clone(link), request));
        let mut connection = pin!(protocols.serve_connection(TokioIo::new(io), service));
        tokio::select! {
            ended = connection.as_mut() => return log_end(ended),
            leaving = link.leaving(self.limits.first_request, self.limits.idle) => match leaving {
                Leaving::Finishing => (),
                Leaving::AtOnce => return,
            },
        }
        connection.as_mut().graceful_shutdown();
        // Whoever does not take its answers is not waited for.
        if let Ok(ended) = timeout(self.limits.body + self.limits.review, connection).await {
            log_end(ended);
        }
    }

    fn protocols(&self) -> Builder<Streams> {
        let mut builder = Builder::new(Streams {
            tasks: self.tasks.clone(),
            abort: self.abort.clone(),
        });
        // `Link::leaving` bounds how long headers may take: hyper's own timer runs while a connection idles, too.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(self.limits.header_bytes)
            .keep_alive(self.keep_alive == KeepAlive::Yes);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_pending_accept_reset_streams(MOST_RESETS)
            .max_local_error_reset_streams(MOST_RESETS)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN);
        builder
    }
}

/// Answers one request, and asks a connection to leave that has not been rightly addressed even then.
async fn answer(router: Router, link: Arc<Link>, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let _busy = link.busy();
    if !link.is_proven() {
        request.extensions_mut().insert(Arc::clone(&link));
    }
    let version = request.version();
    let mut response = router.oneshot(request).await?;
    if response.status() == StatusCode::NOT_FOUND && !link.is_proven() {
        link.leave();
        // HTTP/2 has a frame for it.
        if version < Version::HTTP_2 {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    Ok(response)
}

fn log_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(error, "connection broke off");
    }
}

/// Runs HTTP/2 streams as tasks that are counted, and that end when all have to.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    abort: CancellationToken,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let abort = self.abort.clone();
        self.tasks.spawn(async move { abort.run_until_cancelled(stream).await });
    }
}
