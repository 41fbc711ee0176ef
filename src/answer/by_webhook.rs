//! [`ByWebhook`]: two reviewers behind one door: what becomes our configuration is judged by one, everything else by the
//! other. Whoever judges configuration tells it to the same [`Recorder`](crate::record::Recorder).

use bytes::Bytes;
use ringfence_core::review::Webhook;

use crate::serve::{Reply, Reviewer};

/// Hands a review to one of two reviewers by the webhook it came in by.
#[derive(Debug, Clone)]
pub struct ByWebhook<G, C> {
    /// Judges what comes in by [`Webhook::Config`].
    pub config: C,
    /// Judges everything else.
    pub guard: G,
}

impl<G: Reviewer, C: Reviewer> Reviewer for ByWebhook<G, C> {
    async fn review(&self, webhook: Webhook, body: Bytes) -> Reply {
        match webhook {
            Webhook::Config => self.config.review(webhook, body).await,
            Webhook::Workloads | Webhook::Namespaces | Webhook::NetworkPolicies | Webhook::Mutate | Webhook::Open => {
                self.guard.review(webhook, body).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str);

    impl Reviewer for Named {
        async fn review(&self, _: Webhook, _: Bytes) -> Reply {
            Reply::Malformed(self.0.to_owned())
        }
    }

    #[tokio::test]
    async fn only_configuration_goes_to_its_own_reviewer() {
        let reviewer = ByWebhook {
            config: Named("config"),
            guard: Named("guard"),
        };
        for webhook in Webhook::ALL {
            let expected = if webhook == Webhook::Config { "config" } else { "guard" };
            let reply = reviewer.review(webhook, Bytes::new()).await;
            assert_eq!(reply, Reply::Malformed(expected.to_owned()), "{webhook:?}");
        }
    }
}
