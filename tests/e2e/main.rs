//! ringfence as its users meet it: installed from `deploy/` on a real control plane, two replicas behind a forwarder, real
//! kubectl. One world is shared by what does not change it; what does starts its own.

mod borrowed;
mod calls;
mod checks;
mod checks_attacks;
mod conditions;
mod consent;
mod cross;
mod custom_kinds;
mod delegates;
mod derived;
mod duties;
mod grants;
mod life;
mod modes;
mod outage;
mod placements;
mod policies;
mod recipe;
mod require_isolation;
mod staleness;
mod story;
mod tenants;
mod unjudged;
mod world;
