//! Configuration text in, compiled guardrails or problems out.

use super::*;

mod accepted;

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
