//! Discord, through its endpoint for Slack's messages (rollout-contract §8.3).

use bytes::Bytes;

use super::{About, Destination, attachment, post};

/// # Errors
/// A sentence: the address cannot stand in a request.
pub fn request(to: &Destination, about: &About) -> Result<http::Request<Bytes>, String> {
    post(&slack_endpoint(&to.url)?, None, &attachment(to, about, about.color("good", "danger")))
}

/// The hook's URL with `/slack` at the end of its path, whatever query follows.
fn slack_endpoint(url: &str) -> Result<String, String> {
    let mut url = reqwest::Url::parse(url).map_err(|e| format!("the address cannot be read as a URL: {e}"))?;
    let path = url.path().trim_end_matches('/');
    let path = if path.ends_with("/slack") { path.to_owned() } else { format!("{path}/slack") };
    url.set_path(&path);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{about, told};
    use super::*;
    use crate::domain::alert::Severity;

    #[tokio::test]
    async fn the_body_is_slacks_at_discords_address() {
        let seen = told("discord", "/api/webhooks/1/X", &about(Severity::Error)).await;
        assert_eq!(seen.path, "/api/webhooks/1/X/slack");
        let body = json!({
            "channel": "general", "username": "flagger", "icon_url": "", "icon_emoji": ":rocket:",
            "attachments": [{
                "color": "danger", "author_name": "web.app",
                "text": "Failed checks threshold reached 5 & <!channel>", "mrkdwn_in": ["text"],
                "fields": [
                    {"title": "Cluster", "value": "prod", "short": false},
                    {"title": "Traffic routing", "value": "A/B Testing <1>", "short": false}
                ]
            }]
        });
        assert_eq!(seen.body, body);
        for severity in [Severity::Info, Severity::Warn] {
            assert_eq!(told("discord", "/h", &about(severity)).await.body["attachments"][0]["color"], "good");
        }
    }

    #[test]
    fn the_suffix_is_added_once() {
        for (url, endpoint) in [
            ("https://d.example/api/1", "https://d.example/api/1/slack"),
            ("https://d.example/api/1/", "https://d.example/api/1/slack"),
            ("https://d.example/api/1/slack", "https://d.example/api/1/slack"),
            ("https://d.example/api/1?wait=true", "https://d.example/api/1/slack?wait=true"),
            ("https://d.example/api/1/slack?wait=true", "https://d.example/api/1/slack?wait=true"),
            ("https://d.example/api/myslack", "https://d.example/api/myslack/slack"),
        ] {
            assert_eq!(slack_endpoint(url).as_deref(), Ok(endpoint));
        }
        assert!(slack_endpoint("T0KEN").is_err_and(|why| !why.contains("T0KEN")));
    }
}
