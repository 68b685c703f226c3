//! The defaults of pods and their templates that depend on other fields.

use serde_json::{Map, Value};

use super::defaults::{absent, is_zero, object, text};

/// Fills a pod spec, alone or in a template. The old name of the service account is printed beside the new one.
pub fn spec(spec: &mut Map<String, Value>) {
    let account = text(spec, "serviceAccountName").to_owned();
    let old = text(spec, "serviceAccount").to_owned();
    let name = if account.is_empty() { old } else { account };
    if !name.is_empty() {
        spec.insert("serviceAccountName".into(), name.clone().into());
        spec.insert("serviceAccount".into(), name.into());
    }
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        for port in containers(spec).flat_map(|container| container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten()) {
            let Some(port) = port.as_object_mut() else { continue };
            let number = port.get("containerPort").cloned().unwrap_or_default();
            absent(port, "hostPort", number);
        }
    }
}

/// What only a pod gets, but not a template: requests where there are limits, service links.
pub fn pod(pod: &mut Map<String, Value>) {
    let Some(spec) = object(pod, "spec") else { return };
    absent(spec, "enableServiceLinks", true);
    for container in containers(spec) {
        let Some(resources) = object(container, "resources") else { continue };
        let Some(Value::Object(limits)) = resources.get("limits").cloned() else { continue };
        if let Some(requests) = object(resources, "requests") {
            for (name, limit) in limits {
                requests.entry(name).or_insert(limit);
            }
        }
    }
}

fn containers(spec: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let lists = spec.iter_mut().filter(|(name, _)| *name == "containers" || *name == "initContainers");
    lists.filter_map(|(_, list)| list.as_array_mut()).flatten().filter_map(Value::as_object_mut)
}

/// Images without a tag, or with "latest", are pulled always.
pub fn container(container: &mut Map<String, Value>) {
    let policy = if follows_latest(text(container, "image")) { "Always" } else { "IfNotPresent" };
    absent(container, "imagePullPolicy", policy);
}

fn follows_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    match tag {
        Some(tag) => tag == "latest",
        None => !digest && !image.is_empty(),
    }
}

/// A volume of no kind is an empty directory; an image follows its tag as a container's does.
pub fn volume(volume: &mut Map<String, Value>) {
    if volume.keys().all(|name| name == "name") {
        object(volume, "emptyDir");
    }
    if let Some(image) = volume.get_mut("image").and_then(Value::as_object_mut) {
        let policy = if follows_latest(text(image, "reference")) { "Always" } else { "IfNotPresent" };
        absent(image, "pullPolicy", policy);
    }
}

/// How a pod ranks when its node runs short: by what its containers ask for and may take.
pub fn quality_of_service(spec: &Map<String, Value>) -> &'static str {
    let lists = ["containers", "initContainers"].iter().filter_map(|name| spec.get(*name)?.as_array());
    let resources: Vec<_> = lists.flatten().map(|container| &container["resources"]).collect();
    let asks = |of: &Value, name: &str, kind: &str| {
        of.get(name).and_then(|r| r.get(kind)).filter(|value| !is_zero(value) && *value != "0").cloned()
    };
    let kinds = ["cpu", "memory"];
    let any = resources.iter().any(|of| kinds.iter().any(|kind| asks(of, "requests", kind).or_else(|| asks(of, "limits", kind)).is_some()));
    let all = resources
        .iter()
        .all(|of| kinds.iter().all(|kind| asks(of, "limits", kind).is_some() && asks(of, "limits", kind) == asks(of, "requests", kind)));
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::follows_latest;

    #[test]
    fn tags_and_digests() {
        for image in ["web", "registry:5000/web", "web:latest", "a/b/web"] {
            assert!(follows_latest(image), "{image}");
        }
        for image in ["web:1", "registry:5000/web:1.0", "web@sha256:aa", "web:1@sha256:aa", ""] {
            assert!(!follows_latest(image), "{image}");
        }
    }
}
