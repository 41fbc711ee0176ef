//! Where one row is played in one world: two namespaces of its own, the words that stand for them, and how a step is done.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_controlplane::{Output, Response, wait_until};
use serde_json::Value;

use super::attack::{ADA, IVAN, MALLORY, Sight, Step, TESS, What};
use super::world::World;

/// Longer than anything that comes about by itself takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a call was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) text: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            success: output.success,
            text: output.stdout + &output.stderr,
        }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            success: (200..300).contains(&response.status),
            text: serde_json::from_str::<Value>(&response.text)
                .ok()
                .and_then(|status| status["message"].as_str().map(str::to_owned))
                .unwrap_or(response.text),
        }
    }
}

/// Where a row is played.
pub(crate) struct Scene<'w> {
    pub(crate) world: &'w World,
    pub(crate) team: String,
    vault: String,
}

impl<'w> Scene<'w> {
    /// Makes the namespaces of row `number`, in which mallory and ivan edit and tess may do everything.
    pub(crate) fn set(world: &'w World, number: usize) -> Self {
        let (team, vault) = (format!("team-{number}"), format!("vault-{number}"));
        world.cluster.create_namespace(&team, &[]);
        world.cluster.create_namespace(&vault, &[("zone", "vault")]);
        for namespace in [&team, &vault] {
            world.bind(namespace, "edit", MALLORY);
            world.bind(namespace, "edit", IVAN);
            world.bind(namespace, "admin", ADA);
            world.bind(namespace, "everything", TESS);
        }
        Self { world, team, vault }
    }

    /// Takes the pods away, so that the address of one is no other row's.
    pub(crate) fn strike(self) {
        for namespace in [&self.team, &self.vault] {
            for collection in ["apis/apps/v1/namespaces/N/statefulsets", "api/v1/namespaces/N/pods"] {
                let path = format!("/{}?gracePeriodSeconds=0", collection.replace('N', namespace));
                self.world.cluster.request("admin", "DELETE", &path).send();
            }
        }
    }

    /// A text with what its words stand for.
    pub(crate) fn fill(&self, text: &str) -> Result<String, String> {
        let listener = &self.world.listener;
        let mut text = text
            .replace("$TEAM", &self.team)
            .replace("$VAULT", &self.vault)
            .replace("$ADDRESS", &listener.address.to_string())
            .replace("\"$NUMBER\"", &listener.port.to_string())
            .replace("$PORT", &listener.port.to_string());
        while let Some(start) = text.find("$UID(") {
            let length = text[start..].find(')').ok_or("$UID( without )")?;
            let path = &text[start + "$UID(".len()..start + length];
            let object = self.read(path)?.ok_or_else(|| format!("there is no {path}"))?;
            let uid = object["metadata"]["uid"]
                .as_str()
                .ok_or("an object without uid")?
                .to_owned();
            text.replace_range(start..=start + length, &uid);
        }
        Ok(text)
    }

    /// The team's name as the data of a Secret has it.
    pub(crate) fn encoded_team(&self) -> String {
        STANDARD.encode(&self.team)
    }

    /// Does a step as `user`, unless it says who does it.
    pub(crate) fn perform(&self, user: &str, step: &Step) -> Result<Answer, String> {
        let user = step.user.unwrap_or(user);
        match &step.what {
            What::Kubectl(arguments, stdin) => self.kubectl(user, arguments, stdin.as_ref()),
            What::Request(method, path, content, body) => {
                let mut request = self.world.cluster.request(user, method, &self.fill(path)?);
                if let Some(body) = body {
                    request = request
                        .header("Content-Type", content)
                        .body(self.fill(&body.to_string())?);
                }
                Ok(request
                    .try_send()
                    .map_err(|error| format!("no answer: {error}"))?
                    .into())
            }
            What::Replace(object, change) => {
                let mut object = self.read(&self.fill(object)?)?.ok_or("there is nothing to replace")?;
                let place = object.pointer_mut(change.pointer).ok_or("there is nothing to change")?;
                place.clone_from(&change.is);
                let put = self.world.cluster.request(user, "PUT", &self.fill(&change.path)?);
                Ok(put
                    .json(&object)
                    .try_send()
                    .map_err(|error| format!("no answer: {error}"))?
                    .into())
            }
            What::Until(sight) => {
                self.wait_for(sight)?;
                Ok(Answer {
                    success: true,
                    text: String::new(),
                })
            }
            What::Calls(calls) => calls(self, user),
        }
    }

    /// kubectl with these arguments, split at spaces, and this object to read.
    pub(crate) fn kubectl(&self, user: &str, arguments: &str, stdin: Option<&Value>) -> Result<Answer, String> {
        let arguments = self.fill(arguments)?;
        let mut call = self.world.cluster.kubectl(user).args(arguments.split(' '));
        if let Some(object) = stdin {
            call = call.stdin(self.fill(&object.to_string())?);
        }
        Ok(call.run().into())
    }

    /// What stands at a path of the API, none where nothing does.
    fn read(&self, path: &str) -> Result<Option<Value>, String> {
        let answer = self.world.cluster.request("admin", "GET", path).try_send();
        let answer = answer.map_err(|error| format!("no answer: {error}"))?;
        match answer.status {
            200 => Ok(Some(
                serde_json::from_str(&answer.text).map_err(|error| error.to_string())?,
            )),
            404 => Ok(None),
            _ => Err(answer.to_string()),
        }
    }

    /// What stands where a sight looks; of a list which objects are in it, since others may write to them meanwhile.
    pub(crate) fn look(&self, sight: &Sight) -> Result<Option<Value>, String> {
        let object = self.read(&self.fill(&sight.path)?)?;
        let found = object.and_then(|object| object.pointer(sight.pointer).cloned());
        Ok(match (sight.pointer, found) {
            ("/items", Some(Value::Array(items))) => {
                Some(items.into_iter().map(|item| item["metadata"]["uid"].clone()).collect())
            }
            (_, found) => found,
        })
    }

    /// Waits until a sight is seen.
    pub(crate) fn wait_for(&self, sight: &Sight) -> Result<(), String> {
        let mut last = Ok(None);
        let is: Value = serde_json::from_str(&self.fill(&sight.is.to_string())?).unwrap_or_default();
        let found = wait_until(
            PATIENCE,
            &format!("{} at {} of {}", is, sight.pointer, sight.path),
            || {
                last = self.look(sight);
                matches!(&last, Ok(Some(value)) if *value == is).then_some(())
            },
        );
        found.map_err(|error| format!("{error}; last seen: {last:?}"))
    }
}
