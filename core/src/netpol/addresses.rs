//! [`AddressSet`]: which IPv4 and IPv6 addresses, as set algebra and as the fewest CIDRs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::ranges::{Ranges, partition};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A set of addresses of both families.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AddressSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// The addresses of a CIDR, whatever its host bits.
impl From<IpNet> for AddressSet {
    fn from(net: IpNet) -> Self {
        let mut set = Self::default();
        match net {
            IpNet::V4(net) => {
                set.v4 = [(u32::from(net.network()), u32::from(net.broadcast()))]
                    .into_iter()
                    .collect();
            }
            IpNet::V6(net) => {
                set.v6 = [(u128::from(net.network()), u128::from(net.broadcast()))]
                    .into_iter()
                    .collect();
            }
        }
        set
    }
}

impl From<IpAddr> for AddressSet {
    fn from(address: IpAddr) -> Self {
        IpNet::from(address).into()
    }
}

impl FromIterator<IpNet> for AddressSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            let Self { v4: four, v6: six } = net.into();
            v4.extend_from_slice(four.as_slice());
            v6.extend_from_slice(six.as_slice());
        }
        Self {
            v4: v4.into_iter().collect(),
            v6: v6.into_iter().collect(),
        }
    }
}

impl AddressSet {
    /// Every address: `0.0.0.0/0` and `::/0`.
    pub fn all() -> Self {
        Self {
            v4: [(0, u32::MAX)].into_iter().collect(),
            v6: [(0, u128::MAX)].into_iter().collect(),
        }
    }

    /// Whether no address is in it.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Of how many ranges it is made.
    pub fn size(&self) -> usize {
        self.v4.as_slice().len() + self.v6.as_slice().len()
    }

    /// Whether every address of a family is in it.
    pub fn holds_all_of(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4.as_slice() == [(0, u32::MAX)],
            Family::V6 => self.v6.as_slice() == [(0, u128::MAX)],
        }
    }

    /// Whether it holds an address. An IPv4-mapped IPv6 address is the IPv4 one, as Go's `net` has it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.into()),
            IpAddr::V6(address) => self.v6.contains(address.into()),
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            v4: self.v4.union(&other.v4),
            v6: self.v6.union(&other.v6),
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            v4: self.v4.intersection(&other.v4),
            v6: self.v6.intersection(&other.v6),
        }
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self {
            v4: self.v4.difference(&other.v4),
            v6: self.v6.difference(&other.v6),
        }
    }

    /// Whether the other holds all of it.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.v4.is_subset(&other.v4) && self.v6.is_subset(&other.v6)
    }

    /// What is in any of them.
    pub fn union_of<'s>(sets: impl IntoIterator<Item = &'s Self>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for set in sets {
            v4.extend_from_slice(set.v4.as_slice());
            v6.extend_from_slice(set.v6.as_slice());
        }
        Self {
            v4: v4.into_iter().collect(),
            v6: v6.into_iter().collect(),
        }
    }

    /// Cuts the union of sets into parts that lie in the same of them: each with the positions of the sets that hold it.
    pub fn partition(sets: &[&Self]) -> Vec<(Self, Vec<usize>)> {
        let mut parts: BTreeMap<Vec<usize>, Self> = BTreeMap::new();
        for (holding, v4) in partition(sets.iter().map(|set| &set.v4)) {
            parts.entry(holding).or_default().v4 = v4;
        }
        for (holding, v6) in partition(sets.iter().map(|set| &set.v6)) {
            parts.entry(holding).or_default().v6 = v6;
        }
        parts.into_iter().map(|(holding, set)| (set, holding)).collect()
    }

    /// How many addresses of a family it holds; all of IPv6 are one more than can be told, and one less is told.
    pub fn count(&self, family: Family) -> u128 {
        let sum = |sum: u128, first: u128, last: u128| sum.saturating_add((last - first).saturating_add(1));
        match family {
            Family::V4 => self.v4.as_slice().iter().fold(0, |counted, &(first, last)| {
                sum(counted, u128::from(first), u128::from(last))
            }),
            Family::V6 => self
                .v6
                .as_slice()
                .iter()
                .fold(0, |counted, &(first, last)| sum(counted, first, last)),
        }
    }

    /// The length of the widest CIDR of a family in it, e.g. 8 for `10.0.0.0/8`; none where it has no address of the family.
    pub fn widest(&self, family: Family) -> Option<u8> {
        let of_family = |net: &IpNet| match family {
            Family::V4 => net.network().is_ipv4(),
            Family::V6 => net.network().is_ipv6(),
        };
        self.cidrs().filter(of_family).map(|net| net.prefix_len()).min()
    }

    /// The fewest CIDRs that make it up, disjoint and in order, IPv4 first.
    pub fn cidrs(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.v4.as_slice().iter().flat_map(|&(first, last)| {
            Ipv4Subnets::new(Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last), 0).map(IpNet::V4)
        });
        let v6 = self.v6.as_slice().iter().flat_map(|&(first, last)| {
            Ipv6Subnets::new(Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last), 0).map(IpNet::V6)
        });
        v4.chain(v6)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn nets() -> impl Strategy<Value = Vec<IpNet>> {
        // The last 16 addresses of each family: the very end, where arithmetic overflows.
        let net = (any::<bool>(), 0..16_u8, 0..=4_u8).prop_map(|(six, low, bits)| {
            let net = if six {
                IpNet::new(Ipv6Addr::from_bits(u128::MAX - 15 + u128::from(low)).into(), 124 + bits)
            } else {
                IpNet::new(Ipv4Addr::from_bits(u32::MAX - 15 + u32::from(low)).into(), 28 + bits)
            };
            net.expect("a length within the family's")
        });
        prop::collection::vec(net, 0..6)
    }

    fn all() -> Vec<IpAddr> {
        let v4 = (0..16).map(|low| IpAddr::from(Ipv4Addr::from_bits(u32::MAX - low)));
        let v6 = (0..16).map(|low| IpAddr::from(Ipv6Addr::from_bits(u128::MAX - low)));
        v4.chain(v6).collect()
    }

    fn members(nets: &[IpNet]) -> BTreeSet<IpAddr> {
        let within = |address: &IpAddr| nets.iter().any(|net| net.contains(address));
        all().into_iter().filter(within).collect()
    }

    /// The fewest: greedily, the widest aligned block at each address of the set.
    fn fewest(members: &BTreeSet<IpAddr>) -> usize {
        let mut left: Vec<IpAddr> = members.iter().copied().collect();
        let mut count = 0;
        while let Some(first) = left.first().copied() {
            let most = IpNet::from(first).max_prefix_len();
            let widest = (most - 4..=most)
                .filter_map(|bits| IpNet::new(first, bits).ok())
                .filter(|net| net.network() == first)
                .find(|net| {
                    all()
                        .iter()
                        .filter(|address| net.contains(*address))
                        .all(|address| members.contains(address))
                })
                .expect("a single address is a block");
            left.retain(|address| !widest.contains(address));
            count += 1;
        }
        count
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn sets_of_addresses_are_what_sets_of_their_members_are(left in nets(), right in nets()) {
            let (a, b) = (members(&left), members(&right));
            let (left, right): (AddressSet, AddressSet) = (left.into_iter().collect(), right.into_iter().collect());
            let of = |set: &AddressSet| -> BTreeSet<IpAddr> {
                all().into_iter().filter(|address| set.contains(*address)).collect()
            };
            prop_assert_eq!(of(&left), a.clone());
            for (set, expected) in [
                (left.union(&right), &a | &b),
                (left.intersection(&right), &a & &b),
                (left.difference(&right), &a - &b),
            ] {
                prop_assert_eq!(of(&set), expected.clone());
                let cidrs: Vec<IpNet> = set.cidrs().collect();
                prop_assert_eq!(members(&cidrs), expected.clone());
                prop_assert_eq!(cidrs.len(), fewest(&expected), "{:?}", cidrs);
            }
            prop_assert_eq!(left.is_subset(&right), a.is_subset(&b));
        }
    }

    #[test]
    fn the_outside_without_a_block_is_covered_by_disjoint_cidrs() {
        let block: IpNet = "10.0.0.0/8".parse().expect("a CIDR");
        let rest: Vec<String> = AddressSet::all()
            .difference(&block.into())
            .cidrs()
            .map(|net| net.to_string())
            .collect();
        assert_eq!(
            rest,
            [
                "0.0.0.0/5",
                "8.0.0.0/7",
                "11.0.0.0/8",
                "12.0.0.0/6",
                "16.0.0.0/4",
                "32.0.0.0/3",
                "64.0.0.0/2",
                "128.0.0.0/1",
                "::/0"
            ]
        );
    }

    #[test]
    fn addresses_are_counted_by_family() {
        let set: AddressSet = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32", "fd00::/64"]
            .into_iter()
            .map(|net| net.parse::<IpNet>().expect("a CIDR"))
            .collect();
        assert_eq!((set.count(Family::V4), set.count(Family::V6)), ((1 << 24) + 1, 1 << 64));
        assert_eq!(AddressSet::all().count(Family::V6), u128::MAX);
        assert_eq!(AddressSet::all().count(Family::V4), 1 << 32);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_one() {
        let block: IpNet = "10.0.0.0/8".parse().expect("a CIDR");
        assert!(AddressSet::from(block).contains("::ffff:10.1.2.3".parse().expect("an address")));
    }
}
