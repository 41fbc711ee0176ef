//! Why something may pass or may not: for each pair of ends the ports that fare alike, with the rule that allows or the
//! isolation that denies at each end.

use std::collections::BTreeSet;
use std::io::{self, Write};

use ringfence_core::netpol::{
    Direction, End, Explanation, Filter, PROTOCOLS, Policy, PolicyId, PortRule, PortSet, Ports, Protocol, Reach,
    RuleReference, Side, World, protocol_name,
};
use serde::Serialize;

use super::json::{self, JsonEnd};
use super::names::{Names, qualified};
use super::policies::PolicyNames;
use crate::reach::Compiled;

/// The most pairs of ends that are explained at once.
pub const MOST_PAIRS: usize = 1_000;

/// Ports that fare alike between two ends, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Which ports.
    pub ports: PortSet,
    /// Why.
    pub why: Explanation,
}

/// What explanations are made of and written with.
#[derive(Debug, Clone, Copy)]
pub struct Explainer<'r> {
    /// The answers.
    pub reach: &'r Reach<'r>,
    /// What they are about.
    pub compiled: &'r Compiled,
    /// How ends are called.
    pub names: &'r Names<'r>,
    /// How policies are called.
    pub policies: &'r PolicyNames,
}

impl Explainer<'_> {
    /// Explains a pair of ends, on the port that the filter asks for or on all of them.
    pub fn explain(&self, source: End, destination: End, filter: &Filter) -> Vec<Explained> {
        let mut explained: Vec<Explained> = Vec::new();
        for (protocol, first, last) in self.segments(source, destination, filter) {
            for why in self.reach.explain(source, destination, protocol, first) {
                let ports = PortSet::range(protocol, first, last);
                match explained.iter_mut().find(|known| known.why == why) {
                    Some(known) => known.ports = known.ports.union(&ports),
                    None => explained.push(Explained { ports, why }),
                }
            }
        }
        explained.sort_by_key(|explained| {
            (
                explained.why.source,
                explained.why.destination,
                !explained.why.allowed(),
            )
        });
        explained
    }

    /// Ranges within which every port fares as the first.
    fn segments(&self, source: End, destination: End, filter: &Filter) -> Vec<(Protocol, u16, u16)> {
        if let Some((protocol, port)) = filter.port {
            return vec![(protocol, port, port)];
        }
        let world: &World = &self.compiled.world;
        let isolating = |end: End, direction: Direction| {
            let id = match end {
                End::Workload(id) => Some(id),
                End::Outside(_) => None,
            };
            id.into_iter()
                .flat_map(move |id| self.reach.isolating(id, direction))
                .collect::<Vec<PolicyId>>()
        };
        let mut begins: [BTreeSet<u32>; 3] = std::array::from_fn(|_| BTreeSet::from([1]));
        let mut split = |protocol: Protocol, first: u16, last: u16| {
            let place = PROTOCOLS
                .iter()
                .position(|known| *known == protocol)
                .unwrap_or_default();
            begins[place].extend([u32::from(first), u32::from(last) + 1]);
        };
        for (end, direction) in [(source, Direction::Egress), (destination, Direction::Ingress)] {
            for id in isolating(end, direction) {
                let policy: &Policy = &world.policies[id.index()];
                for rule in policy.rules(direction).into_iter().flatten() {
                    let Ports::Listed(listed) = &rule.ports else { continue };
                    for port in listed {
                        if let PortRule::Numbers(protocol, first, last) = port {
                            split(*protocol, *first, *last);
                        }
                    }
                }
            }
        }
        if let End::Workload(id) = destination {
            for workload in &self.names.endpoint(id).workloads {
                for port in &world.workloads[*workload].ports {
                    split(port.protocol, port.number, port.number);
                }
            }
        }
        let mut segments = Vec::new();
        for (protocol, begins) in PROTOCOLS.into_iter().zip(begins) {
            let begins: Vec<u32> = begins.into_iter().chain([65_536]).collect();
            let ranges = begins.windows(2).filter_map(|pair| {
                let first = u16::try_from(pair[0]).ok()?;
                Some((protocol, first, u16::try_from(pair[1] - 1).ok()?))
            });
            segments.extend(ranges.filter(|(_, first, last)| first <= last));
        }
        segments
    }

    /// Writes explanations for people.
    pub fn text(&self, explained: &[Explained]) -> String {
        let mut text = String::new();
        for Explained { ports, why } in explained {
            let verdict = if why.allowed() { "allowed" } else { "denied" };
            text += &format!(
                "{} -> {}: {ports}: {verdict}\n",
                self.end(why.source),
                self.end(why.destination)
            );
            for (words, side) in [("egress", &why.egress), ("ingress", &why.ingress)] {
                let side = self.side(side, words).join(&format!("\n{:11}", ""));
                text += &format!("  {:9}{side}\n", format!("{words}:"));
            }
        }
        text
    }

    fn end(&self, end: End) -> String {
        match end {
            End::Workload(id) => {
                let names = self.names;
                format!("{} ({})", qualified(names.endpoint(id)), names.particulars(id))
            }
            End::Outside(net) => net.to_string(),
        }
    }

    fn side(&self, side: &Side, direction: &str) -> Vec<String> {
        match side {
            Side::NotIsolated => vec![format!("not isolated: no policy selects it for {direction}")],
            Side::Outside => vec!["outside of the cluster: no policy speaks for it".to_owned()],
            Side::HostNetwork => vec!["hostNetwork: policies do not hold for it".to_owned()],
            Side::Itself => vec!["a pod always reaches itself".to_owned()],
            Side::Allowed(rules) => {
                let rule = |rule: &RuleReference| {
                    let name = self.policies.name(rule.policy);
                    format!("allowed by {name}, {rule} ({})", self.place(rule))
                };
                rules.iter().map(rule).collect()
            }
            Side::Denied(policies) => {
                let names: Vec<&str> = policies.iter().map(|id| self.policies.name(*id)).collect();
                let whose = if names.len() == 1 {
                    "which has no rule that allows it"
                } else {
                    "none of which has a rule that allows it"
                };
                vec![format!("isolated by {}, {whose}", names.join(", "))]
            }
        }
    }

    fn place(&self, rule: &RuleReference) -> String {
        // The list of ports, if any, stands beside that of peers: the rule is where both are.
        let path = rule.to_string();
        let path = path.split(", ").next().unwrap_or_default();
        self.compiled.place(rule.policy.index(), path)
    }

    /// Writes explanations as JSON lines.
    pub fn json(&self, explained: &[Explained], out: &mut impl Write) -> io::Result<()> {
        for Explained { ports, why } in explained {
            for protocol in PROTOCOLS {
                let ranges: Vec<_> = ports.ranges(protocol).collect();
                if ranges.is_empty() {
                    continue;
                }
                let line = JsonExplained {
                    source: JsonEnd::of(why.source, self.names),
                    destination: JsonEnd::of(why.destination, self.names),
                    protocol: protocol_name(protocol),
                    ports: json::ports(&ranges),
                    allowed: why.allowed(),
                    egress: self.json_side(&why.egress),
                    ingress: self.json_side(&why.ingress),
                };
                serde_json::to_writer(&mut *out, &line)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn json_side(&self, side: &Side) -> JsonSide<'_> {
        let verdict = match side {
            Side::NotIsolated => "notIsolated",
            Side::Outside => "outside",
            Side::HostNetwork => "hostNetwork",
            Side::Itself => "itself",
            Side::Allowed(_) => "allowed",
            Side::Denied(_) => "denied",
        };
        let rule = |rule: &RuleReference| JsonRule {
            policy: self.policies.name(rule.policy),
            rule: rule.to_string(),
            place: self.place(rule),
        };
        JsonSide {
            verdict,
            rules: if let Side::Allowed(rules) = side {
                rules.iter().map(rule).collect()
            } else {
                Vec::new()
            },
            policies: match side {
                Side::Denied(policies) => policies.iter().map(|id| self.policies.name(*id)).collect(),
                _ => Vec::new(),
            },
        }
    }
}

#[derive(Serialize)]
struct JsonExplained<'r> {
    source: JsonEnd<'r>,
    destination: JsonEnd<'r>,
    protocol: &'static str,
    ports: Vec<String>,
    allowed: bool,
    egress: JsonSide<'r>,
    ingress: JsonSide<'r>,
}

#[derive(Serialize)]
struct JsonSide<'r> {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<JsonRule<'r>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<&'r str>,
}

#[derive(Serialize)]
struct JsonRule<'r> {
    policy: &'r str,
    rule: String,
    place: String,
}
