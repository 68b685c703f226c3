//! Identity of what is rolled out.
//!
//! `status.lastAppliedSpec` is `p1:UID:GENERATION:SHA256`. The same UID and generation is never a new
//! revision, whatever the hash says; the hash is over canonical JSON, so that no client library's
//! struct layout can change it (the cause of Flagger's re-triggered canaries after upgrades).

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Node selector that stands for "scaled to zero" on a DaemonSet; never part of a revision.
pub const SCALE_TO_ZERO_SELECTOR: &str = "flagger.app/scale-to-zero";

/// One revision of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub uid: String,
    pub generation: i64,
    /// SHA-256 of the pod template's canonical JSON, in hex.
    pub hash: String,
}

impl Revision {
    /// The revision of a workload whose pod template is `template`.
    #[must_use]
    pub fn of(uid: &str, generation: i64, template: &Value) -> Self {
        let mut template = template.clone();
        without_rest(&mut template);
        Self { uid: uid.into(), generation, hash: sha256_hex(canonical(&template).as_bytes()) }
    }

    /// Reads our own form; `None` for Flagger's hashes and for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("p1:")?.splitn(3, ':');
        let (uid, generation, hash) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { uid: uid.into(), generation: generation.parse().ok()?, hash: hash.into() })
    }

    /// Whether `self`, seen now, is something else than `recorded`.
    #[must_use]
    pub fn differs(&self, recorded: &Self) -> bool {
        let same_object = self.uid == recorded.uid && self.generation == recorded.generation;
        !same_object && self.hash != recorded.hash
    }

    /// The first characters of the hash, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.hash.get(..8).unwrap_or(&self.hash)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p1:{}:{}:{}", self.uid, self.generation, self.hash)
    }
}

/// Takes out of a pod template what only says that a DaemonSet rests. The API server keeps no empty selector, and so none is left.
pub fn without_rest(template: &mut Value) {
    let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let Some(selector) = spec.get_mut("nodeSelector").and_then(Value::as_object_mut) else { return };
    selector.remove(SCALE_TO_ZERO_SELECTOR);
    if selector.is_empty() {
        spec.remove("nodeSelector");
    }
}

/// Short form of a recorded revision, ours or foreign.
#[must_use]
pub fn short(recorded: &str) -> String {
    Revision::parse(recorded).map_or_else(|| recorded.chars().take(8).collect(), |r| r.short().to_owned())
}

/// JSON with sorted keys and no white space, nulls and empty objects of a Kubernetes object kept.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let inner: Vec<_> = sorted.iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v))).collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// Flagger's config checksum: the first 8 bytes, in hex, of SHA-256 over Go's JSON of the `data` map
/// (keys sorted, `<`, `>`, `&` and the line separators escaped, `null` for a map that is not there).
#[must_use]
pub fn config_checksum(data: Option<&BTreeMap<String, String>>) -> String {
    let text = data.map_or_else(
        || "null".to_owned(),
        |map| {
            let inner: Vec<_> = map.iter().map(|(k, v)| format!("{}:{}", go_json(k), go_json(v))).collect();
            format!("{{{}}}", inner.join(","))
        },
    );
    sha256_hex(text.as_bytes()).chars().take(16).collect()
}

fn go_json(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{0}'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// SHA-256 of `bytes`, in hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A UUID-shaped id that is the same for the same `seed`: stamped on the primary's pods at promotion,
/// where a fresh random one would make a repeated write look like another revision.
#[must_use]
pub fn stable_id(seed: &str) -> String {
    let h = sha256_hex(seed.as_bytes());
    let part = |from: usize, to: usize| h.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn same_generation_is_never_new_and_same_template_is_never_new() {
        let a = Revision::of("u", 1, &json!({"spec": {"containers": [{"image": "a"}]}}));
        let mut b = a.clone();
        b.hash = "other".into();
        assert!(!b.differs(&a), "same generation");
        let scaled = Revision { generation: 2, ..a.clone() };
        assert!(!scaled.differs(&a), "scaling makes a generation, not a revision");
        let other = Revision::of("u", 3, &json!({"spec": {"containers": [{"image": "b"}]}}));
        assert!(other.differs(&a));
        assert_eq!(Revision::parse(&a.to_string()), Some(a));
        assert_eq!(Revision::parse("6b7d4c9f5"), None);
    }

    #[test]
    fn the_scale_to_zero_selector_is_not_a_revision() {
        let with = json!({"spec": {"nodeSelector": {SCALE_TO_ZERO_SELECTOR: "true"}}});
        for without in [json!({"spec": {"nodeSelector": {}}}), json!({"spec": {}})] {
            assert_eq!(Revision::of("u", 1, &with).hash, Revision::of("u", 2, &without).hash);
        }
        let others = json!({"spec": {"nodeSelector": {SCALE_TO_ZERO_SELECTOR: "true", "disk": "ssd"}}});
        assert_ne!(Revision::of("u", 1, &others).hash, Revision::of("u", 2, &with).hash);
    }

    #[test]
    fn checksums_are_those_of_go() {
        let map = |k: &str, v: &str| BTreeMap::from([(k.to_owned(), v.to_owned())]);
        assert_eq!(config_checksum(None), sha256_hex(b"null")[..16]);
        assert_eq!(config_checksum(Some(&map("a", "<&>\n"))), sha256_hex(br#"{"a":"\u003c\u0026\u003e\n"}"#)[..16]);
    }
}
