//! Sessions over simulated clusters behind loopback listeners, and over kubeconfigs as users have them.

mod connection;
mod contexts;
mod permissions;
mod remembered;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Clock;
use super::fleet::{Session, Settings};
use super::testing::settings;
use super::view::{ContextView, FleetView};
use crate::kubernetes::access::Access;
use crate::kubernetes::contexts::Contexts;
use crate::kubernetes::crds;
use crate::simulation::api::{ApiServer, Options};
use crate::simulation::line::Line;
use crate::simulation::listener::{self, Served};

/// An empty API server that knows Canaries, with one in it.
async fn cluster(name: &str) -> Arc<ApiServer> {
    let options = Options { name: name.into(), now: Arc::new(jiff::Timestamp::now), seed: 1, git_version: "v1.36.3".into() };
    let server = ApiServer::new(options);
    let access = Access::new(Line::new(Arc::clone(&server), "admin", None).client());
    crds::install(&access, false).await.expect("CRDs");
    let create = |path: &str, body: &Value| server.call("admin", http::Method::POST, path, "", Some(body)).expect("it is created");
    create("/api/v1/namespaces", &json!({"metadata": {"name": "app"}}));
    let spec = json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "service": {"port": 80},
        "analysis": {"interval": "10s", "threshold": 1, "iterations": 1}});
    create(
        "/apis/flagger.app/v1beta1/namespaces/app/canaries",
        &json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": format!("web-{name}"), "namespace": "app"}, "spec": spec}),
    );
    server
}

/// Served clusters, and a kubeconfig that a test writes as it likes.
struct Bed {
    folder: tempfile::TempDir,
    servers: BTreeMap<String, Arc<ApiServer>>,
    /// The kubeconfig that reaches all of them.
    config: Value,
    _served: Served,
}

impl Bed {
    async fn up(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut servers = BTreeMap::new();
        for name in names {
            servers.insert((*name).to_owned(), cluster(name).await);
        }
        let listed: Vec<_> = servers.iter().map(|(name, server)| (name.clone(), Arc::clone(server))).collect();
        let served = listener::serve(&listed, &folder.path().join("served")).await.expect("listeners");
        let text = std::fs::read_to_string(&served.kubeconfig).expect("a kubeconfig");
        let config = serde_json::from_str(&text).expect("JSON");
        let bed = Self { folder, servers, config, _served: served };
        bed.write(&bed.config);
        bed
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn write(&self, config: &Value) {
        std::fs::write(self.path(), format!("{config:#}\n")).expect("a kubeconfig");
    }

    fn token(&self) -> &str {
        self.config["users"][0]["user"]["token"].as_str().expect("a token")
    }

    fn contexts(&self) -> Contexts {
        Contexts::read(Some(&self.path())).expect("it is read")
    }

    fn settings(&self) -> Settings {
        settings(self.folder.path().join("cache"))
    }

    fn start(&self) -> Arc<Session> {
        self.start_with(|_| {})
    }

    fn start_with(&self, change: impl FnOnce(&mut Settings)) -> Arc<Session> {
        let mut settings = self.settings();
        change(&mut settings);
        Session::start(settings, self.contexts()).expect("a session")
    }
}

fn now(session: &Session) -> Arc<FleetView> {
    Arc::clone(&session.view().borrow())
}

fn row(session: &Session, name: &str) -> ContextView {
    now(session).context(name).unwrap_or_else(|| panic!("no row {name}")).clone()
}

fn names(session: &Session) -> Vec<String> {
    now(session).each().map(|context| context.name.clone()).collect()
}

/// Waits until `seen`; the bound only ends a test that fails.
async fn until(what: &str, mut seen: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if seen() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within a minute: {what}");
}

/// Live, with its own canary on the screen.
fn is_up(session: &Session, name: &str) -> bool {
    now(session).context(name).is_some_and(|c| c.link.is_live() && c.remembered.is_none() && c.canaries.len() == 1)
}
