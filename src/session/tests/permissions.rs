//! What an API server foretells: yes, no, here and not there, and nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;

use super::*;
use crate::session::view::{Need, Permission};

/// What is answered to the question for a verb, a resource and a namespace; `None` is a refusal to say.
type Says = fn(&str, &str, &str) -> Option<bool>;

/// A client whose API server answers reviews by `says`, and all else as it does.
fn reviewed(server: &Arc<ApiServer>, says: Says, asked: Arc<AtomicUsize>) -> Client {
    let inner = Line::new(Arc::clone(server), "operator", None).client();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, asked) = (inner.clone(), Arc::clone(&asked));
        async move {
            if !request.uri().path().ends_with("selfsubjectaccessreviews") {
                return inner.send(request).await.map_err(Box::<dyn std::error::Error + Send + Sync>::from);
            }
            asked.fetch_add(1, Ordering::Relaxed);
            let sent = request.into_body().collect().await?.to_bytes();
            let sent: Value = serde_json::from_slice(&sent)?;
            let field = |name: &str| sent["spec"]["resourceAttributes"][name].as_str().unwrap_or_default();
            let (status, body) = match says(field("verb"), field("resource"), field("namespace")) {
                Some(allowed) => {
                    (StatusCode::CREATED, json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed, "reason": "by rule"}}))
                }
                None => (
                    StatusCode::NOT_FOUND,
                    json!({"kind": "Status", "status": "Failure", "code": 404, "message": "no such thing", "reason": "NotFound"}),
                ),
            };
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() = status;
            Ok(response)
        }
    });
    Client::new(service, "default")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_are_known_beforehand_or_unknown() {
    let bed = Bed::up(&[]).await;
    let asked: Arc<AtomicUsize> = Arc::default();
    let rules: [(&str, Says); 4] = [
        ("all", |_, _, _| Some(true)),
        ("reader", |_, _, _| Some(false)),
        ("mute", |_, _, _| None),
        ("partly", |verb, resource, namespace| Some(resource != "leases" && (namespace == "app" || verb == "get"))),
    ];
    let mut clients = Vec::new();
    for (name, says) in rules {
        let server = cluster(name).await;
        let other = json!({"metadata": {"name": "web"}});
        server.call("admin", http::Method::POST, "/api/v1/namespaces", "", Some(&other)).expect("a namespace");
        let canary = server.object("canaries", "app", &format!("web-{name}")).expect("a canary");
        let mut second = json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "shop"}});
        second["spec"] = canary["spec"].clone();
        let path = "/apis/flagger.app/v1beta1/namespaces/web/canaries";
        server.call("admin", http::Method::POST, path, "", Some(&second)).expect("a canary");
        clients.push((name.to_owned(), reviewed(&server, says, Arc::clone(&asked))));
    }
    let session = Session::start(bed.settings(), Contexts::ready(clients)).expect("a session");
    until("all are live", || now(&session).each().all(|c| c.link.is_live() && c.canaries.len() == 2)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody has looked at any of them");
    assert_eq!(row(&session, "all").permission(Need::Verbs), &Permission::Unknown);

    for context in session.contexts() {
        context.ask_permissions();
        context.ask_permissions();
    }
    until("answers", || now(&session).each().all(|c| c.permissions.len() == Need::ALL.len())).await;
    let told = |name: &str, need: Need, namespace: Option<&str>| row(&session, name).permission(need).denial(namespace).map(str::to_owned);
    for need in Need::ALL {
        assert_eq!(row(&session, "all").permission(need), &Permission::Allowed);
        assert_eq!(row(&session, "mute").permission(need), &Permission::Unknown, "no answer is no refusal");
        assert!(told("reader", need, None).is_some_and(|why| why.starts_with("may not ") && why.ends_with("by rule")));
    }
    assert_eq!(told("partly", Need::Verbs, None), None);
    assert_eq!(told("partly", Need::Verbs, Some("app")), None);
    assert_eq!(told("partly", Need::Verbs, Some("web")).as_deref(), Some("may not patch canaries.flagger.app in web: by rule"));
    assert!(told("partly", Need::Drive, Some("app")).is_some_and(|why| why.contains("leases")));

    let once = asked.load(Ordering::Relaxed);
    session.contexts().iter().for_each(|context| context.ask_permissions());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(asked.load(Ordering::Relaxed), once, "answers are good for a while");
}
