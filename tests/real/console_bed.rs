//! The console in a terminal before two real clusters, by keys alone: stopping the line, reasons, logins, contexts, the
//! palette, arming, and a cluster that writes for the terminal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use crate::bed::{Bed, text};
use crate::place::{CANARIES, Case, Cases, EVENTS, Place, Shared, VIRTUAL_SERVICES, image, tests};
use crate::program::{Daemon, Home};
use crate::receiver::Receiver;
use crate::routers::share;
use crate::story_console::{open, verb};
use crate::support::seconds;
use crate::terminal::{CTRL_X, ENTER, Terminal};

const CTRL_P: &str = "\x10";
const CTRL_U: &str = "\x15";
const ESC: &str = "\x1b";
const TAB: &str = "\t";

/// Two clusters, and the daemon that drives both.
struct Stage {
    daemon: Daemon,
    _home: Home,
    bed: Bed,
}

/// What a case has: the stage, and its name.
struct Scene {
    name: &'static str,
    stage: Arc<Stage>,
}

impl Scene {
    /// A namespace of `cluster`, called as it is told.
    fn place(&self, cluster: &str, namespace: &str) -> Place {
        Place::new(&self.stage.bed.cluster(cluster), namespace, self.stage.daemon.logs_to())
    }

    fn home(&self) -> Home {
        Home::new(self.name, &self.stage.bed.kubeconfig())
    }
}

/// A Canary whose rollout takes two minutes, at rest.
fn at_rest(place: &Place) {
    let analysis = json!({"interval": "10s", "threshold": 5, "stepWeights": [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]});
    place.populate(json!({"provider": "istio", "analysis": analysis}));
    place.until_phase(60, "Initialized");
}

/// A console that sees both clusters and the canary of `place`.
fn console(home: &Home, words: &[&str], place: &Place) -> Terminal {
    let console = Terminal::start(home, words);
    console.until(seconds(30), "both clusters", |frame| frame.contains("2 live") && frame.contains(&format!("{}/web", place.namespace)));
    console
}

fn arm(console: &mut Terminal) {
    console.keys("W");
    console.shows("y confirms");
    console.keys("y");
    console.shows("ARMED");
}

/// Types at the prompt and goes.
fn prompt(console: &mut Terminal, words: &str) {
    console.keys(":");
    console.shows("tab completes");
    console.keys(words);
    console.shows(&format!(": {words}_"));
    console.keys(ENTER);
    console.until(seconds(5), "the prompt closed", |frame| !frame.contains("tab completes"));
}

fn leave(mut console: Terminal) {
    console.keys("\x03");
    console.shows("press ctrl-c again to quit");
    console.keys("\x03");
    assert_eq!(console.ends(seconds(15)), 0);
    console.assert_given_back();
}

fn row(frame: &str, part: &str) -> String {
    frame.lines().find(|line| line.contains(part)).unwrap_or_default().to_owned()
}

/// `!`, from wherever the console is: half an answer does nothing, a whole one aborts both, and the list says so.
fn stop_the_line(console: &mut Terminal, places: &[Place; 2], why: &str) {
    console.keys("!");
    let asked = console.shows("type abort 2 to confirm");
    assert!(asked.contains("STOP THE LINE · west"), "{asked}");
    for place in places {
        assert!(row(&asked, &format!("west/{}/web", place.namespace)).contains("Progressing"), "{asked}");
    }
    console.keys(TAB);
    console.keys("abort 2");
    console.until(seconds(5), "the reason is asked for first", |frame| row(frame, "type abort 2").contains("[ ]"));
    console.keys(why);
    console.keys(TAB);
    console.keys("y\rabort 1\r");
    console.shows("abort 1_");
    assert!(places.iter().all(|place| place.phase() == "Progressing"), "another number, y and Enter abort nothing");
    console.keys(CTRL_U);
    console.keys("abort 2");
    console.shows("what became of it");
    console.until(seconds(40), "both outcomes, as observed", |frame| {
        let is_done =
            |place: &Place| frame.lines().any(|line| line.contains(&format!("west/{}/web", place.namespace)) && line.contains("✓ done"));
        places.iter().all(is_done)
    });
    for place in places {
        place.until_phase(40, "Failed");
        assert_eq!(place.status("canaryWeight"), json!(0), "{place}");
        assert_eq!(share(&place.the(VIRTUAL_SERVICES, "web"), "/spec/http/0/route", "/destination/host").unwrap_or(0), 0, "{place}");
        let engine = place.engine();
        let last = engine["verdicts"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
        assert_eq!((text(&last, "/verb").as_str(), text(&last, "/why").as_str()), ("abort", why), "{place}: {engine}");
        assert_eq!(place.primary(), image(1), "{place}");
    }
    console.keys(ESC);
}

/// From the fleet and from the help screen, armed or not; what is outside of the scope goes on.
fn stopping(scene: &Scene) {
    let places = ["stop-one", "stop-two"].map(|name| scene.place("west", name));
    let other = scene.place("east", "stop-other");
    std::thread::scope(|scope| {
        for place in places.iter().chain([&other]) {
            scope.spawn(|| at_rest(place));
        }
    });
    let home = scene.home();
    let mut console = console(&home, &[], &places[0]);
    prompt(&mut console, "ctx west");
    console.shows("only west");
    for (round, from) in [(2, ""), (3, "?")] {
        for place in places.iter().chain([&other]) {
            place.ship(round);
        }
        for place in places.iter().chain([&other]) {
            place.until_phase(40, "Progressing");
        }
        console.until(seconds(15), "two rollouts on their way", |frame| {
            places.iter().all(|place| row(frame, &format!("{}/web", place.namespace)).contains("PROG"))
        });
        console.keys(from);
        if !from.is_empty() {
            console.shows("HELP");
        }
        stop_the_line(&mut console, &places, &format!("INC-{round}"));
        console.shows("2 ✓ done");
        if !from.is_empty() {
            console.keys("q");
        }
        assert!(["Progressing", "Promoting", "Finalising", "Succeeded"].contains(&other.phase().as_str()), "{other}: {}", other.phase());
    }
    console.keys("!");
    console.shows("nothing is in flight");
    leave(console);
}

/// `X` on a rollout that a webhook ended, and the same finding in the report for an incident.
fn reasons(scene: &Scene) {
    let (place, receiver) = (scene.place("east", "reasons"), Receiver::start());
    let hook = json!({"name": "smoke", "type": "rollout", "url": receiver.url("/smoke"), "timeout": "5s"});
    receiver.answers("/smoke", &[503]);
    let analysis = json!({"interval": "10s", "threshold": 1, "stepWeights": [20, 60], "webhooks": [hook]});
    place.populate(json!({"provider": "istio", "analysis": analysis}));
    place.until_phase(60, "Initialized");
    place.ship(2);
    place.until_phase(90, "Failed");
    let home = scene.home();
    let mut console = console(&home, &[], &place);
    let target = format!("east/{}/web", place.namespace);
    open(&mut console, &target);
    console.keys("X");
    console.shows(&format!("WHY › east › {}/web", place.namespace));
    let frame = console.shows("of reason 1, by the rule");
    let is_reason = |line: &&str| {
        let mut words = line.trim_start_matches(['>', ' ']).split_whitespace();
        words.next().is_some_and(|word| word.parse::<u8>().is_ok())
            && words.next().is_some_and(|word| ["cause", "warning", "note", "help"].contains(&word))
    };
    let ranked: Vec<&str> = frame.lines().filter(is_reason).collect();
    assert!(ranked.len() >= 2 && ranked[0].contains(" 1 cause ") && ranked[0].contains("smoke"), "{frame}");
    // The evidence of the reason under the cursor: what the hook said, and when.
    let evidence = frame.split("of reason 1").nth(1).expect("evidence");
    assert!(evidence.contains("smoke") && evidence.lines().any(|line| line.contains(" event ") || line.contains(" report ")), "{frame}");
    let found = home.expect(0, &["why", &target, "-o", "json"]).json();
    let first = text(&found, "/findings/0/text");
    assert_eq!((text(&found, "/findings/0/severity").as_str(), found["findings"][0]["evidence"] == json!([])), ("cause", false), "{found}");
    let shown: String = first.chars().take(60).collect();
    assert!(ranked[0].contains(&shown), "{shown:?} is the first reason, and the screen says\n{frame}");
    let report = home.expect(0, &["why", &target, "--md"]).out;
    // Markdown escapes what would be markup.
    let plain = report.replace('\\', "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    assert!(
        plain.lines().any(|line| line.starts_with("1. **cause** ") && line.contains(&first)),
        "{first:?} is not the first in\n{report}"
    );
    leave(console);
}

/// A credential plugin that gives none until somebody has answered it once at a terminal.
fn plugin(folder: &Path, token: &str) -> String {
    let (path, known) = (folder.join("get-token"), folder.join("known"));
    let credential = json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": token}});
    let script = format!(
        "#!/bin/sh\ncase \"$KUBERNETES_EXEC_INFO\" in *'\"interactive\":true'*)\n\
         printf 'word of the day: ' >&2; read -r word; [ \"$word\" = sesame ] || {{ echo 'not the word' >&2; exit 1; }}; touch '{0}';;\nesac\n\
         [ -f '{0}' ] || {{ echo 'the session has expired' >&2; exit 1; }}\ncat <<'END'\n{credential}\nEND\n",
        known.display()
    );
    std::fs::write(&path, script).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
    path.display().to_string()
}

/// A row that waits for a person comes alive by `L`, and what the plugin prints is never shown.
fn login(scene: &Scene) {
    let place = scene.place("west", "login");
    at_rest(&place);
    let home = scene.home();
    let mut config: Value = serde_yaml::from_str(&std::fs::read_to_string(&home.kubeconfig).expect("the bed's kubeconfig")).expect("YAML");
    let all = config["contexts"].as_array().expect("contexts");
    let user = all.iter().find(|context| context["name"] == "west").map(|context| text(context, "/context/user")).expect("a context");
    let users = config["users"].as_array().expect("users").clone();
    let token = users.iter().find(|one| one["name"] == *user).map(|one| text(one, "/user/token")).expect("a user");
    assert!(!token.is_empty(), "the bed's user has a token");
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "IfAvailable",
        "command": plugin(home.folder.path(), &token)});
    let also = json!({"name": "person", "user": {"exec": exec}});
    config["users"].as_array_mut().expect("users").push(also);
    for context in config["contexts"].as_array_mut().expect("contexts").iter_mut().filter(|context| context["name"] == "west") {
        context["context"]["user"] = json!("person");
    }
    let home = Home { kubeconfig: home.folder.write("kubeconfig", &config.to_string()), ..home };
    let mut console = Terminal::start(&home, &[]);
    console.until(seconds(30), "a row that waits for a person", |frame| {
        frame.contains("1 live") && frame.contains("1 auth") && row(frame, " west ").contains("? AUTH  west")
    });
    prompt(&mut console, "provider/west");
    console.until(seconds(10), "why", |frame| frame.contains("FLEET › west") && frame.contains("the session has expired"));
    // A wrong answer leaves everything as it is, and its reason is told.
    console.keys("L");
    console.shows("word of the day:");
    console.keys("abracadabra\r");
    console.until(seconds(20), "the console again, with the failure", |frame| {
        frame.contains("FLEET › west") && frame.contains("login to west: ended with exit code 1")
    });
    console.keys(ESC);
    console.keys("L");
    console.until(seconds(15), "the question again", |frame| frame.matches("word of the day:").count() == 2);
    console.keys("sesame\r");
    console.shows("login to west: done");
    prompt(&mut console, "fleet");
    console.until(seconds(30), "the cluster behind it", |frame| frame.contains("2 live") && frame.contains("login/web"));
    assert!(!console.wrote(token.as_bytes()), "the credential was on the terminal");
    leave(console);
}

/// The console is narrowed to one context and then to the other: what a verb hits is on the frame, and nothing else.
fn switching(scene: &Scene) {
    let (east, west) = (scene.place("east", "switching"), scene.place("west", "switching"));
    std::thread::scope(|scope| {
        for place in [&east, &west] {
            scope.spawn(|| at_rest(place));
        }
    });
    let home = scene.home();
    let mut console = console(&home, &[], &east);
    console.shows("all contexts");
    console.keys("C");
    console.shows("filter");
    console.keys("eas");
    console.keys(ENTER);
    let frame = console.shows("only east");
    assert!(row(&frame, "only east").contains("1 live") && row(&frame, " west ").is_empty(), "{frame}");
    arm(&mut console);
    open(&mut console, "east/switching/web");
    assert!(console.frame().contains("only east"), "the context is on every frame");
    console.keys("s");
    let asked = console.shows("y confirms");
    assert!(asked.contains("pause east/switching/web") && row(&asked, " context ").contains("east"), "{asked}");
    console.keys(ESC);
    console.until(seconds(5), "the question withdrawn", |frame| !frame.contains("y confirms"));
    prompt(&mut console, "ctx west");
    let frame = console.shows("only west");
    assert!(!frame.contains("FLEET › east") && row(&frame, " east ").is_empty(), "{frame}");
    prompt(&mut console, "east/switching/web");
    console.shows("east is out of scope: press 0 first");
    // The row of the same name, in the context on the frame.
    open(&mut console, "west/switching/web");
    verb(&mut console, "s", "pause", "west/switching/web");
    west.until(10, "a pause", || !west.engine()["pause"].is_null());
    let untouched = east.engine();
    assert!(untouched["pause"].is_null() && untouched["verdicts"].is_null(), "{east}: {untouched}");
    console.keys("0");
    console.shows("all contexts");
    prompt(&mut console, "fleet");
    console.until(seconds(10), "every context again", |frame| !row(frame, " east ").is_empty() && !row(frame, " west ").is_empty());
    leave(console);
}

/// `:` and ctrl-p find by letters; what cannot be done says why.
fn palette(scene: &Scene) {
    let place = scene.place("east", "palette");
    at_rest(&place);
    let home = scene.home();
    let mut console = console(&home, &[], &place);
    // An address by some of its letters.
    console.keys(":");
    console.shows("tab completes");
    console.keys("eastpalweb");
    console.shows("> canary east/palette/web");
    console.keys(ENTER);
    console.shows("FLEET › east › palette/web");
    // An action by some of its letters; it names its key, and why it does nothing here.
    console.keys(CTRL_P);
    console.shows("tab completes");
    console.keys("prmt");
    let frame = console.shows("> promote");
    let line = row(&frame, "> promote");
    assert!(line.contains("p n") && line.contains("no analysis is running"), "{frame}");
    console.keys(ENTER);
    console.shows("read-only: press W to arm");
    arm(&mut console);
    prompt(&mut console, "promote");
    console.shows("cannot promote in phase Initialized: no analysis is running");
    console.keys(CTRL_P);
    console.shows("tab completes");
    console.keys("filter");
    let frame = console.shows("> filter");
    assert!(row(&frame, "> filter").contains("not on this screen"), "{frame}");
    console.keys(CTRL_U);
    console.keys("vrsions");
    console.shows("> versions");
    console.keys(ENTER);
    console.shows("VERSIONS");
    prompt(&mut console, "no such thing");
    console.shows("nothing is called");
    leave(console);
}

/// Seconds left of the arming, by the header.
fn armed_for(frame: &str) -> Option<u64> {
    let (minutes, rest) = frame.lines().next()?.split_once("ARMED ")?.1.split_once(':')?;
    Some(minutes.trim().parse::<u64>().ok()? * 60 + rest.split_whitespace().next()?.parse::<u64>().ok()?)
}

/// Verbs want an armed console, whose time runs in the header; one that was started read-only cannot be armed.
fn arming(scene: &Scene) {
    let place = scene.place("east", "arming");
    at_rest(&place);
    let home = scene.home();
    let mut armed = console(&home, &[], &place);
    open(&mut armed, "east/arming/web");
    armed.shows("RO (W to arm)");
    armed.keys("s");
    armed.shows("read-only: press W to arm");
    armed.keys("W");
    let asked = armed.shows("y confirms");
    assert!(asked.contains("Verbs and bumps may be sent to east, west"), "{asked}");
    armed.keys(ENTER);
    armed.keys("n");
    assert_eq!(armed_for(&armed.frame()), None, "neither Enter nor another key arms");
    armed.keys("y");
    armed.until(seconds(10), "the time that is left", |frame| armed_for(frame).is_some_and(|left| left > 890));
    armed.until(seconds(10), "less of it", |frame| armed_for(frame).is_some_and(|left| left < 898));
    armed.keys("j");
    armed.until(seconds(5), "all of it after a key", |frame| armed_for(frame).is_some_and(|left| left >= 899));
    armed.keys("W");
    armed.shows("RO (W to arm)");
    armed.keys("s");
    armed.shows("read-only: press W to arm");
    leave(armed);
    let mut never = console(&home, &["--read-only"], &place);
    never.shows("RO (started read-only)");
    open(&mut never, "east/arming/web");
    never.keys("W");
    never.shows("started read-only: this console cannot be armed");
    for keys in ["s", CTRL_X, "!"] {
        never.keys(ESC);
        never.until(seconds(5), "no word of before", |frame| !frame.contains("started read-only:"));
        never.keys(keys);
        never.shows("started read-only: no verb can be sent");
    }
    assert!(place.engine()["verdicts"].is_null(), "{place}: {}", place.engine());
    leave(never);
}

/// An event with escapes, commands and single control characters in it is text on every screen and in every command.
fn planted(scene: &Scene) {
    let place = scene.place("east", "planted");
    at_rest(&place);
    let message = "Halt planted \u{1b}[2J\u{1b}]0;OWNED\u{7}\u{1b}]8;;https://OWNED\u{1b}\\\u{1b}]52;c;T1dORUQ=\u{7}\u{1b}P+OWNED\u{1b}\\\
        \u{9b}31m\u{9d}0;OWNED\u{9c}\u{85}\r\u{8}\u{202e}\u{200b}";
    let metadata = place.the(CANARIES, "web")["metadata"].clone();
    let about =
        json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "namespace": place.namespace, "name": "web", "uid": metadata["uid"]});
    let at = text(&metadata, "/creationTimestamp");
    let event = json!({"involvedObject": about, "type": "Warning", "reason": "Synced", "message": message, "count": 1,
        "firstTimestamp": at, "lastTimestamp": at, "source": {"component": "\u{1b}]0;OWNED\u{7}"}});
    place.create(EVENTS, "Event", "planted", event);
    let stored = place.the(EVENTS, "planted");
    assert_eq!(text(&stored, "/message"), message, "it is in the cluster as it was written");
    let home = scene.home();
    let mut console = console(&home, &[], &place);
    open(&mut console, "east/planted/web");
    console.shows("! Halt planted");
    console.keys("X");
    console.shows("WHY › east › planted/web");
    prompt(&mut console, "events");
    console.shows("EVENTS");
    console.keys("/planted\r");
    console.until(seconds(10), "the event", |frame| frame.contains("filter “planted”") && frame.contains("! Halt planted"));
    // What the terminal was told, from the first byte to the last.
    let raw = String::from_utf8_lossy(&console.raw()).into_owned();
    for sequence in raw.split('\u{1b}').skip(1) {
        let command = sequence.split(['\u{7}', '\\']).next().unwrap_or_default();
        let theirs = command.contains("OWNED") || command.starts_with("]52") || command.starts_with("]8");
        assert!(!(command.starts_with([']', 'P', '_', '^', 'X']) && theirs), "{command:?}");
    }
    let single = |c: char| ('\u{80}'..='\u{9f}').contains(&c) || c == '\u{202e}' || c == '\u{200b}';
    assert!(!raw.contains(single), "{:?}", raw.chars().find(|c| single(*c)));
    leave(console);
    for words in [&["why", "east/planted/web"][..], &["why", "east/planted/web", "--md"], &["status"]] {
        let said = home.run(words).all();
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{words:?}: {said:?}");
    }
}

static STAGE: Shared<Stage> = Shared::new();

fn on_stage(name: &'static str, play: fn(&Scene)) {
    let stage = STAGE.get(|| {
        let bed = Bed::up("--clusters east:istio,west:istio");
        let home = Home::new("console-bed", &bed.kubeconfig());
        home.expect(0, &["crds", "--install"]);
        Stage { daemon: home.daemon(&[]), _home: home, bed }
    });
    play(&Scene { name, stage });
}

macro_rules! consoles {
    ($($name:ident: $play:expr;)*) => {
        static CASES: LazyLock<Cases> = LazyLock::new(|| {
            let all: [Case; [$(stringify!($name)),*].len()] = [$((stringify!($name), Box::new(|| on_stage(stringify!($name), $play)))),*];
            Cases::new(module_path!(), all)
        });

        tests! { $($name)* }
    };
}

consoles! {
    the_line_is_stopped_from_the_fleet_and_from_another_screen: stopping;
    a_failed_canary_has_ranked_reasons_and_the_report_says_the_same: reasons;
    a_context_that_waits_for_a_person_comes_alive_by_its_login: login;
    a_verb_hits_the_context_on_the_frame_and_not_the_one_left_behind: switching;
    the_palette_finds_addresses_and_actions_and_says_why_not: palette;
    an_armed_console_counts_down_and_a_read_only_one_refuses: arming;
    an_event_full_of_escape_sequences_reaches_no_terminal: planted;
}
