//! `/scale`: an `autoscaling/v1` Scale as a window on the number of replicas of another kind.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::ask::Ask;
use super::fields::{self, Cause};
use super::kinds::ScalePaths;
use super::object::{Object, encode};
use super::patch;
use super::server::{self, Reply};
use super::state::{State, ok};
use super::status::{Answered, Status};
use super::write::{Ownership, as_asked, check_options, merge, text};

impl State {
    pub(super) fn get_scale(&self, ask: &Ask<'_>) -> Answered<Reply> {
        let live = self.find(ask)?;
        Ok(ok(&scale(ask, &live.value())))
    }

    /// PUT of a Scale.
    pub(super) fn update_scale(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        check_options(ask)?;
        let live = Arc::clone(self.find(ask)?);
        let sent: Value = serde_json::from_slice(ask.body)
            .map_err(|error| Status::bad_request(format!("couldn't get version/kind; json parse error: {error}")))?;
        self.rescale(ask, &live, &sent)
    }

    /// PATCH of a Scale.
    pub(super) fn patch_scale(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        check_options(ask)?;
        let live = Arc::clone(self.find(ask)?);
        let (sent, _) = patch::patched(ask, &scale(ask, &live.value()))?;
        self.rescale(ask, &live, &sent)
    }

    /// Apply of a Scale. A real server cannot do it for custom resources, and says so at length.
    pub(super) fn apply_scale(&mut self, ask: &Ask<'_>) -> Answered<Reply> {
        check_options(ask)?;
        let live = Arc::clone(self.find(ask)?);
        if ask.resource.custom {
            let why = "failed to create manager for existing fields: failed to convert live object (/; autoscaling/v1, Kind=Scale) to proper version: \
                request to convert CR to an invalid group/version: autoscaling/v1";
            return Err(Status::plain(StatusCode::INTERNAL_SERVER_ERROR, "", why));
        }
        let sent: Value = serde_json::from_slice(ask.body).map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
        let config = json!({
            "apiVersion": ask.api_version(), "kind": ask.resource.kind, "metadata": {"name": ask.name}, "spec": {"replicas": sent["spec"]["replicas"]},
        });
        let merged = merge(ask, Some(&as_asked(ask, &live)), &config)?;
        let stored = self.store_change(ask, &live, merged, &Ownership::Settled)?;
        Ok(server::json(StatusCode::OK, encode(&scale(ask, &stored.value()))))
    }

    fn rescale(&mut self, ask: &Ask<'_>, live: &Arc<Object>, sent: &Value) -> Answered<Reply> {
        let name = text(&sent["metadata"]["name"]);
        if !name.is_empty() && name != ask.name {
            return Err(Status::bad_request(format!("the name of the object ({name}) does not match the name on the URL ({})", ask.name)));
        }
        let replicas = match &sent["spec"]["replicas"] {
            Value::Null => 0,
            found => {
                found.as_i64().ok_or_else(|| Status::bad_request(format!("spec.replicas of a Scale is a whole number, not {found}")))?
            }
        };
        let mut object = as_asked(ask, live).as_ref().clone();
        let Some(paths) = &ask.version().scale else { return Err(Status::no_such_resource()) };
        set_at(&mut object, &paths.spec, replicas.into());
        if replicas < 0 {
            return Err(negative(ask, paths, &object, replicas));
        }
        for key in ["resourceVersion", "uid"] {
            object["metadata"][key] = sent["metadata"][key].clone();
        }
        let stored = self.store_change(ask, live, object, &Ownership::Update)?;
        Ok(server::json(StatusCode::OK, encode(&scale(ask, &stored.value()))))
    }
}

/// Fewer than no replicas are refused: by the Scale of a built-in kind, by the object itself of a custom one.
fn negative(ask: &Ask<'_>, paths: &ScalePaths, object: &Value, replicas: i64) -> Box<Status> {
    let cause =
        |field: String, why: &str| Cause { field, reason: "FieldValueInvalid", message: format!("Invalid value: {replicas}: {why}") };
    if !ask.resource.custom {
        return Status::invalid(
            "autoscaling",
            "Scale",
            &ask.name,
            vec![cause("spec.replicas".into(), "must be greater than or equal to 0")],
        );
    }
    let mut causes = fields::validate(ask.resource.typing(ask.version()), None, object);
    causes.push(cause(format!(".{}", paths.spec), "should be a non-negative integer"));
    Status::invalid(&ask.resource.group, &ask.resource.kind, &ask.name, causes)
}

/// The Scale of an object.
fn scale(ask: &Ask<'_>, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"]},
        "spec": {}, "status": {"replicas": 0},
    });
    let Some(paths) = &ask.version().scale else { return scale };
    let ScalePaths { spec, status, selector } = paths;
    if let Some(wanted) = at(object, spec).as_i64().filter(|wanted| *wanted != 0) {
        scale["spec"]["replicas"] = wanted.into();
    }
    scale["status"]["replicas"] = at(object, status).as_i64().unwrap_or_default().into();
    let selector = match at(object, selector) {
        Value::String(text) => text.clone(),
        labels @ Value::Object(_) => selector_text(labels),
        _ => String::new(),
    };
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

/// The value at a path like `spec.replicas`.
pub(super) fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').filter(|key| !key.is_empty()).fold(object, |value, key| &value[key])
}

fn set_at(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for key in path.split('.') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[key];
    }
    *place = value;
}

/// A label selector in its string form: `app=web,tier in (a,b)`, by key.
fn selector_text(selector: &Value) -> String {
    let mut terms: Vec<(String, String)> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        terms.push((key.clone(), format!("{key}={}", text(value))));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = text(&expression["key"]);
        let mut values: Vec<&str> = expression["values"].as_array().into_iter().flatten().map(text).collect();
        values.sort_unstable();
        let values = values.join(",");
        let term = match text(&expression["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        terms.push((key.to_owned(), term));
    }
    terms.sort();
    terms.into_iter().map(|(_, term)| term).collect::<Vec<_>>().join(",")
}
