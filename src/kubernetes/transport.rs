//! The way to one API server: a single connection that carries every request and watch side by side, where the server
//! speaks HTTP/2; else, and through a proxy, one connection for each of them at a time.
//!
//! kube's own client speaks HTTP/1.1 alone. A fleet of sixty clusters then costs five hundred handshakes at the start
//! and a buffer for each watch; over HTTP/2 it costs sixty. What kube's client adds to a request, its base address,
//! credentials and headers, is taken from kube.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Response, Version};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use tower::ServiceBuilder;
use tower_http::decompression::DecompressionLayer;

/// A connection on which nothing has come for so long is asked by the kernel whether it lives: that finds out that the way
/// is cut, and wakes nobody while it is not.
const ASK_WAY: Duration = Duration::from_secs(10);
/// The same asked of the server by HTTP/2: that finds out that it hangs behind a way that is there.
const ASK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });
/// One that does not answer within this is dead, and so is every watch on it.
const ANSWER: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// Bytes that a server may send of one answer before it has been read.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same of all answers of a connection.
const CONNECTION_WINDOW: u32 = 2 << 20;

/// Why there is no way to a server.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error(transparent)]
    Kube(#[from] kube::Error),
    #[error("tls-server-name {0} is no host name: correct it in the kubeconfig")]
    ServerName(String),
}

/// Whether the last answer came by HTTP/2: then the connection is asked every [`ASK`] whether it lives, and ends its
/// watches where it does not.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicBool>);

impl Pulse {
    /// The longest time for which a dead connection goes unnoticed; `None` where only an answer to a request says that it
    /// lives.
    #[must_use]
    pub fn bound(&self) -> Option<Duration> {
        self.0.load(Ordering::Relaxed).then_some(ASK.saturating_add(ANSWER))
    }

    fn feel(&self, version: Version) {
        self.0.store(version == Version::HTTP_2, Ordering::Relaxed);
    }
}

/// A client by `config`; no request is made.
///
/// # Errors
/// Certificates, keys or names of the configuration cannot be used.
pub fn client(config: Config) -> Result<(Client, Pulse), TransportError> {
    let pulse = Pulse::default();
    if config.proxy_url.is_some() {
        return Ok((Client::try_from(config)?, pulse));
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(ASK_WAY));
    tcp.set_keepalive_interval(Some(ANSWER));
    tcp.set_keepalive_retries(Some(1));
    // Of what was sent and never acknowledged; other systems go by their own patience.
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(ASK_WAY + ANSWER));
    let mut tls = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let fixed = name.clone().try_into().map_err(|_| TransportError::ServerName(name.clone()))?;
        tls = tls.with_server_name_resolver(FixedServerNameResolver::new(fixed));
    }
    let mut connector = TimeoutConnector::new(tls.enable_all_versions().wrap_connector(tcp));
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let http = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(ASK)
        .http2_keep_alive_timeout(ANSWER)
        .http2_keep_alive_while_idle(true)
        .build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .layer(DecompressionLayer::new().gzip(!config.disable_compression))
        .map_response({
            let pulse = pulse.clone();
            move |answer: Response<_>| {
                pulse.feel(answer.version());
                answer
            }
        })
        // Layers name one error, the widest.
        .map_err(tower::BoxError::from)
        .service(http);
    Ok((Client::new(service, config.default_namespace), pulse))
}
