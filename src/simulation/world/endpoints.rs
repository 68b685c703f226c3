//! `EndpointSlices` of Services with selectors, from the ready pods behind them, some time after these changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::agenda::Part;
use super::replicasets::Pods;
use super::view::{Key, Resource};
use crate::kubernetes::json::{items, strings, text};

const MANAGED_BY: &str = "endpointslice-controller.k8s.io";

impl World {
    /// Looks again at the Services of a namespace in a while.
    pub(super) fn endpoints_later(&mut self, at: Timestamp, key: &Key) {
        let wait = self.options.endpoints.draw(&mut self.rng);
        self.agenda.at(at + wait, Part::Endpoints, &key.beside(""));
    }

    pub(super) fn sync_endpoints(&mut self, at: Timestamp, key: &Key) {
        let services: Vec<(Key, Value)> = self
            .view
            .within(Resource::Services, &key.namespace)
            .filter(|(_, service)| !strings(service, "/spec/selector").is_empty())
            .map(|(key, service)| (key.clone(), self.slice(at, service)))
            .collect();
        let mut failed = false;
        for (service, slice) in &services {
            let content = (slice["endpoints"].clone(), slice["ports"].clone());
            if self.slices.get(service) != Some(&content) {
                let written = self.write_slice(service, slice);
                failed |= !written;
                if written {
                    self.slices.insert(service.clone(), content);
                }
            }
        }
        let (view, namespace) = (&self.view, &key.namespace);
        self.slices.retain(|service, _| service.namespace != *namespace || view.get(Resource::Services, service).is_some());
        if failed { self.agenda.retry(at, Part::Endpoints, key) } else { self.agenda.succeeded(Part::Endpoints, key) }
    }

    fn slice(&self, at: Timestamp, service: &Value) -> Value {
        let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
        let selector = strings(service, "/spec/selector");
        let behind: Vec<&Pods> = self.pods_behind(namespace, &selector).map(|(_, pods)| pods).collect();
        let endpoints: Vec<Value> = behind
            .iter()
            .flat_map(|pods| pods.live.iter().map(|pod| endpoint(namespace, &pod.name, &pod.address, pod.ready, at)))
            .collect();
        let named = behind.first().map(|pods| &pods.ports);
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": slice_name(name), "namespace": namespace,
                "labels": {"endpointslice.kubernetes.io/managed-by": MANAGED_BY, "kubernetes.io/service-name": name},
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Service", "name": name, "uid": text(service, "/metadata/uid"),
                    "controller": true, "blockOwnerDeletion": true
                }]
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": items(service, "/spec/ports").filter_map(|port| slice_port(port, named)).collect::<Vec<_>>()
        })
    }

    fn write_slice(&self, service: &Key, slice: &Value) -> bool {
        let collection = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", service.namespace);
        let name = slice_name(&service.name);
        match self.server.object("endpointslices.discovery.k8s.io", &service.namespace, &name) {
            None => self.create(&collection, slice),
            Some(live) => {
                let mut object = (*live).clone();
                for field in ["endpoints", "ports"] {
                    object[field] = slice[field].clone();
                }
                object["metadata"]["ownerReferences"] = slice["metadata"]["ownerReferences"].clone();
                self.put(&format!("{collection}/{name}"), &object)
            }
        }
    }

    /// The sets of pods that a selector finds in a namespace.
    pub(super) fn pods_behind<'a>(
        &'a self,
        namespace: &'a str,
        selector: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = (&'a Key, &'a Pods)> {
        let from = Key::new(namespace, "");
        self.pods.range(from..).take_while(move |(key, _)| *key.namespace == *namespace).filter(move |(_, pods)| pods.selected_by(selector))
    }
}

/// The real controller draws the suffix; one slice holds all endpoints here, so that a constant will do.
fn slice_name(service: &str) -> String {
    format!("{service}-slice")
}

fn endpoint(namespace: &str, pod: &str, address: &str, ready: Option<Timestamp>, at: Timestamp) -> Value {
    let ready = ready.is_some_and(|ready| ready <= at);
    json!({
        "addresses": [address],
        "conditions": {"ready": ready, "serving": ready, "terminating": false},
        "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod}
    })
}

/// A Service's port with the number that pods listen on; none where no pod has a port of that name.
fn slice_port(port: &Value, named: Option<&BTreeMap<String, i64>>) -> Option<Value> {
    let number = match port.get("targetPort") {
        Some(Value::String(name)) => json!(named?.get(name)?),
        Some(number) if number.as_i64() != Some(0) => number.clone(),
        _ => port.get("port")?.clone(),
    };
    let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
    Some(json!({"name": text(port, "/name"), "protocol": protocol, "port": number}))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    fn addresses(bench: &Bench, service: &str) -> Vec<(bool, String)> {
        let slice = bench.server.object("endpointslices.discovery.k8s.io", "test", &slice_name(service)).expect("a slice");
        items(&slice, "/endpoints").map(|e| (e["conditions"]["ready"] == true, text(e, "/targetRef/name").to_owned())).collect()
    }

    #[test]
    fn slices_follow_the_pods_behind_a_service() {
        let mut bench = Bench::new();
        bench.deployment("web", 2, "podinfo:6.0.0");
        bench.service("web", "web");
        bench.run(1);
        assert!(addresses(&bench, "web").iter().all(|(ready, _)| !ready));
        bench.run(5);
        let all = addresses(&bench, "web");
        assert_eq!(all.iter().filter(|(ready, name)| *ready && name.starts_with("web-")).count(), 2, "{all:?}");
        bench.patch("/apis/apps/v1/namespaces/test/deployments/web", &json!({"spec": {"replicas": 0}}));
        bench.run(3);
        assert!(addresses(&bench, "web").is_empty());
    }

    #[test]
    fn target_ports_are_numbers_in_a_slice() {
        let named: BTreeMap<String, i64> = [("http".to_owned(), 9898)].into();
        let number = |port: Value, named| slice_port(&port, named).map(|p| p["port"].clone());
        assert_eq!(number(json!({"port": 80, "targetPort": "http"}), Some(&named)), Some(json!(9898)));
        assert_eq!(number(json!({"port": 80, "targetPort": "http"}), None), None);
        assert_eq!(number(json!({"port": 80, "targetPort": 8080}), None), Some(json!(8080)));
        assert_eq!(number(json!({"port": 80}), None), Some(json!(80)));
    }
}
