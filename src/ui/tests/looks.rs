//! Frames in every theme and at every depth, and settings that change while the console runs.

use std::sync::Arc;

use ratatui::style::{Color, Modifier};

use super::harness::{Harness, fleet, now};
use crate::ui::actions::Id;
use crate::ui::keymap::{Keymap, Preset, Wanted};
use crate::ui::looks::{Looks, fixed};
use crate::ui::message::Event;
use crate::ui::theme::{Files, NAMES, Theme};
use crate::ui::{Background, Colour, Options, snapshot};

fn in_theme(name: &str, colour: Colour) -> Harness {
    let theme = Theme::read(name, &Files::new()).expect("a theme");
    let looks = Looks { dark: theme, light: theme, ..Looks::default() };
    Harness::with(Options { colour, looks: fixed(looks), ..Options::default() }, 80, 24)
}

/// Every style of a frame with the first text drawn in it, in the order of the frame.
fn style_map(harness: &Harness) -> String {
    let terminal = harness.terminal();
    let buffer = terminal.backend().buffer();
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut last = String::new();
    for row in buffer.content.chunks(usize::from(buffer.area.width)) {
        last.clear();
        for cell in row {
            let mut style = format!("{} on {}", cell.fg, cell.bg);
            if !cell.modifier.is_empty() {
                style.push_str(&format!(" {:?}", cell.modifier).replace(" | ", "+"));
            }
            let here = seen.iter_mut().find(|(known, _)| *known == style);
            match here {
                Some((_, text)) if last == style && text.chars().count() < 16 && text.ends_with('\u{1}') => {
                    text.pop();
                    text.push_str(cell.symbol());
                    text.push('\u{1}');
                }
                Some((_, text)) => {
                    if text.trim_matches([' ', '\u{1}']).is_empty() {
                        *text = format!("{}\u{1}", cell.symbol());
                    } else if last != style {
                        *text = text.trim_end_matches('\u{1}').to_string();
                    }
                }
                None => seen.push((style.clone(), format!("{}\u{1}", cell.symbol()))),
            }
            last = style;
        }
        for (_, text) in &mut seen {
            if !text.trim_matches([' ', '\u{1}']).is_empty() {
                *text = text.trim_end_matches('\u{1}').to_string();
            }
        }
    }
    let line = |(style, text): &(String, String)| format!("{style}: {}\n", text.trim_matches([' ', '\u{1}']));
    seen.iter().map(line).collect()
}

#[test]
fn the_fleet_in_dark_at_24_bit() {
    insta::assert_snapshot!(style_map(&in_theme("dark", Colour::True)), @r#"
    #A3ABB8 on Reset: all contexts
    Reset on Reset BOLD: FLEET
    #8FD088 on Reset: 2 live
    #A8A8A8 on Reset: 1 stale
    Reset on Reset: app/search
    #FF7A74 on Reset BOLD: ✗ FAIL 1
    #ECBE60 on Reset: ! SLO 1
    #D6A2F4 on Reset BOLD: ◆ GATE 1
    #DCB070 on Reset: = HOLD 1
    #61C8DE on #263042 BOLD: >
    #FF7A74 on #263042 BOLD: ✗ FAIL
    #DFE4EC on #263042 BOLD: eks
    #ECBE60 on #263042 BOLD: behind 4c1f9e2
    #A3ABB8 on #263042 BOLD: 1 FAIL, 1 GATE,
    #61C8DE on Reset BOLD: W
    #93A5E0 on Reset: ─
    #6C7686 on Reset: ──
    "#);
}

#[test]
fn the_fleet_in_dark_at_256_colours() {
    insta::assert_snapshot!(style_map(&in_theme("dark", Colour::Ansi256)), @r#"
    248 on Reset: all contexts
    Reset on Reset BOLD: FLEET
    114 on Reset: 2 live
    Reset on Reset: app/search
    210 on Reset BOLD: ✗ FAIL 1
    215 on Reset: ! SLO 1
    183 on Reset BOLD: ◆ GATE 1
    179 on Reset: = HOLD 1
    80 on 236 BOLD: >
    210 on 236 BOLD: ✗ FAIL
    254 on 236 BOLD: eks
    215 on 236 BOLD: behind 4c1f9e2
    248 on 236 BOLD: 1 FAIL, 1 GATE,
    80 on Reset BOLD: W
    110 on Reset: ─
    243 on Reset: ──
    "#);
}

#[test]
fn the_fleet_in_dark_at_16_colours() {
    insta::assert_snapshot!(style_map(&in_theme("dark", Colour::Ansi16)), @r#"
    DarkGray on Reset: all contexts
    Reset on Reset BOLD: FLEET
    Green on Reset: 2 live
    Reset on Reset: app/search
    Red on Reset BOLD: ✗ FAIL 1
    Yellow on Reset: ! SLO 1
    Magenta on Reset BOLD: ◆ GATE 1
    Cyan on Reset BOLD: >
    Yellow on Reset BOLD: behind 4c1f9e2
    DarkGray on Reset BOLD: 1 FAIL, 1 GATE,
    Blue on Reset: ─
    "#);
}

#[test]
fn the_fleet_without_colours() {
    insta::assert_snapshot!(style_map(&in_theme("dark", Colour::None)), @r#"
    Reset on Reset DIM: all contexts
    Reset on Reset BOLD: FLEET
    Reset on Reset: 2 live
    Reset on Reset BOLD+DIM: 1 FAIL, 1 GATE,
    "#);
}

#[test]
fn the_fleet_in_light() {
    insta::assert_snapshot!(style_map(&in_theme("light", Colour::True)), @r#"
    #4C5462 on Reset: all contexts
    Reset on Reset BOLD: FLEET
    #1A6119 on Reset: 2 live
    #555555 on Reset: 1 stale
    Reset on Reset: app/search
    #A81616 on Reset BOLD: ✗ FAIL 1
    #6E4A00 on Reset: ! SLO 1
    #7524A8 on Reset BOLD: ◆ GATE 1
    #7A4300 on Reset: = HOLD 1
    #00596B on #D6E4F7 BOLD: >
    #A81616 on #D6E4F7 BOLD: ✗ FAIL
    #1B2330 on #D6E4F7 BOLD: eks
    #6E4A00 on #D6E4F7 BOLD: behind 4c1f9e2
    #4C5462 on #D6E4F7 BOLD: 1 FAIL, 1 GATE,
    #00596B on Reset BOLD: W
    #3A4A9A on Reset: ─
    #767C86 on Reset: ──
    "#);
}

#[test]
fn the_fleet_in_high_contrast() {
    insta::assert_snapshot!(style_map(&in_theme("high-contrast", Colour::True)), @r#"
    #D8D8D8 on #000000: all contexts
    #FFFFFF on #000000 BOLD+UNDERLINED: FLEET
    #6CFF6C on #000000: 2 live
    #D0D0D0 on #000000: 1 stale
    #FFFFFF on #000000: app/search
    #FFA5A0 on #000000 BOLD: ✗ FAIL 1
    #FFE14D on #000000: ! SLO 1
    #F3B6FF on #000000 BOLD: ◆ GATE 1
    #FFC46B on #000000: = HOLD 1
    #66ECFF on #12294F BOLD+UNDERLINED: >
    #FFA5A0 on #12294F BOLD+UNDERLINED: ✗ FAIL
    #FFFFFF on #12294F BOLD+UNDERLINED: eks
    #FFE14D on #12294F BOLD+UNDERLINED: behind 4c1f9e2
    #D8D8D8 on #12294F BOLD+UNDERLINED: 1 FAIL, 1 GATE,
    #66ECFF on #000000 BOLD: W
    #C5CFFF on #000000: ─
    #B4B4B4 on #000000: ──
    "#);
}

#[test]
fn the_fleet_in_colours_for_the_colour_blind() {
    insta::assert_snapshot!(style_map(&in_theme("colour-blind", Colour::True)), @r#"
    #A3ABB8 on Reset: all contexts
    Reset on Reset BOLD: FLEET
    #55A8EE on Reset: 2 live
    #A8A8A8 on Reset: 1 stale
    Reset on Reset: app/search
    #FF9A1A on Reset BOLD: ✗ FAIL 1
    #F4E870 on Reset: ! SLO 1
    #F6C8E4 on Reset BOLD: ◆ GATE 1
    #C9C0A0 on Reset: = HOLD 1
    #D0D4DC on #263042 BOLD: >
    #FF9A1A on #263042 BOLD: ✗ FAIL
    #DFE4EC on #263042 BOLD: eks
    #F4E870 on #263042 BOLD: behind 4c1f9e2
    #A3ABB8 on #263042 BOLD: 1 FAIL, 1 GATE,
    #D0D4DC on Reset BOLD: W
    #C0C0E0 on Reset: ─
    #6C7686 on Reset: ──
    "#);
}

#[test]
fn the_fleet_in_mono() {
    insta::assert_snapshot!(style_map(&in_theme("mono", Colour::True)), @r#"
    Reset on Reset DIM: all contexts
    Reset on Reset BOLD: FLEET
    Reset on Reset: 2 live
    Reset on Reset BOLD+UNDERLINED: ✗ FAIL 1
    Reset on Reset BOLD+REVERSED: ◆ GATE 1
    Reset on Reset ITALIC: = HOLD 1
    Reset on Reset BOLD+DIM+UNDERLINED: 1 FAIL, 1 GATE,
    "#);
}

#[test]
fn every_theme_draws_the_same_text_on_every_screen() {
    let text = |name: &str, colour: Colour, address: &str| {
        let theme = Theme::read(name, &Files::new()).expect("a theme");
        let looks = Looks { dark: theme, light: theme, ..Looks::default() };
        let options = Options { colour, looks: fixed(looks), ..Options::default() };
        snapshot(&fleet(), address, 120, 36, &options, now()).expect("a frame")
    };
    for address in ["fleet", "help", "canary/gke/app/frontend"] {
        let plain = text("mono", Colour::None, address);
        for name in NAMES {
            for colour in Colour::ALL {
                assert_eq!(text(name, colour, address), plain, "{name} at {colour:?}");
            }
        }
    }
}

#[test]
fn high_contrast_has_a_ground_of_its_own_in_every_cell() {
    let harness = in_theme("high-contrast", Colour::True);
    for cell in &harness.terminal().backend().buffer().content {
        assert!(cell.bg != Color::Reset && cell.fg != Color::Reset, "{cell:?}");
    }
}

#[test]
fn mono_draws_no_colour_whatever_the_terminal_takes() {
    for cell in &in_theme("mono", Colour::True).terminal().backend().buffer().content {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
    }
}

#[test]
fn the_row_of_the_cursor_is_seen_in_every_theme() {
    for name in NAMES {
        for colour in Colour::ALL {
            let harness = in_theme(name, colour);
            let terminal = harness.terminal();
            let buffer = terminal.backend().buffer();
            let row = (0..buffer.area.height).find(|row| buffer[(0, *row)].symbol() == ">").expect("a row with the cursor");
            let cell = &buffer[(40, row)];
            assert!(!cell.modifier.is_empty() || cell.bg != Color::Reset, "{name} at {colour:?}");
        }
    }
}

#[test]
fn a_light_terminal_gets_the_light_theme_once_it_has_answered() {
    let mut harness = Harness::with(Options { colour: Colour::True, ..Options::default() }, 80, 24);
    assert_eq!(harness.model.theme().name(), "dark");
    harness.event(Event::Background(Background::Light));
    assert_eq!(harness.model.theme().name(), "light");
    harness.event(Event::Background(Background::Dark));
    assert_eq!(harness.model.theme().name(), "dark");
    let hinted = Harness::with(Options { background: Background::Light, ..Options::default() }, 80, 24);
    assert_eq!(hinted.model.theme().name(), "light");
}

#[test]
fn new_settings_are_taken_over_and_mistakes_stay_until_they_are_read() {
    let mut harness = Harness::new(120, 36);
    let wanted = Wanted { bind: vec![("arm".into(), vec!["f9".into()])], ..Wanted::default() };
    let keymap = Keymap::build(&wanted).expect("a key map");
    let looks = Looks { keymap: keymap.clone(), ascii: Some(true), ..Looks::default() };
    harness.keys("p");
    harness.event(Event::Looks(Arc::new(looks.clone())));
    assert!(harness.model.pressed.is_empty());
    harness.assert_shows("settings taken over");
    harness.assert_shows("RO (f9 to arm)");
    assert!(harness.frame().is_ascii());
    harness.keys("W");
    assert!(!harness.model.armed());
    harness.keys("f9 y");
    assert!(harness.model.armed());

    let broken = Looks { ascii: None, mistakes: vec!["settings.yaml: armFor: write a time".into(), "b".into()], ..looks };
    harness.event(Event::Looks(Arc::new(broken)));
    harness.wait(60);
    harness.assert_shows("2 mistakes in your settings, which `pilothouse config check` lists; settings.yaml: armFor");
    harness.keys("esc");
    harness.assert_hides("mistakes");
    assert_eq!(harness.model.keymap.short(Id::Arm), "f9");
}

#[test]
fn a_console_that_starts_with_mistakes_runs_and_names_them() {
    let looks = Looks { mistakes: vec!["themes/own.toml:3: “gren” is no colour".into()], ..Looks::default() };
    let mut harness = Harness::with(Options { looks: fixed(looks), ..Options::default() }, 120, 36);
    harness.assert_shows("themes/own.toml:3: “gren” is no colour");
    harness.keys("esc j");
    harness.assert_hides("gren");
}

#[test]
fn footer_and_help_show_the_keys_that_are_bound() {
    let wanted =
        Wanted { preset: Preset::Vim, bind: vec![("bump".into(), vec!["B".into()]), ("help".into(), vec![])], unbind: vec!["/".into()] };
    let keymap = Keymap::build(&wanted).expect("a key map");
    let mut harness = Harness::with(Options { looks: fixed(Looks { keymap, ..Looks::default() }), ..Options::default() }, 120, 50);
    harness.assert_shows("B bump");
    harness.assert_shows(":help help");
    harness.keys(":");
    harness.text("help");
    harness.keys("enter");
    harness.assert_shows("g g  home");
    harness.assert_shows(":filter");
}

#[test]
fn vim_needs_two_keys_for_the_first_row() {
    let looks = Looks { keymap: Keymap::preset(Preset::Vim), ..Looks::default() };
    let mut harness = Harness::with(Options { looks: fixed(looks), ..Options::default() }, 80, 24);
    harness.keys("G");
    let last = harness.model.place.selection.clone();
    harness.keys("g");
    assert_eq!(harness.model.place.selection, last);
    harness.assert_shows("g …");
    harness.keys("g");
    assert_ne!(harness.model.place.selection, last);
}

#[test]
fn production_looks_otherwise_in_every_theme() {
    for name in NAMES {
        for colour in Colour::ALL {
            let theme = Theme::read(name, &Files::new()).expect("a theme").at(colour);
            assert_ne!(theme.environment("production"), theme.environment("test"), "{name} at {colour:?}");
            assert!(theme.environment("production").add_modifier.contains(Modifier::REVERSED), "{name} at {colour:?}");
        }
    }
}
