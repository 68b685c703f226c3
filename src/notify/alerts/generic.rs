//! A webhook of anybody's: a document of our own, for receivers that no chat system has shaped.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;

use super::{About, Destination, post};

/// Posts this document, which only ever gains keys while its `apiVersion` stays:
///
/// ```json
/// {
///   "apiVersion": "pilothouse.dev/v1alpha1",
///   "kind": "Alert",
///   "name": "web",
///   "namespace": "app",
///   "severity": "error",
///   "message": "Failed checks threshold reached 5",
///   "fields": {"Cluster": "prod", "Target": "Deployment/web.app"}
/// }
/// ```
///
/// `name` and `namespace` are the Canary's; `severity` is `info`, `warn` or `error`; `message` is Flagger's sentence; `fields` maps a
/// fact's name to its text and may be empty. Every value is text without control characters.
///
/// # Errors
/// A sentence: the address cannot stand in a request.
pub fn request(to: &Destination, about: &About) -> Result<http::Request<Bytes>, String> {
    let fields: BTreeMap<&str, &str> = about.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = json!({
        "apiVersion": "pilothouse.dev/v1alpha1", "kind": "Alert", "name": about.name, "namespace": about.namespace,
        "severity": about.severity, "message": about.message, "fields": fields
    });
    post(&to.url, None, &body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{about, told};
    use crate::domain::alert::Severity;

    #[tokio::test]
    async fn the_document_is_as_documented() {
        for (severity, word) in [(Severity::Info, "info"), (Severity::Warn, "warn"), (Severity::Error, "error")] {
            let seen = told("generic", "/alerts", &about(severity)).await;
            let body = json!({
                "apiVersion": "pilothouse.dev/v1alpha1", "kind": "Alert", "name": "web", "namespace": "app", "severity": word,
                "message": "Failed checks threshold reached 5 & <!channel>",
                "fields": {"Cluster": "prod", "Traffic routing": "A/B Testing <1>"}
            });
            assert_eq!((seen.path.as_str(), seen.body), ("/alerts", body));
        }
    }
}
