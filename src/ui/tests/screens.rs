//! Every screen at the sizes that matter, in every kind of terminal: text and looks.
//!
//! `INSTA_UPDATE=always cargo test --lib ui::tests::screens` writes the pictures anew; read them before
//! they are committed. A picture has the text in Unicode, the lines that differ in ASCII, and for each
//! depth of colour a map of looks: the same letter is the same look, and the legend says which.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Style};

use super::explained;
use super::harness::{Harness, crowd};
use crate::ui::address::Address;
use crate::ui::view::text;
use crate::ui::{Colour, Options};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 60)];
const DEPTHS: [(&str, Colour); 3] = [("true colour", Colour::True), ("16 colours", Colour::Ansi16), ("no colour", Colour::None)];

/// What a console is told before its picture is taken.
type Scene = fn(&mut Harness);

/// The test fleet, and nothing else.
fn calm(_: &mut Harness) {}

fn sixty(harness: &mut Harness) {
    harness.show(crowd());
}

/// A console on `address` that looks at a scene, as deep in colour as said.
fn buffer(address: &str, (width, height): (u16, u16), colour: Colour, ascii: bool, scene: Scene) -> Buffer {
    let mut harness = Harness::with(Options { ascii, colour, ..Options::default() }, width, height);
    scene(&mut harness);
    harness.visit(Address::parse(address).expect(address));
    harness.terminal().backend().buffer().clone()
}

fn describe(style: Style) -> String {
    let colour = |colour: Option<Color>| colour.filter(|colour| *colour != Color::Reset).map(|colour| colour.to_string());
    let mut out = colour(style.fg).unwrap_or_else(|| "plain".into());
    if let Some(ground) = colour(style.bg) {
        let _ = write!(out, " on {ground}");
    }
    if !style.add_modifier.is_empty() {
        let _ = write!(out, " {:?}", style.add_modifier);
    }
    out
}

/// Letters for looks: one line for each row, the plain look being a dot.
fn looks(buffer: &Buffer) -> String {
    let mut letters: BTreeMap<String, char> = BTreeMap::new();
    let mut all = ('a'..='z').chain('A'..='Z');
    let mut map = String::new();
    for row in buffer.content.chunks(usize::from(buffer.area.width)) {
        let mut line = String::new();
        for cell in row {
            let look = describe(cell.style());
            line.push(if look == "plain" { '.' } else { *letters.entry(look).or_insert_with(|| all.next().expect("few looks")) });
        }
        map.push_str(line.trim_end_matches('.'));
        map.push('\n');
    }
    for (look, letter) in letters {
        let _ = writeln!(map, "{letter} = {look}");
    }
    map
}

fn picture(address: &str, size: (u16, u16), scene: Scene) -> String {
    let plain = text(&buffer(address, size, Colour::True, false, scene));
    let ascii = text(&buffer(address, size, Colour::True, true, scene));
    let mut out = plain.clone();
    out.push_str("── ascii, where it differs\n");
    for (line, other) in plain.lines().zip(ascii.lines()).filter(|(line, other)| line != other) {
        assert!(other.is_ascii(), "not ASCII: {other}");
        assert_eq!(super::super::widgets::text::width(line), other.len(), "the same columns");
        out.push_str(other);
        out.push('\n');
    }
    for (name, colour) in DEPTHS {
        let drawn = buffer(address, size, colour, false, scene);
        assert_eq!(text(&drawn), plain, "{name} changes looks, never text");
        let _ = write!(out, "── looks in {name}\n{}", looks(&drawn));
    }
    out
}

fn check(name: &str, address: &str, scene: Scene) {
    for size in SIZES {
        let name = format!("{name}-{}x{}", size.0, size.1);
        insta::assert_snapshot!(name, picture(address, size, scene));
    }
}

#[test]
fn fleet() {
    check("fleet", "fleet", calm);
}

#[test]
fn fleet_of_sixty() {
    check("fleet-of-sixty", "fleet", sixty);
}

#[test]
fn provider() {
    check("provider", "provider/eks", calm);
}

#[test]
fn canary() {
    check("canary", "canary/gke/app/frontend", calm);
}

#[test]
fn canary_at_a_gate() {
    check("canary-at-a-gate", "canary/eks/app/ledger", calm);
}

#[test]
fn why() {
    check("why", "why/eks/app/search", calm);
}

#[test]
fn why_with_reasons() {
    check("why-with-reasons", "why/eks/app/search", explained::search);
}

#[test]
fn versions() {
    check("versions", "versions", calm);
}

#[test]
fn versions_of_sixty() {
    check("versions-of-sixty", "versions", sixty);
}

#[test]
fn gates() {
    check("gates", "gates", calm);
}

#[test]
fn events() {
    check("events", "events", calm);
}

#[test]
fn log() {
    check("log", "log", calm);
}

#[test]
fn help() {
    check("help", "help", calm);
}
