//! IPv4 as seen from IPv6 alone (RFC 6052): `64:ff9b::/96` are the addresses of IPv4, and ranges within it ranges of IPv4.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::netpol::AddressSet;

static TRANSLATION: LazyLock<Ipv6Net> =
    LazyLock::new(|| Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96));

/// The range of IPv4 that a range of translated addresses stands for; any other range is what it is.
pub(super) fn meant(net: IpNet) -> IpNet {
    let IpNet::V6(translated) = net else { return net };
    let [.., a, b, c, d] = translated.network().octets();
    let meant = TRANSLATION.contains(&translated).then(|| {
        Ipv4Net::new(
            Ipv4Addr::new(a, b, c, d),
            translated.prefix_len() - TRANSLATION.prefix_len(),
        )
        .ok()
    });
    meant.flatten().map_or(net, IpNet::V4)
}

/// The addresses with those of IPv4 that translated ones among them stand for.
pub(super) fn with_meant(addresses: &AddressSet) -> AddressSet {
    let translated = addresses.intersection(&IpNet::V6(*TRANSLATION).into());
    addresses.union(&translated.cidrs().map(meant).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("64:ff9b::/96", "0.0.0.0/0")]
    #[case("64:ff9b::a00:0/104", "10.0.0.0/8")]
    #[case("64:ff9b::c000:201/128", "192.0.2.1/32")]
    #[case("64:ff9b::/95", "64:ff9b::/95")]
    #[case("64:ff9b:1::/96", "64:ff9b:1::/96")]
    #[case("10.0.0.0/8", "10.0.0.0/8")]
    fn a_translated_range_is_one_of_ipv4(#[case] given: &str, #[case] expected: &str) {
        let net = |text: &str| text.parse::<IpNet>().expect("a CIDR");
        assert_eq!(meant(net(given)), net(expected));
    }
}
