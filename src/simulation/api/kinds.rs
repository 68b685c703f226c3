//! What is served: one table row for each built-in resource, and the same description made from a
//! `CustomResourceDefinition`. Everything that differs between kinds by a flag stands here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;

use super::fields::Typing;

/// How a built-in resource differs from the plainest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trait {
    /// Lives outside of namespaces.
    Cluster,
    /// Has `/status`, and the main resource never changes status.
    Status,
    /// Has `/scale`.
    Scale,
    /// `metadata.generation` counts the changes of the spec.
    Generation,
    /// PUT of a name that is not there creates it (`AllowCreateOnUpdate`).
    CreateOnUpdate,
    /// PUT has to name the resourceVersion (no `AllowUnconditionalUpdate`).
    Conditional,
    /// DELETE answers with the object instead of a Status.
    ReturnsDeleted,
    /// Has no `deletecollection`.
    NoDeleteCollection,
    /// A deletion without a policy lets the dependents go (`OrphanDependents`).
    Orphans,
}

struct Row {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    traits: &'static [Trait],
}

type Words = &'static [&'static str];

const fn row(
    (group, version): (&'static str, &'static str),
    (plural, singular, kind): (&'static str, &'static str, &'static str),
    (short_names, categories): (Words, Words),
    traits: &'static [Trait],
) -> Row {
    Row { group, version, plural, singular, kind, short_names, categories, traits }
}

const CORE: (&str, &str) = ("", "v1");
const APPS: (&str, &str) = ("apps", "v1");
const RBAC: (&str, &str) = ("rbac.authorization.k8s.io", "v1");
const NETWORKING: (&str, &str) = ("networking.k8s.io", "v1");
const ALL: Words = &["all"];

/// The built-in resources, in the order in which discovery lists their groups.
#[rustfmt::skip]
const TABLE: &[Row] = {
    use Trait::{Cluster, Conditional, CreateOnUpdate, Generation, NoDeleteCollection, Orphans, ReturnsDeleted, Scale, Status};
    &[
        row(CORE, ("configmaps", "configmap", "ConfigMap"), (&["cm"], &[]), &[]),
        row(CORE, ("endpoints", "endpoints", "Endpoints"), (&["ep"], &[]), &[CreateOnUpdate]),
        row(CORE, ("events", "event", "Event"), (&["ev"], &[]), &[CreateOnUpdate]),
        row(CORE, ("namespaces", "namespace", "Namespace"), (&["ns"], &[]), &[Cluster, Status, NoDeleteCollection]),
        row(CORE, ("pods", "pod", "Pod"), (&["po"], ALL), &[Status, Generation, ReturnsDeleted]),
        row(CORE, ("secrets", "secret", "Secret"), (&[], &[]), &[]),
        row(CORE, ("serviceaccounts", "serviceaccount", "ServiceAccount"), (&["sa"], &[]), &[ReturnsDeleted]),
        row(CORE, ("services", "service", "Service"), (&["svc"], ALL), &[Status, CreateOnUpdate, ReturnsDeleted]),
        row(APPS, ("daemonsets", "daemonset", "DaemonSet"), (&["ds"], ALL), &[Status, Generation]),
        row(APPS, ("deployments", "deployment", "Deployment"), (&["deploy"], ALL), &[Status, Scale, Generation]),
        row(APPS, ("replicasets", "replicaset", "ReplicaSet"), (&["rs"], ALL), &[Status, Scale, Generation]),
        row(APPS, ("statefulsets", "statefulset", "StatefulSet"), (&["sts"], ALL), &[Status, Scale, Generation]),
        row(("autoscaling", "v2"), ("horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler"), (&["hpa"], ALL), &[Status]),
        row(("batch", "v1"), ("jobs", "job", "Job"), (&[], ALL), &[Status, Generation, Orphans]),
        row(NETWORKING, ("ingresses", "ingress", "Ingress"), (&["ing"], &[]), &[Status, Generation]),
        row(NETWORKING, ("networkpolicies", "networkpolicy", "NetworkPolicy"), (&["netpol"], &[]), &[Generation]),
        row(("policy", "v1"), ("poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget"), (&["pdb"], &[]), &[Status, Generation, Conditional]),
        row(RBAC, ("clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding"), (&[], &[]), &[Cluster, CreateOnUpdate]),
        row(RBAC, ("clusterroles", "clusterrole", "ClusterRole"), (&[], &[]), &[Cluster, CreateOnUpdate]),
        row(RBAC, ("rolebindings", "rolebinding", "RoleBinding"), (&[], &[]), &[CreateOnUpdate]),
        row(RBAC, ("roles", "role", "Role"), (&[], &[]), &[CreateOnUpdate]),
        row(("apiextensions.k8s.io", "v1"), ("customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition"), (&["crd", "crds"], &["api-extensions"]), &[Cluster, Status, Generation, Conditional]),
        row(("coordination.k8s.io", "v1"), ("leases", "lease", "Lease"), (&[], &[]), &[CreateOnUpdate, Conditional]),
        row(("discovery.k8s.io", "v1"), ("endpointslices", "endpointslice", "EndpointSlice"), (&[], &[]), &[Generation]),
    ]
};

/// Groups and resources that a real cluster has and this server does not: asking for them is answered with 501, so that
/// nothing passes by accident. Everything else that is not served is a 404, as a missing custom resource is.
const ELSEWHERE: &[(&str, Words)] = &[
    (
        "",
        &[
            "bindings",
            "componentstatuses",
            "limitranges",
            "nodes",
            "persistentvolumeclaims",
            "persistentvolumes",
            "podtemplates",
            "replicationcontrollers",
            "resourcequotas",
        ],
    ),
    ("admissionregistration.k8s.io", &[]),
    ("apiregistration.k8s.io", &[]),
    ("apps", &["controllerrevisions"]),
    ("authentication.k8s.io", &["tokenreviews"]),
    ("authorization.k8s.io", &["localsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"]),
    ("batch", &["cronjobs"]),
    ("certificates.k8s.io", &[]),
    ("events.k8s.io", &[]),
    ("flowcontrol.apiserver.k8s.io", &[]),
    ("networking.k8s.io", &["ingressclasses", "ipaddresses", "servicecidrs"]),
    ("node.k8s.io", &[]),
    ("resource.k8s.io", &[]),
    ("scheduling.k8s.io", &[]),
    ("storage.k8s.io", &[]),
];

/// Subresources that a real cluster has and this server does not, by resource.
const SUBRESOURCES_ELSEWHERE: &[(&str, Words)] = &[
    ("namespaces", &["finalize"]),
    ("pods", &["attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "resize"]),
    ("serviceaccounts", &["token"]),
];

/// True where a real cluster serves the resource and this server does not.
pub(super) fn elsewhere(group: &str, plural: &str) -> bool {
    ELSEWHERE.iter().any(|(other, plurals)| *other == group && (plurals.is_empty() || plurals.contains(&plural)))
}

/// Where the number of replicas stands in objects of a scalable kind, as paths like `spec.replicas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScalePaths {
    /// The wanted number.
    pub(super) spec: String,
    /// The number there is.
    pub(super) status: String,
    /// The label selector in its string form; empty where the kind has none.
    pub(super) selector: String,
}

/// One version of a resource.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) served: bool,
    /// The `openAPIV3Schema`; none for built-in kinds.
    pub(super) schema: Option<Arc<Value>>,
    pub(super) status: bool,
    pub(super) scale: Option<ScalePaths>,
}

/// A resource, built in or of a `CustomResourceDefinition`.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) kind: String,
    pub(super) list_kind: String,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) namespaced: bool,
    /// In the order of their priority for discovery.
    pub(super) versions: Vec<Version>,
    /// The index of the version in which objects are kept.
    pub(super) storage: usize,
    pub(super) custom: bool,
    traits: &'static [Trait],
}

impl Resource {
    fn built_in(row: &Row) -> Self {
        let has = |wanted| row.traits.contains(&wanted);
        let scale = has(Trait::Scale).then(|| ScalePaths {
            spec: "spec.replicas".into(),
            status: "status.replicas".into(),
            selector: "spec.selector".into(),
        });
        let owned = |words: Words| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            group: row.group.into(),
            plural: row.plural.into(),
            singular: row.singular.into(),
            kind: row.kind.into(),
            list_kind: format!("{}List", row.kind),
            short_names: owned(row.short_names),
            categories: owned(row.categories),
            namespaced: !has(Trait::Cluster),
            versions: vec![Version { name: row.version.into(), served: true, schema: None, status: has(Trait::Status), scale }],
            storage: 0,
            custom: false,
            traits: row.traits,
        }
    }

    /// The resource that an established `CustomResourceDefinition` describes; none while it has no version to store.
    pub(super) fn custom(definition: &Value) -> Option<Self> {
        let (spec, names) = (&definition["spec"], &definition["status"]["acceptedNames"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let words = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
        let declared = spec["versions"].as_array()?;
        let storage = declared.iter().position(|version| version["storage"] == true)?;
        let stored = text(&declared[storage]["name"]);
        let mut versions: Vec<Version> = declared.iter().map(Version::custom).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(priority(&version.name)));
        let storage = versions.iter().position(|version| version.name == stored)?;
        Some(Self {
            group: text(&spec["group"]),
            plural: text(&names["plural"]),
            singular: text(&names["singular"]),
            kind: text(&names["kind"]),
            list_kind: text(&names["listKind"]),
            short_names: words(&names["shortNames"]),
            categories: words(&names["categories"]),
            namespaced: spec["scope"] == "Namespaced",
            versions,
            storage,
            custom: true,
            traits: &[Trait::Generation, Trait::Conditional],
        })
    }

    pub(super) fn has(&self, wanted: Trait) -> bool {
        self.traits.contains(&wanted)
    }

    /// As messages name it: `deployments.apps`, `services`.
    pub(super) fn qualified(&self) -> String {
        qualified(&self.group, &self.plural)
    }

    /// Where objects stand in etcd, below `/registry/`.
    pub(super) fn storage_path(&self) -> String {
        if self.custom || self.group == "apiextensions.k8s.io" {
            return format!("{}/{}", self.group, self.plural);
        }
        match self.plural.as_str() {
            "services" => "services/specs".to_owned(),
            "endpoints" => "services/endpoints".to_owned(),
            "ingresses" => "ingress".to_owned(),
            plural => plural.to_owned(),
        }
    }

    /// `apps/v1`, `v1`.
    pub(super) fn api_version(&self, version: &Version) -> String {
        if self.group.is_empty() { version.name.clone() } else { format!("{}/{}", self.group, version.name) }
    }

    /// How objects of one version are typed.
    pub(super) fn typing<'a>(&'a self, version: &'a Version) -> Typing<'a> {
        match &version.schema {
            Some(schema) => Typing::Custom { schema },
            None => Typing::BuiltIn { group: &self.group, kind: &self.kind },
        }
    }

    /// True where a real cluster has the subresource and this server does not.
    pub(super) fn has_elsewhere(&self, subresource: &str) -> bool {
        !self.custom && SUBRESOURCES_ELSEWHERE.iter().any(|(plural, names)| *plural == self.plural && names.contains(&subresource))
    }
}

impl Version {
    fn custom(declared: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches('.').to_owned();
        let subresources = &declared["subresources"];
        let scale = subresources["scale"].as_object().map(|scale| {
            let path = |key: &str| scale.get(key).map(text).unwrap_or_default();
            ScalePaths { spec: path("specReplicasPath"), status: path("statusReplicasPath"), selector: path("labelSelectorPath") }
        });
        Self {
            name: text(&declared["name"]),
            served: declared["served"] == true,
            schema: Some(shared(&declared["schema"]["openAPIV3Schema"])),
            status: subresources["status"].is_object(),
            scale,
        }
    }
}

/// The schema, which is in memory once, however many servers of this process have it.
fn shared(schema: &Value) -> Arc<Value> {
    static KNOWN: Mutex<Vec<Weak<Value>>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|one| one.strong_count() > 0);
    if let Some(one) = known.iter().filter_map(Weak::upgrade).find(|one| **one == *schema) {
        return one;
    }
    let new = Arc::new(schema.clone());
    known.push(Arc::downgrade(&new));
    new
}

/// `deployments.apps`, `services`.
pub(super) fn qualified(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

/// The order of versions: v2 before v1 before v1beta2 before v1alpha1 before anything else (apimachinery's
/// `CompareKubeAwareVersionStrings`).
pub(super) fn priority(version: &str) -> (u8, u64, u64) {
    let number = |text: &str| text.parse::<u64>().ok();
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let found = [(3, ""), (2, "beta"), (1, "alpha")].into_iter().find_map(|(rank, word)| {
        if word.is_empty() {
            Some((rank, number(rest)?, 0))
        } else {
            rest.split_once(word).and_then(|(major, minor)| Some((rank, number(major)?, number(minor)?)))
        }
    });
    found.unwrap_or_default()
}

/// Everything that is served at the moment, by qualified name.
pub(super) struct Kinds {
    by_name: BTreeMap<String, Arc<Resource>>,
}

impl Kinds {
    /// The built-in resources alone.
    pub(super) fn built_in() -> Self {
        let rows = TABLE.iter().map(Resource::built_in).map(|resource| (resource.qualified(), Arc::new(resource)));
        Self { by_name: rows.collect() }
    }

    pub(super) fn get(&self, qualified: &str) -> Option<&Arc<Resource>> {
        self.by_name.get(qualified)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_name.values()
    }

    pub(super) fn insert(&mut self, resource: Resource) {
        self.by_name.insert(resource.qualified(), Arc::new(resource));
    }

    pub(super) fn remove(&mut self, qualified: &str) {
        self.by_name.remove(qualified);
    }

    /// True for groups that are compiled in.
    pub(super) fn is_built_in(group: &str) -> bool {
        TABLE.iter().any(|row| row.group == group)
    }

    /// The groups in the order of discovery: built-in ones as in the table, then those of custom resources by name.
    pub(super) fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for group in TABLE.iter().map(|row| row.group).chain(self.by_name.values().map(|resource| resource.group.as_str())) {
            if !group.is_empty() && !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_the_api_machinery_orders_them() {
        let mut versions = ["v1alpha1", "foo1", "v1beta2", "v1", "v10", "v1beta10", "v2"];
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "foo1"]);
    }
}
