//! Who wrote a field last, as the API server keeps it (`metadata.managedFields`). Pure.

use serde_json::Value;

/// The last writer of a field, as in `argocd-controller, 2026-01-02T03:04:05Z`; empty when it is us, or nobody knows.
///
/// `path`: names of fields from the top, as in `["spec", "http"]`.
pub(super) fn of(object: &Value, path: &[&str]) -> String {
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    let mut last: Option<(&str, &str)> = None;
    for entry in entries.into_iter().flatten() {
        let mut fields = entry.get("fieldsV1");
        for name in path {
            fields = fields.and_then(|fields| fields.get(format!("f:{name}")));
        }
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        // Times are of one form and zone: their order is that of their letters.
        if fields.is_some() && last.is_none_or(|(_, time)| time <= text("time")) {
            last = Some((text("manager"), text("time")));
        }
    }
    match last {
        Some((manager, time)) if manager != auspex_cluster::client::WRITER => format!("{manager}, {time}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(writers: &[(&str, &str, &str)]) -> Value {
        let entry = |(manager, time, field): &(&str, &str, &str)| json!({ "manager": manager, "time": time, "fieldsV1": { "f:spec": { (format!("f:{field}")): {} } } });
        json!({ "metadata": { "managedFields": writers.iter().map(entry).collect::<Vec<_>>() } })
    }

    #[test]
    fn the_last_writer_of_the_field_is_named() {
        let old = ("kubectl", "2026-01-01T00:00:00Z", "http");
        let other = ("istiod", "2026-03-01T00:00:00Z", "hosts");
        let found = of(&object(&[old, other]), &["spec", "http"]);
        assert_eq!(found, "kubectl, 2026-01-01T00:00:00Z");
        let ours = ("auspex", "2026-02-01T00:00:00Z", "http");
        assert_eq!(of(&object(&[old, ours]), &["spec", "http"]), "");
        let argo = ("argocd-controller", "2026-02-01T00:00:01Z", "http");
        assert_eq!(
            of(&object(&[argo, ours, old]), &["spec", "http"]),
            "argocd-controller, 2026-02-01T00:00:01Z"
        );
        assert_eq!(of(&json!({}), &["spec", "http"]), "");
    }
}
