//! What is asked about: an end as it is written on a command line (`shop/web`, `shop/Deployment/web`, `shop/`,
//! `10.0.0.0/8`, `outside`) to the ends that it stands for.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{AddressSet, Endpoint, Ends, Protocol};

use super::told::names::Names;

/// One end, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedEnd {
    /// Addresses of the outside.
    Addresses(AddressSet),
    /// Workloads.
    Workloads {
        /// Their namespace.
        namespace: String,
        /// Their kind, in small letters; any where it is not said.
        kind: Option<String>,
        /// Their name; any where it is not said.
        name: Option<String>,
    },
}

/// A port, as written: `80` is TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedPort(pub Protocol, pub u16);

/// Words that stand for no end or port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// No end.
    #[error(
        "{0:?} is no end: write NAMESPACE/NAME, NAMESPACE/KIND/NAME, NAMESPACE/ for all of a namespace, an address, a CIDR, or `outside`"
    )]
    End(String),
    /// No port.
    #[error("{0:?} is no port: write a number from 1 to 65535, or TCP/80, UDP/53, SCTP/7777")]
    Port(String),
    /// Nobody.
    #[error("there is no workload {asked}{nearest}")]
    Nobody {
        /// What was asked for.
        asked: String,
        /// What is there instead.
        nearest: String,
    },
}

impl FromStr for AskedEnd {
    type Err = Unclear;

    fn from_str(text: &str) -> Result<Self, Unclear> {
        if text == "outside" {
            return Ok(Self::Addresses(AddressSet::all()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Addresses(address.into()));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Addresses(net.into()));
        }
        let words: Vec<&str> = text.split('/').collect();
        let (namespace, kind, name) = match words[..] {
            [namespace, ""] => (namespace, None, None),
            [namespace, name] => (namespace, None, Some(name.to_owned())),
            [namespace, kind, name] => (namespace, Some(kind.to_lowercase()), Some(name.to_owned())),
            _ => return Err(Unclear::End(text.to_owned())),
        };
        if NamespaceName::new(namespace).is_err() || name.as_deref() == Some("") {
            return Err(Unclear::End(text.to_owned()));
        }
        Ok(Self::Workloads {
            namespace: namespace.to_owned(),
            kind,
            name,
        })
    }
}

impl FromStr for AskedPort {
    type Err = Unclear;

    fn from_str(text: &str) -> Result<Self, Unclear> {
        let unclear = || Unclear::Port(text.to_owned());
        let (protocol, number) = text.split_once('/').unwrap_or(("TCP", text));
        let protocol = match protocol.to_uppercase().as_str() {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => return Err(unclear()),
        };
        let number = number
            .parse::<u16>()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(unclear)?;
        Ok(Self(protocol, number))
    }
}

impl AskedEnd {
    /// The ends that it stands for; that there are none of a namespace is no mistake of whoever asks only where it is one
    /// of many that are asked of.
    pub fn ends(&self, names: &Names<'_>) -> Result<Ends, Unclear> {
        match self {
            Self::Addresses(addresses) => Ok(Ends {
                addresses: addresses.clone(),
                ..Ends::default()
            }),
            Self::Workloads { .. } => {
                let endpoints = names.ids().filter(|id| self.is(names.endpoint(*id))).collect();
                let ends = Ends {
                    endpoints,
                    ..Ends::default()
                };
                if ends.endpoints.is_empty() {
                    return Err(self.nobody(names));
                }
                Ok(ends)
            }
        }
    }

    fn is(&self, endpoint: &Endpoint) -> bool {
        let Self::Workloads { namespace, kind, name } = self else {
            return false;
        };
        endpoint.namespace.as_str() == namespace
            && kind.as_ref().is_none_or(|kind| endpoint.kind.to_lowercase() == *kind)
            && name.as_ref().is_none_or(|name| *endpoint.name == **name)
    }

    fn nobody(&self, names: &Names<'_>) -> Unclear {
        let Self::Workloads { namespace, kind, name } = self else {
            return Unclear::Nobody {
                asked: String::new(),
                nearest: String::new(),
            };
        };
        let words = [
            Some(namespace.as_str()),
            kind.as_deref(),
            Some(name.as_deref().unwrap_or_default()),
        ];
        let asked = words.into_iter().flatten().collect::<Vec<_>>().join("/");
        let there = names
            .endpoints()
            .iter()
            .map(|it| format!("{}/{}/{}", it.namespace, it.kind, it.name));
        let likeness = |known: &String| {
            let known: Vec<&str> = known.split('/').collect();
            let short = format!("{}/{}", known[0], known.last().unwrap_or(&""));
            strsim::jaro_winkler(&asked, &short)
        };
        let nearest = there.max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
        Unclear::Nobody {
            asked,
            nearest: nearest.map_or_else(String::new, |nearest| format!("; the nearest is {nearest}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn workloads(namespace: &str, kind: Option<&str>, name: Option<&str>) -> AskedEnd {
        AskedEnd::Workloads {
            namespace: namespace.to_owned(),
            kind: kind.map(str::to_owned),
            name: name.map(str::to_owned),
        }
    }

    #[rstest]
    #[case("shop/", workloads("shop", None, None))]
    #[case("shop/web", workloads("shop", None, Some("web")))]
    #[case("shop/Deployment/web", workloads("shop", Some("deployment"), Some("web")))]
    #[case("outside", AskedEnd::Addresses(AddressSet::all()))]
    fn ends_are_written_in_few_ways(#[case] text: &str, #[case] expected: AskedEnd) {
        assert_eq!(text.parse(), Ok(expected));
    }

    #[rstest]
    #[case("10.0.0.0/8", "10.0.0.0/8")]
    #[case("10.1.2.3", "10.1.2.3/32")]
    #[case("fd00::/8", "fd00::/8")]
    #[case("::1", "::1/128")]
    fn addresses_are_ends(#[case] text: &str, #[case] cidr: &str) {
        let Ok(AskedEnd::Addresses(addresses)) = text.parse() else {
            panic!("{text} is an address");
        };
        assert_eq!(addresses.cidrs().map(|net| net.to_string()).collect::<Vec<_>>(), [cidr]);
    }

    #[rstest]
    #[case("web")]
    #[case("/web")]
    #[case("a/b/c/d")]
    #[case("10.0.0.0/33/x/y")]
    #[case("shop/Deployment/")]
    #[case("")]
    fn other_words_are_not(#[case] text: &str) {
        assert_eq!(text.parse::<AskedEnd>(), Err(Unclear::End(text.to_owned())));
    }

    #[rstest]
    #[case("80", Some(AskedPort(Protocol::Tcp, 80)))]
    #[case("tcp/443", Some(AskedPort(Protocol::Tcp, 443)))]
    #[case("UDP/53", Some(AskedPort(Protocol::Udp, 53)))]
    #[case("SCTP/65535", Some(AskedPort(Protocol::Sctp, 65535)))]
    #[case("0", None)]
    #[case("65536", None)]
    #[case("http", None)]
    #[case("ICMP/1", None)]
    fn ports_are_numbers_with_a_protocol(#[case] text: &str, #[case] expected: Option<AskedPort>) {
        assert_eq!(text.parse().ok(), expected);
    }
}
