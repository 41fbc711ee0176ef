//! [`last_written`]: when a part of an object was last written, as far as its managedFields tell ("Server-Side Apply" in the
//! Kubernetes documentation). An entry has one time for all that its manager owns, so the time is never too early for the
//! part, but too late where the manager wrote something else of the object since.

use serde_json::{Map, Value};

use super::object::HARMLESS_TEMPLATE_ANNOTATIONS;
use crate::model::Timestamp;

/// When the template at this JSON pointer (or one of the list there) was last written; none where no entry owns any of it.
/// Writes of subresources, of the rest of the object, and of annotations that change nothing that runs do not count.
pub(super) fn last_written(object: &Value, template: &str) -> Option<Timestamp> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let path: Vec<String> = template.split('/').skip(1).map(unescaped).collect();
    let whole = |entry: &&Value| entry["subresource"].as_str().unwrap_or_default().is_empty();
    let owning = entries
        .iter()
        .filter(whole)
        .filter(|entry| owns_some(&entry["fieldsV1"], &path));
    owning.filter_map(|entry| entry["time"].as_str()?.parse().ok()).max()
}

/// A segment of a JSON pointer as the field's name (RFC 6901, section 4).
fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// Whether a set of fields has any of what stands at `path`, but for what changes nothing that runs.
fn owns_some(fields: &Value, path: &[String]) -> bool {
    let Some(fields) = fields.as_object() else {
        return false;
    };
    match path.split_first() {
        // A leaf above the template: all below it is owned as one.
        Some(_) if fields.is_empty() => true,
        Some((first, rest)) => fields
            .get(&format!("f:{first}"))
            .is_some_and(|below| owns_some(below, rest)),
        None => fields.is_empty() || has_effect(fields, &[]),
    }
}

/// Whether any leaf below a template is more than a harmless annotation. `.` says only that something is there.
fn has_effect(fields: &Map<String, Value>, above: &[&str]) -> bool {
    fields.iter().filter(|(key, _)| *key != ".").any(|(key, below)| {
        let path = [above, &[key.as_str()]].concat();
        match below.as_object() {
            Some(below) if !below.is_empty() => has_effect(below, &path),
            _ => !is_harmless(&path),
        }
    })
}

/// Whether a leaf is a harmless annotation, of the template or, where templates are a list, of one of them.
fn is_harmless(path: &[&str]) -> bool {
    let path = match path {
        [item, rest @ ..] if !item.starts_with("f:") => rest,
        path => path,
    };
    let ["f:metadata", "f:annotations", annotation] = path else {
        return false;
    };
    let harmless = |known: &&str| annotation.strip_prefix("f:") == Some(*known);
    HARMLESS_TEMPLATE_ANNOTATIONS.iter().any(harmless)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn entry(second: i64, fields: &Value) -> Value {
        json!({"manager": "m", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields,
            "time": Timestamp(second).to_string()})
    }

    fn written(entries: &[Value], template: &str) -> Option<Timestamp> {
        last_written(&json!({"metadata": {"managedFields": entries}}), template)
    }

    /// What `kubectl create deployment` comes to own.
    fn created() -> Value {
        json!({"f:spec": {"f:replicas": {}, "f:template": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}}}}})
    }

    #[rstest]
    #[case::image(json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}}}}), true)]
    #[case::label(json!({"f:spec": {"f:template": {"f:metadata": {"f:labels": {"f:app": {}}}}}}), true)]
    #[case::annotation(json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:k8s.v1.cni.cncf.io/networks": {}}}}}}), true)]
    #[case::the_template_as_one(json!({"f:spec": {"f:template": {}}}), true)]
    #[case::the_spec_as_one(json!({"f:spec": {}}), true)]
    #[case::restarted(json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}}}}), false)]
    #[case::scaled(json!({"f:spec": {".": {}, "f:replicas": {}}}), false)]
    #[case::annotated(json!({"f:metadata": {"f:annotations": {"f:note": {}}}}), false)]
    #[case::nothing(json!(null), false)]
    fn only_what_is_of_the_template_counts(#[case] fields: Value, #[case] counts: bool) {
        let entries = [entry(100, &created()), entry(200, &fields)];
        let expected = if counts { 200 } else { 100 };
        assert_eq!(written(&entries, "/spec/template"), Some(Timestamp(expected)));
    }

    #[test]
    fn subresources_do_not_count() {
        let mut status = entry(200, &json!({"f:spec": {"f:template": {}}}));
        status["subresource"] = json!("status");
        assert_eq!(
            written(&[entry(100, &created()), status], "/spec/template"),
            Some(Timestamp(100))
        );
    }

    #[test]
    fn templates_of_a_list_and_odd_pointers_are_found() {
        let restarted = json!({"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}});
        let list = json!({"f:spec": {"f:a/b": {"k:{\"name\":\"x\"}": {".": {}, "f:spec": {"f:image": {}}}}}});
        let entries = [
            entry(100, &list),
            entry(200, &json!({"f:spec": {"f:a/b": {"k:{\"name\":\"x\"}": restarted}}})),
        ];
        assert_eq!(written(&entries, "/spec/a~1b"), Some(Timestamp(100)));
    }

    #[test]
    fn where_nobody_owns_it_nothing_is_known() {
        let entries = [entry(100, &json!({"f:metadata": {"f:labels": {"f:app": {}}}}))];
        assert_eq!(written(&entries, "/spec/template"), None);
        assert_eq!(last_written(&json!({"metadata": {}}), "/spec/template"), None);
        let mut timeless = entry(100, &created());
        timeless["time"] = json!("soon");
        assert_eq!(written(&[timeless], "/spec/template"), None);
    }
}
