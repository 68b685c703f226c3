//! Rocket.Chat, which reads Slack's messages, with colours of its own (rollout-contract §8.3).

use bytes::Bytes;

use super::{About, Destination, attachment, post};

/// # Errors
/// A sentence: the address cannot stand in a request.
pub fn request(to: &Destination, about: &About) -> Result<http::Request<Bytes>, String> {
    post(&to.url, None, &attachment(to, about, about.color("#0076D7", "#FF0000")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{about, told};
    use crate::domain::alert::Severity;

    #[tokio::test]
    async fn the_body_is_slacks_with_rockets_colours() {
        for (severity, color) in [(Severity::Info, "#0076D7"), (Severity::Warn, "#0076D7"), (Severity::Error, "#FF0000")] {
            let seen = told("rocket", "/hooks/X", &about(severity)).await;
            assert_eq!(seen.path, "/hooks/X");
            let body = json!({
                "channel": "general", "username": "flagger", "icon_url": "", "icon_emoji": ":rocket:",
                "attachments": [{
                    "color": color, "author_name": "web.app",
                    "text": "Failed checks threshold reached 5 & <!channel>", "mrkdwn_in": ["text"],
                    "fields": [
                        {"title": "Cluster", "value": "prod", "short": false},
                        {"title": "Traffic routing", "value": "A/B Testing <1>", "short": false}
                    ]
                }]
            });
            assert_eq!(seen.body, body);
        }
    }
}
