//! Key maps to start from.

use crate::ui::actions::{Action, Id};

/// A key map to start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The keys of the table of actions, which are those of k9s where it has the action.
    #[default]
    K9s,
    /// The keys of vim where it has the motion.
    Vim,
}

/// Where `vim` has other keys than the table of actions.
const VIM_INSTEAD: &[(Id, &[&str])] = &[(Id::First, &["g g", "home"]), (Id::Outcomes, &["g o"])];

/// Where `vim` has more keys than the table of actions.
const VIM_ALSO: &[(Id, &[&str])] = &[(Id::Open, &["l"]), (Id::Close, &["h"]), (Id::Earlier, &["ctrl-o"])];

impl Preset {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::K9s, Self::Vim];

    /// Its name in the settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::K9s => "k9s",
            Self::Vim => "vim",
        }
    }

    /// The preset of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// The sequences that it gives an action.
    #[must_use]
    pub fn keys(self, action: &Action) -> Vec<&'static str> {
        let of = |table: &[(Id, &'static [&'static str])]| table.iter().find(|(id, _)| *id == action.id).map(|(_, keys)| *keys);
        let (instead, also) = match self {
            Self::K9s => (None, None),
            Self::Vim => (of(VIM_INSTEAD), of(VIM_ALSO)),
        };
        instead.unwrap_or(action.keys).iter().chain(also.unwrap_or_default()).copied().collect()
    }
}
