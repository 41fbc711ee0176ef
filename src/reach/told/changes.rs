//! What a change opens and closes, told with the words of a reach: [`Altered`] numbers the workloads and policies of both
//! worlds together, so that differences can be folded and drawn as connections are; JSON lines are written as they are found.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use hashbrown::HashMap;
use ringfence_core::netpol::{
    Changes, Connection, Difference, DifferenceEnd, End, Endpoint, EndpointId, PolicyId, PolicyName, PortRange,
    protocol_name,
};
use serde::Serialize;

use super::fold::{Line, fold};
use super::json::{self, JsonEnd};
use super::names::Names;
use super::picture::{Picture, TooMuch};
use super::policies::PolicyNames;
use super::{mermaid, svg, table};

/// How many policies of a row are named.
const POLICIES: usize = 4;

/// How many ends of a group are named in a row of Markdown.
const NAMED: usize = 4;

/// Workloads that only one of the worlds has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OneSided {
    /// What they bring or take away is told as well.
    Told,
    /// It is left out.
    LeftOut,
}

/// The differences to be told.
pub fn told<'r>(changes: &'r Changes<'_>, one_sided: OneSided) -> impl Iterator<Item = Difference> + 'r {
    let lasts =
        |end: DifferenceEnd| !matches!(end, DifferenceEnd::Workload(None, _) | DifferenceEnd::Workload(_, None));
    changes
        .differences()
        .filter(move |found| one_sided == OneSided::Told || lasts(found.source) && lasts(found.destination))
}

/// Differences, folded.
#[derive(Debug)]
pub struct Altered {
    endpoints: Vec<Endpoint>,
    remarks: BTreeMap<EndpointId, &'static str>,
    policies: PolicyNames,
    opened: Side,
    closed: Side,
}

/// What is opened, or what is closed.
#[derive(Debug)]
struct Side {
    lines: Vec<Line>,
    /// How many pairs of ends it is about; all of the outside is one end.
    pairs: usize,
}

/// Numbers for what is in either world.
#[derive(Default)]
struct Numbering {
    endpoints: Vec<Endpoint>,
    remarks: BTreeMap<EndpointId, &'static str>,
    numbers: HashMap<(Option<EndpointId>, Option<EndpointId>), EndpointId>,
    policies: HashMap<PolicyName, PolicyId>,
    names: Vec<PolicyName>,
}

impl Numbering {
    fn end(&mut self, end: DifferenceEnd, changes: &Changes<'_>) -> Option<End> {
        let (before, after) = match end {
            DifferenceEnd::Outside(net) => return Some(End::Outside(net)),
            DifferenceEnd::Workload(before, after) => (before, after),
        };
        if let Some(number) = self.numbers.get(&(before, after)) {
            return Some(End::Workload(*number));
        }
        let endpoint = endpoint(changes, before, after)?;
        let number = EndpointId::at(self.endpoints.len());
        self.endpoints.push(endpoint.clone());
        self.numbers.insert((before, after), number);
        let remark = remark(before, after);
        self.remarks.extend(remark.map(|remark| (number, remark)));
        Some(End::Workload(number))
    }

    fn policies(&mut self, named: &[PolicyName]) -> Arc<[PolicyId]> {
        let numbers = named.iter().map(|name| {
            *self.policies.entry(name.clone()).or_insert_with(|| {
                self.names.push(name.clone());
                PolicyId::at(self.names.len() - 1)
            })
        });
        numbers.collect()
    }
}

/// An end as it is now, or as it was where it is gone.
fn endpoint<'r>(
    changes: &'r Changes<'_>,
    before: Option<EndpointId>,
    after: Option<EndpointId>,
) -> Option<&'r Endpoint> {
    let now = after.map(|id| changes.after().endpoint(id));
    now.or_else(|| before.map(|id| changes.before().endpoint(id)))
}

/// What is said of a workload that one world alone has.
fn remark(before: Option<EndpointId>, after: Option<EndpointId>) -> Option<&'static str> {
    match (before, after) {
        (None, _) => Some("new"),
        (_, None) => Some("gone"),
        (Some(_), Some(_)) => None,
    }
}

impl Altered {
    /// Folds differences.
    pub fn of(changes: &Changes<'_>, one_sided: OneSided) -> Self {
        // In the order of their names, whatever order the differences have.
        let found: Vec<Difference> = told(changes, one_sided).collect();
        let mut ends: Vec<DifferenceEnd> = found.iter().flat_map(|it| [it.source, it.destination]).collect();
        ends.sort_by_cached_key(|end| match *end {
            DifferenceEnd::Workload(before, after) => endpoint(changes, before, after)
                .map(|it| (it.namespace.clone(), it.kind.clone(), it.name.clone(), it.apart.clone())),
            DifferenceEnd::Outside(_) => None,
        });
        let mut numbering = Numbering::default();
        for end in ends {
            numbering.end(end, changes);
        }
        let (mut opened, mut closed) = (Vec::new(), Vec::new());
        for difference in found {
            let ends = (
                numbering.end(difference.source, changes),
                numbering.end(difference.destination, changes),
            );
            let (Some(source), Some(destination)) = ends else {
                continue;
            };
            let mut add = |side: &mut Vec<Connection>, ports: &Arc<[PortRange]>, policies: &[PolicyName]| {
                if !ports.is_empty() {
                    side.push(Connection {
                        source,
                        destination,
                        protocol: difference.protocol,
                        ports: Arc::clone(ports),
                        policies: numbering.policies(policies),
                    });
                }
            };
            add(&mut opened, &difference.opened, &difference.policies_after);
            add(&mut closed, &difference.closed, &difference.policies_before);
        }
        let Numbering {
            endpoints,
            remarks,
            names,
            ..
        } = numbering;
        Self {
            endpoints,
            remarks,
            policies: names.iter().collect(),
            opened: Side::of(opened),
            closed: Side::of(closed),
        }
    }

    /// Whether anything is opened.
    pub fn opens(&self) -> bool {
        self.opened.pairs > 0
    }

    /// How the workloads of both worlds are called.
    fn names(&self) -> Names<'_> {
        let ids = (0..self.endpoints.len()).map(EndpointId::at).collect();
        Names::new(&self.endpoints, ids).with_remarks(self.remarks.clone())
    }

    /// In one line: what is opened and what is closed.
    fn summary(&self) -> String {
        match (self.opened.pairs, self.closed.pairs) {
            (0, 0) => "nothing opens, nothing closes".to_owned(),
            (0, closed) => format!("nothing opens, {} closed", counted(closed)),
            (opened, 0) => format!("{} opened, nothing closes", counted(opened)),
            (opened, closed) => format!("{} opened, {} closed", counted(opened), counted(closed)),
        }
    }

    /// What allows it now, or allowed it before.
    fn by(&self, line: &Line, change: Change) -> String {
        let named = self.policies.listed(&line.policies, POLICIES);
        match (change, named.is_empty()) {
            (Change::Opened, true) => "no policy isolates either end".to_owned(),
            (Change::Opened, false) => format!("by {named}"),
            (Change::Closed, true) => "no policy isolated either end".to_owned(),
            (Change::Closed, false) => format!("was by {named}"),
        }
    }

    fn sides(&self) -> [(Change, &Side); 2] {
        [(Change::Opened, &self.opened), (Change::Closed, &self.closed)]
    }

    /// Writes it for people.
    pub fn text(&self) -> String {
        let names = self.names();
        let mut text = String::new();
        for (change, side) in self.sides() {
            if side.pairs > 0 {
                let heading = match change {
                    Change::Opened => "Opened",
                    Change::Closed => "Closed",
                };
                let rows = table::rows(&side.lines, &names, |line| self.by(line, change));
                text += &format!("{heading}:\n\n{rows}\n");
            }
        }
        text + &format!("{}\n", self.summary())
    }

    /// Writes it as Markdown, for a comment on a pull request: a table, and the picture folded away where it is not too much.
    pub fn markdown(&self) -> String {
        let names = self.names();
        let mut text = format!("**Who reaches whom: {}**\n", self.summary());
        if self.opened.pairs + self.closed.pairs > 0 {
            text += "\n| | from | to | ports | why |\n| --- | --- | --- | --- | --- |\n";
        }
        for (change, side) in self.sides() {
            let word = match change {
                Change::Opened => "**opened**",
                Change::Closed => "closed",
            };
            for line in &side.lines {
                text += &format!(
                    "| {word} | {} | {} | {} | {} |\n",
                    names.group(&line.sources, NAMED),
                    names.group(&line.destinations, NAMED),
                    line.ports,
                    self.by(line, change)
                );
            }
        }
        if let Ok(picture) = self.picture()
            && !picture.arrows.is_empty()
        {
            text += &format!(
                "\n<details><summary>As a picture</summary>\n\n```mermaid\n{}```\n\n</details>\n",
                mermaid::mermaid(&picture)
            );
        }
        text
    }

    fn picture(&self) -> Result<Picture, TooMuch> {
        Picture::of_changes(&self.opened.lines, &self.closed.lines, &self.names())
    }

    /// Writes it as a Mermaid flowchart: what is opened in red, what is closed dotted.
    pub fn mermaid(&self) -> Result<String, TooMuch> {
        Ok(mermaid::mermaid(&self.picture()?))
    }

    /// Writes it as an SVG, likewise.
    pub fn svg(&self) -> Result<String, TooMuch> {
        Ok(svg::svg(&self.picture()?))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Opened,
    Closed,
}

impl Side {
    fn of(connections: Vec<Connection>) -> Self {
        let workload = |end: End| match end {
            End::Workload(id) => Some(id),
            End::Outside(_) => None,
        };
        let pairs = connections
            .iter()
            .map(|it| (workload(it.source), workload(it.destination)));
        let pairs = pairs.collect::<BTreeSet<_>>().len();
        Self {
            lines: fold(connections.into_iter(), None),
            pairs,
        }
    }
}

fn counted(pairs: usize) -> String {
    match pairs {
        1 => "1 connection".to_owned(),
        many => format!("{many} connections"),
    }
}

#[derive(Serialize)]
struct JsonDifference<'r> {
    source: JsonDifferenceEnd<'r>,
    destination: JsonDifferenceEnd<'r>,
    protocol: &'static str,
    opened: Vec<String>,
    closed: Vec<String>,
    #[serde(rename = "policiesBefore")]
    policies_before: Vec<String>,
    #[serde(rename = "policiesAfter")]
    policies_after: Vec<String>,
}

#[derive(Serialize)]
struct JsonDifferenceEnd<'r> {
    #[serde(flatten)]
    end: JsonEnd<'r>,
    /// `new` or `gone`, where one world alone has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<&'static str>,
}

impl<'r> JsonDifferenceEnd<'r> {
    fn of(end: DifferenceEnd, changes: &'r Changes<'_>) -> Option<Self> {
        match end {
            DifferenceEnd::Outside(net) => Some(Self {
                end: JsonEnd::Cidr { cidr: net.to_string() },
                only: None,
            }),
            DifferenceEnd::Workload(before, after) => Some(Self {
                end: endpoint(changes, before, after)?.into(),
                only: remark(before, after),
            }),
        }
    }
}

/// Writes differences as JSON lines and says whether any of them opens something.
pub fn write_json(changes: &Changes<'_>, one_sided: OneSided, out: &mut impl Write) -> io::Result<bool> {
    let mut opens = false;
    for difference in told(changes, one_sided) {
        let ends = (
            JsonDifferenceEnd::of(difference.source, changes),
            JsonDifferenceEnd::of(difference.destination, changes),
        );
        let (Some(source), Some(destination)) = ends else {
            continue;
        };
        let names = |policies: &[PolicyName]| policies.iter().map(ToString::to_string).collect();
        let line = JsonDifference {
            source,
            destination,
            protocol: protocol_name(difference.protocol),
            opened: json::ports(&difference.opened),
            closed: json::ports(&difference.closed),
            policies_before: names(&difference.policies_before),
            policies_after: names(&difference.policies_after),
        };
        opens |= !difference.opened.is_empty();
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(opens)
}
