//! One object as the store keeps it: its JSON, packed, and the few things that are asked of it without reading that.
//!
//! Objects of a kind resemble each other: what one has in common with another is kept as a reference to that other. A
//! Deployment of three kilobytes comes down to a few hundred bytes, and is unpacked in a few microseconds.

use std::borrow::Cow;
use std::sync::Arc;

use lz4_flex::block::{compress_with_dict, decompress_with_dict};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kinds::Kind;
use super::seen::Json;
use crate::domain::phase::Phase;

/// Less is not worth the work.
const SHORT: usize = 256;
/// What is longer is no good sample: looking it through takes longer than what it saves.
const LONG: usize = 16 * 1024;
/// A sample has had its chance after so many objects.
const TRIED: u32 = 32;

/// An object of one resourceVersion. Never changes.
#[derive(Debug)]
pub struct Stored {
    json: Packed,
    uid: Box<str>,
    version: u64,
    facts: Facts,
}

/// JSON, packed where that helps.
#[derive(Debug)]
enum Packed {
    Plain(Box<[u8]>),
    Lz4 { bytes: Box<[u8]>, length: usize, sample: Arc<[u8]> },
}

/// The object of a kind that others are compared with.
#[derive(Debug, Default)]
pub(super) struct Sample {
    json: Arc<[u8]>,
    used: u32,
}

impl Sample {
    pub(super) fn json(&self) -> Arc<[u8]> {
        Arc::clone(&self.json)
    }

    /// Takes note of an object that was packed with it; one that it was no good for takes its place, after a while.
    pub(super) fn note(&mut self, object: &Stored, json: &[u8]) {
        self.used = self.used.saturating_add(1);
        let poor = self.json.is_empty() || (self.used > TRIED && object.json.size() * 2 > json.len());
        if poor && (SHORT..LONG).contains(&json.len()) {
            *self = Self { json: json.into(), used: 0 };
        }
    }
}

impl Packed {
    fn new(json: &[u8], sample: &Arc<[u8]>) -> Self {
        if json.len() >= SHORT && !sample.is_empty() {
            let bytes = compress_with_dict(json, sample);
            if bytes.len() * 4 < json.len() * 3 {
                return Self::Lz4 { bytes: bytes.into(), length: json.len(), sample: Arc::clone(sample) };
            }
        }
        Self::Plain(json.into())
    }

    fn size(&self) -> usize {
        match self {
            Self::Plain(bytes) | Self::Lz4 { bytes, .. } => bytes.len(),
        }
    }

    fn json(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Plain(bytes) => Cow::Borrowed(bytes),
            // What was packed here comes out again.
            Self::Lz4 { bytes, length, sample } => decompress_with_dict(bytes, *length, sample).unwrap_or_default().into(),
        }
    }
}

/// What is known of an object beside its JSON, by its kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Facts {
    None,
    /// The names of its target and of its Service, and what its metrics need.
    Canary {
        target: Box<str>,
        service: Box<str>,
        course: Course,
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
    /// Who holds it; a renewal changes nothing.
    Lease {
        holder: Box<str>,
    },
}

/// What the metrics of a Canary need, for whoever draws their course.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Its phase is one of a rollout in flight.
    pub flying: bool,
    /// It names a metric server, or metrics with one, of its own.
    pub own_server: bool,
}

impl Stored {
    /// `sample` is the JSON of an object of the kind, or empty.
    pub(super) fn new(kind: Kind, json: &Json, sample: &Arc<[u8]>) -> Self {
        Self {
            facts: Facts::of(kind, &json.bytes),
            version: json.version.parse().unwrap_or(0),
            uid: json.uid.as_str().into(),
            json: Packed::new(&json.bytes, sample),
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
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.json.json())
    }

    /// What the metrics of a Canary need.
    #[must_use]
    pub fn course(&self) -> Course {
        match &self.facts {
            Facts::Canary { course, .. } => *course,
            _ => Course::default(),
        }
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
                let CanaryWhole { spec: CanaryPart { target_ref, service, metrics_server, analysis }, status } = read(json);
                let flying = Phase::ALL.into_iter().any(|phase| phase.word() == status.phase && phase.is_in_flight());
                let own_server = !metrics_server.is_empty() || analysis.metrics.iter().any(|metric| metric.template_ref.is_some());
                Self::Canary { target: target_ref.name.into(), service: service.name.into(), course: Course { flying, own_server } }
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
            Kind::Lease | Kind::Claim => {
                let Whole { spec: LeasePart { holder_identity }, .. } = read(json);
                Self::Lease { holder: holder_identity.into() }
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
#[serde(default)]
struct CanaryWhole {
    spec: CanaryPart,
    status: StatusPart,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CanaryPart {
    target_ref: Named,
    service: Named,
    metrics_server: String,
    analysis: AnalysisPart,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AnalysisPart {
    metrics: Vec<MetricPart>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetricPart {
    template_ref: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatusPart {
    phase: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LeasePart {
    holder_identity: String,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(name: &str, image: &str) -> Value {
        let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "initialDelaySeconds": 5, "timeoutSeconds": 5});
        json!({"metadata": {"namespace": "shop", "name": name, "uid": name, "resourceVersion": "7"},
            "spec": {"template": {"spec": {"containers": [{"image": image, "livenessProbe": probe, "readinessProbe": probe}]}}}})
    }

    fn json(value: &Value) -> Json {
        Json::of(value, Kind::Deployment.kept())
    }

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let mut sample = Sample::default();
        let (first, second) = (deployment("web", "web:1"), deployment("grüße", "api:2"));
        for value in [&first, &second] {
            let json = json(value);
            let stored = Stored::new(Kind::Deployment, &json, &sample.json());
            sample.note(&stored, &json.bytes);
            assert_eq!(&stored.value(), value);
        }
        let stored = Stored::new(Kind::Deployment, &json(&second), &sample.json());
        assert!(matches!(&stored.json, Packed::Lz4 { bytes, length, .. } if bytes.len() * 2 < *length), "{stored:?}");
        assert_eq!((stored.image(), stored.version(), stored.uid()), ("api:2", 7, "grüße"));
        let small = json!({"metadata": {"name": "a"}});
        assert_eq!(Stored::new(Kind::Service, &json(&small), &sample.json()).value(), small);
    }

    #[test]
    fn a_sample_that_resembles_nothing_is_given_up() {
        let mut sample = Sample::default();
        let noise: String = (0..2_000_u32).map(|n| char::from_digit(n.wrapping_mul(2_654_435_761) >> 5 & 31, 32).unwrap_or('x')).collect();
        let odd = json(&json!({"metadata": {"name": "odd"}, "data": noise}));
        sample.note(&Stored::new(Kind::Deployment, &odd, &sample.json()), &odd.bytes);
        let common = json(&deployment("web", "web:1"));
        let packed = |sample: &Sample| Stored::new(Kind::Deployment, &common, &sample.json());
        let poor = packed(&sample).json.size();
        for _ in 0..=TRIED {
            sample.note(&packed(&sample), &common.bytes);
        }
        assert!(packed(&sample).json.size() * 2 < poor);
    }
}
