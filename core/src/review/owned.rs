//! [`owner_of`]: what of an object matters where it is the owner of others: its uid, its controller's, and its templates.

use serde_json::Value;

use crate::model::{OwnedTemplate, Owner};

/// An object as it stands, as an owner; `template` is the JSON pointer to its template or its list of templates.
pub fn owner_of(object: &Value, template: &str) -> Owner {
    let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let mut controllers = references
        .into_iter()
        .flatten()
        .filter(|owner| owner["controller"] == true);
    let controller_uid = match (controllers.next(), controllers.next()) {
        (Some(one), None) => text(&one["uid"]),
        (None, _) | (Some(_), Some(_)) => String::new(),
    };
    let templates = match object.pointer(template) {
        Some(Value::Array(templates)) => templates.iter().map(owned_template).collect(),
        Some(found @ Value::Object(_)) => vec![owned_template(found)],
        _ => Vec::new(),
    };
    Owner {
        uid: object.pointer("/metadata/uid").map(text).unwrap_or_default(),
        controller_uid,
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
        let owners = json!([{"uid": "c", "controller": true}, {"uid": "d"}]);
        let template = |app: &str| {
            json!({"metadata": {"labels": {"b": "2", "app": app}},
                "spec": {"initContainers": [{"name": "i", "image": "j"}], "containers": [{"name": "a", "image": "b"}]}})
        };
        let object = json!({"metadata": {"uid": "u", "ownerReferences": owners}, "spec": {"one": template("x"),
            "list": [template("x"), template("y")]}});
        let one = owner_of(&object, "/spec/one");
        assert_eq!(
            (one.uid.as_str(), one.controller_uid.as_str(), one.templates.len()),
            ("u", "c", 1)
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
        assert_eq!(owner_of(&object, "/spec").controller_uid, "");
    }
}
