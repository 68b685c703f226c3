//! A load: clusters full of canaries with nothing behind them, and a storm of changes, to see what a client has to carry.
//!
//! The objects are made once through the API server, with all that it fills in, and then stored again under other names
//! (`template.rs`). No world goes on in such a cluster: what changes, `storm.rs` changes. Never here: a story, or
//! anything that measures.

mod storm;
mod template;

use std::sync::Arc;

use jiff::Timestamp;

use super::api::{ApiServer, Options, Status};
use super::app;
use super::cluster::VERSION;
use super::world::MeshKind;
use crate::domain::fleet::{API_VERSION, Engine, Fleet, Provider};

use self::template::{Template, Variant};

/// So many canaries share a namespace.
const PER_NAMESPACE: usize = 10;
/// The past that all clusters together keep for watches, in bytes.
const PAST: usize = 64 << 20;
/// What the applications are called, with a number where there are more of them.
const WORDS: [&str; 20] = [
    "checkout",
    "cart",
    "catalogue",
    "payments",
    "search",
    "profile",
    "orders",
    "shipping",
    "pricing",
    "ratings",
    "inventory",
    "gateway",
    "sessions",
    "mailer",
    "invoices",
    "ledger",
    "recommendations",
    "stock",
    "vouchers",
    "webshop",
];

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub clusters: usize,
    /// Of each cluster.
    pub canaries: usize,
    /// None of them is in flight, or waits.
    pub settled: bool,
    /// Phases, uids and what the storm strikes follow from this number.
    pub seed: u64,
}

/// One stored object that the storm may strike.
#[derive(Clone, Debug)]
struct Place {
    cluster: usize,
    resource: &'static str,
    namespace: Arc<str>,
    name: Box<str>,
}

/// Clusters that bear a load.
pub struct Loaded {
    /// By the names of their contexts.
    pub clusters: Vec<(String, Arc<ApiServer>)>,
    places: Vec<Place>,
    seed: u64,
}

impl Load {
    /// Fills the clusters; takes about a second for every ten thousand objects.
    ///
    /// # Errors
    /// What an API server refused of the templates.
    pub fn fill(&self) -> Result<Loaded, Box<Status>> {
        let templates = Variant::ALL.map(Template::make).into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut loaded = Loaded { clusters: Vec::new(), places: Vec::new(), seed: self.seed };
        for cluster in 0..self.clusters {
            let name = format!("load-{:02}", cluster + 1);
            let seed = self.seed.wrapping_mul(1_000).wrapping_add(u64::try_from(cluster).unwrap_or(0));
            let server = ApiServer::new(Options { name: name.clone(), now: Arc::new(Timestamp::now), seed, git_version: VERSION.into() });
            server.keep_events(0);
            server.keep_past(PAST / self.clusters.max(1));
            app::prepare(&server, MeshKind::Istio)?;
            for number in 0..self.canaries {
                let namespace: Arc<str> = format!("team-{:02}", number / PER_NAMESPACE + 1).into();
                if number % PER_NAMESPACE == 0 {
                    template::namespace(&server, &namespace)?;
                }
                let word = WORDS[number % WORDS.len()];
                let name = if number < WORDS.len() { word.to_owned() } else { format!("{word}-{}", number / WORDS.len() + 1) };
                let variant = if self.settled { Variant::Succeeded } else { Variant::draw(&mut random) };
                let template = &templates[variant as usize];
                for (resource, name) in template.store(&server, &namespace, &name) {
                    if storm::STRUCK.contains(&resource) {
                        loaded.places.push(Place { cluster, resource, namespace: Arc::clone(&namespace), name });
                    }
                }
            }
            server.compact();
            loaded.clusters.push((name, server));
        }
        Ok(loaded)
    }
}

impl Loaded {
    /// The fleet file that describes the clusters.
    #[must_use]
    pub fn fleet(&self) -> Fleet {
        let provider = |name: &String| Provider {
            name: name.clone(),
            context: name.clone(),
            mesh: Some("istio".into()),
            environment: Some("production".into()),
            ..Provider::default()
        };
        Fleet {
            api_version: API_VERSION.into(),
            kind: "Fleet".into(),
            distribution: None,
            engine: Engine::default(),
            providers: self.clusters.iter().map(|(name, _)| provider(name)).collect(),
        }
    }

    /// Changes so many objects a second, spread over all clusters, until the task is dropped.
    pub async fn storm(&self, rate: u32) {
        storm::rage(self, rate).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::kubernetes::json::text;

    #[test]
    fn a_loaded_cluster_is_whole_and_the_storm_changes_it() {
        let loaded = Load { clusters: 2, canaries: 25, settled: false, seed: 3 }.fill().expect("filled");
        let (_, server) = &loaded.clusters[1];
        let canaries = server.objects("canaries.flagger.app");
        assert_eq!(canaries.len(), 25);
        let mut uids = std::collections::BTreeSet::new();
        for canary in &canaries {
            let (namespace, name) = (text(canary, "/metadata/namespace"), text(canary, "/metadata/name"));
            let target = server.object("deployments.apps", namespace, text(canary, "/spec/targetRef/name")).expect("the target");
            let primary = server.object("deployments.apps", namespace, &format!("{name}-primary")).expect("the primary");
            assert_eq!(text(&primary, "/metadata/ownerReferences/0/uid"), text(canary, "/metadata/uid"));
            assert!(uids.insert(text(canary, "/metadata/uid").to_owned()) && uids.insert(text(&target, "/metadata/uid").to_owned()));
            assert!(canary.pointer("/metadata/managedFields/1").is_some(), "as a real one");
        }
        assert!(server.objects("events").len() > 50);
        let version = |server: &Arc<ApiServer>| server.changes().get();
        let before = version(server);
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            storm::strike(&loaded, &mut random, Timestamp::now());
        }
        assert!(version(server) > before + 50);
        let struck = server.objects("canaries.flagger.app");
        assert!(struck.iter().zip(&canaries).any(|(now, then)| now.get("status") != then.get("status")));
        assert_eq!(struck[0].get("spec"), canaries[0].get("spec"));
        assert_eq!(struck.iter().filter(|c| c.get("status") == Some(&Value::Null)).count(), 0);
    }
}
