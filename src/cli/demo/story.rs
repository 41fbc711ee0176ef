//! [`STORY`]: what happens in the demo, scene by scene: who runs which kubectl command, the AdmissionReviews that an API
//! server sent for it (recorded from a real one and compared with it by a test), and what has to come of it.

use ringfence_core::model::Mode;

/// One command and what comes of it.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// What happens, in words.
    pub title: &'static str,
    /// How strictly the guardrails hold meanwhile.
    pub mode: Mode,
    /// Who runs it.
    pub user: Player,
    /// What they run.
    pub command: &'static str,
    /// What reaches the webhook, in the order in which it does.
    pub reviews: &'static [Recorded],
    /// What kubectl prints.
    pub prints: Prints,
}

/// Who plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Player {
    /// The service account `deployer` of namespace `ci`.
    Ci,
    /// A developer who may edit in `web` and do everything in `dev`.
    Mallory,
}

impl Player {
    /// The name at the prompt.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ci => "ci",
            Self::Mallory => "mallory",
        }
    }
}

/// One AdmissionReview as an API server sent it.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// Its file in `reviews/`.
    pub file: &'static str,
    /// Its JSON.
    pub body: &'static str,
    /// What has to be answered.
    pub expected: Expected,
}

/// What has to be answered to a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Let in, and nothing found.
    Untouched,
    /// Let in, since who asks holds the permission.
    Permitted,
    /// Let in, since a controller made it from a template that was judged.
    Inherited,
    /// Refused.
    Denied,
    /// Let in, and recorded as lacking the permission.
    Recorded,
}

/// What kubectl prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prints {
    /// This, on success.
    Done(&'static str),
    /// This before the webhook's refusal.
    Refused(&'static str),
}

macro_rules! recorded {
    ($file:literal, $expected:ident) => {
        Recorded {
            file: $file,
            body: include_str!(concat!("reviews/", $file)),
            expected: Expected::$expected,
        }
    };
}

/// The demo, in order: what a scene lets in is there in the next one.
pub const STORY: &[Scene] = &[
    Scene {
        title: "CI deploys the app. Its service account holds `connect` on the segment.",
        mode: Mode::Enforce,
        user: Player::Ci,
        command: "kubectl apply -f hollowapp.yaml",
        reviews: &[
            recorded!("1-deployment.json", Permitted),
            recorded!("1-replicaset.json", Inherited),
            recorded!("1-pod.json", Inherited),
        ],
        prints: Prints::Done("deployment.apps/hollowapp created"),
    },
    Scene {
        title: "Mallory may create pods in web, and copies the label.",
        mode: Mode::Enforce,
        user: Player::Mallory,
        command: "kubectl run rogue --image=curlimages/curl --labels=app=hollowapp -n web",
        reviews: &[recorded!("2-rogue-pod.json", Denied)],
        prints: Prints::Refused("Error from server (Forbidden): "),
    },
    Scene {
        title: "She holds `*` in her own namespace. But the database's owner is who is asked.",
        mode: Mode::Enforce,
        user: Player::Mallory,
        command: "kubectl create deployment hollowapp --image=curlimages/curl -n dev",
        reviews: &[recorded!("3-rogue-deployment.json", Denied)],
        prints: Prints::Refused("error: failed to create deployment: "),
    },
    Scene {
        title: "She keeps the label and swaps the code under it.",
        mode: Mode::Enforce,
        user: Player::Mallory,
        command: "kubectl set image deployment/hollowapp hollowapp=registry.example/miner:1 -n web",
        reviews: &[recorded!("4-image-swap.json", Denied)],
        prints: Prints::Refused("error: failed to patch image update to pod template: "),
    },
    Scene {
        title: "She may scale it: neither labels nor code change.",
        mode: Mode::Enforce,
        user: Player::Mallory,
        command: "kubectl scale deployment/hollowapp --replicas=2 -n web",
        reviews: &[recorded!("5-scaled-pod.json", Inherited)],
        prints: Prints::Done("deployment.apps/hollowapp scaled"),
    },
    Scene {
        title: "A pod whose labels no segment knows.",
        mode: Mode::Enforce,
        user: Player::Mallory,
        command: "kubectl run shell --image=curlimages/curl -n dev",
        reviews: &[recorded!("6-unrelated-pod.json", Untouched)],
        prints: Prints::Done("pod/shell created"),
    },
    Scene {
        title: "The rogue pod under `mode: Audit`, as one starts in a live cluster.",
        mode: Mode::Audit,
        user: Player::Mallory,
        command: "kubectl run rogue --image=curlimages/curl --labels=app=hollowapp -n web",
        reviews: &[recorded!("7-rogue-pod.json", Recorded)],
        prints: Prints::Done("pod/rogue created"),
    },
];
