//! Sync against a real API server: apply, prune, health and the record. Every case has a namespace of its own.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use pilothouse::engine::sync::{Desired, EngineOwned, InventoryEntry, inventory, leave_out, stale, union};
use pilothouse::kubernetes::apply::{Applier, ApplyFailure, ApplyOutcome, MANAGER};
use pilothouse::kubernetes::health::HealthStatus;
use pilothouse::kubernetes::inventory::{InventoryError, SyncRecord, SyncStore, record_name};
use serde_json::{Value, json};

type Case = Result<(), String>;
const CALL: Duration = Duration::from_secs(10);

/// Runs every case; each is named by what it proves.
pub async fn all(client: Client) -> Vec<(&'static str, Case)> {
    vec![
        ("a set is created once, then left unchanged, then configured", created_unchanged_configured(client.clone()).await),
        ("a CRD and its instance in one set", definition_and_instance(client.clone()).await),
        ("one bad object hides no other, and no error another", every_error_is_reported(client.clone()).await),
        ("without the lease nothing is written", lease_lost(client.clone()).await),
        ("Flux's objects are refused, marks are honoured", foreign_and_marks(client.clone()).await),
        ("the engine's fields are set once and never reset", held_fields(client.clone()).await),
        ("prune deletes what is ours and nothing else", prune(client.clone()).await),
        ("a vanished kind is gone, a retired version is found", prune_odd_kinds(client.clone()).await),
        ("health is read live", health(client.clone()).await),
        ("the record survives, and two writers conflict", record(client).await),
    ]
}

fn fresh(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("sync-{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

async fn namespace(client: &Client, what: &str) -> Result<String, String> {
    let name = fresh(what);
    let object: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).map_err(|e| e.to_string())?;
    Api::all(client.clone()).create(&PostParams::default(), &object).await.map_err(|e| e.to_string())?;
    Ok(name)
}

fn config(namespace: &str, name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"key": value}})
}

fn deployment(namespace: &str, name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "example.com/app:1", "ports": [{"containerPort": 80}]}]}},
        },
    })
}

fn desired(objects: &[Value]) -> Vec<Desired> {
    objects.iter().cloned().map(Desired::from).collect()
}

fn entries(objects: &[Value]) -> Vec<InventoryEntry> {
    objects.iter().map(InventoryEntry::of).collect()
}

async fn apply(applier: &Applier, objects: &[Value]) -> ApplyOutcome {
    applier.apply(desired(objects), &|| true, CALL).await
}

fn told(outcome: &ApplyOutcome) -> String {
    let errors: Vec<String> = outcome.errors.iter().map(ToString::to_string).collect();
    format!(
        "created {} configured {} unchanged {} skipped {} stopped {} errors {errors:?}",
        outcome.created.len(),
        outcome.configured.len(),
        outcome.unchanged.len(),
        outcome.skipped.len(),
        outcome.stopped
    )
}

fn expect(what: &str, is: impl AsRef<str>, wanted: &str) -> Case {
    if is.as_ref() == wanted { Ok(()) } else { Err(format!("{what}: {} instead of {wanted}", is.as_ref())) }
}

fn api(client: &Client, namespace: &str, api_version: &str, kind: &str) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

async fn read(client: &Client, object: &Value) -> Result<Option<Value>, String> {
    let entry = InventoryEntry::of(object);
    let api = api(client, &entry.namespace, object["apiVersion"].as_str().unwrap_or_default(), &entry.kind);
    let found = api.get_opt(&entry.name).await.map_err(|e| e.to_string())?;
    found.map(serde_json::to_value).transpose().map_err(|e| e.to_string())
}

/// What another manager writes, without applying.
async fn write(client: &Client, object: &Value, manager: &str, patch: Value) -> Case {
    let entry = InventoryEntry::of(object);
    let api = api(client, &entry.namespace, object["apiVersion"].as_str().unwrap_or_default(), &entry.kind);
    let params = PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
    api.patch(&entry.name, &params, &Patch::Merge(patch)).await.map(|_| ()).map_err(|e| e.to_string())
}

async fn created_unchanged_configured(client: Client) -> Case {
    let name = fresh("plain");
    let applier = Applier::new(client.clone(), MANAGER);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": format!("{name}:reader"), "namespace": name}, "rules": []});
    let set = |value| vec![deployment(&name, "web", 1), config(&name, "a", value), namespace.clone(), role.clone()];
    expect("first", told(&apply(&applier, &set("1")).await), "created 4 configured 0 unchanged 0 skipped 0 stopped false errors []")?;
    // The workload's controller writes its status meanwhile, which is another manager's business.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let outcome = apply(&applier, &set("1")).await;
    let configured: Vec<String> = outcome.configured.iter().map(ToString::to_string).collect();
    expect("changed again", configured.join(" "), "")?;
    expect("again", told(&outcome), "created 0 configured 0 unchanged 4 skipped 0 stopped false errors []")?;
    let outcome = apply(&applier, &set("2")).await;
    expect("changed", told(&outcome), "created 0 configured 1 unchanged 3 skipped 0 stopped false errors []")?;
    expect("which", outcome.configured[0].to_string(), &format!("ConfigMap/{name}/a"))?;
    write(&client, &config(&name, "a", ""), "somebody", json!({"data": {"key": "drifted", "more": "x"}})).await?;
    apply(&applier, &set("2")).await;
    let data = read(&client, &config(&name, "a", "")).await?.unwrap_or_default()["data"].clone();
    expect("drift is mended, foreign fields stay", data.to_string(), r#"{"key":"2","more":"x"}"#)
}

fn definition(group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
            json!({"name": name, "served": true, "storage": at == 0, "schema": schema})
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("things.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}, "versions": versions},
    })
}

async fn definition_and_instance(client: Client) -> Case {
    let namespace = namespace(&client, "crd").await?;
    let group = format!("{namespace}.example.com");
    let applier = Applier::new(client, MANAGER);
    let thing =
        json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": "a", "namespace": namespace}, "spec": {"x": 1}});
    let early = apply(&applier, std::slice::from_ref(&thing)).await;
    if !matches!(early.errors[..], [ref error] if matches!(error.why, ApplyFailure::NoKind { .. })) {
        return Err(told(&early));
    }
    let set = [thing, definition(&group, &["v1"])];
    expect("together", told(&apply(&applier, &set).await), "created 2 configured 0 unchanged 0 skipped 0 stopped false errors []")?;
    expect("again", told(&apply(&applier, &set).await), "created 0 configured 0 unchanged 2 skipped 0 stopped false errors []")
}

async fn every_error_is_reported(client: Client) -> Case {
    let namespace = namespace(&client, "errors").await?;
    let applier = Applier::new(client, MANAGER);
    let mut unknown_field = deployment(&namespace, "bad", 1);
    unknown_field["spec"]["replicas"] = json!("many");
    let mut nowhere = config(&namespace, "nowhere", "1");
    nowhere["metadata"].as_object_mut().map(|metadata| metadata.remove("namespace"));
    let set = [
        unknown_field,
        nowhere,
        config("sync-no-such-namespace", "a", "1"),
        json!({"apiVersion": "example.com/v9", "kind": "Odd", "metadata": {"name": "odd", "namespace": namespace}}),
        config(&namespace, "Bad_Name", "1"),
        config(&namespace, "good", "1"),
    ];
    let outcome = apply(&applier, &set).await;
    let errors: Vec<String> = outcome.errors.iter().map(ToString::to_string).collect();
    let all = errors.join("\n");
    for words in [
        "Deployment/",
        "ConfigMap/nowhere: ConfigMap lies in a namespace",
        "sync-no-such-namespace",
        "no kind Odd in example.com/v9",
        "Bad_Name",
    ] {
        if !all.contains(words) {
            return Err(format!("{words} is not in:\n{all}"));
        }
    }
    if errors.len() != 5 || outcome.created.len() != 1 || outcome.is_complete() {
        return Err(told(&outcome));
    }
    Ok(())
}

async fn lease_lost(client: Client) -> Case {
    let namespace = namespace(&client, "lease").await?;
    let applier = Applier::new(client.clone(), MANAGER);
    let set: Vec<Value> = (0..20).map(|n| config(&namespace, &format!("c{n}"), "1")).collect();
    let outcome = applier.apply(desired(&set), &|| false, CALL).await;
    if !outcome.stopped
        || !outcome.created.is_empty()
        || !matches!(outcome.errors[..], [ref one] if matches!(one.why, ApplyFailure::LeaseLost))
    {
        return Err(told(&outcome));
    }
    let calls = AtomicUsize::new(0);
    let guard = || calls.fetch_add(1, Ordering::Relaxed) < 12;
    let outcome = applier.apply(desired(&set), &guard, CALL).await;
    let there = api(&client, &namespace, "v1", "ConfigMap").list(&kube::api::ListParams::default()).await.map_err(|e| e.to_string())?;
    let ours = there.items.iter().filter(|object| object.name_any().starts_with('c')).count();
    if !outcome.stopped || ours > 12 {
        return Err(format!("{}; {ours} objects", told(&outcome)));
    }
    let pruned = applier.prune(&entries(&set), &|| false, CALL).await;
    expect("survivors", pruned.survivors().len().to_string(), "20")
}

async fn foreign_and_marks(client: Client) -> Case {
    let namespace = namespace(&client, "foreign").await?;
    let applier = Applier::new(client.clone(), MANAGER);
    let flux = Applier::new(client.clone(), "kustomize-controller");
    let mut theirs = config(&namespace, "theirs", "1");
    theirs["metadata"]["labels"] =
        json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
    let mut paused = config(&namespace, "paused", "1");
    paused["metadata"]["annotations"] = json!({"kustomize.toolkit.fluxcd.io/reconcile": "disabled"});
    let mut once = config(&namespace, "once", "1");
    once["metadata"]["annotations"] = json!({"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"});
    // Both marks forbid an apply, so whoever makes these objects writes the marks afterwards.
    apply(&flux, &[theirs, config(&namespace, "paused", "1")]).await;
    write(&client, &paused, "human", json!({"metadata": paused["metadata"].clone()})).await?;
    expect(
        "once",
        told(&apply(&applier, std::slice::from_ref(&once)).await),
        "created 1 configured 0 unchanged 0 skipped 0 stopped false errors []",
    )?;
    once["data"]["key"] = json!("2");
    let outcome = apply(&applier, &[config(&namespace, "theirs", "2"), config(&namespace, "paused", "2"), once.clone()]).await;
    if outcome.skipped.len() != 2 || outcome.errors.len() != 1 {
        return Err(told(&outcome));
    }
    let sentence = outcome.errors[0].to_string();
    if !sentence.contains("Flux's Kustomization flux-system/apps") {
        return Err(sentence);
    }
    for name in ["theirs", "paused", "once"] {
        let data = read(&client, &config(&namespace, name, "")).await?.unwrap_or_default()["data"]["key"].clone();
        expect(name, data.as_str().unwrap_or_default(), "1")?;
    }
    Ok(())
}

async fn held_fields(client: Client) -> Case {
    let namespace = namespace(&client, "held").await?;
    let applier = Applier::new(client.clone(), MANAGER);
    let canary = json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "service": {"port": 80}},
    });
    let service = |color: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], "sessionAffinity": color},
        })
    };
    let owned = EngineOwned::of([&canary]);
    let set = |replicas| leave_out(vec![deployment(&namespace, "web", replicas), service("None")], &owned).desired;
    let run = async |replicas| told(&applier.apply(set(replicas), &|| true, CALL).await);
    let replicas = async || {
        Ok::<_, String>(read(&client, &deployment(&namespace, "web", 0)).await?.unwrap_or_default()["spec"]["replicas"].to_string())
    };
    expect("created", run(3).await, "created 2 configured 0 unchanged 0 skipped 0 stopped false errors []")?;
    expect("as rendered", replicas().await?, "3")?;
    expect("in our name still", run(4).await, "created 0 configured 0 unchanged 2 skipped 0 stopped false errors []")?;
    expect("neither changed nor reset", replicas().await?, "3")?;
    // The engine takes over: scales to zero and points the apex at the primary.
    write(&client, &deployment(&namespace, "web", 0), "pilothouse-engine", json!({"spec": {"replicas": 0}})).await?;
    write(&client, &service("None"), "pilothouse-engine", json!({"spec": {"selector": {"app": "web-primary"}}})).await?;
    run(4).await;
    expect("the engine's replicas", replicas().await?, "0")?;
    let selector = read(&client, &service("None")).await?.unwrap_or_default()["spec"]["selector"].to_string();
    expect("the engine's selector", selector, r#"{"app":"web-primary"}"#)?;
    expect("at rest", run(4).await, "created 0 configured 0 unchanged 2 skipped 0 stopped false errors []")
}

async fn prune(client: Client) -> Case {
    let name = fresh("prune");
    let applier = Applier::new(client.clone(), MANAGER);
    let other = Applier::new(client.clone(), "somebody");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let mut kept = config(&name, "kept", "1");
    kept["metadata"]["annotations"] = json!({"kustomize.toolkit.fluxcd.io/prune": "Disabled"});
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let ours = [namespace, config(&name, "ours", "1"), kept, claim, deployment(&name, "web", 1)];
    apply(&applier, &ours).await;
    let theirs = config(&name, "theirs", "1");
    apply(&other, std::slice::from_ref(&theirs)).await;
    let old = union(&inventory(&desired(&ours)), &entries(&[theirs.clone(), config(&name, "never-was", "1")]));
    let outcome = applier.prune(&stale(&old, &[]), &|| true, CALL).await;
    let told = format!(
        "deleted {} gone {} released {} kept {} errors {}",
        outcome.deleted.len(),
        outcome.gone.len(),
        outcome.released.len(),
        outcome.kept.len(),
        outcome.errors.len()
    );
    expect("pruned", told, "deleted 2 gone 1 released 1 kept 3 errors 0")?;
    let survivors: Vec<String> = outcome.survivors().iter().map(|entry| entry.kind.clone()).collect();
    expect("survivors", survivors.join(" "), "Namespace PersistentVolumeClaim ConfigMap")?;
    if read(&client, &ours[1]).await?.is_some() || read(&client, &theirs).await?.is_none() {
        return Err("the wrong ConfigMap went".into());
    }
    Ok(())
}

async fn prune_odd_kinds(client: Client) -> Case {
    let namespace = namespace(&client, "odd").await?;
    let group = format!("{namespace}.example.com");
    let applier = Applier::new(client.clone(), MANAGER);
    let thing = json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": "a", "namespace": namespace}});
    expect("applied", apply(&applier, &[definition(&group, &["v1"]), thing.clone()]).await.created.len().to_string(), "2")?;
    let mut retired = InventoryEntry::of(&thing);
    retired.version = "v1beta1".into();
    let vanished = InventoryEntry { group: "no.such.example.com".into(), kind: "Odd".into(), ..retired.clone() };
    let outcome = Applier::new(client.clone(), MANAGER).prune(&[retired, vanished], &|| true, CALL).await;
    if outcome.deleted.len() != 1 || outcome.gone.len() != 1 {
        return Err(format!("{outcome:?}"));
    }
    expect("nothing left", format!("{}", read(&client, &thing).await?.is_some()), "false")
}

async fn health(client: Client) -> Case {
    let namespace = namespace(&client, "health").await?;
    let applier = Applier::new(client, MANAGER);
    let set = [deployment(&namespace, "web", 1), config(&namespace, "a", "1")];
    apply(&applier, &set).await;
    let mut all = entries(&set);
    all.push(InventoryEntry::of(&config(&namespace, "missing", "1")));
    all.push(InventoryEntry { kind: "Odd".into(), group: "example.com".into(), ..all[1].clone() });
    let mut last = String::new();
    for _ in 0..60 {
        let health = applier.health(&all, CALL).await;
        last = health.iter().map(|(_, health)| health.status.word()).collect::<Vec<_>>().join(" ");
        if health.iter().any(|(_, health)| health.status == HealthStatus::InProgress) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        } else {
            break;
        }
    }
    expect("health", last, "Current Current NotFound Unknown")
}

async fn record(client: Client) -> Case {
    let namespace = fresh("record");
    let store = SyncStore::new(client.clone(), namespace.clone(), CALL);
    let text = |error: InventoryError| error.to_string();
    if store.load("Gke").await.map_err(text)?.is_some() {
        return Err("a record before there was one".into());
    }
    let first =
        SyncRecord { provider: "Gke".into(), commit: "abc".into(), inventory: entries(&[config("a", "b", "1")]), ..SyncRecord::default() };
    let version = store.save(&first, None).await.map_err(text)?;
    let stored = store.load("Gke").await.map_err(text)?.ok_or("no record")?;
    if stored.record != first || stored.resource_version != version {
        return Err(format!("{stored:?}"));
    }
    let second = SyncRecord { suspended: true, ..first.clone() };
    let newer = store.save(&second, Some(&version)).await.map_err(text)?;
    for seen in [Some(version.as_str()), None] {
        match store.save(&first, seen).await {
            Err(InventoryError::Conflict { .. }) => {}
            other => return Err(format!("{seen:?}: {other:?}")),
        }
    }
    let kept = store.load("Gke").await.map_err(text)?.ok_or("no record")?;
    expect("the second writer's", kept.record.suspended.to_string(), "true")?;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": record_name("Gke"), "namespace": namespace}});
    write(&client, &map, "human", json!({"data": {"record": "{"}})).await?;
    match store.load("Gke").await {
        Err(error @ InventoryError::Malformed { .. }) if error.to_string().contains(&namespace) => {}
        other => return Err(format!("{other:?}")),
    }
    match store.save(&second, Some(&newer)).await {
        Err(InventoryError::Conflict { .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}
