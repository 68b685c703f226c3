//! `replicas:` — the number of pods of a workload, by its name.

use super::error::Error;
use super::fieldspec::{FieldSpec, Make};
use super::node::Tag;
use super::resource::Resource;
use super::spec::Replica;

const KINDS: [&str; 4] = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"];

/// Sets the count of the workloads that `replica` names.
pub(super) fn apply(resources: &mut [Resource], replica: &Replica, file: &str) -> Result<(), Error> {
    let mut found = false;
    for kind in KINDS {
        for resource in resources.iter_mut() {
            let mut ids = resource.previous_ids();
            ids.push(resource.id());
            if !ids.iter().any(|id| id.name == replica.name && id.gvk.kind == kind) {
                continue;
            }
            found = true;
            let count = replica.count.to_string();
            FieldSpec::new("", "", "", "spec/replicas", true)
                .apply(resource, Make::Scalar, &mut |node| node.retext(&count, Tag::Other))
                .map_err(|cause| Error::object(file, resource.id().to_string(), cause))?;
        }
    }
    if found { Ok(()) } else { Err(Error::invalid(file, format!("replicas: there is no workload named {}", replica.name))) }
}
