//! The limit on open files. systemd and containerd start processes with a soft limit of 1,024 for the sake of programs that
//! use `select(2)`, far below the hard one, and leave it to the process to raise its own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files beyond connections: the watches and reviews towards the API server, files, the runtime's own.
const OTHERS: u64 = 512;

/// Raises the soft limit, so far as the hard one goes, to what so many connections need. Never lowers it.
pub(super) fn raise_to(connections: usize) {
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit.
    let Some(current) = current.filter(|current| *current < needed) else {
        return;
    };
    let reachable = maximum.map_or(needed, |maximum| needed.min(maximum));
    let raised = Rlimit {
        current: Some(reachable),
        maximum,
    };
    let raised = if reachable > current {
        setrlimit(Resource::Nofile, raised).is_ok()
    } else {
        false
    };
    if !raised || reachable < needed {
        tracing::warn!(
            needed,
            hard_limit = maximum,
            "the limit on open files is below what the connection limit needs: raise it, or lower the connections"
        );
    }
}
