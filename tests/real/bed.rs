//! The test bed of `tests/cluster`, and its clusters as their administrator sees them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::LazyLock;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{Guarded, seconds, until};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime"));

/// Runs to its end what has to run in a runtime.
pub fn block<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.block_on(work)
}

/// A running bed. Its pipe closed, it ends everything it started.
pub struct Bed {
    facts: Value,
    pipe: Option<ChildStdin>,
    process: Guarded,
}

impl Bed {
    /// Brings one up, with these words after `up`.
    pub fn up(words: &str) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/bed.py");
        let mut child = Command::new("python3")
            .arg(program)
            .arg("up")
            .args(words.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 for the test bed");
        let pipe = child.stdin.take();
        let told = child.stdout.take().expect("a pipe");
        // Guarded before anything can fail.
        let process = Guarded(child);
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line).expect("a line from the bed");
        let facts = serde_json::from_str(&line).unwrap_or_else(|error| panic!("the bed did not come up ({error}); see above"));
        Self { facts, pipe, process }
    }

    /// Everything that the bed said of itself.
    pub fn facts(&self) -> &Value {
        &self.facts
    }

    fn fact(&self, pointer: &str) -> &str {
        self.facts.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("the bed says nothing of {pointer}"))
    }

    /// The kubeconfig of the user under test.
    pub fn kubeconfig(&self) -> PathBuf {
        self.fact("/kubeconfig").into()
    }

    /// Text of the fleet file.
    pub fn fleet(&self) -> String {
        std::fs::read_to_string(self.fact("/fleet")).expect("the fleet file")
    }

    pub fn repository(&self, name: &str) -> &str {
        self.fact(&format!("/repositories/{name}"))
    }

    pub fn cluster(&self, name: &str) -> Cluster {
        let kubeconfig = PathBuf::from(self.fact(&format!("/clusters/{name}/adminKubeconfig")));
        let client = block(async {
            let read = Kubeconfig::read_from(&kubeconfig).expect("the admin's kubeconfig");
            let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.expect("a configuration");
            Client::try_from(config).expect("a client")
        });
        Cluster { name: name.into(), client, kubeconfig, audit: self.fact(&format!("/clusters/{name}/audit")).into() }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        drop(self.pipe.take());
        if std::thread::panicking() {
            let started = std::time::Instant::now();
            while self.process.code().is_none() && started.elapsed() < seconds(20) {
                crate::support::pause();
            }
        } else {
            until(seconds(20), "end of the bed", || self.process.code());
        }
    }
}

/// One cluster of the bed.
#[derive(Clone)]
pub struct Cluster {
    pub name: String,
    pub client: Client,
    /// The administrator's.
    pub kubeconfig: PathBuf,
    audit: PathBuf,
}

impl Cluster {
    /// One request, with its error for whoever can do something about it.
    pub fn send(&self, method: &str, path: &str, content: &str, body: Option<&Value>) -> Result<Value, kube::Error> {
        let bytes = body.map(|body| serde_json::to_vec(body).expect("JSON")).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(path).header("content-type", content).body(bytes).expect("a request");
        block(self.client.request(request))
    }

    /// An object or a list; `None` where it is not there.
    pub fn get(&self, path: &str) -> Option<Value> {
        match self.send("GET", path, "application/json", None) {
            Ok(value) => Some(value),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("{}: read {path}: {error}", self.name),
        }
    }

    pub fn create(&self, path: &str, body: &Value) {
        if let Err(error) = self.send("POST", path, "application/json", Some(body)) {
            panic!("{}: create in {path}: {error}", self.name);
        }
    }

    pub fn patch(&self, path: &str, body: &Value) {
        if let Err(error) = self.send("PATCH", path, "application/strategic-merge-patch+json", Some(body)) {
            panic!("{}: patch {path}: {error}", self.name);
        }
    }

    pub fn deployment(&self, name: &str) -> Option<Value> {
        self.get(&format!("/apis/apps/v1/namespaces/app/deployments/{name}"))
    }

    /// Image of a Deployment's first container.
    pub fn image(&self, name: &str) -> String {
        let image = self
            .deployment(name)
            .and_then(|found| found.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str).map(String::from));
        image.unwrap_or_default()
    }

    pub fn canary(&self, name: &str) -> Option<Value> {
        self.get(&format!("/apis/flagger.app/v1beta1/namespaces/app/canaries/{name}"))
    }

    /// `status.phase`, empty where there is none.
    pub fn phase(&self, name: &str) -> String {
        self.canary(name).map(|found| text(&found, "/status/phase")).unwrap_or_default()
    }

    /// Percent of the traffic that primary and canary get by the VirtualService.
    pub fn weights(&self, name: &str) -> Option<(u64, u64)> {
        let route = self.get(&format!("/apis/networking.istio.io/v1/namespaces/app/virtualservices/{name}"))?;
        let of = |suffix: &str| {
            let routes = route.pointer("/spec/http/0/route")?.as_array()?;
            let found =
                routes.iter().find(|r| r.pointer("/destination/host").and_then(Value::as_str).is_some_and(|h| h.ends_with(suffix)))?;
            found.get("weight").and_then(Value::as_u64)
        };
        Some((of("-primary")?, of("-canary").unwrap_or(0)))
    }

    /// How many lines of the audit log there are.
    pub fn audited(&self) -> usize {
        self.audit_lines().len()
    }

    fn audit_lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.audit).map(|text| text.lines().map(String::from).collect()).unwrap_or_default()
    }

    /// Requests of the user under test as the audit log has them, those after the first `from` ones.
    pub fn audit(&self, from: usize) -> Vec<Value> {
        self.audit_lines().iter().skip(from).filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The same as `VERB RESOURCE`.
    pub fn requests(&self, from: usize) -> Vec<String> {
        let read = self.audit(from).into_iter();
        read.map(|event| {
            let resource =
                event.pointer("/objectRef/resource").and_then(Value::as_str).map_or_else(|| text(&event, "/requestURI"), String::from);
            let part = event.pointer("/objectRef/subresource").and_then(Value::as_str).map(|s| format!("/{s}")).unwrap_or_default();
            format!("{} {resource}{part}", text(&event, "/verb"))
        })
        .collect()
    }
}

/// A string in an object, empty where there is none.
pub fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().into()
}
