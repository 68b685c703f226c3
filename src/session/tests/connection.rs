//! The connection to a cluster: one for everything, asked whether it lives, and what its lease costs.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::kubernetes::kinds::Kind;
use crate::kubernetes::lease::{self, Claim, Lease};
use crate::kubernetes::store::WatchState;
use crate::session::view::{DriverView, Link};
use crate::simulation::line::Asked;

/// Passes bytes on to the cluster behind it, counts connections, and falls silent when told to.
struct Relay {
    address: String,
    connections: Arc<AtomicUsize>,
    silent: watch::Sender<bool>,
    task: tokio::task::AbortHandle,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("https://{}", listener.local_addr().expect("an address"));
        let behind = server.trim_start_matches("https://").to_owned();
        let (connections, silent) = (Arc::new(AtomicUsize::new(0)), watch::channel(false).0);
        let (count, quiet) = (Arc::clone(&connections), silent.subscribe());
        let task = tokio::spawn(async move {
            let mut lines = tokio::task::JoinSet::new();
            while let Ok((here, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (behind, mut quiet) = (behind.clone(), quiet.clone());
                lines.spawn(async move {
                    let mut here = here;
                    let Ok(mut there) = TcpStream::connect(behind).await else { return };
                    let is_silent = tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => false,
                        told = quiet.wait_for(|quiet| *quiet) => told.is_ok(),
                    };
                    if is_silent {
                        std::future::pending::<()>().await;
                    }
                });
            }
        })
        .abort_handle();
        Self { address, connections, silent, task }
    }
}

/// A bed whose one cluster is reached through a relay.
async fn relayed() -> (Bed, Relay) {
    let bed = Bed::up(&["eks"]).await;
    let mut config = bed.config.clone();
    let relay = Relay::before(config["clusters"][0]["cluster"]["server"].as_str().expect("an address")).await;
    config["clusters"][0]["cluster"]["server"] = json!(relay.address);
    bed.write(&config);
    (bed, relay)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_carries_every_watch_of_a_cluster() {
    let (bed, relay) = relayed().await;
    let session = bed.start();
    until("everything is watched", || {
        let cluster = session.contexts()[0].cluster();
        cluster.is_some_and(|cluster| Kind::always().all(|kind| !matches!(cluster.store.state(kind), WatchState::Syncing)))
    })
    .await;
    assert!(is_up(&session, "eks"));
    assert_eq!(relay.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_is_noticed_and_made_anew() {
    let (bed, relay) = relayed().await;
    let session = bed.start();
    until("it is live", || is_up(&session, "eks")).await;
    relay.silent.send_replace(true);
    until("it is stale", || matches!(row(&session, "eks").link, Link::Stale { .. })).await;
    assert_eq!(row(&session, "eks").canaries.len(), 1, "what was seen stays");
    relay.silent.send_replace(false);
    until("it is live again", || is_up(&session, "eks")).await;
    assert!(relay.connections.load(Ordering::SeqCst) > 1);
}

/// Answers `answer` to everything, at the address that is returned.
async fn web_server(answer: &'static str) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", socket.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = socket.accept().await {
            tokio::spawn(async move {
                while matches!(peer.read(&mut [0; 4096]).await, Ok(1..)) {
                    if peer.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_answers_and_is_no_api_server_is_no_live_cluster() {
    for (answer, said) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot found", "no Kubernetes API server"),
        ("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 16\r\n\r\n<p>It works!</p>", "selfsubjectreviews"),
    ] {
        let bed = Bed::up(&["eks"]).await;
        let mut config = bed.config.clone();
        config["clusters"][0]["cluster"] = json!({"server": web_server(answer).await});
        bed.write(&config);
        let session = bed.start();
        until("it is not reached", || matches!(row(&session, "eks").link, Link::Unreachable { .. })).await;
        let Link::Unreachable { why, .. } = row(&session, "eks").link else { unreachable!("it was seen to be") };
        assert!(why.contains(said), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_drives_is_told_by_a_watch() {
    let bed = Bed::up(&["eks"]).await;
    let session = bed.start();
    until("it is live", || is_up(&session, "eks")).await;
    until("nobody drives", || matches!(row(&session, "eks").driver, DriverView::Nobody { .. })).await;
    let line = Line::new(Arc::clone(&bed.servers["eks"]), "other", None);
    let lease = Lease::new(Access::new(line.client()), lease::NAMESPACE, "other_1".into(), Clock::wall());
    let keeping = tokio::spawn(Arc::clone(&lease).keep());
    until("the other drives", || row(&session, "eks").driver == DriverView::Elsewhere { holder: "other_1".into() }).await;
    keeping.abort();
    lease.release().await;
    until("nobody drives again", || matches!(row(&session, "eks").driver, DriverView::Nobody { .. })).await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_of_the_lease_is_one_request() {
    let server = cluster("eks").await;
    let line = Line::new(Arc::clone(&server), "us", None);
    let (reads, writes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&reads), Arc::clone(&writes));
    line.set_weather(Some(Arc::new(move |asked: &Asked<'_>| {
        if asked.path.contains("/leases") {
            if asked.is_write() { &counts.1 } else { &counts.0 }.fetch_add(1, Ordering::SeqCst);
        }
        None
    })));
    let seen = || (reads.load(Ordering::SeqCst), writes.load(Ordering::SeqCst));
    let lease = Lease::new(Access::new(line.client()), lease::NAMESPACE, "us_1".into(), Clock::wall());
    let keeping = tokio::spawn(Arc::clone(&lease).keep());
    let mut states = lease.states();
    states.wait_for(|claim| *claim == Claim::Held).await.expect("it is ours");
    tokio::time::sleep(Duration::from_secs(7)).await;
    let (read, written) = seen();
    tokio::time::sleep(Duration::from_secs(50)).await;
    let (then, now) = seen();
    assert_eq!(then, read, "a renewal reads nothing");
    assert!((9..=11).contains(&(now - written)), "{} renewals in 50 s", now - written);
    // Whoever takes the Lease away is seen by the conflict.
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{}", lease::NAMESPACE, lease::NAME);
    let body = json!({"spec": {"holderIdentity": "thief_1"}});
    server.call("thief", http::Method::PATCH, &path, "", Some(&body)).expect("taken");
    states.wait_for(|claim| *claim == Claim::Other("thief_1".into())).await.expect("it is the thief's");
    keeping.abort();
}
