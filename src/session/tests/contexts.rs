//! Contexts that come, go, sleep, share and fail.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::session::view::Link;
use crate::simulation::line::Trouble;

fn without(config: &Value, name: &str) -> Value {
    let mut config = config.clone();
    if let Some(contexts) = config["contexts"].as_array_mut() {
        contexts.retain(|context| context["name"] != name);
    }
    config
}

fn with_context(config: &Value, name: &str, cluster: &str, user: &str) -> Value {
    let mut config = config.clone();
    if let Some(contexts) = config["contexts"].as_array_mut() {
        contexts.push(json!({"name": name, "context": {"cluster": cluster, "user": user}}));
    }
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_whose_plugin_fails_says_why_and_comes_once_somebody_has_logged_in() {
    let bed = Bed::up(&["eks", "gke"]).await;
    let (token, log) = (bed.folder.path().join("token"), bed.folder.path().join("log"));
    let plugin = bed.folder.path().join("get-token");
    let credential = r#"{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", "status": {"token": "%s"}}"#;
    let script = format!(
        "#!/bin/sh\necho run >> {}\n[ -f {1} ] || {{ echo 'the session has expired' >&2; exit 1; }}\nprintf '{credential}' $(cat {1})\n",
        log.display(),
        token.display()
    );
    std::fs::write(&plugin, script).expect("a script");
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
    let mut config = bed.config.clone();
    config["users"][0]["user"] = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": plugin}});
    bed.write(&config);

    let session = bed.start();
    let refused =
        |name: &str| matches!(row(&session, name).link, Link::Unauthorized { why, .. } if why.contains("the session has expired"));
    until("both say why", || refused("eks") && refused("gke")).await;
    let credential = row(&session, "eks").credential.expect("a credential");
    assert!(credential.plugin.as_deref() == Some("get-token") && credential.interactive && credential.expires.is_none(), "{credential:?}");
    let login = session.login_command("eks").expect("a login");
    assert!(login.prints_secret && login.env["KUBERNETES_EXEC_INFO"].contains("\"interactive\":true"));
    assert_eq!(session.served_by_login("eks").len(), 2);
    let before = std::fs::read_to_string(&log).expect("it ran").lines().count();

    std::fs::write(&token, bed.token()).expect("a token");
    session.logged_in("eks");
    until("both are live", || is_up(&session, "eks") && is_up(&session, "gke")).await;
    let runs = std::fs::read_to_string(&log).expect("it ran").lines().count() - before;
    // Both retry at once; a failure of before that is just being found out may cost one more.
    assert!((1..=2).contains(&runs), "{runs} runs for two contexts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_kubeconfig_changes_the_rows_and_nothing_else() {
    let bed = Bed::up(&["aks", "eks", "gke"]).await;
    bed.write(&without(&bed.config, "gke"));
    let session = bed.start();
    until("two rows", || is_up(&session, "aks") && is_up(&session, "eks")).await;
    let (kept, cluster) =
        (session.context("aks").expect("a context"), session.context("aks").and_then(|c| c.cluster()).expect("a cluster"));

    bed.write(&bed.config);
    until("a new row", || is_up(&session, "gke")).await;
    assert_eq!(names(&session), ["aks", "eks", "gke"]);

    // Half a file: cut off in the middle, then at the end of a line, then empty.
    let whole = format!("{:#}\n", bed.config);
    for text in [&whole[..whole.len() / 2], "apiVersion: v1\nkind: Config\ncontexts: []\n", ""] {
        std::fs::write(bed.path(), text).expect("it is written");
        until("the problem", || !now(&session).problems.is_empty()).await;
        let problem = now(&session).problems.join(" ");
        assert!(problem.contains("the contexts are those of before"), "{problem}");
        assert_eq!(names(&session).len(), 3);
        bed.write(&bed.config);
        until("the problem is over", || now(&session).problems.is_empty()).await;
    }

    // Renamed, and its namesake leads elsewhere.
    let renamed = with_context(&without(&bed.config, "gke"), "google", "gke", "operator");
    bed.write(&renamed);
    until("the new name", || is_up(&session, "google")).await;
    assert_eq!(names(&session), ["aks", "eks", "google"]);
    let mut swapped = renamed.clone();
    for context in swapped["contexts"].as_array_mut().expect("contexts") {
        if context["name"] == "eks" {
            context["context"]["cluster"] = json!("gke");
        }
    }
    let swapped = without(&swapped, "google");
    bed.write(&swapped);
    let shown = || row(&session, "eks").canaries.first().map(|canary| canary.key.name.clone());
    until("the other cluster under the same name", || shown().as_deref() == Some("web-gke")).await;
    assert_eq!(names(&session), ["aks", "eks"]);

    assert!(Arc::ptr_eq(&kept, &session.context("aks").expect("a context")));
    assert!(Arc::ptr_eq(&cluster, &kept.cluster().expect("a cluster")), "who did not change was connected anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_goes_hands_its_lease_over() {
    let bed = Bed::up(&["aks", "eks"]).await;
    let session = bed.start_with(|settings| settings.drive = true);
    let holder = || {
        let lease = bed.servers["eks"].object("leases", crate::kubernetes::lease::NAMESPACE, crate::kubernetes::lease::NAME);
        lease.map(|lease| lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
    };
    until("eks is driven", || holder().as_deref() == Some("test")).await;
    bed.write(&without(&bed.config, "eks"));
    until("the lease is free", || holder().as_deref() == Some("")).await;
    assert_eq!(names(&session), ["aks"]);
    session.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_of_one_cluster_are_one_row_and_one_connection() {
    let bed = Bed::up(&["eks"]).await;
    let mut config = with_context(&bed.config, "eks-app", "eks", "operator");
    config["users"].as_array_mut().expect("users").push(json!({"name": "guest", "user": {"token": "of a guest"}}));
    bed.write(&with_context(&config, "eks-guest", "eks", "guest"));
    let session = bed.start();
    until("one row", || is_up(&session, "eks")).await;
    assert_eq!(names(&session), ["eks"]);
    assert_eq!(row(&session, "eks").aliases, ["eks-app", "eks-guest"]);
    assert_eq!(row(&session, "eks").credential.map(|credential| credential.user).as_deref(), Some("operator"));
    assert!(Arc::ptr_eq(&session.context("eks-app").expect("by its alias"), &session.context("eks").expect("by its name")));

    // The other user is reached by name, and is nobody else.
    let session = bed.start_with(|settings| settings.only = vec!["eks-guest".into()]);
    until("the guest is refused", || matches!(row(&session, "eks-guest").link, Link::Unauthorized { .. })).await;
    assert_eq!(names(&session), ["eks-guest"]);

    // In a fleet file both are rows, and only the first may drive.
    let session = bed.start_with(|settings| {
        settings.drive = true;
        settings.fleet.providers = ["eks", "eks-app"].map(|name| settings.provider(name)).to_vec();
    });
    until("both rows", || is_up(&session, "eks") && is_up(&session, "eks-app")).await;
    assert!(*session.context("eks").expect("a row").drive.borrow() && !*session.context("eks-app").expect("a row").drive.borrow());
    session.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_contexts_keep_nobody_waiting() {
    const DEAD: usize = 290;
    let live: Vec<String> = (0..10).map(|n| format!("live-{n}")).collect();
    let bed = Bed::up(&live.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // Half refuse at once, half take a connection and say nothing; those that live come last.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let mut config = bed.config.clone();
    for n in 0..DEAD {
        let (name, port) = (format!("dead-{n}"), if n % 2 == 0 { 1 } else { port });
        let server = format!("https://127.0.{}.{}:{port}", n / 200, n % 200 + 1);
        let server = if n % 2 == 0 { server } else { format!("https://127.0.0.1:{port}/{n}") };
        config["clusters"].as_array_mut().expect("clusters").push(json!({"name": name, "cluster": {"server": server}}));
        config["contexts"]
            .as_array_mut()
            .expect("contexts")
            .insert(0, json!({"name": name, "context": {"cluster": name, "user": "operator"}}));
    }
    bed.write(&config);
    let began = std::time::Instant::now();
    let session = bed.start();
    assert_eq!(names(&session).len(), DEAD + live.len());
    until("those that live", || live.iter().all(|name| is_up(&session, name))).await;
    eprintln!("10 live contexts behind 290 dead ones are up after {:.1}s", began.elapsed().as_secs_f64());
    let dead = |link: &Link| matches!(link, Link::Unreachable { .. });
    until("the others are rows", || now(&session).each().filter(|c| c.name.starts_with("dead")).all(|c| dead(&c.link))).await;
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    eprintln!("{tasks} tasks");
    // One task for a dead context, its connection while it tries, and a few dozen for a live one and its server.
    assert!(tasks < DEAD * 4 + live.len() * 120, "{tasks} tasks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_slept_dates_its_rows_and_connects_anew() {
    let bed = Bed::up(&["eks"]).await;
    let session = bed.start_with(|settings| settings.drive = true);
    let context = session.context("eks").expect("a context");
    until("eks is driven", || {
        is_up(&session, "eks") && context.lease().is_some_and(|lease| crate::runner::ports::Leadership::may_write(&*lease))
    })
    .await;
    let before = context.cluster().expect("a cluster");
    context.woke(Duration::from_secs(600));
    let seen = context.view();
    assert!(matches!(&seen.link, Link::Stale { why, .. } if why.contains("slept for 600s")), "{:?}", seen.link);
    assert_eq!(seen.canaries.len(), 1, "what was known stays, dated");
    let anew = || context.cluster().is_some_and(|cluster| !Arc::ptr_eq(&cluster, &before));
    until("another connection", || anew() && is_up(&session, "eks")).await;
    until("it is driven again", || context.lease().is_some_and(|lease| crate::runner::ports::Leadership::may_write(&*lease))).await;
    session.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_ends_while_all_is_well_is_said() {
    let bed = Bed::up(&[]).await;
    let line = Line::new(cluster("eks").await, "operator", None);
    let session = Session::start(bed.settings(), Contexts::ready([("eks".to_owned(), line.client())])).expect("a session");
    until("it is live", || is_up(&session, "eks")).await;
    line.set_weather(Some(Arc::new(|_| Some(Trouble::Answered(401)))));
    until("it is refused", || matches!(row(&session, "eks").link, Link::Unauthorized { .. })).await;
    assert_eq!(row(&session, "eks").canaries.len(), 1);
    line.set_weather(None);
    session.logged_in("eks");
    until("it is live again", || is_up(&session, "eks")).await;
}
