//! The order of the output: the one kustomize has always had, unless `sortOptions` says otherwise.
//!
//! Source: <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/sortoptions/>.

use super::error::Error;
use super::resource::Resource;
use super::spec::SortOptions;

const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Sorts `resources` as the outermost kustomization wants it.
pub(super) fn sort(resources: &mut [Resource], options: Option<&SortOptions>, file: &str) -> Result<(), Error> {
    let kinds = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let (first, last) = match options {
        None => (kinds(&FIRST), kinds(&LAST)),
        Some(options) => match (options.order.as_str(), &options.legacy_sort_options) {
            ("fifo", None) => return Ok(()),
            ("fifo", Some(_)) => {
                return Err(Error::invalid(file, "sortOptions.legacySortOptions do not go with the order fifo"));
            }
            ("legacy", None) => (kinds(&FIRST), kinds(&LAST)),
            ("legacy", Some(lists)) => (lists.order_first.clone(), lists.order_last.clone()),
            (other, _) => {
                return Err(Error::invalid(file, format!("sortOptions.order is \"{other}\", and should be legacy or fifo")));
            }
        },
    };
    resources.sort_by_cached_key(|resource| key(resource, &first, &last));
    Ok(())
}

type Key = (i64, String, std::cmp::Reverse<String>, String);

fn key(resource: &Resource, first: &[String], last: &[String]) -> Key {
    let id = resource.id();
    let place = |list: &[String]| {
        let at = list.iter().rposition(|kind| *kind == id.gvk.kind)?;
        i64::try_from(at).ok()
    };
    let length = i64::try_from(first.len()).unwrap_or(i64::MAX);
    let rank = match (place(last), place(first)) {
        (Some(at), _) => 1 + at,
        (None, Some(at)) => at - length,
        (None, None) => 0,
    };
    let or = |text: &str, otherwise: &str| {
        if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
    };
    let kind = format!("{}_{}_{}", or(&id.gvk.group, "~G"), or(&id.gvk.version, "~V"), or(&id.gvk.kind, "~K"));
    let name = format!(
        "{}.{}.{}|{}|{}",
        or(&id.gvk.kind, "[noKind]"),
        or(&id.gvk.version, "[noVer]"),
        or(&id.gvk.group, "[noGrp]"),
        or(&id.namespace, "~X"),
        or(&id.name, "~N")
    );
    // Namespaces of the core group come before those of other groups.
    if id.gvk.kind == "Namespace" {
        return (rank, String::new(), std::cmp::Reverse(kind), name);
    }
    (rank, kind, std::cmp::Reverse(String::new()), name)
}
