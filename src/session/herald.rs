//! Tells people and programs what happens to canaries: event webhooks and chat alerts (rollout-contract §5.5, §8). It never
//! delays a rollout, and what cannot be sent is logged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::analyst::Brief;
use super::secrets;
use crate::domain::alert::{Alert, AlertProviderSpec};
use crate::domain::canary::{CanaryAlert, CanaryWebhook, HookKind};
use crate::domain::fleet::{Engine, GlobalAlert};
use crate::domain::template::SecretReference;
use crate::domain::text::clean;
use crate::engine::effect::{Answer, Say};
use crate::engine::observation::Observation;
use crate::kubernetes::access::Access;
use crate::notify::alerts::{self, About, Destination, Facts};
use crate::notify::webhook::{self, Payload};
use crate::outbound::relay::Relay;
use crate::runner::clock::Clock;

/// Messages of one cluster on their way at a time; more wait.
const AT_ONCE: usize = 8;

/// Where Flagger looks for its receivers (rollout-contract §9.1), used where the settings name none.
const VARIABLES: [(&str, &str); 2] = [("slack", "SLACK_URL"), ("msteams", "MSTEAMS_URL")];

/// One cluster's way to tell.
pub struct Herald {
    inner: Arc<Inner>,
    room: Arc<Semaphore>,
}

struct Inner {
    access: Access,
    relay: Relay,
    engine: Engine,
    /// What alerts call the cluster.
    cluster: String,
    everyone: Vec<(Destination, String)>,
    event_webhook: String,
    clock: Clock,
}

/// One message with all that is needed to tell it.
struct Message {
    seen: Observation,
    say: Say,
    at: jiff::Timestamp,
}

impl Herald {
    pub(super) fn new(access: Access, relay: Relay, brief: &Brief) -> Self {
        let engine = brief.engine.clone();
        let cluster = if engine.cluster_name.is_empty() { brief.context.clone() } else { engine.cluster_name.clone() };
        let event_webhook = Some(engine.event_webhook.clone()).filter(|url| !url.is_empty());
        let event_webhook = event_webhook.or_else(|| brief.environment.get("EVENT_WEBHOOK_URL").cloned()).unwrap_or_default();
        let everyone = receivers(&engine, &brief.environment);
        let clock = brief.clock.clone();
        let inner = Inner { access, relay, engine, cluster, everyone, event_webhook, clock };
        Self { inner: Arc::new(inner), room: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Tells `say` of the canary that `seen` shows, in its own time.
    pub fn announce(&self, seen: &Observation, say: &[Say]) {
        let at = self.inner.clock.now();
        let messages: Vec<_> = say.iter().filter(|say| self.inner.is_heard(seen, say)).cloned().collect();
        if messages.is_empty() {
            return;
        }
        let (inner, room, seen) = (Arc::clone(&self.inner), Arc::clone(&self.room), seen.clone());
        tokio::spawn(async move {
            let Ok(_permit) = room.acquire().await else { return };
            for say in messages {
                inner.tell(&Message { seen: seen.clone(), say, at }).await;
            }
        });
    }
}

impl Herald {
    /// Waits until everything announced so far has been told, for at most `within`.
    pub async fn settle(&self, within: Duration) {
        // What was announced in this instant joins the queue first.
        tokio::task::yield_now().await;
        let all = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(within, self.room.acquire_many(all)).await;
    }
}

/// The receivers of the settings, or of Flagger's variables; one that cannot be used is logged and left out.
fn receivers(engine: &Engine, environment: &BTreeMap<String, String>) -> Vec<(Destination, String)> {
    let from_variables = VARIABLES.iter().filter(|(_, variable)| environment.contains_key(*variable)).map(|(kind, variable)| GlobalAlert {
        kind: (*kind).into(),
        address_env: (*variable).into(),
        ..Default::default()
    });
    let listed: Vec<GlobalAlert> = if engine.alerts.is_empty() { from_variables.collect() } else { engine.alerts.clone() };
    let value = |name: &str| environment.get(name).cloned().filter(|v| !v.is_empty());
    let made = listed.iter().filter_map(|alert| {
        let given = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
        let spec = AlertProviderSpec {
            kind: alert.kind.clone(),
            channel: given(&alert.channel),
            username: given(&alert.username),
            address: given(&alert.address).or_else(|| value(&alert.address_env)),
            proxy: given(&alert.proxy),
            secret_ref: None,
        };
        match alerts::destination(&spec, None) {
            Ok(to) => Some((Destination { token: value(&alert.token_env), ..to }, alert.severity.clone())),
            Err(why) => {
                tracing::error!(kind = %alert.kind, %why, "alerts cannot go there");
                None
            }
        }
    });
    made.collect()
}

fn event_hooks(seen: &Observation) -> Vec<&CanaryWebhook> {
    seen.spec.analysis.hooks(HookKind::Event)
}

impl Inner {
    /// Whether anybody wants to hear it.
    fn is_heard(&self, seen: &Observation, say: &Say) -> bool {
        let events = !self.event_webhook.is_empty() || !event_hooks(seen).is_empty();
        events || say.alert.is_some() && !(self.everyone.is_empty() && seen.spec.analysis.alerts.is_empty())
    }

    async fn tell(&self, message: &Message) {
        self.event(message).await;
        if let Some(alert) = &message.say.alert {
            self.alert(message, alert).await;
        }
    }

    /// The canary's own event hooks; without any, the one of the settings.
    async fn event(&self, message: &Message) {
        let seen = &message.seen;
        let global = CanaryWebhook { name: "event-webhook".into(), url: self.event_webhook.clone(), ..Default::default() };
        let mut hooks = event_hooks(seen);
        if hooks.is_empty() && !global.url.is_empty() {
            hooks.push(&global);
        }
        let kind = if message.say.warning { "Warning" } else { "Normal" };
        let also = BTreeMap::from([
            ("eventMessage".to_owned(), message.say.message.clone()),
            ("eventType".to_owned(), kind.to_owned()),
            ("timestamp".to_owned(), message.at.as_millisecond().to_string()),
        ]);
        for hook in hooks {
            let checksum = seen.recorded_checksum().or_else(|| seen.checksum()).unwrap_or_default();
            let payload = Payload { key: &seen.key, phase: seen.status.phase.word(), checksum, also: also.clone() };
            let headers = secrets::hook_headers(&self.access, &seen.key.namespace, &seen.hook_headers, &hook.name).await;
            let answer = match headers {
                Ok(headers) => webhook::call(&payload, hook, &headers, &self.relay).await,
                Err(why) => Answer::Error(why),
            };
            if let Answer::Error(why) = answer {
                tracing::warn!(canary = %seen.key, hook = %clean(&hook.name), %why, "event webhook failed");
            }
        }
    }

    async fn alert(&self, message: &Message, alert: &Alert) {
        let seen = &message.seen;
        let strategy = crate::engine::strategy::strategy(seen);
        let facts = Facts { spec: &seen.spec, namespace: &seen.key.namespace, kind: seen.kind(), strategy };
        let fields = alerts::fields(Some(&self.cluster), alert.with_fields.then_some(&facts));
        let about = About::new(&seen.key, alert.severity, &alert.message, &fields);
        let mut failures = Vec::new();
        if seen.spec.analysis.alerts.is_empty() {
            for (to, severity) in self.everyone.iter().filter(|(_, severity)| alerts::wants(Some(severity), alert.severity)) {
                tracing::debug!(canary = %seen.key, ?to, severity, "alert");
                failures.extend(alerts::send(to, &about, &self.relay).await.err());
            }
        }
        for listed in seen.spec.analysis.alerts.iter().filter(|listed| alerts::wants(listed.severity.as_deref(), alert.severity)) {
            let sent = match self.destination(seen, listed).await {
                Ok(to) => alerts::send(&to, &about, &self.relay).await,
                Err(why) => Err(format!("alert {}: {why}", clean(&listed.name))),
            };
            failures.extend(sent.err());
        }
        for why in failures {
            tracing::warn!(canary = %seen.key, %why, "alert not sent");
        }
    }

    /// Where an entry of `analysis.alerts` goes.
    async fn destination(&self, seen: &Observation, listed: &CanaryAlert) -> Result<Destination, String> {
        let (name, own) = (&listed.provider_ref.name, &seen.key.namespace);
        let namespace = listed.provider_ref.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(own);
        if self.engine.no_cross_namespace_refs && namespace != own {
            return Err(format!(
                "AlertProvider {}.{} is in another namespace, and engine.noCrossNamespaceRefs forbids that",
                clean(name),
                clean(namespace)
            ));
        }
        let path = format!("/apis/flagger.app/v1beta1/namespaces/{namespace}/alertproviders/{name}");
        let object = self.access.get(&path).await.map_err(|e| e.to_string())?;
        let spec: AlertProviderSpec = serde_json::from_value(object.get("spec").cloned().unwrap_or_default())
            .map_err(|e| format!("AlertProvider {} cannot be read: {}", clean(name), clean(&e.to_string())))?;
        let secret = match &spec.secret_ref {
            Some(SecretReference { name }) => Some(secrets::data(&self.access, namespace, name).await?),
            None => None,
        };
        alerts::destination(&spec, secret.as_ref())
    }
}
