//! What an object is called: group, version, kind, namespace and name, and which kinds live
//! outside of namespaces.

/// The namespace that kustomize writes down for objects that can have none.
pub(super) const NO_NAMESPACE: &str = "_non_namespaceable_";

/// Group, version and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gvk {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

/// An object's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) gvk: Gvk,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) cluster_scoped: bool,
}

impl Gvk {
    pub(super) fn of(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether each part of `selector` that is not empty is the same here.
    pub(super) fn is_selected(&self, group: &str, version: &str, kind: &str) -> bool {
        (group.is_empty() || group == self.group)
            && (version.is_empty() || version == self.version)
            && (kind.is_empty() || kind == self.kind)
    }

    pub(super) fn is_cluster_scoped(&self) -> bool {
        let api_version = self.api_version();
        CLUSTER_SCOPED.iter().any(|(versions, kind)| *kind == self.kind && versions.contains(&api_version.as_str()))
    }
}

impl Id {
    pub(super) fn effective_namespace(&self) -> &str {
        if self.cluster_scoped {
            NO_NAMESPACE
        } else if self.namespace.is_empty() {
            "default"
        } else {
            &self.namespace
        }
    }

    /// The identity as one string, the same for the same object.
    pub(super) fn key(&self) -> String {
        let Gvk { group, version, kind } = &self.gvk;
        format!("{group}|{version}|{kind}|{}|{}", self.effective_namespace(), self.name)
    }

    /// The same object, an absent namespace being `default`.
    pub(super) fn same(&self, other: &Id) -> bool {
        self.name == other.name && self.gvk == other.gvk && self.effective_namespace() == other.effective_namespace()
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Gvk { kind, .. } = &self.gvk;
        write!(f, "{} {kind} {}", self.gvk.api_version(), self.name)?;
        if !self.namespace.is_empty() && self.namespace != NO_NAMESPACE {
            write!(f, " in namespace {}", self.namespace)?;
        }
        Ok(())
    }
}

/// The kinds that kustomize 5.8.1 knows to be cluster-scoped; all others count as namespaced.
/// Source: the scopes in Kubernetes' OpenAPI document, 1.21.
const CLUSTER_SCOPED: &[(&[&str], &str)] = &[
    (&["admissionregistration.k8s.io/v1", "admissionregistration.k8s.io/v1beta1"], "MutatingWebhookConfiguration"),
    (&["admissionregistration.k8s.io/v1", "admissionregistration.k8s.io/v1beta1"], "ValidatingWebhookConfiguration"),
    (&["apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1"], "CustomResourceDefinition"),
    (&["apiregistration.k8s.io/v1", "apiregistration.k8s.io/v1beta1"], "APIService"),
    (&["certificates.k8s.io/v1", "certificates.k8s.io/v1beta1"], "CertificateSigningRequest"),
    (&["flowcontrol.apiserver.k8s.io/v1beta1"], "FlowSchema"),
    (&["flowcontrol.apiserver.k8s.io/v1beta1"], "PriorityLevelConfiguration"),
    (&["networking.k8s.io/v1", "networking.k8s.io/v1beta1"], "IngressClass"),
    (&["node.k8s.io/v1", "node.k8s.io/v1beta1"], "RuntimeClass"),
    (&["policy/v1beta1"], "PodSecurityPolicy"),
    (&["rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io/v1beta1"], "ClusterRole"),
    (&["rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io/v1beta1"], "ClusterRoleBinding"),
    (&["scheduling.k8s.io/v1", "scheduling.k8s.io/v1beta1"], "PriorityClass"),
    (&["storage.k8s.io/v1", "storage.k8s.io/v1beta1"], "CSIDriver"),
    (&["storage.k8s.io/v1", "storage.k8s.io/v1beta1"], "CSINode"),
    (&["storage.k8s.io/v1", "storage.k8s.io/v1beta1"], "StorageClass"),
    (&["storage.k8s.io/v1", "storage.k8s.io/v1beta1"], "VolumeAttachment"),
    (&["v1"], "ComponentStatus"),
    (&["v1"], "Namespace"),
    (&["v1"], "Node"),
    (&["v1"], "NodeProxyOptions"),
    (&["v1"], "PersistentVolume"),
];
