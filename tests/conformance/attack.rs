//! What an attack is: a row of the tables under `attacks/`. Built by [`attack`] and the words that follow it, so that a row
//! reads as a sentence. Names of the row's own objects stand as `$TEAM` and `$VAULT` (its two namespaces), `$ADDRESS` and
//! `$PORT` (of a listener that the API server can dial; `$NUMBER` is the port as a number), `$UID(path)` (the uid of the object at a path of the API).

use serde_json::{Value, json};

use super::scene::{Answer, Scene};

/// Edits in both namespaces: the built-in ClusterRole `edit`.
pub(crate) const MALLORY: &str = "mallory";
/// Administers both namespaces: the built-in ClusterRole `admin`.
pub(crate) const ADA: &str = "ada";
/// May do everything in both namespaces, with every verb there is.
pub(crate) const TESS: &str = "tess";
/// May use the proxies of nodes.
pub(crate) const NORA: &str = "nora";
/// May create namespaces.
pub(crate) const NATE: &str = "nate";
/// May write the policies of other networks that hold for the whole cluster.
pub(crate) const PETRA: &str = "petra";
/// As mallory, and may impersonate the service accounts of kube-system.
pub(crate) const IVAN: &str = "ivan";

/// One row.
#[derive(Debug)]
pub(crate) struct Attack {
    /// Short and unique.
    pub(crate) name: String,
    /// The write path that it goes by, as [`path_name`](super::table::path_name) writes it.
    pub(crate) path: String,
    /// Who attacks.
    pub(crate) user: &'static str,
    /// What is done.
    pub(crate) does: String,
    /// What is there before, in order.
    pub(crate) given: Vec<Step>,
    /// The attack itself.
    pub(crate) attempt: Step,
    /// What follows where the attempt is let in, until the proof is seen.
    pub(crate) then: Vec<Step>,
    /// What shows that it succeeded.
    pub(crate) proof: Proof,
    /// What is answered with ringfence.
    pub(crate) answered: Answered,
}

/// Something that is done.
#[derive(Debug)]
pub(crate) struct Step {
    /// Who does it; none for the cluster administrator, or, in an attempt, for the attacker.
    pub(crate) user: Option<&'static str>,
    /// What.
    pub(crate) what: What,
}

/// What is done.
#[derive(Debug)]
pub(crate) enum What {
    /// kubectl with these arguments, split at spaces.
    Kubectl(String, Option<Value>),
    /// A plain request: method, path, content type, body.
    Request(&'static str, String, &'static str, Option<Value>),
    /// Reads the object at the first path, puts the value where the sight says, and replaces the object there.
    Replace(String, Sight),
    /// Waits until this is seen.
    Until(Sight),
    /// What takes several calls, as this user.
    Calls(fn(&Scene<'_>, &str) -> Result<Answer, String>),
}

/// A value of an object: its path in the API, a JSON pointer, and what stands there.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub(crate) path: String,
    pub(crate) pointer: &'static str,
    pub(crate) is: Value,
}

/// What shows that an attack succeeded.
#[derive(Debug)]
pub(crate) enum Proof {
    /// A value that stands there afterwards, and did not before.
    Seen(Sight),
    /// The answer has these words of whoever was reached, a stand-in kubelet or a listener.
    Reached(&'static str),
}

/// Who refuses an attack when ringfence is there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answered {
    /// ringfence, with these words.
    ByRingfence(&'static str),
    /// The API server itself, whether ringfence is there or not, with these words.
    ByTheApiServer(&'static str),
}

/// Begins a row: its name, the write path, who attacks.
pub(crate) fn attack(name: impl Into<String>, path: impl Into<String>, user: &'static str) -> Attack {
    Attack {
        name: name.into(),
        path: path.into(),
        user,
        does: String::new(),
        given: Vec::new(),
        attempt: kubectl("version"),
        then: Vec::new(),
        proof: Proof::Reached("a row says what proves it"),
        answered: Answered::ByRingfence("a row says what is answered"),
    }
}

impl Attack {
    pub(crate) fn does(mut self, what: impl Into<String>) -> Self {
        self.does = what.into();
        self
    }

    pub(crate) fn given(mut self, step: Step) -> Self {
        self.given.push(step);
        self
    }

    pub(crate) fn attempt(mut self, step: Step) -> Self {
        self.attempt = step;
        self
    }

    pub(crate) fn then(mut self, step: Step) -> Self {
        self.then.push(step);
        self
    }

    pub(crate) fn brings(mut self, path: &str, pointer: &'static str, is: impl Into<Value>) -> Self {
        self.proof = Proof::Seen(sight(path, pointer, is));
        self
    }

    pub(crate) fn reaches(mut self, words: &'static str) -> Self {
        self.proof = Proof::Reached(words);
        self
    }

    pub(crate) fn refused(mut self, words: &'static str) -> Self {
        self.answered = Answered::ByRingfence(words);
        self
    }

    pub(crate) fn refused_by_the_api_server(mut self, words: &'static str) -> Self {
        self.answered = Answered::ByTheApiServer(words);
        self
    }
}

impl Step {
    /// The same, done by this user.
    pub(crate) fn by(mut self, user: &'static str) -> Self {
        self.user = Some(user);
        self
    }
}

pub(crate) fn kubectl(arguments: impl Into<String>) -> Step {
    step(What::Kubectl(arguments.into(), None))
}

/// kubectl that reads this object.
pub(crate) fn kubectl_with(arguments: impl Into<String>, object: Value) -> Step {
    step(What::Kubectl(arguments.into(), Some(object)))
}

/// Creates an object in the collection at a path.
pub(crate) fn create(collection: &str, object: Value) -> Step {
    request("POST", collection, "application/json", object)
}

/// A merge patch.
pub(crate) fn merge(path: &str, patch: Value) -> Step {
    request("PATCH", path, "application/merge-patch+json", patch)
}

pub(crate) fn request(method: &'static str, path: &str, content: &'static str, body: Value) -> Step {
    step(What::Request(method, path.to_owned(), content, Some(body)))
}

/// PUT to a path of the object that stands at `object`, changed in one place.
pub(crate) fn replace(object: &str, path: &str, pointer: &'static str, is: impl Into<Value>) -> Step {
    step(What::Replace(object.to_owned(), sight(path, pointer, is)))
}

pub(crate) fn get(path: &str) -> Step {
    step(What::Request("GET", path.to_owned(), "", None))
}

pub(crate) fn until(path: &str, pointer: &'static str, is: impl Into<Value>) -> Step {
    step(What::Until(sight(path, pointer, is)))
}

pub(crate) fn calls(calls: fn(&Scene<'_>, &str) -> Result<Answer, String>) -> Step {
    step(What::Calls(calls))
}

fn step(what: What) -> Step {
    Step { user: None, what }
}

fn sight(path: &str, pointer: &'static str, is: impl Into<Value>) -> Sight {
    Sight {
        path: path.to_owned(),
        pointer,
        is: is.into(),
    }
}

/// The pods of the team, of the vault, and others.
pub(crate) const TEAM_PODS: &str = "/api/v1/namespaces/$TEAM/pods";
pub(crate) const VAULT_PODS: &str = "/api/v1/namespaces/$VAULT/pods";

/// What a member and a client of the segment carry.
pub(crate) const MEMBER: (&str, &str) = ("app", "vault");
pub(crate) const CLIENT: (&str, &str) = ("app", "client");
/// What nobody guards.
pub(crate) const OTHER: (&str, &str) = ("app", "other");

/// A pod that nobody binds to a node.
pub(crate) fn pod(name: &str, (key, value): (&str, &str), image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {key: value, "run": "set"}},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": image}]},
    })
}

/// The same with these fields laid over it, as a merge patch does.
pub(crate) fn with(mut object: Value, patch: Value) -> Value {
    lay_over(&mut object, patch);
    object
}

fn lay_over(object: &mut Value, patch: Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                lay_over(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (object, patch) => *object = patch,
    }
}
