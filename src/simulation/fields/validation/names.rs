//! The syntax of names, labels and keys: which rules a text breaks, in the words of the server.

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

type Broken = Vec<String>;

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|b| lower(*b)) && bytes.last().is_some_and(|b| lower(*b)) && bytes.iter().all(|b| lower(*b) || *b == b'-')
}

fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.last().is_some_and(u8::is_ascii_alphanumeric) && bytes.iter().all(inner)
}

/// A name that is a label of DNS.
pub fn label(text: &str) -> Broken {
    let mut broken = Broken::new();
    if text.len() > 63 {
        broken.push("must be no more than 63 characters".into());
    }
    if !is_label(text) {
        let dotted = text.split('.').all(is_label);
        broken.push(if dotted { "must not contain dots".into() } else { LABEL.into() });
    }
    broken
}

/// A name that is a domain of DNS.
pub fn subdomain(text: &str) -> Broken {
    let mut broken = Broken::new();
    if text.len() > 253 {
        broken.push("must be no more than 253 characters".into());
    }
    if !text.split('.').all(is_label) {
        broken.push(SUBDOMAIN.into());
    }
    broken
}

/// A name that is one part of a path.
pub fn path_segment(text: &str) -> Broken {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"].iter().filter(|part| text.contains(**part)).map(|part| format!("may not contain '{part}'")).collect()
}

/// The key of a label or annotation: a name with an optional domain before it.
pub fn qualified(text: &str) -> Broken {
    let mut broken = Broken::new();
    let mut parts = text.split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() {
        return vec![format!("a valid label key {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
    }
    let name = second.unwrap_or(first);
    if second.is_some() {
        if first.is_empty() {
            broken.push("prefix part must be non-empty".into());
        } else {
            broken.extend(subdomain(first).into_iter().map(|why| format!("prefix part {why}")));
        }
    }
    if name.is_empty() {
        broken.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        broken.push("name part must be no more than 63 bytes".into());
    }
    if !is_qualified(name) {
        broken.push(format!("name part {QUALIFIED}"));
    }
    broken
}

/// The value of a label.
pub fn label_value(text: &str) -> Broken {
    let mut broken = Broken::new();
    if text.len() > 63 {
        broken.push("must be no more than 63 bytes".into());
    }
    if !text.is_empty() && !is_qualified(text) {
        broken.push(LABEL_VALUE.into());
    }
    broken
}

/// The key of a piece of a config map or secret.
pub fn config_key(text: &str) -> Broken {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let mut broken = Broken::new();
    if text.len() > 253 {
        broken.push("must be no more than 253 characters".into());
    }
    if text.is_empty() || !text.bytes().all(known) {
        broken.push(CONFIG_KEY.into());
    } else if text == "." || text == ".." {
        broken.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        broken.push("must not start with '..'".into());
    }
    broken
}

/// The name of a port.
pub fn port(text: &str) -> Broken {
    let rules = [
        (text.len() > 15, "must be no more than 15 characters"),
        (!text.bytes().all(|b| lower(b) || b == b'-'), "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
        (!text.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (text.contains("--"), "must not contain consecutive hyphens"),
        (text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    rules.iter().filter(|(broken, _)| *broken).map(|(_, why)| (*why).to_owned()).collect()
}

/// The name of an environment variable.
pub fn environment(text: &str) -> Broken {
    let fits = text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=');
    if fits {
        Broken::new()
    } else {
        vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".into()]
    }
}
