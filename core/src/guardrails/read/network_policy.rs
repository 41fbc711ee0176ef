//! NetworkPolicySpecs and their parts in configuration: refused is all that the API server would refuse, as
//! [`Policy::read`] knows it, so that no namespace is left without its policies for their shape; and selectors that can
//! never match.

use std::net::IpAddr;

use super::labels::{Whose, selector};
use crate::guardrails::documents::{IngressRule, IpBlock, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use crate::guardrails::place::{Found, Place};
use crate::netpol::{Invalid, Leniency, Policy};

/// What to do where the API server would refuse a field; what is wrong with it says more.
const ADVICE: &str = "the API server would refuse the policy";

/// Reports everything wrong with a spec.
pub(super) fn network_policy(place: &Place<'_>, spec: &NetworkPolicySpec, found: &mut Found) {
    let before = found.problems.len();
    for Invalid { path, message } in refused(spec) {
        let path = path.strip_prefix("spec").unwrap_or(&path);
        found.wrong(&within(place, path), message, ADVICE);
    }
    if found.problems.len() > before {
        return;
    }
    selector(
        &place.field("podSelector"),
        &spec.pod_selector,
        Whose::PolicyPods,
        found,
    );
    for (position, rule) in spec.ingress.iter().flatten().enumerate() {
        let at = place.field("ingress").item(position);
        selectors(&at.field("from"), rule.from.as_deref().unwrap_or_default(), found);
    }
    for (position, rule) in spec.egress.iter().flatten().enumerate() {
        let at = place.field("egress").item(position);
        selectors(&at.field("to"), rule.to.as_deref().unwrap_or_default(), found);
    }
}

fn selectors(place: &Place<'_>, peers: &[NetworkPolicyPeer], found: &mut Found) {
    for (position, peer) in peers.iter().enumerate() {
        let at = place.item(position);
        if let Some(pods) = &peer.pod_selector {
            selector(&at.field("podSelector"), pods, Whose::PolicyPods, found);
        }
        if let Some(namespaces) = &peer.namespace_selector {
            selector(&at.field("namespaceSelector"), namespaces, Whose::Namespaces, found);
        }
    }
}

/// Reports everything wrong with ports.
pub(super) fn ports(place: &Place<'_>, ports: &[NetworkPolicyPort], found: &mut Found) {
    let rule = IngressRule {
        ports: Some(ports.to_vec()),
        ..IngressRule::default()
    };
    for Invalid { path, message } in refused_in(rule) {
        let path = path.strip_prefix("spec.ingress[0].ports").unwrap_or(&path);
        found.wrong(&within(place, path), message, ADVICE);
    }
}

/// Addresses and ranges, as the CIDRs that ipBlocks take; those with mistakes are reported.
pub(super) fn cidrs(place: &Place<'_>, addresses: &[String], found: &mut Found) -> Vec<String> {
    let cidr = |text: &String| match text.parse() {
        Ok(IpAddr::V4(_)) => format!("{text}/32"),
        Ok(IpAddr::V6(_)) => format!("{text}/128"),
        Err(_) => text.clone(),
    };
    let cidrs: Vec<String> = addresses.iter().map(cidr).collect();
    for (position, cidr) in cidrs.iter().enumerate() {
        let rule = IngressRule {
            from: Some(vec![block(cidr.clone())]),
            ..IngressRule::default()
        };
        for Invalid { message, .. } in refused_in(rule) {
            found.wrong(&place.item(position), message, ADVICE);
        }
    }
    cidrs
}

/// A peer of addresses.
pub(super) fn block(cidr: String) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: Some(IpBlock {
            cidr,
            except: Vec::new(),
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn refused_in(rule: IngressRule) -> Vec<Invalid> {
    refused(&NetworkPolicySpec {
        ingress: Some(vec![rule]),
        ..NetworkPolicySpec::default()
    })
}

/// What the API server would refuse of a spec.
fn refused(spec: &NetworkPolicySpec) -> Vec<Invalid> {
    let as_sent = serde_json::to_value(spec).and_then(serde_json::from_value);
    match as_sent {
        Ok(spec) => Policy::read("namespace", "name", &spec, Leniency::Written)
            .err()
            .unwrap_or_default(),
        Err(error) => vec![Invalid {
            path: "spec".to_owned(),
            message: error.to_string(),
        }],
    }
}

/// The place that a path of the API server's leads to from here: `.ingress[0].from[1]`.
fn within<'a>(place: &Place<'a>, path: &str) -> Place<'a> {
    let steps = path.split(['.', '[', ']']).filter(|step| !step.is_empty());
    steps.fold(place.clone(), |place, step| match step.parse() {
        Ok(position) => place.item(position),
        Err(_) => place.field(step),
    })
}
