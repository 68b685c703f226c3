//! `pilothouse config`: what is wrong in the files of this user, where they are, and what they come to.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Format, Global, Outcome, output};
use crate::config::{self, ConfigError, settings};
use crate::ui::looks::Looks;
use crate::ui::theme;

#[derive(Subcommand, Debug, Clone)]
pub(super) enum Config {
    /// Every mistake in fleet file, settings, key map and themes
    Check,
    /// Where the files and folders are
    Paths,
    /// The keys as bound
    Keys,
    /// A theme's file, to start one of your own from; without NAME the themes there are
    Theme { name: Option<String> },
}

pub(super) fn config(global: &Global, what: &Config) -> Outcome {
    let folder = config::config_folder();
    match what {
        Config::Check => check(global, folder.as_deref()),
        Config::Paths => paths(global, folder.as_deref()),
        Config::Keys => {
            let looks = load(folder.as_deref());
            for mistake in &looks.mistakes {
                output::complain(&format!("pilothouse: {mistake}"));
            }
            keys(global.output, &looks)
        }
        Config::Theme { name: Some(name) } => theme(folder.as_deref(), name),
        Config::Theme { name: None } => themes(global.output, folder.as_deref()),
    }
}

/// The looks of this user, as the console starts with them.
pub(super) fn load(folder: Option<&Path>) -> Looks {
    folder.map_or_else(Looks::default, |folder| settings::load(folder, &Looks::default()))
}

fn check(global: &Global, folder: Option<&Path>) -> Outcome {
    let mistakes = mistakes(global.config.as_deref(), folder);
    let body = json!({"mistakes": mistakes});
    output::show(global.output, "ConfigCheck", &body, || match mistakes.as_slice() {
        [] => "no mistakes\n".to_owned(),
        mistakes => mistakes.join("\n") + "\n",
    })?;
    Ok(if mistakes.is_empty() { 0 } else { 2 })
}

/// All mistakes, each beginning with its file.
fn mistakes(fleet: Option<&Path>, folder: Option<&Path>) -> Vec<String> {
    let fleet = match config::fleet(fleet) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Mistakes { path, mistakes }) => mistakes.iter().map(|mistake| format!("{path}: {mistake}")).collect(),
        Err(error) => vec![error.to_string()],
    };
    fleet.into_iter().chain(folder.map(settings::check).unwrap_or_default()).collect()
}

fn paths(global: &Global, folder: Option<&Path>) -> Outcome {
    let fleet = global.config.clone().or_else(config::default_fleet_file);
    let below = |name: &str| folder.map(|folder| folder.join(name));
    let rows: Vec<(&str, Option<PathBuf>)> = vec![
        ("fleet", fleet),
        ("settings", below(settings::FILE)),
        ("themes", below(settings::THEMES)),
        ("state", Some(config::state_folder())),
        ("cache", Some(config::cache_folder())),
    ];
    let of = |(name, path): &(&str, Option<PathBuf>)| {
        let (path, there) = path.as_ref().map_or((String::new(), false), |path| (path.display().to_string(), path.exists()));
        ((*name).to_owned(), path, there)
    };
    let rows: Vec<(String, String, bool)> = rows.iter().map(of).collect();
    let body: Vec<_> = rows.iter().map(|(name, path, there)| json!({"name": name, "path": path, "exists": there})).collect();
    output::show(global.output, "ConfigPaths", &body, || {
        let cells =
            rows.iter().map(|(name, path, there)| vec![name.clone(), path.clone(), if *there { "" } else { "not there" }.to_owned()]);
        output::columns(&["WHAT", "PATH", ""], &cells.collect::<Vec<_>>())
    })?;
    Ok(0)
}

fn keys(format: Format, looks: &Looks) -> Outcome {
    let screens = |action: &crate::ui::actions::Action| -> Vec<String> {
        action.screens.iter().map(|screen| format!("{screen:?}").to_lowercase()).collect()
    };
    let body: Vec<_> = looks
        .keymap
        .table()
        .map(|(action, keys)| {
            json!({"action": action.word, "keys": keys, "help": action.help, "asks": action.tier.asks(), "screens": screens(action)})
        })
        .collect();
    output::show(format, "Keys", &body, || {
        let cells = looks.keymap.table().map(|(action, keys)| {
            let keys = if keys.is_empty() { "–".to_owned() } else { keys.join("  ") };
            vec![action.word.to_owned(), keys, action.tier.asks().to_owned(), action.help.to_owned()]
        });
        output::columns(&["ACTION", "KEYS", "ASKS", "DOES"], &cells.collect::<Vec<_>>())
    })?;
    Ok(0)
}

fn theme(folder: Option<&Path>, name: &str) -> Outcome {
    let own = folder.map(settings::themes).unwrap_or_default();
    let text = match own.get(name) {
        Some(Ok(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Err(cause)) => return Err(Failure::failed(format!("theme {name} cannot be read: {cause}"))),
        None => theme::built_in(name).map(str::to_owned).ok_or_else(|| {
            let known: Vec<&str> = theme::NAMES.iter().copied().chain(own.keys().map(String::as_str)).collect();
            Failure::usage(format!("there is no theme {name}; there are {}", known.join(", ")))
        })?,
    };
    output::print(&text);
    Ok(0)
}

fn themes(format: Format, folder: Option<&Path>) -> Outcome {
    let own = folder.map(settings::themes).unwrap_or_default();
    let looks = load(folder);
    let mut rows: Vec<(String, &str)> =
        theme::NAMES.iter().filter(|name| !own.contains_key(**name)).map(|name| ((*name).to_owned(), "built in")).collect();
    rows.extend(own.keys().map(|name| (name.clone(), "yours")));
    let used = |name: &str| match (looks.dark.name() == name, looks.light.name() == name) {
        (true, true) => "in use",
        (true, false) => "in use on dark",
        (false, true) => "in use on light",
        (false, false) => "",
    };
    let body: Vec<_> = rows.iter().map(|(name, whose)| json!({"name": name, "from": whose, "use": used(name)})).collect();
    output::show(format, "Themes", &body, || {
        let cells: Vec<_> = rows.iter().map(|(name, whose)| vec![name.clone(), (*whose).to_owned(), used(name).to_owned()]).collect();
        output::columns(&["THEME", "FROM", "USE"], &cells)
    })?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_tells_all_mistakes_of_all_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("themes")).expect("a folder");
        std::fs::write(at("themes/mine.toml"), "inherits = \"drak\"\n[state]\ngood = \"gren\"\n").expect("a file");
        std::fs::write(at("settings.yaml"), "theme: mine\nkeys: {bind: {pause: [b], nothing: [P]}}\nmouze: true\n").expect("a file");
        let fleet = "apiVersion: pilothouse.dev/v1alpha1\nkind: Fleet\nproviders:\n- {name: a}\n- {name: a}\n";
        std::fs::write(at("fleet.yaml"), fleet).expect("a file");
        let found = mistakes(Some(&at("fleet.yaml")), Some(folder.path()));
        for word in ["fleet.yaml: ", "mine.toml:1: inherits from drak", "mine.toml:3: “gren”", "mouze", "pause", "nothing"] {
            assert!(found.iter().any(|mistake| mistake.contains(word)), "{word}: {found:#?}");
        }
        assert!(mistakes(Some(&at("no.yaml")), Some(folder.path()))[0].contains("no.yaml"));
    }

    #[test]
    fn a_folder_without_files_has_no_mistakes() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(settings::check(folder.path()), Vec::<String>::new());
    }
}
