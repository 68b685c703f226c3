//! Keeps secrets out of sentences: servers echo what they are sent, and events are read by many
//! (reliability-performance §4.3, entry 26).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use url::form_urlencoded;

use crate::domain::text::clean;
use crate::metrics::Check;

/// Characters of a reply that an error quotes.
pub const LONGEST_EXCERPT: usize = 200;
/// Bytes of a reply that are searched for an excerpt.
const SEARCHED: usize = 64 * 1024;
/// Lines of one secret that are masked on their own; the longest RSA keys have a hundred.
const LINES: usize = 128;
const MASKED: &str = "***";
/// Shorter lines of a long secret (the braces of a JSON key) give nothing away.
const SHORTEST_LINE: usize = 8;
/// Credentials in the environment of the process.
const IN_ENVIRONMENT: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Texts that no sentence may hold, longest first.
#[derive(Default)]
pub struct Mask(Vec<String>);

impl Mask {
    /// All that `check` brings along.
    pub fn of(check: &Check<'_>) -> Self {
        let mut mask = Self::default();
        for value in check.secret.into_iter().flat_map(|s| s.values()) {
            mask.add(&String::from_utf8_lossy(value));
            mask.push(BASE64_STANDARD.encode(value));
        }
        for name in IN_ENVIRONMENT {
            mask.add(check.environment.get(name).map_or("", String::as_str));
        }
        mask
    }

    /// Masks `secret` as it is, trimmed, line by line, and as URLs, JSON and cleaned text write it.
    pub fn add(&mut self, secret: &str) {
        let whole = secret.trim();
        let lines = whole.lines().map(str::trim).filter(|line| *line == whole || line.len() >= SHORTEST_LINE);
        for text in lines.take(LINES).chain([secret, whole]) {
            self.push(text.to_owned());
            self.push(form_urlencoded::byte_serialize(text.as_bytes()).collect());
            let json = serde_json::Value::from(text).to_string();
            self.push(json.trim_matches('"').to_owned());
            self.push(clean(text));
        }
        self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self.0.dedup();
    }

    fn push(&mut self, text: String) {
        if !text.trim().is_empty() {
            self.0.push(text);
        }
    }

    /// `text` with `***` in place of every secret.
    pub fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| if text.contains(secret) { text.replace(secret, MASKED) } else { text })
    }

    /// `text`, clean and at most `length` characters long. Secrets go before it is cut, and again once what hid them is
    /// cleaned away.
    pub fn quote(&self, text: &str, length: usize) -> String {
        self.apply(&clean(&self.apply(text))).chars().take(length).collect()
    }

    /// The beginning of what a server said.
    pub fn excerpt(&self, said: &[u8]) -> String {
        let searched = said.get(..SEARCHED).unwrap_or(said);
        let mut text = self.apply(&String::from_utf8_lossy(searched));
        if searched.len() < said.len() {
            // What was cut in two at the end is not recognized, so as much as it can be goes with it.
            let longest = self.0.first().map_or(0, |secret| secret.chars().count());
            text = text.chars().take(text.chars().count().saturating_sub(longest)).collect();
        }
        let text = self.quote(&text, LONGEST_EXCERPT);
        if text.trim().is_empty() { "nothing".into() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_26_a_secret_is_hidden_in_every_form_in_which_it_is_echoed() {
        let mut mask = Mask::default();
        mask.add("p@ss \"w/rd\n");
        for echoed in ["p@ss \"w/rd", "?a=p%40ss+%22w%2Frd&", r#"{"a":"p@ss \"w/rd"}"#, "x p@ss \"w/rd y"] {
            let hidden = mask.apply(echoed);
            assert!(hidden.contains(MASKED) && !hidden.contains("w/rd") && !hidden.contains("w%2Frd"), "{hidden}");
        }
        mask.add("-----BEGIN\nfirst line of key\n}\nsecond line of key\n");
        assert_eq!(mask.apply("} second line of key first line of key }"), "} *** *** }");
        assert_eq!(mask.apply("nothing of it"), "nothing of it");
    }

    #[test]
    fn an_excerpt_holds_no_part_of_a_secret() {
        let mut mask = Mask::default();
        let secret = "0123456789".repeat(100);
        mask.add(&secret);
        assert_eq!(mask.excerpt(format!("{}{secret}", "x".repeat(190)).as_bytes()), format!("{}***", "x".repeat(190)));
        assert!(!mask.excerpt(secret.repeat(70).as_bytes()).contains("0123"), "cut where the search ends");
        assert_eq!(mask.excerpt(" \r\n".as_bytes()), "nothing");
    }

    #[test]
    fn a_secret_inside_another_does_not_uncover_it() {
        let mut mask = Mask::default();
        mask.add("key");
        mask.add("key-of-the-house");
        assert_eq!(mask.apply("<key-of-the-house>"), "<***>");
        mask.add("");
        mask.add(" \n");
        assert_eq!(mask.apply("a b"), "a b", "an empty secret masks nothing");
    }
}
