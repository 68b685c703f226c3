//! Requests, failures and latencies of every set of pods, as counters over virtual time. A counter is the integral of a
//! smooth rate, known in closed form: between two changes nothing is computed and nothing is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;

use jiff::Timestamp;

use super::hash::{phase, suffix};
use super::options::{MeshKind, milliseconds};
use super::replicasets::Pods;
use super::view::Key;

/// For how long counters of the past can be asked for, in milliseconds.
pub const KEPT: u64 = 15 * 60 * 1000;
/// Upper bounds of Istio's buckets in milliseconds; those of the application's seconds are among them.
pub const BOUNDS: [f64; 15] = [0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 30_000.0, 60_000.0];

/// Period in seconds and height of the waves of load; the first is the day of this small world.
const LOAD: [(f64, f64); 3] = [(480.0, 0.06), (61.0, 0.04), (17.0, 0.03)];
/// The same for errors and latencies, which come and go on their own.
const MOOD: [(f64, f64); 2] = [(97.0, 0.5), (23.0, 0.5)];
/// How far the mood moves errors and latencies.
const ERROR_SWING: f64 = 0.2;
const LATENCY_SWING: f64 = 0.25;
/// The two latencies that answers are mixed from, as parts of the usual one.
const MIX: [f64; 2] = [0.94, 1.06];

/// How a version behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// Part of the requests that fails, 0 to 1.
    pub errors: f64,
    /// How long nearly all requests take.
    pub milliseconds: f64,
}

const NORMAL: Behaviour = Behaviour { errors: 0.001, milliseconds: 50.0 };
/// Nobody answers: every request fails, at once.
const REFUSED: Behaviour = Behaviour { errors: 1.0, milliseconds: 1.0 };

/// Texts in image tags and what they change.
#[derive(Clone, Debug)]
struct Behaviours {
    texts: BTreeMap<String, (Option<f64>, Option<f64>)>,
}

impl Behaviours {
    fn of(&self, image: &str) -> Behaviour {
        let tag = tag(image);
        let mut out = NORMAL;
        for (errors, milliseconds) in self.texts.iter().filter(|(text, _)| tag.contains(text.as_str())).map(|(_, how)| how) {
            out.errors = errors.unwrap_or(out.errors);
            out.milliseconds = milliseconds.unwrap_or(out.milliseconds);
        }
        out
    }
}

/// The tag of an image, `latest` where it has none.
fn tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split_once(':').map_or("latest", |(_, tag)| tag)
}

/// Who answers, or does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The pods of a `ReplicaSet`.
    Pods(Key),
    /// A Service with no ready pod behind it.
    Refused(Key),
}

/// What is known of a source besides its counters.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub namespace: String,
    /// Deployment, or the Service where nobody answers.
    pub workload: String,
    /// One name for all pods of a set.
    pub pod: String,
    pub ingress: Option<(String, bool)>,
    pub mesh: MeshKind,
    pub refused: bool,
    image: String,
}

impl Stream {
    pub fn of_pods(pods: &Pods, mesh: MeshKind, ingress: Option<(String, bool)>) -> Self {
        Self {
            namespace: pods.workload.namespace.to_string(),
            workload: pods.workload.name.to_string(),
            pod: String::new(),
            ingress,
            mesh,
            refused: false,
            image: pods.image.clone(),
        }
    }

    pub fn refused(service: &Key) -> Self {
        Self {
            namespace: service.namespace.to_string(),
            workload: service.name.to_string(),
            pod: String::new(),
            ingress: None,
            mesh: MeshKind::None,
            refused: true,
            image: String::new(),
        }
    }
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub requests: f64,
    pub failures: f64,
    /// Requests that took at most as long as the bound of the same index.
    pub buckets: [f64; BOUNDS.len()],
    /// Sum of all latencies.
    pub milliseconds: f64,
}

/// From here on everything stays as it is, until the next one.
#[derive(Clone, Debug)]
struct Stretch {
    from: Timestamp,
    /// At `from`.
    totals: Totals,
    rate: f64,
    behaviour: Behaviour,
    /// Whether there are pods to be scraped.
    present: bool,
}

/// The counters of one source.
#[derive(Clone, Debug)]
pub struct Counters {
    pub stream: Stream,
    phases: [f64; LOAD.len() + MOOD.len()],
    /// Never empty, oldest first.
    stretches: Vec<Stretch>,
}

impl Counters {
    /// The counters at a time; `None` where there was nothing to scrape. `lie` overrules the behaviour.
    pub fn at(&self, time: Timestamp, lie: Option<Behaviour>) -> Option<Totals> {
        let stretch = self.stretch(time)?;
        if !stretch.present {
            return None;
        }
        let mut totals = self.grown(stretch, time);
        if let Some(lie) = lie {
            totals.failures = totals.requests * lie.errors;
            totals.milliseconds = totals.requests * lie.milliseconds;
            for (count, bound) in totals.buckets.iter_mut().zip(BOUNDS) {
                *count = totals.requests * within(lie.milliseconds, bound);
            }
        }
        Some(totals)
    }

    /// Requests a second at a time.
    pub fn rate(&self, time: Timestamp) -> f64 {
        self.stretch(time).map_or(0.0, |stretch| {
            let t = seconds(time);
            let wave: f64 = LOAD.iter().zip(&self.phases).map(|((period, height), p)| height * (TAU * (t / period + p)).sin()).sum();
            stretch.rate * (1.0 + wave)
        })
    }

    fn stretch(&self, time: Timestamp) -> Option<&Stretch> {
        let index = self.stretches.partition_point(|s| s.from <= time);
        self.stretches.get(index.checked_sub(1)?)
    }

    fn grown(&self, stretch: &Stretch, to: Timestamp) -> Totals {
        let mut totals = stretch.totals;
        if stretch.rate <= 0.0 || to <= stretch.from {
            return totals;
        }
        let (from, span) = (seconds(stretch.from), to.duration_since(stretch.from).as_secs_f64());
        let (load_phases, mood_phases) = self.phases.split_at(LOAD.len());
        let requests = stretch.rate * (span + waves(&LOAD, load_phases, from, span));
        let mood = stretch.rate * waves(&MOOD, mood_phases, from, span);
        let Behaviour { errors, milliseconds } = stretch.behaviour;
        totals.requests += requests;
        totals.failures += errors * (requests + (1.0 - errors) * ERROR_SWING * mood);
        totals.milliseconds += milliseconds * requests;
        for (count, bound) in totals.buckets.iter_mut().zip(BOUNDS) {
            let [fast, slow] = MIX.map(|part| within(milliseconds * part, bound));
            *count += f64::midpoint(fast, slow) * requests + LATENCY_SWING * mood * (fast - slow);
        }
        totals
    }

    fn change(&mut self, at: Timestamp, rate: f64, behaviour: Behaviour, present: bool) {
        let Some(last) = self.stretches.last() else {
            return;
        };
        let same = (last.rate - rate).abs() < 1e-9 && last.behaviour == behaviour && last.present == present;
        if same {
            return;
        }
        let next = Stretch { from: at, totals: self.grown(last, at), rate, behaviour, present };
        if last.from == at {
            self.stretches.pop();
        }
        self.stretches.push(next);
        let oldest = at - milliseconds(KEPT);
        let past = self.stretches.partition_point(|s| s.from <= oldest).saturating_sub(1);
        self.stretches.drain(..past);
    }

    fn ended(&self, oldest: Timestamp) -> bool {
        self.stretches.last().is_some_and(|s| s.rate <= 0.0 && s.from < oldest)
    }
}

/// Seconds for the waves, small enough to keep their precision.
fn seconds(time: Timestamp) -> f64 {
    time.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64() % 1_000_000.0
}

/// Integral of waves over `span` seconds.
fn waves(waves: &[(f64, f64)], phases: &[f64], from: f64, span: f64) -> f64 {
    let at = |t: f64, period: f64, phase: f64| (TAU * (t / period + phase)).cos();
    waves
        .iter()
        .zip(phases)
        .map(|((period, height), p)| height * period / TAU * (at(from, *period, *p) - at(from + span, *period, *p)))
        .sum()
}

/// The part of requests that takes at most `bound` where nearly all take `milliseconds` or less.
fn within(milliseconds: f64, bound: f64) -> f64 {
    1.0 / (1.0 + (0.8 * milliseconds / bound).powi(16))
}

/// All counters of one cluster.
#[derive(Clone, Debug)]
pub struct Traffic {
    seed: u64,
    behaviours: Behaviours,
    counters: BTreeMap<Source, Counters>,
}

impl Traffic {
    pub fn new(seed: u64) -> Self {
        let texts = [("bad".to_owned(), (Some(0.5), None)), ("slow".to_owned(), (None, Some(900.0)))].into();
        Self { seed, behaviours: Behaviours { texts }, counters: BTreeMap::new() }
    }

    /// Images whose tag contains `text` behave so from the next [`Traffic::set`] on; nothing given forgets the text.
    pub fn behave(&mut self, text: &str, errors: Option<f64>, milliseconds: Option<f64>) {
        if errors.is_none() && milliseconds.is_none() {
            self.behaviours.texts.remove(text);
        } else {
            let sane = |value: Option<f64>, most: f64| value.map(|v| v.clamp(0.0, most));
            self.behaviours.texts.insert(text.to_owned(), (sane(errors, 1.0), sane(milliseconds, 600_000.0)));
        }
    }

    /// From now on these sources of a namespace, and no others, get so many requests a second.
    pub fn set(&mut self, at: Timestamp, namespace: &str, streams: Vec<(Source, Stream, f64)>) {
        let mut present = BTreeSet::new();
        for (source, stream, rate) in streams {
            let behaviour = if stream.refused { REFUSED } else { self.behaviours.of(&stream.image) };
            let counters = self.counters.entry(source.clone()).or_insert_with(|| Counters::new(self.seed, at, &source, &stream));
            counters.stream.ingress = stream.ingress.or_else(|| counters.stream.ingress.take());
            counters.change(at, rate, behaviour, true);
            present.insert(source);
        }
        let oldest = at - milliseconds(KEPT);
        self.counters.retain(|source, counters| {
            if counters.stream.namespace != namespace || present.contains(source) {
                return true;
            }
            let behaviour = counters.stretches.last().map_or(NORMAL, |s| s.behaviour);
            counters.change(at, 0.0, behaviour, counters.stream.refused);
            !counters.ended(oldest)
        });
    }

    pub fn all(&self) -> impl Iterator<Item = &Counters> + Clone {
        self.counters.values()
    }

    /// Namespaces that have or had traffic.
    pub fn namespaces(&self) -> Vec<String> {
        let mut all: Vec<String> = self.counters.values().map(|c| c.stream.namespace.clone()).collect();
        all.dedup();
        all
    }

    /// Requests a second to a workload at a time.
    pub fn rate(&self, workload: &Key, at: Timestamp) -> f64 {
        let of = |c: &&Counters| !c.stream.refused && c.stream.namespace == *workload.namespace && c.stream.workload == *workload.name;
        self.counters.values().filter(of).map(|c| c.rate(at)).sum()
    }
}

impl Counters {
    fn new(seed: u64, at: Timestamp, source: &Source, stream: &Stream) -> Self {
        let (Source::Pods(key) | Source::Refused(key)) = source;
        let text = format!("{}/{}", key.namespace, key.name);
        let phases = std::array::from_fn(|index| phase(seed, &text, index as u64));
        let mut stream = stream.clone();
        let mut rng = fastrand::Rng::with_seed(phase(seed, &text, 100).to_bits());
        stream.pod = format!("{}-{}", key.name, suffix(&mut rng));
        let behaviour = NORMAL;
        Self { stream, phases, stretches: vec![Stretch { from: at, totals: Totals::default(), rate: 0.0, behaviour, present: false }] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("a time")
    }

    fn stream(image: &str) -> (Source, Stream) {
        let stream = Stream { image: image.into(), refused: false, ..Stream::refused(&Key::new("test", "web")) };
        (Source::Pods(Key::new("test", "web-5d4f")), stream)
    }

    fn traffic(image: &str, rate: f64) -> Traffic {
        let mut traffic = Traffic::new(7);
        let (source, stream) = stream(image);
        traffic.set(at(0), "test", vec![(source, stream, rate)]);
        traffic
    }

    fn totals(traffic: &Traffic, second: i64) -> Totals {
        traffic.all().next().and_then(|c| c.at(at(second), None)).expect("totals")
    }

    #[test]
    fn counters_grow_about_as_fast_as_the_rate_and_never_shrink() {
        let traffic = traffic("podinfo:6.0.0-bad", 50.0);
        let mut before = totals(&traffic, 0);
        let mut rates = Vec::new();
        for second in (5..900).step_by(5) {
            let now = totals(&traffic, second);
            let grown = now.requests - before.requests;
            rates.push(grown / 5.0);
            assert!((210.0..290.0).contains(&grown), "{second}: {grown}");
            let failed = (now.failures - before.failures) / grown;
            assert!((0.4..0.6).contains(&failed), "{second}: {failed}");
            assert!(now.buckets.iter().zip(before.buckets).all(|(a, b)| *a >= b));
            assert!(now.buckets.windows(2).all(|w| w[0] <= w[1]) && now.buckets[14] <= now.requests);
            before = now;
        }
        assert!((totals(&traffic, 900).requests / 900.0 - 50.0).abs() < 1.0);
        let (least, most) = rates.iter().fold((f64::MAX, 0.0_f64), |(l, m), r| (l.min(*r), m.max(*r)));
        assert!(most - least > 3.0, "a flat line looks dead: {least} to {most}");
    }

    #[test]
    fn an_idle_hour_keeps_nothing_and_a_change_begins_at_its_time() {
        let mut traffic = traffic("podinfo:6.0.0", 10.0);
        let (source, stream) = stream("podinfo:6.0.0");
        traffic.set(at(3600), "test", vec![(source.clone(), stream.clone(), 10.0)]);
        assert_eq!(traffic.all().next().map(|c| c.stretches.len()), Some(1));
        let before = totals(&traffic, 3600).requests;
        traffic.set(at(3600), "test", vec![(source, stream, 0.0)]);
        assert!((totals(&traffic, 4000).requests - before).abs() < 1e-6);
        assert_eq!(traffic.all().next().map(|c| c.stretches.len()), Some(2));
    }

    #[test]
    fn a_source_without_pods_has_no_series_and_is_forgotten_in_the_end() {
        let mut traffic = traffic("podinfo:6.0.0", 10.0);
        traffic.set(at(60), "test", Vec::new());
        let counters = traffic.all().next().expect("counters");
        assert!(counters.at(at(59), None).is_some() && counters.at(at(61), None).is_none());
        traffic.set(at(2000), "test", Vec::new());
        assert_eq!(traffic.all().count(), 0);
    }

    #[test]
    fn tags_decide_and_can_be_overruled() {
        let mut traffic = Traffic::new(1);
        let of = |traffic: &Traffic, image: &str| traffic.behaviours.of(image);
        assert_eq!(of(&traffic, "bad/registry:5000/podinfo:1"), NORMAL);
        assert_eq!(of(&traffic, "podinfo:1-bad@sha256:slow").errors.to_bits(), 0.5_f64.to_bits());
        assert_eq!(of(&traffic, "podinfo:slow").milliseconds.to_bits(), 900.0_f64.to_bits());
        traffic.behave("1.", Some(7.0), Some(120.0));
        assert_eq!(of(&traffic, "podinfo:1.2"), Behaviour { errors: 1.0, milliseconds: 120.0 });
        traffic.behave("1.", None, None);
        assert_eq!(of(&traffic, "podinfo:1.2"), NORMAL);
    }
}
