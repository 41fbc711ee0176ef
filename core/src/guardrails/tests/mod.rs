//! Configuration text in, compiled guardrails or problems out.

use super::*;

mod accepted;
mod arbitrary;
mod coverage;
mod derived;
mod profiles;
mod refused;
mod refused_settings;

/// One source.
fn source(text: &str) -> Source {
    Source {
        name: "guardrails.yaml".to_owned(),
        text: text.to_owned(),
    }
}

/// What a text compiles to, of which the test knows that it does.
#[track_caller]
fn accepted(text: &str) -> Compiled {
    compile(&[source(text)]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What a text is refused with.
#[track_caller]
fn refused(text: &str) -> Problems {
    match compile(&[source(text)]) {
        Ok(compiled) => panic!("accepted: {compiled:?}"),
        Err(problems) => problems,
    }
}

/// A Guardrails document with this spec (in flow style).
fn guardrails_with(spec: &str) -> String {
    format!("{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, spec: {spec}}}\n")
}
