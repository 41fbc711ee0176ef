//! The real server with the real engine beside an allow-everything server of the same stack, over TLS on loopback, the load
//! from another process: reviews per second, and CPU of the server per review, with 1, 100 and 1,000 segments. All servers
//! stand in this one process and take turns, so that whatever else the machine does hits all of them alike.
//!
//! `cargo bench --bench serve` takes about a minute; `-- --memory` prints resident memory at rest and after a million
//! reviews instead.

mod load;
mod process;
mod served;
#[path = "../world/mod.rs"]
mod world;

use std::time::Duration;

use tokio::runtime::Runtime;

use load::{Load, Until};
use served::Served;

/// Segments of each engine.
const SEGMENTS: [usize; 3] = [1, 100, 1000];
/// How often the servers take turns, and how long each turn is.
const ROUNDS: usize = 5;
const TURN: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);
/// How many reviews memory is looked at after.
const MANY: usize = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = |argument: &str| arguments.iter().any(|given| given == argument);
    if asked(load::ARGUMENT) {
        return load::generate();
    }
    let runtime = Runtime::new().expect("a runtime");
    describe();
    if asked("--memory") {
        memory(&runtime);
    } else {
        compare(&runtime);
    }
}

fn describe() {
    let reviews = world::reviews(320);
    let bytes: usize = reviews.iter().map(|(_, body)| body.len()).sum();
    let (smallest, largest) = reviews.iter().fold((usize::MAX, 0), |(smallest, largest), (_, body)| {
        (smallest.min(body.len()), largest.max(body.len()))
    });
    let about = reviews
        .iter()
        .filter(|(about, _)| *about == world::About::Segment)
        .count();
    println!(
        "{} HTTP/1.1 connections and {} of HTTP/2 with {} requests at a time; reviews of {smallest} to {largest} bytes, \
         mean {}; 1 in {} about a segment",
        load::HTTP1,
        load::HTTP2,
        load::STREAMS,
        bytes / reviews.len(),
        reviews.len() / about,
    );
}

/// One turn of one server.
struct Turn {
    per_second: f64,
    /// CPU microseconds of this process.
    per_review: f64,
}

fn turn(served: &Served, until: Until) -> Turn {
    let before = process::cpu_time();
    let done = Load::on(served, until).run();
    let used = process::cpu_time().saturating_sub(before);
    let reviews = f64::from(done.reviews);
    Turn {
        per_second: reviews / done.took.as_secs_f64(),
        per_review: used.as_secs_f64() * 1e6 / reviews,
    }
}

fn compare(runtime: &Runtime) {
    let engines = SEGMENTS.map(|segments| runtime.block_on(Served::engine(world::snapshot(segments))));
    let floor = runtime.block_on(Served::floor());
    let servers: Vec<&Served> = [&floor].into_iter().chain(&engines).collect();
    for served in &servers {
        turn(served, Until::Time(WARM_UP));
    }
    let rounds: Vec<Vec<Turn>> = (0..ROUNDS)
        .map(|_| servers.iter().map(|served| turn(served, Until::Time(TURN))).collect())
        .collect();

    println!("{ROUNDS} rounds of {} s each; medians", TURN.as_secs());
    println!(
        "{:<16}{:>12}{:>16}{:>18}",
        "", "reviews/s", "CPU us/review", "of the floor's CPU"
    );
    let names = ["floor".to_owned()]
        .into_iter()
        .chain(SEGMENTS.map(|segments| format!("{segments} segments")));
    for (place, name) in names.enumerate() {
        let over = |figure: &dyn Fn(&Vec<Turn>) -> f64| median(rounds.iter().map(figure).collect());
        println!(
            "{name:<16}{:>12.0}{:>16.1}{:>18.2}",
            over(&|round| round[place].per_second),
            over(&|round| round[place].per_review),
            over(&|round| round[place].per_review / round[0].per_review),
        );
    }
}

fn memory(runtime: &Runtime) {
    let say = |when: &str| println!("{when:<28}{:>8.1} MB", process::resident());
    let served = runtime.block_on(Served::engine(world::snapshot(1000)));
    say("at rest, 1,000 segments");
    let done = turn(&served, Until::Count(MANY));
    say("after 1,000,000 reviews");
    println!(
        "{:.0} reviews/s, {:.1} us CPU a review",
        done.per_second, done.per_review
    );
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
