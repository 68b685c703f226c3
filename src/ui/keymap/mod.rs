//! Keys as the console understands them, and which action a sequence of them means.
//!
//! Here lives what turns key presses into actions: names of keys, presets, what a user binds and unbinds, and the
//! mistakes in that. Never here: what an action does, or files. Read this page first, then `key.rs`.

mod key;
mod preset;

use std::fmt;

pub use self::key::{Key, parse_sequence, read_sequence, show_sequence};
pub use self::preset::Preset;
use super::actions::{ACTIONS, Action, Id, SCREENS, Screen, action};

/// What a sequence of keys means on a screen.
#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    /// Exactly this action.
    Action(&'static Action),
    /// The beginning of longer ones.
    Prefix,
    /// Nothing.
    Nothing,
}

/// What a user wants of the keys, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where to start from.
    pub preset: Preset,
    /// Words of actions, each with all the sequences it is to have.
    pub bind: Vec<(String, Vec<String>)>,
    /// Sequences that are to mean nothing.
    pub unbind: Vec<String>,
}

/// A mistake in what a user wants of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands: `bind.promote`, `unbind`.
    pub place: String,
    /// What is wrong, and the way out.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Sequences of keys and the actions they mean.
#[derive(Clone, Debug)]
pub struct Keymap {
    /// In the order of the table of actions; the first sequence of each is shown.
    bound: Vec<(&'static Action, Vec<Vec<Key>>)>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::preset(Preset::default())
    }
}

impl Keymap {
    /// The keys of a preset.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        let keys = |action: &'static Action| (action, preset.keys(action).into_iter().filter_map(parse_sequence).collect());
        Self { bound: ACTIONS.iter().map(keys).collect() }
    }

    /// The keys that a user wants: the preset's, less `unbind`, with those of `bind` in place of the preset's.
    ///
    /// # Errors
    /// Every mistake: unknown actions and keys, two actions on one key, a quit without keys.
    pub fn build(wanted: &Wanted) -> Result<Self, Vec<Mistake>> {
        let mut keymap = Self::preset(wanted.preset);
        let mut mistakes = Vec::new();
        let mut mistake = |place: String, what: String| mistakes.push(Mistake { place, what });
        for text in &wanted.unbind {
            match read_sequence(text) {
                Err(what) => mistake("unbind".into(), what),
                Ok(keys) if keeps_interrupt(&keys) => mistake("unbind".into(), INTERRUPT.into()),
                Ok(keys) if !keymap.unbind(&keys) => {
                    mistake("unbind".into(), format!("`{text}` means nothing in preset {}: take it out", wanted.preset.name()));
                }
                Ok(_) => {}
            }
        }
        for (word, texts) in &wanted.bind {
            let place = format!("bind.{word}");
            let mut sequences = Vec::new();
            for text in texts {
                match read_sequence(text) {
                    Err(what) => mistake(place.clone(), what),
                    Ok(keys) if keeps_interrupt(&keys) => mistake(place.clone(), INTERRUPT.into()),
                    Ok(keys) => sequences.push(keys),
                }
            }
            match keymap.bound.iter_mut().find(|(action, _)| action.word == word) {
                None => mistake(place, format!("there is no such action; `pilothouse config keys` lists them{}", nearest(word))),
                Some((action, _)) if action.id == Id::Interrupt => mistake(place, INTERRUPT.into()),
                Some((_, keys)) => *keys = sequences,
            }
        }
        if keymap.bound.iter().any(|(action, keys)| action.id == Id::Quit && keys.is_empty()) {
            mistake("bind.quit".into(), "quit needs a key: the way out is always there".into());
        }
        mistakes.extend(keymap.conflicts());
        if mistakes.is_empty() { Ok(keymap) } else { Err(mistakes) }
    }

    /// Takes a sequence from every action that has it; whether any had.
    fn unbind(&mut self, keys: &[Key]) -> bool {
        let mut found = false;
        for (_, sequences) in &mut self.bound {
            let before = sequences.len();
            sequences.retain(|sequence| sequence != keys);
            found |= sequences.len() < before;
        }
        found
    }

    /// Pairs of actions of one screen of which a sequence of one is a sequence of the other, or its beginning.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Mistake> {
        let mut out: Vec<Mistake> = Vec::new();
        for screen in SCREENS {
            let all: Vec<(&Action, &Vec<Key>)> =
                self.on(screen).flat_map(|(action, sequences)| sequences.iter().map(move |keys| (*action, keys))).collect();
            for (at, (action, keys)) in all.iter().enumerate() {
                for (other, others) in &all[at + 1..] {
                    let ((short, begins), (long, whole)) =
                        if keys.len() <= others.len() { ((action, keys), (other, others)) } else { ((other, others), (action, keys)) };
                    if !whole.starts_with(begins) {
                        continue;
                    }
                    let (name, short_word, long_word) = (show_sequence(begins), short.word, long.word);
                    let also =
                        if whole.len() == begins.len() { "also".into() } else { format!("the beginning of `{}`,", show_sequence(whole)) };
                    let what = format!("`{name}` is {short_word} and {also} {long_word} on one screen: bind one of them elsewhere");
                    let place = format!("bind.{long_word}");
                    if !out.iter().any(|mistake| mistake.what == what) {
                        out.push(Mistake { place, what });
                    }
                }
            }
        }
        out
    }

    fn on(&self, screen: Screen) -> impl Iterator<Item = &(&'static Action, Vec<Vec<Key>>)> {
        self.bound.iter().filter(move |(action, _)| action.screens.contains(&screen))
    }

    /// What the keys pressed so far mean on a screen.
    #[must_use]
    pub fn meaning(&self, screen: Screen, pressed: &[Key]) -> Meaning {
        let mut prefix = false;
        for (action, sequences) in self.on(screen) {
            for keys in sequences {
                if keys == pressed {
                    return Meaning::Action(action);
                }
                prefix |= keys.starts_with(pressed);
            }
        }
        if prefix { Meaning::Prefix } else { Meaning::Nothing }
    }

    /// The actions that a prefix leads to, each with the keys that are left to press.
    #[must_use]
    pub fn continuations(&self, screen: Screen, pressed: &[Key]) -> Vec<(String, &'static Action)> {
        let mut out = Vec::new();
        for (action, sequences) in self.on(screen) {
            for keys in sequences {
                if keys.len() > pressed.len() && keys.starts_with(pressed) {
                    out.push((show_sequence(&keys[pressed.len()..]), *action));
                }
            }
        }
        out
    }

    /// The sequences of an action, as people read them; the first one is to be shown where one is enough.
    #[must_use]
    pub fn keys_of(&self, id: Id) -> Vec<String> {
        let keys = self.bound.iter().find(|(action, _)| action.id == id).map(|(_, keys)| keys);
        keys.into_iter().flatten().map(|keys| show_sequence(keys)).collect()
    }

    /// What to press for an action, control written short; its word at the prompt where it has no key.
    #[must_use]
    pub fn short(&self, id: Id) -> String {
        match self.keys_of(id).first() {
            Some(keys) => keys.replace("ctrl-", "^"),
            None => action(id).map_or_else(String::new, |action| format!(":{}", action.word)),
        }
    }

    /// Every action with its sequences, in the order of the table.
    pub fn table(&self) -> impl Iterator<Item = (&'static Action, Vec<String>)> {
        self.bound.iter().map(|(action, keys)| (*action, keys.iter().map(|keys| show_sequence(keys)).collect()))
    }
}

const INTERRUPT: &str = "ctrl-c twice is the way out of everything, and is neither bound nor unbound";

/// Whether a sequence has the key in it that is heard before every key map.
fn keeps_interrupt(keys: &[Key]) -> bool {
    keys.iter().any(|key| key.is_ctrl('c'))
}

/// The action whose word begins like `word`, as a hint.
fn nearest(word: &str) -> String {
    let like = |action: &&Action| action.word.chars().next() == word.chars().next();
    let words: Vec<&str> = ACTIONS.iter().filter(like).map(|action| action.word).collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(bind: &[(&str, &[&str])], unbind: &[&str]) -> Wanted {
        let strings = |keys: &[&str]| keys.iter().map(|key| (*key).to_string()).collect();
        Wanted {
            preset: Preset::K9s,
            bind: bind.iter().map(|(word, keys)| ((*word).to_string(), strings(keys))).collect(),
            unbind: strings(unbind),
        }
    }

    fn mistakes(bind: &[(&str, &[&str])], unbind: &[&str]) -> Vec<String> {
        Keymap::build(&wanted(bind, unbind)).expect_err("mistakes").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_two_actions_of_a_screen_share_a_key_or_a_prefix() {
        for preset in Preset::ALL {
            let conflicts: Vec<String> = Keymap::preset(preset).conflicts().iter().map(ToString::to_string).collect();
            assert_eq!(conflicts, Vec::<String>::new(), "preset {}", preset.name());
        }
    }

    #[test]
    fn every_key_of_every_action_dispatches_it() {
        for preset in Preset::ALL {
            let keymap = Keymap::preset(preset);
            for (action, sequences) in keymap.table() {
                assert_eq!(sequences, preset.keys(action), "{}: {} has keys that cannot be read", preset.name(), action.word);
                for screen in action.screens {
                    for keys in &sequences {
                        let pressed = parse_sequence(keys).expect(keys);
                        for shorter in 1..pressed.len() {
                            assert!(matches!(keymap.meaning(*screen, &pressed[..shorter]), Meaning::Prefix), "{keys}");
                        }
                        let Meaning::Action(found) = keymap.meaning(*screen, &pressed) else {
                            panic!("{keys} means nothing on {screen:?}")
                        };
                        assert_eq!(found.id, action.id, "{keys}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_rebound_action_has_the_new_keys_and_no_other() {
        let keymap = Keymap::build(&wanted(&[("pause", &["P", "f5"]), ("down", &["ctrl-n"])], &["x"])).expect("a key map");
        let meaning = |keys: &str| keymap.meaning(Screen::Fleet, &parse_sequence(keys).expect(keys));
        assert!(matches!(meaning("P"), Meaning::Action(action) if action.id == Id::Pause));
        assert!(matches!(meaning("f5"), Meaning::Action(action) if action.id == Id::Pause));
        assert!(matches!(meaning("s"), Meaning::Nothing));
        assert!(matches!(meaning("j"), Meaning::Nothing));
        assert!(matches!(meaning("x"), Meaning::Nothing));
        assert_eq!(keymap.keys_of(Id::Pause), ["P", "f5"]);
        assert_eq!(keymap.keys_of(Id::Reject), Vec::<String>::new());
        assert_eq!(keymap.short(Id::Abort), "^x");
    }

    #[test]
    fn two_actions_may_change_their_keys() {
        let keymap = Keymap::build(&wanted(&[("pause", &["b"]), ("bump", &["s"])], &[])).expect("a key map");
        assert_eq!((keymap.short(Id::Pause), keymap.short(Id::Bump)), ("b".into(), "s".into()));
    }

    #[test]
    fn an_action_without_keys_is_allowed_on_purpose() {
        let keymap = Keymap::build(&wanted(&[("abort", &[])], &[])).expect("a key map");
        assert!(keymap.keys_of(Id::Abort).is_empty());
        assert_eq!(keymap.short(Id::Abort), ":abort");
    }

    #[test]
    fn one_key_for_two_actions_is_a_mistake_that_names_both() {
        let found = mistakes(&[("pause", &["b"])], &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("pause") && found[0].contains("bump") && found[0].contains("`b`"), "{found:?}");
    }

    #[test]
    fn a_key_that_begins_another_sequence_is_a_mistake_that_names_both() {
        let found = mistakes(&[("pause", &["p"])], &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("pause") && found[0].contains("promote") && found[0].contains("`p n`"), "{found:?}");
    }

    #[test]
    fn an_unknown_action_is_a_mistake_with_the_way_out() {
        let found = mistakes(&[("prompt-now", &["P"])], &[]);
        assert!(found[0].contains("bind.prompt-now") && found[0].contains("config keys") && found[0].contains("promote"), "{found:?}");
    }

    #[test]
    fn an_unknown_key_is_a_mistake_with_the_way_out() {
        let found = mistakes(&[("pause", &["hyper-p"])], &["pagedown"]);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn unbinding_what_means_nothing_is_a_mistake() {
        assert!(mistakes(&[], &["f11"])[0].contains("means nothing"));
    }

    #[test]
    fn the_way_out_cannot_be_taken_away() {
        assert!(mistakes(&[("quit", &[])], &[])[0].contains("quit needs a key"));
        assert!(mistakes(&[], &["ctrl-c"])[0].contains("ctrl-c"));
        assert!(mistakes(&[("interrupt", &["f12"])], &[])[0].contains("ctrl-c"));
        assert!(mistakes(&[("bump", &["ctrl-c"])], &[])[0].contains("ctrl-c"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let found = mistakes(&[("nothing", &["P"]), ("pause", &["ctrl-i"]), ("retry", &["b"])], &["f11", "meta-x"]);
        assert_eq!(found.len(), 5, "{found:?}");
    }
}
