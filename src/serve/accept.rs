//! The accept loop of one listener. It ends when it is told to and never by an error.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::Serving;
use super::connections::Connections;

/// Where connections come from.
pub(super) trait Accept: Send {
    /// What they are.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Answers are small and one write each: nothing to gather. A stream that has gone already says so on its own.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// How long to wait after an error that the next accept would meet, too.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Accepts until told to stop; the listener is closed then.
pub(super) async fn accept_until(
    stop: &CancellationToken,
    mut listener: impl Accept,
    connections: &Connections,
    serving: &Serving,
    leave: &CancellationToken,
) {
    let mut failing = false;
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok(io) => {
                failing = false;
                if let Some(link) = connections.admit(leave) {
                    serving.spawn(io, Arc::clone(&link));
                }
            }
            Err(error) if is_of_one_connection(&error) => connections.accept_failed(),
            Err(error) => {
                connections.accept_failed();
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(%error, "cannot accept connections; trying on (is the limit on open files too low?)");
                }
                // Most likely out of file descriptors: one of them is held by a connection that never asked anything.
                connections.evict();
                stop.run_until_cancelled(sleep(EXHAUSTED)).await;
            }
        }
    }
}

/// The connection that was to be accepted has gone; the listener is well.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use prometheus_client::registry::Registry;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::mpsc;
    use tokio::time::{Instant, timeout};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::serve::Limits;
    use crate::serve::connection::KeepAlive;
    use crate::serve::metrics::{Listener, Metrics};

    /// What a test says arrives next.
    struct Scripted(mpsc::Receiver<io::Result<DuplexStream>>);

    impl Accept for Scripted {
        type Io = DuplexStream;

        async fn accept(&mut self) -> io::Result<DuplexStream> {
            match self.0.recv().await {
                Some(arrived) => arrived,
                None => std::future::pending().await,
            }
        }
    }

    struct Loop {
        arrivals: mpsc::Sender<io::Result<DuplexStream>>,
        stop: CancellationToken,
        running: tokio::task::JoinHandle<()>,
    }

    impl Loop {
        fn start(limits: Limits) -> Self {
            let (arrivals, arriving) = mpsc::channel(100);
            let stop = CancellationToken::new();
            let metrics = Metrics::register(&mut Registry::default());
            let connections = Connections::new(limits.connections, Listener::reviews, metrics);
            let serving = Serving {
                tls: None,
                router: Router::new().route("/", get(async || "here")),
                keep_alive: KeepAlive::Yes,
                limits,
                tasks: TaskTracker::new(),
                abort: CancellationToken::new(),
            };
            let stopped = stop.clone();
            let running = tokio::spawn(async move {
                let leave = CancellationToken::new();
                accept_until(&stopped, Scripted(arriving), &connections, &serving, &leave).await;
            });
            Self {
                arrivals,
                stop,
                running,
            }
        }

        async fn fails(&self, error: io::Error) {
            self.arrivals.send(Err(error)).await.expect("the loop runs");
        }

        async fn connect(&self) -> DuplexStream {
            let (ours, theirs) = duplex(64 * 1024);
            self.arrivals.send(Ok(theirs)).await.expect("the loop runs");
            ours
        }
    }

    async fn is_answered(stream: &mut DuplexStream) -> bool {
        let mut answer = [0; 12];
        let asked = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        asked.is_ok() && stream.read_exact(&mut answer).await.is_ok() && &answer == b"HTTP/1.1 200"
    }

    async fn is_closed(stream: &mut DuplexStream) -> bool {
        timeout(Duration::from_secs(3600), stream.read(&mut [0; 1]))
            .await
            .is_ok_and(|read| matches!(read, Ok(0)))
    }

    #[tokio::test(start_paused = true)]
    async fn no_error_ends_the_loop() {
        const TOO_MANY_OPEN_FILES: i32 = 24;
        let accepting = Loop::start(Limits::default());
        for error in [
            io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES),
            io::ErrorKind::ConnectionAborted.into(),
            io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES),
            io::ErrorKind::OutOfMemory.into(),
        ] {
            accepting.fails(error).await;
        }
        assert!(is_answered(&mut accepting.connect().await).await);
        accepting.stop.cancel();
        accepting.running.await.expect("ends when told to");
    }

    #[tokio::test(start_paused = true)]
    async fn running_out_of_files_closes_the_oldest_that_never_asked() {
        let accepting = Loop::start(Limits::default());
        let (mut oldest, mut newer) = (accepting.connect().await, accepting.connect().await);
        accepting.fails(io::Error::from_raw_os_error(24)).await;
        assert!(is_closed(&mut oldest).await);
        assert!(is_answered(&mut newer).await);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_over_the_limit_push_out_the_oldest_that_never_asked() {
        let accepting = Loop::start(Limits {
            connections: 3,
            ..Limits::default()
        });
        let mut idle = Vec::new();
        for _ in 0..20 {
            idle.push(accepting.connect().await);
        }
        assert!(is_answered(&mut accepting.connect().await).await);
        for evicted in &mut idle[..17] {
            assert!(is_closed(evicted).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn headers_that_trickle_in_end_with_the_time_of_a_first_request() {
        let accepting = Loop::start(Limits::default());
        let mut slow = accepting.connect().await;
        let start = Instant::now();
        slow.write_all(b"GET / HTTP/1.1\r\n").await.expect("writes");
        while slow.write_all(b"x-slow: 1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(start.elapsed() < Duration::from_secs(60), "still open");
        }
        assert!((10..=12).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    }
}
