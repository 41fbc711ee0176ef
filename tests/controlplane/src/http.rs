//! Plain requests to the API server, for what kubectl does not express: any verb, path, body and
//! content type, with the status code as it came.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Request as HttpRequest;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Longer than any request of a test takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The most connections that are kept for the next request.
const IDLE: usize = 64;

/// The API server, over TLS.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    agent: ureq::Agent,
    server: String,
}

impl Api {
    /// The API server at `server`, an `https://` URL, trusted by the authority `pem`.
    pub(crate) fn new(server: &str, pem: &str) -> Result<Self, ureq::Error> {
        let roots = RootCerts::new_with_certs(&[Certificate::from_pem(pem.as_bytes())?]);
        let agent = ureq::Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            // The API server reads DeleteOptions from a DELETE's body.
            .allow_non_standard_methods(true)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            // Many clients at once go on where they were, and do not greet the API server anew each time.
            .max_idle_connections(IDLE)
            .max_idle_connections_per_host(IDLE)
            .build()
            .into();
        Ok(Self {
            agent,
            server: server.to_owned(),
        })
    }

    /// A request by the holder of `token`.
    pub(crate) fn request(&self, token: &str, method: &str, path: &str) -> Request {
        Request {
            api: self.clone(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: vec![("Authorization".to_owned(), format!("Bearer {token}"))],
            body: Vec::new(),
        }
    }
}

/// One request that has not been sent yet.
#[derive(Clone, Debug)]
#[must_use = "a request is made by send()"]
pub struct Request {
    api: Api,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Adds a header, such as `Impersonate-User` or `Content-Type`.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends these bytes; their `Content-Type` is yours to say.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// Sends JSON; as a merge patch where the method is PATCH and no other type was said.
    pub fn json(self, value: &Value) -> Self {
        let said = self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let kind = if self.method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = if said { self } else { self.header("Content-Type", kind) };
        request.body(value.to_string())
    }

    /// Sends the request.
    ///
    /// # Errors
    /// If the API server does not answer; whatever it answers is a [`Response`].
    pub fn try_send(self) -> Result<Response, ureq::Error> {
        let Self {
            api,
            method,
            path,
            headers,
            body,
        } = self;
        let mut request = HttpRequest::builder()
            .method(method.as_str())
            .uri(format!("{}{path}", api.server));
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let mut response = if body.is_empty() {
            api.agent.run(request.body(())?)?
        } else {
            api.agent.run(request.body(body)?)?
        };
        let text = response.body_mut().with_config().limit(u64::MAX).read_to_vec()?;
        Ok(Response {
            call: format!("{method} {path}"),
            status: response.status().as_u16(),
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// As [`Request::try_send`].
    ///
    /// # Panics
    /// If the API server does not answer.
    #[track_caller]
    pub fn send(self) -> Response {
        let call = format!("{} {}", self.method, self.path);
        self.try_send()
            .unwrap_or_else(|error| panic!("{call} got no answer: {error}"))
    }
}

/// What the API server answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// Method and path, to show.
    pub call: String,
    /// The HTTP status code.
    pub status: u16,
    /// The body.
    pub text: String,
}

impl Response {
    /// The body of a 2xx answer as JSON.
    ///
    /// # Panics
    /// If the status is another one, or the body is not JSON.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self}");
        self.value()
    }

    /// The message of an answer with this status code.
    ///
    /// # Panics
    /// If the status is another one.
    #[track_caller]
    pub fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self}");
        self.value()["message"].as_str().unwrap_or(&self.text).to_owned()
    }

    #[track_caller]
    fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }
}

impl fmt::Display for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} answered {}: {}", self.call, self.status, self.text)
    }
}

/// The resource version of an object or a list, as a number: of two of one store, the later has the higher.
///
/// # Panics
/// If it has none.
#[track_caller]
pub fn resource_version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str().expect("it has one");
    version.parse().expect("a number")
}
