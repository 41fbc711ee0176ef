//! The mutating webhook: whether a pod gets the gate behind which it waits for policies to settle, as a JSON patch. It
//! judges nothing and refuses nothing: that is for the validating webhook, which sees what came of this. What cannot be
//! understood stays as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use ringfence_core::decide::{Gates, Gating, gate};
use ringfence_core::guardrails::SETTLE_GATE;
use ringfence_core::model::{Answers, Request, Snapshot};
use ringfence_core::review::{CustomKinds, decode, respond_patched};
use serde_json::json;
use tokio::time::Instant;

use super::{Answerer, Engine};
use crate::serve::Reply;

/// Gating asks one question.
const MOST_ROUNDS: usize = 1;

impl<A: Answerer> Engine<A> {
    /// The reply to what comes in by the mutating webhook.
    pub(super) async fn gate(&self, body: &Bytes, received: Instant) -> Reply {
        let snapshot = self.current.load();
        let custom = snapshot
            .as_ref()
            .map(|snapshot| CustomKinds::from(snapshot.guardrails.as_ref()));
        let request = match decode(body, custom.unwrap_or_default()) {
            Ok(request) => request,
            Err(undecodable) => {
                let text = undecodable.to_string();
                return match undecodable.uid {
                    Some(uid) => Reply::Review(respond_patched(&uid, None).into()),
                    None => Reply::Malformed(text),
                };
            }
        };
        let gates = match &snapshot {
            Some(snapshot) => self.gates(snapshot, &request, received).await,
            None => None,
        };
        let patch = gates.and_then(patch).map(|json| STANDARD.encode(json));
        Reply::Review(respond_patched(&request.uid, patch.as_deref()).into())
    }

    /// The gates that a pod has which gets ours; none where it stays as it is.
    async fn gates(&self, snapshot: &Snapshot, request: &Request<'_>, received: Instant) -> Option<Gates> {
        let mut answers = Answers::new();
        for _ in 0..MOST_ROUNDS {
            match gate(snapshot, request, &answers) {
                Gating::Ask(asked) => self.answer(request, asked, received, &mut answers).await,
                Gating::Leave => return None,
                Gating::Gate(gates) => return Some(gates),
            }
        }
        match gate(snapshot, request, &answers) {
            Gating::Gate(gates) => Some(gates),
            Gating::Ask(_) | Gating::Leave => None,
        }
    }
}

/// The patch that puts the gate on, as JSON. A list of values that all are JSON always serializes.
fn patch(gates: Gates) -> Option<Vec<u8>> {
    let gate = json!({"name": SETTLE_GATE});
    let list = ["spec", "schedulingGates"];
    let operation = match gates {
        Gates::None => AddOperation {
            path: PointerBuf::from_tokens(list),
            value: json!([gate]),
        },
        Gates::Some => AddOperation {
            path: PointerBuf::from_tokens(list.into_iter().chain(["-"])),
            value: gate,
        },
    };
    serde_json::to_vec(&Patch(vec![PatchOperation::Add(operation)])).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[rstest]
    #[case::the_first(json!({"spec": {"containers": []}}), Gates::None, json!([{"name": SETTLE_GATE}]))]
    #[case::an_empty_list(json!({"spec": {"schedulingGates": []}}), Gates::None, json!([{"name": SETTLE_GATE}]))]
    #[case::beside_another(
        json!({"spec": {"schedulingGates": [{"name": "a/b"}]}}),
        Gates::Some,
        json!([{"name": "a/b"}, {"name": SETTLE_GATE}])
    )]
    fn the_patch_puts_the_gate_on(#[case] mut pod: Value, #[case] gates: Gates, #[case] expected: Value) {
        let json = patch(gates).expect("it serializes");
        let patch: Patch = serde_json::from_slice(&json).expect("a JSON patch");
        json_patch::patch(&mut pod, &patch).expect("it applies");
        assert_eq!(pod["spec"]["schedulingGates"], expected);
    }
}
