//! Simulated clusters behind loopback TLS: any number of them in one process, with one kubeconfig, for programs that
//! want a network.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures::StreamExt as _;
use http::{HeaderMap, Request, StatusCode, header};
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::api::{ApiServer, Reply};

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Larger bodies are refused, as by etcd.
const LARGEST_BODY: usize = 3 * 1024 * 1024;
/// Who the kubeconfig says that one is.
const USER: &str = "operator";

/// Why clusters are not served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on loopback: {0}; free a port")]
    Socket(std::io::Error),
    #[error("no certificate for loopback: {0}")]
    Certificate(String),
    #[error("cannot write {}: {cause}; name a folder that can be written", .path.display())]
    Folder { path: PathBuf, cause: std::io::Error },
}

/// Clusters that are being served. Dropped, they are no longer.
pub struct Served {
    pub kubeconfig: PathBuf,
    _tasks: JoinSet<()>,
}

/// Serves every cluster on a port of its own, and writes `kubeconfig` and its certificate into `folder`.
///
/// # Errors
/// [`ListenError`].
pub async fn serve(clusters: &[(String, Arc<ApiServer>)], folder: &Path) -> Result<Served, ListenError> {
    let certificate = |e: &dyn std::fmt::Display| ListenError::Certificate(e.to_string());
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).map_err(|e| certificate(&e))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut tls =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).map_err(|e| certificate(&e))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(tls));
    // A token of this run alone: loopback is open to every user of the machine.
    let token = crate::domain::revision::sha256_hex(&signing_key.serialize_der());
    let mut tasks = JoinSet::new();
    let mut addresses = Vec::new();
    for (name, server) in clusters {
        let tcp = TcpListener::bind("127.0.0.1:0").await.map_err(ListenError::Socket)?;
        addresses.push((name.clone(), tcp.local_addr().map_err(ListenError::Socket)?));
        let (shaken, incoming) = mpsc::channel(64);
        tasks.spawn(accept(tcp, tls.clone(), shaken));
        let state = Site { server: Arc::clone(server), token: token.clone() };
        let app = axum::Router::new().fallback(answer).with_state(state);
        tasks.spawn(async move {
            // It ends with this task.
            let _ = axum::serve(Incoming { incoming }, app).await;
        });
    }
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|cause| ListenError::Folder { path: path.clone(), cause })?;
        Ok(path)
    };
    let authority = write("ca.pem", &cert.pem())?;
    let kubeconfig = write("kubeconfig", &kubeconfig(&addresses, &authority, &token))?;
    Ok(Served { kubeconfig, _tasks: tasks })
}

fn kubeconfig(addresses: &[(String, SocketAddr)], authority: &Path, token: &str) -> String {
    let each =
        |make: &dyn Fn(&str, &SocketAddr) -> serde_json::Value| addresses.iter().map(|(name, at)| make(name, at)).collect::<Vec<_>>();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": addresses.first().map(|(name, _)| name),
        "clusters": each(&|name, at| json!({"name": name, "cluster": {"server": format!("https://{at}"), "certificate-authority": authority}})),
        "users": [{"name": USER, "user": {"token": token}}],
        "contexts": each(&|name, _| json!({"name": name, "context": {"cluster": name, "user": USER}}))
    });
    // JSON is YAML.
    format!("{config:#}\n")
}

/// Handshakes happen beside each other: one that hangs keeps nobody waiting.
async fn accept(tcp: TcpListener, tls: TlsAcceptor, shaken: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            accepted = tcp.accept() => {
                let Ok((stream, from)) = accepted else { continue };
                let (tls, shaken) = (tls.clone(), shaken.clone());
                handshakes.spawn(async move {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        let _ = shaken.send((stream, from)).await;
                    }
                });
            }
            Some(_) = handshakes.join_next(), if !handshakes.is_empty() => {}
        }
    }
}

struct Incoming {
    incoming: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl axum::serve::Listener for Incoming {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.incoming.recv().await {
            Some(accepted) => accepted,
            None => futures::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

#[derive(Clone)]
struct Site {
    server: Arc<ApiServer>,
    token: String,
}

fn is_authorized(headers: &HeaderMap, token: &str) -> bool {
    headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer ")) == Some(token)
}

async fn answer(State(state): State<Site>, request: Request<Body>) -> Response {
    if !is_authorized(request.headers(), &state.token) {
        let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
        return response(StatusCode::UNAUTHORIZED, "application/json", Body::from(body.to_string()));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return response(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", Body::from("request is too large"));
    };
    match state.server.handle(USER, Request::from_parts(parts, body)) {
        Reply::Answer { status, content_type, body } => response(status, content_type, Body::from(body)),
        Reply::Watch(stream) => {
            let lines = stream.map(Ok::<Bytes, std::convert::Infallible>);
            response(StatusCode::OK, "application/json", Body::from_stream(lines))
        }
    }
}

fn response(status: StatusCode, content: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content));
    response
}
