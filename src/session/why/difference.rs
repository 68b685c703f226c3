//! What differs between two objects, in paths that people read, with nothing in it that is secret.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::text::clean;

/// Changes that are shown; of the rest only their number is.
pub const SHOWN: usize = 20;
/// Characters of one value.
const LONGEST: usize = 120;
/// What stands for a value that may be secret.
pub const MASKED: &str = "(masked)";
/// Fields by which the items of lists are known, in the order in which they are tried.
const NAMES: [&str; 5] = ["name", "key", "mountPath", "containerPort", "port"];
/// Parts of names whose values are not shown.
const SECRET: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "private",
    "accesskey",
    "access_key",
];
/// Ends of such names.
const SECRET_ENDS: [&str; 10] = ["_key", "-key", "_pass", "-pass", "pwd", "_auth", "-auth", "cookie", "_salt", "_dsn"];
/// Fields that name something and hold nothing.
const REFERENCES: [&str; 5] = ["valueFrom", "secretRef", "secretName", "configMapRef", "configMap"];

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `containers[web].image`.
    pub path: String,
    /// None where it was not there.
    pub was: Option<String>,
    /// None where it is gone.
    pub now: Option<String>,
}

/// What differs, bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub changes: Vec<Change>,
    /// Changes that are not among them.
    pub more: usize,
}

impl Difference {
    #[must_use]
    pub const fn count(&self) -> usize {
        self.changes.len() + self.more
    }

    /// Adds what differs between `was` and `now`, under `prefix`.
    pub fn add(&mut self, prefix: &str, was: &Value, now: &Value) {
        walk(prefix, Some(was).filter(|v| !v.is_null()), Some(now).filter(|v| !v.is_null()), Cover::Open, self);
    }

    /// Adds what differs between two configs: their keys, and of `ConfigMaps` short values.
    pub fn add_config(&mut self, secret: bool, name: &str, was: &Value, now: &Value) {
        let kind = if secret { "Secret" } else { "ConfigMap" };
        let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<BTreeSet<_>>()).unwrap_or_default();
        for key in keys(was).union(&keys(now)) {
            let (was, now) = (was.get(key), now.get(key));
            if was == now {
                continue;
            }
            let shown = |value: Option<&Value>| value.map(|v| if secret || looks_secret(key) { MASKED.to_owned() } else { leaf(v) });
            self.push(Change { path: clean(&format!("{kind} {name}: {key}")), was: shown(was), now: shown(now) });
        }
    }

    fn push(&mut self, change: Change) {
        if self.changes.len() < SHOWN {
            self.changes.push(change);
        } else {
            self.more += 1;
        }
    }

    /// Whether an image is among what differs.
    #[must_use]
    pub fn has_image(&self) -> bool {
        self.changes.iter().any(|change| change.path.rsplit('.').next() == Some("image"))
    }
}

/// Whether values below a path are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    Open,
    Hidden,
    /// Below a reference: names of other objects, whatever they are called.
    Names,
}

impl Cover {
    fn below(self, key: &str, secret: bool) -> Self {
        match self {
            Self::Names => Self::Names,
            _ if REFERENCES.contains(&key) => Self::Names,
            _ if secret => Self::Hidden,
            cover => cover,
        }
    }
}

fn walk(path: &str, was: Option<&Value>, now: Option<&Value>, cover: Cover, out: &mut Difference) {
    if was == now {
        return;
    }
    let containers = [was, now].into_iter().flatten().filter(|v| v.is_object() || v.is_array()).count();
    let sides = [was, now].into_iter().flatten().count();
    if containers == 0 || containers < sides {
        let shown = |value: Option<&Value>| value.map(|v| if cover == Cover::Hidden { MASKED.to_owned() } else { leaf(v) });
        out.push(Change { path: clean(path), was: shown(was), now: shown(now) });
        return;
    }
    let arrays = [was, now].into_iter().flatten().all(Value::is_array);
    let parts = |value: Option<&Value>| -> Vec<(String, Value, bool)> {
        match value {
            Some(Value::Object(map)) => map.iter().map(|(k, v)| (k.clone(), v.clone(), looks_secret(k))).collect(),
            Some(Value::Array(items)) => items_of(items, named_by(was, now)),
            _ => Vec::new(),
        }
    };
    let (before, after) = (parts(was), parts(now));
    let keys: Vec<&String> = {
        let mut seen = BTreeSet::new();
        before.iter().chain(&after).map(|(key, ..)| key).filter(|key| seen.insert(*key)).collect()
    };
    for key in keys {
        let find = |parts: &'_ [(String, Value, bool)]| parts.iter().find(|(k, ..)| k == key).map(|(_, v, secret)| (v.clone(), *secret));
        let (was, now) = (find(&before), find(&after));
        let secret = was.as_ref().is_some_and(|(_, s)| *s) || now.as_ref().is_some_and(|(_, s)| *s);
        walk(&joined(path, key, arrays), was.as_ref().map(|(v, _)| v), now.as_ref().map(|(v, _)| v), cover.below(key, secret), out);
    }
}

/// `path` with `key` behind it; pods' own fields stand without the `spec` round them.
fn joined(path: &str, key: &str, array: bool) -> String {
    if array {
        return format!("{path}[{key}]");
    }
    match (path, key) {
        ("", "spec") => String::new(),
        ("", key) => key.to_owned(),
        (path, key) if key.contains(['.', '/']) => format!("{path}[{key}]"),
        (path, key) => format!("{path}.{key}"),
    }
}

/// The field that names every item of both lists; none where they have none, or it is not unique.
fn named_by(was: Option<&Value>, now: Option<&Value>) -> Option<&'static str> {
    NAMES.into_iter().find(|field| {
        [was, now].into_iter().flatten().filter_map(Value::as_array).all(|items| {
            let names: Vec<_> = items.iter().filter_map(|item| item.get(field)).filter(|n| n.is_string() || n.is_number()).collect();
            let unique: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
            names.len() == items.len() && unique.len() == items.len()
        })
    })
}

/// Items with what they are known by, and whether they are secret: an environment variable by its name, an argument by the
/// option in front of it.
fn items_of(items: &[Value], named: Option<&'static str>) -> Vec<(String, Value, bool)> {
    let mut option = false;
    items
        .iter()
        .enumerate()
        .map(|(at, item)| {
            let after = option;
            option = item.as_str().is_some_and(|text| text.starts_with('-') && !text.contains('=') && looks_secret(text));
            match named.and_then(|field| item.get(field)) {
                Some(Value::String(name)) => (name.clone(), unnamed(item, named), looks_secret(name)),
                Some(name) => (name.to_string(), unnamed(item, named), false),
                None => (at.to_string(), item.clone(), after),
            }
        })
        .collect()
}

/// `item` without the name that its path has already, unless that is all there is of it.
fn unnamed(item: &Value, named: Option<&str>) -> Value {
    let mut rest = item.clone();
    if let (Some(map), Some(named)) = (rest.as_object_mut().filter(|map| map.len() > 1), named) {
        map.remove(named);
    }
    rest
}

/// Whether what is called `name` may be secret.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET.iter().any(|part| name.contains(part)) || SECRET_ENDS.iter().any(|end| name.ends_with(end))
}

/// A value as it is shown: on one line, cut, and without credentials. Long texts are files, of which nobody knows what they hold.
fn leaf(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        // Where a whole object stands against a single value, nobody has looked into it.
        Value::Object(_) => return "{…}".into(),
        Value::Array(_) => return "[…]".into(),
        other => other.to_string(),
    };
    if text.trim_end().contains('\n') {
        return format!("{} lines", text.lines().count());
    }
    let text = masked(&clean(&text));
    if text.chars().count() > LONGEST { text.chars().take(LONGEST).chain(['…']).collect() } else { text }
}

/// `text` without what is a credential by its form: `user:password@`, `token=…`, bearer tokens, signed tokens.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut out = Vec::new();
    let mut next = false;
    for word in text.split(' ') {
        if next {
            out.push(MASKED.to_owned());
            next = false;
            continue;
        }
        let lower = word.to_lowercase();
        next = matches!(lower.as_str(), "bearer" | "basic") || (lower.starts_with("--") && !lower.contains('=') && looks_secret(&lower));
        out.push(masked_word(word));
    }
    out.join(" ")
}

fn masked_word(word: &str) -> String {
    if word.starts_with("eyJ") || word.starts_with("AKIA") || word.starts_with("ghp_") {
        return MASKED.to_owned();
    }
    let word = match word.split_once("://") {
        Some((scheme, rest)) => match rest.split('/').next().and_then(|authority| authority.rsplit_once('@')) {
            Some((user, _)) => format!("{scheme}://{MASKED}{}", rest.get(user.len()..).unwrap_or_default()),
            None => word.to_owned(),
        },
        None => word.to_owned(),
    };
    // Several of them stand in one word: a query, or a connection's settings.
    let part = |part: &str| match part.split_once(['=', ':']) {
        Some((name, value)) if looks_secret(name) && !value.is_empty() && !value.starts_with("//") => {
            let sign = part.get(name.len()..=name.len()).unwrap_or("=");
            format!("{name}{sign}{MASKED}")
        }
        _ => part.to_owned(),
    };
    let mut out = String::new();
    let mut rest = word.as_str();
    while let Some(at) = rest.find(['&', ';', ',', '?']) {
        out.push_str(&part(rest.get(..at).unwrap_or_default()));
        out.push_str(rest.get(at..=at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    out + &part(rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn between(was: &Value, now: &Value) -> Difference {
        let mut found = Difference::default();
        found.add("", was, now);
        found
    }

    fn lines(difference: &Difference) -> Vec<String> {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".into());
        difference.changes.iter().map(|c| format!("{}: {} -> {}", c.path, side(&c.was), side(&c.now))).collect()
    }

    #[test]
    fn items_are_told_apart_by_name_and_paths_are_short() {
        let was = json!({"spec": {"containers": [
            {"name": "log", "image": "log:1"},
            {"name": "web", "image": "web:1", "args": ["--level=info"], "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}]}});
        let now = json!({"metadata": {"annotations": {"team/doc": "x"}}, "spec": {"containers": [
            {"name": "web", "image": "web:2", "args": ["--level=debug", "-v"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "ports": [{"containerPort": 81}]},
            {"name": "log", "image": "log:1"}]}});
        assert_eq!(
            lines(&between(&was, &now)),
            [
                "containers[web].args[0]: --level=info -> --level=debug",
                "containers[web].args[1]: - -> -v",
                "containers[web].env[B].value: - -> 2",
                "containers[web].image: web:1 -> web:2",
                "containers[web].ports[80].containerPort: 80 -> -",
                "containers[web].ports[81].containerPort: - -> 81",
                "metadata.annotations[team/doc]: - -> x",
            ]
        );
        assert_eq!(between(&was, &was).count(), 0);
    }

    #[test]
    fn nothing_secret_is_in_a_difference() {
        let hide = "hunter2";
        let was = json!({"spec": {"containers": [{"name": "web", "env": [{"name": "DB_PASSWORD", "value": "old-hunter2"}]}]}});
        let env = json!({"metadata": {"annotations": {"api-token": hide}}, "spec": {"containers": [{"name": "web", "env": [
            {"name": "DB_PASSWORD", "value": hide}, {"name": "STRIPE_KEY", "value": hide},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "web-secret", "key": "password"}}},
            {"name": "JWT", "value": "eyJhbGciOiJIUzI1NiJ9.hunter2"}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "web-token"}}]}});
        let words = json!({"spec": {"containers": [{"name": "web",
            "args": ["--db-password", hide, "--token=hunter2", "postgres://bo:hunter2@db/x?password=hunter2&a=b", "Authorization: Bearer hunter2"],
            "command": ["sh", "-c", "run --secret hunter2 PASSWORD=hunter2"]}]}});
        let mut configs = Difference::default();
        configs.add_config(
            true,
            "web-secret",
            &json!({"password": "aHVudGVyMg=="}),
            &json!({"password": "aHVudGVyMw==", "new": "aHVudGVyMg=="}),
        );
        let file = json!({"app.yaml": "a: 1\npassword: hunter2\n", "LEVEL": "debug"});
        configs.add_config(false, "web-config", &json!({"ADMIN_TOKEN": "hunter2", "app.yaml": "a: 1"}), &file);
        let found = [between(&was, &env), between(&was, &words), configs];
        assert!(found.iter().all(|f| f.more == 0), "everything is shown");
        let all = found.iter().flat_map(lines).collect::<Vec<_>>().join("\n");
        assert!(!all.contains("hunter2") && !all.contains("aHVudGVy"), "{all}");
        for shown in [
            "containers[web].env[DB_PASSWORD].value: (masked) -> (masked)",
            "containers[web].env[STRIPE_KEY].value: - -> (masked)",
            "valueFrom.secretKeyRef.name: - -> web-secret",
            "secret.secretName: - -> web-token",
            "postgres://(masked)@db/x?password=(masked)&a=b",
            "Authorization: Bearer (masked)",
            "run --secret (masked) PASSWORD=(masked)",
            "Secret web-secret: password: (masked) -> (masked)",
            "ConfigMap web-config: ADMIN_TOKEN: (masked) -> -",
            "ConfigMap web-config: LEVEL: - -> debug",
            "ConfigMap web-config: app.yaml: a: 1 -> 2 lines",
        ] {
            assert!(all.contains(shown), "{shown}\n{all}");
        }
    }

    #[test]
    fn a_difference_is_bounded_whatever_it_is_of() {
        let many: serde_json::Map<String, Value> = (0..5_000).map(|i| (format!("k{i}"), json!("x".repeat(10_000)))).collect();
        let found = between(&json!({}), &Value::Object(many));
        assert_eq!((found.changes.len(), found.more, found.count()), (SHOWN, 4_980, 5_000));
        assert!(found.changes.iter().all(|c| c.now.as_ref().is_some_and(|n| n.chars().count() <= LONGEST + 1)));
        assert_eq!(lines(&between(&json!({"a": 1}), &json!({"a": {"password": "hunter2"}}))), ["a: 1 -> {…}"]);
        assert!(!between(&json!({}), &json!({"a": "x\u{1b}[2J"})).changes[0].now.as_ref().is_some_and(|n| n.contains('\u{1b}')));
    }
}
