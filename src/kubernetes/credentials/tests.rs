//! Plugins as they should not be, and as they are: each is a shell script in a folder of the test.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kube::config::{ExecConfig, ExecInteractiveMode};

use super::*;
use crate::kubernetes::contexts::{ContextError, Contexts};

const V1: &str = "client.authentication.k8s.io/v1";

/// A script that is run as a plugin.
fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
    path
}

/// The line of a script that issues `token`, which ends at `expires` if at all.
fn issue(token: &str, expires: Option<Timestamp>) -> String {
    let mut status = json!({"token": token});
    if let Some(at) = expires {
        status["expirationTimestamp"] = json!(at.to_string());
    }
    format!("echo '{}'", json!({"kind": "ExecCredential", "apiVersion": V1, "status": status}))
}

fn call(program: &Path) -> Call {
    let exec = ExecConfig { api_version: Some(V1.into()), command: Some(program.display().to_string()), ..ExecConfig::default() };
    Call::of(&exec).expect("a call")
}

fn after(seconds: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

async fn run(body: &str, deadline: Duration) -> Result<Issued, PluginError> {
    let folder = tempfile::tempdir().expect("a folder");
    call(&script(folder.path(), "plugin", body)).run(deadline).await
}

fn why(answer: Result<Issued, PluginError>) -> String {
    answer.err().map(|error| error.to_string()).expect("no credential")
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_last_words_of_a_failed_plugin_are_the_reason() {
    let said = why(run("echo 'warming up' >&2; printf 'SSO session has \\033[31mexpired\\n\\n' >&2; exit 1", LONG).await);
    assert_eq!(said, "credential plugin plugin: SSO session has [31mexpired");
    let said = why(run("exit 3", LONG).await);
    assert!(said.contains("exit status: 3") && said.contains("said nothing"), "{said}");
    let said = why(run("head -c 10000000 /dev/zero | tr '\\0' x >&2; exit 1", LONG).await);
    assert!(said.len() < 400 && said.ends_with('…'), "{said}");
}

#[tokio::test]
async fn answers_that_are_no_credentials_are_refused_without_repeating_them() {
    let answer = |text: &str| format!("echo '{text}'");
    for (body, part) in [
        ("head -c 10000000 /dev/zero | tr '\\0' x".to_owned(), "longer than 1 MiB"),
        ("printf '\\377\\376'".to_owned(), "no text"),
        (answer("secret-token"), "no ExecCredential"),
        (answer("{\"kind\": \"ExecCredential\", \"apiVersion\": \"client.authentication.k8s.io/v1beta1\"}"), "apiVersion"),
        (answer(&format!("{{\"kind\": \"ExecCredential\", \"apiVersion\": \"{V1}\", \"status\": {{}}}}")), "neither a token"),
        (issue("a\nb", None).replace("\\n", "\\\\n"), "cannot be sent"),
        (issue("secret-token", None).replace("\"token\"", "\"expirationTimestamp\":\"soon\",\"token\""), "no time"),
    ] {
        let said = why(run(&body, LONG).await);
        assert!(said.contains(part) && !said.contains("secret-token"), "{body}: {said}");
    }
    let unversioned = ExecConfig { command: Some("x".into()), ..ExecConfig::default() };
    assert!(Call::of(&unversioned).is_err_and(|e| e.to_string().contains("apiVersion")));
}

#[tokio::test]
async fn a_plugin_cannot_reach_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let asked = "read answer || { echo 'nobody answers' >&2; exit 1; }";
    assert!(why(run(asked, LONG).await).contains("nobody answers"));
    // A session of its own has no terminal, whatever terminal its parent has.
    let seen = folder.path().join("session");
    let body = format!(
        "echo $$ $(cut -d' ' -f6 /proc/$$/stat) $(cut -d' ' -f7 /proc/$$/stat) > {}\necho over the frame > /dev/tty\n{}",
        seen.display(),
        issue("a", None)
    );
    assert!(run(&body, LONG).await.is_ok());
    let seen = std::fs::read_to_string(seen).expect("it ran");
    let numbers: Vec<&str> = seen.split_whitespace().collect();
    assert!(numbers.len() == 3 && numbers[0] == numbers[1] && numbers[2] == "0", "pid, session, terminal: {seen}");
}

#[tokio::test]
async fn a_plugin_that_hangs_is_ended_with_its_helpers() {
    let folder = tempfile::tempdir().expect("a folder");
    let helper = folder.path().join("helper");
    let body = format!("sleep 600 & echo $! > {}\nwait", helper.display());
    let answer = run(&body, Duration::from_millis(700)).await;
    assert!(matches!(answer, Err(PluginError::Deadline { .. })));
    let pid = std::fs::read_to_string(&helper).expect("a helper").trim().to_owned();
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    for _ in 0..200 {
        if !alive() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the helper {pid} goes on");
}

#[tokio::test]
async fn a_plugin_is_told_what_it_is_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let seen = folder.path().join("seen");
    let plugin =
        script(folder.path(), "plugin", &format!("echo \"$1 $REGION $KUBERNETES_EXEC_INFO\" > {}\n{}", seen.display(), issue("a", None)));
    let pair = |name: &str, value: &str| HashMap::from([("name".to_owned(), name.to_owned()), ("value".to_owned(), value.to_owned())]);
    let exec = ExecConfig {
        api_version: Some(V1.into()),
        command: Some(plugin.display().to_string()),
        args: Some(vec!["get-token".into()]),
        env: Some(vec![pair("REGION", "eu-west-1")]),
        ..ExecConfig::default()
    };
    assert!(Call::of(&exec).expect("a call").run(LONG).await.is_ok());
    let seen = std::fs::read_to_string(seen).expect("it ran");
    assert!(seen.starts_with("get-token eu-west-1 {") && seen.contains("\"interactive\":false"), "{seen}");
    let missing = ExecConfig { command: Some("/nonexistent/aws-plugin".into()), install_hint: Some("install it\nby hand".into()), ..exec };
    let said = why(Call::of(&missing).expect("a call").run(LONG).await);
    assert_eq!(said, "credential plugin aws-plugin cannot be started: it is not installed; install it by hand");
}

#[tokio::test]
async fn a_token_that_says_when_it_ends_needs_no_other_word() {
    use base64::Engine as _;
    let ends = after(3600).as_second();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json!({"exp": ends}).to_string());
    let issued = run(&issue(&format!("e30.{claims}.c2ln"), None), LONG).await.ok().expect("a credential");
    assert_eq!(issued.expires.map(Timestamp::as_second), Some(ends));
}

#[test]
fn a_fifth_before_its_end_a_credential_is_due() {
    let at: Timestamp = "2026-01-02T03:00:00Z".parse().expect("a time");
    let issued = |life: i64| Issued { header: None, identity: None, at, expires: Some(at + SignedDuration::from_secs(life)) };
    for (life, passed, due, over) in
        [(100, 79, false, false), (100, 80, true, false), (100, 97, true, false), (100, 98, true, true), (-5, 0, true, true)]
    {
        let (held, now) = (issued(life), at + SignedDuration::from_secs(passed));
        assert_eq!((is_due(&held, now), is_over(&held, now)), (due, over), "{passed} s of {life}");
    }
    let endless = Issued { expires: None, ..issued(1) };
    assert!(!is_due(&endless, at + SignedDuration::from_hours(9)) && !is_over(&endless, at + SignedDuration::from_hours(9)));
}

/// A kubeconfig of contexts at addresses where nobody is, each with the plugin that `plugin` gives for its number.
fn contexts(folder: &Path, count: usize, plugin: impl Fn(usize) -> Value) -> Contexts {
    let each = |make: &dyn Fn(usize) -> Value| (0..count).map(make).collect::<Vec<_>>();
    let config = json!({"apiVersion": "v1", "kind": "Config",
        "clusters": each(&|n| json!({"name": format!("c{n}"), "cluster": {"server": format!("https://127.0.0.{}:1", n + 1)}})),
        "users": each(&|n| json!({"name": format!("u{n}"), "user": {"exec": plugin(n)}})),
        "contexts": each(&|n| json!({"name": format!("c{n}"), "context": {"cluster": format!("c{n}"), "user": format!("u{n}")}}))});
    let path = folder.join("kubeconfig");
    std::fs::write(&path, config.to_string()).expect("a kubeconfig");
    Contexts::read(Some(&path)).expect("it is read")
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn authenticate_all(contexts: &Contexts) -> Vec<Result<(), ContextError>> {
    futures::future::join_all(contexts.names().iter().map(|name| contexts.authenticate(name)).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn contexts_with_one_plugin_share_one_run_and_its_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let plugin = script(folder.path(), "plugin", &format!("echo run >> {}\nsleep 0.3\n{}", log.display(), issue("a", Some(after(600)))));
    let contexts = contexts(folder.path(), 12, |_| json!({"apiVersion": V1, "command": plugin, "args": ["x"]}));
    assert!(authenticate_all(&contexts).await.iter().all(Result::is_ok));
    assert!(authenticate_all(&contexts).await.iter().all(Result::is_ok));
    assert_eq!(lines(&log).len(), 1);
    let known = contexts.credential("c3").expect("a credential");
    assert!(known.plugin.as_deref() == Some("plugin") && known.expires.is_some() && known.user == "u3", "{known:?}");
    // Somebody has logged in: the next one asks anew.
    contexts.forget_credential("c3");
    assert!(contexts.authenticate("c4").await.is_ok());
    assert_eq!(lines(&log).len(), 2);
}

#[tokio::test]
async fn a_credential_that_is_over_is_replaced_and_a_failed_plugin_rests() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let body = |last: &str| format!("echo run >> {}\n{last}", log.display());
    let (expired, good) = (issue("a", Some(after(-60))), issue("b", Some(after(600))));
    let plugin = script(folder.path(), "plugin", &body(&format!("[ $(wc -l < {}) -gt 1 ] && {good} || {expired}", log.display())));
    let failing = script(folder.path(), "failing", &body("echo 'sign in first' >&2; exit 1"));
    let all = contexts(folder.path(), 2, |n| json!({"apiVersion": V1, "command": if n == 0 { &plugin } else { &failing }}));
    for runs in [1, 2, 2] {
        assert!(all.authenticate("c0").await.is_ok());
        assert_eq!(lines(&log).len(), runs);
    }
    for _ in 0..5 {
        let said = all.authenticate("c1").await.expect_err("no credential").to_string();
        assert!(said.contains("context c1") && said.contains("sign in first"), "{said}");
    }
    assert_eq!(lines(&log).len(), 3);
}

#[tokio::test]
async fn no_more_than_four_plugins_run_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let plugin = script(
        folder.path(),
        "plugin",
        &format!("echo + >> {0}\nsleep 0.2\necho - >> {0}\n{1}", log.display(), issue("a", Some(after(600)))),
    );
    let contexts = contexts(folder.path(), 10, |n| json!({"apiVersion": V1, "command": plugin, "args": [n.to_string()]}));
    assert!(authenticate_all(&contexts).await.iter().all(Result::is_ok));
    let (mut running, mut most) = (0_i32, 0);
    for line in lines(&log) {
        running += if line == "+" { 1 } else { -1 };
        most = most.max(running);
    }
    assert!(running == 0 && (2..=4).contains(&most), "{most} at a time");
}

#[test]
fn logins_are_known_for_plugins_that_do_not_ask_themselves() {
    let call = |command: &str, args: &[&str], mode: Option<ExecInteractiveMode>| {
        let exec = ExecConfig {
            api_version: Some(V1.into()),
            command: Some(command.into()),
            args: Some(args.iter().map(|arg| (*arg).to_owned()).collect()),
            interactive_mode: mode,
            ..ExecConfig::default()
        };
        LoginCommand::of(&Call::of(&exec).expect("a call"))
            .map(|login| (format!("{} {}", login.program, login.args.join(" ")), login.prints_secret))
    };
    let aws = call("/usr/bin/aws", &["eks", "get-token", "--cluster-name", "a", "--profile", "prod"], None);
    assert_eq!(aws, Some(("aws sso login --profile prod".into(), false)));
    assert_eq!(call("gke-gcloud-auth-plugin", &[], None), Some(("gcloud auth login".into(), false)));
    assert_eq!(call("kubelogin", &["get-token"], None), Some(("kubelogin get-token".into(), true)));
    assert_eq!(call("vault-token", &[], Some(ExecInteractiveMode::Never)), None);
}
