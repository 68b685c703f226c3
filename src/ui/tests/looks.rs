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
    insta::assert_snapshot!(style_map(&in_theme("dark", Colour::True)));
}

#[test]
fn the_fleet_in_dark_at_256_colours() {
    insta::assert_snapshot!(style_map(&in_theme("dark", Colour::Ansi256)));
}

#[test]
fn the_fleet_in_dark_at_16_colours() {
    insta::assert_snapshot!(style_map(&in_theme("dark", Colour::Ansi16)));
}

#[test]
fn the_fleet_without_colours() {
    insta::assert_snapshot!(style_map(&in_theme("dark", Colour::None)));
}

#[test]
fn the_fleet_in_light() {
    insta::assert_snapshot!(style_map(&in_theme("light", Colour::True)));
}

#[test]
fn the_fleet_in_high_contrast() {
    insta::assert_snapshot!(style_map(&in_theme("high-contrast", Colour::True)));
}

#[test]
fn the_fleet_in_colours_for_the_colour_blind() {
    insta::assert_snapshot!(style_map(&in_theme("colour-blind", Colour::True)));
}

#[test]
fn the_fleet_in_mono() {
    insta::assert_snapshot!(style_map(&in_theme("mono", Colour::True)));
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
