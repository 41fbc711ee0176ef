//! A report as a Mermaid flowchart: subjects on the left, what they do in the middle, segments on the right; the binding
//! that lets them is on the arrow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::reach::{Act, Hop};
use super::report::Report;

/// Mermaid draws no more arrows than these unless its page says otherwise.
const MOST_ARROWS: usize = 500;

impl Report<'_> {
    /// The flowchart. Says in a comment how much was left out, where it is too much to draw.
    pub fn mermaid(&self) -> String {
        let mut drawing = Drawing::default();
        for finding in &self.findings {
            let segment = &self.segments[finding.segment].name;
            let in_place = |side: &str| match &finding.namespace {
                Some(namespace) => format!("{side} in {namespace}"),
                None => format!("{segment}: {side}"),
            };
            for (route, side) in [
                (&finding.manages, in_place("policies")),
                (&finding.places, in_place("pods")),
            ] {
                for hop in route {
                    self.draw(&mut drawing, hop, &side);
                }
            }
        }
        drawing.text()
    }

    fn draw(&self, drawing: &mut Drawing, hop: &Hop, side: &str) {
        let from = drawing.node(&self.grants.subject(hop.who).to_string(), Shape::Subject);
        let to = match hop.act {
            Act::Becomes(id) => drawing.node(&self.grants.subject(id).to_string(), Shape::Subject),
            Act::Holds | Act::Grants => drawing.node(side, Shape::Segment),
        };
        let binding = hop.grants.first().map(|grant| self.grants.binding(*grant).to_string());
        let label = match binding {
            Some(binding) => format!("{}<br>{}", escaped(&hop.does), escaped(&binding)),
            None => escaped(&hop.does),
        };
        drawing.arrows.insert((from, label, to));
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Subject,
    Segment,
}

#[derive(Default)]
struct Drawing {
    nodes: BTreeMap<String, usize>,
    lines: Vec<String>,
    arrows: BTreeSet<(usize, String, usize)>,
}

impl Drawing {
    fn node(&mut self, words: &str, shape: Shape) -> usize {
        if let Some(known) = self.nodes.get(words) {
            return *known;
        }
        let number = self.nodes.len();
        let words_escaped = escaped(words);
        self.lines.push(match shape {
            Shape::Subject => format!("  n{number}([\"{words_escaped}\"])"),
            Shape::Segment => format!("  n{number}{{{{\"{words_escaped}\"}}}}"),
        });
        self.nodes.insert(words.to_owned(), number);
        number
    }

    fn text(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        let drawn: Vec<_> = self.arrows.iter().take(MOST_ARROWS).collect();
        let left_out = self.arrows.len() - drawn.len();
        if left_out > 0 {
            let _ = writeln!(
                text,
                "  %% {left_out} arrows are left out: name segments with --segment, or use --output text"
            );
        }
        for (number, line) in self.lines.iter().enumerate() {
            if drawn.iter().any(|(from, _, to)| *from == number || *to == number) {
                let _ = writeln!(text, "{line}");
            }
        }
        for (from, label, to) in drawn {
            let _ = writeln!(text, "  n{from} -- \"{label}\" --> n{to}");
        }
        text
    }
}

/// Names of users are anybody's: nothing in them may end the label.
fn escaped(words: &str) -> String {
    let mut text = String::new();
    for character in words.chars() {
        match character {
            '"' => text.push_str("#quot;"),
            '#' => text.push_str("#35;"),
            '<' => text.push_str("#lt;"),
            '>' => text.push_str("#gt;"),
            character if character.is_control() => text.push(' '),
            character => text.push(character),
        }
    }
    text
}
