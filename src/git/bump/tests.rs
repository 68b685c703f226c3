use super::*;
use crate::git::scratch::{Folder, Origin};

const FILE: &str = "app/kustomization.yaml";

struct Stage {
    folder: Folder,
    vendor: Origin,
    provider: Origin,
}

impl Stage {
    fn new() -> Self {
        let folder = Folder::new();
        let vendor = Origin::new(&folder, "vendor");
        vendor.commit("dist/kustomization.yaml", "resources: []\n");
        vendor.git(&["tag", "1.0.0"]);
        vendor.commit("dist/kustomization.yaml", "resources: []\nnamespace: x\n");
        vendor.git(&["tag", "1.1.0"]);
        let provider = Origin::new(&folder, "provider");
        let stage = Self { folder, vendor, provider };
        stage.provider.commit(FILE, &stage.text("1.0.0"));
        stage
    }

    fn text(&self, reference: &str) -> String {
        format!("# gke\r\nresources:\r\n- {}//dist?ref={reference}  # the pin\r\n- own.yaml\r\n", self.vendor.url())
    }

    fn request(&self, to: &str) -> BumpRequest {
        BumpRequest {
            cache: self.folder.path().join("cache"),
            provider: "gke".into(),
            repository: self.provider.url(),
            branch: "main".into(),
            push_to: None,
            path: "app".into(),
            distribution: Some(self.vendor.url()),
            to: to.into(),
            message: String::new(),
            author_name: "Olga Operator".into(),
            author_email: "olga@example.com".into(),
            deadline: Duration::from_secs(20),
        }
    }

    fn head(&self) -> String {
        self.provider.git(&["rev-parse", "main"])
    }

    fn show(&self, path: &str) -> String {
        self.provider.git(&["show", &format!("main:{path}")])
    }

    /// A server hook that runs `script` before the first push is taken.
    fn hook(&self, name: &str, script: &str) {
        let path = self.provider.bare().join("hooks").join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    }
}

fn told(result: Result<BumpOutcome, BumpError>) -> String {
    let told = result.expect_err("refused").to_string();
    assert!(told.starts_with("gke: ") && !told.contains('\n'), "{told}");
    told
}

#[test]
fn a_bump_is_one_commit_with_one_line() {
    let stage = Stage::new();
    let head = stage.head();
    let planned = plan(&stage.request("1.1.0")).expect("planned");
    assert_eq!((planned.commit.as_ref(), planned.unchanged, stage.head()), (None, false, head.clone()));
    let done = bump(&stage.request("1.1.0")).expect("bumped");
    assert_eq!(done.commit.as_deref(), Some(stage.head().as_str()));
    assert_eq!(BumpOutcome { commit: None, ..done.clone() }, planned);
    assert_eq!((done.from.as_str(), done.to.as_str(), done.file.as_str(), done.line, done.pins), ("1.0.0", "1.1.0", FILE, 3, 1));
    assert_eq!(done.line_after, done.line_before.replace("1.0.0", "1.1.0"));
    assert_eq!(stage.show(FILE), stage.text("1.1.0").trim());
    assert_eq!(stage.provider.git(&["rev-list", "--parents", "-1", "main"]), format!("{} {head}", stage.head()));
    assert_eq!(
        stage.provider.git(&["log", "-1", "--format=%an <%ae> %s"]),
        "Olga Operator <olga@example.com> Move the pin from 1.0.0 to 1.1.0"
    );
    assert_eq!(stage.provider.git(&["diff", "--numstat", "HEAD~1", "HEAD"]), format!("1\t1\t{FILE}"));

    let again = bump(&stage.request("1.1.0")).expect("nothing to do");
    assert!(again.unchanged && again.commit.is_none());
    assert_eq!(Some(stage.head()), done.commit);
}

#[test]
fn without_a_named_distribution_the_pinned_one_is_meant() {
    let stage = Stage::new();
    let request = BumpRequest { distribution: None, message: "Go".into(), ..stage.request("1.1.0") };
    assert!(bump(&request).expect("bumped").commit.is_some());
    assert_eq!(stage.provider.git(&["log", "-1", "--format=%B"]), "Go");
}

#[test]
fn pins_of_one_distribution_move_together_and_others_stay() {
    let stage = Stage::new();
    let url = stage.vendor.url();
    let text = |reference: &str| {
        format!(
            "resources:\n- https://example.com/o/r//p?ref=7\n- {url}//dist?ref={reference}\ncomponents: [\"{url}//more?ref={reference}\"]\n"
        )
    };
    stage.provider.commit(FILE, &text("1.0.0"));
    let done = bump(&stage.request("1.1.0")).expect("bumped");
    assert_eq!(done.pins, 2);
    assert_eq!(stage.show(FILE), text("1.1.0").trim());
    let error = told(bump(&BumpRequest { distribution: None, ..stage.request("1.0.0") }));
    assert!(error.contains("several repositories") && error.contains("example.com/o/r"), "{error}");
}

#[test]
fn the_mode_of_the_file_stays() {
    let stage = Stage::new();
    let path = stage.folder.path().join("provider-work").join(FILE);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    stage.provider.commit_all();
    bump(&stage.request("1.1.0")).expect("bumped");
    assert!(stage.provider.git(&["ls-tree", "main", FILE]).starts_with("100755"));
}

#[test]
fn a_branch_for_review_is_made_once() {
    let stage = Stage::new();
    let head = stage.head();
    let request = BumpRequest { push_to: Some("bump/1.1.0".into()), ..stage.request("1.1.0") };
    let done = bump(&request).expect("bumped");
    assert_eq!(done.branch, "bump/1.1.0");
    assert_eq!((stage.head(), Some(stage.provider.git(&["rev-parse", "bump/1.1.0"]))), (head, done.commit));
    let error = told(bump(&request));
    assert!(error.contains("exists"), "{error}");
}

/// A commit that somebody makes while ours is being pushed: the hook of the server makes it, once.
fn meanwhile(stage: &Stage, path: &str, text: &str) {
    stage.provider.commit(path, text);
    let theirs = stage.head();
    stage.provider.git(&["update-ref", "refs/heads/main", &format!("{theirs}~1")]);
    stage.provider.git(&["update-ref", "refs/heads/theirs", &theirs]);
    // `reference-transaction` runs before the ref is locked for good, so the push meets a branch that moved on.
    let once = stage.provider.bare().join("once");
    let script = format!(
        "[ -e '{once}' ] && exit 0\ntouch '{once}'\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\ngit update-ref refs/heads/main {theirs}\nexit 0",
        once = once.display()
    );
    stage.hook("pre-receive", &script);
}

#[test]
fn a_commit_to_another_file_meanwhile_is_kept() {
    let stage = Stage::new();
    meanwhile(&stage, "app/own.yaml", "a: 1\n");
    let done = bump(&stage.request("1.1.0")).expect("bumped on top");
    assert_eq!(done.commit.as_deref(), Some(stage.head().as_str()));
    assert_eq!((stage.show(FILE), stage.show("app/own.yaml").as_str()), (stage.text("1.1.0").trim().to_owned(), "a: 1"));
    assert_eq!(stage.provider.git(&["rev-parse", "main~1"]), stage.provider.git(&["rev-parse", "theirs"]));
}

#[test]
fn a_commit_elsewhere_in_the_same_file_is_kept() {
    let stage = Stage::new();
    let theirs = format!("# more words\r\n\r\n{}- more.yaml\r\n", stage.text("1.0.0"));
    meanwhile(&stage, FILE, &theirs);
    bump(&stage.request("1.1.0")).expect("bumped on top");
    assert_eq!(stage.show(FILE), theirs.replace("1.0.0", "1.1.0").trim());
}

#[test]
fn a_pin_that_somebody_else_moved_is_left_alone() {
    let stage = Stage::new();
    meanwhile(&stage, FILE, &stage.text("0.9.0"));
    let error = told(bump(&stage.request("1.1.0")));
    assert!(error.contains("Ada Provider <ada@example.com>") && error.contains("from 1.0.0 to 0.9.0"), "{error}");
    assert_eq!(stage.show(FILE), stage.text("0.9.0").trim());
}

#[test]
fn a_pin_that_somebody_else_moved_to_the_same_ref_is_what_was_wanted() {
    let stage = Stage::new();
    meanwhile(&stage, FILE, &stage.text("1.1.0"));
    let done = bump(&stage.request("1.1.0")).expect("done by others");
    assert!(done.unchanged && done.commit.is_none());
}

#[test]
fn a_pin_that_somebody_else_removed_is_not_brought_back() {
    let stage = Stage::new();
    meanwhile(&stage, FILE, "resources: [own.yaml]\n");
    let error = told(bump(&stage.request("1.1.0")));
    assert!(error.contains("Ada Provider") && error.contains("no pin at all"), "{error}");
}

#[test]
fn commits_that_were_taken_off_the_branch_stay_off() {
    let stage = Stage::new();
    stage.provider.commit("app/bad.yaml", "a: 1\n");
    let bad = stage.head();
    let once = stage.provider.bare().join("once");
    let script = format!(
        "[ -e '{0}' ] && exit 0\ntouch '{0}'\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\ngit update-ref refs/heads/main {bad}~1\nexit 0",
        once.display()
    );
    stage.hook("pre-receive", &script);
    let done = bump(&stage.request("1.1.0")).expect("bumped on what is left");
    assert_eq!(done.commit.as_deref(), Some(stage.head().as_str()));
    assert!(!stage.provider.git(&["ls-tree", "-r", "--name-only", "main"]).contains("bad.yaml"));
}

#[test]
fn a_branch_that_never_rests_is_given_up() {
    let stage = Stage::new();
    let script = "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\nexport GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a\ngit update-ref refs/heads/main $(git commit-tree -p main -m again main^{tree})";
    stage.hook("pre-receive", script);
    let error = told(bump(&stage.request("1.1.0")));
    assert!(error.contains("moved on 3 times"), "{error}");
    assert_eq!(stage.show(FILE), stage.text("1.0.0").trim());
}

#[test]
fn a_server_that_refuses_is_quoted() {
    let stage = Stage::new();
    stage.hook("pre-receive", "echo 'main is protected' >&2; exit 1");
    let error = told(bump(&stage.request("1.1.0")));
    assert!(error.contains("main is protected") && error.contains("--branch"), "{error}");
    assert_eq!(stage.show(FILE), stage.text("1.0.0").trim());
}

#[test]
fn a_remote_that_dies_before_or_during_the_push() {
    let stage = Stage::new();
    // The server takes the push and dies before it answers: the branch says that it arrived.
    stage.hook("post-update", "kill -9 $PPID");
    let done = bump(&stage.request("1.1.0")).expect("it arrived");
    assert_eq!(done.commit.as_deref(), Some(stage.head().as_str()));
    stage.provider.remove();
    let error = told(bump(&stage.request("1.0.0")));
    assert!(error.contains("cannot fetch from") && error.contains("provider.git"), "{error}");
    let mirror = Mirror::open(&stage.folder.path().join("cache"), &stage.provider.url()).expect("the mirror");
    assert_eq!(Some(mirror.branch_head("main").expect("as it was").to_string()), done.commit);
}

#[test]
fn a_remote_that_vanishes_under_the_push_leaves_the_outcome_open() {
    let stage = Stage::new();
    let script = format!("mv '{0}' '{0}.gone'; kill -9 $PPID", stage.provider.bare().display());
    stage.hook("pre-receive", &script);
    let error = told(bump(&stage.request("1.1.0")));
    assert!(error.contains("got no answer") && error.contains("look whether"), "{error}");
}

#[test]
fn requests_that_cannot_be_are_refused_before_anything_moves() {
    let stage = Stage::new();
    let head = stage.head();
    let base = || stage.request("1.1.0");
    let full = stage.vendor.git(&["rev-parse", "1.1.0"]);
    let shortened = ["shortened", full.as_str()];
    let cases: Vec<(&str, BumpRequest, &[&str])> = vec![
        ("no such ref", stage.request("1.1.1"), &["`1.1.1`", "vendor.git", "nearest: 1.1.0"]),
        ("an option as ref", stage.request("--exec=x"), &["looks like an option"]),
        ("a ref with more", stage.request("1.1.0&x=1"), &["means something else"]),
        ("a short commit", stage.request(&full[..8]), &shortened),
        ("no such branch", BumpRequest { branch: "man".into(), ..base() }, &["`man`", "nearest: main"]),
        ("an option as branch", BumpRequest { branch: "--mirror".into(), ..base() }, &["looks like an option"]),
        ("an option as new branch", BumpRequest { push_to: Some("-f".into()), ..base() }, &["looks like an option"]),
        ("no kustomization", BumpRequest { path: "nowhere".into(), ..base() }, &["no kustomization in `nowhere`", "main"]),
        ("out of the repository", BumpRequest { path: "../x".into(), ..base() }, &["inside the repository"]),
        ("a helper as repository", BumpRequest { repository: "ext::sh -c id".into(), ..base() }, &["not a repository"]),
        ("an option as repository", BumpRequest { repository: "--upload-pack=x".into(), ..base() }, &["looks like an option"]),
        (
            "another distribution",
            BumpRequest { distribution: Some(stage.provider.url()), to: "main".into(), ..base() },
            &["no pin of", "only of", "?ref=1.0.0"],
        ),
        ("no author", BumpRequest { author_name: String::new(), ..base() }, &["user.name"]),
        ("a forged author", BumpRequest { author_email: "a>\nparent x".into(), ..base() }, &["user.email"]),
    ];
    for (name, request, words) in cases {
        let error = told(bump(&request));
        for word in words {
            assert!(error.contains(word), "{name}: {error}");
        }
        assert_eq!(stage.head(), head, "{name}");
    }
    for (name, text, words) in [
        ("malformed", "resources: [\n", &["not a kustomization", FILE] as &[&str]),
        ("no pin", "resources: [own.yaml]\n", &["no pin", FILE, "?ref="]),
        ("not text", "resources: [\u{0}]\n", &["not a kustomization"]),
    ] {
        stage.provider.commit(FILE, text);
        let error = told(bump(&base()));
        for word in words {
            assert!(error.contains(word), "{name}: {error}");
        }
    }
    stage.provider.commit(FILE, &stage.text("1.0.0"));
    stage.provider.commit("app/kustomization.yml", "resources: []\n");
    assert!(told(bump(&base())).contains("only one"));
}

#[test]
fn a_branch_as_ref_is_marked_as_moving() {
    let stage = Stage::new();
    assert!(bump(&stage.request("main")).expect("bumped").moving);
    let full = stage.vendor.git(&["rev-parse", "1.0.0"]);
    assert!(!bump(&stage.request(&full)).expect("bumped").moving);
}
