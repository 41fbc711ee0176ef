//! [`Calls`]: the calls to the API server by which questions are answered, over connections of their own. Each ends
//! within [`CALL`]; one that hangs takes its connections with it, so that those who come after are not held up by them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Method;
use http::header::CONTENT_TYPE;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::{Api, PostParams};
use kube::{Client, Config};
use parking_lot::Mutex;
use ringfence_core::model::{Identity, Namespace, NamespaceName, ObjectReference, Owner, Permission, Timestamp};
use ringfence_core::review::owner_of;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// The most that a call may take, waiting and second attempt included: as long as anything can wait for its answer.
pub(super) const CALL: Duration = Duration::from_secs(4);
/// How long the first attempt may take before its connection is given up.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// How many calls run at once; each has a connection.
const CONCURRENT: usize = 64;

/// A call that gave no answer. Cheap to hand to all who wait for it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// It ended in no answer.
    #[error("the API server did not answer within {} ms; see whether it is overloaded or unreachable", .0.as_millis())]
    TimedOut(Duration),
    /// The API server said no, and why.
    #[error(
        "the API server refused with {code} ({message}); for a 403 apply ringfence's ClusterRole again (ringfence manifests)"
    )]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The Status' message.
        message: Arc<str>,
    },
    /// It could not be asked.
    #[error("the API server cannot be asked ({0}); see whether it is reachable from ringfence")]
    Unreachable(Arc<str>),
    /// Its answer made no sense.
    #[error("the API server's answer cannot be understood ({0})")]
    Unreadable(Arc<str>),
    /// Whoever was asking ended without an answer.
    #[error("the question to the API server was broken off; ringfence's log says why")]
    Died,
    /// Too many wait already.
    #[error(
        "too many questions to the API server are waiting; see whether it is overloaded, or add replicas of ringfence"
    )]
    TooMany,
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused {
                code: status.code,
                message: status.message.into(),
            },
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Unreadable(error.to_string().into()),
            other => Self::Unreachable(with_causes(&other).into()),
        }
    }
}

/// An error with what caused it: `client error (Connect): tcp connect error: Connection refused`.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    let mut told = String::new();
    for cause in causes.filter(|cause| !cause.is_empty()) {
        if !told.contains(&cause) {
            told = if told.is_empty() {
                cause
            } else {
                format!("{told}: {cause}")
            };
        }
    }
    told
}

/// Makes a client with connections of its own.
type Dial = dyn Fn() -> Result<Client, kube::Error> + Send + Sync;

/// Calls to the API server.
pub(crate) struct Calls {
    dial: Box<Dial>,
    client: ArcSwap<Client>,
    dialling: Mutex<()>,
    permits: Semaphore,
}

impl Calls {
    /// Calls the API server of this configuration. Needs a runtime, in which the connections live. The configuration's own timeouts and retries are put aside: how long a
    /// call may take depends on who waits for it.
    pub(super) fn to(config: Config) -> Result<Self, kube::Error> {
        let mut config = config;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = None;
        config.default_retry = false;
        Self::by(move || Client::try_from(config.clone()))
    }

    /// Calls by clients made like this.
    pub(super) fn by(
        dial: impl Fn() -> Result<Client, kube::Error> + Send + Sync + 'static,
    ) -> Result<Self, kube::Error> {
        let client = ArcSwap::from_pointee(dial()?);
        Ok(Self {
            dial: Box::new(dial),
            client,
            dialling: Mutex::default(),
            permits: Semaphore::new(CONCURRENT),
        })
    }

    /// Calls by this client alone, over whatever connections it has.
    pub(crate) fn over(client: Client) -> Self {
        Self {
            client: ArcSwap::from_pointee(client.clone()),
            dial: Box::new(move || Ok(client.clone())),
            dialling: Mutex::default(),
            permits: Semaphore::new(CONCURRENT),
        }
    }

    /// Whether an authorizer says yes; `Err` where none could be asked.
    pub(super) async fn review(&self, identity: &Identity<'_>, permission: &Permission) -> Result<Reviewed, CallError> {
        let review = Arc::new(subject_access_review(identity, permission));
        let call = self.call(|client| {
            let review = Arc::clone(&review);
            async move {
                let reviews = Api::<SubjectAccessReview>::all(client);
                Ok(reviews.create(&PostParams::default(), &review).await?.status)
            }
        });
        let status = call.await?;
        status
            .map(Reviewed::from)
            .ok_or_else(|| CallError::Unreadable("a review without a status".into()))
    }

    /// A namespace as it stands; none where there is none.
    pub(crate) async fn namespace(&self, name: &NamespaceName) -> Result<Option<Namespace>, CallError> {
        let read = self.call(|client| {
            let (name, namespaces) = (name.clone(), Api::<k8s_openapi::api::core::v1::Namespace>::all(client));
            async move { namespaces.get_metadata(name.as_str()).await }
        });
        let Some(metadata) = found(read.await)?.map(|object| object.metadata) else {
            return Ok(None);
        };
        Ok(Some(Namespace {
            uid: metadata.uid.unwrap_or_default(),
            // A BTreeMap: sorted by key.
            labels: metadata.labels.unwrap_or_default().into_iter().collect(),
            terminating: metadata.deletion_timestamp.is_some(),
            created: metadata.creation_timestamp.map(|time| Timestamp(time.0.as_second())),
        }))
    }

    /// An object as it stands, as far as it makes pods; none where there is none.
    pub(super) async fn owner(&self, reference: &ObjectReference) -> Result<Option<Owner>, CallError> {
        let Some(path) = path(reference) else { return Ok(None) };
        Ok(self
            .object::<Value>(&path)
            .await?
            .map(|object| owner_of(&object, &reference.template)))
    }

    /// Every object of a resource in a namespace, as far as they make pods.
    pub(super) async fn templates(&self, reference: &ObjectReference) -> Result<Vec<Owner>, CallError> {
        let ObjectReference {
            group,
            version,
            resource,
            template,
            namespace,
            name: _,
        } = reference;
        let path = collection(group, version, namespace, resource);
        let mut owners = Vec::new();
        self.pages(&path, "", |item: Value| owners.push(owner_of(&item, template)))
            .await?;
        Ok(owners)
    }

    /// Reads one object by its path; none where there is none.
    pub(crate) async fn object<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
    ) -> Result<Option<T>, CallError> {
        let read = self.call(|client| {
            let request = http::Request::get(path).body(Vec::new());
            async move { client.request(request.map_err(kube::Error::HttpError)?).await }
        });
        found(read.await)
    }

    /// Sends a body and gives what is answered. It may be sent twice: only what may be done twice is written so.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &Value,
    ) -> Result<Value, CallError> {
        let body = body.to_string();
        self.call(|client| {
            let request = http::Request::builder()
                .method(method.clone())
                .uri(path)
                .header(CONTENT_TYPE, content_type)
                .body(body.clone().into_bytes());
            async move { client.request(request.map_err(kube::Error::HttpError)?).await }
        })
        .await
    }

    /// Runs one call, once more over new connections where it hangs, or where its connection breaks.
    pub(super) async fn call<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let deadline = Instant::now() + CALL;
        let timed_out = |_| CallError::TimedOut(CALL);
        let permit = timeout_at(deadline, self.permits.acquire()).await.map_err(timed_out)?;
        let _permit = permit.map_err(|_| CallError::TooMany)?;
        let client = self.client.load_full();
        match timeout(ATTEMPT, request(Client::clone(&client))).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => match CallError::from(error) {
                CallError::Unreachable(_) => {}
                error => return Err(error),
            },
            Err(_) => self.give_up(&client),
        }
        let client = self.client.load_full();
        match timeout_at(deadline, request(Client::clone(&client))).await {
            Ok(answer) => Ok(answer?),
            Err(elapsed) => {
                self.give_up(&client);
                Err(timed_out(elapsed))
            }
        }
    }

    /// Lets go of the connections of a client on which a call hung, unless another did already.
    fn give_up(&self, hung: &Arc<Client>) {
        let _one_at_a_time = self.dialling.lock();
        if !Arc::ptr_eq(&self.client.load(), hung) {
            return;
        }
        tracing::warn!("a call to the API server was not answered in time; making new connections to it");
        match (self.dial)() {
            Ok(client) => self.client.store(Arc::new(client)),
            Err(error) => {
                tracing::error!(%error, "cannot make new connections to the API server; keeping the old ones");
            }
        }
    }
}

/// Whether an object was found.
fn found<T>(read: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match read {
        Ok(object) => Ok(Some(object)),
        Err(CallError::Refused { code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a SubjectAccessReview came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reviewed {
    /// Some authorizer said `allowed: true`.
    Allowed,
    /// None did.
    Refused,
    /// None did, but not all could be evaluated: it may change by itself.
    RefusedForNow,
}

impl From<SubjectAccessReviewStatus> for Reviewed {
    fn from(status: SubjectAccessReviewStatus) -> Self {
        let SubjectAccessReviewStatus {
            allowed,
            denied,
            evaluation_error,
            reason: _,
        } = status;
        let evaluated = evaluation_error.is_none_or(|error| error.is_empty());
        match (allowed, denied, evaluated) {
            // A yes stands although another authorizer, or a role that is missing, could not be evaluated.
            (true, None | Some(false), _) => Self::Allowed,
            (_, _, true) => Self::Refused,
            (_, _, false) => Self::RefusedForNow,
        }
    }
}

/// The review that asks whether they may. Version `*`: a permission holds for every version of a resource.
fn subject_access_review(identity: &Identity<'_>, permission: &Permission) -> SubjectAccessReview {
    let Identity {
        username,
        uid,
        groups,
        extra,
    } = identity;
    let Permission {
        verb,
        group,
        resource,
        name,
        scope,
    } = permission;
    let own = |texts: &[std::borrow::Cow<'_, str>]| texts.iter().map(|text| text.clone().into_owned()).collect();
    let present = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let extra: BTreeMap<String, Vec<String>> = extra
        .iter()
        .map(|(key, values)| (key.clone().into_owned(), own(values)))
        .collect();
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: present(username),
            uid: present(uid),
            groups: Some(own(groups)),
            extra: (!extra.is_empty()).then_some(extra),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.as_str().to_owned()),
                group: Some(group.to_string()),
                version: Some("*".to_owned()),
                resource: Some(resource.to_string()),
                name: present(name),
                namespace: present(scope.namespace()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

/// The path of an object. None for a name that no object can have: it comes from an ownerReference, which whoever writes a
/// pod chooses, and must not lead anywhere else. All objects that make pods are named by RFC 1123 subdomains.
fn path(reference: &ObjectReference) -> Option<String> {
    let ObjectReference {
        group,
        version,
        resource,
        template: _,
        namespace,
        name,
    } = reference;
    let bytes = name.as_bytes();
    let possible = !name.is_empty()
        && name.len() <= 253
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric);
    possible.then(|| format!("{}/{name}", collection(group, version, namespace, resource)))
}

/// The path of all objects of a resource in a namespace.
pub(crate) fn collection(group: &str, version: &str, namespace: &NamespaceName, resource: &str) -> String {
    let root = if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    };
    format!("{root}/namespaces/{namespace}/{resource}")
}
