//! Controllers that the bed has no program for: what a Gateway's answers to its routes, and what Knative makes of a Service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::bed::text;
use crate::place::{HTTP_ROUTES, Place, Resource, rest};

pub const KNATIVE: Resource = ("/apis/serving.knative.dev/v1", "services");

/// Plays until it is dropped.
pub struct Player {
    switches: Arc<Switches>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Switches {
    done: AtomicBool,
    resting: AtomicBool,
}

impl Player {
    /// `turn` is given the object `web` as it stands and returns the status that it should have.
    fn start(place: &Place, resource: Resource, mut turn: impl FnMut(&Value) -> Value + Send + 'static) -> Self {
        let switches = Arc::new(Switches::default());
        let (shared, place) = (Arc::clone(&switches), place.clone());
        let thread = std::thread::spawn(move || {
            while !shared.done.load(Ordering::Relaxed) {
                if !shared.resting.load(Ordering::Relaxed)
                    && let Some(mut object) = place.get(resource, Place::NAME)
                {
                    let status = turn(&object);
                    if object["status"] != status {
                        object["status"] = status;
                        place.try_status(resource, &object);
                    }
                }
                rest();
            }
        });
        Self { switches, thread: Some(thread) }
    }

    /// Accepts the `HTTPRoute`, as it stands, for each of its parents.
    pub fn gateway_controller(place: &Place) -> Self {
        Self::start(place, HTTP_ROUTES, |route| {
            let answer = |parent: &Value| {
                let accepted = json!({"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                    "observedGeneration": route["metadata"]["generation"], "lastTransitionTime": "2026-01-01T00:00:00Z"});
                json!({"parentRef": parent, "controllerName": "example.com/gateway", "conditions": [accepted]})
            };
            let parents = route.pointer("/spec/parentRefs").and_then(Value::as_array).into_iter().flatten();
            json!({"parents": parents.map(answer).collect::<Vec<_>>()})
        })
    }

    /// Makes a revision of each template, and gives traffic as the Service's spec says.
    pub fn knative(place: &Place) -> Self {
        let mut templates: Vec<Value> = Vec::new();
        Self::start(place, KNATIVE, move |service| {
            let template = &service["spec"]["template"];
            if templates.last() != Some(template) {
                templates.push(template.clone());
            }
            let newest = format!("web-{:05}", templates.len());
            let given = |target: &Value| {
                let mut target = target.clone();
                if target["latestRevision"] == true {
                    target["revisionName"] = json!(newest);
                }
                target
            };
            let traffic = service.pointer("/spec/traffic").and_then(Value::as_array).into_iter().flatten();
            json!({"observedGeneration": service["metadata"]["generation"], "latestCreatedRevisionName": newest,
                "latestReadyRevisionName": newest, "traffic": traffic.map(given).collect::<Vec<_>>(),
                "conditions": [{"type": "Ready", "status": "True"}]})
        })
    }

    /// Leaves everything unanswered, or goes on.
    pub fn rests(&self, resting: bool) {
        self.switches.resting.store(resting, Ordering::Relaxed);
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.switches.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it could not do, its case has missed.
            let _ = thread.join();
        }
    }
}

/// Percent of a Knative Service's newest revision, as it is given.
pub fn newest_percent(service: &Value) -> Option<u64> {
    let targets = service.pointer("/status/traffic")?.as_array()?;
    targets.iter().find(|target| target["latestRevision"] == true)?["percent"].as_u64()
}

/// The revision that serves as primary.
pub fn primary_revision(service: &Value) -> String {
    text(service, "/metadata/annotations/flagger.app~1primary-revision")
}
