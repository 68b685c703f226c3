//! The fleet file, the user's settings, and where they, the logs and the caches are.
//!
//! Here files are read and their mistakes named, all of them at once. What the words mean is in
//! `domain::fleet`, `ui::keymap` and `ui::theme`. Read this page first, then `settings.rs`.

pub mod settings;

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use crate::domain::fleet::Fleet;

/// What is wrong with the fleet file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("fleet file {path}: {cause}; correct it, or name another by --config")]
    Unreadable { path: String, cause: String },
    #[error("fleet file {path} has mistakes:\n{}", .mistakes.join("\n"))]
    Mistakes { path: String, mistakes: Vec<String> },
}

/// The folders of this user, by the XDG rules.
fn folders() -> Option<ProjectDirs> {
    ProjectDirs::from("dev", "pilothouse", "pilothouse")
}

/// Folder of logs.
#[must_use]
pub fn state_folder() -> PathBuf {
    folders().map_or_else(std::env::temp_dir, |d| d.state_dir().unwrap_or_else(|| d.data_local_dir()).to_path_buf())
}

/// Folder of git mirrors.
#[must_use]
pub fn cache_folder() -> PathBuf {
    folders().map_or_else(std::env::temp_dir, |d| d.cache_dir().to_path_buf())
}

/// Folder of the fleet file, the settings and the themes; none where this user has no home.
#[must_use]
pub fn config_folder() -> Option<PathBuf> {
    folders().map(|d| d.config_dir().to_path_buf())
}

/// Where the fleet file is looked for when none is named.
#[must_use]
pub fn default_fleet_file() -> Option<PathBuf> {
    config_folder().map(|folder| folder.join("fleet.yaml"))
}

/// The fleet file `path`, else the user's own where there is one, else an empty fleet.
///
/// # Errors
/// [`ConfigError`] with the file, the place and every mistake.
pub fn fleet(path: Option<&Path>) -> Result<Fleet, ConfigError> {
    let (path, named) = match path {
        Some(path) => (path.to_path_buf(), true),
        None => match default_fleet_file() {
            Some(path) => (path, false),
            None => return Ok(Fleet::default()),
        },
    };
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => return Ok(Fleet::default()),
        Err(error) => return Err(ConfigError::Unreadable { path: shown, cause: error.to_string() }),
    };
    let fleet: Fleet = serde_yaml::from_str(&text)
        .map_err(|error| ConfigError::Unreadable { path: shown.clone(), cause: crate::domain::text::clean(&error.to_string()) })?;
    let mistakes = fleet.mistakes();
    if mistakes.is_empty() { Ok(fleet) } else { Err(ConfigError::Mistakes { path: shown, mistakes }) }
}
