//! One Canary's route: found, read, written and given back, by whatever router it goes by.
//!
//! On plain Kubernetes there is none, unless the Canary asks for live blue/green: then the apex Service's selector is one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::access::Patch;
use super::cluster::Cluster;
use super::json::{annotation, owner_of, strings, text};
use super::kinds::Kind;
use super::objects::{self, Subject};
use super::observe::MANAGER;
use super::store::WatchState;
use crate::domain::canary::{BLUE_GREEN_ANNOTATION, CanarySpec};
use crate::domain::revision::sha256_hex;
use crate::domain::status::CanaryStatus;
use crate::domain::traffic::{Abilities, Cookies, Traffic};
use crate::engine::observation::{ForeignWrite, Route};
use crate::mesh::{self, Companion, Named, Restore, Router};
use crate::runner::ports::PortError;

/// Annotation of an object beside a route: what it was last made of.
const APPLIED: &str = "pilothouse.dev/applied";

/// What tells one body of an object beside a route from another.
fn mark(body: &Value) -> String {
    sha256_hex(body.to_string().as_bytes()).chars().take(16).collect()
}

/// One Canary's route.
pub(super) struct Routing<'a> {
    cluster: &'a Cluster,
    canary: &'a Value,
    spec: &'a CanarySpec,
    namespace: &'a str,
    /// `spec.provider`, or the cluster's.
    pub provider: String,
    router: Result<Option<&'static dyn Router>, String>,
    annotations: BTreeMap<String, String>,
    cookies: Cookies,
    /// Before the primary serves, whatever the apex Service selects is not a canary's traffic.
    initial: bool,
}

impl<'a> Routing<'a> {
    pub fn new(cluster: &'a Cluster, canary: &'a Value, spec: &'a CanarySpec, status: &CanaryStatus) -> Self {
        let provider = cluster.router(spec.provider.as_deref());
        let cookies = Cookies {
            canary: status.session_affinity_cookie.clone(),
            primary: status.primary_session_affinity_cookie.clone(),
            previous: status.previous_session_affinity_cookie.clone(),
        };
        Self {
            router: mesh::router(&provider),
            annotations: strings(canary, "/metadata/annotations"),
            namespace: text(canary, "/metadata/namespace"),
            cluster,
            canary,
            spec,
            provider,
            cookies,
            initial: status.phase.is_initial(),
        }
    }

    fn router(&self) -> Option<&'static dyn Router> {
        self.router.as_ref().ok().copied().flatten()
    }

    /// Every kind that the router reads or writes.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.router().map(|router| router.kinds().iter().copied()).into_iter().flatten()
    }

    pub fn abilities(&self) -> Abilities {
        self.router().map_or(Abilities::NONE, Router::abilities)
    }

    /// The apex Service's selector is the route.
    pub fn switches_service(&self) -> bool {
        self.provider == "kubernetes" && annotation(self.canary, BLUE_GREEN_ANNOTATION) == Some("live") && self.spec.target_kind().scales()
    }

    /// The apex Service is a route already: it serves by the primary.
    pub fn is_switched(&self) -> bool {
        self.switches_service() && !self.initial
    }

    fn with<T>(&self, source: Option<&Value>, look: impl FnOnce(&mesh::Subject<'_>) -> T) -> T {
        look(&mesh::Subject {
            namespace: self.namespace,
            name: text(self.canary, "/metadata/name"),
            annotations: &self.annotations,
            spec: self.spec,
            cookies: &self.cookies,
            source,
            settings: &self.cluster.policy.routes,
        })
    }

    /// The router and what it may look at.
    fn at<T>(&self, look: impl FnOnce(&'static dyn Router, &mesh::Subject<'_>) -> T) -> Option<T> {
        let router = self.router()?;
        let source = self.with(None, |at| router.source(at)).and_then(|named| self.get(&named));
        Some(self.with(source.as_deref(), |at| look(router, at)))
    }

    fn get(&self, named: &Named) -> Option<Arc<Value>> {
        self.cluster.store.get(named.kind, &named.namespace, &named.name)
    }

    /// The object that holds the weights.
    pub fn named(&self) -> Option<Named> {
        self.at(Router::route)
    }

    /// Why this Canary cannot be routed.
    pub fn mistake(&self) -> Option<String> {
        let allowed = |named: &Named| {
            let foreign =
                self.cluster.policy.engine.no_cross_namespace_refs && !named.namespace.is_empty() && named.namespace != self.namespace;
            foreign.then(|| {
                format!(
                    "{} {} is in namespace {}, and engine.noCrossNamespaceRefs forbids that",
                    named.kind.word(),
                    named.name,
                    named.namespace
                )
            })
        };
        match &self.router {
            Err(why) => Some(why.clone()),
            Ok(_) => self.at(|router, at| router.mistake(at).or_else(|| router.source(at).as_ref().and_then(allowed))).flatten(),
        }
    }

    /// Percent that the canary has by the apex Service `live`; `None` where it selects neither.
    pub fn switched(&self, live: &Value, target: &Value) -> Option<i64> {
        let subject = Subject { canary: self.canary, spec: self.spec, settings: &self.cluster.policy.engine };
        let (label, value) = subject.selector(target).ok()?;
        let selected = strings(live, "/spec/selector").get(&label)?.clone();
        if selected == value { Some(100) } else { (selected == format!("{value}-primary")).then_some(0) }
    }

    /// The route as it is.
    pub fn observe(&self, target: Option<&Value>) -> Route {
        if self.switches_service() {
            let live = self.cluster.store.get(Kind::Service, self.namespace, self.spec.service_name());
            let live = live.filter(|_| !self.initial);
            let canary = live.zip(target).and_then(|(live, target)| self.switched(&live, target)).unwrap_or(0);
            return Route::Present { traffic: Traffic::weight(canary), foreign: None, pending: None };
        }
        for kind in self.kinds() {
            match self.cluster.store.state(kind) {
                WatchState::Absent => return Route::Unreadable(self.router().map_or("", Router::absent).into()),
                WatchState::Forbidden(why) => return Route::Unreadable(format!("{} objects may not be read: {why}", kind.word())),
                _ => {}
            }
        }
        self.at(|router, at| self.observe_by(router, at)).unwrap_or(Route::None)
    }

    fn observe_by(&self, router: &dyn Router, at: &mesh::Subject<'_>) -> Route {
        let named = router.route(at);
        let live = self.get(&named);
        let what = format!("{} {}", named.kind.word(), named.name);
        let traffic = match live.as_deref().map_or(Ok(None), |live| router.read(at, live)) {
            Ok(traffic) => traffic,
            Err(why) => return Route::Unreadable(why),
        };
        match self.missing_companion(router, at) {
            Err(why) => return Route::Unreadable(why),
            Ok(Some(missing)) => return Route::Differs { what: format!("{} {}", missing.at.kind.word(), missing.at.name), traffic },
            Ok(None) => {}
        }
        let (Some(live), Some(traffic)) = (live.as_deref(), traffic) else {
            // Whether it can be made at all is known before the first write.
            return match router.edit(at, live.as_deref(), Traffic::PRIMARY) {
                Ok(_) => Route::Differs { what, traffic },
                Err(why) => Route::Unreadable(why),
            };
        };
        match router.differs(at, live) {
            Err(why) => Route::Unreadable(why),
            Ok(true) => Route::Differs { what, traffic: Some(traffic) },
            Ok(false) => {
                let path = router.weights_at(at);
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let foreign = owner_of(live, &path).filter(|m| *m != MANAGER).map(|manager| ForeignWrite {
                    manager: crate::domain::text::clean(manager),
                    resource_version: text(live, "/metadata/resourceVersion").into(),
                });
                Route::Present { traffic, foreign, pending: router.pending(at, live).map(|why| crate::domain::text::clean(&why)) }
            }
        }
    }

    /// The first object beside the route that is missing or differs.
    fn missing_companion(&self, router: &dyn Router, at: &mesh::Subject<'_>) -> Result<Option<Companion>, String> {
        let lacks = |companion: &Companion| {
            let live = self.get(&companion.at);
            // What it should hold may have lost a field since: then it still covers the rest.
            live.is_none_or(|live| annotation(&live, APPLIED) != Some(&mark(&companion.body)) || !objects::covers(&live, &companion.body))
        };
        Ok(router.companions(at)?.into_iter().find(lacks))
    }

    /// Writes the first object beside the route that differs; then the route with `traffic`.
    pub async fn write(&self, traffic: Traffic, target: Option<&Value>) -> Result<(), PortError> {
        if self.switches_service() {
            return self.switch(traffic, target).await;
        }
        let router = self.router().ok_or_else(|| PortError::Denied(format!("{} has no route objects", self.provider)))?;
        if let Some(companion) = self.at(|_, at| self.missing_companion(router, at)).transpose().map_err(PortError::Denied)?.flatten() {
            let applied = mark(&companion.body);
            let mut body = self.generated(&companion.at, companion.body);
            super::json::child(&mut body["metadata"], "annotations")[APPLIED] = json!(applied);
            return self.apply(&companion.at, body).await;
        }
        let source = self.with(None, |at| router.source(at)).and_then(|named| self.get(&named));
        let (named, edited, live) = self.with(source.as_deref(), |at| {
            let named = router.route(at);
            let live = self.get(&named);
            (named, router.edit(at, live.as_deref(), traffic), live)
        });
        let edited = edited.map_err(PortError::Denied)?;
        let path = named.kind.path(&named.namespace, if live.is_some() { &named.name } else { "" });
        let reply = if let Some(live) = &live {
            let reply = self.cluster.access.put(&path, MANAGER, &edited).await?;
            if reply["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"] {
                // Written, and nothing changed: the API server dropped what it does not know, and would do so for ever.
                return Err(PortError::Denied(format!(
                    "{} {} cannot be made as the Canary says: the API server drops a field that its CRD does not know; look for a slip in spec.service",
                    named.kind.word(),
                    named.name
                )));
            }
            reply
        } else {
            self.cluster.access.post(&path, MANAGER, &self.generated(&named, edited)).await?
        };
        self.cluster.store.put(named.kind, reply);
        Ok(())
    }

    /// Points the apex Service at the canary's pods, or at the primary's.
    async fn switch(&self, traffic: Traffic, target: Option<&Value>) -> Result<(), PortError> {
        let name = self.spec.service_name();
        let gone = || PortError::Changed(format!("Service {name} is gone"));
        let live = self.cluster.store.get(Kind::Service, self.namespace, name).ok_or_else(gone)?;
        let subject = Subject { canary: self.canary, spec: self.spec, settings: &self.cluster.policy.engine };
        let (label, value) = subject.selector(target.ok_or_else(gone)?).map_err(PortError::Denied)?;
        let mut edited = (*live).clone();
        edited["spec"]["selector"] = json!({label: if traffic.canary > 0 { value } else { format!("{value}-primary") }});
        let reply = self.cluster.access.put(&Kind::Service.path(self.namespace, name), MANAGER, &edited).await?;
        self.cluster.store.put(Kind::Service, reply);
        Ok(())
    }

    async fn apply(&self, named: &Named, mut body: Value) -> Result<(), PortError> {
        if let Some(live) = self.get(named) {
            body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        }
        let reply = self.cluster.access.patch(&named.kind.path(&named.namespace, &named.name), MANAGER, Patch::Apply, &body).await?;
        self.cluster.store.put(named.kind, reply);
        Ok(())
    }

    /// `body` as an object of its own: named, owned by the Canary where it can be, and left alone by Flux.
    fn generated(&self, named: &Named, mut body: Value) -> Value {
        body["apiVersion"] = json!(named.kind.api_version());
        body["kind"] = json!(named.kind.word());
        body["metadata"]["name"] = json!(named.name);
        if !named.namespace.is_empty() {
            body["metadata"]["namespace"] = json!(named.namespace);
        }
        // An owner is in the same namespace, or of the whole cluster.
        if named.namespace == self.namespace {
            body["metadata"]["ownerReferences"] = json!([objects::owner(self.canary)]);
        }
        body
    }

    /// The route as it should be once the Canary is gone, where that is not what it is: `None` inside deletes it.
    pub fn restored(&self) -> Option<(Named, Option<Value>)> {
        self.at(|router, at| {
            let named = router.route(at);
            let live = self.get(&named)?;
            match router.restore(at, &live) {
                Restore::Leave => None,
                Restore::Write(before) => (before != *live).then_some((named, Some(before))),
                Restore::Delete => Some((named, None)),
            }
        })
        .flatten()
    }

    /// Gives the route back.
    pub async fn restore(&self) -> Result<(), PortError> {
        let Some((named, before)) = self.restored() else { return Ok(()) };
        let path = named.kind.path(&named.namespace, &named.name);
        if let Some(before) = before {
            let reply = self.cluster.access.put(&path, MANAGER, &before).await?;
            self.cluster.store.put(named.kind, reply);
        } else if let Some(live) = self.get(&named) {
            self.cluster.access.delete(&path, &live).await?;
            self.cluster.store.remove(named.kind, &live);
        }
        Ok(())
    }
}
