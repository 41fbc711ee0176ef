//! `netpol` against the words of the documentation: everything that [`Reach`] answers about small clusters is asked again,
//! pod by pod, address by address and port by port, of a naive reading of the API reference.

mod generate;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use generate::{ADDRESSES, Case, PORTS};
use oracle::{Cluster, Object, Place};
use proptest::prelude::*;
use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{
    Changes, Connection, DifferenceEnd, Direction, End, EndpointId, Ends, Filter, Leniency, NamedPort, PROTOCOLS,
    Policy, PortRange, Protocol, Reach, ReachOptions, Unrestricted, Workload, World, protocol_name, worse,
};

fn namespace(name: &str) -> NamespaceName {
    NamespaceName::new(name).expect("a name")
}

fn policies(objects: &[Object]) -> Vec<Policy> {
    let read = |(at, object): (usize, &Object)| {
        let spec = serde_json::from_value(object.spec.clone()).expect("a spec");
        Policy::read(object.namespace, &format!("p{at}"), &spec, Leniency::Written).expect("a valid policy")
    };
    objects.iter().enumerate().map(read).collect()
}

/// Each pod a workload of its own, so that it can be told from all others.
fn world(case: &Case) -> World {
    let labels = |labels: &BTreeMap<&str, &str>| -> Vec<(String, String)> {
        labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let workload = |(at, pod): (usize, &oracle::Pod)| Workload {
        namespace: namespace(pod.namespace),
        kind: "Pod".into(),
        name: format!("pod{at}").into(),
        labels: labels(&pod.labels),
        ports: pod
            .ports
            .iter()
            .map(|(name, protocol, number)| NamedPort {
                name: (*name).into(),
                protocol: PROTOCOLS
                    .into_iter()
                    .find(|each| protocol_name(*each) == *protocol)
                    .expect("a protocol"),
                number: *number,
            })
            .collect(),
        host_network: pod.host_network,
        addresses: pod.address.into_iter().collect(),
        pods: 1,
    };
    World {
        namespaces: case
            .namespaces
            .iter()
            .map(|(name, pairs)| (namespace(name), labels(pairs)))
            .collect(),
        workloads: case.pods.iter().enumerate().map(workload).collect(),
        policies: policies(&case.policies),
    }
}

fn options(case: &Case) -> ReachOptions {
    ReachOptions {
        ipblock_pods: case.ipblock_pods,
        ..ReachOptions::default()
    }
}

fn addresses() -> Vec<IpAddr> {
    ADDRESSES
        .iter()
        .map(|address| address.parse().expect("an address"))
        .collect()
}

/// A place among those that are asked about: pods first, then addresses.
type At = usize;

/// What is found about (source, destination, protocol): the ports of [`PORTS`] that pass, and the policies.
type Found = BTreeMap<(At, At, Protocol), (BTreeSet<u16>, BTreeSet<usize>)>;

fn found(case: &Case, reach: &Reach<'_>, connections: impl Iterator<Item = Connection>) -> Found {
    let places = |end: End| -> Vec<At> {
        match end {
            End::Workload(id) => reach.endpoint(id).workloads.clone(),
            End::Outside(net) => {
                let within = addresses()
                    .into_iter()
                    .enumerate()
                    .filter(|(_, address)| net.contains(address));
                within.map(|(at, _)| case.pods.len() + at).collect()
            }
        }
    };
    let mut found = Found::new();
    for connection in connections {
        let passes = |port: &u16| {
            connection
                .ports
                .iter()
                .any(|range| (range.first..=range.last).contains(port))
        };
        let ports: BTreeSet<u16> = PORTS.into_iter().filter(passes).collect();
        assert!(
            !connection.ports.is_empty(),
            "a connection without ports: {connection:?}"
        );
        let policies: BTreeSet<usize> = connection.policies.iter().map(|policy| policy.index()).collect();
        for source in places(connection.source) {
            for destination in places(connection.destination) {
                let again = found.insert(
                    (source, destination, connection.protocol),
                    (ports.clone(), policies.clone()),
                );
                assert!(again.is_none(), "answered twice: {connection:?}");
            }
        }
    }
    found
}

fn expected(case: &Case) -> Found {
    let cluster = Cluster {
        namespaces: &case.namespaces,
        policies: &case.policies,
        ipblock_pods: case.ipblock_pods,
    };
    let pods = case.pods.iter().map(Place::Pod);
    let places: Vec<Place<'_>> = pods.chain(addresses().into_iter().map(Place::Address)).collect();
    let mut expected = Found::new();
    for (from, source) in places.iter().enumerate() {
        for (to, destination) in places.iter().enumerate() {
            if from == to || from >= case.pods.len() && to >= case.pods.len() {
                continue;
            }
            for protocol in PROTOCOLS {
                let allowed: Vec<(u16, BTreeSet<usize>)> = PORTS
                    .into_iter()
                    .filter_map(|port| {
                        Some((
                            port,
                            cluster.allowed(*source, *destination, protocol_name(protocol), port)?,
                        ))
                    })
                    .collect();
                if !allowed.is_empty() {
                    let ports = allowed.iter().map(|(port, _)| *port).collect();
                    let policies = allowed.into_iter().flat_map(|(_, policies)| policies).collect();
                    expected.insert((from, to, protocol), (ports, policies));
                }
            }
        }
    }
    expected
}

fn ends(case: &Case, reach: &Reach<'_>, wanted: &BTreeSet<At>) -> Ends {
    let holds = |id: &EndpointId| {
        reach
            .endpoint(*id)
            .workloads
            .iter()
            .all(|workload| wanted.contains(workload))
    };
    let nets = addresses()
        .into_iter()
        .enumerate()
        .filter(|(at, _)| wanted.contains(&(case.pods.len() + at)));
    Ends {
        endpoints: reach.ids().filter(holds).collect(),
        addresses: nets.map(|(_, address)| ipnet::IpNet::from(address)).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn who_reaches_whom_is_what_the_documentation_says(case in generate::case()) {
        let world = world(&case);
        let reach = Reach::new(&world, &options(&case));
        let (found, expected) = (found(&case, &reach, reach.connections(&Filter::default())), expected(&case));
        prop_assert_eq!(&found, &expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_explanation_says_whether_and_by_which_policies(
        case in generate::case(), from in 0..13_usize, to in 0..13_usize, port in prop::sample::select(&PORTS[..]),
    ) {
        let world = world(&case);
        let reach = Reach::new(&world, &options(&case));
        let end = |at: At| match at.checked_sub(case.pods.len()) {
            None => reach.ids().find(|id| reach.endpoint(*id).workloads == [at]).map(End::Workload),
            Some(at) => addresses().get(at).map(|address| End::Outside((*address).into())),
        };
        let (Some(source), Some(destination)) = (end(from), end(to)) else { return Ok(()) };
        let expected = expected(&case);
        for protocol in PROTOCOLS {
            let explained = reach.explain(source, destination, protocol, port);
            prop_assert_eq!(explained.len(), 1, "one pod or one address at each end");
            if from == to || from >= case.pods.len() && to >= case.pods.len() {
                prop_assert!(explained[0].allowed());
                continue;
            }
            let passes = expected.get(&(from, to, protocol)).is_some_and(|(ports, _)| ports.contains(&port));
            prop_assert_eq!(explained[0].allowed(), passes, "{:?}", explained);
        }
    }

    #[test]
    fn a_filter_leaves_what_it_asks_for(
        case in generate::case(),
        from in prop::option::of(prop::collection::btree_set(0..13_usize, 0..6)),
        to in prop::option::of(prop::collection::btree_set(0..13_usize, 0..6)),
        port in prop::option::of((prop::sample::select(&PROTOCOLS[..]), prop::sample::select(&PORTS[..]))),
    ) {
        let world = world(&case);
        let reach = Reach::new(&world, &options(&case));
        let filter = Filter {
            from: from.as_ref().map(|wanted| ends(&case, &reach, wanted)),
            to: to.as_ref().map(|wanted| ends(&case, &reach, wanted)),
            port,
        };
        let wanted = |ends: &Option<BTreeSet<At>>, at: At| ends.as_ref().is_none_or(|ends| ends.contains(&at));
        let mut expected = found(&case, &reach, reach.connections(&Filter::default()));
        expected.retain(|(source, destination, protocol), (ports, _)| {
            if let Some((only, port)) = port {
                ports.retain(|passing| *passing == port && *protocol == only);
            }
            wanted(&from, *source) && wanted(&to, *destination) && !ports.is_empty()
        });
        prop_assert_eq!(found(&case, &reach, reach.connections(&filter)), expected);
    }

    #[test]
    fn what_is_left_out_as_unrestricted_is_what_nothing_isolates(case in generate::case()) {
        let world = world(&case);
        let options = options(&case);
        let all = Reach::new(&world, &options);
        let folded = Reach::new(&world, &ReachOptions { unrestricted: Unrestricted::LeftOut, ..options });
        let mut expected: Vec<Connection> = all.connections(&Filter::default()).collect();
        expected.retain(|connection| match (connection.source, connection.destination) {
            (End::Workload(from), End::Workload(to)) => all.endpoint(from).egress_isolated || all.endpoint(to).ingress_isolated,
            _ => true,
        });
        let found: Vec<Connection> = folded.connections(&Filter::default()).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn what_a_change_opens_and_closes_is_what_differs_between_the_worlds(
        before in generate::case(),
        policies in generate::policies(),
        pods in generate::pods(),
        keeps_pods: bool,
    ) {
        let after = Case {
            policies,
            pods: if keeps_pods { before.pods.clone() } else { pods },
            ..before.clone()
        };
        let (old, new) = (world(&before), world(&after));
        let changes = Changes::between(&old, &new, &options(&before));
        // By name, as the pods of the two worlds are numbered alike: pod 0 is pod 0, even in another namespace.
        let name = |case: &Case, at: At| match case.pods.get(at) {
            Some(pod) => format!("{}/pod{at}", pod.namespace),
            None => ADDRESSES[at - case.pods.len()].to_owned(),
        };
        let by_name = |case: &Case, reach: &Reach<'_>| -> BTreeMap<(String, String, Protocol), BTreeSet<u16>> {
            let found = found(case, reach, reach.connections(&Filter::default())).into_iter();
            found.map(|((from, to, protocol), (ports, _))| ((name(case, from), name(case, to), protocol), ports)).collect()
        };
        let (was, is) = (by_name(&before, changes.before()), by_name(&after, changes.after()));
        let mut expected = BTreeMap::new();
        for key in was.keys().chain(is.keys()) {
            let ports = |side: &BTreeMap<_, BTreeSet<u16>>| side.get(key).cloned().unwrap_or_default();
            let (opened, closed) = (&ports(&is) - &ports(&was), &ports(&was) - &ports(&is));
            if !opened.is_empty() || !closed.is_empty() {
                expected.insert(key.clone(), (opened, closed));
            }
        }
        let mut found = BTreeMap::new();
        let names = |end: DifferenceEnd| -> Vec<String> {
            match (end, end.before(), end.after()) {
                (DifferenceEnd::Outside(net), ..) => {
                    addresses().iter().filter(|address| net.contains(*address)).map(ToString::to_string).collect()
                }
                (_, _, Some(End::Workload(id))) => vec![name(&after, changes.after().endpoint(id).workloads[0])],
                (_, Some(End::Workload(id)), _) => vec![name(&before, changes.before().endpoint(id).workloads[0])],
                other => panic!("an end of neither world: {other:?}"),
            }
        };
        let held = |ranges: &[PortRange]| -> BTreeSet<u16> {
            PORTS.into_iter().filter(|port| ranges.iter().any(|range| (range.first..=range.last).contains(port))).collect()
        };
        for difference in changes.differences() {
            prop_assert!(!difference.opened.is_empty() || !difference.closed.is_empty(), "{:?}", difference);
            for source in names(difference.source) {
                for destination in names(difference.destination) {
                    let key = (source.clone(), destination, difference.protocol);
                    let again = found.insert(key, (held(&difference.opened), held(&difference.closed)));
                    prop_assert!(again.is_none(), "said twice: {:?}", difference);
                }
            }
        }
        // Ports that no PORTS stands for may differ alone.
        found.retain(|_, (opened, closed)| !opened.is_empty() || !closed.is_empty());
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn what_is_said_to_be_no_worse_opens_nothing(case in generate::case(), cut in generate::cuts()) {
        let Some(first) = case.policies.first() else { return Ok(()) };
        let mut after = case.clone();
        after.policies[0].spec = generate::cut(&first.spec, &cut);
        let (old, new) = (world(&case), world(&after));
        let no_worse = [Direction::Ingress, Direction::Egress]
            .into_iter()
            .all(|direction| worse(&old.policies[0], &new.policies[0], direction).is_empty());
        if no_worse {
            let changes = Changes::between(&old, &new, &options(&case));
            for difference in changes.differences() {
                prop_assert!(difference.opened.is_empty(), "{:?}", difference);
            }
        }
    }
}
