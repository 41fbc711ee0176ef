//! [`owner_of`]: what of an object matters where it is the owner of others: its uid, its controller, its templates, and
//! when they were last written.

use serde_json::Value;

use super::written::last_written;
use crate::model::{ControllerReference, OwnedTemplate, Owner, Timestamp};

/// An object as it stands, as an owner; `template` is the JSON pointer to its template or its list of templates.
pub fn owner_of(object: &Value, template: &str) -> Owner {
    let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let mut controllers = references
        .into_iter()
        .flatten()
        .filter(|owner| owner["controller"] == true);
    let controller = match (controllers.next(), controllers.next()) {
        (Some(one), None) => Some(ControllerReference {
            api_version: text(&one["apiVersion"]).into(),
            kind: text(&one["kind"]).into(),
            name: text(&one["name"]).into(),
            uid: text(&one["uid"]).into(),
        }),
        (None, _) | (Some(_), Some(_)) => None,
    };
    let templates = match object.pointer(template) {
        Some(Value::Array(templates)) => templates.iter().map(owned_template).collect(),
        Some(found @ Value::Object(_)) => vec![owned_template(found)],
        _ => Vec::new(),
    };
    let created: Option<Timestamp> = object
        .pointer("/metadata/creationTimestamp")
        .and_then(|time| time.as_str()?.parse().ok());
    Owner {
        uid: object.pointer("/metadata/uid").map(text).unwrap_or_default(),
        controller,
        created,
        written: last_written(object, template).or(created),
        templates,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn owned_template(template: &Value) -> OwnedTemplate {
    let labels = template.pointer("/metadata/labels").and_then(Value::as_object);
    let mut labels: Vec<_> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), text(value)))
        .collect();
    labels.sort_unstable();
    let containers = ["/spec/initContainers", "/spec/containers"].into_iter();
    let containers = containers
        .filter_map(|pointer| template.pointer(pointer)?.as_array())
        .flatten();
    let images = containers
        .map(|container| (text(&container["name"]), text(&container["image"])))
        .collect();
    OwnedTemplate { labels, images }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_owner_is_read_with_its_one_controller_and_its_templates() {
        let owners = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "c", "controller": true},
            {"uid": "d"}]);
        let template = |app: &str| {
            json!({"metadata": {"labels": {"b": "2", "app": app}},
                "spec": {"initContainers": [{"name": "i", "image": "j"}], "containers": [{"name": "a", "image": "b"}]}})
        };
        let object = json!({"metadata": {"uid": "u", "ownerReferences": owners}, "spec": {"one": template("x"),
            "list": [template("x"), template("y")]}});
        let one = owner_of(&object, "/spec/one");
        assert_eq!(
            (one.uid.as_str(), one.controller_uid(), one.templates.len()),
            ("u", "c", 1)
        );
        let controller = one.controller.expect("one");
        assert_eq!(
            [
                controller.api_version.as_ref(),
                controller.kind.as_ref(),
                controller.name.as_ref()
            ],
            ["apps/v1", "Deployment", "web"]
        );
        assert_eq!(
            one.templates[0].labels,
            [("app".into(), "x".into()), ("b".into(), "2".into())]
        );
        assert_eq!(
            one.templates[0].images,
            [("i".into(), "j".into()), ("a".into(), "b".into())]
        );
        assert_eq!(owner_of(&object, "/spec/list").templates.len(), 2);
        assert!(owner_of(&object, "/spec/none").templates.is_empty());
    }

    #[test]
    fn two_controllers_are_none() {
        let object = json!({"metadata": {"ownerReferences": [{"uid": "c", "controller": true}, {"uid": "d", "controller": true}]}});
        assert_eq!(owner_of(&object, "/spec").controller_uid(), "");
    }

    #[test]
    fn a_template_that_nobody_is_known_to_have_written_is_as_old_as_its_object() {
        let object = json!({"metadata": {"creationTimestamp": "1970-01-01T00:01:40Z"}});
        let owner = owner_of(&object, "/spec/template");
        assert_eq!(
            (owner.created, owner.written),
            (Some(Timestamp(100)), Some(Timestamp(100)))
        );
    }
}
