//! The Deployment controller: real `ReplicaSet` objects, revisions, and the status exactly as the real one writes it,
//! step by step. A look may write the Deployment's status once; what else it wanted to say comes with the next look,
//! as it does where the second write of the real controller meets a conflict.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::World;
use super::agenda::Part;
use super::conditions::{self, condition, set_condition};
use super::hash::template_hash;
use super::rollout::{DESIRED, MOST, Set, Wanted, next_size, proportions, shrink, total};
use super::view::{Key, Resource};
use crate::kubernetes::json::{annotation, child, integer, strings, text};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const HASH: &str = "pod-template-hash";
/// Annotations of a Deployment that its `ReplicaSets` do not get.
const OWN: [&str; 6] =
    ["kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MOST, "deprecated.deployment.rollback.to"];

/// One look at one Deployment.
struct Look<'a> {
    world: &'a mut World,
    at: Timestamp,
    key: &'a Key,
    deployment: Arc<Value>,
    /// What the Deployment's revision is to be, where this look found it wrong.
    revision: Option<i64>,
    /// The status as the server has it.
    seen: Value,
    wanted: Wanted,
    /// Oldest first, as they were when the look began.
    sets: Vec<Set>,
    /// Index of the set whose template is the Deployment's.
    new: Option<usize>,
    wrote: bool,
    again: bool,
    failed: bool,
}

impl World {
    pub(super) fn sync_deployment(&mut self, at: Timestamp, key: &Key) {
        let Some(deployment) = self.view.get(Resource::Deployments, key).cloned() else {
            return;
        };
        let sets: Vec<Set> =
            self.view.replica_sets_of(&key.namespace, text(&deployment, "/metadata/uid")).into_iter().map(Set::of).collect();
        let new = sets.iter().position(|set| same_template(&set.object, &deployment));
        let (seen, wanted) = (deployment.get("status").cloned().unwrap_or_else(|| json!({})), Wanted::of(&deployment));
        let mut look =
            Look { world: self, at, key, deployment, revision: None, seen, wanted, sets, new, wrote: false, again: false, failed: false };
        look.run();
        let (again, failed) = (look.again, look.failed);
        if failed {
            return self.agenda.retry(at, Part::Deployment, key);
        }
        self.agenda.succeeded(Part::Deployment, key);
        if again {
            let wait = self.options.follow_up.draw(&mut self.rng);
            self.agenda.at(at + wait, Part::Deployment, key);
        }
    }
}

impl Look<'_> {
    fn run(&mut self) {
        if self.deployment.pointer("/metadata/deletionTimestamp").is_some() {
            return self.plain_status();
        }
        self.note_pause();
        if self.wanted.paused {
            if self.adopt_revision() {
                self.scale();
                self.plain_status();
            }
            return;
        }
        let resized = |set: &Set| set.replicas > 0 && set.desired.is_some_and(|desired| desired != self.wanted.replicas);
        let scaling = self.sets.iter().any(resized);
        if !self.adopt_revision() {
            return;
        }
        if scaling {
            self.scale();
            return self.plain_status();
        }
        if self.wanted.recreate { self.recreate() } else { self.roll() }
    }

    fn roll(&mut self) {
        self.create_new();
        if !self.grow_new() && !self.shrink_old() {
            self.forget_history();
        }
        if !self.failed {
            self.rollout_status();
        }
    }

    fn recreate(&mut self) {
        let active: Vec<usize> = (0..self.sets.len()).filter(|i| Some(*i) != self.new && self.sets[*i].replicas > 0).collect();
        if active.is_empty() {
            let old_pods = |(i, set): (usize, &Set)| Some(i) != self.new && (set.current > 0 || set.terminating > 0);
            if !self.sets.iter().enumerate().any(old_pods) {
                self.create_new();
                self.grow_new();
                self.forget_history();
            }
        } else {
            for index in active {
                self.resize(index, 0);
            }
        }
        self.rollout_status();
    }

    /// `DeploymentPaused` and `DeploymentResumed`, which do not count as a lack of progress.
    fn note_pause(&mut self) {
        let Some(_) = self.wanted.progress_deadline_seconds else {
            return;
        };
        let reason = condition(&self.seen, "Progressing").map_or("", |c| text(c, "/reason"));
        let note = match (self.wanted.paused, reason) {
            (true, "ProgressDeadlineExceeded" | "DeploymentPaused") => return,
            (true, _) => conditions::PAUSED,
            (false, "DeploymentPaused") => conditions::RESUMED,
            (false, _) => return,
        };
        let mut status = self.seen.clone();
        set_condition(&mut status, note.at(self.at, ""));
        self.write_status(status);
    }

    /// Gives the set of the present template the newest revision, and the Deployment that set's. False where the set had
    /// to be written: the next look sees it so.
    fn adopt_revision(&mut self) -> bool {
        let Some(new) = self.new else { return true };
        let newest_old = self.sets.iter().enumerate().filter(|(i, _)| *i != new).map(|(_, set)| set.revision).max().unwrap_or(0);
        let set = &self.sets[new];
        let (revision, before) = ((newest_old + 1).max(set.revision), set.revision);
        let annotations = missing_annotations(&self.deployment, &set.object);
        let hurried = integer(&set.object, "/spec/minReadySeconds").unwrap_or(0) != self.wanted.min_ready_seconds;
        if revision > before || !annotations.is_empty() || hurried {
            let (name, mut object) = (set.name.clone(), (*set.object).clone());
            add_annotations(&mut object, annotations);
            if revision > before {
                let history = annotation(&object, HISTORY).map_or_else(|| before.to_string(), |h| format!("{h},{before}"));
                add_annotations(&mut object, [(REVISION.to_owned(), revision.to_string()), (HISTORY.to_owned(), history)]);
            }
            if hurried {
                object["spec"]["minReadySeconds"] = json!(self.wanted.min_ready_seconds);
            }
            self.put_set(&name, &object);
            self.again = true;
            return false;
        }
        let mut status = self.seen.clone();
        let mut news = annotation(&self.deployment, REVISION) != Some(revision.to_string().as_str());
        if self.wanted.progress_deadline_seconds.is_some() && condition(&status, "Progressing").is_none() {
            set_condition(&mut status, conditions::FOUND.at(self.at, &self.sets[new].name));
            news = true;
        }
        if news {
            self.revision = Some(revision);
            self.write_status(status);
        }
        true
    }

    fn create_new(&mut self) {
        if self.new.is_some() {
            return;
        }
        let hash = template_hash(self.deployment.pointer("/spec/template").unwrap_or(&Value::Null));
        let name = format!("{}-{hash}", self.key.name);
        let revision = self.sets.iter().map(|set| set.revision).max().unwrap_or(0) + 1;
        let mut object = self.new_object(&name, &hash, revision);
        let mut set = Set::of(Arc::new(object.clone()));
        set.replicas = next_size(&self.wanted, &self.sets, &Set { replicas: 0, ..set.clone() });
        object["spec"]["replicas"] = json!(set.replicas);
        let path = format!("/apis/apps/v1/namespaces/{}/replicasets", self.key.namespace);
        if !self.world.create(&path, &object) {
            self.failed = true;
            return;
        }
        self.new = Some(self.sets.len());
        self.sets.push(set);
        self.revision = Some(revision);
        let mut status = self.seen.clone();
        if self.wanted.progress_deadline_seconds.is_some() {
            set_condition(&mut status, conditions::CREATED.at(self.at, &name));
        }
        self.write_status(status);
    }

    fn new_object(&self, name: &str, hash: &str, revision: i64) -> Value {
        let d = &self.deployment;
        let mut template = d.pointer("/spec/template").cloned().unwrap_or_default();
        let mut selector = d.pointer("/spec/selector").cloned().unwrap_or_else(|| json!({}));
        template["metadata"]["labels"][HASH] = json!(hash);
        selector["matchLabels"][HASH] = json!(hash);
        let mut spec = json!({"replicas": 0, "selector": selector, "template": template});
        if self.wanted.min_ready_seconds > 0 {
            spec["minReadySeconds"] = json!(self.wanted.min_ready_seconds);
        }
        let labels = spec["template"]["metadata"]["labels"].clone();
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": &*self.key.namespace, "labels": labels,
                "annotations": {
                    REVISION: revision.to_string(), DESIRED: self.wanted.replicas.to_string(), MOST: self.wanted.most().to_string()
                },
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": &*self.key.name, "uid": text(d, "/metadata/uid"),
                    "controller": true, "blockOwnerDeletion": true
                }]
            },
            "spec": spec
        });
        let annotations = missing_annotations(d, &object);
        add_annotations(&mut object, annotations);
        object
    }

    fn grow_new(&mut self) -> bool {
        let Some(new) = self.new else { return false };
        let size = next_size(&self.wanted, &self.sets, &self.sets[new]);
        size != self.sets[new].replicas && self.resize(new, size)
    }

    fn shrink_old(&mut self) -> bool {
        let old: Vec<usize> = (0..self.sets.len()).filter(|i| Some(*i) != self.new && self.sets[*i].replicas > 0).collect();
        let sets: Vec<&Set> = old.iter().map(|i| &self.sets[*i]).collect();
        let Some(sizes) = shrink(&self.wanted, &self.sets, self.new.map(|new| &self.sets[new]), &sets) else {
            self.failed = true;
            return false;
        };
        let mut shrunk = false;
        for (index, size) in old.into_iter().zip(sizes) {
            if size != self.sets[index].replicas {
                shrunk |= self.resize(index, size);
            }
        }
        shrunk
    }

    /// Follows a change of `spec.replicas`: the only active set takes all of it, several share it.
    fn scale(&mut self) {
        let active: Vec<usize> = (0..self.sets.len()).filter(|i| self.sets[*i].replicas > 0).collect();
        let sole = match active.as_slice() {
            [] => self.new.or(self.sets.len().checked_sub(1)),
            [one] => Some(*one),
            _ => None,
        };
        if let Some(sole) = sole {
            if self.sets[sole].replicas != self.wanted.replicas {
                self.resize(sole, self.wanted.replicas);
            }
            return;
        }
        let saturated = |set: &Set| {
            set.desired == Some(self.wanted.replicas) && set.replicas == self.wanted.replicas && set.available == self.wanted.replicas
        };
        if self.new.is_some_and(|new| saturated(&self.sets[new])) {
            for index in active.into_iter().filter(|i| Some(*i) != self.new).collect::<Vec<_>>() {
                self.resize(index, 0);
            }
        } else if !self.wanted.recreate {
            let mut order = active;
            let up = self.wanted.most() > total(&self.sets);
            order.sort_by_key(|i| (-self.sets[*i].replicas, if up { -self.sets[*i].revision } else { self.sets[*i].revision }));
            let sets: Vec<&Set> = order.iter().map(|i| &self.sets[*i]).collect();
            let before = integer(&self.seen, "/replicas").unwrap_or(0);
            for (index, size) in order.iter().zip(proportions(&self.wanted, &sets, before)) {
                self.resize(*index, size);
            }
        }
    }

    /// Writes a set's size and what its Deployment wants; true where the size is another one.
    fn resize(&mut self, index: usize, size: i64) -> bool {
        let set = &self.sets[index];
        let (desired, most) = (Some(self.wanted.replicas), Some(self.wanted.most()));
        if set.replicas == size && set.desired == desired && set.most == most {
            return false;
        }
        let (name, resized, mut object) = (set.name.clone(), set.replicas != size, (*set.object).clone());
        object["spec"]["replicas"] = json!(size);
        object["metadata"]["annotations"][DESIRED] = json!(self.wanted.replicas.to_string());
        object["metadata"]["annotations"][MOST] = json!(self.wanted.most().to_string());
        self.put_set(&name, &object);
        resized
    }

    fn put_set(&mut self, name: &str, object: &Value) {
        let path = format!("/apis/apps/v1/namespaces/{}/replicasets/{name}", self.key.namespace);
        self.failed |= !self.world.put(&path, object);
    }

    /// Deletes old sets beyond `revisionHistoryLimit` once the rollout is complete.
    fn forget_history(&mut self) {
        let Some(limit) = self.wanted.history else {
            return;
        };
        if !self.is_complete(&self.seen) {
            return;
        }
        let mut old: Vec<&Set> = self.sets.iter().enumerate().filter(|(i, _)| Some(*i) != self.new).map(|(_, set)| set).collect();
        let surplus = old.len().saturating_sub(limit);
        old.sort_by_key(|set| set.revision);
        let idle = |set: &Set| {
            let observed = integer(&set.object, "/status/observedGeneration").unwrap_or(0);
            set.replicas == 0 && set.current == 0 && integer(&set.object, "/metadata/generation").unwrap_or(0) <= observed
        };
        let names: Vec<String> = old.iter().take(surplus).filter(|set| idle(set)).map(|set| set.name.clone()).collect();
        for name in names {
            self.failed |= !self.world.delete(&format!("/apis/apps/v1/namespaces/{}/replicasets/{name}", self.key.namespace));
        }
    }

    /// Counts and the `Available` condition, from the sets as this look found them.
    fn counts(&self) -> Value {
        let sum = |of: fn(&Set) -> i64| self.sets.iter().map(of).sum::<i64>();
        let available = sum(|set| set.available);
        let fields = [
            ("observedGeneration", integer(&self.deployment, "/metadata/generation").unwrap_or(0)),
            ("replicas", sum(|set| set.current)),
            ("updatedReplicas", self.new.map_or(0, |new| self.sets[new].current)),
            ("readyReplicas", sum(|set| set.ready)),
            ("availableReplicas", available),
            ("unavailableReplicas", (total(&self.sets) - available).max(0)),
        ];
        let mut status: Map<String, Value> = fields.into_iter().filter(|(_, n)| *n != 0).map(|(k, n)| (k.to_owned(), json!(n))).collect();
        // The one count that is written even where it is 0.
        status.insert("terminatingReplicas".into(), json!(sum(|set| set.terminating)));
        for kept in ["conditions", "collisionCount"] {
            if let Some(value) = self.seen.get(kept) {
                status.insert(kept.into(), value.clone());
            }
        }
        let mut status = Value::Object(status);
        let enough = available >= self.wanted.replicas - self.wanted.unavailable;
        let note = if enough { conditions::AVAILABLE } else { conditions::UNAVAILABLE };
        set_condition(&mut status, note.at(self.at, ""));
        status
    }

    fn plain_status(&mut self) {
        let status = self.counts();
        if status != self.seen {
            self.write_status(status);
        }
    }

    fn rollout_status(&mut self) {
        let mut status = self.counts();
        self.note_progress(&mut status);
        if status == self.seen { self.wait_for_deadline() } else { self.write_status(status) }
    }

    fn note_progress(&self, status: &mut Value) {
        if self.wanted.progress_deadline_seconds.is_none() {
            return conditions::remove(status, "Progressing");
        }
        let current = condition(&self.seen, "Progressing").cloned();
        let reason = current.as_ref().map_or("", |c| text(c, "/reason"));
        let count = |status: &Value, field: &str| status.get(field).and_then(Value::as_i64).unwrap_or(0);
        if count(status, "replicas") == count(status, "updatedReplicas") && reason == conditions::COMPLETE.reason {
            return;
        }
        let old_pods = |status: &Value| count(status, "replicas") - count(status, "updatedReplicas");
        let more = |field: &str| count(status, field) > count(&self.seen, field);
        let name = self.new.map_or_else(|| self.key.name.to_string(), |new| self.sets[new].name.clone());
        if self.is_complete(status) {
            set_condition(status, conditions::COMPLETE.at(self.at, &name));
        } else if more("updatedReplicas") || more("readyReplicas") || more("availableReplicas") || old_pods(status) < old_pods(&self.seen) {
            let mut note = conditions::UPDATED.at(self.at, &name);
            if let Some(current) = current.filter(|c| text(c, "/status") == "True") {
                note["lastTransitionTime"] = current["lastTransitionTime"].clone();
            }
            // Said anew each time: the deadline counts from the last step forward.
            conditions::remove(status, "Progressing");
            set_condition(status, note);
        } else if self.deadline().is_some_and(|deadline| deadline < self.at) {
            set_condition(status, conditions::TIMED_OUT.at(self.at, &name));
        }
    }

    fn is_complete(&self, status: &Value) -> bool {
        let count = |field: &str| status.get(field).and_then(Value::as_i64).unwrap_or(0);
        ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|field| count(field) == self.wanted.replicas)
            && count("observedGeneration") >= integer(&self.deployment, "/metadata/generation").unwrap_or(0)
    }

    /// When a rollout that makes no progress has had its time.
    fn deadline(&self) -> Option<Timestamp> {
        let current = condition(&self.seen, "Progressing")?;
        if text(current, "/reason") == conditions::COMPLETE.reason {
            return None;
        }
        let since: Timestamp = text(current, "/lastUpdateTime").parse().ok()?;
        Some(since + SignedDuration::from_secs(self.wanted.progress_deadline_seconds?))
    }

    fn wait_for_deadline(&mut self) {
        let timed_out = condition(&self.seen, "Progressing").is_some_and(|c| text(c, "/reason") == conditions::TIMED_OUT.reason);
        if let Some(deadline) = self.deadline().filter(|_| !timed_out && !self.is_complete(&self.seen)) {
            let due = deadline + SignedDuration::from_secs(1);
            self.world.agenda.at(due.max(self.at + SignedDuration::from_millis(5)), Part::Deployment, self.key);
        }
    }

    fn write_status(&mut self, status: Value) {
        if self.wrote {
            self.again = true;
            return;
        }
        self.wrote = true;
        let mut object = (*self.deployment).clone();
        object["status"] = status;
        if let Some(revision) = self.revision {
            add_annotations(&mut object, [(REVISION.to_owned(), revision.to_string())]);
        }
        let path = format!("/apis/apps/v1/namespaces/{}/deployments/{}/status", self.key.namespace, self.key.name);
        self.failed |= !self.world.put(&path, &object);
    }
}

/// Whether a set was made from the Deployment's template, the hash label aside.
fn same_template(set: &Value, deployment: &Value) -> bool {
    let (Some(of_set), Some(wanted)) = (set.pointer("/spec/template"), deployment.pointer("/spec/template")) else {
        return false;
    };
    let mut labels = strings(of_set, "/metadata/labels");
    labels.remove(HASH);
    let rest = |value: &Value, without: &str| -> Vec<(String, Value)> {
        let fields = value.as_object().into_iter().flatten().filter(|(k, v)| *k != without && !v.is_null());
        fields.map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let metadata = |template: &Value| template.get("metadata").map(|m| rest(m, "labels")).unwrap_or_default();
    labels == strings(wanted, "/metadata/labels")
        && of_set.get("spec") == wanted.get("spec")
        && metadata(of_set) == metadata(wanted)
        && rest(of_set, "metadata").len() == rest(wanted, "metadata").len()
}

/// What a set lacks of its Deployment's annotations.
fn missing_annotations(deployment: &Value, set: &Value) -> Vec<(String, String)> {
    let lacks = |(key, value): &(String, String)| !OWN.contains(&key.as_str()) && annotation(set, key) != Some(value.as_str());
    strings(deployment, "/metadata/annotations").into_iter().filter(lacks).collect()
}

fn add_annotations(object: &mut Value, annotations: impl IntoIterator<Item = (String, String)>) {
    for (key, value) in annotations {
        child(child(object, "metadata"), "annotations")[key] = json!(value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, deployment};
    use super::*;

    #[test]
    fn a_template_is_the_same_whatever_its_hash() {
        let template = json!({"metadata": {"creationTimestamp": null, "labels": {"app": "web"}}, "spec": {"containers": []}});
        let object = |labels: Value, spec: Value| json!({"spec": {"template": {"metadata": {"labels": labels}, "spec": spec}}});
        let wanted = json!({"spec": {"template": template}});
        assert!(same_template(&object(json!({"app": "web", HASH: "x"}), json!({"containers": []})), &wanted));
        assert!(!same_template(&object(json!({"app": "web", "tier": "x"}), json!({"containers": []})), &wanted));
        assert!(!same_template(&object(json!({"app": "web"}), json!({"containers": [1]})), &wanted));
    }

    #[test]
    fn sets_get_the_annotations_of_their_deployment_and_go_beyond_the_history() {
        let mut bench = Bench::new();
        bench.deployment("web", 1, "podinfo:6.0.0");
        let path = "/apis/apps/v1/namespaces/test/deployments/web";
        bench.patch(path, &json!({"metadata": {"annotations": {"team": "a"}}, "spec": {"revisionHistoryLimit": 1, "minReadySeconds": 1}}));
        for version in 1..4 {
            bench.run(12);
            bench.patch(path, &deployment("web", 1, &format!("podinfo:6.0.{version}")));
        }
        bench.run(12);
        let sets = bench.server.objects("replicasets.apps");
        let mut revisions: Vec<&str> = sets.iter().filter_map(|set| annotation(set, REVISION)).collect();
        revisions.sort_unstable();
        assert_eq!(revisions, ["3", "4"]);
        assert!(sets.iter().all(|set| annotation(set, "team") == Some("a") && integer(set, "/spec/minReadySeconds") == Some(1)));
    }

    #[test]
    fn the_observed_generation_lags() {
        let mut bench = Bench::new();
        bench.deployment("web", 1, "podinfo:6.0.0");
        bench.run(10);
        bench.patch("/apis/apps/v1/namespaces/test/deployments/web", &json!({"spec": {"replicas": 2}}));
        let observed = |bench: &Bench| {
            let object = bench.server.object("deployments.apps", "test", "web").expect("a deployment");
            integer(&object, "/metadata/generation") == integer(&object, "/status/observedGeneration")
        };
        bench.advance_millis(15);
        assert!(!observed(&bench));
        bench.advance_millis(300);
        assert!(observed(&bench));
    }
}
