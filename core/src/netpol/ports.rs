//! [`PortSet`]: which ports, of which protocols.

use std::fmt;

use super::ranges::Ranges;
use super::{PROTOCOLS, Protocol};

/// The protocol as the API writes it.
pub fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}

/// Ports from first to last, both within; written `80` or `1-65535`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The first port, at least 1.
    pub first: u16,
    /// The last port, not below the first.
    pub last: u16,
}

impl fmt::Display for PortRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(formatter, "{}", self.first)
        } else {
            write!(formatter, "{}-{}", self.first, self.last)
        }
    }
}

/// A set of ports of each protocol, from 1 to 65535.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PortSet([Ranges<u16>; 3]);

fn place(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::Sctp => 2,
    }
}

impl PortSet {
    /// Every port of every protocol.
    pub fn all() -> Self {
        Self(std::array::from_fn(|_| [(1, u16::MAX)].into_iter().collect()))
    }

    /// The ports of one protocol from first to last; port 0 is none.
    pub fn range(protocol: Protocol, first: u16, last: u16) -> Self {
        let mut set = Self::default();
        set.0[place(protocol)] = [(first.max(1), last)].into_iter().collect();
        set
    }

    /// What is in any of them.
    pub fn union_of<'s>(sets: impl IntoIterator<Item = &'s Self>) -> Self {
        let mut all: [Vec<(u16, u16)>; 3] = Default::default();
        for set in sets {
            for (ranges, more) in all.iter_mut().zip(&set.0) {
                ranges.extend_from_slice(more.as_slice());
            }
        }
        Self(all.map(|ranges| ranges.into_iter().collect()))
    }

    /// Of how many ranges it is made.
    pub fn size(&self) -> usize {
        self.0.iter().map(|ranges| ranges.as_slice().len()).sum()
    }

    /// Whether no port is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Ranges::is_empty)
    }

    /// Whether every port of every protocol is in it.
    pub fn is_all(&self) -> bool {
        self.0.iter().all(|ranges| ranges.as_slice() == [(1, u16::MAX)])
    }

    /// Whether it holds a port.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.0[place(protocol)].contains(port)
    }

    /// The fewest ranges of a protocol, in order.
    pub fn ranges(&self, protocol: Protocol) -> impl ExactSizeIterator<Item = PortRange> {
        self.0[place(protocol)]
            .as_slice()
            .iter()
            .map(|&(first, last)| PortRange { first, last })
    }

    /// How many ports it holds, of all protocols together.
    pub fn count(&self) -> u32 {
        PROTOCOLS
            .into_iter()
            .flat_map(|protocol| self.ranges(protocol))
            .map(|range| u32::from(range.last - range.first) + 1)
            .sum()
    }

    /// Whether some port of a protocol is in both.
    pub fn meets(&self, other: &Self, protocol: Protocol) -> bool {
        let at = place(protocol);
        !self.0[at].intersection(&other.0[at]).is_empty()
    }

    fn each(&self, other: &Self, operation: impl Fn(&Ranges<u16>, &Ranges<u16>) -> Ranges<u16>) -> Self {
        Self(std::array::from_fn(|index| operation(&self.0[index], &other.0[index])))
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.each(other, Ranges::union)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.each(other, Ranges::intersection)
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.each(other, Ranges::difference)
    }

    /// Whether the other holds all of it.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, theirs)| mine.is_subset(theirs))
    }
}

/// The ports of protocols, from first to last each; port 0 is none.
impl FromIterator<(Protocol, u16, u16)> for PortSet {
    fn from_iter<I: IntoIterator<Item = (Protocol, u16, u16)>>(ports: I) -> Self {
        let mut all: [Vec<(u16, u16)>; 3] = Default::default();
        for (protocol, first, last) in ports {
            all[place(protocol)].push((first.max(1), last));
        }
        Self(all.map(|ranges| ranges.into_iter().collect()))
    }
}

/// `TCP 80, 443; UDP 53`; `all ports` and `no port` for everything and nothing.
impl fmt::Display for PortSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return formatter.write_str("all ports");
        }
        if self.is_empty() {
            return formatter.write_str("no port");
        }
        let mut between = "";
        for protocol in PROTOCOLS {
            for (position, range) in self.ranges(protocol).enumerate() {
                match position {
                    0 => write!(formatter, "{between}{} {range}", protocol_name(protocol))?,
                    _ => write!(formatter, ", {range}")?,
                }
                between = "; ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_kept_apart() {
        let web = PortSet::range(Protocol::Tcp, 80, 80).union(&PortSet::range(Protocol::Udp, 53, 60));
        assert!(web.contains(Protocol::Tcp, 80) && !web.contains(Protocol::Udp, 80));
        assert_eq!(web.to_string(), "TCP 80; UDP 53-60");
        assert_eq!(web.count(), 9);
        assert_eq!(
            PortSet::all().difference(&web).to_string(),
            "TCP 1-79, 81-65535; UDP 1-52, 61-65535; SCTP 1-65535"
        );
        assert_eq!(PortSet::all().to_string(), "all ports");
        assert_eq!(PortSet::default().to_string(), "no port");
    }

    #[test]
    fn all_is_one_to_65535_of_each_protocol() {
        for protocol in PROTOCOLS {
            let ranges: Vec<String> = PortSet::all().ranges(protocol).map(|range| range.to_string()).collect();
            assert_eq!(ranges, ["1-65535"]);
            assert!(!PortSet::all().contains(protocol, 0));
        }
        assert!(PortSet::range(Protocol::Tcp, 0, 0).is_empty(), "port 0 is none");
    }
}
