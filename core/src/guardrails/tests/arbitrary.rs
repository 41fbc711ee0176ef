//! Whatever the text, [`compile`] answers: it never panics, and a problem always points into the text.

use proptest::prelude::*;

use super::guardrails_with;
use crate::guardrails::{Source, compile};
use crate::labels::{Labels, Operator, Requirement, Selector};

/// Every field of every kind, so that mutations reach all of the reading code.
const EVERYTHING: &str = include_str!("everything.yaml");

fn answers(text: &str) -> Result<(), TestCaseError> {
    let sources = [Source {
        name: "a.yaml".to_owned(),
        text: text.to_owned(),
    }];
    let Err(problems) = compile(&sources) else {
        return Ok(());
    };
    prop_assert!(!problems.0.is_empty());
    let lines = text.split('\n').count();
    for problem in &problems.0 {
        prop_assert!(problem.line <= lines, "{} of {lines}: {problem}", problem.line);
        prop_assert_eq!(problem.line == 0, problem.column == 0);
        prop_assert!(!problem.message.is_empty());
    }
    prop_assert!(problems.to_string().contains(&problems.0[0].message));
    Ok(())
}

#[test]
fn everything_is_of_the_right_shape() {
    let sources = [Source {
        name: "a.yaml".to_owned(),
        text: EVERYTHING.to_owned(),
    }];
    let problems = compile(&sources).expect_err("much of it is not yet supported");
    for problem in problems.0 {
        assert!(problem.message.contains("is not yet supported"), "{problem}");
    }
}

/// One requirement as written.
type Written = (&'static str, &'static str, Vec<&'static str>);

fn requirement() -> impl Strategy<Value = Written> {
    let key = prop::sample::select(vec!["k1", "k2"]);
    let values = prop::sample::subsequence(vec!["v1", "v2", "v3"], 1..3);
    (
        key,
        prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]),
        values,
    )
        .prop_map(|(key, operator, values)| match operator {
            "In" | "NotIn" => (key, operator, values),
            _ => (key, operator, Vec::new()),
        })
}

/// Whether any pod at all matches: every combination of the values that are named, one that is not, and absence.
fn can_match(requirements: &[Written]) -> bool {
    let compiled = |(key, operator, values): &Written| Requirement {
        key: (*key).to_owned(),
        operator: Operator::new(operator, values.iter().map(|value| (*value).to_owned()).collect()).expect("valid"),
    };
    let selector = Selector::new(requirements.iter().map(compiled).collect());
    let choices = [None, Some("v1"), Some("v2"), Some("v3"), Some("other")];
    choices.iter().any(|first| {
        choices.iter().any(|second| {
            let pairs = [("k1", first), ("k2", second)];
            let labels: Labels<'_> = pairs
                .into_iter()
                .filter_map(|(key, value)| Some((key, (*value)?)))
                .collect();
            selector.matches(&labels)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        answers(&text)?;
    }

    #[test]
    fn text_that_looks_like_yaml(text in "([a-cA-Z&*!|>'\"%@#:,?{}\\[\\]\t -]|\n|---\n|: |- |é){0,200}") {
        answers(&text)?;
    }

    #[test]
    fn a_valid_text_with_a_piece_replaced(
        at in any::<prop::sample::Index>(),
        length in 0usize..40,
        piece in prop_oneof![
            Just(String::new()),
            "[ -~\n]{0,12}",
            prop::sample::select(vec!["null", "[]", "{}", "7", "true", "-1", "1e999", ".nan", "*a", "&a ", "!!str ", "<<: ", "é", "\"", "\t"])
                .prop_map(str::to_owned),
        ],
    ) {
        let start = EVERYTHING.floor_char_boundary(at.index(EVERYTHING.len()));
        let end = EVERYTHING.floor_char_boundary((start + length).min(EVERYTHING.len()));
        let text = format!("{}{piece}{}", &EVERYTHING[..start], &EVERYTHING[end.max(start)..]);
        answers(&text)?;
    }

    #[test]
    fn a_valid_text_with_lines_dropped_and_doubled(choices in prop::collection::vec(0u8..20, 120)) {
        let text: String = EVERYTHING
            .lines()
            .zip(choices.iter().cycle())
            .flat_map(|(line, choice)| std::iter::repeat_n(format!("{line}\n"), match choice { 0 => 0, 1 => 2, _ => 1 }))
            .collect();
        answers(&text)?;
    }

    #[test]
    fn a_selector_is_refused_where_no_pod_can_match_it(requirements in prop::collection::vec(requirement(), 0..6)) {
        let expression = |(key, operator, values): &Written| match values.as_slice() {
            [] => format!("{{key: {key}, operator: {operator}}}"),
            values => format!("{{key: {key}, operator: {operator}, values: [{}]}}", values.join(", ")),
        };
        let expressions: Vec<String> = requirements.iter().map(expression).collect();
        let text = guardrails_with("{}")
            + &format!(
                "---\n{{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: s}}, spec: {{members: \
                 [{{namespaces: [a], podSelector: {{matchExpressions: [{}]}}}}]}}}}\n",
                expressions.join(", ")
            );
        let compiled = compile(&[Source { name: "a.yaml".to_owned(), text }]);
        prop_assert_eq!(compiled.is_ok(), can_match(&requirements), "{:?}: {:?}", requirements, compiled.err());
    }
}
