//! `ringfence demo`: the real server over TLS on loopback, no cluster. It plays [`story::STORY`] to it, prints what kubectl
//! would print, and fails where anything differs from what has to come of it.

mod client;
pub mod stage;
pub mod story;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, bail, ensure};
use prometheus_client::registry::Registry;
use ringfence_core::review::Webhook;
use serde_json::Value;

use super::local::{Listen, Local};
use crate::record;
use crate::serve::Limits;
use client::Client;
use stage::Stage;
use story::{Expected, Prints, Recorded, STORY, Scene};

/// Show what ringfence refuses and what it lets pass: the real webhook on loopback, no cluster needed.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// Plays the demo to stdout.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {} = arguments;
    let runtime = tokio::runtime::Runtime::new().context("cannot start a runtime")?;
    runtime.block_on(play(&mut anstream::stdout().lock()))?;
    Ok(ExitCode::SUCCESS)
}

async fn play(out: &mut impl Write) -> anyhow::Result<()> {
    let (stage, mut registry) = (Stage::new()?, Registry::default());
    let server = Local::start(stage.reviewer(&mut registry), registry, Listen::FREE, Limits::default()).await?;
    let mut client = Client::connect(&server).await?;
    writeln!(
        out,
        "{BOLD}A NetworkPolicy lets whatever carries app=hollowapp reach the card database. Who may wear that label?{BOLD:#}\n\
         {DIM}The real webhook, over TLS on {}, with policies/hollowdb. Its answers, as kubectl prints them:{DIM:#}\n",
        server.address()
    )?;
    for (number, scene) in (1..).zip(STORY) {
        stage.switch(scene.mode)?;
        let mut refusal = None;
        let mut lines = Vec::new();
        for recorded in scene.reviews {
            let played = client
                .review(recorded.body)
                .await
                .and_then(|response| Played::new(&response)?.if_expected(recorded.expected))
                .with_context(|| format!("the demo did not go as it should: scene {number}, {}", recorded.file))?;
            lines.push(line(recorded)?);
            refusal = refusal.or(played.refusal);
        }
        tell(out, number, scene, refusal.as_deref(), &lines)?;
    }
    let record = stage.records().into_iter().find(|record| record.verdict == "deny");
    let record = record.context("the demo did not go as it should: the refusal is not on record")?;
    writeln!(
        out,
        "{BOLD}On record, one JSON line a decision; this is scene 2:{BOLD:#}"
    )?;
    out.write_all(&record::line(&record))?;
    write!(out, "\n\n{}", epilogue())?;
    drop(client);
    server.stop().await
}

/// What came of one review.
struct Played {
    allowed: bool,
    /// The static reasons of its findings, as the cluster's audit log would hold them.
    reasons: Vec<String>,
    /// The refusal as the API server words it.
    refusal: Option<String>,
}

impl Played {
    /// From the `response` of an AdmissionReview.
    fn new(response: &Value) -> anyhow::Result<Self> {
        let allowed = response["allowed"]
            .as_bool()
            .context("the answer does not say whether it is allowed")?;
        let refusal = match (allowed, response["status"]["message"].as_str()) {
            (true, _) => None,
            (false, Some(message)) => {
                let code = &response["status"]["code"];
                ensure!(*code == 403, "refused with code {code}: {message}");
                let webhook = Webhook::Workloads.name();
                Some(format!("admission webhook \"{webhook}\" denied the request: {message}"))
            }
            (false, None) => bail!("refused without a reason"),
        };
        let findings: Vec<Value> = match response["auditAnnotations"]["findings"].as_str() {
            None => Vec::new(),
            Some(text) => serde_json::from_str(text).context("the audit annotation `findings` is not JSON")?,
        };
        let reasons = findings.iter().filter_map(|finding| finding["reason"].as_str());
        Ok(Self {
            allowed,
            reasons: reasons.map(str::to_owned).collect(),
            refusal,
        })
    }

    fn if_expected(self, expected: Expected) -> anyhow::Result<Self> {
        let (allowed, reasons): (bool, &[&str]) = match expected {
            Expected::Untouched => (true, &[]),
            Expected::Permitted => (true, &["Permitted"]),
            Expected::Inherited => (true, &["Inherited"]),
            Expected::Denied => (false, &["LacksPermission"]),
            Expected::Recorded => (true, &["LacksPermission"]),
        };
        let Self {
            allowed: was_allowed,
            reasons: found,
            refusal,
        } = &self;
        ensure!(
            *was_allowed == allowed && found == reasons,
            "expected {expected:?}; it was {}, with findings {found:?}\n{}",
            if *was_allowed { "allowed" } else { "refused" },
            refusal.as_deref().unwrap_or_default()
        );
        Ok(self)
    }
}

/// What ringfence answered to a review, in one line.
fn line(recorded: &Recorded) -> anyhow::Result<String> {
    let review: Value = serde_json::from_str(recorded.body)?;
    let request = &review["request"];
    let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
    let user = text(&request["userInfo"]["username"]);
    let account = user.rsplit(':').next().unwrap_or_default();
    let answer = match recorded.expected {
        Expected::Untouched => "allowed, nothing to record",
        Expected::Permitted => "allowed, it may connect",
        Expected::Inherited => "allowed, its template was judged when it was written",
        Expected::Denied => "refused",
        Expected::Recorded => "allowed, recorded that she may not connect",
    };
    Ok(format!("{} by {account}: {answer}", text(&request["kind"]["kind"])))
}

fn tell(
    out: &mut impl Write,
    number: usize,
    scene: &Scene,
    refusal: Option<&str>,
    reviews: &[String],
) -> anyhow::Result<()> {
    let Scene {
        title, user, command, ..
    } = scene;
    writeln!(out, "{BOLD}{number}. {title}{BOLD:#}")?;
    writeln!(out, "   {DIM}{} ${DIM:#} {command}", user.name())?;
    match (scene.prints, refusal) {
        (Prints::Done(done), None) => writeln!(out, "   {GOOD}{done}{GOOD:#}")?,
        (Prints::Refused(prefix), Some(refusal)) => writeln!(out, "{}", Indented(&format!("{prefix}{refusal}")))?,
        (prints, refusal) => bail!("scene {number} should print {prints:?}, and the webhook said {refusal:?}"),
    }
    if refusal.is_none() {
        for review in reviews {
            writeln!(out, "   {DIM}ringfence: {review}{DIM:#}")?;
        }
    }
    writeln!(out)?;
    Ok(())
}

/// A refusal, as kubectl prints it, indented.
struct Indented<'a>(&'a str);

impl fmt::Display for Indented<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.lines().map(|line| format!("   {BAD}{line}{BAD:#}")).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

fn epilogue() -> String {
    format!(
        "{BOLD}Next:{BOLD:#}
  ringfence validate policies/hollowdb/guardrails.yaml    change a selector, see what it says of mistakes
  ringfence serve --standalone policies/hollowdb          the same webhook on your own files, to be asked with curl
  kubectl apply -k deploy/                                a cluster of your own; README.md goes on from there
"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn denial() -> Value {
        json!({
            "allowed": false,
            "status": {"code": 403, "message": "pod web/rogue may not"},
            "auditAnnotations": {"findings": "[{\"reason\": \"LacksPermission\"}]"},
        })
    }

    #[test]
    fn a_denial_is_worded_as_the_api_server_words_it() {
        let played = Played::new(&denial()).and_then(|played| played.if_expected(Expected::Denied));
        assert_eq!(
            played.expect("it was to be refused").refusal.as_deref(),
            Some("admission webhook \"workloads.guard.ringfence.dev\" denied the request: pod web/rogue may not")
        );
    }

    #[rstest::rstest]
    #[case::refused_instead_of_allowed(denial(), Expected::Permitted)]
    #[case::allowed_instead_of_refused(json!({"allowed": true}), Expected::Denied)]
    #[case::allowed_for_another_reason(
        json!({"allowed": true, "auditAnnotations": {"findings": "[{\"reason\": \"Permitted\"}]"}}),
        Expected::Inherited
    )]
    #[case::allowed_without_a_reason(json!({"allowed": true}), Expected::Permitted)]
    fn what_differs_from_the_story_is_an_error(#[case] response: Value, #[case] expected: Expected) {
        let outcome = Played::new(&response).and_then(|played| played.if_expected(expected));
        let Err(error) = outcome else {
            panic!("{response} passed for {expected:?}")
        };
        assert!(
            error.to_string().starts_with(&format!("expected {expected:?}")),
            "{error}"
        );
    }
}
