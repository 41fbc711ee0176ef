//! [`fold`]: connections, one a pair of ends and a protocol, to [`Line`]s that people read: one for all sources and all
//! destinations between which the same may pass for the same reasons.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use ringfence_core::netpol::{AddressSet, Connection, End, Endpoint, EndpointId, Ends, Filter, PolicyId, PortSet};

use super::names::Names;

/// The same from each of these to each of those, but for what a workload sends to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From whom.
    pub sources: Group,
    /// To whom.
    pub destinations: Group,
    /// On which ports.
    pub ports: PortSet,
    /// Which policies allow it; none where nothing isolates either end.
    pub policies: Vec<PolicyId>,
}

/// Some ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Group {
    /// Workloads, in order.
    pub endpoints: Vec<EndpointId>,
    /// Addresses of the outside.
    pub addresses: AddressSet,
}

impl Group {
    fn add(&mut self, end: End) {
        match end {
            End::Workload(id) => {
                if let Err(place) = self.endpoints.binary_search(&id) {
                    self.endpoints.insert(place, id);
                }
            }
            End::Outside(net) => self.addresses = self.addresses.union(&net.into()),
        }
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty() && self.addresses.is_empty()
    }

    /// How lines are put in order: workloads before the outside.
    fn order(&self) -> (bool, Option<EndpointId>, usize) {
        (
            self.endpoints.is_empty(),
            self.endpoints.first().copied(),
            self.endpoints.len(),
        )
    }
}

impl FromIterator<End> for Group {
    fn from_iter<I: IntoIterator<Item = End>>(ends: I) -> Self {
        let (mut endpoints, mut nets) = (Vec::new(), Vec::new());
        for end in ends {
            match end {
                End::Workload(id) => endpoints.push(id),
                End::Outside(net) => nets.push(net),
            }
        }
        endpoints.sort_unstable();
        endpoints.dedup();
        Self {
            endpoints,
            addresses: nets.into_iter().collect(),
        }
    }
}

/// What may pass, and which policies allow it.
type Reason = (PortSet, Vec<PolicyId>);

/// What one source may send: to whom, for each reason.
struct Row {
    source: End,
    destinations: Group,
    reason: Reason,
}

/// Folds connections, and adds the line of what nothing restricts. The order of lines hangs on that of the ends alone.
pub fn fold(connections: impl Iterator<Item = Connection>, unrestricted: Option<Line>) -> Vec<Line> {
    let mut lines = group(rows(connections));
    lines.extend(unrestricted);
    lines.sort_by_cached_key(|line| {
        let outside: Vec<_> = line.sources.addresses.cidrs().collect();
        let sources = (line.sources.order(), line.sources.endpoints.clone(), outside);
        (
            sources,
            line.destinations.order(),
            line.ports.to_string(),
            line.policies.clone(),
        )
    });
    lines
}

fn rows(connections: impl Iterator<Item = Connection>) -> Vec<Row> {
    let mut pairs: BTreeMap<(End, End), (PortSet, BTreeSet<PolicyId>)> = BTreeMap::new();
    for connection in connections {
        let Connection {
            source,
            destination,
            protocol,
            ports,
            policies,
        } = connection;
        let (known, by) = pairs.entry((source, destination)).or_default();
        for range in ports.iter() {
            *known = known.union(&PortSet::range(protocol, range.first, range.last));
        }
        by.extend(policies.iter().copied());
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut of_source: HashMap<Reason, Vec<End>> = HashMap::new();
    let mut current = None;
    let flush = |source: Option<End>, of_source: &mut HashMap<Reason, Vec<End>>, rows: &mut Vec<Row>| {
        for (reason, ends) in of_source.drain() {
            rows.extend(source.map(|source| Row {
                source,
                destinations: ends.into_iter().collect(),
                reason,
            }));
        }
    };
    for ((source, destination), (ports, policies)) in pairs {
        if current != Some(source) {
            flush(current.replace(source), &mut of_source, &mut rows);
        }
        let reason = (ports, policies.into_iter().collect());
        of_source.entry(reason).or_default().push(destination);
    }
    flush(current, &mut of_source, &mut rows);
    rows
}

/// Rows that say the same become one. Where each of some workloads reaches the others, their rows differ by themselves
/// alone: each is first looked at as if it reached itself, too.
fn group(rows: Vec<Row>) -> Vec<Line> {
    let mut alike: HashMap<(Group, Reason), Vec<Row>> = HashMap::new();
    for row in rows {
        let mut destinations = row.destinations.clone();
        if let End::Workload(_) = row.source
            && !destinations.endpoints.is_empty()
        {
            destinations.add(row.source);
        }
        alike.entry((destinations, row.reason.clone())).or_default().push(row);
    }
    let mut lines = Vec::new();
    let mut exact: HashMap<(Group, Reason), Vec<End>> = HashMap::new();
    for ((destinations, reason), rows) in alike {
        if rows.len() > 1 {
            lines.push(line(rows.into_iter().map(|row| row.source), destinations, reason));
        } else {
            for row in rows {
                exact
                    .entry((row.destinations, row.reason))
                    .or_default()
                    .push(row.source);
            }
        }
    }
    let exact = exact.into_iter();
    lines.extend(exact.map(|((destinations, reason), sources)| line(sources, destinations, reason)));
    lines
}

fn line(sources: impl IntoIterator<Item = End>, destinations: Group, (ports, policies): Reason) -> Line {
    Line {
        sources: sources.into_iter().collect(),
        destinations,
        ports,
        policies,
    }
}

/// The one line of what nothing restricts: from whom nothing isolates for egress to whom nothing isolates for ingress.
pub fn unrestricted(names: &Names<'_>, filter: &Filter) -> Option<Line> {
    let among = |ends: &Option<Ends>, open: fn(&Endpoint) -> bool| {
        let asked = |id: &EndpointId| ends.as_ref().is_none_or(|ends| ends.endpoints.contains(id));
        let endpoints = names.ids().filter(|id| open(names.endpoint(*id))).filter(asked);
        Group {
            endpoints: endpoints.collect(),
            ..Group::default()
        }
    };
    let sources = among(&filter.from, |endpoint| !endpoint.egress_isolated);
    let destinations = among(&filter.to, |endpoint| !endpoint.ingress_isolated);
    let alone = sources.endpoints.len() == 1 && sources == destinations;
    if sources.is_empty() || destinations.is_empty() || alone {
        return None;
    }
    let ports = filter
        .port
        .map_or_else(PortSet::all, |(protocol, port)| PortSet::range(protocol, port, port));
    Some(Line {
        sources,
        destinations,
        ports,
        policies: Vec::new(),
    })
}
