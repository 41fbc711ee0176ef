//! `ringfence schema KIND`: the JSON Schema (draft 2020-12) of what people write and of what ringfence prints, so that
//! editors complete the one and programs read the other.

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use ringfence_core::guardrails::documents::Kind;
use ringfence_core::guardrails::schema;
use schemars::{Schema, schema_for};

use crate::audit::FindingRecord;
use crate::record::DecisionRecord;

/// What there is a schema of: its name on the command line, and the schema.
type Row = (&'static str, fn() -> Schema);

const SCHEMAS: &[Row] = &[
    ("guardrails", || schema(Kind::Guardrails)),
    ("segment", || schema(Kind::Segment)),
    ("isolationprofile", || schema(Kind::IsolationProfile)),
    ("decision", || schema_for!(DecisionRecord)),
    ("duties", || schema_for!(FindingRecord)),
];

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SCHEMAS.iter().map(|(name, _)| *name))
}

/// Arguments of `ringfence schema`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A kind of configuration; `decision`: the records of `ringfence serve`; `duties`: those of `ringfence audit sod`.
    #[arg(value_name = "KIND", ignore_case = true, value_parser = names())]
    kind: String,
}

/// Prints the schema as JSON.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    println!("{}", text(&arguments.kind)?);
    Ok(ExitCode::SUCCESS)
}

fn text(kind: &str) -> anyhow::Result<String> {
    let (_, schema) = SCHEMAS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(kind))
        .ok_or_else(|| anyhow::anyhow!("there is no schema of {kind}"))?;
    Ok(serde_json::to_string_pretty(&schema())?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn printed(kind: &str) -> Value {
        let command = Command::try_parse_from(["schema", kind]).expect("a kind");
        serde_json::from_str(&text(&command.arguments.kind).expect("a schema")).expect("JSON")
    }

    #[rstest::rstest]
    #[case("guardrails", "Guardrails")]
    #[case("Segment", "Segment")]
    #[case("IsolationProfile", "IsolationProfile")]
    fn kinds_are_found_in_any_case(#[case] kind: &str, #[case] title: &str) {
        let schema = printed(kind);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], title);
        assert_eq!(schema["properties"]["kind"]["enum"], serde_json::json!([title]));
        assert_eq!(schema["additionalProperties"], false);
    }

    #[test]
    fn records_have_a_schema() {
        assert_eq!(
            printed("decision")["properties"]["schema"]["const"],
            crate::record::SCHEMA
        );
    }

    #[test]
    fn what_has_no_schema_is_refused_with_what_has() {
        let error = Command::try_parse_from(["schema", "pod"])
            .expect_err("not a kind")
            .to_string();
        assert!(error.contains("isolationprofile"), "{error}");
    }

    #[test]
    fn editors_are_told_what_fields_mean() {
        let schema = printed("segment");
        let members = &schema["properties"]["spec"]["properties"]["members"];
        assert_eq!(members["minItems"], 1);
        insta::assert_snapshot!(members["items"]["properties"]["podSelector"]["description"].as_str().unwrap_or_default(),
            @"Which pods there; `{}` is every pod.");
        let mode = &printed("guardrails")["properties"]["spec"]["properties"]["mode"];
        assert_eq!(mode["enum"], serde_json::json!(["Audit", "Warn", "Enforce"]));
        assert_eq!(mode["default"], "Audit");
    }
}
