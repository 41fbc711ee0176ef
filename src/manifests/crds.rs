//! The CRDs of what ringfence publishes ([`published`](super::published)), from the same types that configuration is read
//! into. They make the resources known to discovery, without which `kubectl auth can-i connect segments.ringfence.dev/NAME`
//! says "no" even where RBAC grants it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
};
use ringfence_core::guardrails::documents::{GuardrailsSpec, IsolationProfileSpec, SegmentSpec};
use ringfence_core::guardrails::plain_schema;
use ringfence_core::model::GROUP;
use schemars::Schema;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::{Value, json};

use super::names;
use super::published::{GuardrailsStatus, IsolationProfileStatus, PolicyCheckSpec, PolicyCheckStatus, SegmentStatus};

/// A kind of object that is published.
struct Published {
    kind: &'static str,
    plural: &'static str,
    description: &'static str,
    spec: fn() -> Schema,
    status: fn() -> Schema,
    columns: &'static [Column],
}

/// A column of `kubectl get`.
struct Column {
    name: &'static str,
    /// `string`, `integer` or `date`.
    kind: &'static str,
    path: &'static str,
    shown: Shown,
}

enum Shown {
    Always,
    Wide,
}

const AGE: Column = Column {
    name: "Age",
    kind: "date",
    path: ".metadata.creationTimestamp",
    shown: Shown::Always,
};

const fn column(name: &'static str, kind: &'static str, path: &'static str) -> Column {
    Column {
        name,
        kind,
        path,
        shown: Shown::Always,
    }
}

/// The kinds that are published, sorted by their plural.
const PUBLISHED: [Published; 4] = [
    Published {
        kind: "Guardrails",
        plural: "guardrails",
        description: "The configuration in force. Published by ringfence, read-only: change the ConfigMap instead.",
        spec: plain_schema::<GuardrailsSpec>,
        status: plain_schema::<GuardrailsStatus>,
        columns: &[
            column("Mode", "string", ".spec.mode"),
            column("Segments", "integer", ".status.segments"),
            column("Derived", "integer", ".status.derivedSegments"),
            column("Revision", "string", ".status.observedRevision"),
            column(
                "In Force",
                "string",
                ".status.conditions[?(@.type==\"InForce\")].status",
            ),
            AGE,
        ],
    },
    Published {
        kind: "IsolationProfile",
        plural: "isolationprofiles",
        description: "An isolation profile in force. Published by ringfence, read-only: change the ConfigMap instead.",
        spec: plain_schema::<IsolationProfileSpec>,
        status: plain_schema::<IsolationProfileStatus>,
        columns: &[
            column("Policies", "integer", ".status.policies"),
            column("Namespaces", "integer", ".status.namespaces"),
            column("Reported", "integer", ".status.reported"),
            column("Failing", "integer", ".status.failing"),
            AGE,
        ],
    },
    Published {
        kind: "PolicyCheck",
        plural: "policychecks",
        description: "A check in force, by whose name `waive` is asked. Published by ringfence, read-only.",
        spec: plain_schema::<PolicyCheckSpec>,
        status: plain_schema::<PolicyCheckStatus>,
        columns: &[
            column("Mode", "string", ".spec.mode"),
            column("Description", "string", ".spec.description"),
            AGE,
        ],
    },
    Published {
        kind: "Segment",
        plural: "segments",
        description: "A segment in force, by whose name `join`, `connect` and their kin are asked; one that is derived from a \
                      NetworkPolicy is asked by that. Published by ringfence, read-only: change the ConfigMap or the policy \
                      instead.",
        spec: plain_schema::<SegmentSpec>,
        status: plain_schema::<SegmentStatus>,
        columns: &[
            column("Members", "string", ".status.members"),
            column("Member Pods", "integer", ".status.memberPods"),
            column("Clients", "string", ".status.clients"),
            column("Client Pods", "integer", ".status.clientPods"),
            column("Unjudged", "integer", ".status.unjudgedTemplates"),
            column("Isolated", "string", ".status.isolated"),
            column("Mode", "string", ".status.mode"),
            column("Consent", "string", ".status.consent"),
            AGE,
            Column {
                name: "Policy",
                kind: "string",
                path: ".status.policy",
                shown: Shown::Wide,
            },
            Column {
                name: "Description",
                kind: "string",
                path: ".spec.description",
                shown: Shown::Wide,
            },
        ],
    },
];

/// The CRD of every kind that is published, sorted by name. All are cluster-scoped, with a status of their own.
pub fn crds() -> Vec<CustomResourceDefinition> {
    PUBLISHED.iter().map(Published::definition).collect()
}

impl Published {
    fn definition(&self) -> CustomResourceDefinition {
        let version = CustomResourceDefinitionVersion {
            name: "v1alpha1".to_owned(),
            served: true,
            storage: true,
            schema: Some(CustomResourceValidation {
                open_api_v3_schema: Some(self.schema()),
            }),
            subresources: Some(CustomResourceSubresources {
                status: Some(CustomResourceSubresourceStatus(json!({}))),
                scale: None,
            }),
            additional_printer_columns: Some(self.columns.iter().map(Column::definition).collect()),
            ..CustomResourceDefinitionVersion::default()
        };
        CustomResourceDefinition {
            metadata: names::cluster_metadata(&format!("{}.{GROUP}", self.plural)),
            spec: CustomResourceDefinitionSpec {
                group: GROUP.to_owned(),
                names: CustomResourceDefinitionNames {
                    categories: Some(vec![names::RINGFENCE.to_owned()]),
                    kind: self.kind.to_owned(),
                    list_kind: Some(format!("{}List", self.kind)),
                    plural: self.plural.to_owned(),
                    singular: Some(self.kind.to_lowercase()),
                    short_names: None,
                },
                scope: "Cluster".to_owned(),
                versions: vec![version],
                ..CustomResourceDefinitionSpec::default()
            },
            status: None,
        }
    }

    fn schema(&self) -> JSONSchemaProps {
        let schema = json!({
            "type": "object",
            "description": self.description,
            "required": ["spec"],
            "properties": {"spec": structural((self.spec)()), "status": structural((self.status)())},
        });
        serde_json::from_value(schema).expect("the plain form of a schema has only what a CRD has words for")
    }
}

impl Column {
    fn definition(&self) -> CustomResourceColumnDefinition {
        CustomResourceColumnDefinition {
            name: self.name.to_owned(),
            type_: self.kind.to_owned(),
            json_path: self.path.to_owned(),
            priority: match self.shown {
                Shown::Always => None,
                Shown::Wide => Some(1),
            },
            ..CustomResourceColumnDefinition::default()
        }
    }
}

/// The schema of any type as a CRD takes it.
fn structural(mut schema: Schema) -> Schema {
    RecursiveTransform(without_closing).transform(&mut schema);
    for key in ["$schema", "title"] {
        schema.remove(key);
    }
    schema
}

/// Structural schemas close a mapping by naming its properties; defaults are said in what is published already.
fn without_closing(schema: &mut Schema) {
    if schema.get("additionalProperties").is_some_and(Value::is_boolean) {
        schema.remove("additionalProperties");
    }
    schema.remove("default");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_kind_has_its_crd() {
        let plurals: Vec<String> = crds().into_iter().map(|crd| crd.spec.names.plural).collect();
        assert_eq!(plurals, names::PUBLISHED);
    }

    /// Keys under which a structural schema has no other schema (apiextensions v1, "Specifying a structural schema").
    fn check_structural(path: &str, schema: &Value) {
        let known = [
            "type",
            "description",
            "required",
            "properties",
            "items",
            "enum",
            "format",
            "pattern",
            "minItems",
            "additionalProperties",
            "anyOf",
            "x-kubernetes-int-or-string",
            "x-kubernetes-preserve-unknown-fields",
        ];
        let Value::Object(entries) = schema else {
            panic!("{path} is not a schema: {schema}");
        };
        for key in entries.keys() {
            assert!(known.contains(&key.as_str()), "{path} has {key}");
        }
        assert_eq!(
            entries.contains_key("anyOf"),
            entries.contains_key("x-kubernetes-int-or-string"),
            "{path}"
        );
        assert!(
            entries.contains_key("type") != entries.contains_key("anyOf"),
            "{path}: {schema}"
        );
        assert!(
            !(entries.contains_key("properties") && entries.contains_key("additionalProperties")),
            "{path}"
        );
        for (name, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            check_structural(&format!("{path}.{name}"), property);
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(key) {
                check_structural(&format!("{path}[{key}]"), inner);
            }
        }
    }

    #[test]
    fn schemas_are_structural() {
        for crd in crds() {
            let schema = crd.spec.versions[0]
                .schema
                .clone()
                .expect("a schema")
                .open_api_v3_schema;
            check_structural(&crd.spec.names.plural, &serde_json::to_value(schema).expect("JSON"));
        }
    }
}
