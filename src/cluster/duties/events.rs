//! [`Events`]: says as a Kubernetes Event on our ConfigMap when it is not what is in force, and when it is again.

use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::watch;

use super::doing;
use crate::cluster::configuration::{Standing, Trouble, shortened};
use crate::cluster::duty::Duty;
use crate::cluster::{Clients, Error, changed};

/// The most bytes of an Event's note (events.k8s.io/v1, `note`).
const NOTE: usize = 1024;

/// Tells by Events how the configuration stands.
pub(in crate::cluster) struct Events {
    client: Client,
    reporter: Reporter,
    standing: watch::Receiver<Standing>,
    said: Said,
}

/// What was said last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// Nothing yet: that all is well need not be said.
    Nothing,
    InForce(String),
    Complaint(String),
}

/// An Event to be raised.
#[derive(Debug, PartialEq, Eq)]
struct News {
    type_: EventType,
    reason: &'static str,
    note: String,
}

impl Events {
    pub(in crate::cluster) fn new(clients: &Clients, pod_name: &str, standing: watch::Receiver<Standing>) -> Self {
        Self {
            client: clients.writes.clone(),
            reporter: Reporter {
                controller: "ringfence".to_owned(),
                instance: Some(pod_name.to_owned()),
            },
            standing,
            said: Said::Nothing,
        }
    }
}

/// What has to be said now after what was said last, and what will have been said then.
fn news(standing: &Standing, said: &Said) -> Option<(Option<News>, Said)> {
    if let (Some(trouble), Some(complaint)) = (&standing.trouble, standing.complaint()) {
        let reason = match trouble {
            Trouble::Missing => "GuardrailsMissing",
            Trouble::Invalid(_) => "GuardrailsInvalid",
        };
        let news = News {
            type_: EventType::Warning,
            reason,
            note: cut(&complaint),
        };
        let now = Said::Complaint(complaint);
        return (*said != now).then_some((Some(news), now));
    }
    let in_force = standing.in_force.as_ref()?;
    let revision = &in_force.guardrails.revision;
    let now = Said::InForce(revision.to_string());
    if *said == now {
        return None;
    }
    let news = (*said != Said::Nothing).then(|| News {
        type_: EventType::Normal,
        reason: "GuardrailsInForce",
        note: format!(
            "revision {revision} is in force, {} segments",
            in_force.guardrails.segments.len()
        ),
    });
    Some((news, now))
}

/// A note of at most the length that an Event takes; what holds meanwhile, at the end, is kept.
fn cut(complaint: &str) -> String {
    let (problems, meanwhile) = complaint.rsplit_once('\n').unwrap_or((complaint, ""));
    let room = NOTE.saturating_sub(meanwhile.len() + 1);
    format!("{}\n{meanwhile}", shortened(problems, room))
}

impl Duty for Events {
    const NAME: &'static str = "events";

    async fn pass(&mut self) -> Result<(), Error> {
        let (standing_news, reference) = {
            let standing = self.standing.borrow();
            (news(&standing, &self.said), standing.reference.clone())
        };
        let Some((news, said)) = standing_news else {
            return Ok(());
        };
        if let Some(News { type_, reason, note }) = news {
            let event = Event {
                type_,
                reason: reason.to_owned(),
                note: Some(note),
                action: "Load".to_owned(),
                secondary: None,
            };
            // A recorder of its own each time: one that is kept would count another note as the same Event.
            let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            let published = recorder.publish(&event, &reference).await;
            published.map_err(doing("create an Event on the ConfigMap"))?;
        }
        self.said = said;
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), Error> {
        changed(&mut self.standing).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::configuration::InForce;

    fn in_force() -> Arc<InForce> {
        let empty = InForce::new(Vec::new()).unwrap_or_else(|problems| panic!("{problems}"));
        Arc::new(empty)
    }

    fn standing(trouble: Option<Trouble>) -> Standing {
        Standing {
            in_force: Some(in_force()),
            trouble,
            ..Standing::default()
        }
    }

    fn told(standing: &Standing, said: &mut Said) -> Option<News> {
        let (news, now) = news(standing, said)?;
        *said = now;
        news
    }

    #[test]
    fn that_all_is_well_is_said_only_after_something_else() {
        let mut said = Said::Nothing;
        assert_eq!(told(&standing(None), &mut said), None);
        let broken = standing(Some(Trouble::Invalid("error: no such key".to_owned())));
        let news = told(&broken, &mut said).expect("said");
        assert_eq!((news.type_, news.reason), (EventType::Warning, "GuardrailsInvalid"));
        assert!(news.note.contains("no such key"), "{}", news.note);
        assert!(news.note.contains("stays in force"), "{}", news.note);
        assert_eq!(told(&broken, &mut said), None);
        let gone = told(&standing(Some(Trouble::Missing)), &mut said).expect("said");
        assert_eq!(gone.reason, "GuardrailsMissing");
        let well = told(&standing(None), &mut said).expect("said");
        assert_eq!((well.type_, well.reason), (EventType::Normal, "GuardrailsInForce"));
    }

    #[test]
    fn a_long_complaint_is_cut_but_says_what_holds() {
        let standing = standing(Some(Trouble::Invalid("ä".repeat(4000))));
        let note = cut(&standing.complaint().expect("a complaint"));
        assert!(note.len() <= NOTE, "{}", note.len());
        assert!(note.ends_with("stays in force"), "{note}");
    }
}
