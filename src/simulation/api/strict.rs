//! From bytes to an object of the kind that is asked for: type, namespace, and fields that the kind does not have.

use serde_json::Value;

use super::ask::Ask;
use super::fields;
use super::object::{encode, set_metadata};
use super::status::{Answered, Status};
use super::write::text;

/// Why something is no object of the kind.
enum Refusal {
    /// Said in the same way wherever the object comes from.
    Plain(Box<Status>),
    /// It cannot be decoded as the kind: the version and the kind that it claims, and the reason.
    Undecodable { version: String, kind: String, why: String },
}

impl From<Box<Status>> for Refusal {
    fn from(status: Box<Status>) -> Self {
        Self::Plain(status)
    }
}

impl Refusal {
    fn of_body(self, ask: &Ask<'_>) -> Box<Status> {
        match self {
            Self::Plain(status) => status,
            Self::Undecodable { version, kind, why } => {
                Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {}: {why}", ask.resource.kind))
            }
        }
    }

    fn of_patch(self, patched: &Value) -> Box<Status> {
        match self {
            Self::Plain(status) => status,
            Self::Undecodable { why, .. } => Status::invalid_patch(&patched.to_string(), &why),
        }
    }
}

/// Decodes the body of a POST or PUT.
pub(super) fn decode(ask: &Ask<'_>, body: &[u8]) -> Answered<Value> {
    let mut object: Value = serde_json::from_slice(body).map_err(|error| unreadable(ask, body, &error))?;
    claimed(ask, &mut object).map_err(|refusal| refusal.of_body(ask))?;
    fitting(ask, &object).map_err(|refusal| refusal.of_body(ask))?;
    set_metadata(&mut object, "selfLink", Value::Null);
    Ok(object)
}

/// Checks what a patch has made; `sent` is all that is new in it.
pub(super) fn check_patched(ask: &Ask<'_>, mut object: Value, sent: Option<&Value>) -> Answered<Value> {
    claimed(ask, &mut object).map_err(|refusal| refusal.of_patch(&object))?;
    fitting(ask, sent.unwrap_or(&object)).map_err(|refusal| refusal.of_patch(&object))?;
    Ok(object)
}

/// The object is of the type and in the namespace that are asked for, and has no other fields than its kind.
fn claimed(ask: &Ask<'_>, object: &mut Value) -> Result<(), Refusal> {
    typed(ask, object)?;
    placed(ask, object)?;
    known_fields(ask, object)
}

/// Checks the configuration of an apply.
pub(super) fn check_applied(ask: &Ask<'_>, object: Value) -> Answered<Value> {
    if !object["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    if version != ask.api_version() || kind != ask.resource.kind {
        let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
        return Err(Status::bad_request(format!("invalid object type: {version}, Kind={kind}")));
    }
    placed(ask, &object)?;
    // The merge itself refuses what is not in the schema.
    Ok(object)
}

fn unreadable(ask: &Ask<'_>, body: &[u8], error: &serde_json::Error) -> Box<Status> {
    let why = if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() };
    let kind = &ask.resource.kind;
    let body = String::from_utf8_lossy(body);
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why} ({})",
        preview(&body)
    ))
}

/// The beginning of a body, as messages show it.
fn preview(body: &str) -> String {
    match body.char_indices().nth(30) {
        Some((end, _)) => format!("{} ...", &body[..end]),
        None => body.to_owned(),
    }
}

/// The type in the object is the one that is asked for; built-in kinds may leave it out.
fn typed(ask: &Ask<'_>, object: &mut Value) -> Result<(), Refusal> {
    let wanted = ask.api_version();
    let wanted_kind = &ask.resource.kind;
    if !object.is_object() {
        return Err(Status::bad_request(format!("the object provided is unrecognized (must be of type {wanted_kind})")).into());
    }
    for (key, value) in [("apiVersion", &wanted), ("kind", wanted_kind)] {
        if text(&object[key]).is_empty() {
            if ask.resource.custom && key == "kind" {
                let body = String::from_utf8_lossy(&encode(object)).into_owned();
                let why = format!("Object 'Kind' is missing in '{body}' ({})", preview(&body));
                return Err(
                    Status::bad_request(format!("the object provided is unrecognized (must be of type {wanted_kind}): {why}")).into()
                );
            }
            object[key] = value.as_str().into();
        }
    }
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    if version == wanted && kind == wanted_kind {
        return Ok(());
    }
    if ask.resource.custom && version == wanted {
        let message = format!("Invalid value: \"{kind}\": must be {wanted_kind}");
        let cause = fields::Cause { field: "kind".into(), reason: "FieldValueInvalid", message };
        return Err(Status::invalid(&ask.resource.group, kind, text(&object["metadata"]["name"]), vec![cause]).into());
    }
    if ask.resource.custom {
        let why = format!("the API version in the data ({version}) does not match the expected API version ({wanted})");
        return Err(Status::bad_request(why).into());
    }
    let package = |version: &str| version.split_once('/').map_or("core", |(group, _)| group.split('.').next().unwrap_or(group)).to_owned();
    let short = version.rsplit('/').next().unwrap_or(version);
    let why = if version == wanted {
        let of = if ask.resource.group.is_empty() { "v1".to_owned() } else { short.to_owned() };
        format!("converting ({of}.{kind}) to ({}.{wanted_kind}): unknown conversion", package(&wanted))
    } else {
        format!("no kind \"{kind}\" is registered for version \"{version}\" in scheme \"pkg/runtime/scheme.go:111\"")
    };
    Err(Refusal::Undecodable { version: short.to_owned(), kind: kind.to_owned(), why })
}

/// The namespace in the object, where it has one, is that of the path.
fn placed(ask: &Ask<'_>, object: &Value) -> Answered<()> {
    let namespace = text(&object["metadata"]["namespace"]);
    if namespace.is_empty() || namespace == ask.namespace {
        return Ok(());
    }
    Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// Values of built-in kinds have the types of their fields; custom ones are held to their schema later.
///
/// The rules are those of an apply, less what only an apply refuses: fields that there are not, and items that come twice.
fn fitting(ask: &Ask<'_>, object: &Value) -> Result<(), Refusal> {
    if ask.resource.custom {
        return Ok(());
    }
    let writer = fields::Writer { manager: "", api_version: "", subresource: "", time: "" };
    let Err(fields::ApplyError::Invalid(why)) = fields::apply(ask.resource.typing(ask.version()), None, object, &writer, true) else {
        return Ok(());
    };
    let wrong: Vec<&str> =
        why.lines().filter(|line| line.contains(": expected ")).map(|line| line.rsplit("): ").next().unwrap_or(line).trim()).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(undecodable(ask, format!("json: cannot unmarshal: {}", wrong.join(", "))))
}

/// With `fieldValidation=Strict`, fields that the kind does not have are an error; otherwise they are dropped. An unknown
/// field that is empty passes: it cannot be told from a known one that the server leaves out.
fn known_fields(ask: &Ask<'_>, object: &Value) -> Result<(), Refusal> {
    if ask.query.get("fieldValidation") != Some("Strict") {
        return Ok(());
    }
    let mut pruned = object.clone();
    fields::default(ask.resource.typing(ask.version()), &mut pruned);
    let mut unknown = Vec::new();
    lost(object, &pruned, &mut String::new(), &mut unknown);
    if unknown.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    Err(undecodable(ask, format!("strict decoding error: {}", list.join(", "))))
}

fn undecodable(ask: &Ask<'_>, why: String) -> Refusal {
    Refusal::Undecodable { version: ask.version().name.clone(), kind: ask.resource.kind.clone(), why }
}

/// The paths that are in one object and, though not empty, missing in the other.
fn lost(before: &Value, after: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(key);
                match after.get(key) {
                    Some(kept) => lost(value, kept, path, found),
                    None if is_empty(value) || (length == 0 && key == "stringData") => {}
                    None => found.push(path.clone()),
                }
                path.truncate(length);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                path.push_str(&format!("[{index}]"));
                lost(before, after, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(is_empty),
        other => fields::is_zero(other),
    }
}
