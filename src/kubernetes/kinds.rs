//! The kinds that are watched: one table.
//!
//! Some are watched in every cluster, the others once a Canary there needs them.

use kube::api::ApiResource;

/// A watched kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Canary,
    Deployment,
    Service,
    ConfigMap,
    Secret,
    Event,
    /// Flagger's.
    Lease,
    /// Our own [`super::lease`].
    Claim,
    VirtualService,
    DestinationRule,
    DaemonSet,
    HorizontalPodAutoscaler,
    ScaledObject,
    HttpRoute,
    HttpRouteV1Beta1,
    Ingress,
    HttpProxy,
    TraefikService,
    RouteTable,
    Upstream,
    ApisixRoute,
    TrafficRoute,
    KnativeService,
    TrafficSplitV1Alpha1,
    TrafficSplitV1Alpha2,
    TrafficSplitV1Alpha3,
}

/// What is kept of the objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it: who owns which field matters to us.
    Owners,
    /// All but `managedFields`.
    Object,
    /// Neither does it matter what was applied before: such objects are never restored, nor written as a whole.
    Present,
    /// Metadata alone is watched, less both; the object is read by name when it is needed.
    Metadata,
}

struct Row {
    kind: Kind,
    group: &'static str,
    version: &'static str,
    word: &'static str,
    plural: &'static str,
    /// Watched in every cluster, whatever its Canaries say.
    always: bool,
    /// Only what this selects is watched.
    fields: &'static str,
    kept: Kept,
    namespaced: bool,
}

impl Row {
    const fn always(self) -> Self {
        Self { always: true, ..self }
    }

    const fn fields(self, fields: &'static str) -> Self {
        Self { fields, ..self }
    }

    const fn keeps(self, kept: Kept) -> Self {
        Self { kept, ..self }
    }

    const fn managers(self) -> Self {
        self.keeps(Kept::Owners)
    }

    const fn cluster_scoped(self) -> Self {
        Self { namespaced: false, ..self }
    }
}

const fn row(kind: Kind, group: &'static str, version: &'static str, word: &'static str, plural: &'static str) -> Row {
    Row { kind, group, version, word, plural, always: false, fields: "", kept: Kept::Object, namespaced: true }
}

const TABLE: [Row; 26] = [
    row(Kind::Canary, "flagger.app", "v1beta1", "Canary", "canaries").always().managers(),
    row(Kind::Deployment, "apps", "v1", "Deployment", "deployments").always().keeps(Kept::Present),
    row(Kind::Service, "", "v1", "Service", "services").always(),
    row(Kind::ConfigMap, "", "v1", "ConfigMap", "configmaps").always().keeps(Kept::Metadata),
    row(Kind::Secret, "", "v1", "Secret", "secrets").always().keeps(Kept::Metadata),
    row(Kind::Event, "", "v1", "Event", "events").always().keeps(Kept::Present).fields("involvedObject.kind=Canary"),
    row(Kind::Lease, "coordination.k8s.io", "v1", "Lease", "leases")
        .always()
        .keeps(Kept::Present)
        .fields("metadata.name=flagger-leader-election"),
    row(Kind::Claim, "coordination.k8s.io", "v1", "Lease", "leases").always().keeps(Kept::Present).fields("metadata.name=pilothouse"),
    row(Kind::VirtualService, "networking.istio.io", "v1beta1", "VirtualService", "virtualservices").always().managers(),
    row(Kind::DestinationRule, "networking.istio.io", "v1beta1", "DestinationRule", "destinationrules"),
    row(Kind::DaemonSet, "apps", "v1", "DaemonSet", "daemonsets").keeps(Kept::Present),
    row(Kind::HorizontalPodAutoscaler, "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    row(Kind::ScaledObject, "keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
    row(Kind::HttpRoute, "gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes").managers(),
    row(Kind::HttpRouteV1Beta1, "gateway.networking.k8s.io", "v1beta1", "HTTPRoute", "httproutes").managers(),
    row(Kind::Ingress, "networking.k8s.io", "v1", "Ingress", "ingresses").managers(),
    row(Kind::HttpProxy, "projectcontour.io", "v1", "HTTPProxy", "httpproxies").managers(),
    row(Kind::TraefikService, "traefik.io", "v1alpha1", "TraefikService", "traefikservices").managers(),
    row(Kind::RouteTable, "gateway.solo.io", "v1", "RouteTable", "routetables").managers(),
    row(Kind::Upstream, "gloo.solo.io", "v1", "Upstream", "upstreams"),
    row(Kind::ApisixRoute, "apisix.apache.org", "v2", "ApisixRoute", "apisixroutes").managers(),
    row(Kind::TrafficRoute, "kuma.io", "v1alpha1", "TrafficRoute", "trafficroutes").managers().cluster_scoped(),
    row(Kind::KnativeService, "serving.knative.dev", "v1", "Service", "services").managers(),
    row(Kind::TrafficSplitV1Alpha1, "split.smi-spec.io", "v1alpha1", "TrafficSplit", "trafficsplits").managers(),
    row(Kind::TrafficSplitV1Alpha2, "split.smi-spec.io", "v1alpha2", "TrafficSplit", "trafficsplits").managers(),
    row(Kind::TrafficSplitV1Alpha3, "split.smi-spec.io", "v1alpha3", "TrafficSplit", "trafficsplits").managers(),
];

impl Kind {
    /// All kinds, in the order their watches are started.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.kind)
    }

    /// The kinds that are watched in every cluster.
    pub fn always() -> impl Iterator<Item = Self> {
        TABLE.iter().filter(|row| row.always).map(|row| row.kind)
    }

    fn row(self) -> &'static Row {
        TABLE.iter().find(|r| r.kind == self).unwrap_or(&TABLE[0])
    }

    /// `apiVersion` of the kind.
    #[must_use]
    pub fn api_version(self) -> String {
        let row = self.row();
        if row.group.is_empty() { row.version.into() } else { format!("{}/{}", row.group, row.version) }
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().word
    }

    #[must_use]
    pub fn field_selector(self) -> &'static str {
        self.row().fields
    }

    #[must_use]
    pub fn kept(self) -> Kept {
        self.row().kept
    }

    #[must_use]
    pub fn is_namespaced(self) -> bool {
        self.row().namespaced
    }

    #[must_use]
    pub fn resource(self) -> ApiResource {
        let row = self.row();
        ApiResource {
            group: row.group.into(),
            version: row.version.into(),
            api_version: self.api_version(),
            kind: row.word.into(),
            plural: row.plural.into(),
        }
    }

    /// The path of one object, or of the collection where `name` is empty; a cluster-scoped kind takes no namespace.
    #[must_use]
    pub fn path(self, namespace: &str, name: &str) -> String {
        let row = self.row();
        let root = if row.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", self.api_version()) };
        let scope = if namespace.is_empty() || !row.namespaced { String::new() } else { format!("/namespaces/{namespace}") };
        let name = if name.is_empty() { String::new() } else { format!("/{name}") };
        format!("{root}{scope}/{}{name}", row.plural)
    }
}
