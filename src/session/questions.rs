//! What the console asks of a session beyond the read model, and what it hears back. Nothing here changes
//! anything anywhere.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};

use super::fleet::Session;
use super::operations::Operator;
use super::why::{self, Explanation};
use crate::domain::target::Target;
use crate::domain::text::clean;
use crate::git::BumpOutcome;
use crate::kubernetes::kinds::Kind;

/// Plans that are made at once: each one may fetch a repository.
const PLANS_AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_mins(1);

/// A question of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// What a bump would change in git.
    BumpPlan { provider: String, to: String },
    /// The newest lines of the log.
    Log,
    /// The Canary and its target as they are in the cluster, as YAML.
    Object(Target),
    /// Why a canary stands where it stands.
    Why(Target),
}

/// What the session knows of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Answer {
    BumpPlan { provider: String, to: String, plan: Result<PinChange, String> },
    Log(Vec<LogLine>),
    Object { target: Target, yaml: Result<String, String> },
    Why { target: Target, explanation: Result<Box<Explanation>, String> },
}

/// The one line of a repository that a bump changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PinChange {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub before: String,
    pub after: String,
    /// Pins that move together.
    pub pins: usize,
    /// The ref is a branch, so what is pinned moves on its own.
    pub moving: bool,
    /// Nothing would change.
    pub unchanged: bool,
}

impl From<BumpOutcome> for PinChange {
    fn from(plan: BumpOutcome) -> Self {
        Self {
            file: clean(&plan.file),
            line: plan.line,
            before: clean(plan.line_before.trim()),
            after: clean(plan.line_after.trim()),
            pins: plan.pins,
            moving: plan.moving,
            unchanged: plan.unchanged,
        }
    }
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Counted from the start of the process.
    pub number: u64,
    pub at: Timestamp,
    pub level: LogLevel,
    /// The module that wrote it.
    pub from: String,
    /// The message with its fields.
    pub text: String,
}

/// How bad a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }
}

/// Reads the log of this process.
pub type ReadLog = Box<dyn Fn() -> Vec<LogLine> + Send + Sync>;

/// Takes questions; each one is a task of its own.
pub struct Desk {
    session: Arc<Session>,
    operator: Arc<Operator>,
    read_log: ReadLog,
    answers: mpsc::UnboundedSender<Answer>,
    plans: Semaphore,
}

impl Desk {
    #[must_use]
    pub fn new(session: Arc<Session>, operator: Arc<Operator>, read_log: ReadLog) -> (Arc<Self>, mpsc::UnboundedReceiver<Answer>) {
        let (answers, received) = mpsc::unbounded_channel();
        (Arc::new(Self { session, operator, read_log, answers, plans: Semaphore::new(PLANS_AT_ONCE) }), received)
    }

    /// Starts on a question; does not block.
    pub fn ask(self: &Arc<Self>, question: Question) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let answer = this.answer(question).await;
            let _ = this.answers.send(answer);
        });
    }

    async fn answer(&self, question: Question) -> Answer {
        match question {
            Question::BumpPlan { provider, to } => {
                let plan = self.plan(&provider, &to).await;
                Answer::BumpPlan { provider, to, plan }
            }
            Question::Why(target) => {
                let explanation = why::ask(&self.session, &target).await.map(Box::new);
                Answer::Why { target, explanation }
            }
            Question::Log => Answer::Log((self.read_log)()),
            Question::Object(target) => {
                let yaml = self.object(&target);
                Answer::Object { target, yaml }
            }
        }
    }

    async fn plan(&self, provider: &str, to: &str) -> Result<PinChange, String> {
        let _turn = self.plans.acquire().await.map_err(|e| e.to_string())?;
        match tokio::time::timeout(PATIENCE, self.operator.bump_plan(provider, to)).await {
            Ok(plan) => plan.map(PinChange::from),
            Err(_) => Err(format!("the repository of {provider} did not answer within {} s", PATIENCE.as_secs())),
        }
    }

    /// From the store, without a request; what the server keeps for itself is left out.
    fn object(&self, target: &Target) -> Result<String, String> {
        let context = self.session.context(&target.context).ok_or_else(|| format!("no context named {}", target.context))?;
        let cluster = context.cluster().ok_or_else(|| format!("{} is not connected", target.context))?;
        let canary =
            cluster.store.get(Kind::Canary, &target.namespace, &target.name).ok_or_else(|| format!("no canary {target} is known"))?;
        let mut object = (*canary).clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let text = serde_yaml::to_string(&object).map_err(|e| e.to_string())?;
        // Each line by itself: the newlines are ours.
        Ok(text.lines().map(clean).collect::<Vec<_>>().join("\n") + "\n")
    }
}
