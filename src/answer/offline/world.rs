//! [`World`]: files in (guardrails and manifests, told apart by what stands in them), out what a decision without a cluster
//! reads: the snapshot, and what its questions are answered from.

use std::sync::Arc;

use ringfence_core::guardrails::{self, Compiled, FileContents, Notice, Source};
use ringfence_core::model::{GROUP, Since, Snapshot, Timestamp};

use super::document::{self, Problem};
use super::folder::File;
use super::manifests::{Manifests, Problems};
use crate::manifests::names;

/// Everything that decides, from files.
#[derive(Debug)]
pub struct World {
    /// The guardrails, with what policies of the manifests make that opted in to protection, and the namespaces.
    pub snapshot: Snapshot,
    /// What questions are answered from; the ClusterRoles that ringfence publishes are counted in.
    pub manifests: Manifests,
    /// What should be known about the guardrails.
    pub notices: Vec<Notice>,
}

/// Files that do not make a world.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidWorld {
    /// A manifest is wrong.
    #[error(transparent)]
    Manifests(#[from] Problems),
    /// The guardrails are wrong.
    #[error(transparent)]
    Guardrails(#[from] guardrails::Problems),
}

impl World {
    /// Makes sense of files. Those with documents of ringfence are guardrails, all others manifests; one file is one or the
    /// other. The ConfigMap of guardrails counts as the guardrails in its keys.
    pub fn parse(files: &[File]) -> Result<Self, InvalidWorld> {
        let (mut sources, mut others, mut mixed) = (Vec::new(), Vec::new(), Vec::new());
        for file in files {
            match content(file) {
                Content::Guardrails => sources.push(Source {
                    name: file.name.clone(),
                    text: file.text.clone(),
                }),
                Content::Manifests => {
                    sources.extend(configured(file));
                    others.push(file.clone());
                }
                Content::Both(problem) => mixed.push(problem),
            }
        }
        if !mixed.is_empty() {
            return Err(Problems(mixed).into());
        }
        let Compiled {
            guardrails, notices, ..
        } = guardrails::compile(&sources)?;
        let mut manifests = Manifests::parse(&others, &guardrails.workloads)?;
        manifests.publish(&guardrails);
        let guardrails = guardrails.with_derived(&manifests.derived);
        // Manifests say what will be written: nothing stood before it was judged.
        let since = Since::default().advanced(&guardrails, Timestamp(i64::MIN));
        let snapshot = Snapshot {
            guardrails: Arc::new(guardrails),
            namespaces: Arc::clone(&manifests.namespaces),
            since: Arc::new(since),
            policies: Arc::clone(&manifests.policies),
        };
        Ok(Self {
            snapshot,
            manifests,
            notices,
        })
    }
}

/// The guardrails in ConfigMaps of their name.
fn configured(file: &File) -> Vec<Source> {
    let FileContents::ConfigMaps(maps) = FileContents::of(&file.name, &file.text) else {
        return Vec::new();
    };
    let ours = maps.into_iter().filter(|map| map.name == names::GUARDRAILS);
    ours.flat_map(|map| map.sources).collect()
}

enum Content {
    Guardrails,
    Manifests,
    Both(Problem),
}

/// What a file holds. One that cannot be read is a manifest: then its problems are told with the manifests'.
fn content(file: &File) -> Content {
    let Ok(documents) = document::parse(file) else {
        return Content::Manifests;
    };
    let is_ours = |document: &&document::Document| document.group() == GROUP;
    match (
        documents.iter().find(is_ours),
        documents.iter().find(|document| !is_ours(document)),
    ) {
        (None, _) => Content::Manifests,
        (Some(_), None) => Content::Guardrails,
        (Some(_), Some(other)) => {
            Content::Both(other.problem("stands in a file with guardrails; move it to one of its own"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Enforce}
";
    const NAMESPACE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: web}
";

    fn file(name: &str, text: &str) -> File {
        File {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn guardrails_and_manifests_are_told_apart() {
        let world = World::parse(&[file("a.yaml", NAMESPACE), file("b.yaml", GUARDRAILS)]).expect("a valid world");
        assert_eq!(world.snapshot.guardrails.mode, ringfence_core::model::Mode::Enforce);
        assert!(world.snapshot.namespaces.contains_key("web"));
    }

    #[test]
    fn the_config_map_counts_as_what_is_in_its_keys() {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: NAME}}\ndata:\n  guardrails.yaml: |{}",
            GUARDRAILS.replace('\n', "\n    ")
        );
        let mode = |name: &str| {
            let world = World::parse(&[file("map.yaml", &text.replace("NAME", name))]).expect("a valid world");
            world.snapshot.guardrails.mode
        };
        assert_eq!(mode("ringfence-guardrails"), ringfence_core::model::Mode::Enforce);
        assert_eq!(mode("another"), ringfence_core::model::Mode::Audit);
    }

    #[test]
    fn a_policy_that_opted_in_is_a_segment_here_too() {
        let policy = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: web, labels: {ringfence.dev/protected: 'true'}}
spec: {podSelector: {matchLabels: {app: db}}}
";
        let parse = |policy: &str| {
            let files = [
                file("a.yaml", NAMESPACE),
                file("b.yaml", GUARDRAILS),
                file("c.yaml", policy),
            ];
            let world = World::parse(&files).expect("a valid world");
            let derived = world.snapshot.guardrails.derived().iter();
            derived.map(|segment| segment.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(parse(policy), ["web/db"]);
        assert!(parse(&policy.replace("'true'", "'no'")).is_empty());
    }

    #[test]
    fn a_file_is_one_or_the_other() {
        let both = format!("{GUARDRAILS}---{NAMESPACE}");
        let error = World::parse(&[file("both.yaml", &both)])
            .expect_err("it holds both")
            .to_string();
        assert_eq!(
            error,
            "both.yaml:7: Namespace web: stands in a file with guardrails; move it to one of its own"
        );
    }

    #[test]
    fn problems_are_told_as_those_who_find_them_tell_them() {
        let wrong = GUARDRAILS.replace("Enforce", "Enforced");
        let error = World::parse(&[file("g.yaml", &wrong)])
            .expect_err("no such mode")
            .to_string();
        assert!(error.contains("g.yaml:5:") && error.contains('^'), "{error}");
        let error = World::parse(&[file("broken.yaml", "a: [")])
            .expect_err("no YAML")
            .to_string();
        assert!(error.starts_with("broken.yaml:1: "), "{error}");
    }
}
