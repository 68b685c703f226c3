//! Settings as users write them: right, half right and wrong.

use tempfile::TempDir;

use super::*;
use crate::ui::actions::Id;

fn folder(settings: &str, themes: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    if !settings.is_empty() {
        std::fs::write(folder.path().join(FILE), settings).expect("a file");
    }
    std::fs::create_dir(folder.path().join(THEMES)).expect("a folder");
    for (name, text) in themes {
        std::fs::write(folder.path().join(THEMES).join(name), text).expect("a file");
    }
    folder
}

fn load_new(folder: &TempDir) -> Looks {
    load(folder.path(), &Looks::default())
}

#[test]
fn nothing_written_is_the_default() {
    assert_eq!(parse(""), (Settings::default(), vec![]));
    assert_eq!(parse("# nothing yet\n"), (Settings::default(), vec![]));
    let nowhere = load(Path::new("/nowhere/at/all"), &Looks::default());
    assert!(nowhere.mistakes.is_empty(), "{:?}", nowhere.mistakes);
    assert_eq!((nowhere.dark.name(), nowhere.light.name()), ("dark", "light"));
}

#[test]
fn everything_written_is_taken_over() {
    let settings = "theme: {dark: high-contrast, light: own}\nkeys:\n  preset: vim\n  bind: {pause: [P, f5], all: [9], abort: []}\n  unbind: [x]\nascii: true\nmouse: false\nnotify: false\narmFor: 5m\n";
    let looks = load_new(&folder(settings, &[("own.toml", "inherits = \"light\"\n")]));
    assert_eq!(looks.mistakes, Vec::<String>::new());
    assert_eq!((looks.dark.name(), looks.light.name()), ("high-contrast", "own"));
    assert_eq!(looks.keymap.keys_of(Id::Pause), ["P", "f5"]);
    assert_eq!(looks.keymap.keys_of(Id::AllContexts), ["9"]);
    assert!(looks.keymap.keys_of(Id::Abort).is_empty() && looks.keymap.keys_of(Id::Reject).is_empty());
    assert_eq!(looks.keymap.keys_of(Id::First), ["g g", "home"]);
    assert_eq!((looks.ascii, looks.mouse, looks.notify, looks.arm_for), (Some(true), false, false, Duration::from_mins(5)));
}

#[test]
fn one_theme_serves_every_ground_and_auto_has_two() {
    assert_eq!(parse("theme: mono").0.theme, ("mono".into(), "mono".into()));
    assert_eq!(parse("theme: auto").0.theme, ("dark".into(), "light".into()));
    assert_eq!(parse("theme: {light: mono}").0.theme, ("dark".into(), "mono".into()));
}

#[test]
fn every_mistake_in_the_settings_is_told_with_its_key_and_a_way_out() {
    let (_, found) = parse(
        "theme: 7\nkeys: {preset: emacs, bind: {pause: [[P]]}, unbnd: [x]}\nascii: maybe\nmouse: 1\nnotify: on\narmFor: 3d\ncolour: red\n3: x\n",
    );
    let starts: Vec<&str> = found.iter().map(|mistake| mistake.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(
        starts,
        [
            "theme",
            "keys.preset",
            "keys.bind.pause",
            "keys.unbnd",
            "ascii",
            "mouse",
            "notify",
            "armFor",
            "colour",
            "a key is no word; keys are theme, keys, ascii, mouse, notify, armFor"
        ],
        "{found:#?}"
    );
    assert!(parse("theme: {dark: 1, night: x}").1.len() == 2);
    assert!(parse("- a\n").1[0].contains("keys are theme"));
    assert!(parse("armFor: 1s").1[0].contains("10s to 8h"));
}

#[test]
fn settings_that_are_no_yaml_say_where() {
    assert!(parse("mouse: true\ntheme: [\n").1[0].contains("line 3"), "{:?}", parse("mouse: true\ntheme: [\n").1);
    for text in ["theme: [", "keys: {bind: {earlier: [[]}}", "a: 1\na: 2\n", "theme: \"\\x\"\n"] {
        let (settings, found) = parse(text);
        assert_eq!(settings, Settings::default());
        assert!(found.len() == 1 && found[0].starts_with("is not YAML: "), "{text}: {found:?}");
    }
}

#[test]
fn settings_that_are_too_long_or_no_text_are_not_read() {
    let long = folder(&format!("theme: mono\n#{}\n", "x".repeat(1 << 20)), &[]);
    assert!(load_new(&long).mistakes[0].contains("longer than 64 KiB"));
    let odd = folder("x", &[]);
    std::fs::write(odd.path().join(FILE), b"theme: mon\xf6\n").expect("a file");
    assert!(load_new(&odd).mistakes[0].contains("UTF-8"));
    let strange = folder("", &[]);
    std::fs::create_dir(strange.path().join(FILE)).expect("a folder");
    assert!(load_new(&strange).mistakes[0].contains("no file"));
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (one, next) in ('a'..'j').zip('b'..='j') {
        text.push_str(&format!("{next}: &{next} [*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one}]\n"));
    }
    assert!(!parse(&text).1.is_empty());
}

#[test]
fn what_settings_say_cannot_move_the_cursor() {
    let (_, found) = parse("\"\\e[2J\": 1\nkeys: {preset: k9s, bind: {\"\\e]0;x\\a\": [P]}}\n");
    assert!(found.iter().all(|mistake| !mistake.contains('\u{1b}')), "{found:?}");
    let looks = load_new(&folder("keys: {bind: {\"\\e]0;x\\a\": [\"\\e\"]}}\ntheme: \"\\e[2J\"\n", &[]));
    assert!(looks.mistakes.len() == 3 && looks.mistakes.iter().all(|m| !m.contains('\u{1b}')), "{:?}", looks.mistakes);
}

#[test]
fn a_mistake_keeps_what_was_good_and_the_rest_is_taken_over() {
    let good = folder("theme: own\nkeys: {bind: {pause: [P]}}\narmFor: 5m\n", &[("own.toml", "inherits = \"light\"\n")]);
    let first = load_new(&good);
    assert!(first.mistakes.is_empty(), "{:?}", first.mistakes);

    // A theme that broke: the old one stays, and the new time counts.
    std::fs::write(good.path().join("themes/own.toml"), "inherits = \"light\"\n[state]\ngood = \"gren\"\n").expect("a file");
    std::fs::write(good.path().join(FILE), "theme: own\nkeys: {bind: {pause: [P]}}\narmFor: 6m\n").expect("a file");
    let second = load(good.path(), &first);
    assert_eq!(second.mistakes.len(), 1, "{:?}", second.mistakes);
    assert!(second.mistakes[0].contains("themes/own.toml:3: “gren”"), "{:?}", second.mistakes);
    assert_eq!(second.dark.name(), "own");
    assert_eq!(second.arm_for, Duration::from_mins(6));

    // Keys that broke: the old ones stay.
    std::fs::write(good.path().join("themes/own.toml"), "inherits = \"light\"\n").expect("a file");
    std::fs::write(good.path().join(FILE), "theme: own\nkeys: {bind: {pause: [P], bump: [P]}}\n").expect("a file");
    let third = load(good.path(), &second);
    assert!(third.mistakes.len() == 1 && third.mistakes[0].contains("keys.bind."), "{:?}", third.mistakes);
    assert_eq!(third.keymap.keys_of(Id::Pause), ["P"]);
    assert_eq!(third.arm_for, ARM_FOR);

    // A section of keys with an odd form is not half taken over.
    std::fs::write(good.path().join(FILE), "keys: {preset: emacs, bind: {pause: [Q]}}\n").expect("a file");
    let fourth = load(good.path(), &third);
    assert_eq!((fourth.mistakes.len(), fourth.keymap.keys_of(Id::Pause)), (1, vec!["P".to_string()]));

    // No YAML at all: everything stays.
    std::fs::write(good.path().join(FILE), "theme: [\n").expect("a file");
    let fifth = load(good.path(), &fourth);
    assert_eq!((fifth.dark.name(), fifth.arm_for, fifth.mistakes.len()), (fourth.dark.name(), fourth.arm_for, 1));
}

#[test]
fn broken_files_at_the_start_leave_the_built_in_looks() {
    let broken = folder("theme: a\nkeys: {bind: {nothing: [P]}}\n", &[("a.toml", "inherits = \"b\"\n"), ("b.toml", "inherits = \"a\"\n")]);
    let looks = load_new(&broken);
    assert_eq!(looks.mistakes.len(), 2, "{:?}", looks.mistakes);
    assert_eq!((looks.dark.name(), looks.keymap.keys_of(Id::Pause)), ("dark", vec!["s".to_string()]));
    assert!(looks.news().expect("news").starts_with("2 mistakes"));
}

#[test]
fn the_check_names_also_what_nobody_chose() {
    let broken = folder(
        "theme: sunset\n",
        &[("one.toml", "[stat]\n"), ("two.toml", "text = 999\n"), ("three.toml", "inherits = \"dark\"\n"), ("notes.txt", "no theme")],
    );
    let found = check(broken.path());
    assert_eq!(found.len(), 3, "{found:#?}");
    for word in ["themes/sunset.toml", "themes/one.toml:1", "themes/two.toml:1"] {
        assert!(found.iter().any(|mistake| mistake.contains(word)), "{word}: {found:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_taken_over_while_the_console_runs() {
    let changing = folder("armFor: 5m\n", &[]);
    let mut looks = follow(changing.path().to_path_buf(), load_new(&changing));
    assert_eq!(looks.borrow_and_update().arm_for, Duration::from_mins(5));
    tokio::time::sleep(EVERY * 3).await;
    assert!(!looks.has_changed().expect("a follower"), "nothing changed");
    std::fs::write(changing.path().join(FILE), "armFor: 25m\n").expect("a file");
    looks.changed().await.expect("a follower");
    assert_eq!(looks.borrow_and_update().arm_for, Duration::from_mins(25));
    std::fs::write(changing.path().join(FILE), "armFor: never\n").expect("a file");
    looks.changed().await.expect("a follower");
    let last = looks.borrow_and_update().clone();
    assert_eq!((last.arm_for, last.mistakes.len()), (Duration::from_mins(25), 1));
}
