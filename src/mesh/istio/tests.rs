//! What Istio's router writes, reads and gives back.

use proptest::prelude::*;

use super::super::laws::{Case, edited, foreign, keeps};
use super::*;

/// Istio's CRDs have no defaults.
fn stored(object: Value) -> Value {
    object
}

fn weights(rule: &Value) -> Vec<(&str, i64)> {
    list(rule, "/route").iter().map(|d| (text(d, "/destination/host"), d["weight"].as_i64().expect("a weight"))).collect()
}

fn pair_of(primary: i64, canary: i64) -> Vec<(&'static str, i64)> {
    vec![("web-primary", primary), ("web-canary", canary)]
}

#[test]
fn hosts_gateways_and_ports_follow_flaggers_rules() {
    let route = |service: Value| edited(&Istio, &Case::new(service, json!({})).at(), None, Traffic::PRIMARY, stored)["spec"].take();
    let mesh = route(json!({"port": 80, "portDiscovery": true, "hosts": ["shop.example.com"]}));
    assert_eq!((&mesh["hosts"], &mesh["gateways"]), (&json!(["shop.example.com", "web"]), &json!(["mesh"])));
    assert_eq!(mesh.pointer("/http/0/route/0/destination/port"), None);
    let gateway = route(json!({"port": 80, "portDiscovery": true, "gateways": ["public", "mesh"], "hosts": ["*"]}));
    assert_eq!((&gateway["hosts"], &gateway["gateways"]), (&json!(["*"]), &json!(["public", "mesh"])));
    assert_eq!(gateway.pointer("/http/0/route/0/destination/port/number"), Some(&json!(80)));
    let delegate = route(json!({"port": 80, "portDiscovery": true, "delegation": true}));
    assert!(delegate.get("hosts").is_none() && delegate.get("gateways").is_none());
    assert!(delegate.pointer("/http/0/route/1/destination/port").is_some());
}

#[test]
fn a_route_has_all_that_the_canary_says() {
    let service = json!({"port": 80, "match": [{"uri": {"prefix": "/"}}], "timeout": "5s", "retries": {"attempts": 3},
        "corsPolicy": {"maxAge": "1h"}, "headers": {"request": {"add": {"x": "1"}}},
        "rewrite": {"uri": "/new", "type": "ReplacePrefixMatch"}, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}});
    let case = Case::new(service, json!({}));
    let route = edited(&Istio, &case.at(), None, Traffic::weight(20), stored);
    assert_eq!(
        route["spec"]["http"],
        json!([{"match": [{"uri": {"prefix": "/"}}], "timeout": "5s", "retries": {"attempts": 3}, "corsPolicy": {"maxAge": "1h"},
            "headers": {"request": {"add": {"x": "1"}}}, "rewrite": {"uri": "/new"},
            "route": [{"destination": {"host": "web-primary"}, "weight": 80}, {"destination": {"host": "web-canary"}, "weight": 20}]}])
    );
    let rules = Istio.companions(&case.at()).expect("companions");
    let names: Vec<_> = rules.iter().map(|c| (c.at.kind, c.at.name.as_str())).collect();
    assert_eq!(names, [(Kind::DestinationRule, "web-canary"), (Kind::DestinationRule, "web-primary")]);
    assert_eq!(rules[1].body, json!({"spec": {"host": "web-primary", "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}}));
}

#[test]
fn requests_that_match_go_to_the_canary_and_all_others_to_the_primary() {
    let service = json!({"port": 80, "match": [{"uri": {"prefix": "/a"}, "headers": {"y": {"exact": "2"}}}, {"uri": {"exact": "/b"}}]});
    let conditions = json!([{"headers": {"x": {"exact": "1"}}}, {"headers": {}, "sourceLabels": {"app": "test"}}]);
    let case = Case::new(service.clone(), json!({"iterations": 5, "match": conditions}));
    let route = edited(&Istio, &case.at(), None, Traffic::weight(100), stored);
    let (x, y, label) = (json!({"x": {"exact": "1"}}), json!({"y": {"exact": "2"}}), json!({"app": "test"}));
    assert_eq!(
        route["spec"]["http"][0]["match"],
        json!([{"uri": {"prefix": "/a"}, "headers": x}, {"uri": {"exact": "/b"}, "headers": x},
            {"uri": {"prefix": "/a"}, "headers": y, "sourceLabels": label}, {"uri": {"exact": "/b"}, "sourceLabels": label}])
    );
    assert_eq!(weights(&route["spec"]["http"][0]), pair_of(0, 100));
    let rest = &route["spec"]["http"][1];
    assert_eq!((&rest["match"], weights(rest)), (&service["match"], vec![("web-primary", 0)]));
    let back = edited(&Istio, &case.at(), Some(&route), Traffic::PRIMARY, stored);
    assert_eq!(weights(&back["spec"]["http"][0]), pair_of(100, 0));
    let everywhere = Case::new(json!({"port": 80}), json!({"iterations": 5, "match": conditions}));
    let route = edited(&Istio, &everywhere.at(), None, Traffic::PRIMARY, stored);
    let alone = json!([{"headers": x}, {"sourceLabels": label}]);
    assert_eq!((&route["spec"]["http"][0]["match"], route["spec"]["http"][1].get("match")), (&alone, None));
}

#[test]
fn copies_go_to_the_canary_in_the_part_asked_for() {
    let mirrored = Traffic { canary: 0, mirrored: true };
    let whole = Case::new(json!({"port": 80}), json!({"stepWeight": 5, "mirror": true}));
    let route = edited(&Istio, &whole.at(), None, mirrored, stored);
    let rule = &route["spec"]["http"][0];
    assert_eq!((&rule["mirror"], rule.get("mirrorPercentage")), (&json!({"host": "web-canary"}), None));
    let part = Case::new(json!({"port": 80}), json!({"stepWeight": 5, "mirror": true, "mirrorWeight": 30}));
    let route = edited(&Istio, &part.at(), Some(&route), mirrored, stored);
    assert_eq!(route["spec"]["http"][0]["mirrorPercentage"], json!({"value": 30}));
    let after = edited(&Istio, &part.at(), Some(&route), Traffic::weight(5), stored);
    assert!(after["spec"]["http"][0].get("mirror").is_none() && after["spec"]["http"][0].get("mirrorPercentage").is_none());
}

#[test]
fn tcp_is_matched_by_port_and_takes_the_place_of_http() {
    let http = Case::new(json!({"port": 3306}), json!({}));
    let mut live = edited(&Istio, &http.at(), None, Traffic::weight(10), stored);
    let theirs = json!({"name": "theirs", "route": [{"destination": {"host": "other"}}]});
    live["spec"]["http"].as_array_mut().expect("routes").push(theirs.clone());
    let tcp = Case::new(json!({"port": 3306, "appProtocol": "TCP", "match": [{"port": 3306}]}), json!({}));
    assert_eq!(Istio.read(&tcp.at(), &live), Ok(Some(Traffic::weight(10))), "where it goes until the route is written");
    let route = edited(&Istio, &tcp.at(), Some(&live), Traffic::weight(30), stored);
    assert_eq!((&route["spec"]["tcp"][0]["match"], weights(&route["spec"]["tcp"][0])), (&json!([{"port": 3306}]), pair_of(70, 30)));
    assert_eq!(route["spec"]["http"], json!([theirs]));
    assert_eq!(Istio.weights_at(&tcp.at()), ["spec", "tcp"]);
    let back = edited(&Istio, &http.at(), Some(&route), Traffic::weight(10), stored);
    assert_eq!((&back["spec"]["tcp"], weights(&back["spec"]["http"][0])), (&json!([]), pair_of(90, 10)));
}

#[test]
fn clients_stay_where_their_cookie_says() {
    let service =
        json!({"port": 80, "match": [{"uri": {"prefix": "/a"}, "headers": {"y": {}}}], "headers": {"response": {"add": {"x": "1"}}}});
    let analysis =
        json!({"stepWeight": 5, "interval": "30s", "sessionAffinity": {"cookieName": "c", "primaryCookieName": "p", "secure": true}});
    let case = Case::new(service, analysis).with_cookies("c=aa", "p=bb", "c=old");
    let route = edited(&Istio, &case.at(), None, Traffic::weight(20), stored);
    let rules = list(&route, "/spec/http");
    assert_eq!(rules.iter().map(weights).collect::<Vec<_>>(), [pair_of(0, 100), pair_of(100, 0), pair_of(80, 20)]);
    let shows = |value: &str| json!([{"uri": {"prefix": "/a"}, "headers": {"Cookie": {"regex": value}}}]);
    assert_eq!((&rules[0]["match"], &rules[1]["match"]), (&shows(".*c.*aa.*"), &shows(".*p.*bb.*")));
    let given = |n: usize| text(&rules[2]["route"][n], "/headers/response/add/Set-Cookie");
    assert_eq!((given(0), given(1)), ("p=bb; Max-Age=30; Secure", "c=aa; Max-Age=86400; Secure"));

    let mut live = route.clone();
    live["spec"]["http"][0]["fault"] = json!("of a rule that goes");
    live["spec"]["http"][2]["fault"] = json!("of the weighted rule");
    let back = edited(&Istio, &case.at(), Some(&live), Traffic { canary: 0, mirrored: true }, stored);
    assert_eq!((back["spec"]["http"][0].get("fault"), &back["spec"]["http"][1]["fault"]), (None, &live["spec"]["http"][2]["fault"]));
    let rules = list(&back, "/spec/http");
    assert_eq!((rules.len(), &rules[0]["match"], weights(&rules[0])), (2, &shows(".*c.*old.*"), pair_of(100, 0)));
    assert_eq!(rules[0]["headers"], json!({"response": {"add": {"x": "1", "Set-Cookie": "c=old; Max-Age=-1"}}}));
    assert_eq!(rules[1]["headers"], json!({"response": {"add": {"x": "1"}}}));
    assert_eq!((rules[1]["route"][1].get("headers"), rules[0].get("mirror"), rules[1].get("mirror").is_some()), (None, None, true));
}

#[test]
fn weights_that_do_not_add_up_are_never_taken_for_a_weight() {
    let case = Case::new(json!({"port": 80}), json!({}));
    let mut live = edited(&Istio, &case.at(), None, Traffic::weight(20), stored);
    live["spec"]["http"][0]["route"][0]["weight"] = json!(0);
    let why = "VirtualService web: weights 0 and 20 do not add up to 100; correct them, or delete the object";
    assert_eq!(Istio.read(&case.at(), &live), Err(why.into()));
    assert_eq!(Istio.read(&case.at(), &json!({"spec": {}})), Ok(None));
    let full = json!({"spec": {"http": [{"route": [{"destination": {"host": "web-primary.prod.svc.cluster.local"}, "weight": 75},
        {"destination": {"host": "web-canary.prod"}, "weight": 25}]}]}});
    assert_eq!(Istio.read(&case.at(), &full), Ok(Some(Traffic::weight(25))));
    for host in ["web-canary.other", "web-canary.prod2", "web-canary.prod.example.com", ".prod", ""] {
        assert_eq!(service(host, "prod").filter(|name| *name == "web-canary" || name.is_empty()), None, "{host}");
    }
}

#[test]
fn what_was_there_before_is_remembered_and_given_back() {
    let case = Case::new(json!({"port": 80}), json!({}));
    let before = json!({"metadata": {"name": "web", "annotations": {"note": "n"}},
        "spec": {"hosts": ["web"], "exportTo": ["."], "http": [{"route": [{"destination": {"host": "web"}}]}]}});
    let ours = edited(&Istio, &case.at(), Some(&before), Traffic::weight(20), stored);
    assert_eq!(ours["spec"]["exportTo"], json!(["."]));
    assert_eq!(ours["spec"]["http"][1], before["spec"]["http"][0]);
    assert_eq!(Istio.restore(&case.at(), &ours), Restore::Write(before.clone()));
    let later = edited(&Istio, &case.at(), Some(&ours), Traffic::weight(40), stored);
    assert_eq!(Istio.restore(&case.at(), &later), Restore::Write(before.clone()), "remembered once");

    let mut applied = before.clone();
    let manifest = json!({"metadata": {"annotations": {TOOLKIT[0].0: "disabled"}}, "spec": {"hosts": ["applied"]}});
    applied["metadata"]["annotations"][LAST_APPLIED] = json!(manifest.to_string());
    let ours = edited(&Istio, &case.at(), Some(&applied), Traffic::PRIMARY, stored);
    assert_eq!(annotation(&ours, ORIGINAL), None);
    let Restore::Write(back) = Istio.restore(&case.at(), &ours) else { panic!("nothing to write") };
    assert_eq!(
        (&back["spec"], annotation(&back, TOOLKIT[0].0), annotation(&back, TOOLKIT[1].0)),
        (&json!({"hosts": ["applied"]}), Some("disabled"), None)
    );

    let mut made = edited(&Istio, &case.at(), None, Traffic::PRIMARY, stored);
    assert_eq!(Istio.restore(&case.at(), &made), Restore::Leave);
    made["metadata"]["ownerReferences"] = json!([{"kind": "Canary", "name": "web"}]);
    made["spec"]["http"] = json!([]);
    let again = Istio.edit(&case.at(), Some(&made), Traffic::PRIMARY).expect("editable");
    assert_eq!(annotation(&again, ORIGINAL), None, "our own object was never anybody's");
    made["metadata"]["annotations"][ORIGINAL] = json!("{\"hosts\":[]}");
    assert_eq!(Istio.restore(&case.at(), &made), Restore::Leave);
    let broken = json!({"metadata": {"annotations": {ORIGINAL: "{"}}});
    assert_eq!(Istio.restore(&case.at(), &broken), Restore::Leave);
}

#[test]
fn what_cannot_be_honoured_is_a_mistake() {
    let tcp = |more: Value| overlay(&json!({"port": 80, "appProtocol": "tcp"}), &more, &[]);
    for (service, analysis, part) in [
        (json!({"port": 80, "delegation": true, "hosts": ["a"]}), json!({}), "delegation"),
        (json!({"port": 80, "delegation": true, "gateways": ["a"]}), json!({}), "delegation"),
        (tcp(json!({})), json!({"match": [{"headers": {"x": {}}}]}), "spec.analysis.match needs HTTP"),
        (tcp(json!({})), json!({"mirror": true}), "spec.analysis.mirror needs HTTP"),
        (tcp(json!({})), json!({"sessionAffinity": {"cookieName": "c"}}), "spec.analysis.sessionAffinity needs HTTP"),
        (tcp(json!({"match": [{"port": 80}, {"uri": {"prefix": "/"}, "port": 81}]})), json!({}), "spec.service.match[1]"),
        (tcp(json!({"match": [{}]})), json!({}), "spec.service.match[0]"),
        (json!({"port": 80}), json!({"match": [{"uri": {"prefix": "/"}}]}), "spec.analysis.match[0].uri"),
        (json!({"port": 80}), json!({"match": [{"headers": {"x": {}}}], "sessionAffinity": {"cookieName": "c"}}), "exclude each other"),
    ] {
        let case = Case::new(service, analysis);
        assert!(Istio.mistake(&case.at()).is_some_and(|m| m.contains(part)), "{part}");
    }
}

/// A Canary of each strategy, and whether it can mirror.
fn cases() -> impl Strategy<Value = (Case, bool)> {
    let service = json!({"port": 80, "timeout": "5s", "match": [{"uri": {"prefix": "/a"}}], "headers": {"response": {"add": {"b": "2"}}}});
    let affinity = json!({"stepWeight": 5, "sessionAffinity": {"cookieName": "c", "primaryCookieName": "p"}});
    prop::sample::select(vec![
        (Case::new(json!({"port": 80}), json!({"stepWeight": 5, "mirrorWeight": 10})), true),
        (Case::new(json!({"port": 80, "delegation": true}), json!({"iterations": 5})), true),
        (Case::new(service.clone(), json!({"iterations": 5, "match": [{"headers": {"x": {"exact": "1"}}}]})), true),
        (Case::new(service, affinity).with_cookies("c=aa", "p=bb", "c=old"), true),
        (Case::new(json!({"port": 80, "appProtocol": "tcp"}), json!({"stepWeight": 5})), false),
    ])
}

proptest! {
    #[test]
    fn any_traffic_is_read_back_and_what_is_foreign_stays(
        (case, mirrors) in cases(), from in (0..=100_i64, any::<bool>()), to in (0..=100_i64, any::<bool>()), foreign in foreign(),
    ) {
        let field = layers(&case.spec)[0].0;
        let traffic = |(canary, mirrored): (i64, bool)| Traffic { canary, mirrored: mirrored && mirrors };
        let theirs = json!([{"name": "one", "route": [{"destination": {"host": "admin"}}]}, {"redirect": {"uri": "/"}}]);
        let live = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"exportTo": ["."], "tls": [1], field: theirs}});
        let before = edited(&Istio, &case.at(), Some(&live), traffic(from), stored);
        let rules = list(&before, &format!("/spec/{field}"));
        prop_assert_eq!(&rules[rules.len() - 2..], theirs.as_array().expect("a list").as_slice());
        prop_assert_eq!((&before["spec"]["exportTo"], &before["spec"]["tls"]), (&live["spec"]["exportTo"], &live["spec"]["tls"]));
        // The weighted rule has another place after a change of cookies, and those before it come and go.
        let main = rules.iter().rposition(|rule| list(rule, "/route").len() == 2).expect("ours");
        let rule = format!("/spec/{field}/{main}");
        let (primary, host) = (format!("{rule}/route/0"), format!("{rule}/route/1/destination"));
        let stays = case.spec.analysis.session_affinity.is_none() || (from.0 == 0) == (to.0 == 0);
        let mut places = vec!["", "/metadata", "/metadata/labels", "/metadata/annotations", "/spec"];
        if stays {
            places.extend([rule.as_str(), primary.as_str(), host.as_str()]);
        }
        keeps(&Istio, &case.at(), &before, &places, foreign, traffic(to), stored);
    }
}
