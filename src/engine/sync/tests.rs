use serde_json::json;

use super::*;

fn object(api_version: &str, kind: &str, namespace: &str, name: &str) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

fn canary(service: Option<&str>) -> Value {
    let mut canary = object("flagger.app/v1beta1", "Canary", "app", "web");
    canary["spec"] = json!({"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "service": {"port": 80}});
    if let Some(name) = service {
        canary["spec"]["service"]["name"] = json!(name);
    }
    canary
}

#[test]
fn ids_are_flux_s_and_come_back() {
    for (api_version, kind, namespace, name, id) in [
        ("v1", "Service", "default", "podinfo", "default_podinfo__Service"),
        ("apps/v1", "Deployment", "default", "podinfo", "default_podinfo_apps_Deployment"),
        ("v1", "Namespace", "", "app", "_app__Namespace"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "system:x:y", "_system__x__y_rbac.authorization.k8s.io_ClusterRole"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "a.b.c", "_a.b.c_apiextensions.k8s.io_CustomResourceDefinition"),
    ] {
        let entry = InventoryEntry::of(&object(api_version, kind, namespace, name));
        assert_eq!(entry.id(), id);
        assert_eq!(InventoryEntry::parse(id, &entry.version).expect(id), entry);
        let json = serde_json::to_value(&entry).expect("written");
        assert_eq!(json, json!({"id": id, "v": group_version(api_version).1}));
        assert_eq!(serde_json::from_value::<InventoryEntry>(json).expect("read"), entry);
    }
    for bad in ["", "a", "a_b", "a_b_c", "a___", "__ _"] {
        let parsed = InventoryEntry::parse(bad, "v1");
        assert!(parsed.is_err() || bad == "__ _", "{bad}: {parsed:?}");
    }
}

#[test]
fn order_is_definitions_classes_rest() {
    let names = [
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ("flagger.app/v1beta1", "Canary"),
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("v1", "ConfigMap"),
        ("v1", "Namespace"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
        ("example.com/v1", "SpecialClass"),
    ];
    let objects: Vec<Desired> = names.iter().map(|(version, kind)| object(version, kind, "", "x").into()).collect();
    let told: Vec<(StageKind, Vec<String>)> =
        order(objects.clone()).into_iter().map(|stage| (stage.kind, stage.resources.iter().map(|d| d.entry().kind).collect())).collect();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (StageKind::Definitions, words(&["CustomResourceDefinition", "Namespace", "ClusterRole"])),
            (StageKind::Classes, words(&["StorageClass", "SpecialClass"])),
            (
                StageKind::Rest,
                words(&[
                    "ConfigMap",
                    "Service",
                    "Deployment",
                    "HorizontalPodAutoscaler",
                    "Canary",
                    "MutatingWebhookConfiguration",
                    "ValidatingWebhookConfiguration"
                ])
            ),
        ]
    );
    let all = inventory(&objects);
    let mut applied: Vec<String> = told.into_iter().flat_map(|(_, kinds)| kinds).collect();
    applied.reverse();
    assert_eq!(stale(&all, &[]).into_iter().map(|entry| entry.kind).collect::<Vec<_>>(), applied);
}

#[test]
fn stale_looks_at_ids_and_not_at_versions() {
    let old = [
        InventoryEntry::of(&object("autoscaling/v1", "HorizontalPodAutoscaler", "a", "x")),
        InventoryEntry::of(&object("v1", "Secret", "a", "x")),
    ];
    let new = [InventoryEntry::of(&object("autoscaling/v2", "HorizontalPodAutoscaler", "a", "x"))];
    assert_eq!(stale(&old, &new), [old[1].clone()]);
    assert_eq!(union(&old, &new), [old[1].clone(), new[0].clone()]);
}

#[test]
fn what_cannot_be_named_is_refused_all_at_once() {
    let mut generated = object("v1", "Pod", "a", "");
    generated["metadata"] = json!({"generateName": "x-"});
    let good = object("v1", "Secret", "a", "x");
    let objects = [
        good.clone(),
        good,
        json!({"kind": "Pod", "metadata": {"name": "a"}}),
        json!("text"),
        generated,
        object("v1", "Namespace", "a", "a"),
    ];
    let refused: Vec<String> = check(&objects).expect_err("refused").iter().map(ToString::to_string).collect();
    let told = refused.join("\n");
    for words in
        ["Secret/a/x: it is there twice", "Pod/a: it has no apiVersion", "object 4", "generateName", "Namespace/a/a: a Namespace lies"]
    {
        assert!(told.contains(words), "{words}\n{told}");
    }
    assert_eq!(check(&objects[..1]), Ok(()));
}

#[test]
fn the_engine_s_fields_count_only_at_creation() {
    let mut deployment = object("apps/v1", "Deployment", "app", "web");
    deployment["spec"] = json!({"replicas": 3, "paused": false});
    let mut service = object("v1", "Service", "app", "web");
    service["spec"] = json!({"selector": {"app": "web"}, "ports": []});
    let mut other = deployment.clone();
    other["metadata"]["namespace"] = json!("elsewhere");
    let route = object("networking.istio.io/v1", "VirtualService", "app", "web");
    let set = vec![canary(None), deployment.clone(), service, other.clone(), route.clone()];
    let left = leave_out(set, &EngineOwned::default());
    assert_eq!(left.desired.len(), 4);
    assert_eq!(
        (left.desired[1].held.as_slice(), left.desired[1].stripped()["spec"].clone()),
        (&["/spec/replicas"][..], json!({"paused": false}))
    );
    assert_eq!(left.desired[1].object, deployment);
    assert_eq!(left.desired[2].stripped()["spec"], json!({"ports": []}));
    assert_eq!((left.desired[3].held.len(), &left.desired[3].object), (0, &other));
    assert_eq!(left.whole, [InventoryEntry::of(&route)]);
    assert_eq!(left.notes.len(), 3);
    assert!(left.notes[2].contains("VirtualService/app/web is not applied"), "{:?}", left.notes);

    // The route is kept in the inventory where it was, and not claimed where it was not.
    assert!(!left.inventory(&[]).contains(&InventoryEntry::of(&route)));
    let old = [InventoryEntry::of(&route)];
    assert!(left.inventory(&old).contains(&old[0]));
    assert!(stale(&old, &left.inventory(&old)).is_empty());
}

#[test]
fn live_canaries_claim_too_and_the_service_may_have_a_name_of_its_own() {
    let live = [canary(Some("front"))];
    let mut front = object("v1", "Service", "app", "front");
    front["spec"] = json!({"selector": {"app": "web"}});
    let mut web = object("v1", "Service", "app", "web");
    web["spec"] = json!({"selector": {"app": "web"}});
    let left = leave_out(vec![front, web], &EngineOwned::of(&live));
    assert_eq!(left.desired.iter().map(|desired| desired.held.len()).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn the_scale_to_zero_selector_of_a_daemon_set() {
    let mut live = canary(None);
    live["spec"]["targetRef"]["kind"] = json!("DaemonSet");
    let mut daemon = object("apps/v1", "DaemonSet", "app", "web");
    daemon["spec"] = json!({"template": {"spec": {"nodeSelector": {"flagger.app/scale-to-zero": "true", "os": "linux"}}}});
    let left = leave_out(vec![daemon], &EngineOwned::of(&[live]));
    assert_eq!(left.desired[0].stripped()["spec"]["template"]["spec"]["nodeSelector"], json!({"os": "linux"}));
    assert!(left.notes[0].contains("flagger.app/scale-to-zero"));
}
