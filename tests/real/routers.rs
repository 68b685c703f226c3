//! Routers on a real API server: their objects are made, shifted and given back, and fields of others stay.

use serde_json::{Value, json};

use crate::bed::{Bed, Cluster};
use crate::program::Home;
use crate::rollout::populate;
use crate::support::{seconds, until_true};

const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/app/httproutes/web";

/// Percent that the canary gets by the `HTTPRoute`.
fn weight(cluster: &Cluster) -> Option<u64> {
    let route = cluster.get(ROUTE)?;
    let backends = route.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array)?;
    backends.iter().find(|backend| backend["name"] == "web-canary")?.get("weight").and_then(Value::as_u64)
}

fn ship(cluster: &Cluster, image: &str) {
    cluster.patch(
        "/apis/apps/v1/namespaces/app/deployments/web",
        &json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}),
    );
}

#[test]
fn linkerd_a_route_is_made_shifted_and_given_back() {
    let bed = Bed::up("--clusters aks:linkerd");
    let aks = bed.cluster("aks");
    let home = Home::new("linkerd", &bed.kubeconfig());
    home.expect(0, &["crds", "--install"]);
    let _daemon = home.daemon(&["--mesh", "linkerd"]);
    let analysis = json!({"interval": "10s", "threshold": 2, "stepWeight": 30, "maxWeight": 60, "metrics": []});
    populate(&aks, "web", "example.com/app:1", &json!({"service": {"port": 80}, "analysis": analysis}));
    until_true(seconds(90), "Initialized", || aks.phase("web") == "Initialized");
    assert_eq!(weight(&aks), Some(0));
    let route = aks.get(ROUTE).expect("the route");
    assert_eq!((&route["spec"]["parentRefs"][0]["kind"], &route["spec"]["parentRefs"][0]["name"]), (&json!("Service"), &json!("web")));
    // Somebody else's field of the same rule. The list has no keys, so that it is written whole, as by hand.
    let mut theirs = route;
    theirs["spec"]["rules"][0]["filters"] =
        json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}]);
    aks.replace(ROUTE, &theirs);
    let filtered =
        || aks.get(ROUTE).is_some_and(|route| route.pointer("/spec/rules/0/filters/0/type") == Some(&json!("RequestHeaderModifier")));
    ship(&aks, "example.com/app:2");
    for expected in [30, 60] {
        until_true(seconds(60), "the next weight", || weight(&aks) == Some(expected));
        assert!(filtered());
    }
    until_true(seconds(90), "Succeeded", || aks.phase("web") == "Succeeded");
    assert_eq!((weight(&aks), aks.image("web-primary").as_str()), (Some(0), "example.com/app:2"));
    assert!(filtered());
}
