//! Where the console can be: every screen has an address, for the prompt, the history and `--snapshot`.

use std::fmt;

use super::actions::Screen;
use crate::domain::target::Target;

/// A screen with what it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// Every provider and its canaries.
    Fleet,
    /// Which ref stands where.
    Versions,
    /// The gates that wait.
    Gates,
    /// What happened, everywhere.
    Events,
    /// What the engine wrote to its log.
    Log,
    /// The generated help.
    Help,
    /// One provider, by its context.
    Provider(String),
    /// One canary.
    Canary(Target),
    /// Why one canary stands where it stands.
    Why(Target),
}

/// The addresses that need no name, with their word and what they show.
pub const PLAIN: [(&str, Address, &str); 6] = [
    ("fleet", Address::Fleet, "every provider by attention"),
    ("versions", Address::Versions, "which ref stands where"),
    ("gates", Address::Gates, "gates that wait for a human"),
    ("events", Address::Events, "what happened, everywhere"),
    ("log", Address::Log, "what the engine logged"),
    ("help", Address::Help, "keys and states"),
];

/// How an address is written, for messages.
pub const WRITTEN: &str =
    "fleet, versions, gates, events, log, help, provider/CONTEXT, canary/CONTEXT/NAMESPACE/NAME or why/CONTEXT/NAMESPACE/NAME";

impl Address {
    /// Reads an address as [`WRITTEN`] says.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((_, address, _)) = PLAIN.iter().find(|(word, ..)| *word == text) {
            return Some(address.clone());
        }
        let (kind, name) = text.split_once('/')?;
        match kind {
            "provider" if !name.is_empty() => Some(Self::Provider(name.into())),
            "canary" => name.parse().ok().map(Self::Canary),
            "why" => name.parse().ok().map(Self::Why),
            _ => None,
        }
    }

    /// The screen that shows it.
    #[must_use]
    pub const fn screen(&self) -> Screen {
        match self {
            Self::Fleet => Screen::Fleet,
            Self::Versions => Screen::Versions,
            Self::Gates => Screen::Gates,
            Self::Events => Screen::Events,
            Self::Log => Screen::Log,
            Self::Help => Screen::Help,
            Self::Provider(_) => Screen::Provider,
            Self::Canary(_) => Screen::Canary,
            Self::Why(_) => Screen::Why,
        }
    }

    /// The canary that it is about.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Canary(target) | Self::Why(target) => Some(target),
            _ => None,
        }
    }

    /// The context that it is about.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        match self {
            Self::Provider(context) => Some(context),
            Self::Canary(target) | Self::Why(target) => Some(&target.context),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(context) => write!(f, "provider/{context}"),
            Self::Canary(target) => write!(f, "canary/{target}"),
            Self::Why(target) => write!(f, "why/{target}"),
            plain => f.write_str(PLAIN.iter().find(|(_, address, _)| address == plain).map_or("", |(word, ..)| word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_reads_back_as_written() {
        let named = ["provider/gke", "canary/gke/app/web", "why/gke/app/web"];
        for text in PLAIN.iter().map(|(word, ..)| *word).chain(named) {
            let address = Address::parse(text).expect(text);
            assert_eq!(address.to_string(), text);
        }
        for wrong in ["", "fleets", "canary/gke", "provider/", "why", "provider"] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
        for (word, ..) in PLAIN {
            assert!(WRITTEN.contains(word), "{word}");
        }
    }
}
