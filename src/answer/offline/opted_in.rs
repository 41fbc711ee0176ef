//! [`OptedIn`]: a NetworkPolicy that opted in to protection, or looks as if it was meant to: files or objects in, out what
//! each makes, or why it is not in.

use std::collections::BTreeMap;

use ringfence_core::guardrails::{Derived, PROTECTED_LABEL, is_protected};
use ringfence_core::netpol::{Policy, PolicyName};

use super::acceptance::{NETWORK_POLICY, Places, in_namespace, metadata, network_policy};
use super::document::{self, Document, Problem};
use super::folder::File;
use super::manifests::Problems;

/// A policy that somebody wanted protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptedIn {
    /// Which.
    pub name: PolicyName,
    /// What came of it.
    pub outcome: Outcome,
}

/// What comes of an opt-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in, and makes this.
    In(Derived),
    /// It is not in, for this reason.
    Out(String),
}

type Pairs = BTreeMap<String, String>;

impl OptedIn {
    /// What it makes; none where it is not in.
    pub fn derived(&self) -> Option<&Derived> {
        match &self.outcome {
            Outcome::In(derived) => Some(derived),
            Outcome::Out(_) => None,
        }
    }

    /// A policy with these labels and annotations; `policy` is none where nobody can read it. None where nothing speaks of
    /// protection.
    pub fn of(name: &PolicyName, labels: &Pairs, annotations: &Pairs, policy: Option<&Policy>) -> Option<Self> {
        let (key, value) = PROTECTED_LABEL;
        let pairs: Vec<(String, String)> = labels.clone().into_iter().collect();
        let outcome = if is_protected(&pairs) {
            Outcome::In(Derived::made_by(name, &pairs, policy))
        } else if let Some(other) = labels.get(key) {
            Outcome::Out(format!("label {key} is {other:?}, and only {value:?} counts"))
        } else if annotations.contains_key(key) {
            Outcome::Out(format!("{key} is an annotation of it, and only a label counts"))
        } else {
            return None;
        };
        Some(Self {
            name: name.clone(),
            outcome,
        })
    }
}

/// The policies in files that opted in or were meant to, by name. One that the API server would refuse is a problem.
pub fn opted_in(files: &[File]) -> Result<Vec<OptedIn>, Problems> {
    let (mut found, mut problems, mut places) = (Vec::new(), Vec::new(), Places::new());
    for file in files {
        match document::parse(file) {
            Ok(documents) => {
                for document in documents.iter().filter(|document| is_policy(document)) {
                    match read(document, &mut places) {
                        Ok(one) => found.extend(one),
                        Err(problem) => problems.push(problem),
                    }
                }
            }
            Err(unparsed) => problems.extend(unparsed),
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    found.sort_by(|one: &OptedIn, other| one.name.cmp(&other.name));
    Ok(found)
}

fn is_policy(document: &Document) -> bool {
    (document.api_version.as_str(), document.kind.as_str()) == (NETWORK_POLICY, "NetworkPolicy")
}

fn read(document: &Document, places: &mut Places) -> Result<Option<OptedIn>, Problem> {
    let metadata = metadata(document)?;
    let (labels, annotations) = (
        metadata.labels.clone().unwrap_or_default(),
        metadata.annotations.clone().unwrap_or_default(),
    );
    // What has nothing to do with protection is not judged here.
    if [&labels, &annotations]
        .iter()
        .all(|pairs| !pairs.contains_key(PROTECTED_LABEL.0))
    {
        return Ok(None);
    }
    let namespace = in_namespace(document, &metadata, places)?;
    let policy = network_policy(document, &namespace, &metadata.name.unwrap_or_default())?;
    Ok(OptedIn::of(&policy.name, &labels, &annotations, Some(&policy)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File {
            name: "a.yaml".to_owned(),
            text: text.to_owned(),
        }
    }

    fn policy(name: &str, metadata: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: web{metadata}}}\n\
             spec: {{podSelector: {{matchLabels: {{app: db}}}}}}\n---\n"
        )
    }

    #[test]
    fn what_is_in_and_what_was_meant_to_be_is_found() {
        let text = [
            policy("plain", ""),
            policy("in", ", labels: {ringfence.dev/protected: 'true'}"),
            policy("capital", ", labels: {ringfence.dev/protected: 'True'}"),
            policy("annotated", ", annotations: {ringfence.dev/protected: 'true'}"),
        ];
        let found = opted_in(&[file(&text.concat())]).expect("valid");
        let told: Vec<(String, String)> = found
            .into_iter()
            .map(|one| {
                let outcome = match one.outcome {
                    Outcome::In(derived) => format!("makes {}", derived.name()),
                    Outcome::Out(why) => why,
                };
                (one.name.to_string(), outcome)
            })
            .collect();
        let expected = [
            (
                "web/annotated",
                "ringfence.dev/protected is an annotation of it, and only a label counts",
            ),
            (
                "web/capital",
                "label ringfence.dev/protected is \"True\", and only \"true\" counts",
            ),
            ("web/in", "makes web/in"),
        ];
        assert_eq!(
            told,
            expected.map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        );
    }

    #[test]
    fn one_that_the_api_server_would_refuse_is_a_problem_only_where_it_was_meant_to_be_in() {
        let wrong = |metadata| {
            policy("db", metadata).replace("matchLabels: {app: db}", "matchExpressions: [{key: a, operator: Is}]")
        };
        assert_eq!(opted_in(&[file(&wrong(""))]), Ok(Vec::new()));
        let error =
            opted_in(&[file(&wrong(", labels: {ringfence.dev/protected: 'true'}"))]).expect_err("no such operator");
        assert!(error.to_string().starts_with("a.yaml:"), "{error}");
    }
}
