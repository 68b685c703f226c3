//! Documents of the server itself: its version, its health, and what it serves.

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::base64;
use super::kinds::{Kinds, Resource, Version, priority};
use super::object::encode;
use super::server::{self, ApiServer, Reply, TEXT};
use super::state::ok;
use super::status::{Answered, Status};

/// Answers a path of the server itself; `row` is its row in the table of documents.
pub(super) fn answer(api: &ApiServer, method: &Method, path: &str, row: &str, headers: &HeaderMap) -> Answered<Reply> {
    if method != Method::GET {
        return Err(Status::method_not_allowed());
    }
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let state = api.state();
    let kinds = &state.kinds;
    match (row, segments.as_slice()) {
        ("/version", _) => Ok(ok(&version(api.git_version()))),
        ("/healthz" | "/livez" | "/readyz", _) => Ok(Reply::Answer { status: StatusCode::OK, content_type: TEXT, body: "ok".into() }),
        _ => {
            plain(headers)?;
            let known = row == "/apis/{group}/{version}" && segments.get(1).is_some_and(|group| Kinds::is_built_in(group));
            let missing = || if known { Status::no_such_resource() } else { Status::no_such_path() };
            document(kinds, &segments).map(|document| server::json(StatusCode::OK, encode(&document))).ok_or_else(missing)
        }
    }
}

/// Aggregated discovery is not served; clients that ask for it name plain JSON as well.
fn plain(headers: &HeaderMap) -> Answered<()> {
    let accept = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let taken = accept.is_empty() || accept.split(',').any(|one| matches!(one.trim(), "application/json" | "*/*" | "application/*"));
    if taken { Ok(()) } else { Err(Status::not_implemented(&format!("discovery as {accept}"))) }
}

fn document(kinds: &Kinds, segments: &[&str]) -> Option<Value> {
    match segments {
        ["api"] => Some(
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:443"}]}),
        ),
        ["api", version] => resources(kinds, "", version),
        ["apis"] => {
            let groups: Vec<Value> = kinds.groups().into_iter().filter_map(|name| group(kinds, name)).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => {
            let mut document = group(kinds, name)?;
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            Some(document)
        }
        ["apis", name, version] => resources(kinds, name, version),
        _ => None,
    }
}

fn version(git_version: &str) -> Value {
    let mut numbers = git_version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let previous = minor.parse::<u32>().map_or_else(|_| minor.to_owned(), |minor| minor.saturating_sub(1).to_string());
    json!({
        "major": major, "minor": minor, "emulationMajor": major, "emulationMinor": minor, "minCompatibilityMajor": major, "minCompatibilityMinor": previous,
        "gitVersion": git_version, "gitCommit": "", "gitTreeState": "", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "gc", "platform": "linux/amd64",
    })
}

/// The versions of a group in the order of their priority, the preferred one first.
fn group(kinds: &Kinds, name: &str) -> Option<Value> {
    let mut versions: Vec<&str> = Vec::new();
    for version in served(kinds, name).map(|(_, version)| version.name.as_str()) {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    if !Kinds::is_built_in(name) {
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
    }
    let described: Vec<Value> =
        versions.iter().map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version})).collect();
    let preferred = described.first()?.clone();
    Some(json!({"name": name, "versions": described, "preferredVersion": preferred}))
}

fn served<'a>(kinds: &'a Kinds, group: &'a str) -> impl Iterator<Item = (&'a Resource, &'a Version)> {
    let resources = kinds.all().filter(move |resource| resource.group == group);
    resources
        .flat_map(|resource| resource.versions.iter().filter(|version| version.served).map(move |version| (resource.as_ref(), version)))
}

fn resources(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let found: Vec<Value> =
        served(kinds, group).filter(|(_, one)| one.name == version).flat_map(|(resource, version)| described(resource, version)).collect();
    if found.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut document = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": found});
    if !group.is_empty() {
        document["apiVersion"] = "v1".into();
    }
    Some(document)
}

/// A resource and its subresources.
fn described(resource: &Resource, version: &Version) -> Vec<Value> {
    const BUILT_IN: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    const CUSTOM: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    let order = if resource.custom { CUSTOM } else { BUILT_IN };
    let verbs: Vec<&str> = order
        .iter()
        .copied()
        .filter(|verb| *verb != "deletecollection" || !resource.has(super::kinds::Trait::NoDeleteCollection))
        .collect();
    let plural = &resource.plural;
    let mut main = json!({
        "name": plural, "singularName": resource.singular, "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs,
        "storageVersionHash": storage_version_hash(resource),
    });
    for (key, words) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !words.is_empty() {
            main[key] = json!(words);
        }
    }
    let mut all = vec![main];
    let sub = |name: &str| json!({"name": format!("{plural}/{name}"), "singularName": "", "namespaced": resource.namespaced, "kind": resource.kind, "verbs": ["get", "patch", "update"]});
    if version.status {
        all.push(sub("status"));
    }
    if version.scale.is_some() {
        let mut scale = sub("scale");
        scale["group"] = "autoscaling".into();
        scale["version"] = "v1".into();
        scale["kind"] = "Scale".into();
        all.push(scale);
    }
    if !resource.custom {
        all.sort_by_key(|one| one["name"].as_str().unwrap_or_default().to_owned());
    }
    all
}

/// The first eight bytes of the SHA-256 of `group/version/kind` in which objects are stored, in base 64
/// (`discovery.StorageVersionHash`).
fn storage_version_hash(resource: &Resource) -> String {
    // In etcd, definitions are still of their first version.
    let stored = if resource.group == "apiextensions.k8s.io" { "v1beta1" } else { &resource.versions[resource.storage].name };
    let digest = Sha256::digest(format!("{}/{stored}/{}", resource.group, resource.kind));
    base64::encode(&digest[..8], base64::STANDARD)
}
