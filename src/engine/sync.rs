//! The sync step: what a rendered tree becomes before it is applied.
//!
//! Checks the objects, leaves out what the rollout engine owns, puts them in the order in which they can be
//! applied, and computes the inventory and what of the last one has become stale. Pure: objects in, decisions
//! out. The order, the id grammar and the rules are Flux's, so an inventory can be taken over from it or handed to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::domain::text::clean;

/// Kinds in the order in which they are applied; deletion goes the other way.
const FIRST: [&str; 23] = [
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
/// Webhooks come last: earlier ones would judge objects whose server does not run yet.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
const RBAC: &str = "rbac.authorization.k8s.io";

/// A set of objects that is applied before the next one is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageKind {
    /// CRDs, namespaces, cluster roles: the next stages cannot be read without them.
    Definitions,
    /// Kinds that end in `Class`.
    Classes,
    /// The rest.
    Rest,
}

impl StageKind {
    /// The stage of a kind.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        match kind {
            "CustomResourceDefinition" | "Namespace" | "ClusterRole" => Self::Definitions,
            kind if kind.ends_with("Class") => Self::Classes,
            _ => Self::Rest,
        }
    }
}

/// One stage, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub kind: StageKind,
    pub resources: Vec<Desired>,
}

/// An object to be applied, and the fields of it that the rollout engine owns.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// The object as it was rendered.
    pub object: Value,
    /// JSON pointers of fields that count only when the object is created; later they are the engine's.
    pub held: Vec<&'static str>,
}

impl From<Value> for Desired {
    fn from(object: Value) -> Self {
        Self { object, held: Vec::new() }
    }
}

impl Desired {
    /// The object without the held fields: what is applied to an existing object, and what drift looks at.
    #[must_use]
    pub fn stripped(&self) -> Value {
        let mut object = self.object.clone();
        for pointer in &self.held {
            remove(&mut object, pointer);
        }
        object
    }

    /// The inventory's name for the object.
    #[must_use]
    pub fn entry(&self) -> InventoryEntry {
        InventoryEntry::of(&self.object)
    }
}

/// Takes the field at `pointer` out of `object`.
fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(map)) = object.pointer_mut(parent) {
        map.remove(&key.replace("~1", "/").replace("~0", "~"));
    }
}

/// What an inventory remembers of an applied object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InventoryEntry {
    pub namespace: String,
    pub name: String,
    pub group: String,
    pub kind: String,
    /// The version it was applied in; not part of its identity.
    pub version: String,
}

/// An id that is not `NAMESPACE_NAME_GROUP_KIND`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an inventory id; it must read NAMESPACE_NAME_GROUP_KIND, with nothing between the underscores where there is none")]
pub struct NotAnId(pub String);

impl InventoryEntry {
    /// The entry of an object; absent fields are empty.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let (group, version) = group_version(text(object, "/apiVersion"));
        Self {
            namespace: text(object, "/metadata/namespace").to_owned(),
            name: text(object, "/metadata/name").to_owned(),
            group: group.to_owned(),
            kind: text(object, "/kind").to_owned(),
            version: version.to_owned(),
        }
    }

    /// `NAMESPACE_NAME_GROUP_KIND`; a colon in the name of an RBAC object is written `__`, as Flux does.
    #[must_use]
    pub fn id(&self) -> String {
        let name = if self.group == RBAC { self.name.replace(':', "__") } else { self.name.clone() };
        format!("{}_{name}_{}_{}", self.namespace, self.group, self.kind)
    }

    /// Reads an id back.
    ///
    /// # Errors
    /// Text that does not follow the grammar.
    pub fn parse(id: &str, version: &str) -> Result<Self, NotAnId> {
        let bad = || NotAnId(id.to_owned());
        let (namespace, rest) = id.split_once('_').ok_or_else(bad)?;
        let (rest, kind) = rest.rsplit_once('_').ok_or_else(bad)?;
        let (name, group) = rest.rsplit_once('_').ok_or_else(bad)?;
        if name.is_empty() || kind.is_empty() {
            return Err(bad());
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.replace("__", ":"),
            group: group.to_owned(),
            kind: kind.to_owned(),
            version: version.to_owned(),
        })
    }

    fn rank(&self) -> (usize, &str, &str, &str, &str) {
        let first = FIRST.iter().position(|kind| *kind == self.kind);
        let last = LAST.iter().position(|kind| *kind == self.kind).map(|at| FIRST.len() + 1 + at);
        (first.or(last).unwrap_or(FIRST.len()), &self.group, &self.kind, &self.namespace, &self.name)
    }
}

impl fmt::Display for InventoryEntry {
    /// `Kind/namespace/name`, as it is shown: clean, since not every name has passed an API server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
        f.write_str(&clean(&format!("{}/{namespace}{}", self.kind, self.name)))
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    id: String,
    v: String,
}

impl Serialize for InventoryEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { id: self.id(), v: self.version.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for InventoryEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        Self::parse(&written.id, &written.v).map_err(serde::de::Error::custom)
    }
}

/// An object that cannot be applied: which one, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {why}")]
pub struct Refusal {
    pub object: String,
    pub why: String,
}

/// Whether each object can be named: `apiVersion`, `kind`, `metadata.name`, and no other of the same id.
///
/// # Errors
/// Every refusal, not only the first.
pub fn check(resources: &[Value]) -> Result<(), Vec<Refusal>> {
    let mut refused = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, object) in resources.iter().enumerate() {
        let entry = InventoryEntry::of(object);
        let named =
            if entry.kind.is_empty() || entry.name.is_empty() { format!("object {} ({entry})", index + 1) } else { entry.to_string() };
        let mut refuse = |why: &str| refused.push(Refusal { object: named.clone(), why: why.to_owned() });
        for (field, pointer) in [("apiVersion", "/apiVersion"), ("kind", "/kind"), ("metadata.name", "/metadata/name")] {
            if text(object, pointer).is_empty() {
                let generated = field == "metadata.name" && !text(object, "/metadata/generateName").is_empty();
                refuse(if generated { "it has generateName, which makes a new object each time; give it a name" } else { missing(field) });
            }
        }
        if entry.kind == "Namespace" && entry.group.is_empty() && !entry.namespace.is_empty() {
            refuse("a Namespace lies in no namespace; take metadata.namespace out");
        }
        if !entry.name.is_empty() && !seen.insert(entry.id()) {
            refuse("it is there twice; take one out");
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

fn missing(field: &str) -> &'static str {
    match field {
        "apiVersion" => "it has no apiVersion; write one",
        "kind" => "it has no kind; write one",
        _ => "it has no metadata.name; write one",
    }
}

/// The stages, each in order. Empty stages are left out.
#[must_use]
pub fn order(resources: Vec<Desired>) -> Vec<Stage> {
    let mut stages: BTreeMap<StageKind, Vec<(InventoryEntry, Desired)>> = BTreeMap::new();
    for desired in resources {
        let entry = desired.entry();
        stages.entry(StageKind::of(&entry.kind)).or_default().push((entry, desired));
    }
    stages
        .into_iter()
        .map(|(kind, mut resources)| {
            resources.sort_by(|(a, _), (b, _)| a.rank().cmp(&b.rank()));
            Stage { kind, resources: resources.into_iter().map(|(_, desired)| desired).collect() }
        })
        .collect()
}

/// The inventory of a set of objects, in the order of ids.
#[must_use]
pub fn inventory(resources: &[Desired]) -> Vec<InventoryEntry> {
    union(&[], &resources.iter().map(Desired::entry).collect::<Vec<_>>())
}

/// Both inventories; where both know an object, the new version counts. Written before an apply, so that
/// nothing that a broken apply leaves behind is forgotten.
#[must_use]
pub fn union(old: &[InventoryEntry], new: &[InventoryEntry]) -> Vec<InventoryEntry> {
    let all: BTreeMap<String, InventoryEntry> = old.iter().chain(new).map(|entry| (entry.id(), entry.clone())).collect();
    all.into_values().collect()
}

/// What the old inventory has and the new one has not, in the order of deletion.
#[must_use]
pub fn stale(old: &[InventoryEntry], new: &[InventoryEntry]) -> Vec<InventoryEntry> {
    let kept: BTreeSet<String> = new.iter().map(InventoryEntry::id).collect();
    let mut gone: Vec<InventoryEntry> = union(&[], old).into_iter().filter(|entry| !kept.contains(&entry.id())).collect();
    gone.sort_by(|a, b| (StageKind::of(&b.kind), b.rank()).cmp(&(StageKind::of(&a.kind), a.rank())));
    gone
}

/// What the rollout engine owns of other people's objects, read from the Canaries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOwned {
    claims: Vec<Claim>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    canary: String,
    namespace: String,
    target_kind: String,
    target: String,
    service: String,
}

impl EngineOwned {
    /// The claims of the Canaries among `objects`; other objects are passed over.
    #[must_use]
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut claims = Vec::new();
        for object in objects {
            let entry = InventoryEntry::of(object);
            let target = text(object, "/spec/targetRef/name");
            if entry.kind != "Canary" || entry.group != "flagger.app" || target.is_empty() {
                continue;
            }
            let service = Some(text(object, "/spec/service/name")).filter(|name| !name.is_empty()).unwrap_or(target);
            claims.push(Claim {
                canary: entry.to_string(),
                namespace: entry.namespace,
                target_kind: text(object, "/spec/targetRef/kind").to_owned(),
                target: target.to_owned(),
                service: service.to_owned(),
            });
        }
        Self { claims }
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for claim in other.claims {
            if !self.claims.contains(&claim) {
                self.claims.push(claim);
            }
        }
        self
    }

    fn held(&self, entry: &InventoryEntry) -> Option<(&Claim, Hold)> {
        self.claims.iter().filter(|claim| claim.namespace == entry.namespace).find_map(|claim| {
            let targeted = claim.target == entry.name && claim.target_kind == entry.kind;
            let apex = claim.service == entry.name;
            let hold = match (entry.group.as_str(), entry.kind.as_str()) {
                ("apps", "Deployment") if targeted => Hold::Field("/spec/replicas"),
                ("apps", "DaemonSet") if targeted => Hold::Field("/spec/template/spec/nodeSelector/flagger.app~1scale-to-zero"),
                ("serving.knative.dev", "Service") if targeted => Hold::Field("/spec/traffic"),
                ("", "Service") if apex => Hold::Field("/spec/selector"),
                ("networking.istio.io", "VirtualService")
                | ("gateway.networking.k8s.io", "HTTPRoute")
                | ("split.smi-spec.io", "TrafficSplit")
                | ("projectcontour.io", "HTTPProxy")
                | ("traefik.io", "TraefikService")
                | ("gateway.solo.io", "RouteTable")
                    if apex =>
                {
                    Hold::Whole
                }
                _ => return None,
            };
            Some((claim, hold))
        })
    }
}

enum Hold {
    Field(&'static str),
    Whole,
}

/// A rendered set without what the rollout engine owns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeftOut {
    /// What is to be applied.
    pub desired: Vec<Desired>,
    /// Objects that are not applied at all. They belong into the inventory where it has them already, so
    /// that the route which carries the traffic is never pruned for having become the engine's.
    pub whole: Vec<InventoryEntry>,
    /// One sentence for each object that is not applied, or not in full.
    pub notes: Vec<String>,
}

impl LeftOut {
    /// The inventory after a complete apply: what was applied, and of the objects left out those that `old` has.
    #[must_use]
    pub fn inventory(&self, old: &[InventoryEntry]) -> Vec<InventoryEntry> {
        let known: BTreeSet<String> = old.iter().map(InventoryEntry::id).collect();
        let whole: Vec<_> = self.whole.iter().filter(|entry| known.contains(&entry.id())).cloned().collect();
        union(&whole, &inventory(&self.desired))
    }
}

/// Marks what the rollout engine owns: replicas and scale-to-zero selector of a Canary's target, the selector
/// of its apex Service, and its route, which is left out whole. `owned` are the claims of live Canaries; those
/// of the Canaries in the set are added to them.
#[must_use]
pub fn leave_out(resources: Vec<Value>, owned: &EngineOwned) -> LeftOut {
    let owned = owned.clone().and(EngineOwned::of(&resources));
    let mut out = LeftOut::default();
    for object in resources {
        let entry = InventoryEntry::of(&object);
        let mut desired = Desired::from(object);
        match owned.held(&entry) {
            Some((claim, Hold::Whole)) => {
                out.notes.push(format!("{entry} is not applied: it is the route of {}, which the rollout engine writes", claim.canary));
                out.whole.push(entry);
                continue;
            }
            Some((claim, Hold::Field(pointer))) if desired.object.pointer(pointer).is_some() => {
                out.notes.push(format!(
                    "{entry}: {} is left to {}",
                    pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/"),
                    claim.canary
                ));
                desired.held.push(pointer);
            }
            _ => {}
        }
        out.desired.push(desired);
    }
    out
}

/// Group and version of an `apiVersion`.
#[must_use]
pub fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
