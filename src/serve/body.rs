//! [`Bodies`]: takes request bodies off the wire, each within its size and time, all of them within one amount of memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;

/// Permits are for this many bytes each.
const UNIT: usize = 1024;

/// What all bodies together may hold.
#[derive(Debug)]
pub(super) struct Bodies {
    memory: Arc<Semaphore>,
    most: usize,
    time: Duration,
}

/// A whole body; the memory is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Bodies of at most this many bytes, in at most this time, all together in this many bytes.
    pub(super) fn new(most: usize, all: usize, time: Duration) -> Self {
        Self {
            memory: Arc::new(Semaphore::new((all / UNIT).min(Semaphore::MAX_PERMITS))),
            most,
            time,
        }
    }

    /// The whole body, or why not.
    pub(super) async fn read(&self, body: Body) -> Result<Held, Refusal> {
        let deadline = Instant::now() + self.time;
        timeout_at(deadline, self.collect(body))
            .await
            .unwrap_or(Err(Refusal::Slow))
    }

    async fn collect(&self, mut body: Body) -> Result<Held, Refusal> {
        // Exact where the length was declared: then one reservation is enough, and a single frame is passed on uncopied.
        let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if declared > self.most {
            return Err(self.discard(body).await);
        }
        let mut memory = None;
        self.reserve(&mut memory, declared)?;
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::Truncated)?.into_data() else {
                continue;
            };
            let length = first.len() + rest.len() + data.len();
            if length > self.most {
                return Err(self.discard(body).await);
            }
            self.reserve(&mut memory, length)?;
            if first.is_empty() && rest.is_empty() {
                first = data;
                continue;
            }
            if rest.is_empty() {
                rest.reserve(declared.max(length));
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
        let bytes = if rest.is_empty() { first } else { rest.freeze() };
        Ok(Held { bytes, _memory: memory })
    }

    /// Reads as much again as one body may have and forgets it: a client that is still sending would not see an answer.
    async fn discard(&self, mut body: Body) -> Refusal {
        let mut discarded = 0;
        while discarded < self.most {
            let Some(Ok(frame)) = body.frame().await else {
                break;
            };
            discarded += frame.data_ref().map_or(0, Bytes::len);
        }
        Refusal::TooLarge
    }

    /// Holds memory for this many bytes in all.
    fn reserve(&self, memory: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Refusal> {
        let held = memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(UNIT).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| Refusal::OutOfMemory)?;
        let permit = Arc::clone(&self.memory).try_acquire_many_owned(more);
        let permit = permit.map_err(|_| Refusal::OutOfMemory)?;
        match memory {
            Some(held) => held.merge(permit),
            None => *memory = Some(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{StreamExt, stream};

    use super::*;

    fn bodies() -> Bodies {
        Bodies::new(10_000, 20 * UNIT, Duration::from_secs(5))
    }

    fn chunks(chunks: &[usize]) -> Body {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|size| Ok::<_, Infallible>(vec![b'x'; *size]))
            .collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn one_frame_is_passed_on_and_several_are_joined() {
        let bodies = bodies();
        assert_eq!(bodies.read(Body::empty()).await.expect("reads").bytes, "");
        assert_eq!(bodies.read(Body::from("whole")).await.expect("reads").bytes, "whole");
        let joined = bodies.read(chunks(&[3, 4, 5])).await.expect("reads").bytes;
        assert_eq!(joined, "x".repeat(12));
        assert_eq!(bodies.memory.available_permits(), 20);
    }

    #[tokio::test]
    async fn the_limit_is_taken_and_one_byte_more_is_not() {
        let bodies = bodies();
        for body in [chunks(&[5000, 5000]), Body::from(vec![0; 10_000])] {
            assert_eq!(bodies.read(body).await.expect("reads").bytes.len(), 10_000);
        }
        for body in [chunks(&[5000, 5001, 1]), Body::from(vec![0; 10_001])] {
            assert_eq!(bodies.read(body).await.expect_err("refused"), Refusal::TooLarge);
        }
        assert_eq!(bodies.memory.available_permits(), 20);
    }

    #[tokio::test]
    async fn bodies_share_one_amount_of_memory() {
        let bodies = bodies();
        let one = bodies.read(chunks(&[10_000])).await.expect("reads");
        let other = bodies.read(chunks(&[1, 9999])).await.expect("reads");
        let refused = bodies.read(chunks(&[1])).await;
        assert_eq!(refused.expect_err("refused"), Refusal::OutOfMemory);
        drop(one);
        bodies.read(chunks(&[10_000])).await.expect("reads");
        drop(other);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let first = stream::iter([Ok::<_, Infallible>("{")]);
        let body = Body::from_stream(first.chain(stream::pending()));
        let start = Instant::now();
        assert_eq!(bodies().read(body).await.expect_err("refused"), Refusal::Slow);
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
