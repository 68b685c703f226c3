//! Another GitOps agent: it applies its manifests at every interval and when told to, as `kustomize-controller` does, and
//! argues about replicas when asked to.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::agenda::Part;
use super::options::milliseconds;
use super::view::Key;
use crate::kubernetes::json::text;

const MANAGER: &str = "kustomize-controller";
/// The newest refusals are kept, so many of them.
const KEPT: usize = 100;
/// Kinds whose resource is not the lower-case kind with an `s`.
const PLURALS: [(&str, &str); 3] = [("Canary", "canaries"), ("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies")];
/// Kinds that stand in no namespace.
const CLUSTER_WIDE: [&str; 4] = ["Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"];

/// The agent and what it wants.
#[derive(Clone, Debug, Default)]
pub struct Agent {
    manifests: Vec<Value>,
    /// What it wants of every Deployment's `spec.replicas`, whatever the manifests say.
    replicas: Option<i64>,
    told: bool,
    refusals: Vec<String>,
}

impl Agent {
    /// New contents of its repository, applied at once.
    pub fn set(&mut self, manifests: Vec<Value>) {
        self.manifests = manifests;
        self.told = true;
    }

    /// From now on it sets `spec.replicas` of Deployments to this; `None` ends it.
    pub fn fight_over_replicas(&mut self, replicas: Option<i64>) {
        self.replicas = replicas;
        self.told = true;
    }

    /// The newest objects that the server refused, with its words.
    pub fn refusals(&self) -> &[String] {
        &self.refusals
    }

    pub(super) fn is_told(&mut self) -> bool {
        std::mem::take(&mut self.told)
    }

    fn wanted(&self, manifest: &Value) -> Value {
        let mut wanted = manifest.clone();
        if let Some(replicas) = self.replicas.filter(|_| text(manifest, "/kind") == "Deployment") {
            wanted["spec"]["replicas"] = json!(replicas);
        }
        wanted
    }
}

impl World {
    pub(super) fn sync_agent(&mut self, at: Timestamp, key: &Key) {
        if self.agent.manifests.is_empty() {
            return;
        }
        self.agenda.at(at + milliseconds(self.options.agent_interval.max(1)), Part::Agent, key);
        let wanted: Vec<Value> = self.agent.manifests.iter().map(|manifest| self.agent.wanted(manifest)).collect();
        for object in wanted {
            if let Err(why) = self.apply(&path(&object), MANAGER, &object) {
                self.agent.refusals.push(format!("{} {}: {why}", text(&object, "/kind"), text(&object, "/metadata/name")));
            }
        }
        let surplus = self.agent.refusals.len().saturating_sub(KEPT);
        self.agent.refusals.drain(..surplus);
    }
}

/// Where an object lives.
fn path(object: &Value) -> String {
    let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let plural = PLURALS.iter().find(|(k, _)| *k == kind).map_or_else(|| format!("{}s", kind.to_lowercase()), |(_, p)| (*p).to_owned());
    let name = text(object, "/metadata/name");
    if CLUSTER_WIDE.contains(&kind) {
        return format!("{root}/{plural}/{name}");
    }
    let namespace = Some(text(object, "/metadata/namespace")).filter(|n| !n.is_empty()).unwrap_or("default");
    format!("{root}/namespaces/{namespace}/{plural}/{name}")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, deployment};
    use super::*;
    use crate::kubernetes::json::integer;

    fn replicas(bench: &Bench) -> Option<i64> {
        integer(&*bench.server.object("deployments.apps", "test", "web")?, "/spec/replicas")
    }

    #[test]
    fn manifests_are_applied_at_once_and_again_after_the_interval() {
        let mut bench = Bench::with(|options| options.agent_interval = 10_000);
        bench.world.agent().set(vec![deployment("web", 2, "podinfo:6.0.0")]);
        bench.run(1);
        assert_eq!(replicas(&bench), Some(2));
        bench.delete("/apis/apps/v1/namespaces/test/deployments/web");
        bench.run(5);
        assert_eq!(replicas(&bench), None);
        bench.run(6);
        assert_eq!(replicas(&bench), Some(2));
        assert!(bench.world.agent().refusals().is_empty(), "{:?}", bench.world.agent().refusals());
    }

    #[test]
    fn it_fights_over_replicas_only_when_asked_to() {
        let mut bench = Bench::with(|options| options.agent_interval = 10_000);
        let mut manifest = deployment("web", 2, "podinfo:6.0.0");
        manifest["spec"].as_object_mut().expect("a spec").remove("replicas");
        bench.world.agent().set(vec![manifest]);
        bench.run(1);
        let scale = json!({"spec": {"replicas": 3}});
        bench.patch("/apis/apps/v1/namespaces/test/deployments/web", &scale);
        bench.run(25);
        assert_eq!(replicas(&bench), Some(3));
        bench.world.agent().fight_over_replicas(Some(1));
        bench.run(1);
        assert_eq!(replicas(&bench), Some(1));
        bench.patch("/apis/apps/v1/namespaces/test/deployments/web", &scale);
        bench.run(11);
        assert_eq!(replicas(&bench), Some(1));
    }

    #[test]
    fn objects_have_their_places() {
        let at =
            |version: &str, kind: &str| path(&json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "n"}}));
        assert_eq!(at("v1", "ConfigMap"), "/api/v1/namespaces/n/configmaps/x");
        assert_eq!(at("flagger.app/v1beta1", "Canary"), "/apis/flagger.app/v1beta1/namespaces/n/canaries/x");
        assert_eq!(at("v1", "Namespace"), "/api/v1/namespaces/x");
    }
}
