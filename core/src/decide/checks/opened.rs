//! What a write of a policy opens, in the one line that whoever wrote it reads: how much, and the command that shows it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::super::context::Context;
use super::super::message::{MOST_WARNING_CHARACTERS, shortened};
use super::super::policies::Written;
use super::CHECKS;
use crate::guardrails::Guardrails;
use crate::model::Mode;
use crate::netpol::{AddressSet, DIRECTIONS, Direction, Family, Peer, Policy, PortSet, Ports, Rule, Worse};

/// The most characters of the command; of a longer one only what it is called is told.
const MOST_OF_A_COMMAND: usize = 60;

/// The least characters of a policy's name that are left of it.
const LEAST_OF_A_NAME: usize = 12;

/// The most characters of ports that are told one by one.
const MOST_PORTS_CHARACTERS: usize = 16;

/// The warning, where the write opens something. Nothing where all is Audit: then nothing is said of anything.
pub(in crate::decide) fn opened(context: &Context<'_, '_>) -> Option<String> {
    let namespace = context.request.subject.namespace.as_ref();
    if !speaks(&context.snapshot.guardrails, namespace) {
        return None;
    }
    let subject = &context.request.subject;
    let name = format!("policy {}/{}", subject.namespace, subject.name);
    context
        .written_policies()
        .iter()
        .filter(|write| write.changes && write.before != write.after)
        .find_map(|write| line(&name, namespace, write))
}

fn speaks(guardrails: &Guardrails, namespace: &str) -> bool {
    let checks = CHECKS
        .iter()
        .filter_map(|check| guardrails.check_mode(check.name, namespace));
    let strongest = checks.max().unwrap_or_default();
    guardrails.rollout.cap(namespace, guardrails.mode).max(strongest) > Mode::Audit
}

/// Whether ports are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    WithPorts,
    Shortly,
}

fn line(name: &str, namespace: &str, write: &Written) -> Option<String> {
    let opens = DIRECTIONS.map(|direction| !write.opened().of(direction).is_empty());
    let side = match opens {
        [false, false] => return None,
        [true, _] => "--to",
        [false, true] => "--from",
    };
    let whole = format!("; see: ringfence reach {side} {namespace}/");
    let command = if whole.len() <= MOST_OF_A_COMMAND {
        whole
    } else {
        "; see: ringfence reach".to_owned()
    };
    let room = MOST_WARNING_CHARACTERS - "ringfence:  ".len() - command.len();
    let what = |told| sentence(write, told);
    let long = what(Told::WithPorts);
    let fits = name.chars().count() + long.chars().count() <= room;
    let what = if fits { long } else { what(Told::Shortly) };
    // Whatever has to be cut, the command stands.
    let name = shortened(
        name.to_owned(),
        room.saturating_sub(what.chars().count()).max(LEAST_OF_A_NAME),
    );
    let what = shortened(what, room.saturating_sub(name.chars().count()).max(1));
    Some(format!("ringfence: {name} {what}{command}"))
}

/// `opens ingress from everyone, no longer isolates egress`.
fn sentence(write: &Written, told: Told) -> String {
    let mut parts = Vec::new();
    let mut opens = "opens ";
    for direction in DIRECTIONS {
        let worse = write.opened().of(direction);
        let (word, way) = match direction {
            Direction::Ingress => ("ingress", "from"),
            Direction::Egress => ("egress", "to"),
        };
        let after = write.after.as_ref();
        if let Some(much) = after.and_then(|policy| how_much(policy, direction, worse, told)) {
            parts.push(format!("{opens}{word} {way} {much}"));
            opens = "";
        }
        if worse.contains(&Worse::Releases) {
            parts.push(format!("no longer isolates {word}"));
            opens = "opens ";
        }
    }
    parts.join(", ")
}

/// `everyone (all ports)`, `2 selectors of pods, 65536 addresses (TCP 80, 443)`; none where no rule opens anything.
fn how_much(policy: &Policy, direction: Direction, worse: &[Worse], told: Told) -> Option<String> {
    let rules: &[Rule] = policy.rules(direction)?;
    let (mut everyone, mut selectors, mut blocks) = (false, 0_usize, Vec::new());
    let mut opening = BTreeSet::new();
    for opens in worse {
        let Worse::Opens { rule: at, peer } = opens else {
            continue;
        };
        let rule = rules.get(*at)?;
        opening.insert(*at);
        match peer.and_then(|peer| rule.listed().get(peer)) {
            None => everyone = true,
            Some(Peer::Pods { .. }) => selectors += 1,
            Some(Peer::Block(block)) => blocks.push(block.addresses()),
        }
    }
    let opening = || opening.iter().filter_map(|at| Some(&rules.get(*at)?.ports));
    let ports = PortSet::union_of(&opening().map(Ports::numbered).collect::<Vec<_>>());
    let names: BTreeSet<_> = opening().flat_map(Ports::named).collect();
    let addresses = AddressSet::union_of(&blocks);
    let (v4, v6) = (addresses.count(Family::V4), addresses.widest(Family::V6));
    let mut parts = Vec::new();
    match selectors {
        0 => {}
        1 => parts.push("1 selector of pods".to_owned()),
        more => parts.push(format!("{more} selectors of pods")),
    }
    match v4 {
        0 => {}
        1 => parts.push("1 address".to_owned()),
        more => parts.push(format!("{more} addresses")),
    }
    parts.extend(v6.map(|length| format!("IPv6 /{length}")));
    if everyone {
        parts = vec!["everyone".to_owned()];
    }
    let whom = parts.join(", ");
    (!parts.is_empty()).then(|| match told {
        Told::WithPorts => format!("{whom} ({})", ports_in_short(&ports, names.len())),
        Told::Shortly => whom,
    })
}

fn ports_in_short(ports: &PortSet, names: usize) -> String {
    let each = ports.to_string();
    let mut text = match ports.count() {
        0 => String::new(),
        count if each.len() > MOST_PORTS_CHARACTERS => format!("{count} ports"),
        _ => each,
    };
    if names > 0 {
        let between = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{between}{names} by name");
    }
    text
}
