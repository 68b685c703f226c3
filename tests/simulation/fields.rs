//! Replays what a real kube-apiserver did (`tests/contract/fields.json`, recorded by `fields.py` beside it) and compares object by object.

use pilothouse::simulation::fields::{ApplyError, Typing, Writer, apply, complete, default, update, validate};
use serde_json::{Value, json};

/// What storage gives an object, which these functions do not.
const STORED: [&str; 5] = ["uid", "resourceVersion", "creationTimestamp", "generation", "namespace"];

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

struct Step<'c> {
    typing: Typing<'c>,
    writer: Writer<'c>,
    live: Option<&'c Value>,
    sent: Value,
    force: bool,
    /// Whether the object's endpoint leaves `status` alone.
    has_status: bool,
}

fn step<'c>(corpus: &'c Value, record: &'c Value) -> Step<'c> {
    let writer = &record["writer"];
    let custom = record.get("schema").and_then(Value::as_str);
    Step {
        typing: match custom {
            Some(kind) => Typing::Custom { schema: &corpus["schemas"][kind] },
            None => Typing::BuiltIn { group: text(record, "group"), kind: text(record, "kind") },
        },
        writer: Writer {
            manager: text(writer, "manager"),
            api_version: text(writer, "apiVersion"),
            subresource: text(writer, "subresource"),
            time: text(writer, "time"),
        },
        live: match record["live"].as_u64().and_then(|at| usize::try_from(at).ok()) {
            Some(at) => Some(&corpus["steps"][at]["stored"]),
            None => Some(&record["live"]).filter(|live| !live.is_null()),
        },
        sent: record["object"].clone(),
        force: record["force"] == true,
        has_status: custom.is_some_and(|kind| kind != "Loose"),
    }
}

impl Step<'_> {
    fn custom(&self) -> bool {
        matches!(self.typing, Typing::Custom { .. })
    }

    /// What the storage of a kind does: the endpoint's other parts stay as they are.
    fn keep_other_parts(&self, object: &mut Value) {
        let live = self.live.unwrap_or(&Value::Null);
        let restore = |object: &mut Value, name: &str| match live.get(name) {
            Some(there) => object[name] = there.clone(),
            None => drop(object.as_object_mut().unwrap().remove(name)),
        };
        match self.writer.subresource {
            "status" => {
                restore(object, "spec");
                if self.custom() {
                    restore(object, "metadata");
                } else if live["kind"] == "Deployment" {
                    let labels = live["metadata"].get("labels").cloned();
                    let meta = object["metadata"].as_object_mut().unwrap();
                    meta.remove("labels");
                    meta.extend(labels.map(|labels| ("labels".into(), labels)));
                }
            }
            _ if self.has_status || !self.custom() && !matches!(text(object, "kind"), "Event" | "Scale") => restore(object, "status"),
            _ => {}
        }
    }

    /// The configuration of an apply without what the endpoint does not take.
    fn config(&self) -> Value {
        let mut config = self.sent.clone();
        let parts = config.as_object_mut().unwrap();
        if self.custom() && self.writer.subresource == "status" {
            parts.remove("spec");
            parts
                .insert("metadata".into(), json!({"name": self.sent["metadata"]["name"], "namespace": self.sent["metadata"]["namespace"]}));
        } else if self.has_status {
            parts.remove("status");
        }
        config
    }

    fn updated(&self) -> Value {
        let mut new = self.sent.clone();
        if self.custom() {
            self.keep_other_parts(&mut new);
        }
        default(self.typing, &mut new);
        update(self.typing, self.live, new, &self.writer)
    }

    fn applied(&self) -> Result<Value, ApplyError> {
        apply(self.typing, self.live, &self.config(), &self.writer, self.force)
    }

    /// What storage makes of the result; the parts that are allocated are taken from `stored`.
    fn finish(&self, mut object: Value, stored: &Value) -> Value {
        let managed = object["metadata"].get("managedFields").cloned();
        self.keep_other_parts(&mut object);
        let meta = object["metadata"].as_object_mut().unwrap();
        meta.remove("managedFields");
        meta.extend(managed.map(|entries| ("managedFields".into(), entries)));
        for name in STORED {
            meta.remove(name);
            meta.extend(stored["metadata"].get(name).map(|value| (name.into(), value.clone())));
        }
        default(self.typing, &mut object);
        if stored["kind"] == "Service" {
            let spec = object["spec"].as_object_mut().unwrap();
            for name in ["clusterIP", "clusterIPs"] {
                if let (false, Some(address)) = (spec.contains_key(name), stored["spec"].get(name)) {
                    spec.insert(name.into(), address.clone());
                }
            }
        }
        complete(self.typing, self.live, &mut object);
        object
    }
}

fn causes(list: &[(String, String, String)]) -> Vec<Value> {
    let mut causes: Vec<_> =
        list.iter().map(|(field, reason, message)| json!({"field": field, "message": message, "reason": reason})).collect();
    causes.sort_by_key(ToString::to_string);
    causes
}

/// What is refused, in the shape of the record.
fn refusal(step: &Step<'_>, code: &Value) -> Value {
    if code == 422 {
        let mut new = step.sent.clone();
        default(step.typing, &mut new);
        let found: Vec<_> =
            validate(step.typing, step.live, &new).into_iter().map(|cause| (cause.field, cause.reason.to_owned(), cause.message)).collect();
        return json!(causes(&found));
    }
    match step.applied() {
        Err(ApplyError::Invalid(message)) => message.into(),
        Err(ApplyError::Conflicts(conflicts)) => {
            let found: Vec<_> = conflicts
                .iter()
                .map(|c| (c.path.clone(), "FieldManagerConflict".to_owned(), format!("conflict with {}", c.owner())))
                .collect();
            json!(causes(&found))
        }
        Ok(object) => json!({"taken": object}),
    }
}

fn recorded_refusal(refused: &Value) -> Value {
    if refused["code"] == 500 {
        return refused["message"].clone();
    }
    let mut causes = refused["causes"].as_array().unwrap().clone();
    causes.sort_by_key(ToString::to_string);
    json!(causes)
}

/// Where two values differ, a line each.
fn differences(path: &str, real: &Value, ours: &Value, found: &mut Vec<String>) {
    match (real, ours) {
        (Value::Object(one), Value::Object(other)) => {
            let mut names: Vec<_> = one.keys().chain(other.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let missing = Value::String("(absent)".into());
                differences(&format!("{path}.{name}"), one.get(name).unwrap_or(&missing), other.get(name).unwrap_or(&missing), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}[{at}]"), one, other, found);
            }
        }
        _ if real != ours => found.push(format!("{path}\n     real: {real}\n     ours: {ours}")),
        _ => {}
    }
}

#[test]
fn every_step_is_as_on_the_real_server() {
    let corpus: Value = serde_json::from_str(include_str!("../contract/fields.json")).unwrap();
    let steps = corpus["steps"].as_array().unwrap();
    let mut wrong = Vec::new();
    for record in steps {
        let step = step(&corpus, record);
        let (real, ours) = if let Some(refused) = record.get("refused") {
            (recorded_refusal(refused), refusal(&step, &refused["code"]))
        } else {
            let object = match record["operation"].as_str() {
                Some("apply") => step.applied().unwrap_or_else(|error| json!({"metadata": {}, "refused": format!("{error:?}")})),
                _ => step.updated(),
            };
            (record["stored"].clone(), step.finish(object, &record["stored"]))
        };
        let mut found = Vec::new();
        differences("", &real, &ours, &mut found);
        if !found.is_empty() {
            wrong.push(format!("{}:\n  {}", text(record, "name"), found.join("\n  ")));
        }
    }
    println!("fields: {} of {} steps agree with the real server", steps.len() - wrong.len(), steps.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is there already stays as it is, with its times, however much later it is written again.
#[test]
fn doing_it_again_later_changes_nothing() {
    let corpus: Value = serde_json::from_str(include_str!("../contract/fields.json")).unwrap();
    let (mut updates, mut applies) = (0, 0);
    for record in corpus["steps"].as_array().unwrap() {
        let Some(stored) = record.get("stored") else { continue };
        let name = text(record, "name");
        let mut step = step(&corpus, record);
        (step.live, step.writer.time) = (Some(stored), "2099-01-01T00:00:00Z");
        let mut again = stored.clone();
        default(step.typing, &mut again);
        assert_eq!(again, *stored, "{name}: defaults are there already");
        assert_eq!(update(step.typing, step.live, again, &step.writer), *stored, "{name}: updated again");
        updates += 1;
        if record["operation"] == "apply" && step.writer.subresource.is_empty() {
            // The first may put the applier's entry behind newer ones, as on the real server; then all is settled.
            let once = step.finish(step.applied().unwrap(), stored);
            (step.live, step.writer.time) = (Some(&once), "2100-01-01T00:00:00Z");
            assert_eq!(step.finish(step.applied().unwrap(), &once), once, "{name}: applied again and again");
            applies += 1;
        }
    }
    println!("fields: {updates} updates and {applies} applies change nothing when they come again");
}
