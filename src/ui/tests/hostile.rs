//! What a cluster or a repository may write to draw on the terminal by itself, planted wherever either can put text: for each
//! kind of it every screen and every dialog is drawn, and a terminal that does what bytes say shows that frame and no other.

use std::collections::BTreeSet;
use std::sync::Arc;

use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use serde_json::{Value, json};

use super::harness::{Harness, before, fleet, now};
use crate::domain::fleet::{Fleet, Provider, Repository};
use crate::domain::intent::Verb;
use crate::domain::phase::Phase;
use crate::domain::target::{CanaryKey, Target};
use crate::domain::text::{LONGEST, clean};
use crate::kubernetes::kinds::Kind;
use crate::session::command::{Command, Outcome, OutcomeState};
use crate::session::questions::{Answer, LogLevel, LogLine, PinChange};
use crate::session::testing;
use crate::session::timeline::timeline;
use crate::session::view::{ContextView, CredentialView, DriverView, FleetView, Indicator, Link, Need, Permission, RefView, SloSeries};
use crate::session::why::{Difference, Evidence, Explanation, Pods, Twin, TwinState, explain};
use crate::ui::address::Address;
use crate::ui::message::Event;
use crate::ui::sequences::{Surroundings, notify, title};
use crate::ui::view::text as text_of;
use crate::ui::widgets::text::width;

const SIZES: [(u16, u16); 2] = [(80, 24), (120, 36)];

/// Moves the cursor, wipes the screen, leaves it, asks for an answer.
const ESCAPES: [&str; 5] = ["\u{1b}[2Jgone", "\u{1b}[1;1Howned", "\u{1b}[6n\u{1b}[c", "\u{1b}[?1049l\u{1b}c", "\u{1b}[3;5r\u{1b}7x\u{1b}8"];
/// Titles, links, the clipboard, notifications.
const COMMANDS: [&str; 5] = [
    "\u{1b}]0;owned\u{7}",
    "\u{1b}]2;owned\u{1b}\\",
    "\u{1b}]8;;https://evil.example\u{7}here\u{1b}]8;;\u{7}",
    "\u{1b}]52;c;b3duZWQ=\u{7}",
    "\u{1b}]777;notify;owned;now\u{7}",
];
/// Device and application strings with pictures in them, and the same by single characters.
const STRINGS: [&str; 6] = [
    "\u{1b}Pq#0;2;0;0;0~\u{1b}\\",
    "\u{1b}_Gf=100;AAAA\u{1b}\\",
    "\u{1b}^private\u{1b}\\",
    "\u{90}q#0~\u{9c}",
    "\u{9b}2J\u{9d}0;owned\u{9c}",
    "one\u{85}two\u{84}\u{8d}",
];
const OVERWRITES: [&str; 5] = ["safe\rrm -rf", "safe\u{8}\u{8}\u{8}\u{8}evil", "one\ntwo", "one\r\n\r\ntwo", "a\u{b}b\u{c}c\td"];
const UNSEEN: [&str; 6] = [
    "gpj\u{202e}exe.\u{202c}",
    "\u{2066}left\u{2069}\u{2067}right\u{2069}",
    "ad\u{200b}min\u{200d}\u{feff}\u{2060}",
    "a\u{0}b\u{7f}c",
    "tag\u{e0041}\u{e0042}\u{e007f}",
    "fill\u{3164}\u{115f}\u{1160}er",
];
const WIDE: [&str; 8] = ["👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽👍🏿", "☁️❤️", "1️⃣#️⃣", "🇩🇪🇫🇷", "全角한글ｗｉｄｅ", "🚀🚀🚀"];
const COLOURS: [&str; 4] =
    ["\u{1b}[31merror\u{1b}[0m failed", "\u{1b}[1;38;2;255;0;0mred\u{1b}[m", "\u{1b}[5;7mblink", "\u{1b}[38;5;196mred\u{9b}0m"];

/// Nothing but what is drawn as it is.
fn is_harmless(c: char) -> bool {
    let unseen = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}' | '\u{61c}'
        | '\u{3164}' | '\u{115f}' | '\u{1160}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' | '\u{1f3fb}'..='\u{1f3ff}');
    !c.is_control() && !unseen
}

/// A Canary with `text` wherever it takes text, its workloads, and an event about it. `hash` is what its status says was applied.
fn objects(name: &str, hash: &str, text: &str) -> Vec<(Kind, Value)> {
    let meta = |name: &str| json!({"namespace": "app", "name": name, "uid": name, "resourceVersion": "7", "annotations": {text: text}});
    let at = before(60);
    let engine = json!({
        "pause": {"who": text, "at": at, "why": text},
        "waiting": {"confirm-promotion": at, text: at},
        "verdicts": [{"id": text, "verb": "pause", "accepted": true, "who": text, "at": at, "why": text, "note": text}],
        "report": ["check-failed", text],
        "finding": {"check": text, "kind": "metric", "weight": 20, "failed": 1, "threshold": 5, "why": text},
    });
    let metric = json!({"name": text, "interval": text, "templateRef": {"name": text, "namespace": text}, "thresholdRange": {"min": 99}});
    let hook = json!({"name": text, "type": text, "url": format!("http://gate.test/{text}")});
    let canary = json!({
        "metadata": meta(name),
        "spec": {
            "provider": text,
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 5, "stepWeight": 10, "maxWeight": 50, "metrics": [metric], "webhooks": [hook]},
        },
        "status": {
            "phase": "Progressing", "canaryWeight": 20, "failedChecks": 1, "lastAppliedSpec": hash, "lastPromotedSpec": text,
            "conditions": [{"type": "Pilothouse", "status": "True", "reason": text, "message": engine.to_string()}],
        },
    });
    let workload = |name: &str| {
        let containers = json!([{"name": text, "image": format!("shop/web:{text}{name}")}]);
        json!({"metadata": meta(name), "spec": {"template": {"spec": {"containers": containers}}}})
    };
    let event = json!({
        "metadata": meta(&format!("{name}.1")), "involvedObject": {"kind": "Canary", "namespace": "app", "name": name},
        "type": text, "reason": text, "message": text, "lastTimestamp": at, "count": 3, "source": {"component": text},
    });
    let primary = format!("{name}-primary");
    vec![(Kind::Deployment, workload(name)), (Kind::Deployment, workload(&primary)), (Kind::Canary, canary), (Kind::Event, event)]
}

/// A fleet with `text` everywhere: what is in a cluster has come through the session, the rest by what the session cleans with.
fn planted(text: &str) -> FleetView {
    let (said, mut view) = (clean(text), fleet());
    let canaries = objects("frontend", "p1:u:2:abcdef0123456789", text).into_iter().chain(objects("hijack", text, text));
    let mut first = ContextView::clone(&view.contexts[0]);
    first.canaries = testing::shown(canaries);
    first.name = clean(&format!("gke{text}"));
    first.provider = clean(&format!("one{text}"));
    (first.environment, first.mesh, first.server_version) = (Some(said.clone()), Some(said.clone()), Some(said.clone()));
    first.driver = DriverView::Elsewhere { holder: said.clone() };
    first.problems = vec![said.clone()];
    first.aliases = vec![said.clone()];
    first.credential = Some(CredentialView { plugin: Some(said.clone()), user: said.clone(), ..CredentialView::default() });
    first.permissions.insert(Need::Sync, Permission::Denied { why: said.clone(), namespaces: BTreeSet::from([said.clone()]) });
    let sync = first.sync.as_mut().expect("a sync");
    for part in [&mut sync.repository, &mut sync.branch, &mut sync.path, &mut sync.message] {
        part.clone_from(&said);
    }
    for part in [&mut sync.head, &mut sync.applied, &mut sync.pinned, &mut sync.applied_ref, &mut sync.promoted_ref] {
        *part = Some(said.clone());
    }
    for canary in first.canaries.iter_mut() {
        let course = SloSeries::new(Indicator::ErrorRate, Some(1.0), vec![Some(0.4), None, Some(2.0)], 10);
        let failed = SloSeries { failed: Some(said.clone()), ..course.clone() };
        canary.slo = vec![SloSeries { name: said.clone(), query: said.clone(), ..course }, failed];
    }
    for (at, context) in view.contexts.iter_mut().enumerate().skip(1) {
        let (since, why) = (before(100), said.clone());
        let context = Arc::make_mut(context);
        context.link = if at == 1 { Link::Stale { since, why } } else { Link::Unauthorized { since, why } };
        context.problems = vec![said.clone()];
    }
    view.contexts[0] = Arc::new(first);
    view.refs.push(RefView { name: said.clone(), commit: said.clone(), at: None });
    view.problems = vec![said];
    view
}

fn explanation(view: &FleetView, target: &Target, text: &str) -> Explanation {
    let (said, canary) = (clean(text), view.canary(target).expect("a canary").clone());
    let mut changes = Difference::default();
    changes.add("spec", &json!({"image": "a", text: "b"}), &json!({"image": text, text: text}));
    changes.add_config(false, text, &json!({"key": "a"}), &json!({"key": text}));
    let pods = Pods { name: said.clone(), wanted: 2, waits: Some(said.clone()), ..Pods::default() };
    let twin = Twin {
        target: said.clone(),
        provider: said.clone(),
        phase: Phase::Failed,
        state: TwinState::Failed,
        image: canary.target_image.clone(),
    };
    explain(Evidence {
        target: target.clone(),
        now: now(),
        context: ContextView::clone(&view.contexts[0]),
        suspended: false,
        timeline: timeline(&canary, now()),
        slo: canary.slo.clone(),
        until: now(),
        canary_pods: Some(pods),
        primary_pods: None,
        changes,
        twins: vec![twin],
        twin_difference: None,
        gaps: vec![said],
        canary,
    })
}

fn logged(text: &str) -> Vec<LogLine> {
    let line = |number: u64, level: LogLevel| LogLine { number, at: before(9), level, from: "pilothouse::git".into(), text: clean(text) };
    vec![line(1, LogLevel::Info), line(2, LogLevel::Warn), line(3, LogLevel::Error)]
}

/// An armed console before the planted fleet, with a verb whose outcome speaks of it.
fn console(text: &str, (width, height): (u16, u16)) -> (Harness, Target) {
    let mut harness = Harness::armed(width, height);
    harness.show(planted(text));
    let target = Target::new(&harness.model.view.contexts[0].name, &CanaryKey::new("app", "frontend"));
    harness.event(Event::Sent { id: 70, label: format!("retry {target}"), batch: 7 });
    let outcome = Outcome { id: 70, target: target.to_string(), state: OutcomeState::Failed, message: clean(text) };
    harness.event(Event::Outcome(outcome));
    (harness, target)
}

/// Everything that can be on the screen, one after the other.
fn draw_all(texts: &[&str]) {
    for text in texts {
        for part in strings(&serde_json::to_value(planted(text)).expect("JSON")) {
            assert!(part.chars().all(is_harmless), "{part:?} is in the read model");
        }
        for size in SIZES {
            let (mut harness, target) = console(text, size);
            let of = explanation(&harness.model.view, &target, text);
            let other = Target { name: "hijack".into(), ..target.clone() };
            let mut all = vec![Address::Fleet, Address::Versions, Address::Gates, Address::Events, Address::Log, Address::Help];
            all.extend([Address::Provider(target.context.clone()), Address::Canary(target.clone()), Address::Canary(other)]);
            all.push(Address::Why(target.clone()));
            for address in all {
                harness.visit(address);
                harness.event(Event::Answer(Answer::Log(logged(text))));
                harness.event(Event::Answer(Answer::Why { target: target.clone(), explanation: Ok(Box::new(of.clone())) }));
                check(&harness, text);
                harness.keys("j j");
                check(&harness, text);
            }
            harness.visit(Address::Canary(target.clone()));
            let plan = |harness: &mut Harness| {
                let (line, provider) = (clean(text), harness.model.view.contexts[0].provider.clone());
                let (file, after) = (line.clone(), line.clone());
                let plan = PinChange { file, line: 4, before: line, after, pins: 2, moving: true, unchanged: false };
                harness.event(Event::Answer(Answer::BumpPlan { provider, to: "1.2.0".into(), plan: Ok(plan) }));
            };
            for keys in ["ctrl-x", "p n", "s", "a", "x", "R", "!", ":", "C", "ctrl-o", "b", "b 1 . 2 . 0 enter"] {
                harness.keys(keys);
                plan(&mut harness);
                assert!(harness.model.overlay.is_some() || harness.model.toast.is_some(), "{keys} does nothing");
                check(&harness, text);
                harness.keys("esc esc");
                harness.visit(Address::Canary(target.clone()));
            }
        }
    }
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::Object(all) => all.iter().flat_map(|(key, value)| std::iter::once(key.as_str()).chain(strings(value))).collect(),
        _ => Vec::new(),
    }
}

/// Every cell holds one thing that is as wide as the frame takes it for, and a terminal shows the frame.
#[track_caller]
fn check(harness: &Harness, text: &str) {
    let terminal = harness.terminal();
    let buffer = terminal.backend().buffer();
    for row in buffer.content.chunks(usize::from(buffer.area.width)) {
        let mut covered = 0;
        for symbol in row.iter().map(ratatui::buffer::Cell::symbol) {
            assert!(symbol.chars().all(is_harmless), "{symbol:?} of {text:?} in\n{}", harness.frame());
            assert!(symbol.chars().count() <= 3, "{symbol:?} of {text:?} is a heap of characters");
            if covered > 0 {
                assert_eq!(symbol, " ", "it is under a wide character");
                covered -= 1;
                continue;
            }
            let one_by_one: usize = symbol.chars().map(|c| width(c.encode_utf8(&mut [0; 4]))).sum();
            assert!((1..=2).contains(&one_by_one), "{symbol:?} of {text:?}");
            assert_eq!(width(symbol), one_by_one, "terminals do not agree how wide {symbol:?} is");
            covered = one_by_one - 1;
        }
        assert_eq!(covered, 0, "half a character at the edge");
    }
    let bytes = written(buffer);
    assert_ours(&bytes, text);
    // The terminal of this test leaves the sign for no character out.
    let sign = |text: &str| text.replace('\u{fffd}', "?");
    let (columns, rows) = harness.model.size;
    let mut parser = vt100::Parser::new(rows, columns, 0);
    parser.process(sign(&String::from_utf8_lossy(&bytes)).as_bytes());
    let shown: Vec<String> = parser.screen().rows(0, columns).map(|row| row.trim_end().to_string()).collect();
    let wanted: Vec<String> = sign(&text_of(buffer)).lines().map(String::from).collect();
    assert_eq!(shown, wanted, "{text:?}");
}

/// What a terminal gets for this frame, byte for byte.
fn written(buffer: &Buffer) -> Vec<u8> {
    let mut bytes = Vec::new();
    let empty = Buffer::empty(buffer.area);
    CrosstermBackend::new(&mut bytes).draw(empty.diff(buffer).into_iter()).expect("a frame");
    bytes
}

/// No control character but those of the drawing itself: where to, and in which look.
#[track_caller]
fn assert_ours(bytes: &[u8], text: &str) {
    let drawn = std::str::from_utf8(bytes).expect("text");
    let mut rest = drawn.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            assert!(!c.is_control(), "{c:?} is written, of {text:?}");
            continue;
        }
        assert_eq!(rest.next(), Some('['), "a sequence of another kind is written, of {text:?}");
        let end = rest.find(|c| !c.is_ascii_digit() && *c != ';' && *c != ':');
        assert!(matches!(end, Some('H' | 'm')), "a sequence that ends with {end:?} is written, of {text:?}");
    }
}

/// Lines inside the dialog, whose frame must be whole.
#[track_caller]
fn inside(harness: &Harness) -> Vec<String> {
    let terminal = harness.terminal();
    let buffer = terminal.backend().buffer();
    let at = |corner: &str| {
        let place =
            buffer.content.iter().position(|cell| cell.symbol() == corner).unwrap_or_else(|| panic!("no dialog in\n{}", harness.frame()));
        buffer.pos_of(place)
    };
    let ((left, top), (right, _), (_, bottom)) = (at("╭"), at("╮"), at("╰"));
    let symbol = |x: u16, y: u16| buffer.cell((x, y)).expect("a cell").symbol();
    let mut lines = Vec::new();
    for y in top + 1..bottom {
        assert_eq!((symbol(left, y), symbol(right, y)), ("│", "│"), "the frame is broken:\n{}", harness.frame());
        let mut line = String::new();
        let mut x = left + 1;
        while x < right {
            line.push_str(symbol(x, y));
            x += u16::try_from(width(symbol(x, y)).max(1)).expect("one or two columns");
        }
        lines.push(line.trim().to_string());
    }
    lines
}

#[test]
fn escape_sequences_move_no_cursor_and_wipe_no_screen() {
    draw_all(&ESCAPES);
}

#[test]
fn titles_links_and_clipboard_commands_reach_no_terminal() {
    draw_all(&COMMANDS);
    // What the console itself says to the terminal holds names and reasons, too.
    for text in COMMANDS.iter().chain(&ESCAPES).chain(&STRINGS) {
        let said = title(text);
        let body = said.strip_prefix("\u{1b}]2;").and_then(|rest| rest.strip_suffix('\u{7}')).expect("a title");
        assert!(body.chars().all(is_harmless), "{said:?}");
        let said = notify(text, text, Surroundings::default());
        let ours = said.matches('\u{1b}').count() + said.matches('\u{7}').count();
        let foreign = said.chars().filter(|c| !is_harmless(*c)).count() - ours;
        assert_eq!((ours, foreign), (5, 0), "{said:?}");
    }
}

#[test]
fn device_strings_and_c1_controls_reach_no_terminal() {
    draw_all(&STRINGS);
    // As bytes that are no UTF-8 they come out of what reads text of programs and files.
    let raw = String::from_utf8_lossy(b"\x9b2J\x90q\x9c\x9d0;owned\x07\xff").into_owned();
    draw_all(&[&raw]);
}

#[test]
fn returns_backspaces_and_line_ends_overwrite_nothing() {
    draw_all(&OVERWRITES);
    assert_eq!(clean("safe\rrm -rf"), "safe rm -rf", "what was to be hidden is read");
}

#[test]
fn direction_controls_zero_width_characters_and_nul_are_gone() {
    draw_all(&UNSEEN);
}

#[test]
fn heaps_of_combining_marks_stay_within_their_cell() {
    let heap = |base: &str, mark: &str| format!("{base}{}", mark.repeat(300));
    let heaps = [heap("z", "\u{301}"), heap("ก", "\u{e47}"), heap("", "\u{20dd}"), heap("क", "\u{93c}"), heap("a", "\u{1ab0}\u{fe0f}")];
    draw_all(&heaps.each_ref().map(String::as_str));
}

#[test]
fn a_line_of_ten_megabytes_is_cut_where_it_enters() {
    let long = "x\u{1b}[2J".repeat(2 * 1024 * 1024);
    let mut objects = objects("frontend", "p1:u:2:abc", "plain");
    for (kind, object) in &mut objects {
        match kind {
            Kind::Event => object["message"] = json!(long),
            Kind::Canary => {
                object["metadata"]["annotations"]["note"] = json!(long);
                let engine = json!({"report": ["check-failed", long]});
                object["status"]["conditions"][0]["message"] = json!(engine.to_string());
            }
            _ => {}
        }
    }
    let canaries = testing::shown(objects);
    let longest = strings(&serde_json::to_value(&canaries).expect("JSON")).into_iter().map(|text| text.chars().count()).max();
    assert!(longest.is_some_and(|count| (1_000..=LONGEST + 1).contains(&count)), "{longest:?}");
    for size in SIZES {
        let (mut harness, target) = console("plain", size);
        harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries = canaries.clone());
        for address in [Address::Fleet, Address::Events, Address::Log, Address::Canary(target.clone())] {
            harness.visit(address);
            harness.event(Event::Answer(Answer::Log(logged(&long))));
            check(&harness, "10 MB");
        }
        harness.keys("esc ctrl-x");
        assert!(inside(&harness).iter().any(|line| line.starts_with("type frontend to confirm")), "{}", harness.frame());
    }
}

#[test]
fn emoji_are_as_wide_as_every_terminal_takes_them_for() {
    draw_all(&WIDE);
}

#[test]
fn a_dialog_beside_hostile_text_is_whole_and_wants_the_name_typed() {
    for text in WIDE.iter().chain(&UNSEEN).chain(&OVERWRITES).chain(&ESCAPES) {
        for size in SIZES {
            let (mut harness, target) = console(text, size);
            harness.visit(Address::Canary(target.clone()));
            harness.keys("esc ctrl-x");
            assert!(inside(&harness).iter().any(|line| line.starts_with("type frontend to confirm [")), "{}", harness.frame());
            harness.text("fronten");
            harness.keys("enter y enter");
            assert!(harness.sent.is_empty());
            harness.keys("ctrl-u");
            harness.text("frontend");
            assert!(matches!(&harness.sent[..], [Command::Verb { target: sent, verb: Verb::Abort, .. }] if *sent == target));
            let provider = harness.model.view.contexts[0].provider.clone();
            harness.keys("esc b 1 . 2 . 0 enter");
            let wanted = format!("type {provider} to confirm [");
            assert!(inside(&harness).iter().any(|line| line.starts_with(&wanted)), "{wanted:?} in\n{}", harness.frame());
            harness.text("one");
            harness.keys("enter");
            assert_eq!(harness.sent.len(), 1, "a part of the name is not the name");
            harness.keys("ctrl-u");
            harness.text(&provider);
            assert!(matches!(&harness.sent[1..], [Command::Bump { providers, .. }] if *providers == [provider]), "{:?}", harness.sent);
        }
    }
}

#[test]
fn a_name_as_long_as_kubernetes_allows_is_read_and_typed_whole() {
    for length in [50, 63, 253] {
        for size in SIZES {
            let mut harness = Harness::armed(size.0, size.1);
            let name: String = "payments-0123456789-".chars().cycle().take(length).collect();
            harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).canaries[0].key.name.clone_from(&name));
            harness.visit(Address::Canary(Target::new("gke", &CanaryKey::new("app", &*name))));
            check(&harness, &name);
            harness.keys("ctrl-x");
            check(&harness, &name);
            let lines = inside(&harness);
            let from = lines.iter().position(|line| line.starts_with("type ")).expect("what to type");
            let asked = lines[from..].concat();
            assert!(asked.starts_with(&format!("type {name}")) && asked.contains("to confirm ["), "{}", harness.frame());
            harness.text(&name[..length - 1]);
            let end = &name[length - 5..length - 1];
            assert!(inside(&harness).iter().any(|line| line.ends_with(&format!("{end}_]"))), "what is typed is seen\n{}", harness.frame());
            assert!(harness.sent.is_empty());
            harness.text(&name[length - 1..]);
            assert_eq!(harness.sent.len(), 1);
        }
    }
}

#[test]
fn coloured_log_lines_bring_no_colour_of_their_own() {
    draw_all(&COLOURS);
    let looks = |text: &str| -> BTreeSet<String> {
        let mut harness = Harness::new(120, 36);
        harness.visit(Address::Log);
        harness.event(Event::Answer(Answer::Log(logged(text))));
        harness.terminal().backend().buffer().content.iter().map(|cell| format!("{:?}", cell.style())).collect()
    };
    let plain = looks("error failed");
    for text in COLOURS {
        assert_eq!(looks(text), plain, "{text:?}");
    }
}

#[test]
fn an_object_with_a_name_that_kubernetes_never_gives_is_left_out() {
    for name in ["evil\u{202e}", "\u{1b}[2J", "a b", "frontend\u{200b}"] {
        let (mut good, bad) = (objects("frontend", "p1:u:2:abc", "plain"), objects(name, "p1:u:2:abc", "plain"));
        good.extend(bad);
        let shown = testing::shown(good);
        assert_eq!(shown.iter().map(|canary| canary.key.name.as_str()).collect::<Vec<_>>(), ["frontend"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_in_a_kubeconfig_and_a_fleet_file_are_cleaned_by_the_session() {
    let all: Vec<&str> = ESCAPES.iter().chain(&COMMANDS).chain(&STRINGS).chain(&OVERWRITES).chain(&UNSEEN).chain(&WIDE).copied().collect();
    let each = |make: &dyn Fn(usize, &str) -> Value| all.iter().enumerate().map(|(at, text)| make(at, text)).collect::<Vec<_>>();
    let user = |at: usize, text: &str| match at % 2 {
        0 => json!({"name": format!("u{at}{text}"), "user": {"token": "none"}}),
        // A plugin's last words are the reason in its row.
        _ => json!({"name": format!("u{at}{text}"), "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
            "args": ["-c", "printf '%s' \"$1\" >&2; exit 1", "sh", format!("x {}", text.replace('\0', ""))]}}}),
    };
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config",
        "clusters": each(&|at, text| json!({"name": format!("c{at}{text}"), "cluster": {"server": format!("https://127.0.0.{}:1", at + 1)}})),
        "users": each(&user),
        "contexts": each(&|at, text| json!({"name": format!("{at}{text}"),
            "context": {"cluster": format!("c{at}{text}"), "user": format!("u{at}{text}")}}))});
    let provider = |(at, text): (usize, &&str)| Provider {
        name: format!("p{at}{text}"),
        context: format!("{at}{text}"),
        environment: Some((*text).into()),
        mesh: Some((*text).into()),
        repository: Some(Repository { url: (*text).into(), branch: (*text).into(), path: (*text).into() }),
        ..Provider::default()
    };
    let fleet = Fleet { providers: all.iter().enumerate().map(provider).collect(), ..Fleet::default() };
    let view = testing::unanswered(&kubeconfig, fleet).await;
    assert_eq!(view.contexts.len(), all.len());
    for part in strings(&serde_json::to_value(&view).expect("JSON")) {
        assert!(part.chars().all(is_harmless), "{part:?} is in the read model");
    }
    for size in SIZES {
        let mut harness = Harness::new(size.0, size.1);
        harness.show(view.clone());
        for keys in ["j", "G", "C", "esc", "W", "esc", ":", "esc", "enter"] {
            harness.keys(keys);
            check(&harness, "names");
        }
    }
}
