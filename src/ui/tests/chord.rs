//! The box of keys that may follow a half-typed sequence.

use std::sync::Arc;

use super::harness::Harness;
use crate::ui::keymap::{Keymap, Preset, Wanted};
use crate::ui::looks::{Looks, fixed};
use crate::ui::message::Event;
use crate::ui::{Colour, Options};

/// A console whose `p` leads to four actions.
fn many(width: u16, height: u16, options: Options) -> Harness {
    let bind = [("promote", "p n"), ("pause", "p p"), ("retry", "p r"), ("reject", "p x x"), ("why", "p w")];
    let bind = bind.map(|(word, keys)| (word.to_string(), vec![keys.to_string()])).into();
    let keymap = Keymap::build(&Wanted { bind, ..Wanted::default() }).expect("a key map");
    let mut harness = Harness::with(Options { looks: fixed(Looks { keymap, ..Looks::default() }), ..options }, width, height);
    harness.keys("W y");
    harness.select("frontend");
    harness.keys("p");
    harness
}

#[test]
fn what_may_follow_stands_in_a_box() {
    for (width, height) in [(80, 24), (120, 36)] {
        let mut harness = Harness::armed(width, height);
        harness.select("frontend");
        harness.keys("p");
        insta::assert_snapshot!(format!("one-key-{width}x{height}"), harness.frame());
        insta::assert_snapshot!(format!("many-keys-{width}x{height}"), many(width, height, Options::default()).frame());
    }
}

#[test]
fn the_box_says_what_each_key_asks_and_why_it_would_do_nothing() {
    let mut harness = Harness::new(80, 24);
    harness.select("frontend");
    harness.keys("p");
    let line = harness.line("│ n  promote now");
    assert!(line.contains("│ n  promote now  read-only: press W to arm") && line.ends_with("asks name │"), "{line}");
    harness.keys("esc W y");
    harness.select("search");
    harness.keys("p");
    let line = harness.line("│ n  promote now");
    assert!(line.contains("cannot promote in phase Failed"), "{line}");
    let harness = many(120, 36, Options::default());
    assert!(harness.line("│ r    retry").contains("cannot retry"), "{}", harness.frame());
    assert!(harness.line("│ x x  reject").ends_with("asks name │"), "{}", harness.frame());
    let line = harness.line("│ w    why");
    assert!(line.contains("reasons with their evidence") && !line.contains("asks"), "{line}");
    let mut harness = Harness::with(Options { read_only: true, ..Options::default() }, 80, 24);
    harness.select("frontend");
    harness.keys("p");
    harness.assert_shows("started read-only: no verb can be sent");
}

#[test]
fn the_box_takes_no_key_and_goes_with_the_sequence() {
    let mut harness = many(80, 24, Options::default());
    harness.assert_shows(" p … ");
    harness.keys("esc");
    harness.assert_hides(" p … ");
    harness.keys("p ?");
    harness.assert_hides(" p … ");
    assert_eq!(harness.model.address, crate::ui::address::Address::Fleet, "a key that leads nowhere ends the sequence");
    harness.keys("p x");
    harness.assert_shows(" p x … ");
    assert_eq!(harness.frame().matches("asks").count(), 1, "what cannot follow any more is gone");
    harness.keys("x");
    harness.assert_shows("no gate is waiting");
    let mut harness = Harness::new(120, 36);
    harness.keys("p");
    harness.change(|fleet| Arc::make_mut(&mut fleet.contexts[0]).problems.push("news".into()));
    harness.assert_shows(" p … ");
}

#[test]
fn a_small_screen_has_a_line_and_a_large_prefix_has_an_end() {
    for (width, height) in [(59, 24), (80, 14)] {
        let mut harness = Harness::new(width, height);
        harness.keys("p");
        harness.assert_shows("p … n promote now");
        harness.assert_hides("╭");
    }
    let mut harness = many(60, 15, Options::default());
    for (width, height) in [(60, 15), (61, 16), (80, 24), (300, 90)] {
        harness.event(Event::Resize(width, height));
        let frame = harness.frame();
        let below = frame.lines().position(|line| line.contains('╰')).expect("a box");
        assert_eq!(below, usize::from(height) - 3, "above the line of news and the footer:\n{frame}");
    }
    let bind = (b'a'..=b'z')
        .zip(crate::ui::actions::ACTIONS)
        .map(|(letter, action)| (action.word.to_string(), vec![format!("f2 {}", char::from(letter))]));
    let keymap = Keymap::build(&Wanted { bind: bind.collect(), ..Wanted::default() }).expect("a key map");
    let mut harness = Harness::with(Options { looks: fixed(Looks { keymap, ..Looks::default() }), ..Options::default() }, 80, 24);
    harness.keys("f2");
    harness.assert_shows(" more");
    assert_eq!(harness.frame().lines().count(), 24);
}

#[test]
fn it_is_drawn_without_colours_in_ascii_and_with_the_keys_of_vim() {
    let plain = many(80, 24, Options { ascii: true, colour: Colour::None, ..Options::default() });
    assert!(plain.frame().is_ascii());
    plain.assert_shows("+ p ~ -");
    let looks = Looks { keymap: Keymap::preset(Preset::Vim), ..Looks::default() };
    let mut harness = Harness::with(Options { looks: fixed(looks), ..Options::default() }, 80, 24);
    harness.keys("g");
    harness.assert_shows("│ g  first     the first row");
    harness.assert_shows("│ o  outcomes  what became of the verbs you sent");
}
