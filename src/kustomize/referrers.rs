//! Which fields hold the names of which kinds.
//!
//! Source: kustomize's default name references, which follow Kubernetes' API reference.

/// A field of one kind that names objects of another.
pub(super) struct Rule {
    /// Group, version and kind of what is named; empty parts fit all.
    pub(super) target: Part,
    pub(super) path: String,
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
}

/// Group, version and kind.
pub(super) type Part = (&'static str, &'static str, &'static str);

const TEMPLATE: &str = "spec/template/spec";
const JOB_TEMPLATE: &str = "spec/jobTemplate/spec/template/spec";
const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// Where pods stand in the kinds that mention ConfigMaps and Secrets.
const HOLDERS: [(Part, &str); 8] = [
    (("", "v1", "Pod"), "spec"),
    (("", "", "PodTemplate"), "template/spec"),
    (("", "", "Deployment"), TEMPLATE),
    (("", "", "ReplicaSet"), TEMPLATE),
    (("", "", "DaemonSet"), TEMPLATE),
    (("", "", "StatefulSet"), TEMPLATE),
    (("", "", "Job"), TEMPLATE),
    (("", "", "CronJob"), JOB_TEMPLATE),
];

/// Where pods stand in the kinds that mention anything else.
const WORKLOADS: [(Part, &str); 7] = [
    (("", "", "Pod"), "spec"),
    (("", "", "StatefulSet"), TEMPLATE),
    (("", "", "Deployment"), TEMPLATE),
    (("", "", "ReplicationController"), TEMPLATE),
    (("", "", "CronJob"), JOB_TEMPLATE),
    (("", "", "Job"), TEMPLATE),
    (("", "", "DaemonSet"), TEMPLATE),
];

const CONFIG_MAP: Part = ("", "v1", "ConfigMap");
const SECRET: Part = ("", "v1", "Secret");

/// Fields of a pod, and what they name.
const IN_HOLDERS: [(Part, &str); 13] = [
    (CONFIG_MAP, "volumes/configMap/name"),
    (CONFIG_MAP, "containers/env/valueFrom/configMapKeyRef/name"),
    (CONFIG_MAP, "initContainers/env/valueFrom/configMapKeyRef/name"),
    (CONFIG_MAP, "containers/envFrom/configMapRef/name"),
    (CONFIG_MAP, "initContainers/envFrom/configMapRef/name"),
    (CONFIG_MAP, "volumes/projected/sources/configMap/name"),
    (SECRET, "volumes/secret/secretName"),
    (SECRET, "containers/env/valueFrom/secretKeyRef/name"),
    (SECRET, "initContainers/env/valueFrom/secretKeyRef/name"),
    (SECRET, "containers/envFrom/secretRef/name"),
    (SECRET, "initContainers/envFrom/secretRef/name"),
    (SECRET, "imagePullSecrets/name"),
    (SECRET, "volumes/projected/sources/secret/name"),
];

const IN_WORKLOADS: [(Part, &str); 3] = [
    (("", "v1", "ServiceAccount"), "serviceAccountName"),
    (("", "v1", "PersistentVolumeClaim"), "volumes/persistentVolumeClaim/claimName"),
    (("scheduling.k8s.io", "v1", "PriorityClass"), "priorityClassName"),
];

/// Everything outside of pods.
const SINGLE: &[(Part, Part, &str)] = &[
    (("", "", "Deployment"), ("", "", "HorizontalPodAutoscaler"), "spec/scaleTargetRef/name"),
    (("", "", "ReplicationController"), ("", "", "HorizontalPodAutoscaler"), "spec/scaleTargetRef/name"),
    (("", "", "ReplicaSet"), ("", "", "HorizontalPodAutoscaler"), "spec/scaleTargetRef/name"),
    (("", "", "StatefulSet"), ("", "", "HorizontalPodAutoscaler"), "spec/scaleTargetRef/name"),
    (CONFIG_MAP, ("", "", "Node"), "spec/configSource/configMap"),
    (CONFIG_MAP, ("", "", "Role"), "rules/resourceNames"),
    (CONFIG_MAP, ("", "", "ClusterRole"), "rules/resourceNames"),
    (CONFIG_MAP, ("", "", "Ingress"), r"metadata/annotations/nginx.ingress.kubernetes.io\/fastcgi-params-configmap"),
    (SECRET, ("", "", "Ingress"), "spec/tls/secretName"),
    (SECRET, ("", "", "Ingress"), r"metadata/annotations/ingress.kubernetes.io\/auth-secret"),
    (SECRET, ("", "", "Ingress"), r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-secret"),
    (SECRET, ("", "", "Ingress"), r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-tls-secret"),
    (SECRET, ("", "", "ServiceAccount"), "imagePullSecrets/name"),
    (SECRET, ("", "", "StorageClass"), "parameters/secretName"),
    (SECRET, ("", "", "StorageClass"), "parameters/adminSecretName"),
    (SECRET, ("", "", "StorageClass"), "parameters/userSecretName"),
    (SECRET, ("", "", "StorageClass"), "parameters/secretRef"),
    (SECRET, ("", "", "Role"), "rules/resourceNames"),
    (SECRET, ("", "", "ClusterRole"), "rules/resourceNames"),
    (SECRET, ("serving.knative.dev", "v1", "Service"), "spec/template/spec/containers/env/valueFrom/secretKeyRef/name"),
    (SECRET, ("", "", "PersistentVolume"), "spec/azureFile/secretName"),
    (("", "v1", "Service"), ("apps", "", "StatefulSet"), "spec/serviceName"),
    (("", "v1", "Service"), ("", "", "Ingress"), "spec/rules/http/paths/backend/serviceName"),
    (("", "v1", "Service"), ("", "", "Ingress"), "spec/backend/serviceName"),
    (("", "v1", "Service"), ("", "", "Ingress"), "spec/rules/http/paths/backend/service/name"),
    (("", "v1", "Service"), ("", "", "Ingress"), "spec/defaultBackend/service/name"),
    (("", "v1", "Service"), ("apiregistration.k8s.io", "", "APIService"), "spec/service/name"),
    (("", "v1", "Service"), (ADMISSION, "", "ValidatingWebhookConfiguration"), "webhooks/clientConfig/service"),
    (("", "v1", "Service"), (ADMISSION, "", "MutatingWebhookConfiguration"), "webhooks/clientConfig/service"),
    ((RBAC, "", "Role"), (RBAC, "", "RoleBinding"), "roleRef/name"),
    ((RBAC, "", "ClusterRole"), (RBAC, "", "RoleBinding"), "roleRef/name"),
    ((RBAC, "", "ClusterRole"), (RBAC, "", "ClusterRoleBinding"), "roleRef/name"),
    (("", "v1", "ServiceAccount"), (RBAC, "", "RoleBinding"), "subjects"),
    (("", "v1", "ServiceAccount"), (RBAC, "", "ClusterRoleBinding"), "subjects"),
    (("", "v1", "PersistentVolume"), ("", "", "PersistentVolumeClaim"), "spec/volumeName"),
    (("", "v1", "PersistentVolume"), ("", "", "ClusterRole"), "rules/resourceNames"),
    (("storage.k8s.io", "v1", "StorageClass"), ("", "", "PersistentVolume"), "spec/storageClassName"),
    (("storage.k8s.io", "v1", "StorageClass"), ("", "", "PersistentVolumeClaim"), "spec/storageClassName"),
    (("storage.k8s.io", "v1", "StorageClass"), ("", "", "StatefulSet"), "spec/volumeClaimTemplates/spec/storageClassName"),
    ((ADMISSION, "", "ValidatingAdmissionPolicy"), (ADMISSION, "", "ValidatingAdmissionPolicyBinding"), "spec/policyName"),
];

/// All rules.
pub(super) fn rules() -> Vec<Rule> {
    let rule = |target: Part, referrer: Part, path: String| Rule { target, path, group: referrer.0, version: referrer.1, kind: referrer.2 };
    let mut all = Vec::new();
    for (targets, holders) in [(&IN_HOLDERS[..], &HOLDERS[..]), (&IN_WORKLOADS[..], &WORKLOADS[..])] {
        for &(target, field) in targets {
            for &(referrer, pod) in holders {
                all.push(rule(target, referrer, format!("{pod}/{field}")));
            }
        }
    }
    for &(target, referrer, path) in SINGLE {
        all.push(rule(target, referrer, path.to_owned()));
    }
    all
}
