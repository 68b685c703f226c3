//! What the user's settings make of the console: themes, keys, and a few switches; replaced while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::actions::{ACTIONS, Id};
use super::keymap::{Keymap, Wanted};
use super::model::Model;
use super::theme::{Background, Kept, Role, Theme};

/// How long the console stays armed after the last key, where nobody says otherwise.
pub const ARM_FOR: Duration = Duration::from_mins(15);

/// The settings as the console takes them.
#[derive(Clone, Debug)]
pub struct Looks {
    /// The theme on a dark ground, and where nobody knows.
    pub dark: Theme,
    /// The theme on a light ground.
    pub light: Theme,
    /// What keys mean.
    pub keymap: Keymap,
    /// Whether only ASCII is drawn; where nothing is said, the environment decides.
    pub ascii: Option<bool>,
    /// Whether the console takes the mouse.
    pub mouse: bool,
    /// Whether watched rows may notify.
    pub notify: bool,
    /// How long the console stays armed after the last key.
    pub arm_for: Duration,
    /// What is wrong in the files; those parts are as they were before.
    pub mistakes: Vec<String>,
}

impl Default for Looks {
    fn default() -> Self {
        let (dark, light) = (Theme::default(), Theme::light());
        Self { dark, light, keymap: Keymap::default(), ascii: None, mouse: true, notify: true, arm_for: ARM_FOR, mistakes: Vec::new() }
    }
}

impl Looks {
    /// The theme for a ground.
    #[must_use]
    pub const fn theme(&self, background: Background) -> Theme {
        match background {
            Background::Dark => self.dark,
            Background::Light => self.light,
        }
    }

    /// The mistakes as one line of news: the only one, or how many and the first; none where there are none.
    #[must_use]
    pub fn news(&self) -> Option<String> {
        match self.mistakes.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [first, rest @ ..] => {
                Some(format!("{} mistakes in your settings, which `pilothouse config check` lists; {first}", rest.len() + 1))
            }
        }
    }
}

/// What of the looks makes frames, as a recording holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worn {
    dark: Kept,
    light: Kept,
    /// The keys of every action.
    keys: BTreeMap<String, Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ascii: Option<bool>,
    /// Seconds.
    arm_for: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mistakes: Vec<String>,
}

impl Worn {
    /// That of these looks.
    #[must_use]
    pub fn of(looks: &Looks) -> Self {
        Self {
            dark: Kept::of(looks.dark),
            light: Kept::of(looks.light),
            keys: looks.keymap.table().map(|(action, keys)| (action.word.to_string(), keys)).collect(),
            ascii: looks.ascii,
            arm_for: looks.arm_for.as_secs(),
            mistakes: looks.mistakes.clone(),
        }
    }

    /// Looks of which it is that. Keys of another version may not fit; then those of the preset are taken.
    #[must_use]
    pub fn looks(&self) -> Looks {
        Looks {
            dark: self.dark.theme(),
            light: self.light.theme(),
            keymap: keymap_of(&self.keys).unwrap_or_default(),
            ascii: self.ascii,
            arm_for: Duration::from_secs(self.arm_for),
            mistakes: self.mistakes.clone(),
            ..Looks::default()
        }
    }
}

/// The key map in which actions have these keys; none where they do not fit this version. Actions that are not there
/// any more, and the one whose keys are nobody's to change, are passed over.
#[must_use]
pub fn keymap_of(keys: &BTreeMap<String, Vec<String>>) -> Option<Keymap> {
    let can_be_bound = |word: &str| ACTIONS.iter().any(|action| action.word == word && action.id != Id::Interrupt);
    let bind = keys.iter().filter(|(word, _)| can_be_bound(word)).map(|(word, keys)| (word.clone(), keys.clone())).collect();
    Keymap::build(&Wanted { bind, ..Wanted::default() }).ok()
}

/// Looks that never change.
#[must_use]
pub fn fixed(looks: Looks) -> watch::Receiver<Arc<Looks>> {
    watch::channel(Arc::new(looks)).1
}

/// Takes over what changed while the console runs.
pub fn take(model: &mut Model, looks: Arc<Looks>) {
    model.keymap = looks.keymap.clone();
    model.options.arm_for = looks.arm_for;
    // Half a sequence of the old keys means nothing among the new ones.
    model.pressed.clear();
    match looks.news() {
        Some(news) => model.say(Role::Bad, news),
        None => model.say(Role::Good, "settings taken over"),
    }
    model.looks = looks;
}
