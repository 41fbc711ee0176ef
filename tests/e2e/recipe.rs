//! The commands of a documentation page, run as they stand by the cluster administrator.

use super::world::World;

/// The blocks of one language on a page.
fn blocks<'page>(page: &'page str, language: &str) -> Vec<&'page str> {
    let opening = format!("```{language}\n");
    let blocks = page.split(opening.as_str()).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect()
}

/// The first YAML of a page.
pub(crate) fn yaml(page: &str) -> &str {
    blocks(page, "yaml").first().copied().expect("the page shows YAML")
}

/// Runs every command of a page, in order; gives how many there were.
#[track_caller]
pub(crate) fn follow(world: &World, page: &str) -> usize {
    let commands = blocks(page, "sh").into_iter().flat_map(str::lines);
    commands.map(|command| run(world, command)).count()
}

/// `kubectl ...`, `ringfence grant ... | kubectl apply -f -`, or another `ringfence ...`.
#[track_caller]
pub(crate) fn run(world: &World, command: &str) {
    let granted = command
        .strip_prefix("ringfence grant ")
        .and_then(|rest| rest.strip_suffix(" | kubectl apply -f -"));
    if let Some(arguments) = granted {
        world.grant("admin", arguments).ok();
        return;
    }
    if let Some(arguments) = command.strip_prefix("ringfence ") {
        world.ringfence(arguments);
        return;
    }
    let arguments = command
        .strip_prefix("kubectl ")
        .unwrap_or_else(|| panic!("nothing here runs `{command}`"));
    world.eventually("admin", arguments);
}
