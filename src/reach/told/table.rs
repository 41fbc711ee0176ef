//! Lines as text: a block for each group of sources, a row for each of its destinations.

use std::collections::BTreeSet;

use super::fold::{Group, Line};
use super::names::Names;
use super::policies::PolicyNames;

/// How many ends of a group are named.
const NAMED: usize = 6;

/// How many policies of a row are named.
const POLICIES: usize = 4;

/// Writes lines, each with the policies that allow it.
pub fn table(lines: &[Line], names: &Names<'_>, policies: &PolicyNames) -> String {
    rows(lines, names, |line| policies.listed(&line.policies, POLICIES))
}

/// Writes lines, each with why it is so.
pub fn rows(lines: &[Line], names: &Names<'_>, why: impl Fn(&Line) -> String) -> String {
    let mut text = String::new();
    let rows: Vec<[String; 4]> = lines
        .iter()
        .map(|line| {
            [
                names.group(&line.sources, NAMED),
                names.group(&line.destinations, NAMED),
                line.ports.to_string(),
                why(line),
            ]
        })
        .collect();
    for block in rows.chunk_by(|one, other| one[0] == other[0]) {
        let width = |column: usize, most: usize| {
            let widths = block
                .iter()
                .map(|row| row[column].chars().count())
                .filter(|width| *width <= most);
            widths.max().unwrap_or_default()
        };
        let (destinations, ports) = (width(1, 60), width(2, 32));
        if !text.is_empty() {
            text.push('\n');
        }
        text += &format!("{}\n", block[0][0]);
        for [_, destination, port, by] in block {
            let row = format!("  -> {destination:destinations$}  {port:ports$}  {by}");
            text += &format!("{}\n", row.trim_end());
        }
    }
    text
}

/// One end of a line.
type Side = fn(&Line) -> &Group;

/// Who reaches nobody, and whom nobody reaches, as sentences; nothing where there is nobody such.
pub fn silent(lines: &[Line], names: &Names<'_>) -> String {
    let mut text = String::new();
    let sides: [(&str, Side); 2] = [
        ("Reached by nobody", |line| &line.destinations),
        ("Reaching nobody", |line| &line.sources),
    ];
    for (words, side) in sides {
        // In a group that reaches itself each reaches the others: one alone reaches nobody in it.
        let spoken: BTreeSet<_> = lines
            .iter()
            .filter(|line| line.sources != line.destinations || line.sources.endpoints.len() > 1)
            .flat_map(|line| side(line).endpoints.iter().copied())
            .collect();
        let group = Group {
            endpoints: names.ids().filter(|id| !spoken.contains(id)).collect(),
            ..Group::default()
        };
        if !group.is_empty() {
            text += &format!("\n{words}: {}", names.group(&group, 2 * NAMED));
        }
    }
    if text.is_empty() { text } else { text + "\n" }
}
