//! Credentials of contexts: issued by plugins once for all who share them, renewed in time, and foreseen to end.
//!
//! Contexts whose plugin, arguments and environment are equal share one run and its answer. An answer is used until
//! a fifth of its life is left; then the next request starts a renewal and goes on with what there is. At most
//! [`AT_ONCE`] plugins run at a time. What a run is, is `plugin.rs`'s.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::{Request, header};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::{AuthError, Body};
use kube::config::AuthInfo;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::expiry;
use super::plugin::{Call, DEADLINE, Issued, PluginError};
use crate::domain::text::clean;

/// Plugins that run at a time: some start an interpreter and a browser's worth of libraries.
const AT_ONCE: usize = 4;
/// An answer that ends sooner is of no use to a request that starts now.
const TOO_LATE: SignedDuration = SignedDuration::from_secs(2);
/// A failed plugin is left alone for so long, whoever asks.
const REST: Duration = Duration::from_secs(10);
/// A credential that is refused when it is younger is not the server's last word on the plugin.
const YOUNG: SignedDuration = SignedDuration::from_secs(10);

type Flight = Shared<BoxFuture<'static, Result<Arc<Issued>, PluginError>>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is known of a context's credential.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    /// Name of the exec credential plugin, without its folder.
    pub plugin: Option<String>,
    pub expires: Option<Timestamp>,
    /// A person may log in for it at a terminal.
    pub interactive: bool,
    /// The kubeconfig's name of the user.
    pub user: String,
}

/// The plugins of one process.
pub(super) struct Plugins {
    known: Mutex<BTreeMap<Call, Arc<Plugin>>>,
    places: Arc<Semaphore>,
}

impl Default for Plugins {
    fn default() -> Self {
        Self { known: Mutex::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Plugins {
    /// The plugin of `call`: one for all equal calls.
    pub fn of(&self, call: Call) -> Arc<Plugin> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let state = Mutex::new(State { held: None, failed: None, flight: None });
            Arc::new(Plugin { call: call.clone(), places: Arc::clone(&self.places), state, turns: watch::channel(0).0 })
        };
        Arc::clone(known.entry(call.clone()).or_insert_with(made))
    }
}

struct State {
    held: Option<Arc<Issued>>,
    /// Why the last run gave nothing, and when that was.
    failed: Option<(Instant, PluginError)>,
    flight: Option<Flight>,
}

/// One plugin with its arguments and environment.
pub(super) struct Plugin {
    pub call: Call,
    places: Arc<Semaphore>,
    state: Mutex<State>,
    /// Counts runs that ended.
    turns: watch::Sender<u64>,
}

impl Plugin {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A credential that is good now; waits for the plugin only where there is none.
    ///
    /// # Errors
    /// [`PluginError`] of the run, which is not repeated at once.
    pub async fn credential(self: &Arc<Self>) -> Result<Arc<Issued>, PluginError> {
        let flight = {
            let mut state = self.state();
            let resting = state.failed.clone().filter(|(at, _)| at.elapsed() < REST).map(|(_, error)| error);
            let held = state.held.clone().filter(|held| !is_over(held, Timestamp::now()));
            match (held, resting) {
                (Some(held), resting) => {
                    if resting.is_none() && is_due(&held, Timestamp::now()) {
                        // It goes on by itself; this request has what it needs.
                        drop(self.start(&mut state));
                    }
                    return Ok(held);
                }
                (None, Some(error)) => return Err(error),
                (None, None) => self.start(&mut state),
            }
        };
        flight.await
    }

    /// Joins the run under way, or begins one. It goes on when nobody waits for it any more.
    fn start(self: &Arc<Self>, state: &mut State) -> Flight {
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let this = Arc::clone(self);
        let run = tokio::spawn(async move {
            let place = this.places.acquire().await;
            let answer = this.call.run(DEADLINE).await.map(Arc::new);
            drop(place);
            let mut state = this.state();
            state.flight = None;
            match &answer {
                Ok(issued) => {
                    state.held = Some(Arc::clone(issued));
                    state.failed = None;
                }
                Err(error) => {
                    tracing::warn!(plugin = %this.call.name(), %error, "no credential");
                    state.failed = Some((Instant::now(), error.clone()));
                }
            }
            drop(state);
            this.turns.send_modify(|count| *count += 1);
            answer
        });
        let program = self.call.name();
        let ended =
            run.map(move |joined| joined.unwrap_or_else(|error| Err(PluginError::Failed { program, why: clean(&error.to_string()) })));
        let flight = ended.boxed().shared();
        state.flight = Some(flight.clone());
        flight
    }

    /// A server refused `issued`: the next request gets another one.
    fn refused(&self, issued: &Arc<Issued>) {
        let mut state = self.state();
        let is_held = state.held.as_ref().is_some_and(|held| Arc::ptr_eq(held, issued));
        if is_held && Timestamp::now().duration_since(issued.at) > YOUNG {
            state.held = None;
        }
    }

    /// Somebody has logged in: whatever is known is of before.
    pub fn forget(&self) {
        let mut state = self.state();
        (state.held, state.failed) = (None, None);
    }

    /// What is held now, without a run.
    pub fn held(&self) -> Option<Arc<Issued>> {
        self.state().held.clone()
    }

    /// Whether a run is under way.
    pub fn is_running(&self) -> bool {
        self.state().flight.is_some()
    }

    /// Follows the ends of runs.
    pub fn turns(&self) -> watch::Receiver<u64> {
        self.turns.subscribe()
    }
}

fn is_over(issued: &Issued, now: Timestamp) -> bool {
    issued.expires.is_some_and(|at| at.duration_since(now) <= TOO_LATE)
}

/// Whether less than a fifth of its life is left.
fn is_due(issued: &Issued, now: Timestamp) -> bool {
    issued.expires.is_some_and(|at| {
        let (life, left) = (at.duration_since(issued.at), at.duration_since(now));
        left * 5 <= life
    })
}

/// `client` with the plugin's token on every request. A certificate is in the client already, and is only kept fresh.
pub(super) fn carrying(client: Client, plugin: Arc<Plugin>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let (client, plugin) = (client.clone(), Arc::clone(&plugin));
        async move {
            let denied = |error: PluginError| kube::Error::Auth(AuthError::AuthExec(error.to_string()));
            let issued = plugin.credential().await.map_err(denied)?;
            if let Some(header) = &issued.header {
                request.headers_mut().insert(header::AUTHORIZATION, header.clone());
            }
            let answer = client.send(request).await?;
            if answer.status() == http::StatusCode::UNAUTHORIZED {
                plugin.refused(&issued);
            }
            Ok::<_, BoxError>(answer)
        }
    });
    Client::new(service, namespace)
}

/// Puts a certificate that a plugin issued where the kubeconfig's own would stand.
pub(super) fn present(auth: &mut AuthInfo, certificate: &str, key: &str) {
    use base64::Engine as _;
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let fields = json!({"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)});
    if let Ok(made) = serde_json::from_value::<AuthInfo>(fields) {
        auth.client_certificate_data = made.client_certificate_data;
        auth.client_key_data = made.client_key_data;
    }
}

/// When what the kubeconfig itself holds ends: the earliest of token and certificate. Files are read now.
pub(super) fn foreseen(auth: &AuthInfo) -> Option<Timestamp> {
    let fields: Value = serde_json::to_value(auth).unwrap_or_default();
    let field = |name: &str| fields[name].as_str().filter(|text| !text.is_empty());
    let file = |name: &str| field(name).and_then(|path| std::fs::read(path).ok());
    let token = field("token").map(str::to_owned).or_else(|| file("tokenFile").and_then(|bytes| String::from_utf8(bytes).ok()));
    let inline = field("client-certificate-data").and_then(|data| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(data).ok()
    });
    let certificate = inline.or_else(|| file("client-certificate"));
    let ends = [token.as_deref().and_then(expiry::of_token), certificate.as_deref().and_then(expiry::of_certificate)];
    ends.into_iter().flatten().min()
}

/// Whether `auth` gets its credential from its plugin: what stands in the kubeconfig itself comes first.
pub(super) fn needs_plugin(auth: &AuthInfo) -> bool {
    let own = auth.auth_provider.is_some() || auth.token.is_some() || auth.token_file.is_some();
    let basic = auth.username.is_some() && auth.password.is_some();
    auth.exec.is_some() && !own && !basic
}

/// Whether `auth` says anything about who one is.
pub(super) fn is_there(auth: &AuthInfo) -> bool {
    auth.exec.is_some()
        || auth.auth_provider.is_some()
        || auth.token.is_some()
        || auth.token_file.is_some()
        || auth.username.is_some()
        || auth.client_certificate.is_some()
        || auth.client_certificate_data.is_some()
}

/// What a person runs at a terminal to log in; its standard output may be a credential, and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginCommand {
    pub program: String,
    pub args: Vec<String>,
    /// Set besides the environment of this process.
    pub env: BTreeMap<String, String>,
    /// A sentence about what is going to happen.
    pub hint: String,
    /// What it prints is for a program: discard it, or keep it from the screen.
    pub prints_secret: bool,
}

/// Plugins that need another program for a login, by their names: program, arguments, and the option and variable whose
/// value goes along.
const LOGINS: &[(&str, &str, &[&str], Option<(&str, &str)>)] = &[
    ("aws", "aws", &["sso", "login"], Some(("--profile", "AWS_PROFILE"))),
    ("aws-iam-authenticator", "aws", &["sso", "login"], Some(("--profile", "AWS_PROFILE"))),
    ("gke-gcloud-auth-plugin", "gcloud", &["auth", "login"], None),
    ("gcloud", "gcloud", &["auth", "login"], None),
    ("doctl", "doctl", &["auth", "init"], None),
];

impl LoginCommand {
    /// The login that belongs to `call`; `None` where its plugin never talks to a person and no other program is known.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let name = call.name();
        let env = call.env.clone();
        if let Some((_, program, words, along)) = LOGINS.iter().find(|(plugin, ..)| *plugin == name) {
            let mut args: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            if let Some((option, variable)) = along {
                let of_option = call.args.iter().skip_while(|arg| arg != option).nth(1);
                if let Some(value) = of_option.or_else(|| env.get(*variable)) {
                    args.extend([(*option).to_owned(), value.clone()]);
                }
            }
            let hint = clean(&format!("{program} {} logs in for {name}", args.join(" ")));
            return Some(Self { program: (*program).to_owned(), args, env, hint, prints_secret: false });
        }
        if call.never_interactive {
            return None;
        }
        let mut env = env;
        env.insert("KUBERNETES_EXEC_INFO".into(), call.info(true));
        let hint = format!("{name} asks at the terminal, and its answer stays hidden");
        Some(Self { program: call.program.clone(), args: call.args.clone(), env, hint, prints_secret: true })
    }
}

#[cfg(test)]
mod tests;
