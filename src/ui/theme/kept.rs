//! A theme as a recording holds it: the look of every scope, whichever files it came from.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier};
use serde::{Deserialize, Serialize};

use super::Theme;
use super::file::{Look, Paint, Sheet};

/// A theme, written out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    name: String,
    scopes: BTreeMap<String, KeptLook>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptLook {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fg: Option<KeptPaint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bg: Option<KeptPaint>,
    /// The bits of [`Modifier`].
    #[serde(default, skip_serializing_if = "is_nothing")]
    modifiers: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it like this")]
const fn is_nothing(modifiers: &u16) -> bool {
    *modifiers == 0
}

/// Colours by the names that ratatui reads: `Red`, `#7CC274`, `208`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptPaint {
    colour: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ansi: Option<String>,
}

impl Kept {
    /// What is to be kept of a theme.
    #[must_use]
    pub fn of(theme: Theme) -> Self {
        let paint = |paint: Paint| KeptPaint { colour: paint.colour.to_string(), ansi: paint.ansi.map(|ansi| ansi.to_string()) };
        let look = |look: &Look| KeptLook { fg: look.fg.map(paint), bg: look.bg.map(paint), modifiers: look.modifiers.bits() };
        let scopes = theme.table.sheet.scopes.iter().map(|(scope, of)| (scope.clone(), look(of))).collect();
        Self { name: theme.name().to_string(), scopes }
    }

    /// The theme. What cannot be read of it is left to the terminal.
    #[must_use]
    pub fn theme(&self) -> Theme {
        let colour = |text: &String| text.parse::<Color>().ok();
        let paint = |kept: &KeptPaint| Some(Paint { colour: colour(&kept.colour)?, ansi: kept.ansi.as_ref().and_then(colour) });
        let look = |kept: &KeptLook| Look {
            fg: kept.fg.as_ref().and_then(paint),
            bg: kept.bg.as_ref().and_then(paint),
            modifiers: Modifier::from_bits_truncate(kept.modifiers),
        };
        let scopes = self.scopes.iter().map(|(scope, kept)| (scope.clone(), look(kept))).collect();
        Theme::of(&self.name, &Sheet { background: None, scopes })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Colour, Files, NAMES, Role};
    use super::*;

    #[test]
    fn every_theme_comes_back_as_it_was() {
        let own = "inherits = \"dark\"\n[state]\ngood = 208\nbad = {fg = \"bright-black\", bg = \"default\", ansi-bg = \"red\", italic = true}\n[env]\n\"lab\" = \"white\"\n[screen]\nbg = \"#101010\"\n";
        let files = Files::from([("own".to_string(), Ok(own.as_bytes().to_vec()))]);
        for name in NAMES.into_iter().chain(["own"]) {
            let theme = Theme::read(name, &files).expect(name);
            let text = serde_json::to_string(&Kept::of(theme)).expect("JSON");
            let back = serde_json::from_str::<Kept>(&text).expect(&text).theme();
            assert_eq!(back.name(), name);
            for colour in Colour::ALL {
                let (theme, back) = (theme.at(colour), back.at(colour));
                for role in Role::ALL {
                    assert_eq!(theme.style(role), back.style(role), "{role:?} of {name} at {colour:?}");
                }
                assert_eq!(theme.environment("lab"), back.environment("lab"), "{name}");
                assert_eq!(theme.ground(), back.ground(), "{name}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_terminal() {
        let text = r##"{"name":"x","scopes":{"text":{"fg":{"colour":"mauve"},"bg":{"colour":"#zz"},"modifiers":65535},"odd":{}}}"##;
        let theme = serde_json::from_str::<Kept>(text).expect("JSON").theme();
        assert_eq!((theme.style(Role::Text).fg, theme.style(Role::Text).bg), (None, None));
        assert!(theme.style(Role::Text).add_modifier.contains(Modifier::BOLD));
    }
}
