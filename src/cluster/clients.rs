//! [`Clients`]: one connection pool for each kind of traffic to the API server, so that a connection that stalls under one
//! does not stall another, each with deadlines that fit: a watch is quiet for long, an answer never is.

use std::time::Duration;

use kube::{Client, Config};

/// How long the API server keeps one watch open, in seconds. The watcher opens the next one where this one ended; what it
/// buys is that a connection that died in silence is noticed this soon (and 5 s).
pub(super) const WATCH_SECONDS: u32 = 20;

/// Longer than a watch may be quiet, so that it only ends lists and watches that hang.
const WATCH_READ: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// The leader's reads and writes.
const WRITE_READ: Duration = Duration::from_secs(10);
/// Shorter than the grace in which a lease is renewed, so that a leader that cannot renew stops before another begins.
const LEASE_READ: Duration = Duration::from_secs(3);
/// Below the webhook's timeout of 5 s; whoever asks sets tighter deadlines.
const ANSWER_READ: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(3);

/// Clients of the same API server and identity, each with its own connections.
#[derive(Clone)]
pub struct Clients {
    /// For watches, and the reads that go with them.
    pub watches: Client,
    /// For what the leader writes.
    pub writes: Client,
    /// For the lease alone.
    pub lease: Client,
    /// For the questions of reviews.
    pub answers: Client,
}

impl Clients {
    /// Clients from one configuration. Nothing is connected yet.
    pub fn new(config: &Config) -> Result<Self, kube::Error> {
        Ok(Self {
            watches: client(config, WATCH_READ)?,
            writes: client(config, WRITE_READ)?,
            lease: client(config, LEASE_READ)?,
            answers: client(config, ANSWER_READ)?,
        })
    }
}

fn client(config: &Config, read: Duration) -> Result<Client, kube::Error> {
    let mut config = config.clone();
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(read);
    // Else the time that a pooled connection lay idle would count.
    config.reset_reader_on_write = true;
    // Every caller has its own deadline and backoff; the client's would wait up to 1,000 s.
    config.default_retry = false;
    Client::try_from(config)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Namespace;
    use kube::Api;
    use kube::api::ListParams;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_never_comes_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        // Takes connections and says nothing.
        let silent = tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                taken.push(connection);
            }
        });
        let url = format!("http://{address}").parse().expect("a URL");
        let client = client(&Config::new(url), Duration::from_millis(100)).expect("a client");
        let (api, all) = (Api::<Namespace>::all(client), ListParams::default());
        let listed = tokio::time::timeout(Duration::from_secs(60), api.list(&all)).await;
        assert!(listed.expect("given up by the client itself").is_err());
        silent.abort();
    }

    #[test]
    fn a_watch_may_be_quiet_for_as_long_as_it_lasts_and_a_lease_is_given_up_in_time() {
        assert!(WATCH_READ > Duration::from_secs(u64::from(WATCH_SECONDS)));
        let grace = Duration::from_secs(crate::cluster::LeaseTiming::default().grace);
        assert!(LEASE_READ < grace);
    }
}
