//! Canaries that a real Flagger leaves behind in each phase, and what becomes of them once it is gone and this engine drives.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use crate::bed::{Bed, text};
use crate::place::{CANARIES, Case, Cases, DEPLOYMENTS, Place, REPLICA_SETS, Resource, SECRETS, Shared, VIRTUAL_SERVICES, image, tests};
use crate::program::{Daemon, Home};
use crate::receiver::Receiver;
use crate::support::signal;

const CONFIG_MAPS: Resource = ("/api/v1", "configmaps");
const LEASES: Resource = ("/apis/coordination.k8s.io/v1", "leases");

/// A Canary as Flagger left it.
struct Left {
    place: Place,
    receiver: Receiver,
    before: Primary,
}

/// What a rollout, or a copy that is made anew, would change.
#[derive(Clone, Debug, PartialEq)]
struct Primary {
    template: Value,
    replica_sets: Vec<String>,
}

impl Primary {
    fn of(place: &Place) -> Self {
        let all = place.list(REPLICA_SETS);
        let of_primary = all.iter().filter(|set| text(set, "/metadata/ownerReferences/0/name") == "web-primary");
        let mut replica_sets: Vec<String> = of_primary.map(|set| text(set, "/metadata/uid")).collect();
        replica_sets.sort();
        Self { template: place.the(DEPLOYMENTS, "web-primary")["spec"]["template"].clone(), replica_sets }
    }

    /// Annotation that Flagger gives each copy anew.
    fn flagger_id(&self) -> String {
        text(&self.template, "/metadata/annotations/flagger-id")
    }
}

impl Left {
    fn assert_primary_untouched(&self) {
        let now = Primary::of(&self.place);
        assert!(!now.flagger_id().is_empty(), "{}: {now:?}", self.place);
        assert_eq!(now, self.before, "{}", self.place);
    }

    /// What the user under test has written to the primary.
    fn copies(&self) -> Vec<String> {
        let mut all = self.place.written(0);
        all.retain(|one| one.ends_with(" deployments/web-primary"));
        all
    }

    fn opens(&self, kind: &str) {
        self.receiver.answers(&format!("/{kind}"), &[200]);
    }

    /// Percent that the VirtualService gives the canary; none where there is no VirtualService.
    fn weight(&self) -> u64 {
        let route = self.place.get(VIRTUAL_SERVICES, "web").unwrap_or_default();
        let all = route.pointer("/spec/http/0/route").and_then(Value::as_array).cloned().unwrap_or_default();
        all.iter().find(|one| text(one, "/destination/host") == "web-canary").and_then(|one| one["weight"].as_u64()).unwrap_or_default()
    }

    fn is_ours(&self) -> bool {
        self.place.status("lastAppliedSpec").as_str().is_some_and(|applied| applied.starts_with("p1:"))
    }

    /// The analysis begins with all traffic on the primary, takes every step, and ends with a promotion.
    fn is_analysed_anew(&self) {
        let place = &self.place;
        for weight in [20, 60] {
            place.until(50, format!("weight {weight}"), || self.weight() == weight);
            assert_eq!(place.primary(), image(1), "{place}");
        }
        self.is_promoted(2);
    }

    fn is_promoted(&self, n: u32) {
        let place = &self.place;
        place.until_phase(90, "Succeeded");
        assert_eq!((place.primary(), self.weight(), place.replicas("web")), (image(n), 0, Some(0)), "{place}");
        assert!(self.is_ours(), "{place}: {}", place.status("lastAppliedSpec"));
    }

    /// Taken over as it is: its phase stays, and so does every pod of the primary.
    fn is_adopted(&self, phase: &str) {
        let place = &self.place;
        place.until(30, "a revision of our own", || self.is_ours());
        place.holds(25, "a canary that is taken over", || place.phase() == phase);
        place.tells(&format!("Adopted web.{} without a rollout", place.namespace));
        self.assert_primary_untouched();
        assert_eq!((self.copies(), self.weight(), place.replicas("web")), (vec![], 0, Some(0)), "{place}");
    }

    fn releases(&self, n: u32) {
        self.place.ship(n);
        self.place.until_phase(30, "Progressing");
        self.is_promoted(n);
    }

    /// The primary's own copy of the configuration.
    fn mode(&self) -> String {
        text(&self.place.the(CONFIG_MAPS, "settings-primary"), "/data/mode")
    }

    fn configures(&self, mode: &str) {
        self.place.merge(CONFIG_MAPS, "settings", &json!({"data": {"mode": mode}}));
    }
}

fn initialized(left: &Left) {
    left.is_adopted("Initialized");
    left.releases(2);
}

fn succeeded(left: &Left) {
    assert_eq!(left.place.primary(), image(2), "{}", left.place);
    left.is_adopted("Succeeded");
    left.releases(3);
}

/// A release while nobody drove is no less a release.
fn released_meanwhile(left: &Left) {
    left.place.until_phase(30, "Progressing");
    left.is_analysed_anew();
}

fn configured_meanwhile(left: &Left) {
    left.place.until_phase(30, "Progressing");
    assert_eq!(left.mode(), "a", "{}: not before its promotion", left.place);
    left.is_promoted(1);
    assert_eq!(left.mode(), "b", "{}", left.place);
}

fn configured(left: &Left) {
    left.is_adopted("Succeeded");
    left.configures("b");
    left.place.until_phase(30, "Progressing");
    left.is_promoted(2);
    assert_eq!(left.mode(), "b", "{}", left.place);
}

/// What has failed is not tried again; what comes after it is.
fn failed(left: &Left) {
    let place = &left.place;
    place.until(30, "a revision of our own", || left.is_ours());
    place.holds(25, "a canary that has failed", || place.phase() == "Failed");
    left.assert_primary_untouched();
    assert_eq!((place.primary(), left.weight(), place.replicas("web")), (image(1), 0, Some(0)), "{place}");
    left.opens("rollout");
    left.releases(3);
}

/// The gate is asked on, and stays what it is.
fn waiting(left: &Left) {
    let place = &left.place;
    let asked = left.receiver.asked("/confirm-rollout").len();
    place.until(40, "the gate to be asked", || left.receiver.asked("/confirm-rollout").len() > asked + 1);
    assert_eq!((place.phase().as_str(), place.replicas("web")), ("Waiting", Some(0)), "{place}");
    left.opens("confirm-rollout");
    left.is_analysed_anew();
}

/// It stood at 20 percent: nobody knows for which revision.
fn progressing(left: &Left) {
    let place = &left.place;
    place.until(30, "all traffic on the primary", || left.weight() == 0);
    place.until(10, "a word of it", || place.has_event("New revision detected! Restarting analysis for web."));
    assert_eq!((place.phase().as_str(), place.primary()), ("Progressing", image(1)), "{place}");
    left.opens("confirm-traffic-increase");
    left.is_analysed_anew();
}

/// Whoever approved, or did not, looked at what Flagger had measured: it is measured again, and asked again.
fn waiting_promotion(left: &Left) {
    let place = &left.place;
    place.until(30, "all traffic on the primary", || left.weight() == 0 && place.phase() == "Progressing");
    for weight in [20, 60] {
        place.until(50, format!("weight {weight}"), || left.weight() == weight);
    }
    place.until_phase(30, "WaitingPromotion");
    assert_eq!(place.primary(), image(1), "{place}");
    left.opens("confirm-promotion");
    left.is_promoted(2);
}

fn waiting_blue_green(left: &Left) {
    let place = &left.place;
    place.until(30, "a new start", || place.has_event("New revision detected! Restarting analysis for web."));
    for iteration in [1, 2] {
        place.until(30, format!("iteration {iteration}"), || place.status("iterations") == iteration);
    }
    place.until_phase(30, "WaitingPromotion");
    assert_eq!(place.primary(), image(1), "{place}");
    left.opens("confirm-promotion");
    left.is_promoted(2);
}

/// Flagger has copied already; the new primary gets the time that it needs, and the traffic when it is ready.
fn promoting(left: &Left) {
    let place = &left.place;
    place.holds(15, "a primary that is not ready", || place.phase() == "Promoting" && left.weight() == 60);
    unpause(place);
    left.is_finished();
}

fn finalising(left: &Left) {
    left.is_finished();
}

impl Left {
    fn is_finished(&self) {
        let place = &self.place;
        place.until_phase(60, "Succeeded");
        assert_eq!((place.primary(), self.weight(), place.replicas("web")), (image(2), 0, Some(0)), "{place}");
        assert_eq!(Primary::of(place).template, self.before.template, "{place}");
        place.until(20, "a revision of our own", || self.is_ours());
        place.holds(20, "a promotion that is done", || place.phase() == "Succeeded");
        assert_eq!(self.copies(), Vec::<String>::new(), "{place}");
        assert!(!place.has_event("Restarting analysis"), "{place}: {:?}", place.events());
    }
}

fn pause(place: &Place) {
    place.merge(DEPLOYMENTS, "web-primary", &json!({"spec": {"paused": true}}));
}

fn unpause(place: &Place) {
    place.merge(DEPLOYMENTS, "web-primary", &json!({"spec": {"paused": false}}));
}

struct Stage {
    left: Vec<Left>,
    _daemon: Daemon,
    _home: Home,
    _bed: Bed,
}

/// A Canary that Flagger brings into a phase.
struct Brought {
    namespace: &'static str,
    phase: &'static str,
    /// What holds it there: a hook's type, and its answers.
    hold: Option<(&'static str, &'static [u16])>,
    /// It releases by iterations behind plain Services, not by weights.
    blue_green: bool,
}

impl Brought {
    /// The second release is on its way, or there.
    fn is_rolled_out(&self) -> bool {
        self.phase != "Initialized"
    }

    /// Its primary is paused, and does not become ready.
    fn is_paused(&self) -> bool {
        ["Promoting", "Finalising"].contains(&self.phase)
    }
}

const fn brought(namespace: &'static str, phase: &'static str, hold: Option<(&'static str, &'static [u16])>) -> Brought {
    Brought { namespace, phase, hold, blue_green: false }
}

const ALL: [Brought; 12] = [
    brought("initialized", "Initialized", None),
    brought("released-meanwhile", "Initialized", None),
    brought("configured-meanwhile", "Initialized", None),
    brought("succeeded", "Succeeded", None),
    brought("configured", "Succeeded", None),
    brought("failed", "Failed", Some(("rollout", &[500]))),
    brought("waiting", "Waiting", Some(("confirm-rollout", &[403]))),
    brought("progressing", "Progressing", Some(("confirm-traffic-increase", &[200, 403]))),
    brought("waiting-promotion", "WaitingPromotion", Some(("confirm-promotion", &[403]))),
    Brought { blue_green: true, ..brought("waiting-blue-green", "WaitingPromotion", Some(("confirm-promotion", &[403]))) },
    brought("promoting", "Promoting", None),
    brought("finalising", "Finalising", None),
];

/// A Canary with its target, hooks that answer so that Flagger comes as far as it should, and configuration.
fn populate(place: &Place, receiver: &Receiver, brought: &Brought) {
    let hook = |(kind, answers): &(&str, &[u16])| {
        let path = format!("/{kind}");
        receiver.answers(&path, answers);
        json!({"name": kind, "type": kind, "url": receiver.url(&path), "timeout": "5s"})
    };
    let hooks: Vec<Value> = brought.hold.iter().map(hook).collect();
    let mut analysis = json!({"interval": "10s", "threshold": 1, "webhooks": hooks});
    let (provider, course, steps) =
        if brought.blue_green { ("kubernetes", "iterations", json!(2)) } else { ("istio", "stepWeights", json!([20, 60])) };
    analysis[course] = steps;
    place.create(CONFIG_MAPS, "ConfigMap", "settings", json!({"data": {"mode": "a"}}));
    place.create(SECRETS, "Secret", "keys", json!({"stringData": {"key": "k"}}));
    place.deployment(1);
    let volumes = json!([{"name": "settings", "configMap": {"name": "settings"}}, {"name": "keys", "secret": {"secretName": "keys"}}]);
    place.merge(DEPLOYMENTS, "web", &json!({"spec": {"template": {"spec": {"volumes": volumes}}}}));
    place.canary(json!({"provider": provider, "progressDeadlineSeconds": 600, "analysis": analysis}));
}

/// Lets Flagger bring a Canary into each phase, ends it there, and lets the daemon take over.
fn stage() -> Stage {
    let bed = Bed::up("--clusters adoption:istio --flagger adoption");
    let cluster = bed.cluster("adoption");
    let fleet = "apiVersion: pilothouse.dev/v1alpha1\nkind: Fleet\nproviders:\n- {name: adoption, mesh: istio, drive: pilothouse}\n";
    let home = Home::new("adoption", &bed.kubeconfig()).with_fleet(fleet);
    let log = home.folder.path().join("daemon.log");
    let all: Vec<(&Brought, Place, Receiver)> =
        ALL.iter().map(|brought| (brought, Place::new(&cluster, brought.namespace, &log), Receiver::start())).collect();
    for (brought, place, receiver) in &all {
        populate(place, receiver, brought);
    }
    for (brought, place, _) in &all {
        place.until_phase(90, "Initialized");
        if brought.is_rolled_out() {
            place.ship(2);
        }
        if brought.is_paused() {
            pause(place);
        }
    }
    for (brought, place, _) in &all {
        let phase = if brought.is_paused() { "Promoting" } else { brought.phase };
        place.until_phase(150, phase);
        place.until(30, "weight 20", || phase != "Progressing" || place.status("canaryWeight") == 20);
    }
    // Flagger stays an interval in this phase.
    let (_, last, _) = all.iter().find(|(brought, ..)| brought.phase == "Finalising").expect("the last");
    unpause(last);
    last.until_phase(40, "Finalising");
    let flagger = bed.facts().pointer("/clusters/adoption/pids/flagger").and_then(Value::as_u64).expect("Flagger's process");
    signal(u32::try_from(flagger).expect("a process"), "KILL");
    let lease = format!("{}/namespaces/kube-system/{}/flagger-leader-election", LEASES.0, LEASES.1);
    cluster.send("DELETE", &lease, "application/json", None).expect("Flagger's lease");
    let left: Vec<_> = all
        .into_iter()
        .map(|(brought, place, receiver)| {
            let canary = place.the(CANARIES, "web");
            assert_eq!(text(&canary, "/status/phase"), brought.phase, "{place}: {}", canary["status"]);
            let before = Primary::of(&place);
            Left { place, receiver, before }
        })
        .collect();
    let of = |namespace: &str| left.iter().find(|left| left.place.namespace == namespace).expect("a Canary");
    of("released-meanwhile").place.ship(2);
    of("configured-meanwhile").configures("b");
    Stage { left, _daemon: home.daemon(&[]), _home: home, _bed: bed }
}

static STAGE: Shared<Stage> = Shared::new();

fn on_stage(namespace: &str, play: fn(&Left)) {
    let stage: Arc<Stage> = STAGE.get(stage);
    play(stage.left.iter().find(|left| left.place.namespace == namespace).expect("a Canary"));
}

macro_rules! adoptions {
    ($($name:ident: $namespace:literal, $play:path;)*) => {
        static CASES: LazyLock<Cases> = LazyLock::new(|| {
            let all: [Case; [$(stringify!($name)),*].len()] = [$((stringify!($name), Box::new(|| on_stage($namespace, $play)))),*];
            Cases::new(module_path!(), all)
        });

        tests! { $($name)* }
    };
}

adoptions! {
    what_is_initialized_is_adopted_without_a_rollout: "initialized", initialized;
    what_was_released_meanwhile_is_rolled_out: "released-meanwhile", released_meanwhile;
    what_was_configured_meanwhile_is_rolled_out: "configured-meanwhile", configured_meanwhile;
    what_has_succeeded_is_adopted_without_a_rollout: "succeeded", succeeded;
    what_is_configured_after_its_adoption_is_rolled_out: "configured", configured;
    what_has_failed_stays_failed: "failed", failed;
    what_waits_to_start_waits_on: "waiting", waiting;
    what_progresses_is_analysed_anew: "progressing", progressing;
    what_waits_for_its_promotion_is_analysed_anew: "waiting-promotion", waiting_promotion;
    what_waits_for_its_promotion_in_blue_green_is_analysed_anew: "waiting-blue-green", waiting_blue_green;
    what_is_promoting_is_finished_without_a_new_copy: "promoting", promoting;
    what_is_finalising_is_finished: "finalising", finalising;
}
