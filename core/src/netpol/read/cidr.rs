//! ipBlocks (`ValidateIPBlock`). New objects are read strictly; stored ones may hold what API servers took before
//! KEP-4858 (StrictIPCIDRValidation), and mean what Go's lenient parser made of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Findings, Leniency, Place};
use crate::netpol::{Block, IpBlock};

pub(super) fn block(place: &Place<'_>, written: &IpBlock, findings: &mut Findings) -> Option<Block> {
    let IpBlock { cidr, except } = written;
    let at = place.field("cidr");
    if cidr.is_empty() {
        findings.wrong(&at, "an ipBlock without a CIDR: write ADDRESS/BITS, e.g. 10.0.0.0/8");
        return None;
    }
    let cidr = read(&at, cidr, findings)?;
    let list = place.field("except");
    let except = except
        .iter()
        .enumerate()
        .filter_map(|(position, written)| {
            let at = list.item(position);
            let hole = read(&at, written, findings)?;
            if !cidr.contains(&hole.network()) || cidr.prefix_len() >= hole.prefix_len() {
                findings.wrong(&at, format!("{written:?} is not within {cidr} and smaller than it"));
            }
            Some(hole)
        })
        .collect();
    Some(Block { cidr, except })
}

/// The CIDR with its host bits cleared, if it is one that Kubernetes has ever taken.
fn read(place: &Place<'_>, written: &str, findings: &mut Findings) -> Option<IpNet> {
    let Some((address, bits)) = lenient(written) else {
        findings.wrong(
            place,
            format!("{written:?} is not a range of addresses: write ADDRESS/BITS, e.g. 10.0.0.0/8 or 2001:db8::/64"),
        );
        return None;
    };
    let net = IpNet::new(address, bits).ok()?.trunc();
    if findings.leniency == Leniency::Written {
        if strict(written).is_none() {
            findings.wrong(
                place,
                format!("{written:?} has leading zeros: write {net} if that is meant"),
            );
        } else if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
            findings.wrong(
                place,
                format!(
                    "{written:?} is an IPv4-mapped IPv6 address: write {} if that is meant",
                    canonical(net)
                ),
            );
        } else if address != net.network() {
            findings.wrong(
                place,
                format!(
                    "{written:?} has bits beyond its length: write {net} for the range, or {} for the address",
                    IpNet::from(address)
                ),
            );
        }
    }
    Some(canonical(net))
}

/// A mapped range is the IPv4 one, as Go's `net.IPNet` compares it.
fn canonical(net: IpNet) -> IpNet {
    let mapped = match net {
        IpNet::V6(net) if net.prefix_len() >= 96 => {
            net.network().to_ipv4_mapped().map(|v4| (v4, net.prefix_len() - 96))
        }
        _ => None,
    };
    mapped
        .and_then(|(address, bits)| IpNet::new(address.into(), bits).ok())
        .unwrap_or(net)
}

/// Go's `netip.ParsePrefix`.
fn strict(written: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = written.split_once('/')?;
    let leading_zero = bits.len() > 1 && bits.starts_with('0');
    let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !leading_zero).then_some(())?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    IpNet::new(address, bits).ok()?;
    Some((address, bits))
}

/// `k8s.io/utils/net.ParseCIDRSloppy`: Go's parser of before 1.17, which took leading zeros for what they look like.
fn lenient(written: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = written.split_once('/')?;
    let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(())?;
    let bits: u8 = without_zeros(bits).parse().ok()?;
    let address = if address.contains(':') {
        IpAddr::from(lenient_v6(address)?)
    } else {
        IpAddr::from(lenient_v4(address)?)
    };
    IpNet::new(address, bits).ok()?;
    Some((address, bits))
}

fn without_zeros(digits: &str) -> &str {
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() {
        &digits[digits.len().saturating_sub(1)..]
    } else {
        trimmed
    }
}

fn lenient_v4(written: &str) -> Option<Ipv4Addr> {
    let octets: Vec<&str> = written.split('.').map(without_zeros).collect();
    octets.join(".").parse().ok()
}

fn lenient_v6(written: &str) -> Option<Ipv6Addr> {
    let parts: Vec<String> = written
        .split(':')
        .map(|part| {
            if part.contains('.') {
                lenient_v4(part).map(|address| address.to_string())
            } else {
                Some(without_zeros(part).to_owned())
            }
        })
        .collect::<Option<_>>()?;
    parts.join(":").parse().ok()
}
