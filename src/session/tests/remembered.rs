//! The fleet of the last session on the first frame of the next.

use super::*;
use crate::session::view::Link;

fn remembering(bed: &Bed) -> Arc<Session> {
    bed.start_with(|settings| settings.remember = Some("this fleet".into()))
}

fn file(bed: &Bed) -> PathBuf {
    let found = std::fs::read_dir(bed.folder.path().join("cache/fleets")).expect("a folder").flatten().next();
    found.expect("a file").path()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_fleet_is_shown_dated_until_the_live_one_is_there() {
    let bed = Bed::up(&["aks", "eks"]).await;
    let session = remembering(&bed);
    assert!(names(&session).len() == 2 && row(&session, "eks").canaries.is_empty(), "nothing is remembered yet");
    until("the fleet", || is_up(&session, "aks") && is_up(&session, "eks")).await;
    session.close().await;
    drop(session);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file(&bed)).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600);

    // One of the two cannot be reached the next time.
    let mut config = bed.config.clone();
    config["clusters"][1]["cluster"]["server"] = json!("https://127.0.0.1:1");
    bed.write(&config);
    let session = remembering(&bed);
    for name in ["aks", "eks"] {
        let seen = row(&session, name);
        assert_eq!(seen.canaries.len(), 1, "{name} is remembered");
        assert!(matches!(seen.link, Link::Connecting { .. }) && seen.remembered.is_some() && seen.heard == seen.remembered, "{seen:?}");
    }
    until("one is live", || is_up(&session, "aks")).await;
    until("the other is dated", || matches!(row(&session, "eks").link, Link::Unreachable { .. })).await;
    assert!(row(&session, "eks").canaries.len() == 1 && row(&session, "eks").remembered.is_some());
    let dated = row(&session, "eks").remembered;
    session.close().await;
    drop(session);

    // What was not seen again keeps its date; who prints and exits shows what is.
    let session = remembering(&bed);
    assert_eq!(row(&session, "eks").remembered, dated);
    let once = bed.start();
    assert!(once.contexts().iter().all(|context| context.view().canaries.is_empty() || context.view().remembered.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_trusted_is_not_remembered() {
    let bed = Bed::up(&["eks"]).await;
    let session = remembering(&bed);
    until("the fleet", || is_up(&session, "eks")).await;
    session.close().await;
    let path = file(&bed);
    let good = std::fs::read_to_string(&path).expect("a file");
    assert!(!good.contains(bed.token()), "no credential is in it");
    bed.write(&{
        let mut config = bed.config.clone();
        config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
        config
    });
    for text in [
        good[..good.len() / 2].to_owned(),
        good.lines().take(2).collect::<Vec<_>>().join("\n"),
        good.replace("\"version\":2", "\"version\":99"),
        good.replace("\"key\":\"", "\"key\":\"f"),
        String::new(),
    ] {
        std::fs::write(&path, text).expect("it is written");
        let session = remembering(&bed);
        assert!(row(&session, "eks").canaries.is_empty() && row(&session, "eks").remembered.is_none());
    }
    std::fs::write(&path, good.replace("web-eks", "web\\u001b]0;x\\u0007\u{202e}-eks")).expect("it is written");
    assert_eq!(row(&remembering(&bed), "eks").canaries[0].key.name, "web]0;x-eks", "it is cleaned as what comes from a cluster is");
    std::fs::write(&path, &good).expect("it is written");
    assert_eq!(row(&remembering(&bed), "eks").canaries.len(), 1);
    let other = bed.start_with(|settings| settings.remember = Some("another fleet".into()));
    assert!(row(&other, "eks").canaries.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_written_again_only_when_it_says_something_else() {
    use std::os::unix::fs::MetadataExt as _;

    use crate::session::remembered::Memory;
    let bed = Bed::up(&["aks", "eks"]).await;
    let session = bed.start();
    until("the fleet", || is_up(&session, "aks") && is_up(&session, "eks")).await;
    let mut fleet = (**session.view().borrow()).clone();
    let mut memory = Memory::new(&bed.folder.path().join("cache"), "this fleet");
    let mut written = |fleet: &FleetView| {
        memory.write(fleet, false).expect("it is written");
        let metadata = std::fs::metadata(file(&bed)).expect("a file");
        (metadata.ino(), std::fs::read_to_string(file(&bed)).expect("a file").lines().count())
    };
    let first = written(&fleet);
    assert_eq!(first.1, 5, "a head, and two rows of one canary each");
    let change = |fleet: &mut FleetView, edit: fn(&mut ContextView)| edit(Arc::make_mut(&mut fleet.contexts[1]));
    change(&mut fleet, |row| row.heard = row.heard.map(|at| at + jiff::SignedDuration::from_secs(60)));
    assert_eq!(written(&fleet), first, "only a date is another");
    change(&mut fleet, |row| row.canaries.iter_mut().for_each(|canary| canary.events.clear()));
    assert_eq!(written(&fleet), first, "canaries that are made anew say the same");
    change(&mut fleet, |row| row.canaries[0].weight += 10);
    let second = written(&fleet);
    assert_ne!(second.0, first.0);
    change(&mut fleet, |row| drop(row.canaries.remove(0)));
    assert_eq!(written(&fleet).1, 4);
}
