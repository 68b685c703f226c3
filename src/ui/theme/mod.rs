//! What meanings look like: themes as data, at every depth of colour; and what is drawn where only ASCII can be.
//!
//! Here lives the one answer to “which colour”: screens say a [`Role`] and get a style. Themes are files of
//! `themes/` at the top of the repository, built in, or the user's own. Never here: what a thing means, or files.
//! Read this page first, then `file.rs` for what theme files say.

mod ascii;
mod background;
mod colour;
mod file;
mod kept;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

pub use self::ascii::{is_wanted as ascii_is_wanted, text_to_ascii, to_ascii};
pub use self::background::{Background, Heard, Listener, asks_background, background_query, hint as background_hint, parse_background};
pub use self::colour::Colour;
pub use self::file::{Files, LONGEST as LONGEST_FILE, Mistake};
use self::file::{Look, Paint, Sheet};
pub use self::kept::Kept;

/// What a piece of text means; themes give meanings a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Plain text.
    Text,
    /// Less important than what stands beside it.
    Dim,
    /// Names of columns, sections and screens.
    Title,
    /// The first line of the frame.
    Header,
    /// Keys to press.
    Key,
    /// Ready, done, inside the limit.
    Good,
    /// Broken, refused, over the limit.
    Bad,
    /// Deserves a look.
    Warn,
    /// Waits for a human.
    Gate,
    /// Held on purpose.
    Hold,
    /// Moves by itself.
    Busy,
    /// Old, dead or unknown.
    Stale,
    /// The console may write.
    Armed,
    /// The row under the cursor.
    Selected,
    /// What belongs to production.
    Production,
    /// The threshold of a chart.
    Limit,
    /// The canary's line of a chart.
    Canary,
    /// The primary's line of a chart.
    Primary,
    /// Rules and borders.
    Rule,
}

/// How many roles there are.
const ROLES: usize = 19;

impl Role {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; ROLES] = [
        Self::Text,
        Self::Dim,
        Self::Title,
        Self::Header,
        Self::Key,
        Self::Good,
        Self::Bad,
        Self::Warn,
        Self::Gate,
        Self::Hold,
        Self::Busy,
        Self::Stale,
        Self::Armed,
        Self::Selected,
        Self::Production,
        Self::Limit,
        Self::Canary,
        Self::Primary,
        Self::Rule,
    ];

    /// Its scope in theme files.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Dim => "dim",
            Self::Title => "title",
            Self::Header => "title.header",
            Self::Key => "key",
            Self::Good => "state.good",
            Self::Bad => "state.bad",
            Self::Warn => "state.warn",
            Self::Gate => "state.gate",
            Self::Hold => "state.hold",
            Self::Busy => "state.busy",
            Self::Stale => "state.stale",
            Self::Armed => "armed",
            Self::Selected => "selected",
            Self::Production => "env.production",
            Self::Limit => "chart.limit",
            Self::Canary => "chart.canary",
            Self::Primary => "chart.primary",
            Self::Rule => "rule",
        }
    }
}

/// Scope of the whole screen: what it says is painted wherever nothing else was.
const SCREEN: &str = "screen";

/// Themes that are built in.
pub const NAMES: [&str; 5] = ["dark", "light", "high-contrast", "colour-blind", "mono"];

/// The theme that is meant where none is named.
const FIRST: &str = NAMES[0];

/// The file of a built-in theme.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static str> {
    Some(match name {
        "dark" => include_str!("../../../themes/dark.toml"),
        "light" => include_str!("../../../themes/light.toml"),
        "high-contrast" => include_str!("../../../themes/high-contrast.toml"),
        "colour-blind" => include_str!("../../../themes/colour-blind.toml"),
        "mono" => include_str!("../../../themes/mono.toml"),
        _ => return None,
    })
}

/// Styles of a scope, one for each depth of [`Colour::ALL`].
type Depths = [Style; 4];

/// A theme worked out for every depth.
#[derive(Debug, PartialEq)]
struct Table {
    name: String,
    /// What it was worked out from.
    sheet: Sheet,
    roles: [Depths; ROLES],
    environments: Vec<(String, Depths)>,
    environment: Depths,
    screen: Depths,
}

impl Table {
    fn new(name: &str, sheet: &Sheet) -> Self {
        let depths = |scope: &str, faint: bool| Colour::ALL.map(|colour| style(sheet.look(scope), colour, faint));
        let environments = sheet.scopes.keys().filter_map(|scope| Some((scope.strip_prefix("env.")?.to_string(), depths(scope, false))));
        let screen = sheet.scopes.get(SCREEN).copied().unwrap_or_default();
        Self {
            name: name.to_string(),
            sheet: sheet.clone(),
            roles: Role::ALL.map(|role| depths(role.scope(), matches!(role, Role::Dim | Role::Rule | Role::Stale))),
            environments: environments.collect(),
            environment: depths("env", false),
            screen: Colour::ALL.map(|colour| style(screen, colour, false)),
        }
    }

    /// The one table of this content. Tables live as long as the process: a theme is copied into every widget, and
    /// there are only as many as somebody wrote, a few kilobytes each.
    fn kept(self) -> &'static Self {
        static KEPT: Mutex<Vec<&'static Table>> = Mutex::new(Vec::new());
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = kept.iter().find(|table| ***table == self) {
            return same;
        }
        let table: &'static Self = Box::leak(Box::new(self));
        kept.push(table);
        table
    }
}

/// A look at one depth; `faint` is what is faint also where no colour can say so.
fn style(look: Look, colour: Colour, faint: bool) -> Style {
    let style = Style::new().add_modifier(look.modifiers);
    let at = |paint: Paint| {
        let drawn = match (colour, paint.colour) {
            (Colour::None, _) => Color::Reset,
            (Colour::Ansi16, _) if let Some(ansi) = paint.ansi => ansi,
            (Colour::Ansi16, Color::Rgb(r, g, b)) => colour::nearest_16((r, g, b)),
            (Colour::Ansi16, Color::Indexed(number)) => colour::nearest_16(colour::of_index(number)),
            (Colour::Ansi256, Color::Rgb(r, g, b)) => Color::Indexed(colour::nearest_256((r, g, b))),
            (_, colour) => colour,
        };
        // The terminal's own colour is none here, so that the row of the cursor may give it one.
        (drawn != Color::Reset).then_some(drawn)
    };
    let style = match look.fg.and_then(at) {
        Some(fg) => style.fg(fg),
        None => style,
    };
    let style = match look.bg.and_then(at) {
        Some(bg) => style.bg(bg),
        None => style,
    };
    if colour == Colour::None && faint && look.modifiers.is_empty() { style.add_modifier(Modifier::DIM) } else { style }
}

/// A theme at one depth of colour.
#[derive(Clone, Copy)]
pub struct Theme {
    table: &'static Table,
    colour: Colour,
}

impl fmt::Debug for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Theme({}, {:?})", self.table.name, self.colour)
    }
}

impl Default for Theme {
    fn default() -> Self {
        Self::new(Colour::default())
    }
}

impl Theme {
    /// The built-in dark theme, for a terminal of this depth.
    #[must_use]
    pub fn new(colour: Colour) -> Self {
        static DARK: OnceLock<&'static Table> = OnceLock::new();
        let table = DARK.get_or_init(|| Table::new(FIRST, &file::read(FIRST, &Files::new()).unwrap_or_default()).kept());
        Self { table, colour }
    }

    /// The built-in light theme.
    #[must_use]
    pub fn light() -> Self {
        Self::read(NAMES[1], &Files::new()).unwrap_or_default()
    }

    /// The theme of a name: the user's file of that name, else the built-in one.
    ///
    /// # Errors
    /// Every mistake in it and in what it inherits from.
    pub fn read(name: &str, files: &Files) -> Result<Self, Vec<Mistake>> {
        let sheet = file::read(name, files)?;
        Ok(Self::of(name, &sheet))
    }

    fn of(name: &str, sheet: &Sheet) -> Self {
        Self { table: Table::new(name, sheet).kept(), colour: Colour::default() }
    }

    /// The same theme at another depth.
    #[must_use]
    pub const fn at(self, colour: Colour) -> Self {
        Self { table: self.table, colour }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.table.name
    }

    const fn depth(self) -> usize {
        self.colour as usize
    }

    /// The look of a role.
    #[must_use]
    pub const fn style(self, role: Role) -> Style {
        self.table.roles[role as usize][self.depth()]
    }

    /// The ground under the row of the cursor; `>` marks it as well.
    #[must_use]
    pub const fn ground(self) -> Style {
        let style = self.style(Role::Selected);
        // A theme without a colour for it still has to show the row.
        if style.bg.is_none() { style.add_modifier(Modifier::BOLD) } else { style }
    }

    /// The look of an environment's name, as the fleet file writes it: `env.NAME`, `env.production` for whatever
    /// begins with `prod` or `prd`, else `env`.
    #[must_use]
    pub fn environment(self, name: &str) -> Style {
        let name = name.to_lowercase();
        if let Some((_, styles)) = self.table.environments.iter().find(|(of, _)| *of == name) {
            return styles[self.depth()];
        }
        if name.starts_with("prod") || name.starts_with("prd") {
            return self.style(Role::Production);
        }
        self.table.environment[self.depth()]
    }

    /// Paints what the theme says of the screen as a whole under everything that was drawn without a colour.
    pub fn paint(self, buffer: &mut Buffer) {
        let screen = self.table.screen[self.depth()];
        let (fg, bg) = (screen.fg.unwrap_or(Color::Reset), screen.bg.unwrap_or(Color::Reset));
        if (fg, bg) == (Color::Reset, Color::Reset) {
            return;
        }
        for cell in &mut buffer.content {
            if cell.fg == Color::Reset {
                cell.fg = fg;
            }
            if cell.bg == Color::Reset {
                cell.bg = bg;
            }
        }
    }
}
