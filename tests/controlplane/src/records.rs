//! The records of a replica: JSON lines on its standard output, read as they come, for tests to
//! wait on.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::wait::TimedOut;

/// What a program has said on standard output so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Records {
    said: Arc<(Mutex<Said>, Condvar)>,
}

#[derive(Debug, Default)]
struct Said {
    records: Vec<Value>,
    /// Lines that are not JSON: a defect, kept to be shown.
    others: Vec<String>,
}

impl Records {
    /// Reads `output` to its end, in a thread of its own.
    pub(crate) fn read(&self, output: impl Read + Send + 'static) {
        let records = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut said = records.said();
                match serde_json::from_str(&line) {
                    Ok(record) => said.records.push(record),
                    Err(_) => said.others.push(line),
                }
                drop(said);
                records.said.1.notify_all();
            }
        });
    }

    /// All records so far, oldest first.
    pub fn all(&self) -> Vec<Value> {
        self.said().records.clone()
    }

    /// Lines on standard output that are not JSON; there should be none.
    pub fn others(&self) -> Vec<String> {
        self.said().others.clone()
    }

    /// Waits for a record that `matches`, one that is there already included.
    ///
    /// # Errors
    /// If there is none in time; the error shows those that there are.
    pub fn wait_for(
        &self,
        timeout: Duration,
        what: &str,
        mut matches: impl FnMut(&Value) -> bool,
    ) -> Result<Value, TimedOut> {
        let mut found = None;
        let search = |said: &mut Said| {
            found = said.records.iter().find(|record| matches(record)).cloned();
            found.is_none()
        };
        let waited = self.said.1.wait_timeout_while(self.said(), timeout, search);
        let (said, _) = waited.unwrap_or_else(PoisonError::into_inner);
        found.ok_or_else(|| {
            let there_are: Vec<String> = said.records.iter().map(Value::to_string).collect();
            let what = format!("a record of {what}; there are:\n{}", there_are.join("\n"));
            TimedOut { what, timeout }
        })
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        // A thread that panicked with the lock left the records as valid as before.
        self.said.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_waited_for_and_what_is_no_record_is_kept() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let records = Records::default();
        records.read(reader);
        let writing = thread::spawn(move || {
            use std::io::Write as _;
            writer
                .write_all(b"{\"verdict\":\"Allow\"}\noops\n{\"verdict\":\"Deny\"}\n")
                .expect("written");
        });
        let denied = records.wait_for(Duration::from_secs(10), "a denial", |record| {
            record["verdict"] == "Deny"
        });
        assert_eq!(denied.expect("it comes"), serde_json::json!({"verdict": "Deny"}));
        assert_eq!((records.all().len(), records.others()), (2, vec!["oops".to_owned()]));
        writing.join().expect("written");
        let error = records.wait_for(Duration::ZERO, "rain", |record| record["verdict"] == "Rain");
        let error = error.expect_err("it never comes").to_string();
        assert!(error.contains("{\"verdict\":\"Deny\"}"), "{error}");
    }
}
