//! `namePrefix`, `nameSuffix` and the suffixes of generated objects.

use super::error::Error;
use super::hash;
use super::resource::Resource;

/// Puts `prefix` before, or `suffix` after, every name that may change.
pub(super) fn affix(resources: &mut [Resource], prefix: &str, suffix: &str) {
    for resource in resources {
        let gvk = resource.original_id().gvk;
        let fixed = matches!(gvk.kind.as_str(), "CustomResourceDefinition" | "Namespace")
            || gvk.kind == "APIService" && gvk.group == "apiregistration.k8s.io";
        if fixed {
            continue;
        }
        resource.remember();
        if !prefix.is_empty() {
            resource.prefixes.push(prefix.to_owned());
        }
        if !suffix.is_empty() {
            resource.suffixes.push(suffix.to_owned());
        }
        let name = format!("{prefix}{}{suffix}", resource.name());
        resource.set_name(&name);
    }
}

/// Gives generated objects their final names.
pub(super) fn add_hashes(resources: &mut [Resource], file: &str) -> Result<(), Error> {
    for resource in resources.iter_mut().filter(|resource| resource.needs_hash) {
        let suffix = hash::suffix(resource).map_err(|cause| Error::object(file, resource.id().to_string(), cause))?;
        resource.remember();
        let name = format!("{}-{suffix}", resource.name());
        resource.set_name(&name);
    }
    Ok(())
}
