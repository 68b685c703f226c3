//! Google Chat, by a card with one section for the message and one for each field (rollout-contract §8.3).

use bytes::Bytes;
use serde_json::{Value, json};

use super::{About, Destination, post};

/// # Errors
/// A sentence: the address cannot stand in a request.
pub fn request(to: &Destination, about: &About) -> Result<http::Request<Bytes>, String> {
    // The paragraphs are HTML.
    let about = about.escaped();
    let sections: Vec<Value> = std::iter::once(section(&grey(&about.message)))
        .chain(about.fields.iter().map(|(name, value)| section(&format!("{name}<br>{}", grey(value)))))
        .collect();
    let body = json!({
        "cards": [{
            "header": {"title": "Flagger", "subtitle": about.title(), "imageUrl": "https://flagger.app/favicon.png"},
            "sections": sections
        }]
    });
    post(&to.url, None, &body)
}

fn section(html: &str) -> Value {
    json!({"widgets": [{"textParagraph": {"text": html}}]})
}

fn grey(text: &str) -> String {
    format!("<font color=#848484><strong>{text}</strong></font>")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{about, told};
    use crate::domain::alert::Severity;

    #[tokio::test]
    async fn the_body_is_a_card_without_colours() {
        let paragraph = |html: &str| json!({"widgets": [{"textParagraph": {"text": html}}]});
        for severity in [Severity::Info, Severity::Error] {
            let seen = told("gchat", "/v1/spaces/A/messages?key=K&token=X", &about(severity)).await;
            assert_eq!(seen.path, "/v1/spaces/A/messages?key=K&token=X");
            let body = json!({
                "cards": [{
                    "header": {"title": "Flagger", "subtitle": "web.app", "imageUrl": "https://flagger.app/favicon.png"},
                    "sections": [
                        paragraph(
                            "<font color=#848484><strong>Failed checks threshold reached 5 &amp; &lt;!channel&gt;</strong></font>"
                        ),
                        paragraph("Cluster<br><font color=#848484><strong>prod</strong></font>"),
                        paragraph("Traffic routing<br><font color=#848484><strong>A/B Testing &lt;1&gt;</strong></font>")
                    ]
                }]
            });
            assert_eq!(seen.body, body);
        }
    }
}
