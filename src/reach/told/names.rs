//! How ends are called where people read of them: a namespace that is meant as a whole by its name, addresses by what is
//! shortest.

use std::collections::BTreeMap;

use ipnet::IpNet;
use ringfence_core::netpol::{AddressSet, Endpoint, EndpointId};

use super::fold::Group;

/// Everybody that can be named.
#[derive(Debug)]
pub struct Names<'r> {
    endpoints: &'r [Endpoint],
    ids: Vec<EndpointId>,
    /// How many endpoints each namespace has.
    sizes: BTreeMap<&'r str, usize>,
    /// What else is said of some of them.
    remarks: BTreeMap<EndpointId, &'static str>,
}

/// A part of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Every workload there is.
    Everyone,
    /// Every workload of a namespace that has more than one.
    Namespace(String),
    /// One workload.
    Workload(EndpointId),
    /// Addresses.
    Outside(String),
}

impl<'r> Names<'r> {
    /// Names for these, which have these numbers.
    pub fn new(endpoints: &'r [Endpoint], ids: Vec<EndpointId>) -> Self {
        let mut sizes = BTreeMap::new();
        for endpoint in endpoints {
            *sizes.entry(endpoint.namespace.as_str()).or_default() += 1;
        }
        Self {
            endpoints,
            ids,
            sizes,
            remarks: BTreeMap::new(),
        }
    }

    /// The same with a word more about some of them.
    #[must_use]
    pub fn with_remarks(self, remarks: BTreeMap<EndpointId, &'static str>) -> Self {
        Self { remarks, ..self }
    }

    /// Everybody.
    pub fn endpoints(&self) -> &'r [Endpoint] {
        self.endpoints
    }

    /// Their numbers.
    pub fn ids(&self) -> impl Iterator<Item = EndpointId> {
        self.ids.iter().copied()
    }

    /// An endpoint by its number.
    pub fn endpoint(&self, id: EndpointId) -> &'r Endpoint {
        &self.endpoints[id.index()]
    }

    /// What a group consists of, the largest parts that it holds whole.
    pub fn parts(&self, group: &Group) -> Vec<Part> {
        let mut parts = Vec::new();
        if group.endpoints.len() == self.endpoints.len() && self.sizes.len() > 1 {
            parts.push(Part::Everyone);
        } else {
            let namespaces = group
                .endpoints
                .chunk_by(|one, other| self.endpoint(*one).namespace == self.endpoint(*other).namespace);
            for ids in namespaces {
                let namespace = self.endpoint(ids[0]).namespace.as_str();
                if ids.len() > 1 && self.sizes.get(namespace) == Some(&ids.len()) {
                    parts.push(Part::Namespace(namespace.to_owned()));
                } else {
                    parts.extend(ids.iter().map(|id| Part::Workload(*id)));
                }
            }
        }
        if !group.addresses.is_empty() {
            parts.push(Part::Outside(addresses(&group.addresses)));
        }
        parts
    }

    /// A part as it is written in a line of text.
    pub fn part(&self, part: &Part) -> String {
        match part {
            Part::Everyone => format!("every workload ({})", self.endpoints.len()),
            Part::Namespace(name) => {
                let size = self.sizes.get(name.as_str()).copied().unwrap_or_default();
                format!("{name}/ (all {size} workloads)")
            }
            Part::Workload(id) => format!("{} ({})", qualified(self.endpoint(*id)), self.particulars(*id)),
            Part::Outside(text) => text.clone(),
        }
    }

    /// The kind, what tells it from others or from what policies hold for, and what else is to be said of it.
    pub fn particulars(&self, id: EndpointId) -> String {
        let endpoint = self.endpoint(id);
        let mut words = vec![endpoint.kind.to_string()];
        // As selectors of kubectl have it.
        words.extend(endpoint.apart.iter().map(|(key, value)| match value {
            Some(value) => format!("{key}={value}"),
            None => format!("!{key}"),
        }));
        if endpoint.host_network {
            words.push("hostNetwork".to_owned());
        }
        words.extend(self.remarks.get(&id).map(|remark| (*remark).to_owned()));
        words.join(", ")
    }

    /// A group in a line of text: its first parts, and how many more.
    pub fn group(&self, group: &Group, most: usize) -> String {
        let parts = self.parts(group);
        let shown = if parts.len() == most + 1 {
            parts.len()
        } else {
            most.min(parts.len())
        };
        let mut text = parts[..shown]
            .iter()
            .map(|part| self.part(part))
            .collect::<Vec<_>>()
            .join(", ");
        if parts.len() > shown {
            let last = matches!(parts.last(), Some(Part::Outside(_)));
            let and = if last { ", and outside" } else { "" };
            text += &format!(" and {} more{and}", parts.len() - shown - usize::from(last));
        }
        text
    }
}

/// `namespace/name`.
pub fn qualified(endpoint: &Endpoint) -> String {
    format!("{}/{}", endpoint.namespace, endpoint.name)
}

/// Addresses in as few words as can be: as ranges, or as a range and what is left out of it.
pub fn addresses(set: &AddressSet) -> String {
    if *set == AddressSet::all() {
        return "outside".to_owned();
    }
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) = set.cidrs().partition(|net| net.addr().is_ipv4());
    let mut words = Vec::new();
    for nets in [v4, v6] {
        let Some(around) = around(&nets) else { continue };
        let inside: AddressSet = nets.iter().copied().collect();
        let left_out: Vec<IpNet> = AddressSet::from(around).difference(&inside).cidrs().collect();
        let listed = |nets: &[IpNet]| nets.iter().map(|net| bare(*net)).collect::<Vec<_>>();
        if left_out.len() + 1 < nets.len() {
            words.push(format!("{around} but {}", listed(&left_out).join(", ")));
        } else {
            words.extend(listed(&nets));
        }
    }
    words.join(", ")
}

/// The smallest range that holds these, which are in order.
fn around(nets: &[IpNet]) -> Option<IpNet> {
    let (first, last) = (nets.first()?, nets.last()?);
    let mut around = *first;
    while !around.contains(last) {
        around = around.supernet()?;
    }
    Some(around)
}

/// A single address without its length.
fn bare(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(&["0.0.0.0/0", "::/0"], &[], "outside")]
    #[case(&["0.0.0.0/0"], &[], "0.0.0.0/0")]
    #[case(&["0.0.0.0/0"], &["10.0.0.0/8"], "0.0.0.0/0 but 10.0.0.0/8")]
    #[case(&["0.0.0.0/0", "::/0"], &["10.0.0.0/8"], "0.0.0.0/0 but 10.0.0.0/8, ::/0")]
    #[case(&["203.0.113.0/28"], &["203.0.113.15/32"], "203.0.113.0/28 but 203.0.113.15")]
    #[case(&["10.0.0.1/32"], &[], "10.0.0.1")]
    #[case(&["10.0.0.0/8", "192.168.0.0/16"], &[], "10.0.0.0/8, 192.168.0.0/16")]
    #[case(&["0.0.0.0/1"], &[], "0.0.0.0/1")]
    fn addresses_are_written_shortly(#[case] inside: &[&str], #[case] outside: &[&str], #[case] expected: &str) {
        let set = |nets: &[&str]| {
            nets.iter()
                .map(|net| net.parse::<IpNet>().expect("a CIDR"))
                .collect::<AddressSet>()
        };
        assert_eq!(addresses(&set(inside).difference(&set(outside))), expected);
    }
}
