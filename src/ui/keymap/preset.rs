//! Key maps to start from.

use crate::ui::actions::Id;

/// A key map to start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The keys of the table of actions, which are those of k9s where it has the action.
    #[default]
    K9s,
    /// The keys of vim where it has the motion.
    Vim,
}

/// Where `vim` differs from the table of actions.
const VIM: &[(Id, &[&str])] = &[
    (Id::First, &["g g", "home"]),
    (Id::Open, &["enter", "l", "right"]),
    (Id::Close, &["q", "h", "left"]),
    (Id::Earlier, &["ctrl-o", "["]),
    (Id::Later, &["]"]),
    (Id::Outcomes, &["g o"]),
];

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

    /// The keys that it gives an action, where they are not those of the table.
    #[must_use]
    pub fn own_keys(self, id: Id) -> Option<&'static [&'static str]> {
        match self {
            Self::K9s => None,
            Self::Vim => VIM.iter().find(|(of, _)| *of == id).map(|(_, keys)| *keys),
        }
    }
}
