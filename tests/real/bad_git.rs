//! Repositories as they should not be: a bump then changes nothing, loses nothing and forces nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bad_cluster::BARE;
use crate::program::Home;
use crate::support::Folder;

const FILE: &str = "main:app/kustomization.yaml";

/// A provider's repository of one test, with the fleet file that names it.
struct Stage {
    home: Home,
    bare: PathBuf,
    _folder: Folder,
}

fn git(at: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Colleague", "-c", "user.email=colleague@example.com"]).args(words).current_dir(at);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let done = command.output().expect("git");
    assert!(done.status.success(), "git {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().into()
}

impl Stage {
    fn new(what: &str) -> Self {
        let folder = Folder::new(what);
        let bare = folder.path().join("provider.git");
        let origin = BARE.repository("bare").to_owned();
        git(folder.path(), &["clone", "--quiet", "--bare", &origin, &bare.display().to_string()]);
        git(&bare, &["remote", "remove", "origin"]);
        let fleet = BARE.fleet().replace(&origin, &format!("file://{}", bare.display()));
        let home = Home::new(what, &BARE.kubeconfig()).with_fleet(&fleet);
        Self { home, bare, _folder: folder }
    }

    fn head(&self) -> String {
        git(&self.bare, &["rev-parse", "main"])
    }

    /// Somebody else's commit on main, through a work tree.
    fn commit(&self, path: &str, text: &str) -> String {
        let work = Folder::new("work");
        let tree = work.path().join("tree");
        git(work.path(), &["clone", "--quiet", &self.bare.display().to_string(), &tree.display().to_string()]);
        std::fs::write(tree.join(path), text).expect("a file of a work tree");
        git(&tree, &["add", "--all"]);
        git(&tree, &["commit", "--quiet", "--message", "Something else"]);
        git(&tree, &["push", "--quiet", "origin", "HEAD:main"]);
        self.head()
    }
}

#[test]
fn a_remote_that_is_gone_is_a_sentence() {
    let stage = Stage::new("gone");
    let away = stage.bare.with_extension("away");
    std::fs::rename(&stage.bare, &away).expect("the repository moved away");
    let said = stage.home.expect(1, &["bump", "1.1.0", "--provider", "bare"]);
    assert!(said.err.contains("provider.git") && said.err.contains("bare") && !said.err.contains("panicked"), "{said:?}");
    let status = stage.home.run(&["status"]);
    assert!(status.out.contains("failed") && status.out.contains("provider.git"), "{status:?}");
    std::fs::rename(&away, &stage.bare).expect("the repository moved back");
    stage.home.expect(0, &["bump", "1.1.0", "--provider", "bare"]);
    assert!(git(&stage.bare, &["show", FILE]).contains("ref=1.1.0"));
}

#[test]
fn a_branch_that_moves_on_under_a_bump_keeps_both_commits() {
    let stage = Stage::new("race");
    let theirs = stage.commit("README.md", "# changed meanwhile\n");
    git(&stage.bare, &["update-ref", "refs/heads/theirs", &theirs]);
    git(&stage.bare, &["update-ref", "refs/heads/main", &format!("{theirs}~")]);
    // The server lets the colleague's commit land while ours is being pushed, once.
    let hook = stage.bare.join("hooks/pre-receive");
    std::fs::create_dir_all(stage.bare.join("hooks")).expect("a folder of hooks");
    let done = stage.bare.join("landed");
    let script = format!(
        "#!/bin/sh\n[ -e '{done}' ] && exit 0\ntouch '{done}'\nenv -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY -u GIT_ALTERNATE_OBJECT_DIRECTORIES git update-ref refs/heads/main {theirs}\n",
        done = done.display()
    );
    std::fs::write(&hook, script).expect("a hook");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a hook that runs");
    let said = stage.home.expect(0, &["bump", "1.1.0", "--provider", "bare"]);
    assert!(done.exists() && said.out.contains("1.0.0 → 1.1.0"), "{said:?}");
    assert!(git(&stage.bare, &["show", FILE]).contains("ref=1.1.0"));
    assert_eq!(git(&stage.bare, &["rev-parse", "main~"]), theirs, "the colleague's commit is right below ours");
    assert_eq!(git(&stage.bare, &["show", "main:README.md"]), "# changed meanwhile");
}

#[test]
fn a_pin_that_somebody_moved_meanwhile_is_not_overwritten() {
    let stage = Stage::new("changed");
    let text = git(&stage.bare, &["show", FILE]);
    let theirs = stage.commit("app/kustomization.yaml", &(text.replace("ref=1.0.0", "ref=1.3.0") + "\n"));
    git(&stage.bare, &["update-ref", "refs/heads/theirs", &theirs]);
    git(&stage.bare, &["update-ref", "refs/heads/main", &format!("{theirs}~")]);
    let hook = stage.bare.join("hooks/pre-receive");
    std::fs::create_dir_all(stage.bare.join("hooks")).expect("a folder of hooks");
    let script = format!(
        "#!/bin/sh\nenv -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY -u GIT_ALTERNATE_OBJECT_DIRECTORIES git update-ref refs/heads/main {theirs}\n"
    );
    std::fs::write(&hook, script).expect("a hook");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a hook that runs");
    let said = stage.home.expect(1, &["bump", "1.1.0", "--provider", "bare"]);
    assert!(said.err.contains("Colleague") && said.err.contains("1.3.0"), "{said:?}");
    assert_eq!(stage.head(), theirs);
}

#[test]
fn a_pin_that_is_not_there_is_a_sentence() {
    let stage = Stage::new("pin");
    let head = stage.commit("app/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n");
    let said = stage.home.expect(1, &["bump", "1.1.0", "--provider", "bare"]);
    assert!(said.err.contains("app/kustomization.yaml") && said.err.contains("no pin"), "{said:?}");
    assert_eq!(stage.head(), head);
}

#[test]
fn a_ref_that_does_not_exist_is_answered_with_the_nearest() {
    let stage = Stage::new("ref");
    let head = stage.head();
    let said = stage.home.expect(1, &["bump", "1.1.9", "--provider", "bare"]);
    assert!(said.err.contains("no ref `1.1.9`") && said.err.contains("1.1.0"), "{said:?}");
    let said = stage.home.expect(1, &["bump", "1.1.0", "--provider", "azure"]);
    assert!(said.err.contains("azure") && said.err.contains("bare"), "{said:?}");
    assert_eq!(stage.head(), head);
}

#[test]
fn a_bump_that_is_only_tried_out_shows_the_line_and_pushes_nothing() {
    let stage = Stage::new("dry");
    let head = stage.head();
    let said = stage.home.expect(0, &["--dry-run", "bump", "1.1.0", "--provider", "bare"]);
    assert!(said.out.contains("ref=1.0.0") && said.out.contains("ref=1.1.0"), "{said:?}");
    assert_eq!(stage.head(), head);
}
