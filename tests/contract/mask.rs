//! Replaces what differs from run to run by what it is: the third uid, a time, a generated suffix.

use std::collections::BTreeMap;

use serde_json::Value;

/// What has been seen so far, in the order of its appearance.
#[derive(Default)]
pub struct Mask {
    /// The uids of each name, which several objects may have had.
    uids: BTreeMap<String, Vec<String>>,
    /// What a known uid is shown as.
    shown: BTreeMap<String, String>,
    /// The versions of each object, by its uid.
    versions: BTreeMap<String, Vec<String>>,
    addresses: Vec<String>,
    /// Generated names, with what they were generated from.
    generated: Vec<(String, String)>,
}

impl Mask {
    /// Masks a document in place.
    pub fn apply(&mut self, document: &mut Value) {
        self.walk(document);
    }

    fn walk(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                self.metadata(fields);
                self.keys(fields);
                // Custom resources stand in discovery in the order of a Go map: in none.
                if let (true, Some(Value::Array(resources))) = (fields.contains_key("groupVersion"), fields.get_mut("resources")) {
                    resources.sort_by_key(|resource| resource["name"].as_str().unwrap_or_default().to_owned());
                }
                for (key, value) in fields.iter_mut() {
                    match (key.as_str(), &mut *value) {
                        ("managedFields", Value::Array(entries)) => {
                            for entry in entries.iter_mut() {
                                self.walk(entry);
                            }
                            // Their order depends on whether a second has passed between two writes.
                            entries.sort_by_key(|entry| {
                                ["operation", "manager", "apiVersion", "subresource"]
                                    .map(|key| entry[key].as_str().unwrap_or_default().to_owned())
                            });
                        }
                        ("continue", Value::String(text)) if !text.is_empty() => *text = "<token>".into(),
                        ("message", Value::String(text)) => {
                            let masked = self.text(text);
                            *text = numbers(&masked);
                        }
                        (_, value) => self.walk(value),
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.walk(item);
                }
            }
            Value::String(text) => *text = self.text(text),
            _ => {}
        }
    }

    /// Keys of managedFields hold uids of owners.
    fn keys(&mut self, fields: &mut serde_json::Map<String, Value>) {
        let with_uids: Vec<String> = fields.keys().filter(|key| key.starts_with("k:{")).cloned().collect();
        for key in with_uids {
            let masked = self.text(&key);
            if let Some(value) = fields.remove(&key) {
                fields.insert(masked, value);
            }
        }
    }

    /// The resourceVersions of an object are counted; that of a list or bookmark depends on what else happens in the cluster.
    fn metadata(&mut self, fields: &mut serde_json::Map<String, Value>) {
        if let (Some(base), Some(name)) = (fields.get("generateName").and_then(Value::as_str), fields.get("name").and_then(Value::as_str))
            && name.len() == base.len() + 5
        {
            self.generated.push((name.to_owned(), format!("{base}<suffix>")));
        }
        let uid = fields.get("uid").and_then(Value::as_str).map(str::to_owned);
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
        let name =
            self.generated.iter().find(|(generated, _)| generated == name).map_or_else(|| name.to_owned(), |(_, shown)| shown.clone());
        if let Some(uid) = uid.as_ref().filter(|uid| matching(uid, UID).is_some() && !self.shown.contains_key(*uid)) {
            let count = index(self.uids.entry(name.clone()).or_default(), uid);
            self.shown.insert(uid.clone(), format!("<uid {count} of {name}>"));
        }
        if let Some(Value::String(version)) = fields.get_mut("resourceVersion") {
            *version = uid
                .map_or_else(|| "<version>".into(), |uid| format!("<version {}>", index(self.versions.entry(uid).or_default(), version)));
        }
    }

    /// Masks a text: uids, times, cluster IPs and generated names.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, shown) in &self.generated {
            text = text.replace(name, shown);
        }
        let mut out = String::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            if let Some(length) = matching(rest, UID) {
                out += self.shown.get(&rest[..length]).map_or("<uid>", String::as_str);
                rest = &rest[length..];
            } else if let Some(length) = matching(rest, TIME) {
                let fraction = rest[length..]
                    .strip_prefix('.')
                    .map_or(0, |digits| 1 + digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len()));
                out += "<time>";
                rest = rest[length + fraction..].trim_start_matches('Z');
            } else if rest.starts_with("10.96.") {
                let length = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
                out += &format!("<address {}>", index(&mut self.addresses, &rest[..length]));
                rest = &rest[length..];
            } else {
                let letter = rest.chars().next().unwrap_or_default();
                out.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
        out
    }
}

const UID: &str = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";
const TIME: &str = "dddd-dd-ddTdd:dd:dd";

/// The length of the shape at the beginning of the text: `h` is a hexadecimal digit, `d` a decimal one.
fn matching(text: &str, shape: &str) -> Option<usize> {
    let fits = |(found, wanted): (u8, u8)| match wanted {
        b'h' => found.is_ascii_hexdigit(),
        b'd' => found.is_ascii_digit(),
        other => found == other,
    };
    (text.len() >= shape.len() && text.bytes().zip(shape.bytes()).all(fits)).then_some(shape.len())
}

/// Numbers in messages about resource versions: those that stand alone.
fn numbers(message: &str) -> String {
    if !message.to_ascii_lowercase().replace(' ', "").contains("resourceversion") {
        return message.to_owned();
    }
    let alone = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = message.split_inclusive(|letter: char| " (),:".contains(letter));
    words
        .map(|word| {
            let bare = word.trim_end_matches([' ', '(', ')', ',', ':']);
            if alone(bare) { word.replacen(bare, "<number>", 1) } else { word.to_owned() }
        })
        .collect()
}

fn index(known: &mut Vec<String>, value: &str) -> usize {
    known.iter().position(|one| one == value).unwrap_or_else(|| {
        known.push(value.to_owned());
        known.len() - 1
    }) + 1
}
