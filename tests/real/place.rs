//! A namespace of a shared cluster that one case has for itself, and cases that run side by side.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::{Value, json};

use crate::bed::{Cluster, text};
use crate::support::{pause, seconds};

/// A kind's place in the API: the path before the namespace, and the plural.
pub type Resource = (&'static str, &'static str);

pub const DEPLOYMENTS: Resource = ("/apis/apps/v1", "deployments");
pub const DAEMON_SETS: Resource = ("/apis/apps/v1", "daemonsets");
pub const REPLICA_SETS: Resource = ("/apis/apps/v1", "replicasets");
pub const SERVICES: Resource = ("/api/v1", "services");
pub const SECRETS: Resource = ("/api/v1", "secrets");
pub const EVENTS: Resource = ("/api/v1", "events");
pub const CANARIES: Resource = ("/apis/flagger.app/v1beta1", "canaries");
pub const METRIC_TEMPLATES: Resource = ("/apis/flagger.app/v1beta1", "metrictemplates");
pub const VIRTUAL_SERVICES: Resource = ("/apis/networking.istio.io/v1beta1", "virtualservices");
pub const HTTP_ROUTES: Resource = ("/apis/gateway.networking.k8s.io/v1", "httproutes");
pub const INGRESSES: Resource = ("/apis/networking.k8s.io/v1", "ingresses");

pub const FINALIZER: &str = "finalizer.flagger.app";

/// A namespace with one Canary in it, called [`Place::NAME`] as its target.
#[derive(Clone)]
pub struct Place {
    pub cluster: Cluster,
    pub namespace: String,
    /// Log of the daemon that drives it.
    log: PathBuf,
}

impl Place {
    /// What the Canary, its target and its Services are called.
    pub const NAME: &str = "web";

    /// A new namespace for the test `name`, driven by the daemon that writes, or will write, `log`.
    pub fn new(cluster: &Cluster, name: &str, log: &Path) -> Self {
        let namespace: String = name.replace('_', "-").chars().take(63).collect();
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        cluster.create("/api/v1/namespaces", &body);
        Self { cluster: cluster.clone(), namespace, log: log.into() }
    }

    /// The end of what the daemon has logged about this namespace, and the Canary's events.
    fn traces(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&self.namespace)).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(12)).copied().collect::<Vec<_>>().join("\n");
        format!("events:\n{}\nlog:\n{last}", self.events().join("\n"))
    }

    fn path(&self, (root, plural): Resource, name: &str) -> String {
        let name = if name.is_empty() { String::new() } else { format!("/{name}") };
        // The only kind here that has no namespace.
        let scope = if plural == "trafficroutes" { String::new() } else { format!("/namespaces/{}", self.namespace) };
        format!("{root}{scope}/{plural}{name}")
    }

    pub fn get(&self, resource: Resource, name: &str) -> Option<Value> {
        self.cluster.get(&self.path(resource, name))
    }

    /// An object that must be there.
    pub fn the(&self, resource: Resource, name: &str) -> Value {
        self.get(resource, name).unwrap_or_else(|| panic!("{self}: no {} {name}", resource.1))
    }

    pub fn list(&self, resource: Resource) -> Vec<Value> {
        self.cluster.get(&self.path(resource, "")).and_then(|list| list["items"].as_array().cloned()).unwrap_or_default()
    }

    /// Creates an object of `kind`, with `rest` beside its metadata's name.
    pub fn create(&self, resource: Resource, kind: &str, name: &str, rest: Value) {
        let mut body = rest;
        let group = resource.0.trim_start_matches("/apis/").trim_start_matches("/api/");
        (body["apiVersion"], body["kind"], body["metadata"]["name"]) = (json!(group), json!(kind), json!(name));
        self.cluster.create(&self.path(resource, ""), &body);
    }

    /// Writes an object as `change` makes it, by hand: whoever else wrote meanwhile is looked at again.
    pub fn edit(&self, resource: Resource, name: &str, change: impl Fn(&mut Value)) {
        let path = self.path(resource, name);
        for _ in 0..50 {
            let mut object = self.the(resource, name);
            change(&mut object);
            match self.cluster.send("PUT", &path, "application/json", Some(&object)) {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 409 => pause(),
                Err(error) => panic!("{self}: write {path}: {error}"),
            }
        }
        panic!("{self}: {path} changes all the time");
    }

    /// Writes the status of an object as it was read, or leaves it to whoever was faster.
    pub fn try_status(&self, resource: Resource, object: &Value) {
        let path = self.path(resource, &text(object, "/metadata/name"));
        let _ = self.cluster.send("PUT", &format!("{path}/status"), "application/json", Some(object));
    }

    pub fn merge(&self, resource: Resource, name: &str, patch: &Value) {
        let path = self.path(resource, name);
        if let Err(error) = self.cluster.send("PATCH", &path, "application/merge-patch+json", Some(patch)) {
            panic!("{self}: patch {path}: {error}");
        }
    }

    pub fn delete(&self, resource: Resource, name: &str) {
        let path = self.path(resource, name);
        if let Err(error) = self.cluster.send("DELETE", &path, "application/json", None) {
            panic!("{self}: delete {path}: {error}");
        }
    }

    /// The Canary with its target, a Deployment of one pod.
    pub fn populate(&self, spec: Value) {
        self.deployment(1);
        self.canary(spec);
    }

    /// The target, at its first image.
    pub fn deployment(&self, replicas: u64) {
        let name = Self::NAME;
        let template = json!({"metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": image(1), "ports": [{"containerPort": 80}]}]}});
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template});
        self.create(DEPLOYMENTS, "Deployment", name, json!({"spec": spec}));
    }

    /// The Canary alone; its target is the Deployment, and its port 80, unless `spec` says otherwise.
    pub fn canary(&self, spec: Value) {
        self.canary_with(spec, json!({}));
    }

    pub fn canary_with(&self, mut spec: Value, annotations: Value) {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": Self::NAME});
        for (field, usual) in [("targetRef", target), ("service", json!({"port": 80})), ("progressDeadlineSeconds", json!(60))] {
            let fields = spec.as_object_mut().expect("a spec");
            match fields.get(field) {
                None => drop(fields.insert(field.into(), usual)),
                // Left out on purpose.
                Some(Value::Null) => drop(fields.remove(field)),
                Some(_) => {}
            }
        }
        self.create(CANARIES, "Canary", Self::NAME, json!({"metadata": {"annotations": annotations}, "spec": spec}));
    }

    /// Releases the `n`-th image.
    pub fn ship(&self, n: u32) {
        self.set_image(DEPLOYMENTS, &image(n));
    }

    pub fn set_image(&self, resource: Resource, image: &str) {
        let containers = json!([{"name": "main", "image": image, "ports": [{"containerPort": 80}]}]);
        self.merge(resource, Self::NAME, &json!({"spec": {"template": {"spec": {"containers": containers}}}}));
    }

    /// A field of the Canary.
    pub fn status(&self, field: &str) -> Value {
        self.get(CANARIES, Self::NAME).map(|canary| canary["status"][field].clone()).unwrap_or_default()
    }

    pub fn phase(&self) -> String {
        self.status("phase").as_str().unwrap_or_default().into()
    }

    /// Image of the primary.
    pub fn primary(&self) -> String {
        let primary = self.get(DEPLOYMENTS, "web-primary").unwrap_or_default();
        text(&primary, "/spec/template/spec/containers/0/image")
    }

    /// Replicas that an object asks for.
    pub fn replicas(&self, name: &str) -> Option<u64> {
        self.get(DEPLOYMENTS, name)?.pointer("/spec/replicas")?.as_u64()
    }

    /// The Canary's events.
    pub fn canary_events(&self) -> Vec<Value> {
        let mut all = self.list(EVENTS);
        all.retain(|event| event["involvedObject"]["kind"] == "Canary");
        all
    }

    /// Messages of the Canary's events with their types, as `Normal TEXT`, by the time of their first.
    pub fn events(&self) -> Vec<String> {
        let mut all = self.canary_events();
        all.sort_by_key(|event| text(event, "/metadata/creationTimestamp"));
        all.iter().map(|event| format!("{} {}", text(event, "/type"), text(event, "/message"))).collect()
    }

    pub fn has_event(&self, part: &str) -> bool {
        self.events().iter().any(|event| event.contains(part))
    }

    /// What the engine keeps in its condition.
    pub fn engine(&self) -> Value {
        let conditions = self.status("conditions");
        let found = conditions.as_array().into_iter().flatten().find(|condition| condition["type"] == "Pilothouse");
        found.and_then(|condition| serde_json::from_str(condition["message"].as_str()?).ok()).unwrap_or_default()
    }

    /// What the user under test has changed here since the audit log had `from` lines, as `VERB RESOURCE/NAME`.
    pub fn written(&self, from: usize) -> Vec<String> {
        let mut all = self.cluster.audit(from);
        all.retain(|event| {
            text(event, "/objectRef/namespace") == self.namespace && !["get", "list", "watch"].contains(&text(event, "/verb").as_str())
        });
        let named =
            |event: &Value| format!("{} {}/{}", text(event, "/verb"), text(event, "/objectRef/resource"), text(event, "/objectRef/name"));
        all.iter().map(named).collect()
    }

    /// Looks five times a second: many cases share a machine.
    pub fn until(&self, within: u64, what: impl Display, mut look: impl FnMut() -> bool) {
        let started = Instant::now();
        while !look() {
            assert!(
                started.elapsed() < seconds(within),
                "{self}: not within {within}s: {what}; phase {}, report {}, {}",
                self.phase(),
                self.engine()["report"],
                self.traces()
            );
            rest();
        }
    }

    pub fn until_phase(&self, within: u64, phase: &str) {
        self.until(within, phase, || self.phase() == phase);
    }

    /// Looks as long as `lasting` lasts: `wanted` must hold at every look.
    pub fn holds(&self, lasting: u64, what: impl Display, mut wanted: impl FnMut() -> bool) {
        let started = Instant::now();
        while started.elapsed() < seconds(lasting) {
            assert!(wanted(), "{self}: {what}, no longer after {:.1}s; {}", started.elapsed().as_secs_f64(), self.traces());
            rest();
        }
    }

    /// The event comes: it is published after the status that it is about.
    pub fn tells(&self, event: &str) {
        self.until(10, format!("event {event}"), || self.has_event(event));
    }

    /// Whether an object has a Canary for its owner.
    pub fn is_owned(object: &Value) -> bool {
        object["metadata"]["ownerReferences"].as_array().into_iter().flatten().any(|owner| owner["kind"] == "Canary")
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.cluster.name, self.namespace)
    }
}

/// A fifth of a second.
pub fn rest() {
    for _ in 0..5 {
        pause();
    }
}

/// The `n`-th image of a target.
pub fn image(n: u32) -> String {
    format!("example.com/app:{n}")
}

/// What the analysis of a case is: two weights, and nothing that is measured.
pub fn two_weights() -> Value {
    json!({"interval": "10s", "threshold": 2, "stepWeights": [20, 60]})
}

/// What the cases of a file share while one of them runs.
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    pub fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut known = lock(&self.0);
        known.upgrade().unwrap_or_else(|| {
            let made = Arc::new(make());
            *known = Arc::downgrade(&made);
            made
        })
    }
}

/// A case, by the name of the test that takes its outcome.
pub type Case = (&'static str, Play);

type Play = Box<dyn FnOnce() + Send>;

/// Cases that begin together, each in a thread of its own: most of a rollout is waiting, and they wait at once.
///
/// A test takes the outcome of its own case, and ends when all that began have ended: what they share goes with them.
pub struct Cases {
    module: &'static str,
    waiting: Mutex<BTreeMap<&'static str, Play>>,
    begun: Mutex<Vec<JoinHandle<()>>>,
    outcomes: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
}

impl Cases {
    /// The cases of `module`.
    pub fn new(module: &'static str, cases: impl IntoIterator<Item = Case>) -> Self {
        let all = Self {
            module: module.rsplit("::").next().unwrap_or(module),
            waiting: Mutex::new(cases.into_iter().collect()),
            begun: Mutex::default(),
            outcomes: Arc::default(),
        };
        let asked: Vec<_> = lock(&all.waiting).keys().copied().filter(|name| all.is_asked_for(name)).collect();
        for name in asked {
            all.begin(name);
        }
        all
    }

    /// Whether the command line lets the test run: `cargo test NAME` begins that case alone.
    fn is_asked_for(&self, name: &str) -> bool {
        let path = format!("{}::{name}", self.module);
        let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
        words.is_empty() || words.iter().any(|word| path.contains(word.as_str()))
    }

    fn begin(&self, name: &'static str) {
        let Some(case) = lock(&self.waiting).remove(name) else { return };
        let outcomes = Arc::clone(&self.outcomes);
        let thread = std::thread::spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(case)).map_err(|panic| {
                let said = panic.downcast_ref::<String>().cloned();
                said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
            });
            lock(&outcomes).insert(name, outcome);
        });
        lock(&self.begun).push(thread);
    }

    /// Takes the outcome of the case `name`.
    pub fn take(&self, name: &'static str) {
        self.begin(name);
        let threads: Vec<_> = lock(&self.begun).drain(..).collect();
        for thread in threads {
            // Its panic is in the outcomes.
            let _ = thread.join();
        }
        let outcome = loop {
            if let Some(outcome) = lock(&self.outcomes).remove(name) {
                break outcome;
            }
            pause();
        };
        if let Err(why) = outcome {
            panic!("{name}: {why}");
        }
    }
}

/// Tests that take the outcomes of the cases of the same names.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            CASES.take(stringify!($name));
        })*
    };
}

pub(crate) use tests;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
