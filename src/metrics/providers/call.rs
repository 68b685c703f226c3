//! What all providers make requests of and read replies with.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::short;
use crate::domain::template::MetricProvider;
use crate::metrics::Check;

/// Headers that belong to the connection: a template that sets them would change where a request ends or goes.
const OF_THE_CONNECTION: [&str; 8] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"];
/// Parts of the names of headers that hold credentials.
const OF_CREDENTIALS: [&str; 5] = ["auth", "token", "key", "secret", "cookie"];

/// A request, with the secrets that it holds outside its headers.
pub struct Call {
    pub request: Request<Bytes>,
    hidden: Vec<String>,
}

impl Call {
    pub fn get(url: Url) -> Result<Self, String> {
        Self::new(Method::GET, url, Bytes::new())
    }

    pub fn post(url: Url, content_type: &'static str, body: String) -> Result<Self, String> {
        let mut call = Self::new(Method::POST, url, body.into())?;
        call.request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(call)
    }

    fn new(method: Method, url: Url, body: Bytes) -> Result<Self, String> {
        // `http` refuses addresses over 64 KiB, which only the query can bring about.
        let request = Request::builder().method(method).uri(url.as_str()).body(body).map_err(|_| "the query is too long for a URL")?;
        Ok(Self { request, hidden: Vec::new() })
    }

    /// With a header that holds a credential; `of` says whose, for the error.
    pub fn credential(mut self, name: HeaderName, value: &str, of: &str) -> Result<Self, String> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| format!("{of} cannot be sent in a header: remove control characters, such as a line end, from it"))?;
        value.set_sensitive(true);
        self.request.headers_mut().insert(name, value);
        Ok(self)
    }

    pub fn bearer(self, token: &str) -> Result<Self, String> {
        self.credential(AUTHORIZATION, &format!("Bearer {token}"), "the token")
    }

    pub fn basic(self, username: &str, password: &str) -> Result<Self, String> {
        let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")));
        self.credential(AUTHORIZATION, &value, "the password")
    }

    /// With a header that anybody may read.
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.request.headers_mut().insert(name, HeaderValue::from_static(value));
        self
    }

    /// Says that the body holds `secret`.
    pub fn hiding(mut self, secret: &str) -> Self {
        self.hidden.push(secret.to_owned());
        self
    }

    /// With the headers of the template: each replaces the one of that name.
    pub fn with(mut self, provider: &MetricProvider) -> Result<Self, String> {
        for (name, values) in headers(provider)? {
            self.request.headers_mut().remove(&name);
            for mut value in values {
                value.set_sensitive(OF_CREDENTIALS.iter().any(|part| name.as_str().contains(part)));
                self.request.headers_mut().append(&name, value);
            }
        }
        Ok(self)
    }

    /// All that must not be told of this request.
    pub fn secrets(&self) -> Vec<String> {
        let sensitive: Vec<&str> = self.request.headers().values().filter(|v| v.is_sensitive()).filter_map(|v| v.to_str().ok()).collect();
        // A token may be echoed without the word in front of it.
        let bare = sensitive.iter().filter_map(|v| v.split_once(' ')).map(|(_, token)| token);
        bare.chain(sensitive.iter().copied()).chain(self.hidden.iter().map(String::as_str)).map(str::to_owned).collect()
    }
}

/// The template's headers. Values are not quoted in errors, they may be credentials.
///
/// # Errors
/// A name or a value that cannot be sent, or is the connection's.
pub fn headers(provider: &MetricProvider) -> Result<Vec<(HeaderName, Vec<HeaderValue>)>, String> {
    let mut out = Vec::new();
    for (name, values) in &provider.headers {
        let quoted = short(name);
        let name: HeaderName =
            name.parse().map_err(|_| format!("header `{quoted}` has a name that cannot be sent: correct it in headers"))?;
        if OF_THE_CONNECTION.contains(&name.as_str()) {
            return Err(format!("header `{quoted}` belongs to the connection: remove it from headers"));
        }
        let values = values.iter().map(|value| HeaderValue::from_str(value)).collect::<Result<Vec<_>, _>>();
        let values = values.map_err(|_| format!("header `{quoted}` has a value that cannot be sent: remove control characters from it"))?;
        out.push((name, values));
    }
    Ok(out)
}

/// The address that `text` is.
///
/// # Errors
/// It is none of HTTP, or has more than scheme, host, port and path in it.
pub fn address(text: &str) -> Result<Url, String> {
    let wrong = |what: &str| format!("address {} {what}", short(text));
    let url = Url::parse(text).map_err(|_| wrong("is not a URL: write it as https://HOST[:PORT][/PATH]"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("is not of HTTP: write it as https://HOST[:PORT][/PATH]"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("address holds credentials: move them to the Secret that secretRef names".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment: remove it"));
    }
    Ok(url)
}

/// `url` with `segments` behind its path, each of them encoded.
pub fn below<'a>(mut url: Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    // Only URLs without a host have no path, and `address` has refused those.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// `url` with a query of `fields`.
pub fn asking<'a>(mut url: Url, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Url {
    url.query_pairs_mut().extend_pairs(fields);
    url
}

/// `text` on one line, as Flagger sends queries.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Check<'_> {
    /// What the Secret has under `key`.
    ///
    /// # Errors
    /// There is no Secret, no such key, or nothing that is text.
    pub(super) fn secret(&self, key: &str) -> Result<&str, String> {
        let name = self.provider.secret_ref.as_ref().map(|s| short(&s.name)).unwrap_or_default();
        let value = self.secret.and_then(|s| s.get(key)).ok_or_else(|| format!("Secret {name} has no key {key}: add it"))?;
        match std::str::from_utf8(value) {
            Ok(text) if !text.is_empty() => Ok(text),
            Ok(_) => Err(format!("Secret {name} has nothing under {key}: fill it in")),
            Err(_) => Err(format!("Secret {name} has bytes under {key} that are no text: correct it")),
        }
    }

    /// Whether there is a Secret with `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.secret.is_some_and(|s| s.contains_key(key))
    }

    /// What the environment says for `name`, unless it is empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// From when to when the query looks, in milliseconds since 1970: `times` the metric's interval, until now.
    pub(super) fn span(&self, times: u32) -> (i64, i64) {
        let window = self.window.unwrap_or_default().saturating_mul(times);
        let now = self.now.as_millisecond();
        (now.saturating_sub(i64::try_from(window.as_millis()).unwrap_or(i64::MAX)), now)
    }
}

/// The reply that `body` is. What replies hold is told whole in errors, it is cut once secrets are masked.
///
/// # Errors
/// It is not JSON, or of another shape.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(unread)
}

/// The part of a reply that `value` is.
///
/// # Errors
/// It is of another shape.
pub fn shaped<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(unread)
}

fn unread(error: serde_json::Error) -> String {
    format!("its answer cannot be read, {error}")
}

/// A value in a reply: `None` where it is null or not finite. Numbers may be written as text.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct Number(pub Option<f64>);

impl TryFrom<Value> for Number {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let number = match &value {
            Value::Null => return Ok(Self(None)),
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => Ok(Self(Some(number).filter(|n| n.is_finite()))),
            None => Err(format!("{value} is not a number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_finite_or_absent() {
        for (text, expected) in [
            ("1.5", Some(1.5)),
            ("\"-2e3\"", Some(-2_000.0)),
            ("null", None),
            ("\"NaN\"", None),
            ("\"+Inf\"", None),
            ("\"-Infinity\"", None),
            ("\"1e999\"", None),
        ] {
            assert_eq!(json::<Number>(text.as_bytes()).expect(text).0, expected, "{text}");
        }
        for text in ["true", "[]", "{}", "\"\"", "\"12 ms\"", "1e999"] {
            assert!(json::<Number>(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_joined_and_encoded() {
        for (base, expected) in [("http://x", "http://x/a/b%2Fc"), ("http://x/", "http://x/a/b%2Fc"), ("http://x/y/", "http://x/y/a/b%2Fc")]
        {
            assert_eq!(below(address(base).expect(base), ["a", "b/c", ".."]).as_str(), expected);
        }
    }
}
