//! Webhooks, gates and alerts: who is asked when, what a refusal holds, who is told, and what never leaves a Secret.

use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::bed::{Bed, text};
use crate::place::{CANARIES, Case, Cases, DEPLOYMENTS, Place, Resource, SECRETS, Shared, image, tests};
use crate::program::{Daemon, Home};
use crate::receiver::{Asked, Receiver, post};

const ALERT_PROVIDERS: Resource = ("/apis/flagger.app/v1beta1", "alertproviders");
/// Parts of secrets, which stand nowhere but in the Secret and in the request that needs them.
const PATH: &str = "T0KENpath";
const TOKEN: &str = "xoxb-T0KENbearer";

/// Every type of webhook.
const KINDS: [&str; 8] =
    ["confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "post-rollout", "rollback", "event"];

struct Stage {
    daemon: Daemon,
    _home: Home,
    bed: Bed,
}

/// What a case has: its namespace, a receiver of its own, and the daemon.
struct Scene {
    place: Place,
    receiver: Receiver,
    stage: Arc<Stage>,
}

impl Scene {
    /// A hook called as its type, at the path of that name.
    fn hook(&self, kind: &str) -> Value {
        json!({"name": kind, "type": kind, "url": self.receiver.url(&format!("/{kind}")), "timeout": "5s"})
    }

    /// A new Canary of two weights with these hooks, initialised.
    fn initialised(&self, hooks: &[Value], rest: Value, annotations: Value) {
        let mut analysis = json!({"interval": "10s", "threshold": 1, "stepWeights": [20, 60], "webhooks": hooks});
        for (field, value) in rest.as_object().into_iter().flatten() {
            analysis[field] = value.clone();
        }
        self.place.deployment(1);
        let spec = json!({"provider": "istio", "progressDeadlineSeconds": 15, "analysis": analysis});
        self.place.canary_with(spec, annotations);
        self.place.until_phase(60, "Initialized");
    }

    /// An `AlertProvider` for Slack whose address is in a Secret, and the entry of `analysis.alerts` that names it.
    fn slack(&self, address: &str) -> Value {
        self.place.create(SECRETS, "Secret", "chat", json!({"stringData": {"address": address, "token": TOKEN}}));
        let spec = json!({"type": "slack", "channel": "ops", "secretRef": {"name": "chat"}});
        self.place.create(ALERT_PROVIDERS, "AlertProvider", "chat", json!({"spec": spec}));
        json!([{"name": "ops", "severity": "warn", "providerRef": {"name": "chat"}}])
    }

    fn slack_here(&self) -> Value {
        self.slack(&self.receiver.url(&format!("/{PATH}")))
    }

    /// Texts of the alerts so far, with their colours.
    fn alerts(&self) -> Vec<(String, String)> {
        let asked = self.receiver.asked(&format!("/{PATH}"));
        asked.iter().map(|one| (text(&one.body, "/attachments/0/text"), text(&one.body, "/attachments/0/color"))).collect()
    }

    fn until_alert(&self, part: &str) -> Asked {
        let mut found = None;
        self.place.until(15, format!("the alert {part}, beside {:?}", self.alerts()), || {
            let asked = self.receiver.asked(&format!("/{PATH}"));
            found = asked.into_iter().find(|one| text(&one.body, "/attachments/0/text").contains(part));
            found.is_some()
        });
        found.expect("an alert")
    }

    /// Neither the Canary, nor its events, nor the log hold what a Secret holds.
    fn keeps_secrets(&self) {
        let canary = self.place.the(CANARIES, "web").to_string();
        let everywhere = [canary, self.place.events().join("\n"), self.stage.daemon.log()];
        for secret in [PATH, TOKEN] {
            assert!(everywhere.iter().all(|text| !text.contains(secret)), "{}: {secret} is told: {:?}", self.place, everywhere);
        }
    }

    /// Address that the daemon listens on.
    fn daemon(&self, path: &str) -> String {
        let log = self.stage.daemon.log();
        let line = log.lines().find(|line| line.contains("daemon started")).expect("a first line");
        let from = line.find("127.0.0.1:").expect("an address");
        let address: String = line[from..].chars().take_while(|c| c.is_ascii_digit() || *c == '.' || *c == ':').collect();
        format!("http://{address}{path}")
    }

    fn canary_weight(&self) -> Value {
        self.place.status("canaryWeight")
    }

    /// The rollout goes its way to its end.
    fn until_promoted(&self) {
        self.place.until_phase(110, "Succeeded");
        assert_eq!((self.place.primary(), self.canary_weight()), (image(2), json!(0)), "{}", self.place);
    }

    /// The rollout is taken back, whatever has happened to it.
    fn until_rolled_back(&self, within: u64) {
        self.place.until_phase(within, "Failed");
        assert_eq!((self.place.primary(), self.canary_weight()), (image(1), json!(0)), "{}", self.place);
        assert_eq!(self.place.replicas("web"), Some(0), "{}", self.place);
    }
}

/// All eight types, each in its turn; what they are told belongs to one revision.
fn all_types(scene: &Scene) {
    let place = &scene.place;
    let mut hooks = KINDS.map(|kind| scene.hook(kind));
    for hook in &mut hooks {
        hook["metadata"] = json!({"team": "a", "eventType": "mine"});
    }
    scene.receiver.answers("/rollback", &[403]);
    scene.initialised(&hooks, json!({}), json!({}));
    place.ship(2);
    scene.until_promoted();
    place.until(10, "the hook after the rollout", || !scene.receiver.asked("/post-rollout").is_empty());
    let asked: Vec<Asked> = scene.receiver.all().into_iter().filter(|one| one.path != "/event").collect();
    let course: Vec<String> = asked.iter().map(|one| format!("{} {}", one.path, one.phase())).collect();
    let expected = [
        "/confirm-rollout Initialized",
        "/rollback Progressing",
        "/pre-rollout Progressing",
        "/confirm-traffic-increase Progressing",
        "/rollback Progressing",
        "/rollout Progressing",
        "/confirm-traffic-increase Progressing",
        "/rollback Progressing",
        "/rollout Progressing",
        "/confirm-traffic-increase Progressing",
        "/confirm-promotion Progressing",
        "/post-rollout Succeeded",
    ];
    assert_eq!(course, expected, "{place}");
    let checksum = text(&asked[0].body, "/checksum");
    assert!(!checksum.is_empty(), "{place}");
    for one in &asked {
        let told = json!({"name": "web", "namespace": place.namespace, "phase": one.phase(), "checksum": checksum,
            "metadata": {"team": "a", "eventType": "mine"}});
        assert_eq!(one.body, told, "{place}: {}", one.path);
        assert_eq!(one.headers["content-type"], "application/json", "{place}");
    }
    for passed in ["Confirm-rollout", "Pre-rollout", "Confirm-traffic-increase", "Confirm-promotion", "Post-rollout"] {
        let hook = passed.to_lowercase();
        place.tells(&format!("Normal {passed} check {hook} passed"));
    }
    place.tells("Normal Rollback hook rollback not signaling a rollback");
}

/// Everything that is an event is told to the hook: in the event's words, of its type, with the time in milliseconds.
fn event_hook(scene: &Scene) {
    let place = &scene.place;
    let mut hook = scene.hook("event");
    hook["metadata"] = json!({"team": "a", "eventMessage": "mine"});
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis();
    scene.initialised(&[hook], json!({}), json!({}));
    place.ship(2);
    scene.until_promoted();
    let told = || {
        let asked = scene.receiver.asked("/event");
        asked
            .iter()
            .map(|one| format!("{} {}", text(&one.body, "/metadata/eventType"), text(&one.body, "/metadata/eventMessage")))
            .collect()
    };
    place.until(15, "all events at the hook", || {
        let told: Vec<String> = told();
        place.events().iter().all(|event| told.contains(event))
    });
    let told: Vec<String> = told();
    let order = [
        "Initialization done!",
        "New revision detected! Scaling up",
        "Starting canary analysis",
        "canary weight 20",
        "canary weight 60",
        "Copying",
        "Routing all traffic to primary",
        "Promotion completed!",
    ];
    let mut rest = told.iter();
    for part in order {
        assert!(rest.any(|one| one.starts_with("Normal ") && one.contains(part)), "{place}: {part} is not told in its turn: {told:?}");
    }
    assert!(told.iter().any(|one| one.starts_with("Warning ")), "{place}: there is no metric server, and that is told: {told:?}");
    for one in scene.receiver.asked("/event") {
        let at: u128 = one.body["metadata"]["timestamp"].as_str().and_then(|time| time.parse().ok()).unwrap_or_default();
        assert!(at >= begun && at < begun + 600_000, "{place}: {}", one.body);
        assert_eq!(text(&one.body, "/metadata/team"), "a", "{place}");
        assert_eq!((text(&one.body, "/name"), text(&one.body, "/namespace")), ("web".into(), place.namespace.clone()));
        assert!(!one.phase().is_empty() && !text(&one.body, "/checksum").is_empty(), "{place}: {}", one.body);
    }
}

/// One gate that refuses, and what stands behind it.
struct Refused {
    kind: &'static str,
    phase: &'static str,
    /// The event between `Halt KEY advancement waiting for ` and the hook's name.
    what: &'static str,
    alert: &'static str,
}

const CONFIRM_ROLLOUT: Refused =
    Refused { kind: "confirm-rollout", phase: "Waiting", what: "approval", alert: "Canary is waiting for approval." };
const CONFIRM_TRAFFIC_INCREASE: Refused = Refused {
    kind: "confirm-traffic-increase",
    phase: "Progressing",
    what: "traffic increase approval",
    alert: "Canary traffic increase is waiting for approval.",
};
const CONFIRM_PROMOTION: Refused = Refused {
    kind: "confirm-promotion",
    phase: "WaitingPromotion",
    what: "promotion approval",
    alert: "Canary promotion is waiting for approval.",
};

/// Refused, the rollout stays where it is and the hook is asked each interval; nothing counts as a failure. Then it goes on.
fn holds(scene: &Scene, refused: &Refused, muted: bool) {
    let (place, path) = (&scene.place, format!("/{}", refused.kind));
    let mut hook = scene.hook(refused.kind);
    hook["muteAlert"] = json!(muted);
    scene.receiver.answers(&path, &[403]);
    let alerts = scene.slack_here();
    scene.initialised(&[hook], json!({"alerts": alerts}), json!({}));
    place.ship(2);
    place.until(70, "a refusal", || !scene.receiver.asked(&path).is_empty());
    place.until(10, refused.phase, || place.phase() == refused.phase && !place.status("lastTransitionTime").is_null());
    let (weight, before) = (scene.canary_weight(), scene.receiver.asked(&path).len());
    place.holds(25, "a closed gate", || {
        (place.phase().as_str(), scene.canary_weight(), place.primary()) == (refused.phase, weight.clone(), image(1))
    });
    let asked = scene.receiver.asked(&path).len() - before;
    assert!((2..=3).contains(&asked), "{place}: asked {asked} times in 25s, not each interval");
    let pods = if refused.phase == "Waiting" { Some(0) } else { Some(1) };
    assert_eq!((place.status("failedChecks"), place.replicas("web")), (json!(0), pods), "{place}");
    let halt = format!("Warning Halt web.{} advancement waiting for {} {}", place.namespace, refused.what, refused.kind);
    place.tells(&halt);
    let reports = text(&place.engine(), "/report/1");
    assert!(reports.contains(refused.kind), "{place}: the status says what it waits for: {reports}");
    if muted {
        assert_eq!(scene.alerts(), [], "{place}");
    } else {
        let alert = scene.until_alert(refused.alert);
        assert_eq!(alert.headers["authorization"], format!("Bearer {TOKEN}"), "{place}");
        assert_eq!(scene.alerts(), [(refused.alert.into(), "good".into())], "{place}: told once");
    }
    scene.receiver.answers(&path, &[202]);
    scene.until_promoted();
    scene.keeps_secrets();
}

fn confirm_rollout(scene: &Scene) {
    holds(scene, &CONFIRM_ROLLOUT, false);
    let phases: Vec<String> = scene.receiver.asked("/confirm-rollout").iter().map(Asked::phase).collect();
    assert_eq!(phases[0], "Initialized", "{}", scene.place);
    assert!(phases[1..].iter().all(|phase| phase == "Waiting"), "{}: {phases:?}", scene.place);
}

/// While a promotion waits, checks go on each interval, and one that fails takes the rollout back.
fn fails_while_it_waits(scene: &Scene) {
    let place = &scene.place;
    scene.receiver.answers("/confirm-promotion", &[403]);
    scene.initialised(&["rollout", "confirm-promotion"].map(|kind| scene.hook(kind)), json!({}), json!({}));
    place.ship(2);
    place.until_phase(90, "WaitingPromotion");
    let asked = scene.receiver.asked("/rollout").len();
    place.until(35, "two more checks", || scene.receiver.asked("/rollout").len() >= asked + 2);
    assert_eq!((place.phase().as_str(), scene.canary_weight()), ("WaitingPromotion", json!(60)), "{place}");
    scene.receiver.answers("/rollout", &[500]);
    scene.until_rolled_back(40);
}

/// A revision that comes midway is analysed from the beginning, as a revision of its own, and asks for no second start.
fn restarted(scene: &Scene) {
    let place = &scene.place;
    scene.initialised(&["confirm-rollout", "pre-rollout"].map(|kind| scene.hook(kind)), json!({}), json!({}));
    place.ship(3);
    place.until(60, "weight 20", || scene.canary_weight() == 20);
    place.ship(2);
    scene.until_promoted();
    assert_eq!(scene.receiver.asked("/confirm-rollout").len(), 1, "{place}");
    let checksums: Vec<String> = scene.receiver.asked("/pre-rollout").iter().map(|one| text(&one.body, "/checksum")).collect();
    assert!(checksums.len() == 2 && checksums[0] != checksums[1], "{place}: {checksums:?}");
}

/// Without analysis only its start is asked for, and its end told.
fn skipped(scene: &Scene) {
    let place = &scene.place;
    scene.initialised(&KINDS.map(|kind| scene.hook(kind)), json!({}), json!({}));
    place.merge(CANARIES, "web", &json!({"spec": {"skipAnalysis": true}}));
    place.ship(2);
    scene.until_promoted();
    place.until(10, "the hook after the rollout", || !scene.receiver.asked("/post-rollout").is_empty());
    let asked: Vec<String> = scene.receiver.all().into_iter().map(|one| one.path).filter(|path| path != "/event").collect();
    assert_eq!(asked, ["/confirm-rollout", "/post-rollout"], "{place}");
}

/// What may pass a second later is tried again within the interval; what may not counts as failed, in the receiver's words.
fn retries(scene: &Scene) {
    let place = &scene.place;
    let (mut before, mut during) = (scene.hook("pre-rollout"), scene.hook("rollout"));
    (before["retries"], during["retries"]) = (json!(2), json!(3));
    scene.receiver.answers("/pre-rollout", &[500, 429, 200]);
    scene.receiver.answers("/rollout", &[403, 200]);
    scene.initialised(&[before, during], json!({"threshold": 3}), json!({}));
    place.ship(2);
    place.until(60, "weight 20", || scene.canary_weight() == 20);
    assert_eq!((scene.receiver.asked("/pre-rollout").len(), place.status("failedChecks")), (3, json!(0)), "{place}");
    place.until(30, "a check that failed", || place.status("failedChecks") == 1);
    assert_eq!((scene.receiver.asked("/rollout").len(), scene.canary_weight()), (1, json!(20)), "{place}: 403 is an answer");
    let failed = format!("Warning Halt web.{} advancement external check rollout failed not now", place.namespace);
    place.tells(&failed);
    scene.until_promoted();
}

/// A hook before the rollout that never passes ends it before it has had any traffic.
fn pre_rollout_fails(scene: &Scene) {
    let place = &scene.place;
    scene.receiver.answers("/pre-rollout", &[500]);
    let hooks = ["pre-rollout", "rollout", "post-rollout"].map(|kind| scene.hook(kind));
    scene.initialised(&hooks, json!({"threshold": 2}), json!({}));
    place.ship(2);
    place.until(60, "a check that failed", || {
        assert_eq!(scene.canary_weight(), 0, "{place}: no traffic before the hook has passed");
        place.status("failedChecks") == 2
    });
    assert_eq!(scene.receiver.asked("/pre-rollout").len(), 2, "{place}");
    scene.until_rolled_back(30);
    let failed = format!("Warning Halt web.{} advancement pre-rollout check pre-rollout failed not now", place.namespace);
    place.tells(&failed);
    place.until(10, "the hook after the rollout", || scene.receiver.asked("/post-rollout").len() == 1);
    assert_eq!(scene.receiver.asked("/post-rollout")[0].phase(), "Failed", "{place}");
    assert_eq!(scene.receiver.asked("/rollout").len(), 0, "{place}");
}

/// A rollback hook that passes takes the rollout back at once, and says so.
fn rollback_hook(scene: &Scene) {
    let place = &scene.place;
    scene.receiver.answers("/rollback", &[403]);
    let alerts = scene.slack_here();
    let hooks = ["rollback", "post-rollout"].map(|kind| scene.hook(kind));
    scene.initialised(&hooks, json!({"alerts": alerts}), json!({}));
    place.ship(2);
    place.until(60, "weight 20", || scene.canary_weight() == 20);
    scene.receiver.answers("/rollback", &[200]);
    scene.until_rolled_back(25);
    assert_rolled_back_by_hook(scene);
    place.until(10, "the hook after the rollout", || !scene.receiver.asked("/post-rollout").is_empty());
    assert_eq!(scene.receiver.asked("/post-rollout")[0].phase(), "Failed", "{place}");
    let asked = scene.receiver.asked("/rollback").len();
    place.holds(15, "a hook that is asked no more", || scene.receiver.asked("/rollback").len() == asked && place.phase() == "Failed");
}

/// It is asked while a rollout waits to start, too.
fn rollback_hook_in_waiting(scene: &Scene) {
    let place = &scene.place;
    scene.receiver.answers("/rollback", &[403]);
    scene.receiver.answers("/confirm-rollout", &[403]);
    let alerts = scene.slack_here();
    let hooks = ["confirm-rollout", "rollback"].map(|kind| scene.hook(kind));
    scene.initialised(&hooks, json!({"alerts": alerts}), json!({}));
    place.ship(2);
    place.until_phase(30, "Waiting");
    scene.receiver.answers("/rollback", &[200]);
    scene.until_rolled_back(25);
    assert!(scene.receiver.asked("/rollback").iter().all(|one| one.phase() == "Waiting"), "{place}");
    assert_rolled_back_by_hook(scene);
    place.holds(15, "a revision that was given up", || place.phase() == "Failed");
}

fn assert_rolled_back_by_hook(scene: &Scene) {
    let place = &scene.place;
    for event in ["Warning Rollback check rollback passed", &format!("Warning Rolling back web.{} manual webhook invoked", place.namespace)]
    {
        place.tells(event);
    }
    scene.until_alert("Rolling back manual webhook invoked");
    scene.keeps_secrets();
}

fn secret_of_headers(scene: &Scene) {
    let headers = json!({"stringData": {"Authorization": format!("Bearer {TOKEN}"), "X-Team": "a"}});
    scene.place.create(SECRETS, "Secret", "headers", headers);
}

/// Every hook carries what its Secret holds, and nothing else does.
fn headers(scene: &Scene) {
    let place = &scene.place;
    secret_of_headers(scene);
    let hooks = ["confirm-rollout", "rollout", "event"].map(|kind| scene.hook(kind));
    scene.initialised(&hooks, json!({}), json!({"pilothouse.dev/webhook-headers": "headers"}));
    place.ship(2);
    scene.until_promoted();
    for hook in ["/confirm-rollout", "/rollout", "/event"] {
        let asked = scene.receiver.asked(hook);
        assert!(!asked.is_empty(), "{place}: {hook}");
        for one in asked {
            assert_eq!(one.headers.get("authorization"), Some(&format!("Bearer {TOKEN}")), "{place}: {hook}");
            assert_eq!(one.headers.get("x-team").map(String::as_str), Some("a"), "{place}: {hook}");
            assert!(!one.body.to_string().contains(TOKEN), "{place}: {}", one.body);
        }
    }
    scene.keeps_secrets();
}

/// Headers of one hook alone; a Secret that is missing is a failed check that names it, never a call without headers.
fn headers_of_one(scene: &Scene) {
    let place = &scene.place;
    secret_of_headers(scene);
    let hooks = ["confirm-rollout", "rollout"].map(|kind| scene.hook(kind));
    let named = "confirm-rollout=headers, rollout=missing";
    scene.initialised(&hooks, json!({"threshold": 2}), json!({"pilothouse.dev/webhook-headers": named}));
    place.ship(2);
    place.until(60, "a check that failed", || place.has_event("advancement external check rollout failed"));
    assert!(place.events().iter().any(|event| event.contains("Secret missing")), "{place}: {:?}", place.events());
    let asked = scene.receiver.all();
    assert!(asked.iter().all(|one| one.path == "/confirm-rollout" && one.headers.contains_key("authorization")), "{place}: {asked:?}");
    place.create(SECRETS, "Secret", "missing", json!({"stringData": {"X-Late": "b"}}));
    scene.until_promoted();
    for one in scene.receiver.asked("/rollout") {
        assert_eq!(one.headers.get("x-late").map(String::as_str), Some("b"), "{place}");
        assert!(!one.headers.contains_key("authorization"), "{place}: headers of another hook");
    }
    scene.keeps_secrets();
}

/// A rollback by threshold is told, to the address in the Secret and nowhere else.
fn alert_of_a_rollback(scene: &Scene) {
    let place = &scene.place;
    let alerts = scene.slack_here();
    scene.receiver.answers("/rollout", &[500]);
    scene.initialised(&[scene.hook("rollout")], json!({"alerts": alerts}), json!({}));
    place.ship(2);
    scene.until_rolled_back(90);
    let alert = scene.until_alert("Failed checks threshold reached 1");
    let body = &alert.body;
    assert_eq!((text(body, "/channel"), text(body, "/username")), ("ops".into(), "flagger".into()), "{place}");
    assert_eq!(text(body, "/attachments/0/author_name"), format!("web.{}", place.namespace));
    assert_eq!(alert.headers["authorization"], format!("Bearer {TOKEN}"), "{place}");
    assert_eq!(scene.alerts(), [("Failed checks threshold reached 1".into(), "danger".into())], "{place}: severity warn leaves out info");
    scene.keeps_secrets();
}

/// So is one by deadline.
fn alert_of_a_deadline(scene: &Scene) {
    let place = &scene.place;
    let alerts = scene.slack_here();
    scene.initialised(&[], json!({"alerts": alerts}), json!({}));
    let labels = json!({"app": "web", "bed.pilothouse.dev/pod": "never-ready"});
    place.merge(DEPLOYMENTS, "web", &json!({"spec": {"template": {"metadata": {"labels": labels}}}}));
    scene.until_rolled_back(75);
    let alert = scene.until_alert("Progress deadline exceeded");
    assert_eq!(text(&alert.body, "/attachments/0/color"), "danger", "{place}");
    assert_eq!(scene.alerts().len(), 1, "{place}: {:?}", scene.alerts());
    assert!(place.events().iter().any(|event| event.starts_with("Warning ") && event.contains("canary deployment web")), "{place}");
    scene.keeps_secrets();
}

/// An entry without a severity is told everything, and what has fields has them all.
fn alerts_of_everything(scene: &Scene) {
    let place = &scene.place;
    let mut alerts = scene.slack_here();
    alerts[0].as_object_mut().expect("an entry").remove("severity");
    scene.initialised(&[], json!({"alerts": alerts}), json!({}));
    place.ship(2);
    scene.until_promoted();
    scene.until_alert("Canary analysis completed successfully, promotion finished.");
    let texts: Vec<String> = scene.alerts().into_iter().map(|(text, _)| text).collect();
    let started = "New revision detected, progressing canary analysis.";
    let wanted =
        ["New Deployment detected, initialization completed.", started, "Canary analysis completed successfully, promotion finished."];
    assert_eq!(texts, wanted, "{place}");
    let fields: Vec<(String, String)> = scene.until_alert(started).body["attachments"][0]["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|field| (text(field, "/title"), text(field, "/value")))
        .collect();
    let target = format!("Deployment/web.{}", place.namespace);
    let wanted = [
        ("Cluster", "gates"),
        ("Target", &target),
        ("Failed checks threshold", "1"),
        ("Progress deadline", "15s"),
        ("Traffic routing", "Weight steps: 20,60 max: 0"),
    ];
    assert_eq!(fields, wanted.map(|(title, value)| (title.to_owned(), value.to_owned())), "{place}");
}

/// A chat that cannot be reached is logged without its address, and delays nothing.
fn alert_that_is_not_sent(scene: &Scene) {
    let place = &scene.place;
    let alerts = scene.slack(&format!("http://127.0.0.1:9/{PATH}"));
    scene.receiver.answers("/rollout", &[500]);
    scene.initialised(&[scene.hook("rollout")], json!({"alerts": alerts}), json!({}));
    place.ship(2);
    scene.until_rolled_back(90);
    let logged = || scene.stage.daemon.log().lines().any(|line| line.contains("alert not sent") && line.contains(&place.namespace));
    place.until(30, "a line in the log", logged);
    scene.keeps_secrets();
}

/// The daemon's own gate, for hooks that were a load tester's: closed at first, opened by a POST.
fn own_gate(scene: &Scene) {
    let place = &scene.place;
    let hook = json!({"name": "gate", "type": "confirm-promotion", "url": scene.daemon("/gate/check"), "timeout": "5s"});
    scene.initialised(&[hook], json!({}), json!({}));
    place.ship(2);
    place.until_phase(90, "WaitingPromotion");
    place.holds(15, "a closed gate", || place.phase() == "WaitingPromotion" && place.primary() == image(1));
    let whom = json!({"name": "web", "namespace": place.namespace});
    let others = json!({"name": "web", "namespace": "another"});
    assert_eq!(post(&scene.daemon("/gate/open"), &others).0, 202, "{place}");
    assert_eq!(post(&scene.daemon("/gate/check"), &whom).0, 403, "{place}: another's gate is open");
    assert_eq!(post(&scene.daemon("/gate/open"), &whom).0, 202, "{place}");
    assert_eq!(post(&scene.daemon("/gate/check"), &whom).0, 200, "{place}");
    scene.until_promoted();
}

/// The daemon's own rollback, too.
fn own_rollback(scene: &Scene) {
    let place = &scene.place;
    let hook = json!({"name": "rollback", "type": "rollback", "url": scene.daemon("/rollback/check"), "timeout": "5s"});
    let gate = json!({"name": "gate", "type": "confirm-promotion", "url": scene.daemon("/gate/halt"), "timeout": "5s"});
    scene.initialised(&[hook, gate], json!({}), json!({}));
    place.ship(2);
    place.until_phase(90, "WaitingPromotion");
    let whom = json!({"name": "web", "namespace": place.namespace});
    assert_eq!(post(&scene.daemon("/gate/open"), &whom).0, 202, "{place}");
    place.holds(12, "a gate that opens no rollback", || place.phase() == "WaitingPromotion");
    assert_eq!(post(&scene.daemon("/rollback/open"), &whom).0, 202, "{place}");
    scene.until_rolled_back(25);
    let event = format!("Warning Rolling back web.{} manual webhook invoked", place.namespace);
    place.tells(&event);
}

static STAGE: Shared<Stage> = Shared::new();

fn on_stage(name: &str, play: fn(&Scene)) {
    let stage = STAGE.get(|| {
        let bed = Bed::up("--clusters gates:istio");
        let home = Home::new("gates", &bed.kubeconfig());
        home.expect(0, &["crds", "--install"]);
        Stage { daemon: home.daemon(&[]), _home: home, bed }
    });
    let place = Place::new(&stage.bed.cluster("gates"), name, stage.daemon.logs_to());
    play(&Scene { place, receiver: Receiver::start(), stage });
}

macro_rules! gates {
    ($($name:ident: $play:expr;)*) => {
        static CASES: LazyLock<Cases> = LazyLock::new(|| {
            let all: [Case; [$(stringify!($name)),*].len()] = [$((stringify!($name), Box::new(|| on_stage(stringify!($name), $play)))),*];
            Cases::new(module_path!(), all)
        });

        tests! { $($name)* }
    };
}

gates! {
    every_type_of_webhook_is_called_in_its_turn: all_types;
    every_event_is_told_to_the_event_webhook: event_hook;
    confirm_rollout_holds_until_it_passes: confirm_rollout;
    confirm_traffic_increase_holds_until_it_passes: |scene| holds(scene, &CONFIRM_TRAFFIC_INCREASE, false);
    confirm_promotion_holds_until_it_passes: |scene| holds(scene, &CONFIRM_PROMOTION, false);
    a_muted_confirm_rollout_alerts_nobody: |scene| holds(scene, &CONFIRM_ROLLOUT, true);
    a_muted_confirm_traffic_increase_alerts_nobody: |scene| holds(scene, &CONFIRM_TRAFFIC_INCREASE, true);
    a_muted_confirm_promotion_alerts_nobody: |scene| holds(scene, &CONFIRM_PROMOTION, true);
    a_check_that_fails_takes_a_waiting_promotion_back: fails_while_it_waits;
    a_revision_midway_asks_for_no_second_start: restarted;
    without_analysis_only_start_and_end_are_asked: skipped;
    a_webhook_is_tried_again_where_that_may_help: retries;
    a_pre_rollout_webhook_that_fails_ends_the_rollout_without_traffic: pre_rollout_fails;
    a_rollback_webhook_takes_a_rollout_back: rollback_hook;
    a_rollback_webhook_is_asked_before_the_start: rollback_hook_in_waiting;
    headers_of_webhooks_come_from_a_secret: headers;
    headers_of_one_webhook_are_not_anothers: headers_of_one;
    a_rollback_alerts_the_chat: alert_of_a_rollback;
    a_deadline_alerts_the_chat: alert_of_a_deadline;
    an_alert_without_a_severity_is_told_everything: alerts_of_everything;
    an_alert_that_is_not_sent_gives_no_address_away: alert_that_is_not_sent;
    the_daemons_own_gate_opens_a_promotion: own_gate;
    the_daemons_own_rollback_takes_back: own_rollback;
}
