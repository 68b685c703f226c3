//! A real cluster of the test bed as a server under the contract: requests by curl, controllers by signals.
//!
//! The controller manager stands still except while an operation waits for it. Otherwise Deployments would get a status,
//! namespaces their default objects, and no two runs would have the same answers.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Caller, Request};

/// How long something may take to come true.
const PATIENCE: Duration = Duration::from_secs(90);

/// One cluster of the test bed.
pub struct Real {
    server: String,
    token: String,
    /// Process ids that are stopped between collections.
    controllers: Vec<String>,
}

impl Real {
    /// From the line of JSON that the bed prints; stops the controllers.
    pub fn new(bed: &Value, cluster: &str) -> Self {
        let cluster = &bed["clusters"][cluster];
        let text = |key: &str| cluster[key].as_str().expect("the bed names server and token").to_owned();
        let controllers = vec![cluster["pids"]["kube-controller-manager"].to_string()];
        let real = Self { server: text("server"), token: text("adminToken"), controllers };
        real.signal("-STOP");
        real
    }

    fn signal(&self, signal: &str) {
        for pid in &self.controllers {
            let done = Command::new("kill").args([signal, pid]).status().expect("kill runs");
            assert!(done.success(), "kill {signal} {pid}");
        }
    }

    fn curl(&self, request: &Request) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["-sSk", "-N", "-X", &request.method, "-w", "\n%{http_code}"]);
        curl.args(["-H", &format!("Authorization: Bearer {}", self.token), "-A", "contract/1.0"]);
        let accept = if request.accept.is_empty() { "Accept:".to_owned() } else { format!("Accept: {}", request.accept) };
        curl.args(["-H", &accept]);
        if !request.body.is_empty() {
            curl.args(["-H", &format!("Content-Type: {}", request.content_type), "--data-binary", &request.body]);
        }
        curl.arg(format!("{}{}", self.server, request.target));
        curl.stdin(Stdio::null());
        curl
    }

    fn until(&mut self, done: &mut dyn FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < PATIENCE, "what the list waits for does not come true");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for pid in &self.controllers {
            let _ = Command::new("kill").args(["-CONT", pid]).status();
        }
    }
}

/// The body, and the status that curl wrote behind it.
fn split(output: &str) -> (u16, String) {
    let (body, status) = output.rsplit_once('\n').unwrap_or(("", output));
    (status.trim().parse().unwrap_or_default(), body.to_owned())
}

impl Caller for Real {
    fn call(&mut self, request: &Request) -> (u16, String) {
        let output = self.curl(request).output().expect("curl runs");
        split(&String::from_utf8_lossy(&output.stdout))
    }

    fn watch(&mut self, request: &Request, events: Option<usize>) -> (u16, Vec<String>) {
        let Some(events) = events else {
            let (status, body) = self.call(request);
            return (status, body.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect());
        };
        let mut child = self.curl(request).stdout(Stdio::piped()).spawn().expect("curl runs");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let found = lines.take(events).map(|line| line.expect("events are UTF-8")).collect();
        let _ = child.kill();
        let _ = child.wait();
        (200, found)
    }

    fn collect(&mut self, done: &mut dyn FnMut(&mut Self) -> bool) {
        self.signal("-CONT");
        self.until(done);
        self.signal("-STOP");
    }

    fn wait(&mut self, done: &mut dyn FnMut(&mut Self) -> bool) {
        self.until(done);
    }
}
