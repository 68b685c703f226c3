//! Built-in themes hold what they promise, and broken ones say everything that is wrong with them.

use ratatui::style::{Color, Modifier};

use super::colour::{Rgb, contrast, distance, linear};
use super::file::read;
use super::{Colour, Files, Mistake, NAMES, Role, Sheet, Theme};

fn sheet(name: &str) -> Sheet {
    read(name, &Files::new()).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"))
}

fn rgb_of(colour: Color) -> Option<Rgb> {
    match colour {
        Color::Rgb(r, g, b) => Some((r, g, b)),
        _ => None,
    }
}

/// Roles that are lines and not text.
const DRAWN: [Role; 1] = [Role::Rule];

#[test]
fn every_built_in_theme_gives_every_role_a_look() {
    for name in NAMES {
        let sheet = sheet(name);
        for role in Role::ALL {
            let scope = role.scope();
            let found =
                sheet.scopes.contains_key(scope) || scope.split_once('.').is_some_and(|(above, _)| sheet.scopes.contains_key(above));
            assert!(found, "{name}: {scope} has no look");
        }
    }
}

#[test]
fn roles_stand_where_their_number_says() {
    for (at, role) in Role::ALL.iter().enumerate() {
        assert_eq!(*role as usize, at, "{role:?}");
    }
    for (at, colour) in Colour::ALL.iter().enumerate() {
        assert_eq!(*colour as usize, at, "{colour:?}");
    }
}

/// Text of every theme against its ground, and against the row of the cursor (WCAG 2.2, 1.4.3 and 1.4.6).
#[test]
fn text_can_be_read_on_the_ground_that_a_theme_is_made_for() {
    let mut low = Vec::new();
    for name in NAMES.into_iter().filter(|name| *name != "mono") {
        let sheet = sheet(name);
        let background = sheet.background.unwrap_or_else(|| panic!("{name} has no background"));
        let (text, line) = if name == "high-contrast" { (7.0, 4.5) } else { (4.5, 3.0) };
        let selected = sheet.look("selected").bg.and_then(|paint| rgb_of(paint.colour)).expect("a colour of the row");
        for role in Role::ALL {
            let look = sheet.look(role.scope());
            let own = look.fg.is_none_or(|paint| paint.colour == Color::Reset);
            // The terminal's own text on its own ground is its owner's choice.
            if own && matches!(role, Role::Text | Role::Title | Role::Header) && name != "high-contrast" {
                continue;
            }
            let colour =
                look.fg.and_then(|paint| rgb_of(paint.colour)).unwrap_or_else(|| panic!("{name}: {role:?} has no colour of 24 bit"));
            let least = if DRAWN.contains(&role) { line } else { text };
            for (ground, on) in [("ground", background), ("row", selected)] {
                // Rules do not run through the row of the cursor.
                if (on == selected && DRAWN.contains(&role)) || (on == background && role == Role::Selected) {
                    continue;
                }
                let found = contrast(colour, on);
                if found < least {
                    low.push(format!("{name}: {role:?} on the {ground}: {found:.2} < {least}"));
                }
            }
        }
    }
    assert!(low.is_empty(), "{}", low.join("\n"));
}

/// How somebody without the cones for long or for middle waves sees a colour: Machado, Oliveira and Fernandes,
/// “A Physiologically-based Model for Simulation of Color Vision Deficiency” (2009), severity 1, on linear light.
fn seen(matrix: [[f64; 3]; 3], (r, g, b): Rgb) -> Rgb {
    let light = [linear(r), linear(g), linear(b)];
    let part = |row: [f64; 3]| {
        let value = (row[0] * light[0] + row[1] * light[1] + row[2] * light[2]).clamp(0.0, 1.0);
        let encoded = if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 255")]
        let byte = (encoded * 255.0).round() as u8;
        byte
    };
    (part(matrix[0]), part(matrix[1]), part(matrix[2]))
}

const PROTANOPIA: [[f64; 3]; 3] =
    [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]];
const DEUTERANOPIA: [[f64; 3]; 3] =
    [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]];

/// The least ΔE between two states as somebody with this sight sees them.
fn apart(sheet: &Sheet, matrix: [[f64; 3]; 3], one: Role, other: Role) -> f64 {
    let of = |role: Role| sheet.look(role.scope()).fg.and_then(|paint| rgb_of(paint.colour)).expect("a colour");
    distance(seen(matrix, of(one)), seen(matrix, of(other)))
}

#[test]
fn the_colour_blind_theme_tells_states_apart_without_red_and_green() {
    let (own, dark) = (sheet("colour-blind"), sheet("dark"));
    for matrix in [PROTANOPIA, DEUTERANOPIA] {
        let found = apart(&own, matrix, Role::Good, Role::Bad);
        assert!(found > 60.0, "good and bad are {found:.0} apart");
        assert!(found > 1.5 * apart(&dark, matrix, Role::Good, Role::Bad), "the dark theme is nearly as good");
        for (one, other) in
            [(Role::Good, Role::Warn), (Role::Bad, Role::Busy), (Role::Bad, Role::Gate), (Role::Good, Role::Gate), (Role::Bad, Role::Warn)]
        {
            let found = apart(&own, matrix, one, other);
            assert!(found > 20.0, "{one:?} and {other:?} are {found:.0} apart");
        }
    }
    let theme = Theme::read("colour-blind", &Files::new()).expect("a theme").at(Colour::Ansi16);
    for role in Role::ALL {
        let fg = theme.style(role).fg;
        assert!(!matches!(fg, Some(Color::Red | Color::LightRed | Color::Green | Color::LightGreen)), "{role:?} is {fg:?} of sixteen");
    }
}

#[test]
fn mono_has_no_colour_and_still_says_what_matters() {
    let theme = Theme::read("mono", &Files::new()).expect("a theme");
    for colour in Colour::ALL {
        for role in Role::ALL {
            let style = theme.at(colour).style(role);
            assert!(style.fg.is_none() && style.bg.is_none(), "{role:?}");
        }
        for role in [Role::Bad, Role::Gate, Role::Armed, Role::Production] {
            assert!(!theme.at(colour).style(role).add_modifier.is_empty(), "{role:?} looks like text");
        }
    }
}

#[test]
fn no_colour_leaves_modifiers_alone() {
    for name in NAMES {
        let theme = Theme::read(name, &Files::new()).expect("a theme");
        for role in Role::ALL {
            let (full, none) = (theme.at(Colour::True).style(role), theme.at(Colour::None).style(role));
            assert!(none.fg.is_none() && none.bg.is_none(), "{name}: {role:?}");
            assert!(none.add_modifier.contains(full.add_modifier), "{name}: {role:?}");
        }
        assert!(theme.at(Colour::None).style(Role::Dim).add_modifier.contains(Modifier::DIM), "{name}");
        assert!(!theme.at(Colour::None).ground().add_modifier.is_empty(), "{name}: the row of the cursor looks like the others");
    }
}

#[test]
fn every_depth_has_only_colours_that_it_can_draw() {
    for name in NAMES {
        let theme = Theme::read(name, &Files::new()).expect("a theme");
        for role in Role::ALL {
            let of = |colour: Colour| theme.at(colour).style(role);
            for colour in [of(Colour::Ansi16).fg, of(Colour::Ansi16).bg].into_iter().flatten() {
                assert!(!matches!(colour, Color::Rgb(..) | Color::Indexed(_)), "{name}: {role:?} is {colour:?} of sixteen");
            }
            for colour in [of(Colour::Ansi256).fg, of(Colour::Ansi256).bg].into_iter().flatten() {
                assert!(!matches!(colour, Color::Rgb(..)), "{name}: {role:?} is {colour:?} of 256");
            }
        }
    }
}

fn files(texts: &[(&str, &str)]) -> Files {
    texts.iter().map(|(name, text)| ((*name).to_string(), Ok(text.as_bytes().to_vec()))).collect()
}

fn mistakes_of(name: &str, files: &Files) -> Vec<String> {
    Theme::read(name, files).expect_err("mistakes").iter().map(Mistake::to_string).collect()
}

fn mistakes(text: &str) -> Vec<String> {
    mistakes_of("own", &files(&[("own", text)]))
}

#[test]
fn a_theme_of_ones_own_changes_what_it_says_and_inherits_the_rest() {
    let own = "inherits = \"dark\"\n[palette]\nleaf = \"#00ff00\"\nmine = {rgb = \"#102030\", ansi = \"blue\"}\n[state]\nbad = 208\n\"gate\" = {fg = \"mine\", underline = true}\n";
    let theme = Theme::read("own", &files(&[("own", own)])).expect("a theme");
    let (full, few) = (theme.at(Colour::True), theme.at(Colour::Ansi16));
    let dark = Theme::new(Colour::True);
    assert_eq!(theme.name(), "own");
    // The palette of the file below is that of what it inherits, too.
    assert_eq!(full.style(Role::Good).fg, Some(Color::Rgb(0, 255, 0)));
    assert_eq!(few.style(Role::Good).fg, Some(Color::LightGreen));
    assert_eq!(full.style(Role::Bad).fg, Some(Color::Indexed(208)));
    assert_eq!(full.style(Role::Gate).fg, Some(Color::Rgb(16, 32, 48)));
    assert_eq!(few.style(Role::Gate).fg, Some(Color::Blue));
    assert_eq!(full.style(Role::Gate).add_modifier, Modifier::UNDERLINED);
    assert_eq!(full.style(Role::Key), dark.style(Role::Key));
}

#[test]
fn scopes_fall_back_to_their_prefix_and_then_to_text() {
    let own = "text = \"white\"\n\"state\" = {fg = \"blue\"}\n\"state.bad\" = \"red\"\nchart.limit = {bold = true}\n";
    let theme = Theme::read("own", &files(&[("own", own)])).expect("a theme").at(Colour::Ansi16);
    assert_eq!(theme.style(Role::Bad).fg, Some(Color::Red));
    assert_eq!(theme.style(Role::Gate).fg, Some(Color::Blue));
    assert_eq!(theme.style(Role::Canary).fg, Some(Color::Gray));
    assert_eq!(theme.style(Role::Text).fg, Some(Color::Gray));
    assert_eq!(theme.style(Role::Limit).add_modifier, Modifier::BOLD);
}

#[test]
fn environments_have_looks_of_their_own() {
    let own = "inherits = \"dark\"\n[env]\nbold = true\ncanary = \"green\"\nproduction = {fg = \"red\", reverse = true}\n";
    let theme = Theme::read("own", &files(&[("own", own)])).expect("a theme").at(Colour::Ansi16);
    assert_eq!(theme.environment("Canary").fg, Some(Color::Green));
    assert_eq!(theme.environment("production"), theme.style(Role::Production));
    assert_eq!(theme.environment("prod-eu"), theme.style(Role::Production));
    assert_eq!(theme.environment("test").add_modifier, Modifier::BOLD);
    let dark = Theme::new(Colour::Ansi16);
    assert_ne!(dark.environment("production"), dark.environment("staging"));
}

#[test]
fn a_theme_called_like_a_built_in_one_may_stand_on_it() {
    let own = "inherits = \"dark\"\n[state]\ngood = \"blue\"\n";
    let theme = Theme::read("dark", &files(&[("dark", own)])).expect("a theme").at(Colour::Ansi16);
    assert_eq!(theme.style(Role::Good).fg, Some(Color::Blue));
    assert_eq!(theme.style(Role::Bad).fg, Some(Color::Red));
}

#[test]
fn a_theme_with_a_bad_colour_says_where_and_what_to_write() {
    let found = mistakes(
        "inherits = \"dark\"\n[state]\ngood = \"gren\"\nbad = {fg = \"#12\"}\nwarn = 300\ngate = {ansi = \"#ffffff\", fg = \"red\"}\n",
    );
    assert_eq!(found.len(), 4, "{found:?}");
    let has = |line: &str, word: &str| assert!(found.iter().any(|m| m.starts_with(line) && m.contains(word)), "{line} {word}: {found:#?}");
    has("themes/own.toml:3:", "“gren”");
    has("themes/own.toml:4:", "#rrggbb");
    has("themes/own.toml:5:", "255");
    has("themes/own.toml:6:", "ansi");
}

#[test]
fn a_theme_with_an_unknown_scope_says_which_there_are() {
    let found = mistakes("[state]\ngod = \"green\"\n[stat]\ngood = \"green\"\n[env.a.b]\nfg = \"red\"\n");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("themes/own.toml:2: state.god ") && found[0].contains("state.good"), "{found:?}");
    assert!(found[1].starts_with("themes/own.toml:3: stat "), "{found:?}");
}

#[test]
fn a_theme_with_an_unknown_key_says_so() {
    let found = mistakes("inherits = 7\n[text]\nbolt = true\nbold = \"yes\"\n[palette]\na = {rgb = \"#000000\", hsl = 1}\nb = {}\n");
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found.iter().any(|m| m.contains(":3:") && m.contains("text.bolt")), "{found:?}");
    assert!(found.iter().any(|m| m.contains(":4:") && m.contains("true or false")), "{found:?}");
    assert!(found.iter().any(|m| m.contains(":6:") && m.contains("hsl")), "{found:?}");
    assert!(found.iter().any(|m| m.contains(":7:") && m.contains("needs rgb")), "{found:?}");
}

#[test]
fn a_theme_that_is_no_toml_says_on_which_line() {
    let found = mistakes("inherits = \"dark\"\n[state\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("themes/own.toml:2: is not TOML"), "{found:?}");
}

#[test]
fn themes_that_inherit_in_a_circle_are_refused() {
    let circle = files(&[("a", "inherits = \"b\"\n"), ("b", "\ninherits = \"c\"\n"), ("c", "inherits = \"a\"\n[state]\ngod = 1\n")]);
    let found = mistakes_of("a", &circle);
    assert!(found.iter().any(|m| m.starts_with("themes/c.toml:1:") && m.contains("a → b → c → a")), "{found:?}");
    assert!(found.iter().any(|m| m.contains("state.god")), "the other mistakes are told as well: {found:?}");
    assert!(mistakes_of("own", &files(&[("own", "inherits = \"own\"\n")]))[0].contains("circle"));
    let long: Vec<(String, String)> = (0..40).map(|at| (format!("t{at}"), format!("inherits = \"t{}\"\n", at + 1))).collect();
    let long: Vec<(&str, &str)> = long.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(mistakes_of("t0", &files(&long))[0].contains("more than 8 files"));
}

#[test]
fn a_theme_of_a_megabyte_is_not_read() {
    let text = format!("inherits = \"dark\"\n#{}\n", "x".repeat(1 << 20));
    assert!(mistakes(&text)[0].contains("longer than 64 KiB"));
}

#[test]
fn a_theme_that_is_not_utf_8_says_on_which_line() {
    let files = Files::from([("own".to_string(), Ok(b"inherits = \"dark\"\n# gr\xfcn\n".to_vec()))]);
    assert_eq!(mistakes_of("own", &files), ["themes/own.toml:2: is not UTF-8: save it as UTF-8"]);
}

#[test]
fn a_theme_that_is_missing_names_those_that_are_there() {
    let found = mistakes_of("sunset", &files(&[("own", "")]));
    assert_eq!(found, ["themes/sunset.toml: there is no such theme; there are dark, light, high-contrast, colour-blind, mono, own"]);
    let found = mistakes("inherits = \"sunset\"\n");
    assert!(found[0].contains(":1:") && found[0].contains("sunset"), "{found:?}");
    let unreadable = Files::from([("own".to_string(), Err("permission denied".to_string()))]);
    assert!(mistakes_of("own", &unreadable)[0].contains("permission denied"));
}

#[test]
fn what_a_theme_says_cannot_move_the_cursor() {
    let found = mistakes("\"\\u001b[2J\" = \"red\"\ntext = \"\\u001b]0;x\\u0007\"\n");
    assert!(found.len() == 2 && found.iter().all(|m| !m.contains('\u{1b}') && !m.contains('\u{7}')), "{found:?}");
}

#[test]
fn any_bytes_end_in_a_theme_or_in_mistakes() {
    for seed in 0..400_u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let base = super::built_in(NAMES[usize::try_from(seed).unwrap_or(0) % NAMES.len()]).unwrap_or_default();
        let mut bytes = base.as_bytes().to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..3) {
                0 => bytes[at] = random.u8(..),
                1 => drop(bytes.drain(at..(at + random.usize(1..9)).min(bytes.len()))),
                _ => bytes.insert(at, *random.choice(b"[]{}=\".\n#,").unwrap_or(&b'x')),
            }
        }
        let _ = Theme::read("own", &Files::from([("own".to_string(), Ok(bytes))]));
    }
    let deep = format!("{}x = 1{}", "a = {".repeat(5_000), "}".repeat(5_000));
    assert!(!mistakes(&deep).is_empty());
}
