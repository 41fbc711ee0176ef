//! [`JsonLines`]: records as lines of JSON on standard output, written by a thread of its own behind a queue of bounded
//! size: a blocked reader never holds up a decision. What does not fit is dropped, counted and logged.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use super::{DecisionRecord, Sink, line};

/// The most bytes that wait to be written.
const QUEUE_BYTES: usize = 4 << 20;
/// Lines are written together up to about this many bytes.
const BATCH_BYTES: usize = 64 << 10;

/// Writes each record as one line of JSON.
#[derive(Debug)]
pub struct JsonLines {
    /// None once closed.
    queue: Mutex<Option<Sender<Vec<u8>>>>,
    /// How many bytes wait or are being written.
    waiting: Arc<AtomicUsize>,
    dropped: Counter,
    ended: watch::Receiver<bool>,
}

impl JsonLines {
    /// Writes to standard output; `dropped` counts what is lost.
    pub fn stdout(dropped: Counter) -> io::Result<Self> {
        Self::to(io::stdout(), dropped)
    }

    /// Writes to any writer.
    pub fn to(writer: impl Write + Send + 'static, dropped: Counter) -> io::Result<Self> {
        let (queue, lines) = channel();
        let (ending, ended) = watch::channel(false);
        let waiting = Arc::new(AtomicUsize::new(0));
        let written = Written {
            waiting: Arc::clone(&waiting),
            dropped: dropped.clone(),
        };
        thread::Builder::new().name("records".to_owned()).spawn(move || {
            write_lines(writer, &lines, &written);
            ending.send_replace(true);
        })?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            waiting,
            dropped,
            ended,
        })
    }

    /// Takes no more records and waits until those taken are written, at most this long. Whether all were.
    pub async fn close(&self, patience: Duration) -> bool {
        drop(self.queue.lock().take());
        let mut ended = self.ended.clone();
        matches!(
            tokio::time::timeout(patience, ended.wait_for(|ended| *ended)).await,
            Ok(Ok(_))
        )
    }
}

impl Sink for JsonLines {
    fn take(&self, record: &DecisionRecord) {
        let mut line = line(record);
        line.push(b'\n');
        let length = line.len();
        let fits = |waiting: usize| Some(waiting + length).filter(|waiting| *waiting <= QUEUE_BYTES);
        let queued = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
            && self.queue.lock().as_ref().is_some_and(|queue| queue.send(line).is_ok());
        if !queued {
            lost(
                &self.dropped,
                1,
                "standard output is blocked or closed: read it, or records are lost",
            );
        }
    }
}

struct Written {
    waiting: Arc<AtomicUsize>,
    dropped: Counter,
}

/// Writes what comes until the queue is closed. A writer that fails loses what it was given and is tried again with the
/// next lines.
fn write_lines(mut writer: impl Write, lines: &Receiver<Vec<u8>>, written: &Written) {
    let mut batch = Vec::new();
    while let Ok(line) = lines.recv() {
        batch.extend_from_slice(&line);
        let mut count = 1;
        while batch.len() < BATCH_BYTES
            && let Ok(line) = lines.try_recv()
        {
            batch.extend_from_slice(&line);
            count += 1;
        }
        if let Err(error) = writer.write_all(&batch).and_then(|()| writer.flush()) {
            lost(
                &written.dropped,
                count,
                &format!("cannot write to standard output: {error}"),
            );
        }
        written.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        batch.clear();
        batch.shrink_to(BATCH_BYTES);
    }
}

/// Counts lost records, and logs it each time their number doubles.
fn lost(dropped: &Counter, count: u64, why: &str) {
    let before = dropped.inc_by(count);
    let after = before + count;
    if before.checked_ilog2() != after.checked_ilog2() {
        tracing::error!(dropped = after, "records were not written: {why}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::super::tests::example;
    use super::*;

    /// Hands over what is written, and blocks until it is taken.
    struct Handing(std::sync::mpsc::SyncSender<Vec<u8>>);

    impl Write for Handing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn every_record_is_one_line_and_closing_waits_for_the_last() {
        let (writer, written) = sync_channel(0);
        let reader = thread::spawn(move || written.iter().flatten().collect::<Vec<u8>>());
        let lines = JsonLines::to(Handing(writer), Counter::default()).expect("a thread");
        for _ in 0..100 {
            lines.take(&example());
        }
        assert!(lines.close(Duration::from_secs(60)).await);
        let text = String::from_utf8(reader.join().expect("the reader ends")).expect("UTF-8");
        assert_eq!(text.lines().count(), 100);
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            let record: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            assert_eq!(record["schema"], super::super::SCHEMA);
        }
    }

    #[tokio::test]
    async fn a_blocked_reader_costs_records_but_holds_up_nobody() {
        let (writer, written) = sync_channel(0);
        let dropped = Counter::default();
        let lines = JsonLines::to(Handing(writer), dropped.clone()).expect("a thread");
        let length = line(&example()).len() + 1;
        let fit = QUEUE_BYTES / length;
        for _ in 0..fit + 7 {
            lines.take(&example());
        }
        assert_eq!(dropped.get(), 7, "nothing was read, so exactly the queue's size fits");
        assert!(!lines.close(Duration::from_millis(1)).await, "it is not all written");
        let reader = thread::spawn(move || written.iter().flatten().filter(|byte| *byte == b'\n').count());
        assert!(lines.close(Duration::from_secs(60)).await);
        assert_eq!(reader.join().expect("the reader ends"), fit);
        lines.take(&example());
        assert_eq!(dropped.get(), 8, "what comes after closing is counted as lost");
    }

    #[tokio::test]
    async fn a_broken_pipe_is_counted() {
        let (writer, written) = sync_channel(0);
        drop(written);
        let dropped = Counter::default();
        let lines = JsonLines::to(Handing(writer), dropped.clone()).expect("a thread");
        lines.take(&example());
        lines.take(&example());
        assert!(lines.close(Duration::from_secs(60)).await);
        assert_eq!(dropped.get(), 2);
    }
}
