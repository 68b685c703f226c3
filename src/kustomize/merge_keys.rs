//! Which lists a strategic merge merges, and by which keys, for the kinds that Kubernetes knows.
//!
//! Source: `x-kubernetes-patch-strategy`, `x-kubernetes-patch-merge-key` and
//! `x-kubernetes-list-map-keys` in Kubernetes' OpenAPI document, 1.21, which kustomize 5.8.1
//! embeds. Lists that are not here are replaced, and so is every list of an unknown kind.

/// A type of the table.
pub(super) type Type = &'static str;

/// What a field leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A mapping.
    Of(Type),
    /// A list merged by `keys` (none: a list of scalars), and the type of its elements.
    Merged(&'static [&'static str], Type),
}

/// A type without merged lists below it.
pub(super) const PLAIN: Type = "";

/// The type of an object, `None` for kinds outside of the table.
pub(super) fn type_of(api_version: &str, kind: &str) -> Option<Type> {
    KINDS.iter().find(|(versions, kinds, _)| versions.contains(&api_version) && kinds.contains(&kind)).map(|(_, _, name)| *name)
}

/// What `field` is in `name`.
pub(super) fn field_of(name: Type, field: &str) -> Field {
    TYPES
        .iter()
        .find(|(owner, _)| *owner == name)
        .and_then(|(_, fields)| fields.iter().find(|(known, _)| *known == field))
        .map_or(Field::Of(PLAIN), |(_, kind)| *kind)
}

const NAME: &[&str] = &["name"];
const CONDITION: &[&str] = &["type"];
const CONDITIONS: Field = Field::Merged(CONDITION, PLAIN);
const META: (&str, Field) = ("metadata", Field::Of("ObjectMeta"));
const STATUS: (&str, Field) = ("status", Field::Of("Status"));

const TYPES: &[(Type, &[(&str, Field)])] = &[
    ("ObjectMeta", &[("finalizers", Field::Merged(&[], PLAIN)), ("ownerReferences", Field::Merged(&["uid"], PLAIN))]),
    ("Status", &[("conditions", CONDITIONS)]),
    ("Object", &[META]),
    ("ObjectWithStatus", &[META, STATUS]),
    ("ComponentStatus", &[META, ("conditions", Field::Merged(CONDITION, PLAIN))]),
    (
        "Container",
        &[
            ("env", Field::Merged(NAME, PLAIN)),
            ("ports", Field::Merged(&["containerPort", "protocol"], PLAIN)),
            ("volumeDevices", Field::Merged(&["devicePath"], PLAIN)),
            ("volumeMounts", Field::Merged(&["mountPath"], PLAIN)),
        ],
    ),
    (
        "EphemeralContainer",
        &[
            ("env", Field::Merged(NAME, PLAIN)),
            ("volumeDevices", Field::Merged(&["devicePath"], PLAIN)),
            ("volumeMounts", Field::Merged(&["mountPath"], PLAIN)),
        ],
    ),
    ("Volume", &[("ephemeral", Field::Of("EphemeralVolume"))]),
    ("EphemeralVolume", &[("volumeClaimTemplate", Field::Of("Object"))]),
    (
        "PodSpec",
        &[
            ("containers", Field::Merged(NAME, "Container")),
            ("ephemeralContainers", Field::Merged(NAME, "EphemeralContainer")),
            ("hostAliases", Field::Merged(&["ip"], PLAIN)),
            ("imagePullSecrets", Field::Merged(NAME, PLAIN)),
            ("initContainers", Field::Merged(NAME, "Container")),
            ("topologySpreadConstraints", Field::Merged(&["topologyKey", "whenUnsatisfiable"], PLAIN)),
            ("volumes", Field::Merged(NAME, "Volume")),
        ],
    ),
    ("PodStatus", &[("conditions", CONDITIONS), ("podIPs", Field::Merged(&["ip"], PLAIN))]),
    ("Pod", &[META, ("spec", Field::Of("PodSpec")), ("status", Field::Of("PodStatus"))]),
    ("PodTemplateSpec", &[META, ("spec", Field::Of("PodSpec"))]),
    ("PodTemplate", &[META, ("template", Field::Of("PodTemplateSpec"))]),
    ("WorkloadSpec", &[("template", Field::Of("PodTemplateSpec"))]),
    ("Workload", &[META, ("spec", Field::Of("WorkloadSpec")), STATUS]),
    ("JobTemplate", &[META, ("spec", Field::Of("WorkloadSpec"))]),
    ("CronJobSpec", &[("jobTemplate", Field::Of("JobTemplate"))]),
    ("CronJob", &[META, ("spec", Field::Of("CronJobSpec"))]),
    ("ServiceSpec", &[("ports", Field::Merged(&["port", "protocol"], PLAIN))]),
    ("Service", &[META, ("spec", Field::Of("ServiceSpec")), STATUS]),
    ("ServiceAccount", &[META, ("secrets", Field::Merged(NAME, PLAIN))]),
    ("NodeSpec", &[("podCIDRs", Field::Merged(&[], PLAIN))]),
    ("NodeStatus", &[("addresses", Field::Merged(CONDITION, PLAIN)), ("conditions", CONDITIONS)]),
    ("Node", &[META, ("spec", Field::Of("NodeSpec")), ("status", Field::Of("NodeStatus"))]),
    ("WebhookConfiguration", &[META, ("webhooks", Field::Merged(NAME, PLAIN))]),
    ("CsiNodeSpec", &[("drivers", Field::Merged(NAME, PLAIN))]),
    ("CsiNode", &[META, ("spec", Field::Of("CsiNodeSpec"))]),
];

type Kinds = (&'static [&'static str], &'static [&'static str], Type);

const KINDS: &[Kinds] = &[
    (
        &["admissionregistration.k8s.io/v1", "admissionregistration.k8s.io/v1beta1"],
        &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
        "WebhookConfiguration",
    ),
    (&["apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1"], &["CustomResourceDefinition"], "Object"),
    (&["apiregistration.k8s.io/v1", "apiregistration.k8s.io/v1beta1"], &["APIService"], "ObjectWithStatus"),
    (&["apps/v1"], &["ControllerRevision"], "Object"),
    (&["apps/v1"], &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"], "Workload"),
    (&["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"], &["TokenReview"], "Object"),
    (&["authentication.k8s.io/v1"], &["TokenRequest"], "Object"),
    (
        &["authorization.k8s.io/v1", "authorization.k8s.io/v1beta1"],
        &["LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"],
        "Object",
    ),
    (&["autoscaling/v1"], &["HorizontalPodAutoscaler", "Scale"], "Object"),
    (&["autoscaling/v2beta1", "autoscaling/v2beta2"], &["HorizontalPodAutoscaler"], "Object"),
    (&["batch/v1", "batch/v1beta1"], &["CronJob"], "CronJob"),
    (&["batch/v1"], &["Job"], "Workload"),
    (&["certificates.k8s.io/v1", "certificates.k8s.io/v1beta1"], &["CertificateSigningRequest"], "Object"),
    (&["coordination.k8s.io/v1", "coordination.k8s.io/v1beta1"], &["Lease"], "Object"),
    (&["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"], &["EndpointSlice"], "Object"),
    (&["events.k8s.io/v1", "events.k8s.io/v1beta1"], &["Event"], "Object"),
    (&["extensions/v1beta1", "networking.k8s.io/v1", "networking.k8s.io/v1beta1"], &["Ingress"], "Object"),
    (&["flowcontrol.apiserver.k8s.io/v1beta1"], &["FlowSchema", "PriorityLevelConfiguration"], "Object"),
    (&["networking.k8s.io/v1", "networking.k8s.io/v1beta1"], &["IngressClass"], "Object"),
    (&["networking.k8s.io/v1"], &["NetworkPolicy"], "Object"),
    (&["node.k8s.io/v1", "node.k8s.io/v1beta1"], &["RuntimeClass"], "Object"),
    (&["policy/v1", "policy/v1beta1"], &["PodDisruptionBudget"], "ObjectWithStatus"),
    (&["policy/v1beta1"], &["Eviction", "PodSecurityPolicy"], "Object"),
    (
        &["rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io/v1beta1"],
        &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
        "Object",
    ),
    (&["scheduling.k8s.io/v1", "scheduling.k8s.io/v1beta1"], &["PriorityClass"], "Object"),
    (&["storage.k8s.io/v1", "storage.k8s.io/v1beta1"], &["CSINode"], "CsiNode"),
    (&["storage.k8s.io/v1", "storage.k8s.io/v1beta1"], &["CSIDriver", "StorageClass", "VolumeAttachment"], "Object"),
    (&["storage.k8s.io/v1beta1"], &["CSIStorageCapacity"], "Object"),
    (&["v1"], &["Binding", "ConfigMap", "Endpoints", "Event", "LimitRange", "PersistentVolume", "ResourceQuota", "Secret"], "Object"),
    (&["v1"], &["Namespace", "PersistentVolumeClaim"], "ObjectWithStatus"),
    (&["v1"], &["ComponentStatus"], "ComponentStatus"),
    (&["v1"], &["Node"], "Node"),
    (&["v1"], &["Pod"], "Pod"),
    (&["v1"], &["PodTemplate"], "PodTemplate"),
    (&["v1"], &["ReplicationController"], "Workload"),
    (&["v1"], &["Service"], "Service"),
    (&["v1"], &["ServiceAccount"], "ServiceAccount"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_of_a_deployment_merge_by_name() {
        let mut name = type_of("apps/v1", "Deployment").unwrap_or(PLAIN);
        for field in ["spec", "template", "spec"] {
            name = match field_of(name, field) {
                Field::Of(name) => name,
                Field::Merged(..) => PLAIN,
            };
        }
        assert_eq!(field_of(name, "containers"), Field::Merged(NAME, "Container"));
        assert_eq!(field_of(name, "tolerations"), Field::Of(PLAIN));
        assert_eq!(type_of("example.com/v1", "Deployment"), None);
    }
}
