//! [`Mirror`]: the objects of one watch as last seen, reduced to what is read of them. It tells when they changed: once for
//! a burst, not at all for a change in what nobody reads. It recovers by itself and says so; a relist replaces everything.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use hashbrown::HashMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use prometheus_client::metrics::counter::Counter;
use serde::de::DeserializeOwned;

use super::clients::WATCH_SECONDS;
use super::recurring::Recurring;
use super::retry::Retry;

/// A watch ended, which none ever does while somebody reads it.
#[derive(Debug, thiserror::Error)]
#[error("the watch of {0} ended; this is a defect, restart ringfence and report it")]
pub struct WatchEnded(&'static str);

/// The objects of one watch, by key, each reduced to `V`.
pub(crate) struct Mirror<K, V> {
    /// What is watched, for logs.
    name: &'static str,
    events: BoxStream<'static, watcher::Result<Event<Entry<K, V>>>>,
    objects: Arc<HashMap<K, V>>,
    /// The objects of a list that is not complete yet.
    listing: HashMap<K, V>,
    complete: bool,
    errors: Counter,
    failing: Recurring,
}

/// A key with what is kept of its object; none for an object that is not to be kept.
type Entry<K, V> = Option<(K, V)>;

impl<K, V> Mirror<K, V>
where
    K: Debug + Hash + Eq + Clone + Send + 'static,
    V: PartialEq + Clone + Send + 'static,
{
    /// Watches what `api` and `config` say. `keep` takes an object to its key and what is kept; it should drop the rest.
    pub(crate) fn new<T>(
        name: &'static str,
        api: Api<T>,
        config: watcher::Config,
        errors: Counter,
        mut keep: impl FnMut(T) -> Entry<K, V> + Send + 'static,
    ) -> Self
    where
        T: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let events = watcher(api, config.timeout(WATCH_SECONDS))
            .backoff(Retry::default())
            .map(move |event| {
                event.map(|event| match event {
                    Event::Apply(object) => Event::Apply(keep(object)),
                    Event::Delete(object) => Event::Delete(keep(object)),
                    Event::InitApply(object) => Event::InitApply(keep(object)),
                    Event::Init => Event::Init,
                    Event::InitDone => Event::InitDone,
                })
            })
            .boxed();
        Self::of(name, events, errors)
    }

    fn of(
        name: &'static str,
        events: BoxStream<'static, watcher::Result<Event<Entry<K, V>>>>,
        errors: Counter,
    ) -> Self {
        Self {
            name,
            events,
            objects: Arc::default(),
            listing: HashMap::new(),
            complete: false,
            errors,
            failing: Recurring::default(),
        }
    }

    /// The objects as last seen; none until the first list is complete.
    pub(crate) fn objects(&self) -> Option<&Arc<HashMap<K, V>>> {
        self.complete.then_some(&self.objects)
    }

    /// Whether the objects have been listed and the watch works, as far as it says.
    pub(crate) fn is_in_touch(&self) -> bool {
        self.complete && self.failing.said().is_none()
    }

    /// Why the watch does not work; none where it does, as far as it says.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.failing.said()
    }

    /// Waits until the objects are not what they were at the last call. Safe to drop at any time.
    pub(crate) async fn changed(&mut self) -> Result<(), WatchEnded> {
        loop {
            let event = self.events.next().await.ok_or(WatchEnded(self.name))?;
            let mut changed = self.fold(event);
            // What has already arrived belongs to the same burst.
            while let Some(event) = self.events.next().now_or_never() {
                changed |= self.fold(event.ok_or(WatchEnded(self.name))?);
            }
            if changed {
                return Ok(());
            }
        }
    }

    /// Takes one event; whether the objects are others than before.
    fn fold(&mut self, event: watcher::Result<Event<Entry<K, V>>>) -> bool {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                self.failed(&error);
                return false;
            }
        };
        match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(entry) => {
                self.listing.extend(entry);
                false
            }
            Event::InitDone => {
                self.recovered();
                let listed = std::mem::take(&mut self.listing);
                let changed = !self.complete || listed != *self.objects;
                self.complete = true;
                if changed {
                    self.objects = Arc::new(listed);
                }
                changed
            }
            Event::Apply(None) | Event::Delete(None) => false,
            Event::Apply(Some((key, value))) => {
                self.recovered();
                if self.objects.get(&key) == Some(&value) {
                    return false;
                }
                Arc::make_mut(&mut self.objects).insert(key, value);
                self.complete
            }
            Event::Delete(Some((key, _))) => {
                self.recovered();
                if !self.objects.contains_key(&key) {
                    return false;
                }
                Arc::make_mut(&mut self.objects).remove(&key);
                self.complete
            }
        }
    }

    fn failed(&mut self, error: &watcher::Error) {
        self.errors.inc();
        let text = error.to_string();
        if self.failing.is_news(&text) {
            tracing::warn!(watch = self.name, error = text, "watch failed; retrying");
        }
    }

    fn recovered(&mut self) {
        if self.failing.is_over() {
            tracing::info!(watch = self.name, "watch is back");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;
    use futures::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    type Events = Vec<watcher::Result<Event<Entry<&'static str, u32>>>>;

    /// A mirror of these events, after which the watch is quiet.
    fn mirror(events: Events) -> Mirror<&'static str, u32> {
        Mirror::of(
            "things",
            stream::iter(events).chain(stream::pending()).boxed(),
            Counter::default(),
        )
    }

    fn seen(mirror: &Mirror<&'static str, u32>) -> Vec<(&'static str, u32)> {
        let mut seen: Vec<_> = mirror
            .objects()
            .expect("complete")
            .iter()
            .map(|(key, value)| (*key, *value))
            .collect();
        seen.sort_unstable();
        seen
    }

    fn listed(entries: &[(&'static str, u32)]) -> Events {
        let mut events: Events = vec![Ok(Event::Init)];
        events.extend(entries.iter().map(|entry| Ok(Event::InitApply(Some(*entry)))));
        events.push(Ok(Event::InitDone));
        events
    }

    #[tokio::test]
    async fn nothing_is_shown_before_the_first_list_is_complete() {
        let mut mirror = mirror(vec![Ok(Event::Init), Ok(Event::InitApply(Some(("a", 1))))]);
        assert!(mirror.changed().now_or_never().is_none());
        assert!(mirror.objects().is_none());
    }

    #[tokio::test]
    async fn an_empty_list_is_complete_too() {
        let mut mirror = mirror(listed(&[]));
        mirror.changed().await.expect("open");
        assert!(seen(&mirror).is_empty());
    }

    #[tokio::test]
    async fn a_burst_is_one_change() {
        let mut events = listed(&[("a", 1), ("b", 2)]);
        events.push(Ok(Event::Apply(Some(("c", 3)))));
        events.push(Ok(Event::Delete(Some(("a", 1)))));
        let mut mirror = mirror(events);
        mirror.changed().await.expect("open");
        assert_eq!(seen(&mirror), [("b", 2), ("c", 3)]);
        assert!(mirror.changed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_stays_the_same_is_no_change() {
        let mut mirror = mirror(listed(&[("a", 1)]));
        mirror.changed().await.expect("open");
        assert!(!mirror.fold(Ok(Event::Apply(Some(("a", 1))))));
        assert!(!mirror.fold(Ok(Event::Apply(None))));
        assert!(!mirror.fold(Ok(Event::Delete(Some(("z", 9))))));
        for event in listed(&[("a", 1)]) {
            assert!(!mirror.fold(event));
        }
        assert!(mirror.fold(Ok(Event::Apply(Some(("a", 2))))));
    }

    #[tokio::test]
    async fn a_relist_replaces_everything_at_once() {
        let mut mirror = mirror(listed(&[("a", 1), ("b", 2)]));
        mirror.changed().await.expect("open");
        let before = Arc::clone(mirror.objects().expect("complete"));
        let relist = listed(&[("b", 3)]);
        let last = relist.len() - 1;
        for (position, event) in relist.into_iter().enumerate() {
            assert_eq!(mirror.fold(event), position == last);
            if position < last {
                assert_eq!(seen(&mirror), [("a", 1), ("b", 2)]);
            }
        }
        assert_eq!(seen(&mirror), [("b", 3)]);
        assert_eq!(before.len(), 2, "whoever holds the old view keeps it");
    }

    #[tokio::test]
    async fn a_failing_watch_is_counted_and_keeps_what_was_seen() {
        let mut mirror = mirror(listed(&[("a", 1)]));
        mirror.changed().await.expect("open");
        assert!(!mirror.fold(Err(watcher::Error::NoResourceVersion)));
        assert!(!mirror.fold(Err(watcher::Error::NoResourceVersion)));
        assert_eq!(mirror.errors.get(), 2);
        assert_eq!(seen(&mirror), [("a", 1)]);
        assert!(mirror.fold(Ok(Event::Apply(Some(("b", 1))))));
        assert!(!mirror.failing.is_over());
    }

    #[tokio::test]
    async fn a_watch_that_ends_is_an_error() {
        let mut mirror: Mirror<&'static str, u32> = Mirror::of("things", stream::empty().boxed(), Counter::default());
        assert!(mirror.changed().await.is_err());
    }

    /// An API server with one ConfigMap whose first watch goes silent and whose second tells of a change.
    fn silent_once() -> kube::Client {
        let watches = Arc::new(AtomicU32::new(0));
        let config_map = |version: &str, value: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": value},
                "metadata": {"name": "a", "namespace": "default", "resourceVersion": version}})
        };
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let watch = request.uri().query().unwrap_or_default().contains("watch=true");
            let frames = if !watch {
                let list = json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "1"},
                    "items": [config_map("1", "before")]});
                frame(list.to_string()).boxed()
            } else if watches.fetch_add(1, Ordering::SeqCst) == 0 {
                stream::pending().boxed()
            } else {
                let event = json!({"type": "MODIFIED", "object": config_map("2", "after")});
                frame(format!("{event}\n")).chain(stream::pending()).boxed()
            };
            std::future::ready(Ok::<_, Infallible>(http::Response::new(StreamBody::new(frames))))
        });
        kube::Client::new(service, "default")
    }

    fn frame(text: String) -> impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
        stream::iter([Ok(Frame::data(Bytes::from(text)))])
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_went_silent_is_opened_again() {
        let api = Api::<ConfigMap>::namespaced(silent_once(), "default");
        let keep = |object: ConfigMap| Some((object.metadata.name?, object.data?.remove("key")?));
        let mut mirror = Mirror::new("a", api, watcher::Config::default(), Counter::default(), keep);
        mirror.changed().await.expect("open");
        assert_eq!(mirror.objects().expect("complete")["a"], "before");
        let since = tokio::time::Instant::now();
        mirror.changed().await.expect("open");
        assert_eq!(mirror.objects().expect("complete")["a"], "after");
        let window = u64::from(WATCH_SECONDS) + 10;
        assert!(since.elapsed().as_secs() <= window, "{:?}", since.elapsed());
    }
}
