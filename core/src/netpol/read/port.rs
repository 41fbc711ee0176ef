//! Ports (`ValidateNetworkPolicyPort`; names as `validation.IsValidPortName`, IANA service names of RFC 6335).

use std::sync::Arc;

use super::{Findings, Place};
use crate::netpol::{NetworkPolicyPort, PortNumberOrName, PortRule, Protocol};

pub(super) fn port(place: &Place<'_>, written: &NetworkPolicyPort, findings: &mut Findings) -> Option<PortRule> {
    let NetworkPolicyPort {
        protocol,
        port,
        end_port,
    } = written;
    let protocol = match protocol.as_deref() {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(other) => {
            findings.wrong(
                &place.field("protocol"),
                format!("{other:?} is not a protocol: use TCP, UDP or SCTP"),
            );
            None
        }
    };
    let at = place.field("endPort");
    match (port, end_port) {
        (None, None) => Some(PortRule::Numbers(protocol?, 1, u16::MAX)),
        (None, Some(_)) => {
            findings.wrong(&at, "the end of a range that has no beginning: give `port` as a number");
            None
        }
        (Some(PortNumberOrName::Name(name)), end) => {
            if end.is_some() {
                findings.wrong(
                    &at,
                    "a port by name has no range: give `port` as a number, or leave out `endPort`",
                );
            }
            if !is_port_name(name) {
                findings.wrong(
                    &place.field("port"),
                    format!(
                        "{name:?} is neither a number nor the name of a port: a name has at most 15 lower-case letters, \
                         digits and '-', with a letter among them and no '-' at an end or beside another"
                    ),
                );
            }
            Some(PortRule::Named(protocol?, Arc::from(name.as_str())))
        }
        (Some(PortNumberOrName::Number(first)), end) => {
            let begin = number(&place.field("port"), *first, findings);
            let last = match end {
                None => begin,
                Some(last) => {
                    if last < first {
                        findings.wrong(&at, format!("{last} is below `port`, which is {first}"));
                    }
                    number(&at, *last, findings)
                }
            };
            Some(PortRule::Numbers(protocol?, begin?, last?))
        }
    }
}

fn number(place: &Place<'_>, written: i32, findings: &mut Findings) -> Option<u16> {
    let number = u16::try_from(written).ok().filter(|number| *number > 0);
    if number.is_none() {
        findings.wrong(place, format!("{written} is not a port: use 1 to 65535"));
    }
    number
}

fn is_port_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
}
