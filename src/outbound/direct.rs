//! Calls made by this process itself. A name is resolved once, every address it has is checked, and the connection
//! goes to what was checked: a name that changes a moment later (DNS rebinding) and a redirect gain nothing.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, StatusCode};
use reqwest::{Client, Url};

use super::address::{allowed, check, short};
use super::{LARGEST_BODY, Manner, Outbound};
use crate::domain::text::clean;

/// Redirects that one call follows.
const MOST_REDIRECTS: usize = 3;
/// Characters of a library's error that are shown.
const LONGEST_CAUSE: usize = 300;
const PRODUCT: &str = concat!("pilothouse/", env!("CARGO_PKG_VERSION"));

/// Makes requests from where the process stands.
///
/// Proxies named by the environment are not used: what they connect to could not be checked here.
#[derive(Clone, Debug)]
pub struct Direct {
    /// The process runs in a pod, where loopback is the process itself.
    pub in_cluster: bool,
}

impl Outbound for Direct {
    async fn send(&self, request: http::Request<Bytes>, manner: &Manner) -> Result<http::Response<Bytes>, String> {
        let host = short(request.uri().host().unwrap_or("the URL"));
        match tokio::time::timeout(manner.deadline, self.follow(request, manner)).await {
            Ok(reply) => reply,
            Err(_) => Err(format!("{host}: no whole answer within {:?}", manner.deadline)),
        }
    }
}

impl Direct {
    /// Makes the call, and again where a GET is redirected to.
    async fn follow(&self, request: http::Request<Bytes>, manner: &Manner) -> Result<http::Response<Bytes>, String> {
        let (parts, mut body) = request.into_parts();
        let mut headers = parts.headers;
        let mut url = check(&parts.uri.to_string(), self.in_cluster)?.url;
        for _ in 0..=MOST_REDIRECTS {
            let reply = self.ask(&parts.method, &url, headers.clone(), body.clone(), manner).await?;
            let Some(next) = redirect(&parts.method, &url, &reply)? else { return whole(reply, &host_of(&url)).await };
            let next =
                check(next.as_str(), self.in_cluster).map_err(|why| format!("{}: its redirect is not followed: {why}", host_of(&url)))?.url;
            if next.origin() != url.origin() {
                headers = for_strangers(&headers);
                body = Bytes::new();
            }
            url = next;
        }
        Err(format!("{}: redirected more than {MOST_REDIRECTS} times", host_of(&url)))
    }

    /// One request to `url`, its reply's body unread.
    async fn ask(
        &self,
        method: &Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Bytes,
        manner: &Manner,
    ) -> Result<reqwest::Response, String> {
        let proxy = manner.proxy.as_deref().map(|text| self.proxy(text)).transpose()?;
        let next = proxy.as_ref().unwrap_or(url);
        if proxy.is_some() {
            self.check_behind_proxy(url, manner.deadline).await?;
        }
        let addresses = self.resolve(next).await?;
        let client = client(next.host_str().unwrap_or_default(), &addresses, proxy.as_ref(), manner)?;
        // A compressed body may be a bomb, and nothing here unpacks one.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let sent = client.request(method.clone(), url.clone()).headers(headers).body(body).send().await;
        sent.map_err(|e| format!("{}: {}", host_of(url), cause(e)))
    }

    /// The proxy's URL. Unlike a destination it may hold a user and a password, and may lack its scheme.
    fn proxy(&self, text: &str) -> Result<Url, String> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).map_err(|e| format!("the proxy's URL cannot be read ({e}): write http://HOST:PORT"))?;
        let mut plain = url.clone();
        // Both fail only for URLs without a host, which `check` refuses by itself.
        let _ = plain.set_username("");
        let _ = plain.set_password(None);
        check(plain.as_str(), self.in_cluster).map_err(|why| format!("the proxy: {why}"))?;
        Ok(url)
    }

    /// Every address that the host of `url` has, each one checked.
    async fn resolve(&self, url: &Url) -> Result<Vec<SocketAddr>, String> {
        let host = host_of(url);
        let addresses = lookup(url).await.map_err(|e| format!("{host}: does not resolve: {}", cut(&e.to_string())))?;
        if addresses.is_empty() {
            return Err(format!("{host}: does not resolve to any address"));
        }
        self.check_all(&host, &addresses)?;
        Ok(addresses)
    }

    /// The proxy resolves the destination itself. What the name says here is checked all the same; a name that only the proxy
    /// knows passes, since networks with a proxy often resolve nothing else.
    async fn check_behind_proxy(&self, url: &Url, deadline: Duration) -> Result<(), String> {
        match tokio::time::timeout(deadline / 4, lookup(url)).await {
            Ok(Ok(addresses)) => self.check_all(&host_of(url), &addresses),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    fn check_all(&self, host: &str, addresses: &[SocketAddr]) -> Result<(), String> {
        addresses.iter().try_for_each(|address| allowed(address.ip(), self.in_cluster).map_err(|why| format!("{host}: {why}")))
    }
}

async fn lookup(url: &Url) -> std::io::Result<Vec<SocketAddr>> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    Ok(tokio::net::lookup_host((host, url.port_or_known_default().unwrap_or(80))).await?.collect())
}

/// Resolves nothing: a client connects to its pinned addresses or not at all.
struct Nobody;

impl reqwest::dns::Resolve for Nobody {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async { Err("the name was not among the checked ones".into()) })
    }
}

/// A client that can connect to `host` at `addresses` only.
fn client(host: &str, addresses: &[SocketAddr], proxy: Option<&Url>, manner: &Manner) -> Result<Client, String> {
    let builder = Client::builder()
        .user_agent(PRODUCT)
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(manner.insecure)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .no_proxy()
        .dns_resolver(Nobody)
        .resolve_to_addrs(host, addresses);
    let builder = match proxy {
        Some(url) => builder.proxy(reqwest::Proxy::all(url.clone()).map_err(|e| format!("the proxy: {}", cause(e)))?),
        None => builder,
    };
    builder.build().map_err(|e| format!("{}: {}", short(host), cause(e)))
}

/// Where `reply` sends a GET. Other methods would repeat their effect elsewhere: their 3xx is the reply.
fn redirect(method: &Method, from: &Url, reply: &reqwest::Response) -> Result<Option<Url>, String> {
    let follows = matches!(
        reply.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(location) = reply.headers().get(LOCATION).filter(|_| follows && *method == Method::GET) else { return Ok(None) };
    let target = location.to_str().ok().and_then(|text| from.join(text).ok());
    target.map(Some).ok_or_else(|| format!("{}: redirects to what is not a URL", host_of(from)))
}

/// What another origin may see. Credentials travel in headers of any name (`DD-API-KEY`), so harmless ones are listed instead.
fn for_strangers(headers: &HeaderMap) -> HeaderMap {
    headers.iter().filter(|(name, _)| [ACCEPT, USER_AGENT].contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The reply with its body, which is never kept beyond [`LARGEST_BODY`].
async fn whole(mut reply: reqwest::Response, host: &str) -> Result<http::Response<Bytes>, String> {
    let too_long = || format!("{host}: the body is longer than {} MiB and is not read", LARGEST_BODY / 1024 / 1024);
    if reply.content_length().is_some_and(|length| length > LARGEST_BODY as u64) {
        return Err(too_long());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = reply.chunk().await.map_err(|e| format!("{host}: {}", cause(e)))? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    let mut out = http::Response::new(body.freeze());
    *out.status_mut() = reply.status();
    *out.headers_mut() = std::mem::take(reply.headers_mut());
    Ok(out)
}

fn host_of(url: &Url) -> String {
    short(url.host_str().unwrap_or_default())
}

/// What a client says, with its causes, without the URL: paths and queries are secrets.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut out = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        let text = inner.to_string();
        if !out.contains(&text) {
            out = format!("{out}: {text}");
        }
        source = inner.source();
    }
    cut(&out)
}

fn cut(text: &str) -> String {
    clean(text).chars().take(LONGEST_CAUSE).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const OUTSIDE: Direct = Direct { in_cluster: false };
    const INSIDE: Direct = Direct { in_cluster: true };

    /// Heads of the requests that a server saw, in lower case.
    type Heads = Arc<Mutex<Vec<String>>>;

    /// A server that answers request number N with `reply(N)`, then whatever `tail` does.
    async fn server<F, T>(reply: impl Fn(usize) -> String + Send + 'static, tail: F) -> (String, Heads)
    where
        F: Fn(TcpStream) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let heads = Heads::default();
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            let count = AtomicUsize::new(0);
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = vec![0; 16 * 1024];
                let length = stream.read(&mut buffer).await.unwrap_or(0);
                kept.lock().expect("a lock").push(String::from_utf8_lossy(&buffer[..length]).to_lowercase());
                let text = reply(count.fetch_add(1, Ordering::SeqCst));
                let _ = stream.write_all(text.as_bytes()).await;
                tokio::spawn(tail(stream));
            }
        });
        (url, heads)
    }

    async fn answers(reply: impl Fn(usize) -> String + Send + 'static) -> (String, Heads) {
        server(reply, |_| async {}).await
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    fn moved(to: &str) -> String {
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    }

    fn get(url: &str) -> http::Request<Bytes> {
        http::Request::get(url).body(Bytes::new()).expect("a request")
    }

    fn soon() -> Manner {
        Manner::within(Duration::from_secs(10))
    }

    fn seen(heads: &Heads) -> Vec<String> {
        heads.lock().expect("a lock").clone()
    }

    #[tokio::test]
    async fn a_reply_comes_back_whole_whatever_its_status() {
        let (url, heads) = answers(|_| "HTTP/1.1 418 x\r\nx-kind: pot\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntea".into()).await;
        let reply = OUTSIDE.send(get(&format!("{url}/a?b=c")), &soon()).await.expect("a reply");
        assert_eq!((reply.status().as_u16(), reply.headers()["x-kind"].as_bytes(), &reply.body()[..]), (418, &b"pot"[..], &b"tea"[..]));
        let head = seen(&heads).remove(0);
        assert!(head.starts_with("get /a?b=c http/1.1") && head.contains("accept-encoding: identity\r\n"), "{head}");
    }

    #[tokio::test]
    async fn refused_addresses_are_not_called() {
        for url in ["http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "https://kubernetes.default.svc/api"] {
            let why = OUTSIDE.send(get(url), &soon()).await.expect_err(url);
            assert!(why.contains("refused"), "{why}");
        }
        let (url, heads) = answers(|_| ok("")).await;
        assert!(INSIDE.send(get(&url), &soon()).await.is_err_and(|why| why.contains("loopback")));
        assert!(seen(&heads).is_empty());
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_loopback_is_refused_inside_a_cluster() {
        let (url, heads) = answers(|_| ok("")).await;
        let url = url.replace("127.0.0.1", "localhost");
        assert!(INSIDE.send(get(&url), &soon()).await.is_err_and(|why| why.starts_with("localhost:") && why.contains("loopback")));
        assert!(seen(&heads).is_empty());
        assert!(OUTSIDE.send(get(&url), &soon()).await.is_ok(), "the same name is fine outside");
    }

    #[tokio::test]
    async fn a_client_connects_to_its_pinned_addresses_only() {
        let (url, heads) = answers(|_| ok("")).await;
        let address: SocketAddr = url.trim_start_matches("http://").parse().expect("an address");
        let client = client("pinned.test", &[address], None, &soon()).expect("a client");
        assert!(client.get(format!("http://pinned.test:{}/", address.port())).send().await.is_ok());
        assert!(client.get(format!("http://localhost:{}/", address.port())).send().await.is_err());
        assert_eq!(seen(&heads).len(), 1);
    }

    #[tokio::test]
    async fn a_redirect_is_checked_like_the_first_address() {
        for target in ["http://169.254.169.254/latest", "http://[fe80::1]/", "file:///etc/passwd", "http://a:b@c/", "//kubernetes.default/"]
        {
            let (url, _) = answers(move |_| moved(target)).await;
            let why = OUTSIDE.send(get(&url), &soon()).await.expect_err(target);
            assert!(why.contains("redirect is not followed") && why.contains("refused"), "{why}");
        }
    }

    #[tokio::test]
    async fn three_redirects_are_followed_and_a_fourth_is_not() {
        let (url, heads) = answers(|n| if n < 3 { moved("/next") } else { ok("here") }).await;
        assert_eq!(OUTSIDE.send(get(&url), &soon()).await.expect("a reply").body(), "here");
        assert_eq!(seen(&heads).len(), 4);
        let (url, heads) = answers(|_| moved("/next")).await;
        assert!(OUTSIDE.send(get(&url), &soon()).await.is_err_and(|why| why.contains("more than 3")));
        assert_eq!(seen(&heads).len(), 4);
    }

    #[tokio::test]
    async fn a_post_is_not_redirected() {
        let (url, heads) = answers(|_| moved("/next")).await;
        let post = http::Request::post(&url).body(Bytes::from_static(b"{}")).expect("a request");
        assert_eq!(OUTSIDE.send(post, &soon()).await.expect("a reply").status(), 302);
        assert_eq!(seen(&heads).len(), 1);
    }

    #[tokio::test]
    async fn credentials_stay_with_their_origin() {
        let with = |url: &str| {
            let request = http::Request::get(url).header("authorization", "Bearer s3cret").header("dd-api-key", "s3cret");
            request.header("accept", "text/plain").body(Bytes::new()).expect("a request")
        };
        let (other, strangers) = answers(|_| ok("")).await;
        let (url, heads) = answers(move |n| if n == 0 { moved("/again") } else { moved(&other) }).await;
        OUTSIDE.send(with(&url), &soon()).await.expect("a reply");
        assert!(seen(&heads)[1].contains("authorization: bearer s3cret") && seen(&heads)[1].contains("dd-api-key"));
        let stranger = seen(&strangers).remove(0);
        assert!(stranger.contains("accept: text/plain") && !stranger.contains("s3cret"), "{stranger}");
    }

    #[tokio::test]
    async fn an_endless_or_announced_huge_body_is_cut() {
        let head = |_| "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
        let (url, _) = server(head, |mut stream| async move {
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
        })
        .await;
        let begun = Instant::now();
        assert!(OUTSIDE.send(get(&url), &soon()).await.is_err_and(|why| why.contains("longer than 4 MiB")));
        let (url, _) = answers(|_| "HTTP/1.1 200 OK\r\ncontent-length: 3221225472\r\n\r\nx".into()).await;
        assert!(OUTSIDE.send(get(&url), &soon()).await.is_err_and(|why| why.contains("longer than 4 MiB")));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_slow_body_ends_at_the_deadline() {
        let head = |_| "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".to_owned();
        let (url, _) = server(head, |mut stream| async move {
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let begun = Instant::now();
        let why = OUTSIDE.send(get(&url), &Manner::within(Duration::from_millis(400))).await.expect_err("too slow");
        assert!(why.contains("within 400ms"), "{why}");
        assert!(begun.elapsed() >= Duration::from_millis(400) && begun.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_proxy_is_used_and_checked() {
        let (url, heads) = answers(|_| ok("proxied")).await;
        let manner = |proxy: &str| Manner { proxy: Some(proxy.to_owned()), ..soon() };
        let bare = url.replace("http://", "");
        for (proxy, credentials) in [(url.clone(), false), (bare.clone(), false), (format!("http://me:pw@{bare}"), true)] {
            let reply = OUTSIDE.send(get("http://192.0.2.1/x"), &manner(&proxy)).await.expect("a reply");
            assert_eq!(reply.body(), "proxied");
            let head = seen(&heads).pop().expect("a request");
            assert!(head.starts_with("get http://192.0.2.1/x ") && head.contains("proxy-authorization") == credentials, "{head}");
        }
        let refused = |who: Direct, target: &'static str, proxy: String| async move {
            let why = who.send(get(target), &manner(&proxy)).await.expect_err("a refusal");
            assert!(why.contains("169.254.169.254") || why.contains("loopback"), "{why}");
            assert!(!why.contains("s3cret"), "{why}");
        };
        refused(OUTSIDE, "http://192.0.2.1/", "http://me:s3cret@169.254.169.254".into()).await;
        refused(OUTSIDE, "http://169.254.169.254/", url.clone()).await;
        refused(INSIDE, "http://localhost:1/", "http://192.0.2.1".into()).await;
        refused(INSIDE, "http://192.0.2.1/", url.replace("127.0.0.1", "localhost")).await;
        for proxy in ["socks5://127.0.0.1:1", "https://kubernetes.default.svc"] {
            let why = OUTSIDE.send(get("http://192.0.2.1/"), &manner(proxy)).await.expect_err(proxy);
            assert!(why.starts_with("the proxy: ") && why.contains("refused"), "{why}");
        }
        assert_eq!(seen(&heads).len(), 3);
    }

    #[tokio::test]
    async fn what_fails_is_named_without_its_path() {
        let why = OUTSIDE.send(get("http://127.0.0.1:1/s3cret?k=s3cret"), &soon()).await.expect_err("nobody listens");
        assert!(why.starts_with("127.0.0.1: ") && !why.contains("s3cret"), "{why}");
        let why = OUTSIDE.send(get("/s3cret"), &soon()).await.expect_err("no host");
        assert!(!why.contains("s3cret"), "{why}");
    }

    #[test]
    fn bad_input_27_a_header_cannot_carry_line_ends() {
        for value in ["a\r\nHost: b", "a\nb", "a\rb", "a\0b"] {
            assert!(HeaderValue::from_str(value).is_err(), "{value:?}");
            assert!(http::Request::get("http://a/").header("x", value).body(()).is_err(), "{value:?}");
        }
    }
}
