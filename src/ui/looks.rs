//! What the user's settings make of the console: themes, keys, and a few switches; replaced while it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::keymap::Keymap;
use super::model::Model;
use super::theme::{Background, Role, Theme};

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
