//! Linkerd: one `HTTPRoute` of the Gateway API whose parent is the apex Service (rollout-contract §7.2).

use serde_json::{Value, json};

use super::gateway::{self, MESH};
use super::{Abilities, Router, Subject};
use crate::domain::traffic::Traffic;
use crate::kubernetes::kinds::Kind;

/// Linkerd's router.
pub struct Linkerd;

impl Router for Linkerd {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::HttpRoute]
    }

    fn absent(&self) -> &'static str {
        "the Gateway API's CRDs are not installed in this cluster: install them with Linkerd, or set spec.provider: kubernetes"
    }

    /// A/B tests go beyond rollout-contract §2.7, whose Linkerd still had `TrafficSplits`: an `HTTPRoute` matches headers.
    fn abilities(&self) -> Abilities {
        Abilities {
            progressive: true,
            ab_testing: true,
            blue_green: true,
            mirror_iterations: false,
            mirror_progressive: false,
            session_affinity: false,
        }
    }

    fn mistake(&self, at: &Subject<'_>) -> Option<String> {
        gateway::mistake(at, &MESH)
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        vec!["spec".into(), "rules".into()]
    }

    /// Linkerd's policy controller may leave the status alone, so nobody's acceptance is waited for.
    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        gateway::traffic(self, at, &MESH, live)
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        gateway::edit(at, &MESH, parents(at), live, traffic)
    }
}

/// The apex Service, unless the Canary names parents of its own.
fn parents(at: &Subject<'_>) -> Vec<Value> {
    if !at.spec.service.gateway_refs.is_empty() {
        return gateway::parents(at);
    }
    vec![json!({"group": "core", "kind": "Service", "name": at.spec.service_name(), "port": at.spec.service.port})]
}

#[cfg(test)]
mod tests {
    use super::super::gateway::tests::stored;
    use super::super::laws::{Case, edited, foreign, keeps};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_route_hangs_from_the_apex_service_unless_told_otherwise() {
        let case = Case::new(json!({"port": 9898, "timeout": "5s", "match": [{"uri": {"prefix": "/api"}}]}), json!({}));
        let route = edited(&Linkerd, &case.at(), None, Traffic::weight(20), stored);
        assert_eq!(route["spec"]["parentRefs"], json!([{"group": "core", "kind": "Service", "name": "web", "port": 9898}]));
        assert_eq!(
            route["spec"]["rules"],
            json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}], "timeouts": {"request": "5s"}, "backendRefs": [
                {"group": "", "kind": "Service", "name": "web-primary", "port": 9898, "weight": 80},
                {"group": "", "kind": "Service", "name": "web-canary", "port": 9898, "weight": 20}]}])
        );
        let gateway = Case::new(json!({"port": 9898, "gatewayRefs": [{"name": "public"}]}), json!({}));
        let route = edited(&Linkerd, &gateway.at(), None, Traffic::PRIMARY, stored);
        assert_eq!(route["spec"]["parentRefs"], json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}]));
    }

    #[test]
    fn requests_are_chosen_by_header_and_cookies_change_nothing() {
        let case = Case::new(json!({"port": 80}), json!({"iterations": 3, "match": [{"headers": {"x": {"exact": "1"}}}]}));
        let route = edited(&Linkerd, &case.at(), None, Traffic::weight(100), stored);
        assert_eq!(route["spec"]["rules"].as_array().map(Vec::len), Some(2));
        assert_eq!(route["spec"]["rules"][1]["backendRefs"].as_array().map(Vec::len), Some(1));
        let sticky = Case::new(json!({"port": 80}), json!({"sessionAffinity": {"cookieName": "c"}})).with_cookies("c=a", "", "c=b");
        let route = edited(&Linkerd, &sticky.at(), None, Traffic::weight(20), stored);
        assert_eq!(route["spec"]["rules"].as_array().map(Vec::len), Some(1));
    }

    proptest! {
        #[test]
        fn any_weight_is_read_back_and_what_is_foreign_stays(weight in 0..=100_i64, next in 0..=100_i64, foreign in foreign()) {
            let case = Case::new(json!({"port": 80}), json!({"stepWeight": 5}));
            let path = json!({"type": "Exact", "value": "/admin"});
            let theirs = json!({"matches": [{"path": path}], "backendRefs": [{"name": "admin", "port": 80}]});
            let live = stored(json!({"metadata": {"name": "web", "labels": {}}, "spec": {"hostnames": ["a"], "rules": [theirs]}}));
            let before = edited(&Linkerd, &case.at(), Some(&live), Traffic::weight(weight), stored);
            prop_assert_eq!(&before["spec"]["rules"][1], &live["spec"]["rules"][0]);
            prop_assert_eq!(&before["spec"]["hostnames"], &json!(["a"]));
            let places = ["", "/metadata", "/metadata/labels", "/metadata/annotations", "/spec", "/spec/rules/0",
                "/spec/rules/0/backendRefs/0", "/spec/rules/0/backendRefs/1", "/spec/rules/1", "/spec/rules/1/backendRefs/0"];
            keeps(&Linkerd, &case.at(), &before, &places, foreign, Traffic::weight(next), stored);
        }
    }
}
