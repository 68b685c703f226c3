//! Every router on a real API server: its objects are made, shifted through their weights, and given back when the Canary
//! goes, and fields of others stay.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::bed::{Bed, text};
use crate::place::{
    CANARIES, Case, Cases, DEPLOYMENTS, FINALIZER, HTTP_ROUTES, INGRESSES, Place, Resource, SERVICES, Shared, VIRTUAL_SERVICES, image,
    tests, two_weights,
};
use crate::players::{KNATIVE, Player, newest_percent, primary_revision};
use crate::program::{Daemon, Home};

/// A cluster with every router's custom resources, and the daemon that drives it.
struct Stage {
    daemon: Daemon,
    _home: Home,
    bed: Bed,
}

/// One router.
struct Router {
    /// The test, which is called as Flagger's.
    test: &'static str,
    provider: &'static str,
    /// The object that holds the weights.
    route: (Resource, &'static str),
    /// What is there before the Canary, and who plays a controller.
    prepare: fn(&Place) -> Option<Player>,
    /// What its Canary's spec needs besides.
    spec: fn() -> Value,
    /// Percent of the canary by that object.
    weight: fn(&Value) -> Option<u64>,
    /// A field of somebody else in it: where, and what.
    theirs: (&'static str, fn() -> Value),
    /// What is there once the Canary is gone.
    after: fn(&Place),
}

pub const GATEWAY_V1BETA1: Resource = ("/apis/gateway.networking.k8s.io/v1beta1", "httproutes");
const SMI_V1ALPHA1: Resource = ("/apis/split.smi-spec.io/v1alpha1", "trafficsplits");
const SMI_V1ALPHA2: Resource = ("/apis/split.smi-spec.io/v1alpha2", "trafficsplits");
const SMI_V1ALPHA3: Resource = ("/apis/split.smi-spec.io/v1alpha3", "trafficsplits");
pub const HTTP_PROXIES: Resource = ("/apis/projectcontour.io/v1", "httpproxies");
const TRAEFIK_SERVICES: Resource = ("/apis/traefik.io/v1alpha1", "traefikservices");
pub const ROUTE_TABLES: Resource = ("/apis/gateway.solo.io/v1", "routetables");
pub const UPSTREAMS: Resource = ("/apis/gloo.solo.io/v1", "upstreams");
const APISIX_ROUTES: Resource = ("/apis/apisix.apache.org/v2", "apisixroutes");
const TRAFFIC_ROUTES: Resource = ("/apis/kuma.io/v1alpha1", "trafficroutes");

const ROUTERS: [Router; 15] = [
    Router {
        test: "istio",
        provider: "istio",
        route: (VIRTUAL_SERVICES, "web"),
        prepare: |place| {
            place.create(
                SERVICES,
                "Service",
                "web",
                json!({"spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}}),
            );
            place.create(VIRTUAL_SERVICES, "VirtualService", "web", json!({"spec": own_virtual_service()}));
            None
        },
        spec: || json!({}),
        weight: |route| share(route, "/spec/http/0/route", "/destination/host"),
        theirs: ("/spec/http/0/fault", || json!({"abort": {"httpStatus": 503, "percentage": {"value": 0}}})),
        after: |place| {
            let route = place.the(VIRTUAL_SERVICES, "web");
            assert_eq!(route["spec"], own_virtual_service(), "{place}");
            assert_eq!(route["metadata"]["annotations"], Value::Null, "{place}");
            assert_eq!(place.the(SERVICES, "web")["spec"]["selector"], json!({"app": "web"}), "{place}");
        },
    },
    Router {
        test: "linkerd",
        provider: "linkerd",
        route: (HTTP_ROUTES, "web"),
        prepare: |_| None,
        spec: || json!({}),
        weight: http_route,
        theirs: ("/spec/rules/0/sessionPersistence", || json!({"sessionName": "s"})),
        after: |place| goes(place, HTTP_ROUTES, "web"),
    },
    Router {
        test: "gatewayapi_v1",
        provider: "gatewayapi:v1",
        route: (HTTP_ROUTES, "web"),
        prepare: |place| Some(Player::gateway_controller(place)),
        spec: || json!({"service": {"port": 80, "hosts": ["app.example.com"], "gatewayRefs": [{"name": "public", "namespace": "infra"}]}}),
        weight: http_route,
        theirs: ("/spec/rules/0/name", || json!("main")),
        after: |place| goes(place, HTTP_ROUTES, "web"),
    },
    Router {
        test: "gatewayapi_v1beta1",
        provider: "gatewayapi:v1beta1",
        route: (GATEWAY_V1BETA1, "web"),
        prepare: |_| None,
        spec: || json!({"service": {"port": 80, "gatewayRefs": [{"name": "public"}]}}),
        weight: http_route,
        theirs: ("/spec/rules/0/name", || json!("main")),
        after: |place| goes(place, GATEWAY_V1BETA1, "web"),
    },
    Router {
        test: "smi_v1alpha1",
        provider: "smi:v1alpha1",
        route: (SMI_V1ALPHA1, "web"),
        prepare: |_| None,
        spec: || json!({}),
        weight: |split| share(split, "/spec/backends", "/service"),
        theirs: ("/spec/matches", || json!([{"kind": "HTTPRouteGroup", "name": "g"}])),
        after: |place| goes(place, SMI_V1ALPHA1, "web"),
    },
    Router {
        test: "smi_v1alpha2",
        provider: "smi:v1alpha2",
        route: (SMI_V1ALPHA2, "web"),
        prepare: |_| None,
        spec: || json!({}),
        weight: |split| share(split, "/spec/backends", "/service"),
        theirs: ("/spec/matches", || json!([{"kind": "HTTPRouteGroup", "name": "g"}])),
        after: |place| goes(place, SMI_V1ALPHA2, "web"),
    },
    Router {
        test: "smi_v1alpha3",
        provider: "smi:v1alpha3",
        route: (SMI_V1ALPHA3, "web"),
        prepare: |_| None,
        spec: || json!({}),
        weight: |split| share(split, "/spec/backends", "/service"),
        theirs: ("/spec/matches", || json!([{"kind": "HTTPRouteGroup", "name": "g"}])),
        after: |place| goes(place, SMI_V1ALPHA3, "web"),
    },
    Router {
        test: "nginx",
        provider: "nginx",
        route: (INGRESSES, "web-canary"),
        prepare: |place| ingress(place, "nginx"),
        spec: ingress_ref,
        weight: |ingress| text(ingress, "/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight").parse().ok(),
        theirs: ("/metadata/annotations/example.com~1note", || json!("theirs")),
        after: |place| {
            goes(place, INGRESSES, "web-canary");
            assert_eq!(text(&place.the(INGRESSES, "web"), BACKEND), "web");
        },
    },
    Router {
        test: "contour_test_canary",
        provider: "contour",
        route: (HTTP_PROXIES, "web"),
        prepare: |_| None,
        spec: || json!({}),
        weight: |proxy| share(proxy, "/spec/routes/0/services", "/name"),
        theirs: ("/spec/routes/0/loadBalancerPolicy", || json!({"strategy": "Cookie"})),
        after: |place| goes(place, HTTP_PROXIES, "web"),
    },
    Router {
        test: "traefik_test_canary",
        provider: "traefik",
        route: (TRAEFIK_SERVICES, "web"),
        prepare: |_| None,
        spec: || json!({}),
        // The canary is there while it has a part.
        weight: |service| share(service, "/spec/weighted/services", "/name").or(Some(0)),
        theirs: ("/spec/weighted/sticky", || json!({"cookie": {"name": "lvl1"}})),
        after: |place| goes(place, TRAEFIK_SERVICES, "web"),
    },
    Router {
        test: "gloo_test_canary",
        provider: "gloo",
        route: (ROUTE_TABLES, "web"),
        prepare: |place| {
            let spec = json!({"static": {"hosts": [{"addr": "example.com", "port": 80}]}, "connectionConfig": {"connectTimeout": "2s"}});
            place.create(UPSTREAMS, "Upstream", "config", json!({"spec": spec}));
            None
        },
        spec: || json!({"upstreamRef": {"apiVersion": "gloo.solo.io/v1", "kind": "Upstream", "name": "config"}}),
        weight: |table| share(table, "/spec/routes/0/routeAction/multi/destinations", "/destination/upstream/name"),
        theirs: ("/spec/routes/0/options", || json!({"timeout": "1s"})),
        after: |place| {
            goes(place, ROUTE_TABLES, "web");
            goes(place, UPSTREAMS, &format!("{}-web-canaryupstream-80", place.namespace));
            place.the(UPSTREAMS, "config");
        },
    },
    Router {
        test: "skipper_test_canary",
        provider: "skipper",
        route: (INGRESSES, "web-canary"),
        prepare: |place| ingress(place, "skipper"),
        spec: ingress_ref,
        weight: |ingress| {
            let weights = text(ingress, "/metadata/annotations/zalando.org~1backend-weights");
            serde_json::from_str::<Value>(&weights).ok()?["web-canary"].as_u64()
        },
        theirs: ("/metadata/annotations/example.com~1note", || json!("theirs")),
        after: |place| {
            // At once: until garbage is collected it would outrank its source.
            assert_eq!(place.get(INGRESSES, "web-canary"), None, "{place}");
            assert_eq!(text(&place.the(INGRESSES, "web"), BACKEND), "web");
        },
    },
    Router {
        test: "apisix_test_canary",
        provider: "apisix",
        route: (APISIX_ROUTES, "web-web-canary"),
        prepare: |place| {
            let rule = json!({"name": "method", "match": {"hosts": ["app.example.com"], "methods": ["GET"], "paths": ["/*"]},
                "backends": [{"serviceName": "web", "servicePort": 80}], "plugins": [{"name": "prometheus", "enable": true}]});
            place.create(APISIX_ROUTES, "ApisixRoute", "web", json!({"spec": {"http": [rule]}}));
            None
        },
        spec: || json!({"routeRef": {"apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "web"}}),
        weight: |route| share(route, "/spec/http/0/backends", "/serviceName"),
        theirs: ("/metadata/annotations/example.com~1note", || json!("theirs")),
        after: |place| {
            goes(place, APISIX_ROUTES, "web-web-canary");
            assert_eq!(text(&place.the(APISIX_ROUTES, "web"), "/spec/http/0/backends/0/serviceName"), "web");
        },
    },
    Router {
        test: "kuma_test_canary",
        provider: "kuma",
        route: (TRAFFIC_ROUTES, "web"),
        prepare: |_| None,
        spec: || json!({}),
        weight: |route| share(route, "/spec/conf/split", "/destination/kuma.io~1service"),
        theirs: ("/spec/conf/loadBalancer", || json!({"roundRobin": {}})),
        // It has no namespace and so no owner.
        after: |place| assert_eq!(place.get(TRAFFIC_ROUTES, "web"), None, "{place}"),
    },
    Router {
        test: "knative_test_canary",
        provider: "knative",
        route: (KNATIVE, "web"),
        prepare: |place| {
            let template = json!({"spec": {"containers": [{"name": "main", "image": image(1)}]}});
            let traffic = json!([{"latestRevision": true, "percent": 100}]);
            place.create(KNATIVE, "Service", "web", json!({"spec": {"template": template, "traffic": traffic}}));
            Some(Player::knative(place))
        },
        // As Flagger's own example, which has no service.
        spec: || json!({"targetRef": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "web"}, "service": null}),
        weight: newest_percent,
        theirs: ("/metadata/annotations/example.com~1note", || json!("theirs")),
        after: |place| {
            let service = place.the(KNATIVE, "web");
            assert_eq!(primary_revision(&service), "", "{place}");
            place.until(10, "all traffic for the newest", || newest_percent(&place.the(KNATIVE, "web")) == Some(100));
        },
    },
];

const BACKEND: &str = "/spec/rules/0/http/paths/0/backend/service/name";

/// What the owner of a VirtualService had there before.
fn own_virtual_service() -> Value {
    json!({"hosts": ["web"], "http": [{"name": "own", "route": [{"destination": {"host": "web"}}]}]})
}

/// The weight of the one in `list` whose name is the canary's. It may be written as text.
pub fn share(object: &Value, list: &str, name: &str) -> Option<u64> {
    let is_canary = |name: String| name.starts_with("web-canary") || name.contains("-web-canaryupstream-");
    let found = object.pointer(list)?.as_array()?.iter().find(|one| is_canary(text(one, name)))?;
    found["weight"].as_u64().or_else(|| found["weight"].as_str()?.parse().ok())
}

pub fn http_route(route: &Value) -> Option<u64> {
    share(route, "/spec/rules/0/backendRefs", "/name")
}

fn ingress(place: &Place, class: &str) -> Option<Player> {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let http = json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]});
    let metadata = json!({"labels": {"app": "web"}, "annotations": {"kubernetes.io/ingress.class": class}});
    place.create(
        INGRESSES,
        "Ingress",
        "web",
        json!({"metadata": metadata, "spec": {"rules": [{"host": "app.example.com", "http": http}]}}),
    );
    None
}

fn ingress_ref() -> Value {
    json!({"ingressRef": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"}})
}

/// It goes with its owner.
fn goes(place: &Place, resource: Resource, name: &str) {
    place.until(40, format!("end of {} {name}", resource.1), || place.get(resource, name).is_none());
}

/// Sets `value` at `pointer`; objects on the way are made.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/");
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[part.as_str()],
        };
    }
    *at = value;
}

impl Router {
    fn run(&self, place: &Place) {
        let knative = self.provider == "knative";
        let (resource, name) = self.route;
        let _player = (self.prepare)(place);
        let route = || place.get(resource, name);
        let weight = || route().as_ref().and_then(self.weight);
        let mut spec = (self.spec)();
        (spec["provider"], spec["revertOnDeletion"], spec["analysis"]) = (json!(self.provider), json!(true), two_weights());
        if knative {
            place.canary(spec);
        } else {
            place.populate(spec);
        }
        place.until_phase(60, "Initialized");
        assert_eq!(weight(), Some(0), "{place}: {:#}", route().unwrap_or_default());
        self.release(place);
        for (n, expected) in [20, 60].into_iter().enumerate() {
            place.until(40, format!("weight {expected}"), || weight() == Some(expected));
            if n == 0 {
                place.edit(resource, name, |route| put(route, self.theirs.0, self.theirs.1()));
            }
        }
        self.assert_theirs(place);
        assert_eq!(place.phase(), "Progressing");
        assert_eq!(place.primary(), if knative { String::new() } else { image(1) }, "{place}");
        place.until_phase(60, "Succeeded");
        assert_eq!(weight(), Some(0), "{place}: {:#}", route().unwrap_or_default());
        self.assert_theirs(place);
        if knative {
            assert_eq!(primary_revision(&place.the(KNATIVE, "web")), "web-00002");
        } else {
            assert_eq!((place.primary(), place.replicas("web")), (image(2), Some(0)), "{place}");
        }
        self.leave(place);
    }

    fn release(&self, place: &Place) {
        let target = if self.provider == "knative" { KNATIVE } else { DEPLOYMENTS };
        place.set_image(target, &image(2));
    }

    fn assert_theirs(&self, place: &Place) {
        let route = place.the(self.route.0, self.route.1);
        assert_eq!(route.pointer(self.theirs.0), Some(&self.theirs.1()), "{place}: a field of somebody else in {route:#}");
    }

    /// The Canary goes, after it has given back what it took.
    fn leave(&self, place: &Place) {
        assert_eq!(place.the(CANARIES, "web")["metadata"]["finalizers"], json!([FINALIZER]), "{place}");
        place.delete(CANARIES, "web");
        place.until(40, "end of the Canary", || place.get(CANARIES, "web").is_none());
        if self.provider != "knative" {
            assert_eq!(place.replicas("web"), Some(1), "{place}");
            goes(place, DEPLOYMENTS, "web-primary");
        }
        (self.after)(place);
        place.tells("Terminated canary");
    }
}

/// What is at the end of its life is refused, with the way out, and nothing is touched.
fn is_refused(place: &Place, provider: &str, part: &str) {
    place.create(SERVICES, "Service", "web", json!({"spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}}));
    place.populate(json!({"provider": provider, "analysis": two_weights()}));
    place.until(30, "a warning", || place.has_event(part));
    let report = place.engine()["report"].clone();
    assert_eq!((&report[0], report[1].as_str().is_some_and(|why| why.contains(part))), (&json!("invalid"), true), "{place}: {report}");
    place.ship(2);
    place.holds(12, "everything as it was", || {
        place.get(DEPLOYMENTS, "web-primary").is_none()
            && place.the(SERVICES, "web")["spec"]["selector"] == json!({"app": "web"})
            && place.replicas("web") == Some(1)
    });
    let warnings = place.canary_events().into_iter().filter(|event| event["type"] == "Warning").collect::<Vec<_>>();
    assert_eq!((warnings.len(), &warnings[0]["count"]), (1, &json!(1)), "{place}: it is said once");
}

static STAGE: Shared<Stage> = Shared::new();

/// The namespace of one case on the common stage, which ends with the last of them.
pub fn on_stage(name: &str, play: impl FnOnce(&Place)) {
    let stage = STAGE.get(|| {
        let bed = Bed::up("--clusters every:kubernetes --routers");
        let home = Home::new("routers", &bed.kubeconfig());
        home.expect(0, &["crds", "--install"]);
        Stage { daemon: home.daemon(&[]), _home: home, bed }
    });
    play(&Place::new(&stage.bed.cluster("every"), name, stage.daemon.logs_to()));
}

static CASES: LazyLock<Cases> = LazyLock::new(|| {
    let mut all: Vec<Case> = Vec::new();
    for router in &ROUTERS {
        all.push((router.test, Box::new(|| on_stage(router.test, |place| router.run(place)))));
    }
    for (test, provider, part) in [
        ("appmesh_is_refused", "appmesh:v1beta2", "AWS App Mesh is at the end of its life"),
        ("osm_is_refused", "osm", "Open Service Mesh is archived"),
    ] {
        all.push((test, Box::new(move || on_stage(test, |place| is_refused(place, provider, part)))));
    }
    Cases::new(module_path!(), all)
});

tests! {
    istio linkerd gatewayapi_v1 gatewayapi_v1beta1 smi_v1alpha1 smi_v1alpha2 smi_v1alpha3 nginx
    contour_test_canary traefik_test_canary gloo_test_canary skipper_test_canary apisix_test_canary kuma_test_canary knative_test_canary
    appmesh_is_refused osm_is_refused
}
