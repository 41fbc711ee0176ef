//! # MetadataEndpoint
//!
//! **Stops** egress to the cloud's metadata endpoint, which hands the credentials of the node to whoever asks. Ranges count,
//! holes made by `except` are honoured, and a rule for everyone holds it too. A rule counts that lets a port through on which
//! the endpoint answers; one that does not (DNS to everywhere) does not reach it.
//!
//! Guarded on every cluster, on TCP 80 and 443: 169.254.169.254, which nearly all clouds use, and the addresses that mean
//! nothing else in IPv6: fd00:ec2::254 (AWS), fd20:ce::254 (Google), fd00:c1::a9fe:a9fe (Oracle), fd00:100::100:200 (Alibaba),
//! fd00:a9fe:a9fe::1 (Akamai), fd00:42::42 (Scaleway), fe80::a9fe:a9fe (OpenStack).
//!
//! Guarded where `services` names them: `AlibabaCloud` (100.100.100.200), `AzureWireServer` (168.63.129.16, TCP 80 and 32526),
//! `ECS` (169.254.170.2), `OracleCloudAtCustomer` (192.0.0.192), `Scaleway` (169.254.42.42), `TencentCloud` (169.254.0.23);
//! and two that give a pod no credentials but its own, for clusters where nobody is to have them: `EKSPodIdentity`
//! (169.254.170.23, fd00:ec2::23) and `GKEMetadataServer` (169.254.169.252, TCP 987 and 988: without Dataplane V2 policies
//! see this address, not 169.254.169.254). They are not guarded unasked because the exception that everybody writes,
//! `except: [169.254.169.254/32]`, would then be refused on clouds that have none of them. With `endpoints` and `ports` an
//! endpoint of one's own is guarded, e.g. a proxy on the nodes.
//!
//! **Example.** `egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]` is refused; with `except: [169.254.169.254/32]` it is not by
//! this check, unless it is made as `{name: MetadataEndpoint, services: [AzureWireServer]}`.
//!
//! **Settle it** with such an `except`, or with `waive` on `policychecks.ringfence.dev/MetadataEndpoint` at the cluster.

use super::sight::{Breach, Sight};
use crate::guardrails::Endpoint;
use crate::netpol::{Direction, Peer, Protocol};

pub(super) fn find(sight: &Sight<'_>) -> Vec<Breach> {
    let endpoints = &sight.options().endpoints;
    let mut found = Vec::new();
    for seen in sight.rules(Direction::Egress) {
        let ports = seen.ports().numbered();
        let answers = |endpoint: &&Endpoint| endpoint.ports.meets(&ports, Protocol::Tcp);
        let answering: Vec<&Endpoint> = endpoints.iter().filter(answers).collect();
        if answering.is_empty() {
            continue;
        }
        if seen.rule.is_for_everyone() {
            let why = format!(
                "{} is absent or empty, which is every destination, the metadata endpoint among them",
                seen.peers_path()
            );
            found.push(sight.breach(Direction::Egress, seen.spots(), why));
        }
        for (at, peer) in seen.peers() {
            let Peer::Block(block) = peer else { continue };
            let addresses = block.addresses();
            let held = answering
                .iter()
                .find_map(|endpoint| addresses.intersection(&endpoint.addresses).cidrs().next());
            if let Some(held) = held {
                let (path, cidr) = (seen.peers_path(), block.cidr);
                let why = format!("{path}[{at}].ipBlock {cidr} holds {}", held.network());
                found.push(sight.breach(Direction::Egress, [seen.spot(at)], why));
            }
        }
    }
    found
}
