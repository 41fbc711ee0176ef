//! What happens to a cluster: what people, nodes and controllers try, and when a replica hears of it.

use proptest::prelude::*;

use crate::model::{APPS, NAMESPACES, NODES, USERS};

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Create {
        user: &'static str,
        kind: &'static str,
        namespace: &'static str,
        app: &'static str,
        image: u8,
        forged: usize,
    },
    Relabel {
        user: &'static str,
        pick: usize,
        app: &'static str,
        by: &'static str,
    },
    Swap {
        user: &'static str,
        pick: usize,
        image: u8,
    },
    Tell {
        user: &'static str,
        pick: usize,
        address: u8,
    },
    Controller {
        pick: usize,
    },
    RelabelNamespace {
        user: &'static str,
        namespace: &'static str,
        team: &'static str,
        by: &'static str,
    },
    Recreate {
        namespace: &'static str,
        team: &'static str,
    },
    Hear,
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let user = || prop::sample::select(&USERS[..]);
    let namespace = || prop::sample::select(&NAMESPACES[..]);
    let app = || prop::sample::select(&APPS[..]);
    let team = || prop::sample::select(&["blue", "red", ""][..]);
    let teller = prop::sample::select([&USERS[..], &NODES[..]].concat());
    let kind = prop::sample::select(&["pods", "replicasets", "deployments"][..]);
    prop_oneof![
        4 => (user(), kind, namespace(), app(), 0..2_u8, any::<usize>()).prop_map(
            |(user, kind, namespace, app, image, forged)| Event::Create { user, kind, namespace, app, image, forged }
        ),
        4 => (user(), any::<usize>(), app(), prop::sample::select(&["", "status", "binding"][..]))
            .prop_map(|(user, pick, app, by)| Event::Relabel { user, pick, app, by }),
        3 => (user(), any::<usize>(), 0..3_u8).prop_map(|(user, pick, image)| Event::Swap { user, pick, image }),
        3 => (teller, any::<usize>(), 0..3_u8).prop_map(|(user, pick, address)| Event::Tell { user, pick, address }),
        5 => any::<usize>().prop_map(|pick| Event::Controller { pick }),
        2 => (user(), namespace(), team(), prop::sample::select(&["", "status", "finalize"][..]))
            .prop_map(|(user, namespace, team, by)| Event::RelabelNamespace { user, namespace, team, by }),
        1 => (namespace(), team()).prop_map(|(namespace, team)| Event::Recreate { namespace, team }),
        2 => Just(Event::Hear),
    ]
}
