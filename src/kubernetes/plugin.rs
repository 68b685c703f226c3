//! One run of an exec credential plugin, away from the terminal: in a session of its own, nothing to read,
//! everything it says kept within bounds, and an end to its time.
//!
//! Plugins come from the user's own kubeconfig and from nowhere else. Who shares a run, and how long its answer is
//! kept, is `credentials.rs`'s.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::domain::text::clean;

/// A plugin that says nothing for so long waits for a person.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Helpers that outlive a plugin may hold its pipes; what has not come by then never will.
const GRACE: Duration = Duration::from_millis(500);
/// A credential is a few kilobytes.
const LONGEST_ANSWER: usize = 1024 * 1024;
/// The end of what a plugin complains about.
const LONGEST_COMPLAINT: usize = 16 * 1024;
/// Characters of a reason that fit a row and a half.
const LONGEST_REASON: usize = 300;
const API_VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// What is run. Equal calls give equal credentials.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    pub program: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    api_version: String,
    /// The cluster as JSON, where the plugin wants to know it.
    cluster: Option<String>,
    pub install_hint: Option<String>,
    /// It never talks to a person, whoever runs it.
    pub never_interactive: bool,
}

/// Why there is no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    #[error("credential plugin {program} cannot be started: {cause}; {way_out}")]
    Missing { program: String, cause: String, way_out: String },
    #[error("credential plugin {program}: {why}")]
    Failed { program: String, why: String },
    #[error("credential plugin {program} gave no answer within {seconds}s: it may wait for a person; log in, then it goes on")]
    Deadline { program: String, seconds: u64 },
    #[error("credential plugin {program} gave an answer that is no credential: {why}")]
    Nonsense { program: String, why: String },
}

/// What a plugin issued. It holds secrets, so it is never shown.
pub(super) struct Issued {
    /// `Bearer …`.
    pub header: Option<HeaderValue>,
    /// Certificate and key of a client, as PEM.
    pub identity: Option<(String, String)>,
    pub at: Timestamp,
    pub expires: Option<Timestamp>,
}

impl Call {
    /// # Errors
    /// [`PluginError::Nonsense`] for what no plugin can be run by.
    pub fn of(exec: &ExecConfig) -> Result<Self, PluginError> {
        let program = exec.command.clone().unwrap_or_default();
        let wrong = |why: &str| PluginError::Nonsense { program: short(&program), why: why.into() };
        if program.is_empty() {
            return Err(wrong("the kubeconfig names no command"));
        }
        let api_version = exec.api_version.clone().unwrap_or_default();
        if !API_VERSIONS.contains(&api_version.as_str()) {
            return Err(wrong(&format!("apiVersion {} is none of {}", clean(&api_version), API_VERSIONS.join(", "))));
        }
        let cluster = match (&exec.cluster, exec.provide_cluster_info) {
            (Some(cluster), true) => Some(serde_json::to_string(cluster).map_err(|e| wrong(&e.to_string()))?),
            _ => None,
        };
        let pair = |entry: &std::collections::HashMap<String, String>| Some((entry.get("name")?.clone(), entry.get("value")?.clone()));
        Ok(Self {
            args: exec.args.clone().unwrap_or_default(),
            env: exec.env.iter().flatten().filter_map(pair).collect(),
            api_version,
            cluster,
            install_hint: exec.install_hint.as_deref().map(clean).filter(|hint| !hint.is_empty()),
            never_interactive: exec.interactive_mode == Some(ExecInteractiveMode::Never),
            program,
        })
    }

    /// The program's name without its folder.
    #[must_use]
    pub fn name(&self) -> String {
        short(&self.program)
    }

    /// `KUBERNETES_EXEC_INFO`.
    #[must_use]
    pub fn info(&self, interactive: bool) -> String {
        let cluster = self.cluster.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let mut spec = json!({"interactive": interactive});
        if let Some(cluster) = cluster {
            spec["cluster"] = cluster;
        }
        json!({"kind": "ExecCredential", "apiVersion": self.api_version, "spec": spec}).to_string()
    }

    /// Runs the plugin once; past `deadline` it is ended with everything it started.
    ///
    /// # Errors
    /// [`PluginError`] with the plugin's own last words.
    pub async fn run(&self, deadline: Duration) -> Result<Issued, PluginError> {
        let program = self.name();
        let failed = |why: String| PluginError::Failed { program: program.clone(), why };
        let mut command = CommandWrap::with_new(&self.program, |command| {
            command.args(&self.args).envs(&self.env).env("KUBERNETES_EXEC_INFO", self.info(false));
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        });
        // Without a session of its own it could ask on /dev/tty, over the frame and for the operator's keys.
        command.wrap(ProcessSession);
        let child = command.spawn().map_err(|error| self.unstarted(&error))?;
        let mut group = Group { child, ended: false };
        let (said, complained) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let (stdout, stderr) = (group.child.stdout().take(), group.child.stderr().take());
        let status = {
            let mut reading = std::pin::pin!(async { tokio::join!(keep_head(stdout, &said), keep_tail(stderr, &complained)) });
            let mut ended = group.child.wait();
            let run = async {
                let mut read = false;
                let status = loop {
                    tokio::select! {
                        biased;
                        status = &mut ended => break status,
                        _ = &mut reading, if !read => read = true,
                    }
                };
                if !read {
                    let _ = tokio::time::timeout(GRACE, &mut reading).await;
                }
                status
            };
            tokio::time::timeout(deadline, run).await
        };
        let status = match status {
            Ok(status) => status.map_err(|e| failed(clean(&e.to_string())))?,
            Err(_) => return Err(PluginError::Deadline { program, seconds: deadline.as_secs() }),
        };
        group.ended = true;
        let said = said.into_inner().unwrap_or_else(PoisonError::into_inner);
        if status.success() {
            return self.read(&said);
        }
        let complained = complained.into_inner().unwrap_or_else(PoisonError::into_inner);
        Err(failed(last_words(&complained).unwrap_or_else(|| format!("ended with {status} and said nothing"))))
    }

    fn unstarted(&self, error: &std::io::Error) -> PluginError {
        let way_out = self.install_hint.clone().unwrap_or_else(|| "install it, or correct PATH or the kubeconfig".into());
        let cause = match error.kind() {
            std::io::ErrorKind::NotFound => "it is not installed".to_owned(),
            _ => clean(&error.to_string()),
        };
        PluginError::Missing { program: self.name(), cause, way_out }
    }

    fn read(&self, said: &[u8]) -> Result<Issued, PluginError> {
        // What it said is a secret, so no error repeats any of it.
        let wrong = |why: &str| PluginError::Nonsense { program: self.name(), why: why.into() };
        if said.len() > LONGEST_ANSWER {
            return Err(wrong("it is longer than 1 MiB"));
        }
        let text = std::str::from_utf8(said).map_err(|_| wrong("it is no text"))?;
        let answer: Value =
            serde_json::from_str(text).or_else(|_| serde_yaml::from_str(text)).map_err(|_| wrong("it is neither JSON nor YAML"))?;
        if answer["kind"] != "ExecCredential" {
            return Err(wrong("it is no ExecCredential"));
        }
        if answer["apiVersion"].as_str() != Some(&self.api_version) {
            return Err(wrong(&format!("its apiVersion is not {}, as the kubeconfig wants it", self.api_version)));
        }
        let field = |name: &str| answer["status"][name].as_str().filter(|text| !text.is_empty());
        let expires = match field("expirationTimestamp") {
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| wrong("its expirationTimestamp is no time"))?),
            None => None,
        };
        let header = match field("token") {
            Some(token) => {
                let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| wrong("its token cannot be sent"))?;
                header.set_sensitive(true);
                Some(header)
            }
            None => None,
        };
        let identity = match (field("clientCertificateData"), field("clientKeyData")) {
            (Some(certificate), Some(key)) => Some((certificate.to_owned(), key.to_owned())),
            (None, None) => None,
            _ => return Err(wrong("of a client's certificate and key there is only one")),
        };
        if header.is_none() && identity.is_none() {
            return Err(wrong("it has neither a token nor a certificate"));
        }
        let foreseen = || {
            let of_token = field("token").and_then(super::expiry::of_token);
            of_token.into_iter().chain(identity.as_ref().and_then(|(pem, _)| super::expiry::of_certificate(pem.as_bytes()))).min()
        };
        Ok(Issued { expires: expires.or_else(foreseen), header, identity, at: Timestamp::now() })
    }
}

/// A plugin's processes, ended when nobody waits for them any more.
struct Group {
    child: Box<dyn ChildWrapper>,
    /// It has ended by itself; what it left running is its own.
    ended: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            // It may be gone already.
            let _ = self.child.start_kill();
        }
    }
}

async fn keep_head(from: Option<impl AsyncRead + Unpin>, kept: &Mutex<Vec<u8>>) {
    read(from, |piece| {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = (LONGEST_ANSWER + 1).saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..piece.len().min(room)]);
    })
    .await;
}

async fn keep_tail(from: Option<impl AsyncRead + Unpin>, kept: &Mutex<Vec<u8>>) {
    read(from, |piece| {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(piece);
        let over = kept.len().saturating_sub(LONGEST_COMPLAINT);
        kept.drain(..over);
    })
    .await;
}

/// Reads to the end: a plugin whose pipe is full would wait for ever.
async fn read(from: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => take(&buffer[..length]),
        }
    }
}

/// The last line that says something.
fn last_words(complained: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(complained);
    let line = text.lines().map(|line| clean(line).trim().to_owned()).rfind(|line| line.chars().any(char::is_alphanumeric))?;
    Some(if line.chars().count() > LONGEST_REASON { line.chars().take(LONGEST_REASON).chain(['…']).collect() } else { line })
}

fn short(program: &str) -> String {
    clean(program.rsplit('/').next().unwrap_or(program))
}
