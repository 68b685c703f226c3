//! What Gateway API routers write and read, against a small model of the API server: defaults of the CRD, and a controller
//! that accepts every route.

use proptest::prelude::*;

use super::super::laws::{Case, edited, foreign, keeps};
use super::*;

/// `object` as it comes back from a cluster, accepted.
pub fn stored(mut object: Value) -> Value {
    fn fill(object: &mut Value, defaults: &Value) {
        *object = overlay(defaults, object, &[]);
    }
    fn each(object: &mut Value, pointer: &str, change: impl FnMut(&mut Value)) {
        object.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten().for_each(change);
    }
    fn filter(filter: &mut Value) {
        if let Some(backend) = filter.pointer_mut("/requestMirror/backendRef") {
            fill(backend, &json!({"group": "", "kind": "Service"}));
        }
        if let Some(cors) = filter.get_mut("cors") {
            fill(cors, &json!({"maxAge": 5}));
        }
    }
    each(&mut object, "/spec/parentRefs", |parent| fill(parent, &json!({"group": "gateway.networking.k8s.io", "kind": "Gateway"})));
    each(&mut object, "/spec/rules", |rule| {
        let path = json!({"type": "PathPrefix", "value": "/"});
        fill(rule, &json!({"matches": [{"path": path}]}));
        each(rule, "/matches", |one| {
            fill(one, &json!({"path": path}));
            fill(&mut one["path"], &path);
            each(one, "/headers", |test| fill(test, &json!({"type": "Exact"})));
            each(one, "/queryParams", |test| fill(test, &json!({"type": "Exact"})));
        });
        each(rule, "/filters", filter);
        each(rule, "/backendRefs", |backend| {
            fill(backend, &json!({"group": "", "kind": "Service", "weight": 1}));
            each(backend, "/filters", filter);
        });
    });
    object["metadata"]["generation"] = json!(7);
    let condition = json!({"type": "Accepted", "status": "True", "observedGeneration": 7});
    let answers = list(&object, "/spec/parentRefs").iter().map(|parent| json!({"parentRef": parent, "conditions": [condition]}));
    object["status"] = json!({"parents": answers.collect::<Vec<_>>()});
    object
}

fn service(more: Value) -> Value {
    overlay(&json!({"port": 80, "gatewayRefs": [{"name": "public"}]}), &more, &[])
}

fn weights(rule: &Value) -> Vec<(&str, i64)> {
    list(rule, "/backendRefs").iter().map(|b| (text(b, "/name"), b["weight"].as_i64().expect("a weight"))).collect()
}

#[test]
fn a_route_has_all_that_the_canary_says_and_no_default_is_left_out() {
    let case = Case::new(
        service(json!({
            "gatewayRefs": [{"name": "public", "namespace": "infra", "sectionName": "https", "port": 443, "odd": 1},
                {"group": "", "kind": "Service", "name": "web"}],
            "hosts": ["shop.example.com"], "match": [{"headers": {"x-tier": {"exact": "a"}}}], "timeout": "5s", "backendTimeout": "2s",
            "headers": {"request": {"set": {"x": "1"}}}, "mirror": [{"backendRef": {"name": "audit", "port": 1}}],
            "corsPolicy": {"allowOrigin": ["*"]},
            "apex": {"labels": {"team": "shop"}}})),
        json!({}),
    );
    let written = V1.edit(&case.at(), None, Traffic::weight(20)).expect("editable");
    let expected = json!({
        "parentRefs": [
            {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "infra", "sectionName": "https",
                "port": 443},
            {"group": "", "kind": "Service", "name": "web"}],
        "hostnames": ["shop.example.com"],
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}, "headers": [{"type": "Exact", "name": "x-tier", "value": "a"}]}],
            "filters": [
                {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "1"}]}},
                {"type": "RequestMirror", "requestMirror": {"backendRef": {"group": "", "kind": "Service", "name": "audit", "port": 1}}},
                {"type": "CORS", "cors": {"allowOrigins": ["*"], "maxAge": 5}}],
            "timeouts": {"request": "5s", "backendRequest": "2s"},
            "backendRefs": [{"group": "", "kind": "Service", "name": "web-primary", "port": 80, "weight": 80},
                {"group": "", "kind": "Service", "name": "web-canary", "port": 80, "weight": 20}]}]});
    assert_eq!(written["spec"], expected);
    assert_eq!(stored(written.clone())["spec"], expected, "the API server has nothing to add");
    assert_eq!(written["metadata"]["labels"], json!({"team": "shop"}));
    let old = V1BETA1.edit(&case.at(), None, Traffic::weight(20)).expect("editable");
    assert_eq!(old["spec"]["rules"][0].get("timeouts"), None);
    assert_eq!(list(&old, "/spec/rules/0/filters").len(), 2, "no CORS in v1beta1");
}

#[test]
fn requests_that_match_go_to_the_canary_and_all_others_to_the_primary() {
    let case = Case::new(
        service(json!({"match": [{"uri": {"prefix": "/a"}}, {"uri": {"exact": "/b"}, "headers": {"y": {"exact": "2"}}}], "timeout": "5s"})),
        json!({"iterations": 5, "match": [{"headers": {"x": {"regex": "1.*"}}}, {"queryParams": {"q": {"exact": "1"}}}]}),
    );
    let route = edited(&V1, &case.at(), None, Traffic::weight(100), stored);
    let tested = json!([{"type": "RegularExpression", "name": "x", "value": "1.*"}]);
    let (prefix, exact) = (json!({"type": "PathPrefix", "value": "/a"}), json!({"type": "Exact", "value": "/b"}));
    let (own, query) = (json!([{"type": "Exact", "name": "y", "value": "2"}]), json!([{"type": "Exact", "name": "q", "value": "1"}]));
    assert_eq!(
        route["spec"]["rules"][0]["matches"],
        json!([{"path": prefix, "headers": tested}, {"path": exact, "headers": tested}, {"path": prefix, "queryParams": query},
            {"path": exact, "headers": own, "queryParams": query}])
    );
    assert_eq!(weights(&route["spec"]["rules"][0]), [("web-primary", 0), ("web-canary", 100)]);
    let rest = &route["spec"]["rules"][1];
    assert_eq!((weights(rest), &rest["timeouts"]), (vec![("web-primary", 100)], &json!({"request": "5s"})));
    let back = edited(&V1, &case.at(), Some(&route), Traffic::PRIMARY, stored);
    assert_eq!(weights(&back["spec"]["rules"][0]), [("web-primary", 100), ("web-canary", 0)]);
}

#[test]
fn copies_are_made_while_iterations_run_and_at_no_other_time() {
    let mirrored = Traffic { canary: 0, mirrored: true };
    let case = Case::new(service(json!({"mirror": [{"backendRef": {"name": "audit"}}]})), json!({"iterations": 5, "mirror": true}));
    let route = edited(&V1, &case.at(), None, mirrored, stored);
    let names: Vec<_> = list(&route, "/spec/rules/0/filters").iter().map(|f| text(f, "/requestMirror/backendRef/name")).collect();
    assert_eq!(names, ["audit", "web-canary"]);
    let after = edited(&V1, &case.at(), Some(&route), Traffic::weight(100), stored);
    assert_eq!(list(&after, "/spec/rules/0/filters").len(), 1);
    let steps = Case::new(service(json!({})), json!({"stepWeight": 5, "mirror": true}));
    let route = stored(V1.edit(&steps.at(), None, mirrored).expect("editable"));
    assert_eq!(V1.read(&steps.at(), &route), Ok(Some(Traffic::PRIMARY)));
}

#[test]
fn clients_stay_where_their_cookie_says() {
    let analysis = json!({"stepWeight": 5, "interval": "30s", "sessionAffinity": {"cookieName": "c", "primaryCookieName": "p"}});
    let more = json!({"match": [{"uri": {"prefix": "/a"}}], "headers": {"response": {"add": {"x": "1"}}}});
    let case = Case::new(service(more), analysis).with_cookies("c=aa", "p=bb", "c=old");
    let route = edited(&V1, &case.at(), None, Traffic::weight(20), stored);
    let rules = list(&route, "/spec/rules");
    let all: Vec<_> = rules.iter().map(weights).collect();
    let pair = |primary, canary| vec![("web-primary", primary), ("web-canary", canary)];
    assert_eq!(all, [pair(0, 100), pair(100, 0), pair(80, 20)]);
    let shows = |value: &str| {
        let headers = json!([{"type": "RegularExpression", "name": "Cookie", "value": value}]);
        json!([{"path": {"type": "PathPrefix", "value": "/a"}, "headers": headers}])
    };
    assert_eq!((&rules[0]["matches"], &rules[1]["matches"]), (&shows(".*c.*aa.*"), &shows(".*p.*bb.*")));
    let given = |n: usize| text(&rules[2]["backendRefs"][n], "/filters/0/responseHeaderModifier/add/0/value");
    assert_eq!((given(0), given(1)), ("p=bb; Max-Age=30", "c=aa; Max-Age=86400"));

    let old = edited(&V1BETA1, &case.at(), None, Traffic::weight(20), stored);
    assert_eq!(list(&old, "/spec/rules").iter().map(weights).collect::<Vec<_>>(), [pair(0, 100), pair(80, 20)]);
    assert_eq!(old["spec"]["rules"][1]["backendRefs"][0].get("filters"), None);

    let back = edited(&V1, &case.at(), Some(&route), Traffic::PRIMARY, stored);
    let rules = list(&back, "/spec/rules");
    assert_eq!((rules.len(), &rules[0]["matches"]), (2, &shows(".*c.*old.*")));
    let added = json!([{"name": "x", "value": "1"}, {"name": "Set-Cookie", "value": "c=old; Max-Age=-1"}]);
    assert_eq!(rules[0]["filters"], json!([{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": added}}]));
    assert_eq!(rules[1]["backendRefs"][1].get("filters"), None, "the cookie is no longer given");
}

#[test]
fn weights_count_once_the_route_is_accepted_and_are_kept_before() {
    let case = Case::new(service(json!({})), json!({"stepWeight": 5}));
    let mut route = stored(V1.edit(&case.at(), None, Traffic::weight(20)).expect("editable"));
    assert_eq!((V1.read(&case.at(), &route), V1.pending(&case.at(), &route)), (Ok(Some(Traffic::weight(20))), None));
    route["status"]["parents"][0]["conditions"][0]["status"] = json!("False");
    assert!(V1.pending(&case.at(), &route).is_some_and(|e| e.contains("not accepted yet by Gateway prod/public")));
    route.as_object_mut().expect("an object").remove("status");
    assert!(V1.pending(&case.at(), &route).is_some_and(|e| e.contains("not accepted yet by")));
    assert_eq!(V1.read(&case.at(), &route), Ok(Some(Traffic::weight(20))), "its weights are what it asks for");
    assert_eq!(V1.differs(&case.at(), &route), Ok(false), "acceptance is no difference");
    assert_eq!(V1BETA1.pending(&case.at(), &route), None);

    let changed = Case::new(service(json!({"timeout": "9s"})), json!({"stepWeight": 5}));
    assert_eq!(V1.differs(&changed.at(), &route), Ok(true));
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(0);
    assert!(V1.read(&case.at(), &route).is_err_and(|e| e.contains("HTTPRoute web: weights 0 and 20 do not add up")));
    assert_eq!(V1.read(&case.at(), &json!({"spec": {"parentRefs": [{"name": "public"}]}})), Ok(None), "nothing of ours to accept");
}

#[test]
fn rules_filters_and_backends_of_others_are_told_from_ours() {
    let case = Case::new(service(json!({})), json!({"stepWeight": 5}));
    let admin =
        json!({"matches": [{"path": {"type": "Exact", "value": "/admin"}}], "backendRefs": [{"name": "web-canary", "namespace": "other"}]});
    let external = json!({"type": "ExtensionRef", "extensionRef": {"group": "x", "kind": "Y", "name": "z"}});
    let stale = json!({"type": "URLRewrite", "urlRewrite": {"hostname": "old"}});
    let ours = json!({"name": "r", "retry": {"attempts": 2}, "filters": [stale, external], "timeouts": {"request": "1s"},
        "backendRefs": [{"name": "web-canary", "weight": 10, "filters": [external]}, {"name": "web-primary", "weight": 90}]});
    let live = json!({"metadata": {"annotations": {"aws": "1"}}, "spec": {"hostnames": ["old"], "rules": [admin, ours]}});
    let before = stored(live.clone());
    let out = edited(&V1, &case.at(), Some(&before), Traffic::weight(40), stored);
    let rules = list(&out, "/spec/rules");
    assert_eq!((rules.len(), &rules[1]), (2, &before["spec"]["rules"][0]));
    assert_eq!((&rules[0]["name"], &rules[0]["retry"]["attempts"], &rules[0]["filters"]), (&json!("r"), &json!(2), &json!([external])));
    assert_eq!((weights(&rules[0]), rules[0].get("timeouts")), (vec![("web-primary", 60), ("web-canary", 40)], None));
    assert_eq!(rules[0]["backendRefs"][1]["filters"], json!([external]));
    assert_eq!((out["metadata"]["annotations"]["aws"].as_str(), out["spec"].get("hostnames")), (Some("1"), None));
    let old = edited(&V1BETA1, &case.at(), Some(&before), Traffic::weight(40), stored);
    assert_eq!(old["spec"]["rules"][0]["timeouts"], json!({"request": "1s"}), "not ours in v1beta1");
}

#[test]
fn what_an_httproute_cannot_do_is_a_mistake() {
    let one = |matches: Value| json!({"iterations": 1, "match": [matches]});
    for (service, analysis, part) in [
        (json!({"port": 80}), json!({}), "gatewayRefs is empty"),
        (service(json!({"gatewayRefs": [{"name": "a"}, {}]})), json!({}), "gatewayRefs[1] has no name"),
        (service(json!({"match": [{"uri": {"suffix": "x"}}]})), json!({}), "spec.service.match[0].uri"),
        (service(json!({})), one(json!({"sourceLabels": {"a": "b"}})), "spec.analysis.match[0].sourceLabels"),
        (service(json!({})), one(json!({})), "has no condition"),
        (service(json!({})), one(json!({"headers": {"x": {"prefix": "1"}}})), "spec.analysis.match[0].headers"),
        (
            service(json!({})),
            json!({"match": [{"headers": {"x": {"exact": "1"}}}], "sessionAffinity": {"cookieName": "c"}}),
            "exclude each other",
        ),
    ] {
        let case = Case::new(service, analysis);
        assert!(V1.mistake(&case.at()).is_some_and(|m| m.contains(part)), "{part}");
    }
    let prefix = Case::new(service(json!({})), one(json!({"headers": {"x": {"prefix": "1"}}})));
    assert!(V1.edit(&prefix.at(), None, Traffic::PRIMARY).is_err_and(|e| e.contains("match[0].headers")));
}

/// A Canary of each strategy, and whether it can mirror.
fn cases() -> impl Strategy<Value = (Case, bool)> {
    let headers = json!({"request": {"add": {"a": "1"}}, "response": {"add": {"b": "2"}}});
    let matches = json!([{"uri": {"prefix": "/a"}}, {"headers": {"y": {"exact": "2"}}}]);
    prop::sample::select(vec![
        (Case::new(service(json!({"timeout": "5s"})), json!({"stepWeight": 5})), false),
        (Case::new(service(json!({"headers": headers, "match": matches})), json!({"iterations": 5, "mirror": true})), true),
        (Case::new(service(json!({"match": matches})), json!({"iterations": 5, "match": [{"headers": {"x": {"exact": "1"}}}]})), false),
        (
            Case::new(
                service(json!({"headers": headers, "match": matches})),
                json!({"stepWeight": 5, "sessionAffinity": {"cookieName": "c", "primaryCookieName": "p"}}),
            )
            .with_cookies("c=aa", "p=bb", "c=old"),
            false,
        ),
    ])
}

proptest! {
    #[test]
    fn any_traffic_is_read_back_and_what_is_foreign_stays(
        (case, mirrors) in cases(), old in any::<bool>(),
        from in (0..=100_i64, any::<bool>()), to in (0..=100_i64, any::<bool>()), foreign in foreign(),
    ) {
        let router = if old { &V1BETA1 } else { &V1 };
        let traffic = |(canary, mirrored): (i64, bool)| Traffic { canary, mirrored: mirrored && mirrors };
        let theirs = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"rules": [
            {"name": "one", "backendRefs": [{"name": "admin"}]},
            {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}]}});
        let theirs = stored(theirs);
        let before = edited(router, &case.at(), Some(&theirs), traffic(from), stored);
        let ours = list(&before, "/spec/rules").len() - 2;
        prop_assert_eq!(&before["spec"]["rules"].as_array().expect("rules")[ours..], list(&theirs, "/spec/rules"));
        // The weighted rule has another place after a change of cookies, and those before it come and go.
        let main = list(&before, "/spec/rules").iter().rposition(|rule| weights(rule).len() == 2).expect("ours");
        let (rule, backend) = (format!("/spec/rules/{main}"), format!("/spec/rules/{main}/backendRefs/1"));
        let stays = if case.spec.analysis.session_affinity.is_some() { from.0 == 0 && to.0 == 0 || from.0 > 0 && to.0 > 0 } else { true };
        let mut places = vec!["", "/metadata", "/metadata/labels", "/metadata/annotations", "/spec"];
        if stays {
            places.extend([rule.as_str(), backend.as_str()]);
        }
        keeps(router, &case.at(), &before, &places, foreign, traffic(to), stored);
    }
}
