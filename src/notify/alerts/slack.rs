//! Slack, by incoming webhook or by `chat.postMessage` with a token (rollout-contract §8.3).

use bytes::Bytes;

use super::{About, Destination, attachment, post};

/// # Errors
/// A sentence: the address or the token cannot stand in a request.
pub fn request(to: &Destination, about: &About) -> Result<http::Request<Bytes>, String> {
    // Slack reads `<!channel>` and links in every text, and asks for three characters to be escaped.
    let body = attachment(to, &about.escaped(), about.color("good", "danger"));
    post(&to.url, to.token.as_deref(), &body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{about, told};
    use super::super::{Destination, KINDS};
    use crate::domain::alert::Severity;

    #[tokio::test]
    async fn the_body_is_the_contracts() {
        let seen = told("slack", "/services/T/B/X", &about(Severity::Error)).await;
        assert_eq!(seen.path, "/services/T/B/X");
        assert_eq!(seen.headers["authorization"], "Bearer xoxb-1");
        let body = json!({
            "channel": "general", "username": "flagger", "icon_url": "", "icon_emoji": ":rocket:",
            "attachments": [{
                "color": "danger", "author_name": "web.app",
                "text": "Failed checks threshold reached 5 &amp; &lt;!channel&gt;", "mrkdwn_in": ["text"],
                "fields": [
                    {"title": "Cluster", "value": "prod", "short": false},
                    {"title": "Traffic routing", "value": "A/B Testing &lt;1&gt;", "short": false}
                ]
            }]
        });
        assert_eq!(seen.body, body);
    }

    #[test]
    fn only_errors_are_red() {
        let to = Destination { channel: "ops".into(), username: "pilot".into(), ..Destination::new(&KINDS[0], "https://a/") };
        for (severity, color) in [(Severity::Info, "good"), (Severity::Warn, "good"), (Severity::Error, "danger")] {
            let request = super::request(&to, &about(severity)).expect("a request");
            assert!(!request.headers().contains_key("authorization"), "no token, no header");
            let body: serde_json::Value = serde_json::from_slice(request.body()).expect("JSON");
            assert_eq!(body["attachments"][0]["color"], color);
            assert_eq!((&body["channel"], &body["username"]), (&json!("ops"), &json!("pilot")));
        }
    }
}
