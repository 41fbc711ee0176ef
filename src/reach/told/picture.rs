//! [`Picture`]: lines as what is drawn. Namespaces are boxes, workloads stand in them, the outside beside them; a line that
//! speaks of a whole namespace is drawn from or to its box. What nothing isolates is told by how it looks, not by arrows to
//! everybody.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::netpol::EndpointId;

use super::fold::Line;
use super::names::{Names, Part};

/// The most arrows that one can look at; as many as Mermaid draws.
pub const MOST_ARROWS: usize = 500;

/// What is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// The boxes, by the name of the namespace.
    pub boxes: BTreeMap<String, Vec<Node>>,
    /// The outside.
    pub outside: BTreeSet<String>,
    /// Whether something is said of every workload at once.
    pub everyone: Option<usize>,
    /// Namespaces whose workloads reach each other, and what is said of that.
    pub within: BTreeMap<String, String>,
    /// The arrows.
    pub arrows: Vec<Arrow>,
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: EndpointId,
    /// Its name.
    pub name: String,
    /// Its kind, and what tells it from others.
    pub kind: String,
    /// What policies say of it.
    pub isolation: Isolation,
}

/// In which directions policies isolate a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    /// In both: arrows tell all there is.
    Both,
    /// What comes in; it may send to all that lets it in.
    Ingress,
    /// What goes out; whoever may send to it reaches it.
    Egress,
    /// In none.
    None,
}

/// An arrow between parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// From what.
    pub source: Part,
    /// To what.
    pub destination: Part,
    /// The ports, and what becomes of them.
    pub label: String,
    /// What it means.
    pub meaning: Meaning,
}

/// What an arrow means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    /// It may pass.
    Passes,
    /// It may pass from now on.
    Opened,
    /// It may pass no longer.
    Closed,
}

impl Meaning {
    /// Ports with what becomes of them.
    fn label(self, ports: &str) -> String {
        match self {
            Self::Passes => ports.to_owned(),
            Self::Opened => format!("opens {ports}"),
            Self::Closed => format!("closes {ports}"),
        }
    }
}

/// There is more to draw than one can look at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} arrows are more than can be looked at ({MOST_ARROWS}): narrow them with --from, --to or --port, or take --output text"
)]
pub struct TooMuch(pub usize);

impl Picture {
    /// Draws lines and, where nothing else was asked for, everybody of whom they say nothing.
    pub fn of(lines: &[Line], names: &Names<'_>, everybody: Everybody) -> Result<Self, TooMuch> {
        Self::drawn(lines, names, everybody, Meaning::Passes).bounded()
    }

    /// Draws what a change opens and closes, and those between whom it does.
    pub fn of_changes(opened: &[Line], closed: &[Line], names: &Names<'_>) -> Result<Self, TooMuch> {
        let mut picture = Self::drawn(opened, names, Everybody::LeftOut, Meaning::Opened);
        let other = Self::drawn(closed, names, Everybody::LeftOut, Meaning::Closed);
        for (name, nodes) in other.boxes {
            let known = picture.boxes.entry(name).or_default();
            known.extend(nodes);
            known.sort_by_key(|node| node.id);
            known.dedup();
        }
        picture.outside.extend(other.outside);
        picture.everyone = picture.everyone.or(other.everyone);
        for (name, words) in other.within {
            let said = picture.within.entry(name).or_default();
            *said = if said.is_empty() {
                words
            } else {
                format!("{said}; {words}")
            };
        }
        picture.arrows.extend(other.arrows);
        picture.bounded()
    }

    fn bounded(self) -> Result<Self, TooMuch> {
        match self.arrows.len() {
            few if few <= MOST_ARROWS => Ok(self),
            many => Err(TooMuch(many)),
        }
    }

    fn drawn(lines: &[Line], names: &Names<'_>, everybody: Everybody, meaning: Meaning) -> Self {
        let mut picture = Self::default();
        let (mut arrows, mut drawn) = (BTreeMap::<(Part, Part), Vec<String>>::new(), BTreeSet::new());
        for line in lines {
            // Nothing isolates either end: that is how they look.
            if line.policies.is_empty() && everybody == Everybody::Drawn {
                continue;
            }
            let (sources, destinations) = (names.parts(&line.sources), names.parts(&line.destinations));
            for group in [&line.sources, &line.destinations] {
                drawn.extend(group.endpoints.iter().copied());
            }
            let ports = line.ports.to_string();
            for source in &sources {
                for destination in &destinations {
                    for ends in drawn_between(source, destination, names) {
                        arrows.entry(ends).or_default().push(ports.clone());
                    }
                }
            }
        }
        for ((source, destination), mut labels) in arrows {
            labels.dedup();
            let label = meaning.label(&labels.join("; "));
            for part in [&source, &destination] {
                match part {
                    Part::Outside(text) => {
                        picture.outside.insert(text.clone());
                    }
                    Part::Everyone => picture.everyone = Some(names.endpoints().len()),
                    Part::Namespace(_) | Part::Workload(_) => {}
                }
            }
            match &source {
                Part::Namespace(name) if source == destination => {
                    let said = match meaning {
                        Meaning::Passes => format!("each other on {label}"),
                        Meaning::Opened | Meaning::Closed => format!("each other: {label}"),
                    };
                    picture.within.insert(name.clone(), said);
                }
                _ => picture.arrows.push(Arrow {
                    source,
                    destination,
                    label,
                    meaning,
                }),
            }
        }
        for id in names.ids() {
            if everybody == Everybody::Drawn || drawn.contains(&id) {
                picture.add(id, names);
            }
        }
        picture
    }

    fn add(&mut self, id: EndpointId, names: &Names<'_>) {
        let endpoint = names.endpoint(id);
        let isolation = match (endpoint.ingress_isolated, endpoint.egress_isolated) {
            (true, true) => Isolation::Both,
            (true, false) => Isolation::Ingress,
            (false, true) => Isolation::Egress,
            (false, false) => Isolation::None,
        };
        let node = Node {
            id,
            name: endpoint.name.to_string(),
            kind: names.particulars(id),
            isolation,
        };
        self.boxes.entry(endpoint.namespace.to_string()).or_default().push(node);
    }
}

/// Whether those of whom no line speaks are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Everybody {
    /// They are.
    Drawn,
    /// They are not: something narrower was asked for.
    LeftOut,
}

/// Between what arrows are drawn. None goes from a box to what stands in it: its workloads are drawn one by one.
fn drawn_between(source: &Part, destination: &Part, names: &Names<'_>) -> Vec<(Part, Part)> {
    let holds = |part: &Part, other: &Part| match (part, other) {
        (Part::Namespace(name), Part::Workload(id)) => names.endpoint(*id).namespace.as_str() == name,
        _ => false,
    };
    let workloads = |name: &str| {
        let ids = names.ids().filter(|id| names.endpoint(*id).namespace.as_str() == name);
        ids.map(Part::Workload).collect::<Vec<_>>()
    };
    let (mut sources, mut destinations) = (vec![source.clone()], vec![destination.clone()]);
    match (source, destination) {
        (Part::Namespace(name), _) if holds(source, destination) => sources = workloads(name),
        (_, Part::Namespace(name)) if holds(destination, source) => destinations = workloads(name),
        _ => {}
    }
    let pairs = sources.iter().flat_map(|source| {
        destinations
            .iter()
            .map(move |destination| (source.clone(), destination.clone()))
    });
    pairs
        .filter(|(source, destination)| source != destination || matches!(source, Part::Namespace(_)))
        .collect()
}
