//! The simulated server under the contract: its transcript is that of the real one.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use crate::contract_list::{Caller, Request, differences, plan, transcript};
use bytes::Bytes;
use futures::StreamExt;
use pilothouse::simulation::api::{ApiServer, Asked, DOCUMENTS, OPTIONS, Options, Reply, SHAPES};
use serde_json::Value;

/// The simulated server, under a paused clock.
struct Double {
    server: Arc<ApiServer>,
    runtime: tokio::runtime::Runtime,
    asked: Vec<Asked>,
    /// Requests that were answered with 501.
    refused: Vec<String>,
}

impl Double {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let start: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let options = Options { name: "contract".into(), now: Arc::new(move || start), seed: 1, git_version: "v1.36.3".into() };
        Self { server: ApiServer::new(options), runtime, asked: Vec::new(), refused: Vec::new() }
    }

    fn handle(&mut self, request: &Request) -> Reply {
        let mut builder =
            http::Request::builder().method(request.method.as_str()).uri(&request.target).header("user-agent", "contract/1.0");
        if !request.accept.is_empty() {
            builder = builder.header("accept", &request.accept);
        }
        if !request.body.is_empty() {
            builder = builder.header("content-type", &request.content_type);
        }
        let request = builder.body(Bytes::from(request.body.clone())).expect("a request");
        match self.server.asked(&request) {
            Ok(asked) => self.asked.push(asked),
            Err(status) if status.code == 501 => self.refused.push(format!("{} {}: {status}", request.method(), request.uri())),
            Err(_) => {}
        }
        let _inside = self.runtime.enter();
        self.server.handle("admin", request)
    }
}

impl Caller for Double {
    fn call(&mut self, request: &Request) -> (u16, String) {
        match self.handle(request) {
            Reply::Answer { status, body, .. } => (status.as_u16(), String::from_utf8_lossy(&body).into_owned()),
            Reply::Watch(_) => panic!("{} {} is a watch", request.method, request.target),
        }
    }

    fn watch(&mut self, request: &Request, events: Option<usize>) -> (u16, Vec<String>) {
        let stream = match self.handle(request) {
            Reply::Watch(stream) => stream,
            Reply::Answer { status, body, .. } => return (status.as_u16(), vec![String::from_utf8_lossy(&body).into_owned()]),
        };
        let lines: Vec<Bytes> = self.runtime.block_on(stream.take(events.unwrap_or(usize::MAX)).collect());
        (200, lines.iter().map(|line| String::from_utf8_lossy(line).trim().to_owned()).collect())
    }

    fn collect(&mut self, done: &mut dyn FnMut(&mut Self) -> bool) {
        {
            let _inside = self.runtime.enter();
            self.server.collect_garbage();
        }
        self.wait(done);
    }

    fn wait(&mut self, done: &mut dyn FnMut(&mut Self) -> bool) {
        if !done(self) {
            println!("what the list waits for does not come true");
        }
    }
}

fn operations() -> Vec<plan::Operation> {
    plan::operations(&fs::read_to_string("tests/contract/operations.json").expect("operations.json"))
}

#[test]
fn the_double_answers_as_the_real_server_did() {
    let operations = operations();
    let answers: Vec<Value> =
        serde_json::from_str(&fs::read_to_string("tests/contract/answers.json").expect("answers.json")).expect("a list");
    let found = transcript(&mut Double::new(), &operations);
    let most = std::env::var("CONTRACT_MOST").ok().and_then(|most| most.parse().ok()).unwrap_or(10);
    let report = differences(&answers, &found, most);
    assert!(report.is_empty(), "{report}");
    println!("contract: {} operations agree with the real server", operations.len());
}

#[test]
fn every_served_shape_is_under_the_contract() {
    let mut double = Double::new();
    transcript(&mut double, &operations());
    let mut used = BTreeSet::new();
    for asked in &double.asked {
        match asked {
            Asked::Resource { class, part, verb, options } => {
                used.insert(format!("{verb:?} of {class:?} {part:?}"));
                used.extend(options.iter().map(|option| format!("{option} with {verb:?}")));
            }
            Asked::Document(row) => drop(used.insert((*row).to_owned())),
            Asked::Proxy => drop(used.insert("proxy".to_owned())),
            Asked::Review => drop(used.insert("review".to_owned())),
        }
    }
    let shapes = SHAPES.iter().flat_map(|shape| shape.verbs.iter().map(|verb| format!("{verb:?} of {:?} {:?}", shape.class, shape.part)));
    let options = OPTIONS.iter().flat_map(|(verb, names)| names.iter().map(move |name| format!("{name} with {verb:?}")));
    let documents = DOCUMENTS.iter().map(|row| (*row).to_owned());
    let served: BTreeSet<String> = shapes.chain(options).chain(documents).chain(["proxy".to_owned(), "review".to_owned()]).collect();
    let missing: Vec<&String> = served.difference(&used).collect();
    assert!(missing.is_empty(), "no operation is {missing:?}");
    assert_eq!(double.refused, Vec::<String>::new(), "what the contract asks for is served");
}

/// Records `tests/contract/answers.json` from a real cluster: `CONTRACT_BED` names the file with the bed's line of JSON.
#[test]
#[ignore = "wants a test bed"]
fn record() {
    let bed = std::env::var("CONTRACT_BED").expect("CONTRACT_BED names the file with the bed's line of JSON");
    let bed: Value = serde_json::from_str(&fs::read_to_string(bed).expect("the file of the bed")).expect("one line of JSON");
    let found = transcript(&mut crate::contract_list::real::Real::new(&bed, "one"), &operations());
    let lines: Vec<String> = found.iter().map(Value::to_string).collect();
    fs::write("tests/contract/answers.json", format!("[\n{}\n]\n", lines.join(",\n"))).expect("answers.json is written");
    println!("{} answers recorded", found.len());
}
