//! Clients in a hurry: some make namespaces as fast as the API server takes them, others put a pod into each at once, and
//! try again where a webhook did not answer, as people do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use ringfence_controlplane::{ControlPlane, Response};
use serde_json::{Value, json};

use crate::world::{DEVELOPER, eventually, held_pod, wanted};

/// How many clients make namespaces, and how many pods.
const MAKERS: usize = 4;
const DEVELOPERS: usize = 8;

/// Namespaces to be made, each with a pod at once.
pub(crate) struct Storm<'c> {
    cluster: &'c ControlPlane,
    /// What their names begin with.
    prefix: &'c str,
    namespaces: usize,
}

/// What it was like.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    /// How long it took as a whole.
    pub(crate) took: Duration,
    /// How long each first pod took, attempts that failed included.
    pub(crate) first_pods: Vec<Duration>,
    /// How often somebody had to try again.
    pub(crate) again: usize,
}

impl<'c> Storm<'c> {
    /// So many, of these names.
    pub(crate) fn of(cluster: &'c ControlPlane, prefix: &'c str, namespaces: usize) -> Self {
        Self {
            cluster,
            prefix,
            namespaces,
        }
    }

    /// Makes them all; does something once half of them are made.
    pub(crate) fn rage(&self, halfway: impl FnOnce()) -> Weather {
        let (began, again) = (Instant::now(), AtomicUsize::new(0));
        let (next, half) = (AtomicUsize::new(0), self.namespaces / 2);
        let (ready, made) = mpsc::channel::<usize>();
        let made = Mutex::new(made);
        let first_pods = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..MAKERS {
                let (next, again, ready) = (&next, &again, ready.clone());
                scope.spawn(move || {
                    while let Some(number) = claim(next, self.namespaces) {
                        self.make(number, again);
                        ready.send(number).expect("somebody takes it");
                    }
                });
            }
            drop(ready);
            for _ in 0..DEVELOPERS {
                let (made, first_pods, again) = (&made, &first_pods, &again);
                scope.spawn(move || {
                    let take = || made.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    while let Ok(number) = take() {
                        let took = self.pod(number, "first", again);
                        first_pods.lock().unwrap_or_else(PoisonError::into_inner).push(took);
                    }
                });
            }
            eventually("half of the namespaces", || {
                (next.load(Ordering::SeqCst) >= half).then_some(())
            });
            halfway();
        });
        Weather {
            took: began.elapsed(),
            first_pods: first_pods.into_inner().unwrap_or_else(PoisonError::into_inner),
            again: again.into_inner(),
        }
    }

    /// Makes them all, and no pods.
    pub(crate) fn make_all(&self) {
        let (next, again) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..DEVELOPERS {
                scope.spawn(|| {
                    while let Some(number) = claim(&next, self.namespaces) {
                        let namespace = json!({"metadata": {"name": self.name(number)}});
                        self.until_taken("admin", "/api/v1/namespaces", &namespace, &again);
                    }
                });
            }
        });
    }

    /// Puts another pod into each, as fast as it goes; how long each took.
    pub(crate) fn later_pods(&self) -> Vec<Duration> {
        let (next, again) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let developers: Vec<_> = (0..DEVELOPERS)
                .map(|_| {
                    let (next, again) = (&next, &again);
                    scope.spawn(move || {
                        let numbers = std::iter::from_fn(|| claim(next, self.namespaces));
                        numbers
                            .map(|number| self.pod(number, "later", again))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let took = developers
                .into_iter()
                .map(|developer| developer.join().expect("it ends"));
            took.flatten().collect()
        })
    }

    /// Makes them one after the other, each with two pods; how long the first and the second took.
    pub(crate) fn breeze(&self) -> (Vec<Duration>, Vec<Duration>) {
        let again = AtomicUsize::new(0);
        let pods = (0..self.namespaces).map(|number| {
            self.make(number, &again);
            (self.pod(number, "first", &again), self.pod(number, "later", &again))
        });
        pods.unzip()
    }

    /// Makes each so often, with a pod at once, and deletes it in between.
    pub(crate) fn again_and_again(&self, rounds: usize) -> Weather {
        let (began, again, next) = (Instant::now(), AtomicUsize::new(0), AtomicUsize::new(0));
        let first_pods = std::thread::scope(|scope| {
            let people: Vec<_> = (0..DEVELOPERS)
                .map(|_| {
                    let (next, again) = (&next, &again);
                    scope.spawn(move || {
                        let numbers = std::iter::from_fn(|| claim(next, self.namespaces));
                        let rounds = numbers.flat_map(|number| (0..rounds).map(move |round| (number, round)));
                        let pods = rounds.map(|(number, round)| {
                            if round > 0 {
                                self.delete(number);
                            }
                            self.make(number, again);
                            self.pod(number, "first", again)
                        });
                        pods.collect::<Vec<_>>()
                    })
                })
                .collect();
            let pods = people.into_iter().flat_map(|person| person.join().expect("it ends"));
            pods.collect()
        });
        Weather {
            took: began.elapsed(),
            first_pods,
            again: again.into_inner(),
        }
    }

    /// Puts the policies of the profile there, as somebody who comes late.
    pub(crate) fn isolate(&self, number: usize) {
        let path = format!(
            "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
            self.name(number)
        );
        for (name, spec) in wanted() {
            let policy = json!({"metadata": {"name": name}, "spec": spec});
            self.cluster.request("admin", "POST", &path).json(&policy).send().ok();
        }
    }

    fn name(&self, number: usize) -> String {
        format!("{}-{number}", self.prefix)
    }

    /// Deletes a namespace and waits until it is gone.
    fn delete(&self, number: usize) {
        let path = format!("/api/v1/namespaces/{}", self.name(number));
        self.cluster.request("admin", "DELETE", &path).send().ok();
        eventually(&format!("{path} to be gone"), || {
            (self.cluster.request("admin", "GET", &path).send().status == 404).then_some(())
        });
    }

    /// Makes a namespace, and the account without which the API server takes no pod: its controller takes its time.
    fn make(&self, number: usize, again: &AtomicUsize) {
        let name = self.name(number);
        let namespace = json!({"metadata": {"name": name}});
        self.until_taken("admin", "/api/v1/namespaces", &namespace, again);
        let account = json!({"metadata": {"name": "default"}});
        let path = format!("/api/v1/namespaces/{name}/serviceaccounts");
        self.until_taken("admin", &path, &account, again);
    }

    fn pod(&self, number: usize, pod: &str, again: &AtomicUsize) -> Duration {
        let began = Instant::now();
        let path = format!("/api/v1/namespaces/{}/pods", self.name(number));
        self.until_taken(DEVELOPER, &path, &held_pod(pod), again);
        began.elapsed()
    }

    fn until_taken(&self, user: &str, path: &str, object: &Value, again: &AtomicUsize) {
        eventually(&format!("{path} to be taken"), || {
            let answer = self.cluster.request(user, "POST", path).json(object).try_send();
            let taken = answer.as_ref().is_ok_and(is_taken);
            if !taken {
                again.fetch_add(1, Ordering::Relaxed);
            }
            taken.then_some(())
        });
    }
}

/// Whether it was taken; not yet where somebody did not answer in time.
fn is_taken(answer: &Response) -> bool {
    match answer.status {
        // There already: made by an attempt whose answer was lost, or by a controller.
        201 | 409 => true,
        429 | 500 | 502 | 503 | 504 => false,
        _ => panic!("{answer}"),
    }
}

/// The next number below the limit.
fn claim(next: &AtomicUsize, limit: usize) -> Option<usize> {
    let number = next.fetch_add(1, Ordering::SeqCst);
    (number < limit).then_some(number)
}

/// `p50 4.1 ms, p99 9.8 ms`.
pub(crate) fn quantiles(took: &[Duration]) -> String {
    format!("p50 {:.1} ms, p99 {:.1} ms", quantile(took, 50), quantile(took, 99))
}

/// What one took beyond the other: `p50 +4.1 ms, p99 +9.8 ms`.
pub(crate) fn added(took: &[Duration], bare: &[Duration]) -> String {
    let added = |percent| quantile(took, percent) - quantile(bare, percent);
    format!("p50 {:+.1} ms, p99 {:+.1} ms", added(50), added(99))
}

/// In milliseconds.
fn quantile(took: &[Duration], percent: usize) -> f64 {
    let mut took = took.to_vec();
    took.sort_unstable();
    took[(took.len() * percent / 100).min(took.len() - 1)].as_secs_f64() * 1e3
}
