//! Whatever the text, [`compile`] answers: it never panics, and a problem always points into the text.

use proptest::prelude::*;

use crate::guardrails::{Source, compile};

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
}
