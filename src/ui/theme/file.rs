//! Theme files: scopes and their looks as TOML, read with every mistake at once.
//!
//! ```toml
//! inherits = "dark"                 # everything that is not said here
//! background = "#1e2127"            # what it is made for; not painted
//! [palette]
//! leaf = {rgb = "#7cc274", ansi = "green"}
//! [state]
//! good = "leaf"                     # the same as {fg = "leaf"}
//! bad = {fg = "#f0605c", bold = true}
//! ```
//!
//! A file may be somebody's first try: whatever it says, reading it ends, and what is wrong has a line.

use std::collections::BTreeMap;
use std::fmt;

use ratatui::style::{Color, Modifier};
use toml_edit::{Document, Item, TableLike, Value};

use super::Role;
use super::colour::{self, Rgb};
use crate::domain::text::clean;

/// Theme files of the user by their names: their bytes, or why they cannot be read.
pub type Files = BTreeMap<String, Result<Vec<u8>, String>>;

/// Bytes of the longest theme file that is read.
pub const LONGEST: usize = 64 * 1024;

/// Files of a row of `inherits`.
const DEEPEST: usize = 8;

/// What is wrong with a theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Name of the theme, which is that of its file.
    pub theme: String,
    /// Line, from 1; none where it is about the file as a whole.
    pub line: Option<usize>,
    /// What is wrong, and the way out.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "themes/{}.toml:{line}: {}", self.theme, self.what),
            None => write!(f, "themes/{}.toml: {}", self.theme, self.what),
        }
    }
}

/// A colour, with what stands for it where there are sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    /// The colour: one of sixteen, of 256, or of 24 bit.
    pub colour: Color,
    /// Chosen by the theme; else the nearest.
    pub ansi: Option<Color>,
}

/// A look at every depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colour of the text.
    pub fg: Option<Paint>,
    /// Colour of the ground.
    pub bg: Option<Paint>,
    /// Bold, dim, italic, underline, reverse.
    pub modifiers: Modifier,
}

/// A theme as its file and those that it inherits from say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// The ground that it is made for.
    pub background: Option<Rgb>,
    /// Looks by scope.
    pub scopes: BTreeMap<String, Look>,
}

impl Sheet {
    /// The look of a scope: its own, else that of the longest prefix that has one, else that of `text`.
    #[must_use]
    pub fn look(&self, scope: &str) -> Look {
        let mut scope = scope;
        loop {
            if let Some(look) = self.scopes.get(scope) {
                return *look;
            }
            match scope.rsplit_once('.') {
                Some((prefix, _)) => scope = prefix,
                None => return self.scopes.get("text").copied().unwrap_or_default(),
            }
        }
    }
}

/// Where something stands.
#[derive(Clone, Debug)]
struct Place {
    theme: String,
    line: Option<usize>,
}

/// A colour as written; palettes of files below may still change what it means.
#[derive(Clone, Debug)]
struct Written {
    place: Place,
    colour: Text,
    ansi: Option<Text>,
}

#[derive(Clone, Debug)]
enum Text {
    Name(String),
    Number(u8),
}

#[derive(Clone, Debug, Default)]
struct WrittenLook {
    fg: Option<Written>,
    bg: Option<Written>,
    modifiers: Modifier,
}

/// Everything that a file and those above it say.
#[derive(Default)]
struct Raw {
    background: Option<Written>,
    palette: BTreeMap<String, Written>,
    scopes: BTreeMap<String, WrittenLook>,
}

/// Reads the theme `name`: the user's file of that name, else the built-in one.
///
/// # Errors
/// Every mistake in it and in what it inherits from.
pub fn read(name: &str, files: &Files) -> Result<Sheet, Vec<Mistake>> {
    let mut reader = Reader { files, mistakes: Vec::new() };
    let raw = reader.raw(name, false, &mut Vec::new());
    let sheet = reader.resolve(&raw);
    reader.mistakes.sort_by(|one, other| (&one.theme, one.line).cmp(&(&other.theme, other.line)));
    if reader.mistakes.is_empty() { Ok(sheet) } else { Err(reader.mistakes) }
}

struct Reader<'a> {
    files: &'a Files,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, place: &Place, what: impl Into<String>) {
        let found = Mistake { theme: clean(&place.theme), line: place.line, what: clean(&what.into()) };
        if !self.mistakes.contains(&found) {
            self.mistakes.push(found);
        }
    }

    /// The text of a theme: the user's, unless only a built-in one is meant.
    fn text(&mut self, name: &str, built_in: bool) -> Option<String> {
        let place = Place { theme: name.to_string(), line: None };
        let own = if built_in { None } else { self.files.get(name) };
        let Some(own) = own else {
            let text = super::built_in(name);
            if text.is_none() {
                let known: Vec<&str> = super::NAMES.iter().copied().chain(self.files.keys().map(String::as_str)).collect();
                self.mistake(&place, format!("there is no such theme; there are {}", known.join(", ")));
            }
            return text.map(str::to_string);
        };
        match own {
            Err(cause) => {
                let cause = cause.clone();
                self.mistake(&place, format!("cannot be read: {cause}"));
                None
            }
            Ok(bytes) if bytes.len() > LONGEST => {
                self.mistake(&place, format!("is longer than {} KiB, which no theme needs", LONGEST / 1024));
                None
            }
            Ok(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Some(text.to_string()),
                Err(error) => {
                    let line = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).matches('\n').count() + 1;
                    self.mistake(&Place { line: Some(line), ..place }, "is not UTF-8: save it as UTF-8");
                    None
                }
            },
        }
    }

    /// What a theme says, on top of what it inherits.
    fn raw(&mut self, name: &str, built_in: bool, chain: &mut Vec<String>) -> Raw {
        let Some(text) = self.text(name, built_in) else { return Raw::default() };
        let document = match Document::parse(text.as_str()) {
            Ok(document) => document,
            Err(error) => {
                let line = error.span().map(|span| line_of(&text, span.start));
                self.mistake(&Place { theme: name.to_string(), line }, format!("is not TOML: {}", error.message()));
                return Raw::default();
            }
        };
        chain.push(name.to_string());
        let mut file = File { theme: name, text: &text };
        let mut raw = match document.get("inherits") {
            None => Raw::default(),
            Some(item) => {
                let place = file.place(item);
                match item.as_str() {
                    None => {
                        self.mistake(&place, "inherits: write the name of a theme in quotes");
                        Raw::default()
                    }
                    // A file that is called like a built-in theme stands on that.
                    Some(parent) if parent == name && !built_in && super::built_in(name).is_some() => self.raw(parent, true, chain),
                    Some(parent) if chain.iter().any(|above| above == parent) => {
                        self.mistake(
                            &place,
                            format!("inherits in a circle: {} → {parent}; let one of them inherit from dark", chain.join(" → ")),
                        );
                        Raw::default()
                    }
                    Some(parent) if chain.len() >= DEEPEST => {
                        self.mistake(&place, format!("inherits {parent} through more than {DEEPEST} files: inherit from a built-in theme"));
                        Raw::default()
                    }
                    Some(parent) if super::built_in(parent).is_none() && !self.files.contains_key(parent) => {
                        let known = super::NAMES.join(", ");
                        self.mistake(&place, format!("inherits from {parent}, which is no theme; the built-in ones are {known}"));
                        Raw::default()
                    }
                    Some(parent) => self.raw(parent, false, chain),
                }
            }
        };
        file.top(document.as_table(), &mut raw, self);
        raw
    }

    fn resolve(&mut self, raw: &Raw) -> Sheet {
        for written in raw.palette.values() {
            self.paint(written, None);
        }
        let background =
            raw.background.as_ref().and_then(|written| match self.paint(written, Some(&raw.palette)).map(|paint| paint.colour) {
                Some(Color::Rgb(r, g, b)) => Some((r, g, b)),
                Some(_) => {
                    self.mistake(&written.place, "background: write it as #rrggbb");
                    None
                }
                None => None,
            });
        let mut scopes = BTreeMap::new();
        for (scope, look) in &raw.scopes {
            let fg = look.fg.as_ref().and_then(|written| self.paint(written, Some(&raw.palette)));
            let bg = look.bg.as_ref().and_then(|written| self.paint(written, Some(&raw.palette)));
            scopes.insert(scope.clone(), Look { fg, bg, modifiers: look.modifiers });
        }
        Sheet { background, scopes }
    }

    /// A colour by what is written: of the palette, of the sixteen, a number, or `#rrggbb`.
    fn paint(&mut self, written: &Written, palette: Option<&BTreeMap<String, Written>>) -> Option<Paint> {
        let ansi = match &written.ansi {
            None => None,
            Some(Text::Name(name)) if colour::named(name).is_some() => colour::named(name),
            Some(text) => {
                self.mistake(&written.place, format!("ansi: {} is none of {}", text.shown(), sixteen()));
                return None;
            }
        };
        let name = match &written.colour {
            Text::Number(number) => return Some(Paint { colour: Color::Indexed(*number), ansi }),
            Text::Name(name) => name,
        };
        if let Some(entry) = palette.and_then(|palette| palette.get(name)) {
            // Mistakes of the entry were told where it stands.
            let told = self.mistakes.len();
            let paint = self.paint(entry, None);
            self.mistakes.truncate(told);
            return paint.map(|paint| Paint { ansi: ansi.or(paint.ansi), ..paint });
        }
        let colour = colour::named(name).or_else(|| colour::hex(name).map(|(r, g, b)| Color::Rgb(r, g, b)));
        if colour.is_none() {
            let or = if palette.is_some() { "a name of the palette, " } else { "" };
            self.mistake(&written.place, format!("“{name}” is no colour: write #rrggbb, a number up to 255, {or}or one of {}", sixteen()));
        }
        colour.map(|colour| Paint { colour, ansi })
    }
}

impl Text {
    fn shown(&self) -> String {
        match self {
            Self::Name(name) => format!("“{name}”"),
            Self::Number(number) => number.to_string(),
        }
    }
}

fn sixteen() -> String {
    let names: Vec<&str> = std::iter::once("default").chain(colour::SIXTEEN.map(|(name, ..)| name)).collect();
    names.join(", ")
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
}

/// Keys of a look that are on or off.
const SWITCHES: [(&str, Modifier); 5] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underline", Modifier::UNDERLINED),
    ("reverse", Modifier::REVERSED),
];

/// Keys of a look that are colours.
const COLOURS: [&str; 4] = ["fg", "bg", "ansi", "ansi-bg"];

/// One file while it is read.
struct File<'a> {
    theme: &'a str,
    text: &'a str,
}

impl File<'_> {
    fn place(&self, item: &Item) -> Place {
        Place { theme: self.theme.to_string(), line: item.span().map(|span| line_of(self.text, span.start)) }
    }

    /// Where a key stands; its value may begin lines below.
    fn place_of(&self, table: &dyn TableLike, key: &str) -> Place {
        let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| table.get(key).and_then(Item::span));
        Place { theme: self.theme.to_string(), line: span.map(|span| line_of(self.text, span.start)) }
    }

    fn top(&mut self, table: &dyn TableLike, raw: &mut Raw, reader: &mut Reader<'_>) {
        for (key, item) in table.iter() {
            match key {
                "inherits" => {}
                "background" => {
                    if let Some(colour) = self.text_of(table, key, item, reader) {
                        raw.background = Some(Written { place: self.place(item), colour, ansi: None });
                    }
                }
                "palette" => self.palette(item, raw, reader),
                _ => self.scope(key, table, key, item, raw, reader),
            }
        }
    }

    fn palette(&mut self, item: &Item, raw: &mut Raw, reader: &mut Reader<'_>) {
        let Some(table) = item.as_table_like() else {
            reader.mistake(&self.place(item), "palette: write it as a table of names and colours");
            return;
        };
        for (name, item) in table.iter() {
            let place = self.place_of(table, name);
            let Some(entry) = item.as_table_like() else {
                if let Some(colour) = self.text_of(table, name, item, reader) {
                    raw.palette.insert(name.to_string(), Written { place, colour, ansi: None });
                }
                continue;
            };
            for (key, _) in entry.iter().filter(|(key, _)| !matches!(*key, "rgb" | "ansi")) {
                reader.mistake(&self.place_of(entry, key), format!("palette.{name}: {key} is none of rgb and ansi"));
            }
            let part = |key: &str, reader: &mut Reader<'_>| entry.get(key).and_then(|item| self.text_of(entry, key, item, reader));
            let ansi = part("ansi", reader);
            match part("rgb", reader) {
                Some(colour) => {
                    raw.palette.insert(name.to_string(), Written { place, colour, ansi });
                }
                None if entry.get("rgb").is_none() => reader.mistake(&place, format!("palette.{name}: needs rgb = \"#rrggbb\"")),
                None => {}
            }
        }
    }

    /// A scope, and those below it.
    fn scope(&mut self, scope: &str, parent: &dyn TableLike, key: &str, item: &Item, raw: &mut Raw, reader: &mut Reader<'_>) {
        let place = self.place_of(parent, key);
        if !is_scope(scope) {
            let what = if scope.contains('.') { "is no scope and no key of a look" } else { "is no scope" };
            reader.mistake(&place, format!("{scope} {what}; scopes are {}", scopes()));
            return;
        }
        let Some(table) = item.as_table_like() else {
            if let Some(colour) = self.text_of(parent, key, item, reader) {
                let fg = Some(Written { place, colour, ansi: None });
                raw.scopes.insert(scope.to_string(), WrittenLook { fg, ..WrittenLook::default() });
            }
            return;
        };
        let mut look = WrittenLook::default();
        let mut own = table.is_empty();
        let colour = |key: &str, reader: &mut Reader<'_>| table.get(key).and_then(|item| self.text_of(table, key, item, reader));
        let mut colours = COLOURS.map(|key| (colour(key, reader), self.place_of(table, key)));
        let mut written = |at: usize, ansi: usize| {
            let ansi = colours[ansi].0.take();
            let (colour, place) = &mut colours[at];
            match colour.take() {
                Some(colour) => Some(Written { place: place.clone(), colour, ansi }),
                None => ansi.map(|ansi| Written { place: place.clone(), colour: ansi, ansi: None }),
            }
        };
        (look.fg, look.bg) = (written(0, 2), written(1, 3));
        for (key, item) in table.iter() {
            if COLOURS.contains(&key) {
                own = true;
            } else if let Some((_, modifier)) = SWITCHES.iter().find(|(name, _)| *name == key) {
                own = true;
                match item.as_bool() {
                    Some(on) => look.modifiers.set(*modifier, on),
                    None => reader.mistake(&self.place_of(table, key), format!("{scope}.{key}: write true or false")),
                }
            } else {
                self.scope(&format!("{scope}.{key}"), table, key, item, raw, reader);
            }
        }
        if own {
            raw.scopes.insert(scope.to_string(), look);
        }
    }

    /// A colour as written: a string or a number.
    fn text_of(&self, table: &dyn TableLike, key: &str, item: &Item, reader: &mut Reader<'_>) -> Option<Text> {
        let text = match item.as_value() {
            Some(Value::String(text)) => Some(Text::Name(text.value().clone())),
            Some(Value::Integer(number)) => u8::try_from(*number.value()).ok().map(Text::Number),
            _ => None,
        };
        if text.is_none() {
            reader.mistake(&self.place_of(table, key), format!("{key}: write a colour: #rrggbb in quotes, a name, or a number up to 255"));
        }
        text
    }
}

/// Whether a look may be given to it: a role's scope, a prefix of one, or any environment.
fn is_scope(scope: &str) -> bool {
    let environment = scope.strip_prefix("env.").is_some_and(|name| !name.is_empty() && !name.contains('.'));
    let below = |role: &Role| role.scope() == scope || role.scope().strip_prefix(scope).is_some_and(|rest| rest.starts_with('.'));
    environment || scope == super::SCREEN || Role::ALL.iter().any(below)
}

fn scopes() -> String {
    let mut names: Vec<&str> = Role::ALL.iter().map(|role| role.scope()).collect();
    names.push(super::SCREEN);
    names.sort_unstable();
    names.join(", ")
}
