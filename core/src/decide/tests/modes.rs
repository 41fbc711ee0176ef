//! What becomes of a write of a policy that a segment's owner did not allow is for the segment's mode to say, whichever rule
//! refuses it.

use super::*;

#[rstest]
#[case::warned("{mode: Warn}", "warn")]
#[case::recorded("{mode: Audit}", "audit")]
#[case::capped("{mode: Enforce, rollout: {namespaces: [{name: payments, mode: Audit}]}}", "audit")]
#[case::enforced("{mode: Enforce}", "deny")]
fn the_mode_of_the_segment_holds(
    #[values(manage::refused, require_isolation::refused, cross::refused)] refused: fn(&str) -> Decision,
    #[case] settings: &str,
    #[case] outcome: &str,
) {
    assert_eq!(refused(settings).outcome(), outcome);
}
