//! A/B testing by every router that can tell requests apart and has no row of Flagger's own: while it runs, requests with the
//! header go to the canary, and before and after to nobody but the primary.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::place::{Case, Cases, HTTP_ROUTES, Place, Resource, image, tests};
use crate::routers::{GATEWAY_V1BETA1, HTTP_PROXIES, ROUTE_TABLES, UPSTREAMS, http_route, on_stage, share};

struct Router {
    test: &'static str,
    provider: &'static str,
    route: Resource,
    prepare: fn(&Place),
    spec: fn() -> Value,
    /// Percent of the canary by the first rule.
    weight: fn(&Value) -> Option<u64>,
}

const ROUTERS: [Router; 4] = [
    Router {
        test: "linkerd_segment",
        provider: "linkerd",
        route: HTTP_ROUTES,
        prepare: |_| {},
        spec: || json!({"service": {"port": 80}}),
        weight: http_route,
    },
    Router {
        test: "gatewayapi_v1beta1_segment",
        provider: "gatewayapi:v1beta1",
        route: GATEWAY_V1BETA1,
        prepare: |_| {},
        spec: || json!({"service": {"port": 80, "gatewayRefs": [{"name": "public"}]}}),
        weight: http_route,
    },
    Router {
        test: "contour_segment",
        provider: "contour",
        route: HTTP_PROXIES,
        prepare: |_| {},
        spec: || json!({"service": {"port": 80}}),
        weight: |proxy| share(proxy, "/spec/routes/0/services", "/name"),
    },
    Router {
        test: "gloo_segment",
        provider: "gloo",
        route: ROUTE_TABLES,
        prepare: |place| {
            let spec = json!({"static": {"hosts": [{"addr": "example.com", "port": 80}]}});
            place.create(UPSTREAMS, "Upstream", "config", json!({"spec": spec}));
        },
        spec: || json!({"service": {"port": 80}, "upstreamRef": {"apiVersion": "gloo.solo.io/v1", "kind": "Upstream", "name": "config"}}),
        weight: |table| share(table, "/spec/routes/0/routeAction/multi/destinations", "/destination/upstream/name"),
    },
];

impl Router {
    fn run(&self, place: &Place) {
        (self.prepare)(place);
        let route = || place.the(self.route, "web");
        let weight = || place.get(self.route, "web").as_ref().and_then(self.weight);
        let mut spec = (self.spec)();
        spec["provider"] = json!(self.provider);
        let headers = json!({"x-canary": {"exact": "insider"}});
        spec["analysis"] = json!({"interval": "10s", "threshold": 2, "iterations": 2, "metrics": [], "match": [{"headers": headers}]});
        place.populate(spec);
        place.until_phase(60, "Initialized");
        assert_eq!(weight().unwrap_or(0), 0, "{place}: {:#}", route());
        place.ship(2);
        place.until(60, "requests that match", || weight() == Some(100));
        let rules = route().to_string();
        assert!(rules.contains("x-canary") && rules.contains("insider"), "{place}: {rules}");
        assert_eq!(place.primary(), image(1), "{place}");
        place.until_phase(90, "Succeeded");
        assert_eq!((weight().unwrap_or(0), place.primary()), (0, image(2)), "{place}: {:#}", route());
    }
}

static CASES: LazyLock<Cases> = LazyLock::new(|| {
    let all = ROUTERS.iter().map(|router| -> Case { (router.test, Box::new(|| on_stage(router.test, |place| router.run(place)))) });
    Cases::new(module_path!(), all)
});

tests! {
    linkerd_segment gatewayapi_v1beta1_segment contour_segment gloo_segment
}
