//! The data plane: which part of the requests goes to which Service. It follows routes as they were some time ago, and
//! not at all while it is stuck.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::agenda::Part;
use super::options::MeshKind;
use super::traffic::{Source, Stream};
use super::view::{Change, Key, Resource};
use crate::kubernetes::json::{annotation, items, strings, text};

/// nginx' annotations that make an Ingress the canary of another one.
const NGINX: &str = "nginx.ingress.kubernetes.io/";

/// Routes and rules as the proxies have them.
#[derive(Debug, Default)]
pub struct Mesh {
    applied: BTreeMap<(Part, Key), Arc<Value>>,
}

/// The kinds that a mesh follows.
const KINDS: [(Part, Resource); 3] = [
    (Part::VirtualService, Resource::VirtualServices),
    (Part::DestinationRule, Resource::DestinationRules),
    (Part::HttpRoute, Resource::HttpRoutes),
];

/// Requests a second to one Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    pub service: String,
    pub rate: f64,
    /// False where the proxies do not know the Service.
    pub known: bool,
    /// The Ingress they came through, and whether it is a canary one.
    pub ingress: Option<(String, bool)>,
}

impl Mesh {
    fn of(&self, part: Part, namespace: &str) -> impl Iterator<Item = &Value> {
        let from = (part, Key::new(namespace, ""));
        self.applied.range(from..).take_while(move |((p, key), _)| *p == part && *key.namespace == *namespace).map(|(_, v)| &**v)
    }

    /// Whether a `DestinationRule` names the host.
    fn has_rule(&self, namespace: &str, service: &str) -> bool {
        self.of(Part::DestinationRule, namespace).any(|rule| local(text(rule, "/spec/host"), namespace) == Some(service))
    }

    /// What comes in through Gateways.
    fn by_gateways(&self, namespace: &str, total: f64, segment: f64) -> impl Iterator<Item = Flow> {
        self.of(Part::HttpRoute, namespace)
            .filter(|route| hangs_from_gateways(route))
            .flat_map(move |route| gateway_shares(route, namespace, segment))
            .map(move |(service, share)| Flow { known: true, rate: share * total, service, ingress: None })
    }

    /// What routes of one namespace send where, for `total` requests a second to each route.
    fn flows(&self, kind: MeshKind, namespace: &str, total: f64, segment: f64) -> Vec<Flow> {
        match kind {
            MeshKind::None => Vec::new(),
            MeshKind::Istio => self
                .of(Part::VirtualService, namespace)
                .flat_map(|route| istio_shares(route, namespace, segment))
                .map(|(service, share)| Flow { known: self.has_rule(namespace, &service), rate: share * total, service, ingress: None })
                .chain(self.by_gateways(namespace, total, segment))
                .collect(),
            MeshKind::Linkerd => self
                .of(Part::HttpRoute, namespace)
                .filter(|route| items(route, "/spec/parentRefs").any(|parent| text(parent, "/kind") == "Service"))
                .flat_map(|route| gateway_shares(route, namespace, segment))
                .map(|(service, share)| Flow { known: true, rate: share * total, service, ingress: None })
                .collect(),
        }
    }
}

/// Whether an `HTTPRoute` is a Gateway's, and not a mesh's.
fn hangs_from_gateways(route: &Value) -> bool {
    items(route, "/spec/parentRefs").any(|parent| matches!(text(parent, "/kind"), "" | "Gateway"))
}

/// What a Gateway's controller says of a route that it has taken up: each parent accepts what stands there now.
fn acceptance(route: &Value) -> Value {
    let generation = route.pointer("/metadata/generation").cloned().unwrap_or_default();
    let condition = json!({"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": generation});
    let parents: Vec<Value> = items(route, "/spec/parentRefs")
        .map(|parent| json!({"parentRef": parent, "controllerName": "simulation.pilothouse.dev/gateway", "conditions": [condition]}))
        .collect();
    json!({"status": {"parents": parents}})
}

/// The Service of a host in its own namespace: short, or a DNS name. Hosts elsewhere are nobody's here.
fn local<'a>(host: &'a str, namespace: &str) -> Option<&'a str> {
    let mut parts = host.split('.');
    let service = parts.next()?;
    parts.next().is_none_or(|n| n == namespace).then_some(service)
}

/// Shares by the first route that takes only requests that carry something and the first that takes the rest.
/// Mirrored copies are no answers to anybody and are left out.
fn istio_shares(object: &Value, namespace: &str, segment: f64) -> Vec<(String, f64)> {
    let bound = |route: &Value| {
        let mut matches = items(route, "/match").peekable();
        matches.peek().is_some() && matches.all(|m| ["headers", "withoutHeaders", "queryParams"].iter().any(|field| m.get(field).is_some()))
    };
    let destinations = |route: &Value| {
        let of = |d: &Value| Some((local(text(d, "/destination/host"), namespace)?.to_owned(), d.get("weight").and_then(Value::as_f64)));
        let mut found = items(route, "/route").filter_map(of).collect::<Vec<_>>();
        if let [(_, weight)] = found.as_mut_slice() {
            // The only destination of a route gets all its requests.
            *weight = None;
        }
        found
    };
    split(items(object, "/spec/http"), bound, destinations, segment, 0.0)
}

fn gateway_shares(object: &Value, namespace: &str, segment: f64) -> Vec<(String, f64)> {
    let bound = |rule: &Value| {
        let mut matches = items(rule, "/matches").peekable();
        matches.peek().is_some() && matches.all(|m| ["headers", "queryParams"].iter().any(|field| m.get(field).is_some()))
    };
    let backends = |rule: &Value| {
        let here = |b: &&Value| b.get("namespace").and_then(Value::as_str).is_none_or(|n| n == namespace);
        items(rule, "/backendRefs").filter(here).map(|b| (text(b, "/name").to_owned(), b.get("weight").and_then(Value::as_f64))).collect()
    };
    split(items(object, "/spec/rules"), bound, backends, segment, 1.0)
}

fn split<'a>(
    routes: impl Iterator<Item = &'a Value>,
    bound: impl Fn(&Value) -> bool,
    destinations: impl Fn(&Value) -> Vec<(String, Option<f64>)>,
    segment: f64,
    default_weight: f64,
) -> Vec<(String, f64)> {
    let (of_segment, of_rest): (Vec<&Value>, Vec<&Value>) = routes.partition(|route| bound(route));
    let carried = if of_segment.is_empty() { 0.0 } else { segment };
    let mut out = Vec::new();
    for (route, part) in [(of_segment.first(), carried), (of_rest.first(), 1.0 - carried)] {
        let found = route.map(|route| destinations(route)).unwrap_or_default();
        let alone = found.len() == 1;
        let weight = |w: &Option<f64>| w.unwrap_or(if alone { 100.0 } else { default_weight });
        let sum: f64 = found.iter().map(|(_, w)| weight(w)).sum();
        if sum > 0.0 {
            out.extend(found.iter().map(|(service, w)| (service.clone(), part * weight(w) / sum)).filter(|(_, share)| *share > 0.0));
        }
    }
    out
}

impl World {
    /// Lets the proxies learn of a route in a while.
    pub(super) fn route_later(&mut self, at: Timestamp, change: &Change) {
        if let Some((part, _)) = KINDS.iter().find(|(_, resource)| *resource == change.resource) {
            let wait = self.options.mesh_lag.draw(&mut self.rng);
            self.agenda.at(at + wait, *part, &change.key);
        }
    }

    /// After a fault: routes that changed meanwhile.
    pub(super) fn routes_after_fault(&mut self, at: Timestamp) {
        if self.faults.mesh_stuck {
            return;
        }
        let mut behind: Vec<(Part, Key)> = Vec::new();
        for (part, resource) in KINDS {
            let changed = |(key, object): &(&Key, &Arc<Value>)| {
                self.mesh.applied.get(&(part, (*key).clone())).is_none_or(|applied| !Arc::ptr_eq(applied, object))
            };
            behind.extend(self.view.all(resource).filter(changed).map(|(key, _)| (part, key.clone())));
            let gone = self.mesh.applied.keys().filter(|(p, key)| *p == part && self.view.get(resource, key).is_none());
            behind.extend(gone.cloned());
        }
        for (part, key) in behind {
            let wait = self.options.mesh_lag.draw(&mut self.rng);
            self.agenda.at(at + wait, part, &key);
        }
    }

    /// The proxies now have the route as the server has it.
    pub(super) fn sync_route(&mut self, at: Timestamp, part: Part, key: &Key) {
        let Some((_, resource)) = KINDS.iter().find(|(p, _)| *p == part) else {
            return;
        };
        if self.faults.mesh_stuck {
            return;
        }
        match self.view.get(*resource, key) {
            Some(object) => {
                let object = Arc::clone(object);
                let said = acceptance(&object);
                if part == Part::HttpRoute
                    && hangs_from_gateways(&object)
                    && object.pointer("/status/parents") != said.pointer("/status/parents")
                {
                    let (namespace, name) = (&key.namespace, &key.name);
                    let path = format!("/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/{name}/status");
                    // Where it does not arrive, the change that is still to be seen brings it again.
                    self.patch(&path, &said);
                }
                self.mesh.applied.insert((part, key.clone()), object)
            }
            None => self.mesh.applied.remove(&(part, key.clone())),
        };
        self.agenda.at(at, Part::Flows, &key.beside(""));
    }

    /// Who sends how much to which Service of a namespace at this moment.
    pub fn flows(&self, namespace: &str) -> Vec<Flow> {
        let options = &self.options;
        let mut flows = self.mesh.flows(options.mesh, namespace, options.requests_per_second, options.segment);
        let exists = |name: &str| self.view.get(Resource::Services, &Key::new(namespace, name)).is_some();
        for (key, _) in self.view.within(Resource::Services, namespace) {
            let (primary, canary) = (format!("{}-primary", key.name), format!("{}-canary", key.name));
            if !exists(&primary) || !exists(&canary) {
                continue;
            }
            let routed = |name: &str| flows.iter().any(|flow| flow.service == name);
            if !routed(&primary) && !routed(&canary) {
                let through = self.ingress_flows(namespace, &key.name);
                if !through.is_empty() {
                    flows.extend(through);
                    continue;
                }
                flows.push(Flow { service: key.name.to_string(), rate: options.requests_per_second, known: true, ingress: None });
            }
            // Where a mesh gives the canary nothing, blue/green is judged by what the load tester sends.
            let fed = flows.iter().any(|flow| flow.service == canary && flow.rate > 0.0);
            if !fed && self.ready_behind(namespace, &canary) {
                flows.push(Flow { service: canary, rate: options.load_tester_per_second, known: true, ingress: None });
            }
        }
        flows
    }

    /// What an nginx Ingress and its canary send to a Service and to `SERVICE-canary`.
    fn ingress_flows(&self, namespace: &str, service: &str) -> Vec<Flow> {
        let backend = |ingress: &Value, name: &str| {
            let paths = items(ingress, "/spec/rules").flat_map(|rule| items(rule, "/http/paths"));
            paths.map(|path| text(path, "/backend/service/name")).any(|backend| backend == name)
        };
        let is_canary = |ingress: &Value| annotation(ingress, &format!("{NGINX}canary")) == Some("true");
        let canary_service = format!("{service}-canary");
        let find = |canary: bool, name: &str| {
            self.view.within(Resource::Ingresses, namespace).find(|(_, i)| is_canary(i) == canary && backend(i, name))
        };
        let Some((main, _)) = find(false, service) else {
            return Vec::new();
        };
        let canary = find(true, &canary_service);
        let weight = canary
            .and_then(|(_, ingress)| annotation(ingress, &format!("{NGINX}canary-weight"))?.parse::<f64>().ok())
            .map_or(0.0, |percent| percent.clamp(0.0, 100.0) / 100.0);
        let total = self.options.requests_per_second;
        let flow = |service: &str, share: f64, name: &Key, canary: bool| Flow {
            service: service.to_owned(),
            rate: share * total,
            known: true,
            ingress: Some((name.name.to_string(), canary)),
        };
        let mut out = vec![flow(service, 1.0 - weight, main, false)];
        out.extend(canary.filter(|_| weight > 0.0).map(|(name, _)| flow(&canary_service, weight, name, true)));
        out
    }

    fn ready_behind(&self, namespace: &str, service: &str) -> bool {
        let selector = self.selector(namespace, service);
        self.pods_behind(namespace, &selector).any(|(_, pods)| pods.ready(self.clock).next().is_some())
    }

    fn selector(&self, namespace: &str, service: &str) -> BTreeMap<String, String> {
        self.view.get(Resource::Services, &Key::new(namespace, service)).map(|s| strings(s, "/spec/selector")).unwrap_or_default()
    }

    /// The part, 0 to 1, of a namespace's requests that each workload answers at this moment; what nobody answers is under
    /// the empty name.
    pub fn shares(&self, namespace: &str) -> BTreeMap<String, f64> {
        let mut shares: BTreeMap<String, f64> = BTreeMap::new();
        for (source, rate) in self.loads(namespace) {
            let name = match &source {
                Source::Pods(key) => self.pods.get(key).map(|pods| pods.workload.name.to_string()).unwrap_or_default(),
                Source::Refused(_) => String::new(),
            };
            *shares.entry(name).or_default() += rate.0;
        }
        let total: f64 = shares.values().sum();
        for share in shares.values_mut() {
            *share /= total;
        }
        shares
    }

    /// Requests a second to each set of pods, and to each Service that nobody answers for.
    #[expect(clippy::cast_precision_loss, reason = "counts of pods are small")]
    fn loads(&self, namespace: &str) -> BTreeMap<Source, (f64, Option<(String, bool)>)> {
        let mut loads: BTreeMap<Source, (f64, Option<(String, bool)>)> = BTreeMap::new();
        for flow in self.flows(namespace) {
            let mut add = |source: Source, rate: f64| {
                let load = loads.entry(source).or_default();
                load.0 += rate;
                load.1 = load.1.take().or_else(|| flow.ingress.clone());
            };
            let selector = self.selector(namespace, &flow.service);
            let behind: Vec<(&Key, f64)> = self
                .pods_behind(namespace, &selector)
                .map(|(key, pods)| (key, pods.ready(self.clock).count() as f64))
                .filter(|(_, ready)| *ready > 0.0)
                .collect();
            let all: f64 = behind.iter().map(|(_, ready)| ready).sum();
            if all > 0.0 && flow.known {
                for (key, ready) in behind {
                    add(Source::Pods(key.clone()), flow.rate * ready / all);
                }
            } else if flow.rate > 0.0 {
                add(Source::Refused(Key::new(namespace, &flow.service)), flow.rate);
            }
        }
        loads
    }

    /// Brings the counters up to date with who sends how much where.
    pub(super) fn sync_flows(&mut self, at: Timestamp, key: &Key) {
        let mut loads = self.loads(&key.namespace);
        let from = Key::new(&key.namespace, "");
        let present = self.pods.range(from..).take_while(|(set, _)| set.namespace == key.namespace);
        let mut streams: Vec<(Source, Stream, f64)> = Vec::new();
        for (set, pods) in present.filter(|(_, pods)| !pods.live.is_empty()) {
            let source = Source::Pods(set.clone());
            let (rate, ingress) = loads.remove(&source).unwrap_or_default();
            streams.push((source, Stream::of_pods(pods, self.options.mesh, ingress), rate));
        }
        for (source, (rate, _)) in loads {
            let service = match &source {
                Source::Refused(service) | Source::Pods(service) => service.clone(),
            };
            streams.push((source, Stream::refused(&service), rate));
        }
        self.traffic.set(at, &key.namespace, streams);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Bench;
    use super::*;

    fn near(shares: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
        assert_eq!(shares.len(), expected.len(), "{shares:?}");
        for (name, share) in expected {
            assert!((shares.get(*name).copied().unwrap_or(-1.0) - share).abs() < 1e-9, "{shares:?}");
        }
    }

    #[test]
    fn routes_bound_to_headers_take_their_segment_and_the_first_other_route_the_rest() {
        let to = |host: &str, weight: i64| json!({"destination": {"host": host}, "weight": weight});
        let route = json!({"spec": {"http": [
            {"match": [{"headers": {"x": {"exact": "y"}}}], "route": [to("web-canary", 100)]},
            {"match": [{"uri": {"prefix": "/"}}], "route": [to("web-primary.test.svc.cluster.local", 80), to("web-canary", 20)], "mirror": {"host": "x"}},
            {"route": [to("other", 100)]}
        ]}});
        let mut all: BTreeMap<String, f64> = BTreeMap::new();
        for (service, share) in istio_shares(&route, "test", 0.25) {
            *all.entry(service).or_default() += share;
        }
        near(&all, &[("web-canary", 0.25 + 0.15), ("web-primary", 0.6)]);
        let zero = json!({"spec": {"http": [{"route": [to("a", 0), to("b", 0)]}]}});
        assert!(istio_shares(&zero, "test", 0.25).is_empty());
        assert_eq!(local("web.other.svc", "test"), None);
    }

    #[test]
    fn requests_follow_a_route_some_time_after_it_changed() {
        let mut bench = Bench::new();
        bench.canary("podinfo:6.0.0", "podinfo:6.0.1");
        bench.run(10);
        near(&bench.world.shares("test"), &[("web", 0.1), ("web-primary", 0.9)]);
        bench.weights(50);
        bench.advance_millis(100);
        near(&bench.world.shares("test"), &[("web", 0.1), ("web-primary", 0.9)]);
        bench.run(3);
        near(&bench.world.shares("test"), &[("web", 0.5), ("web-primary", 0.5)]);
        bench.world.faults().mesh_stuck = true;
        bench.weights(0);
        bench.run(10);
        near(&bench.world.shares("test"), &[("web", 0.5), ("web-primary", 0.5)]);
        bench.world.faults().heal();
        bench.run(3);
        // What is left for the canary is the load tester's.
        near(&bench.world.shares("test"), &[("web", 5.0 / 55.0), ("web-primary", 50.0 / 55.0)]);
    }

    #[test]
    fn requests_fail_where_no_pod_is_ready_or_no_rule_names_the_host() {
        let mut bench = Bench::new();
        bench.canary("podinfo:6.0.0", "podinfo:6.0.1");
        bench.run(10);
        bench.patch("/apis/apps/v1/namespaces/test/deployments/web", &json!({"spec": {"replicas": 0}}));
        bench.run(3);
        near(&bench.world.shares("test"), &[("", 0.1), ("web-primary", 0.9)]);
        bench.patch("/apis/apps/v1/namespaces/test/deployments/web", &json!({"spec": {"replicas": 2}}));
        bench.delete("/apis/networking.istio.io/v1beta1/namespaces/test/destinationrules/web-canary");
        bench.run(10);
        near(&bench.world.shares("test"), &[("", 0.1), ("web-primary", 0.9)]);
    }

    #[test]
    fn without_a_mesh_requests_go_where_selectors_point() {
        let mut bench = Bench::with(|options| options.mesh = MeshKind::None);
        bench.canary("podinfo:6.0.0", "podinfo:6.0.1");
        bench.run(10);
        near(&bench.world.shares("test"), &[("web", 5.0 / 55.0), ("web-primary", 50.0 / 55.0)]);
    }

    #[test]
    fn gateway_routes_have_a_default_weight_of_one_each() {
        let rules = json!({"spec": {"rules": [{"backendRefs": [{"name": "a", "weight": 3}, {"name": "b"}]}]}});
        assert_eq!(gateway_shares(&rules, "test", 0.25), [("a".to_owned(), 0.75), ("b".to_owned(), 0.25)]);
    }
}
