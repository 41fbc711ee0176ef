//! [`Decision`]: the verdict with all findings: what is answered, recorded and explained.

use super::Finding;

/// The verdict with all findings, worst first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is answered.
    pub verdict: Verdict,
    /// Everything the rules found, worst first; empty for a plain allow.
    pub findings: Vec<Finding>,
    /// One line each, at most 120 characters, beginning `ringfence:`.
    pub warnings: Vec<String>,
}

/// What is answered to the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Let in.
    Allow,
    /// Refused, with the text that kubectl prints. HTTP-like code 403.
    Deny(String),
    /// Refused for now: something had to be known and could not be. HTTP-like code 429.
    Retry(String, RetryAfter),
}

/// After how many seconds a client should try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryAfter(pub u32);

impl Decision {
    /// Let in without a finding: nothing is recorded.
    pub fn plain_allow() -> Self {
        Self {
            verdict: Verdict::Allow,
            findings: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Whether it is let in.
    pub fn allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allow)
    }

    /// The static word for records and metrics: `allow`, `warn`, `audit`, `deny`, `retry`.
    pub fn outcome(&self) -> &'static str {
        use super::Mode;
        match self.verdict {
            Verdict::Deny(_) => "deny",
            Verdict::Retry(..) => "retry",
            Verdict::Allow => {
                let refused = self.findings.iter().filter(|finding| finding.reason.refuses());
                match refused.map(|finding| finding.mode).max() {
                    None => "allow",
                    Some(Mode::Audit) => "audit",
                    Some(Mode::Warn | Mode::Enforce) => "warn",
                }
            }
        }
    }
}
