//! Microsoft Teams, by its connectors' `MessageCard` (rollout-contract §8.3).

use bytes::Bytes;
use serde_json::json;

use super::{About, Destination, post};

/// # Errors
/// A sentence: the address cannot stand in a request.
pub fn request(to: &Destination, about: &About) -> Result<http::Request<Bytes>, String> {
    let body = json!({
        "@type": "MessageCard", "@context": "http://schema.org/extensions",
        "themeColor": about.color("0076D7", "FF0000"), "summary": about.title(),
        "sections": [{
            "activityTitle": about.message, "activitySubtitle": about.title(), "facts": about.listed("name", "value")
        }]
    });
    post(&to.url, None, &body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{about, told};
    use crate::domain::alert::Severity;

    #[tokio::test]
    async fn the_body_is_a_message_card() {
        for (severity, color) in [(Severity::Info, "0076D7"), (Severity::Warn, "0076D7"), (Severity::Error, "FF0000")] {
            let seen = told("msteams", "/webhookb2/X?a=b", &about(severity)).await;
            assert_eq!(seen.path, "/webhookb2/X?a=b");
            let body = json!({
                "@type": "MessageCard", "@context": "http://schema.org/extensions", "themeColor": color, "summary": "web.app",
                "sections": [{
                    "activityTitle": "Failed checks threshold reached 5 & <!channel>", "activitySubtitle": "web.app",
                    "facts": [{"name": "Cluster", "value": "prod"}, {"name": "Traffic routing", "value": "A/B Testing <1>"}]
                }]
            });
            assert_eq!(seen.body, body);
        }
    }
}
