//! `namespace:` — every object that is not known to be cluster-scoped moves into the namespace, a
//! Namespace takes its name, and so do the service references of webhooks and API services.

use std::collections::HashMap;

use super::error::Error;
use super::fieldspec::{FieldSpec, Make};
use super::node::{Node, Tag};
use super::resource::Resource;

/// Moves `resources` into `namespace`.
pub(super) fn apply(resources: &mut [Resource], namespace: &str, file: &str) -> Result<(), Error> {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for resource in resources.iter() {
        *taken.entry(resource.id().key()).or_default() += 1;
    }
    for resource in resources {
        if let Some(count) = taken.get_mut(&resource.id().key()) {
            *count -= 1;
        }
        resource.remember();
        move_one(resource, namespace).map_err(|cause| Error::object(file, resource.id().to_string(), cause))?;
        let id = resource.id();
        let count = taken.entry(id.key()).or_default();
        *count += 1;
        if *count != 1 {
            return Err(Error::Duplicate { file: file.to_owned(), id: format!("{id}, after the namespace is set,") });
        }
    }
    Ok(())
}

fn move_one(resource: &mut Resource, namespace: &str) -> Result<(), String> {
    let mut set = |node: &mut Node| node.retext(namespace, Tag::Text);
    let gvk = resource.gvk();
    if !gvk.is_cluster_scoped() {
        FieldSpec::new("", "", "", "metadata/namespace", true).apply(resource, Make::Scalar, &mut set)?;
    }
    if matches!(gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding") {
        bind_default(resource, namespace)?;
    }
    if gvk.api_version() == "v1" {
        FieldSpec::new("Namespace", "", "", "metadata/name", true).apply(resource, Make::Scalar, &mut set)?;
    }
    FieldSpec::new("APIService", "apiregistration.k8s.io", "", "spec/service/namespace", true).apply(resource, Make::Scalar, &mut set)?;
    FieldSpec::new("CustomResourceDefinition", "apiextensions.k8s.io", "", "spec/conversion/webhook/clientConfig/service/namespace", false)
        .apply(resource, Make::Scalar, &mut set)
}

/// Subjects named `default` follow; other service accounts follow by name reference.
fn bind_default(resource: &mut Resource, namespace: &str) -> Result<(), String> {
    match resource.node.get_mut("subjects") {
        None => Ok(()),
        Some(node) if node.is_null() => Ok(()),
        Some(Node::Sequence(subjects)) => {
            for subject in subjects {
                if subject.get("name").is_some_and(|name| name.as_text() == "default") {
                    match subject.get_mut("namespace") {
                        Some(old) => old.retext(namespace, Tag::Text)?,
                        None => subject.set("namespace", Node::text(namespace)),
                    }
                }
            }
            Ok(())
        }
        Some(_) => Err("subjects is not a sequence".to_owned()),
    }
}
