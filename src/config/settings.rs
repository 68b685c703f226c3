//! The user's settings: `settings.yaml` and `themes/*.toml` in the configuration folder, read with every mistake
//! at once and followed while the console runs.
//!
//! What has a mistake stays as it was, and the rest is taken over.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_yaml::Value;
use tokio::sync::watch;

use crate::domain::duration;
use crate::domain::text::clean;
use crate::ui::keymap::{Keymap, Preset, Wanted};
use crate::ui::looks::{ARM_FOR, Looks};
use crate::ui::theme::{self, Files, Theme};

/// Name of the file in the configuration folder.
pub const FILE: &str = "settings.yaml";
/// Name of the folder of theme files beside it.
pub const THEMES: &str = "themes";
/// Bytes of the longest settings file that is read.
const LONGEST: usize = 64 * 1024;
/// Theme files that are read.
const MOST_THEMES: usize = 200;
/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);
/// The console stays armed for at least so long, and for at most so long.
const ARMED: (Duration, Duration) = (Duration::from_secs(10), Duration::from_hours(8));

/// `settings.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Names of the themes on a dark ground and on a light one.
    pub theme: (String, String),
    /// What the keys are to be.
    pub keys: Wanted,
    /// Whether only ASCII is drawn; where nothing is said, the environment decides.
    pub ascii: Option<bool>,
    /// Whether the console takes the mouse.
    pub mouse: bool,
    /// Whether watched rows may notify.
    pub notify: bool,
    /// How long the console stays armed after the last key.
    pub arm_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let theme = (theme::NAMES[0].to_string(), theme::NAMES[1].to_string());
        Self { theme, keys: Wanted::default(), ascii: None, mouse: true, notify: true, arm_for: ARM_FOR }
    }
}

/// Keys at the top of the file.
const KEYS: [&str; 6] = ["theme", "keys", "ascii", "mouse", "notify", "armFor"];

/// Reads the text of a settings file; whatever has a mistake is as if it were not said.
///
/// The second part is the mistakes: the key, what is wrong, and the way out.
#[must_use]
pub fn parse(text: &str) -> (Settings, Vec<String>) {
    let mut reader = Reader { settings: Settings::default(), mistakes: Vec::new() };
    match serde_yaml::from_str::<Value>(text) {
        Err(error) => reader.mistake(&format!("is not YAML: {error}")),
        Ok(Value::Null) => {}
        Ok(Value::Mapping(top)) => {
            for (key, value) in &top {
                match key.as_str() {
                    Some(key) => reader.top(key, value),
                    None => reader.mistake(&format!("a key is no word; keys are {}", KEYS.join(", "))),
                }
            }
        }
        Ok(_) => reader.mistake(&format!("write keys with values; keys are {}", KEYS.join(", "))),
    }
    (reader.settings, reader.mistakes)
}

struct Reader {
    settings: Settings,
    mistakes: Vec<String>,
}

impl Reader {
    fn mistake(&mut self, what: &str) {
        self.mistakes.push(clean(what));
    }

    fn top(&mut self, key: &str, value: &Value) {
        match key {
            "theme" => self.theme(value),
            "keys" => self.keys(value),
            "ascii" => self.settings.ascii = self.switch(key, value),
            "mouse" => self.settings.mouse = self.switch(key, value).unwrap_or(true),
            "notify" => self.settings.notify = self.switch(key, value).unwrap_or(true),
            "armFor" => self.arm_for(value),
            _ => self.mistake(&format!("{key}: there is no such key; keys are {}", KEYS.join(", "))),
        }
    }

    fn switch(&mut self, key: &str, value: &Value) -> Option<bool> {
        let on = value.as_bool();
        if on.is_none() {
            self.mistake(&format!("{key}: write true or false"));
        }
        on
    }

    fn theme(&mut self, value: &Value) {
        match value {
            Value::String(name) if name == "auto" => {}
            Value::String(name) => self.settings.theme = (name.clone(), name.clone()),
            Value::Mapping(pair) => {
                for (key, value) in pair {
                    match (key.as_str(), value.as_str()) {
                        (Some("dark"), Some(name)) => self.settings.theme.0 = name.to_string(),
                        (Some("light"), Some(name)) => self.settings.theme.1 = name.to_string(),
                        (Some(key @ ("dark" | "light")), None) => self.mistake(&format!("theme.{key}: write the name of a theme")),
                        (key, _) => self.mistake(&format!("theme.{}: keys are dark and light", key.unwrap_or("?"))),
                    }
                }
            }
            _ => self.mistake("theme: write auto, the name of a theme, or {dark: NAME, light: NAME}"),
        }
    }

    fn arm_for(&mut self, value: &Value) {
        let time = value.as_str().and_then(duration::parse).filter(|time| (ARMED.0..=ARMED.1).contains(time));
        match time {
            Some(time) => self.settings.arm_for = time,
            None => self.mistake("armFor: write a time from 10s to 8h, for example 15m"),
        }
    }

    fn keys(&mut self, value: &Value) {
        let Value::Mapping(keys) = value else {
            self.mistake("keys: write preset, bind and unbind below it");
            return;
        };
        let mut wanted = Wanted::default();
        for (key, value) in keys {
            match key.as_str() {
                Some("preset") => {
                    if let Some(preset) = value.as_str().and_then(Preset::parse) {
                        wanted.preset = preset;
                    } else {
                        let names = Preset::ALL.map(Preset::name).join(", ");
                        self.mistake(&format!("keys.preset: there is no such preset; there are {names}"));
                    }
                }
                Some("bind") => match value {
                    Value::Mapping(bind) => {
                        for (action, sequences) in bind {
                            let Some(action) = action.as_str() else {
                                self.mistake("keys.bind: an action is no word; `pilothouse config keys` lists them");
                                continue;
                            };
                            let sequences = self.sequences(&format!("keys.bind.{action}"), sequences);
                            wanted.bind.push((action.to_string(), sequences));
                        }
                    }
                    _ => self.mistake("keys.bind: write actions with their keys, for example {pause: [P]}"),
                },
                Some("unbind") => wanted.unbind = self.sequences("keys.unbind", value),
                key => self.mistake(&format!("keys.{}: there is no such key; keys are preset, bind and unbind", key.unwrap_or("?"))),
            }
        }
        self.settings.keys = wanted;
    }

    /// One sequence of keys, or a list of them.
    fn sequences(&mut self, place: &str, value: &Value) -> Vec<String> {
        let one = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            // `0` to `9` need no quotes.
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let values = match value {
            Value::Sequence(values) => values.iter().map(one).collect::<Vec<_>>(),
            value => vec![one(value)],
        };
        let whole = values.len();
        let read: Vec<String> = values.into_iter().flatten().collect();
        if read.len() < whole {
            self.mistake(&format!("{place}: write a list of keys, each in quotes, for example [\"P\", \"ctrl-x\"]"));
        }
        read
    }
}

/// Reads settings and themes of a configuration folder; what has a mistake is as in `last`.
///
/// A folder or file that is not there says nothing, and that is no mistake.
#[must_use]
pub fn load(folder: &Path, last: &Looks) -> Looks {
    let read = read(folder);
    let path = folder.join(FILE).display().to_string();
    let mut mistakes: Vec<String> = read.mistakes.iter().map(|what| format!("{path}: {what}")).collect();
    let mut looks = last.clone();
    if let Some(settings) = &read.settings {
        if read.is_right("ascii") {
            looks.ascii = settings.ascii;
        }
        if read.is_right("mouse") {
            looks.mouse = settings.mouse;
        }
        if read.is_right("notify") {
            looks.notify = settings.notify;
        }
        if read.is_right("armFor") {
            looks.arm_for = settings.arm_for;
        }
        match Keymap::build(&settings.keys) {
            // Keys of a section with mistakes in its form would be half of what is meant.
            Ok(_) if !read.is_right("keys") => {}
            Ok(keymap) => looks.keymap = keymap,
            Err(found) => mistakes.extend(found.iter().map(|mistake| clean(&format!("{path}: keys.{mistake}")))),
        }
        let (dark, light) = &settings.theme;
        let chosen = [(dark, &mut looks.dark), (light, &mut looks.light)];
        for (name, theme) in chosen.into_iter().filter(|_| read.is_right("theme")) {
            match Theme::read(name, &read.themes) {
                Ok(read) => *theme = read,
                Err(found) => {
                    for mistake in found.iter().map(|mistake| format!("{}/{mistake}", folder.display())) {
                        if !mistakes.contains(&mistake) {
                            mistakes.push(mistake);
                        }
                    }
                }
            }
        }
    }
    looks.mistakes = mistakes;
    looks
}

/// Every mistake in settings and themes of a configuration folder, also of themes that nobody chose.
#[must_use]
pub fn check(folder: &Path) -> Vec<String> {
    let mut mistakes = load(folder, &Looks::default()).mistakes;
    let themes = themes(folder);
    for name in themes.keys() {
        let found = Theme::read(name, &themes).err().unwrap_or_default();
        for mistake in found.iter().map(|mistake| format!("{}/{mistake}", folder.display())) {
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
    }
    mistakes
}

/// The files of a folder, read once.
struct Read {
    /// None where the file cannot be made out at all.
    settings: Option<Settings>,
    themes: Files,
    mistakes: Vec<String>,
}

impl Read {
    /// Whether a key at the top is without mistakes in its form.
    fn is_right(&self, key: &str) -> bool {
        !self.mistakes.iter().any(|mistake| mistake.strip_prefix(key).is_some_and(|rest| rest.starts_with([':', '.'])))
    }
}

fn read(folder: &Path) -> Read {
    let themes = themes(folder);
    match bytes(&folder.join(FILE), LONGEST) {
        Ok(None) => Read { settings: Some(Settings::default()), themes, mistakes: Vec::new() },
        Ok(Some(bytes)) if bytes.len() > LONGEST => {
            let what = format!("is longer than {} KiB, which no settings need", LONGEST / 1024);
            Read { settings: None, themes, mistakes: vec![what] }
        }
        Ok(Some(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => {
                let (settings, mistakes) = parse(&text);
                let broken = mistakes.iter().any(|mistake| mistake.starts_with("is not YAML"));
                Read { settings: (!broken).then_some(settings), themes, mistakes }
            }
            Err(_) => Read { settings: None, themes, mistakes: vec!["is not UTF-8: save it as UTF-8".into()] },
        },
        Err(cause) => Read { settings: None, themes, mistakes: vec![format!("cannot be read: {cause}")] },
    }
}

/// The theme files of a configuration folder, by their names without `.toml`.
#[must_use]
pub fn themes(folder: &Path) -> Files {
    let Ok(entries) = std::fs::read_dir(folder.join(THEMES)) else { return Files::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| is_theme(path)).collect();
    paths.sort();
    let named = |path: PathBuf| {
        let name = clean(&path.file_stem()?.to_string_lossy());
        Some((name, bytes(&path, theme::LONGEST_FILE).map(Option::unwrap_or_default)))
    };
    paths.into_iter().take(MOST_THEMES).filter_map(named).collect()
}

fn is_theme(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// The first bytes of a file, one more than `longest`; none where there is no file.
fn bytes(path: &Path, longest: usize) -> Result<Option<Vec<u8>>, String> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        // Opening a pipe would wait for whoever writes into it.
        Ok(metadata) if !metadata.is_file() => return Err("it is no file".into()),
        Ok(_) => {}
    }
    let most = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map(|_| Some(bytes)).map_err(|error| error.to_string())
}

/// When each file was changed last, and how long it is.
type Stamps = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

fn stamps(folder: &Path) -> Stamps {
    let listed =
        std::fs::read_dir(folder.join(THEMES)).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| is_theme(path));
    let paths = listed.take(MOST_THEMES).chain([folder.join(FILE)]);
    paths
        .filter_map(|path| {
            let metadata = std::fs::metadata(&path).ok()?;
            Some((path, (metadata.modified().ok(), metadata.len())))
        })
        .collect()
}

/// Looks of a configuration folder, `first` until a file changes; looked at every two seconds for as long as
/// somebody holds the receiver.
pub fn follow(folder: PathBuf, first: Looks) -> watch::Receiver<Arc<Looks>> {
    let (sender, receiver) = watch::channel(Arc::new(first));
    tokio::spawn(async move {
        let mut seen = stamps(&folder);
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let (at, last, before) = (folder.clone(), Arc::clone(&sender.borrow()), seen.clone());
            // A configuration folder may be on a slow disk, and this task is on a thread of others.
            let news = tokio::task::spawn_blocking(move || {
                let now = stamps(&at);
                (now != before).then(|| (load(&at, &last), now))
            });
            if let Ok(Some((looks, now))) = news.await {
                seen = now;
                sender.send_replace(Arc::new(looks));
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests;
