//! The kinds that are watched: one table.

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
    Lease,
    VirtualService,
    DestinationRule,
    HttpRoute,
}

struct Row {
    kind: Kind,
    group: &'static str,
    version: &'static str,
    word: &'static str,
    plural: &'static str,
    /// Only what this selects is watched.
    fields: &'static str,
    /// Metadata alone is watched; the object is read by name when it is needed.
    metadata_only: bool,
    /// Who owns which field matters to us.
    managers: bool,
}

const TABLE: [Row; 10] = [
    Row {
        kind: Kind::Canary,
        group: "flagger.app",
        version: "v1beta1",
        word: "Canary",
        plural: "canaries",
        fields: "",
        metadata_only: false,
        managers: true,
    },
    Row {
        kind: Kind::Deployment,
        group: "apps",
        version: "v1",
        word: "Deployment",
        plural: "deployments",
        fields: "",
        metadata_only: false,
        managers: false,
    },
    Row {
        kind: Kind::Service,
        group: "",
        version: "v1",
        word: "Service",
        plural: "services",
        fields: "",
        metadata_only: false,
        managers: false,
    },
    Row {
        kind: Kind::ConfigMap,
        group: "",
        version: "v1",
        word: "ConfigMap",
        plural: "configmaps",
        fields: "",
        metadata_only: true,
        managers: false,
    },
    Row {
        kind: Kind::Secret,
        group: "",
        version: "v1",
        word: "Secret",
        plural: "secrets",
        fields: "",
        metadata_only: true,
        managers: false,
    },
    Row {
        kind: Kind::Event,
        group: "",
        version: "v1",
        word: "Event",
        plural: "events",
        fields: "involvedObject.kind=Canary",
        metadata_only: false,
        managers: false,
    },
    Row {
        kind: Kind::Lease,
        group: "coordination.k8s.io",
        version: "v1",
        word: "Lease",
        plural: "leases",
        fields: "metadata.name=flagger-leader-election",
        metadata_only: false,
        managers: false,
    },
    Row {
        kind: Kind::VirtualService,
        group: "networking.istio.io",
        version: "v1beta1",
        word: "VirtualService",
        plural: "virtualservices",
        fields: "",
        metadata_only: false,
        managers: true,
    },
    Row {
        kind: Kind::DestinationRule,
        group: "networking.istio.io",
        version: "v1beta1",
        word: "DestinationRule",
        plural: "destinationrules",
        fields: "",
        metadata_only: false,
        managers: false,
    },
    Row {
        kind: Kind::HttpRoute,
        group: "gateway.networking.k8s.io",
        version: "v1",
        word: "HTTPRoute",
        plural: "httproutes",
        fields: "",
        metadata_only: false,
        managers: true,
    },
];

impl Kind {
    /// All kinds, in the order their watches are started.
    pub const ALL: [Self; 10] = [
        Self::Canary,
        Self::Deployment,
        Self::Service,
        Self::ConfigMap,
        Self::Secret,
        Self::Event,
        Self::Lease,
        Self::VirtualService,
        Self::DestinationRule,
        Self::HttpRoute,
    ];

    fn row(self) -> &'static Row {
        TABLE.iter().find(|r| r.kind == self).unwrap_or(&TABLE[0])
    }

    /// The kind called `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.word == word).map(|row| row.kind)
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
    pub fn is_metadata_only(self) -> bool {
        self.row().metadata_only
    }

    #[must_use]
    pub fn keeps_managers(self) -> bool {
        self.row().managers
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

    /// The path of one object, or of the collection where `name` is empty.
    #[must_use]
    pub fn path(self, namespace: &str, name: &str) -> String {
        let row = self.row();
        let root = if row.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", self.api_version()) };
        let scope = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        let name = if name.is_empty() { String::new() } else { format!("/{name}") };
        format!("{root}{scope}/{}{name}", row.plural)
    }
}
