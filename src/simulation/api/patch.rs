//! Patches: what a merge patch or a JSON patch makes of an object, and the configuration of an apply.

use serde_json::Value;

use super::ask::Ask;
use super::object::copy_section;
use super::request::Verb;
use super::shapes::Part;
use super::status::{Answered, Status};

/// The object with the patch of the request applied, and the patch where it looks like a part of the object.
pub(super) fn patched(ask: &Ask<'_>, current: &Value) -> Answered<(Value, Option<Value>)> {
    let mut object = current.clone();
    if ask.verb == Verb::JsonPatch {
        // An operation that there is not is a patch that does not fit, like a path that there is not.
        let patch: json_patch::Patch = serde_json::from_value(decoded(ask.body)?).map_err(|_| Status::unpatchable())?;
        json_patch::patch(&mut object, &patch).map_err(|_| Status::unpatchable())?;
        return Ok((object, None));
    }
    let patch = decoded(ask.body)?;
    json_patch::merge(&mut object, &patch);
    Ok((object, Some(patch)))
}

fn decoded(body: &[u8]) -> Answered<Value> {
    serde_json::from_slice(body).map_err(|error| {
        let why = if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() };
        Status::bad_request(format!("error decoding patch: {why}"))
    })
}

/// The configuration of an apply, checked and reduced to what this part of the object is about.
pub(super) fn applied(ask: &Ask<'_>) -> Answered<Value> {
    let config: Value = serde_json::from_slice(ask.body).map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    let config = super::strict::check_applied(ask, config)?;
    let mut reduced = config;
    match ask.part {
        Part::Status => {
            let mut status_only =
                serde_json::json!({"apiVersion": reduced["apiVersion"], "kind": reduced["kind"], "metadata": reduced["metadata"]});
            copy_section(&reduced, &mut status_only, "status");
            reduced = status_only;
        }
        _ if ask.version().status => {
            if let Some(object) = reduced.as_object_mut() {
                object.remove("status");
            }
        }
        _ => {}
    }
    Ok(reduced)
}
