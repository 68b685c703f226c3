//! A program in the foreground of the terminal, and a text in an editor.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use tempfile::TempDir;
use tokio::process::Command;

use super::message::HandOver;
use crate::domain::text::clean;

/// Runs it on this process's terminal until it ends: whether it ended well, and how in words.
///
/// Dropping the future ends the program.
pub(super) async fn run(errand: HandOver) -> (bool, String) {
    let mut words = errand.program.split_whitespace();
    let Some(program) = words.next() else { return (false, "no program is named".into()) };
    let mut command = Command::new(program);
    command.args(words).args(&errand.args).envs(errand.env.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
    match command.spawn() {
        Ok(mut child) => child.wait().await.map_or_else(|error| (false, error.to_string()), told),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (false, format!("there is no program {} in PATH", clean(program))),
        Err(error) => (false, format!("{} cannot be started: {error}", clean(program))),
    }
}

fn told(status: ExitStatus) -> (bool, String) {
    match (status.code(), status.signal()) {
        (Some(0), _) => (true, String::new()),
        (Some(code), _) => (false, format!("ended with exit code {code}")),
        (None, Some(signal)) => (false, format!("ended by signal {signal}")),
        (None, None) => (false, "ended".into()),
    }
}

/// A file of this name with this text that only we may read, in a folder that goes with the answer; and
/// the errand that shows it.
///
/// # Errors
/// Where no temporary file can be written.
pub(super) fn editor(editor: &str, name: &str, text: &str) -> io::Result<(TempDir, HandOver)> {
    let folder = tempfile::Builder::new().prefix("pilothouse-").tempdir()?;
    let name: String = clean(name).chars().map(|c| if c.is_alphanumeric() || ".-_".contains(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches(['.', '-']);
    let path = folder.path().join(if name.is_empty() { "text" } else { name });
    fs::write(&path, text)?;
    // Editors show a file that cannot be written as such: what is changed in it goes nowhere.
    fs::set_permissions(&path, Permissions::from_mode(0o400))?;
    Ok((folder, HandOver { what: format!("editor on {name}"), program: editor.into(), args: vec![shown(&path)], env: Vec::new() }))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand(program: &str, args: &[&str]) -> HandOver {
        HandOver {
            what: "test".into(),
            program: program.into(),
            args: args.iter().map(ToString::to_string).collect(),
            env: vec![("GREETING".into(), "7".into())],
        }
    }

    #[tokio::test]
    async fn the_end_of_a_program_is_told_in_words() {
        assert_eq!(run(errand("true", &[])).await, (true, String::new()));
        assert_eq!(run(errand("sh -c", &["exit $GREETING"])).await, (false, "ended with exit code 7".into()));
        assert_eq!(run(errand("sh", &["-c", "kill -9 $$"])).await, (false, "ended by signal 9".into()));
        assert_eq!(run(errand("no-such-program", &[])).await, (false, "there is no program no-such-program in PATH".into()));
        assert_eq!(run(errand("  ", &[])).await, (false, "no program is named".into()));
    }

    #[test]
    fn an_editor_gets_a_file_of_our_own_that_cannot_be_written() {
        let (folder, errand) = editor("vim -R", "../gke/front\x1bend.yaml", "kind: Canary\n").expect("a file");
        let path = Path::new(&errand.args[0]);
        assert_eq!(path.parent(), Some(folder.path()), "{errand:?}");
        assert_eq!(path.extension().and_then(|e| e.to_str()), Some("yaml"));
        assert_eq!(fs::read_to_string(path).expect("its text"), "kind: Canary\n");
        assert_eq!(fs::metadata(path).expect("a file").permissions().mode() & 0o777, 0o400);
        let kept = path.to_path_buf();
        drop(folder);
        assert!(!kept.exists());
    }
}
