//! One object as the store keeps it: its JSON, and the few things that are asked of it without reading that.

use serde::Deserialize;
use serde_json::Value;

use super::kinds::Kind;
use super::seen::Json;

/// An object of one resourceVersion. Never changes.
#[derive(Debug)]
pub struct Stored {
    json: Box<[u8]>,
    uid: Box<str>,
    version: u64,
    facts: Facts,
}

/// What is known of an object beside its JSON, by its kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Facts {
    None,
    /// The names of its target and of its Service.
    Canary {
        target: Box<str>,
        service: Box<str>,
    },
    /// The image of the first container, whether one of them is Flagger's, and `metadata.generation`.
    Workload {
        image: Box<str>,
        flagger: bool,
        generation: i64,
    },
    /// Name of the Canary in its namespace that it is about.
    Event {
        about: Box<str>,
    },
}

impl Stored {
    pub(super) fn new(kind: Kind, json: Json) -> Self {
        Self {
            facts: Facts::of(kind, &json.bytes),
            version: json.version.parse().unwrap_or(0),
            uid: json.uid.into(),
            json: json.bytes.into(),
        }
    }

    /// `metadata.resourceVersion`, as [`super::json::version`] reads it.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The whole object.
    #[must_use]
    pub fn value(&self) -> Value {
        self.read().unwrap_or_default()
    }

    /// What a type takes up of the object.
    ///
    /// # Errors
    /// The JSON does not fit the type.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }

    /// The image of the first container; empty for what has none.
    #[must_use]
    pub fn image(&self) -> &str {
        match &self.facts {
            Facts::Workload { image, .. } => image,
            _ => "",
        }
    }
}

impl Facts {
    fn of(kind: Kind, json: &[u8]) -> Self {
        match kind {
            Kind::Canary => {
                let Whole { spec: CanaryPart { target_ref, service }, .. } = read(json);
                Self::Canary { target: target_ref.name.into(), service: service.name.into() }
            }
            Kind::Deployment | Kind::DaemonSet | Kind::KnativeService => {
                let Whole { spec: WorkloadPart { replicas, template }, metadata } = read(json);
                let flagger =
                    replicas != Some(0) && kind == Kind::Deployment && template.spec.containers.iter().any(|c| is_flagger(&c.image));
                let image = template.spec.containers.into_iter().next().map(|c| c.image.into()).unwrap_or_default();
                Self::Workload { image, flagger, generation: metadata.generation }
            }
            Kind::Event => {
                let EventPart { involved_object } = read(json);
                Self::Event { about: involved_object.name.into() }
            }
            _ => Self::None,
        }
    }
}

/// Flagger's image; the load tester and podinfo's own names do not count.
fn is_flagger(image: &str) -> bool {
    let image = image.split(['@', ':']).next().unwrap_or_default();
    image.ends_with("/flagger") || image == "flagger"
}

/// An object that does not fit is none of ours, and has no facts.
fn read<'a, T: Deserialize<'a> + Default>(json: &'a [u8]) -> T {
    serde_json::from_slice(json).unwrap_or_default()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Whole<T: Default> {
    metadata: Metadata,
    spec: T,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    generation: i64,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CanaryPart {
    target_ref: Named,
    service: Named,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkloadPart {
    replicas: Option<i64>,
    template: Whole<PodPart>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodPart {
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    image: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EventPart {
    involved_object: Named,
}
