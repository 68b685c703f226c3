//! The contract of the simulated API server: a list of operations, what a real kube-apiserver answered to them, and the
//! runner that puts the list to any server. Nothing here knows the simulated server.
//!
//! `operations.json` is the list, `answers.json` the transcript of a real server. What differs from run to run by nature
//! (uids, versions, times, generated names, cluster IPs, tokens) is replaced by the order in which it appears.

pub mod mask;
pub mod plan;
pub mod real;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use mask::Mask;
use plan::{Operation, Wait};

/// One request as it goes over the wire.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub content_type: String,
    /// Empty for none.
    pub accept: String,
    pub body: String,
}

/// A server under the contract.
pub trait Caller {
    /// Answers one request with status and body.
    fn call(&mut self, request: &Request) -> (u16, String);
    /// Opens a watch and reads so many lines, or to the end where `events` is none.
    fn watch(&mut self, request: &Request, events: Option<usize>) -> (u16, Vec<String>);
    /// Runs the garbage collector and the namespace controller until `done`; between calls of this they stand still.
    fn collect(&mut self, done: &mut dyn FnMut(&mut Self) -> bool)
    where
        Self: Sized;
    /// Waits until `done`, for what the server does by itself.
    fn wait(&mut self, done: &mut dyn FnMut(&mut Self) -> bool)
    where
        Self: Sized;
}

/// Runs all operations and says what was answered: one entry each, in order.
pub fn transcript<C: Caller>(caller: &mut C, operations: &[Operation]) -> Vec<Value> {
    let mut run = Run { captured: BTreeMap::new(), mask: Mask::default() };
    operations.iter().map(|operation| run.step(caller, operation)).collect()
}

struct Run {
    /// What `$uid:web` and its like stand for.
    captured: BTreeMap<String, String>,
    mask: Mask,
}

impl Run {
    fn step<C: Caller>(&mut self, caller: &mut C, operation: &Operation) -> Value {
        if !operation.wait.is_empty() {
            let waits: Vec<(Wait, Request)> = operation.wait.iter().map(|wait| (wait.clone(), self.get(&wait.path))).collect();
            let mut done = |caller: &mut C| waits.iter().all(|(wait, request)| wait.holds(&caller.call(request)));
            if operation.collect {
                caller.collect(&mut done);
            } else {
                caller.wait(&mut done);
            }
            return json!({"name": operation.name, "waited": operation.wait.len()});
        }
        let request = self.request(operation);
        if operation.watch.is_some() {
            let events = operation.watch.as_ref().and_then(|watch| watch.events);
            let (status, lines) = caller.watch(&request, events);
            let events = without_chance(lines.iter().map(|line| self.document(operation, line)).collect());
            return json!({"name": operation.name, "status": status, "events": events});
        }
        let (status, body) = caller.call(&request);
        let answer = self.document(operation, &body);
        json!({"name": operation.name, "status": status, "body": answer})
    }

    fn get(&self, path: &str) -> Request {
        Request { method: "GET".into(), target: self.filled(path), ..Request::default() }
    }

    fn request(&self, operation: &Operation) -> Request {
        let mut target = self.filled(&operation.path);
        if !operation.query.is_empty() {
            target = format!("{target}?{}", plan::encoded(&self.filled(&operation.query)));
        }
        let body = match (&operation.text, &operation.body) {
            (Some(text), _) => text.clone(),
            (None, Value::Null) => String::new(),
            (None, body) => self.filled(&body.to_string()),
        };
        Request { method: operation.method.clone(), target, content_type: operation.content_type(), accept: operation.accept(), body }
    }

    /// Captured values put in where the text names them.
    fn filled(&self, text: &str) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        // Longer names first: `$uid:web2` is not `$uid:web` and a 2.
        self.captured.iter().rev().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Captures what later operations need, and masks the rest.
    fn document(&mut self, operation: &Operation, body: &str) -> Value {
        let Ok(mut document) = serde_json::from_str::<Value>(body) else { return Value::String(self.mask.text(body)) };
        if let Some(name) = &operation.capture {
            let metadata = &document["metadata"];
            for (word, key) in [("uid", "uid"), ("rv", "resourceVersion"), ("continue", "continue"), ("name", "name")] {
                if let Some(text) = metadata[key].as_str() {
                    self.captured.insert(format!("${word}:{name}"), text.to_owned());
                }
            }
        }
        if let Some(pick) = &operation.pick {
            document = pick.of(&document);
        }
        self.mask.apply(&mut document);
        document
    }
}

/// A stream without the bookmarks that come by chance: near its end a real server sends none, one or two of them. The one
/// after the initial events always comes.
fn without_chance(mut events: Vec<Value>) -> Vec<Value> {
    events.retain(|event| event["type"] != "BOOKMARK" || !event["object"]["metadata"]["annotations"].is_null());
    events
}

/// The first differences of two transcripts, readably; empty where they are the same.
pub fn differences(expected: &[Value], found: &[Value], most: usize) -> String {
    let mut report = String::new();
    let mut count = 0;
    for index in 0..expected.len().max(found.len()) {
        let (wanted, got) = (expected.get(index).unwrap_or(&Value::Null), found.get(index).unwrap_or(&Value::Null));
        if wanted == got {
            continue;
        }
        count += 1;
        if count <= most {
            let name = wanted["name"].as_str().or(got["name"].as_str()).unwrap_or("?");
            report += &format!("\n#{index} {name}\n");
            difference("", wanted, got, &mut report);
        }
    }
    if count > 0 { format!("{count} of {} operations differ{report}", expected.len()) } else { report }
}

fn difference(path: &str, wanted: &Value, got: &Value, report: &mut String) {
    match (wanted, got) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                difference(&format!("{path}/{key}"), &wanted[key], &got[key], report);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (wanted, got)) in one.iter().zip(other).enumerate() {
                difference(&format!("{path}/{index}"), wanted, got, report);
            }
        }
        _ if wanted == got => {}
        _ => *report += &format!("  {path}\n    real:   {wanted}\n    double: {got}\n"),
    }
}
