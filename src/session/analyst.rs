//! Answers the engine's questions: hooks by `notify`, metrics by `metrics`. What it says to people is in `herald.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::herald::Herald;
use super::secrets;
use crate::domain::canary::{CanaryMetric, CanarySpec, CanaryWebhook, HookKind, TargetKind, TemplateReference};
use crate::domain::duration;
use crate::domain::fleet::Engine;
use crate::domain::target::CanaryKey;
use crate::domain::template::MetricTemplateSpec;
use crate::domain::text::clean;
use crate::engine::effect::Say;
use crate::kubernetes::access::Access;
use crate::kubernetes::json::text;
use crate::kubernetes::kinds::Kind;
use crate::metrics::catalogue::{self, Subject};
use crate::metrics::prometheus::Source;
use crate::metrics::template::{self, Names};
use crate::metrics::{Check, providers};
use crate::notify::webhook::{self, Payload};
use crate::outbound::relay::Relay;
use crate::runner::clock::Clock;
use crate::runner::ports::{AnalysisPort, Answer, Observation, Question};

/// What an analyst is told of its cluster.
#[derive(Clone)]
pub struct Brief {
    /// The kubeconfig context.
    pub context: String,
    pub source: Source,
    /// The router of Canaries that name none, as it was set: it also says where metrics come from.
    pub mesh: Option<String>,
    /// The engine runs inside the cluster that it drives.
    pub in_cluster: bool,
    pub engine: Engine,
    pub clock: Clock,
    /// Environment of the process.
    pub environment: BTreeMap<String, String>,
}

/// One cluster's hooks, metric servers and chats.
pub struct Analyst {
    access: Access,
    relay: Relay,
    herald: Herald,
    brief: Brief,
}

impl Analyst {
    #[must_use]
    pub fn new(access: Access, brief: Brief) -> Self {
        let relay = Relay::new(access.clone(), brief.in_cluster);
        let herald = Herald::new(access.clone(), relay.clone(), &brief);
        Self { access, relay, herald, brief }
    }

    /// Waits until everything announced so far has been told, for at most `within`.
    pub async fn settle(&self, within: Duration) {
        self.herald.settle(within).await;
    }

    /// The Prometheus of this canary: its own, else the cluster's.
    fn source(&self, seen: &Observation) -> Result<Source, String> {
        match seen.spec.metrics_server.as_deref().filter(|u| !u.is_empty()) {
            Some(url) => {
                crate::outbound::address::check(url, self.brief.in_cluster)?;
                Source::url(url).map_err(|e| e.to_string())
            }
            None => Ok(self.brief.source.clone()),
        }
    }

    async fn hook(&self, seen: &Observation, kind: HookKind, hook: &CanaryWebhook) -> Answer {
        let phase = match kind {
            HookKind::ConfirmRollout | HookKind::Rollback | HookKind::PostRollout | HookKind::Event => seen.status.phase.word(),
            _ => "Progressing",
        };
        // Before a rollout starts, what is on record is another one.
        let starts = kind == HookKind::ConfirmRollout;
        let checksum = if starts { seen.checksum() } else { seen.recorded_checksum() }.or_else(|| seen.checksum()).unwrap_or_default();
        let headers = match secrets::hook_headers(&self.access, &seen.key.namespace, &seen.hook_headers, &hook.name).await {
            Ok(headers) => headers,
            Err(why) => return Answer::Error(why),
        };
        let payload = Payload { key: &seen.key, phase, checksum, also: BTreeMap::new() };
        webhook::call(&payload, hook, &headers, &self.relay).await
    }

    async fn metric(&self, seen: &Observation, metric: &CanaryMetric) -> Answer {
        if let Some(reference) = &metric.template_ref {
            return self.template(seen, metric, reference).await.unwrap_or_else(Answer::Error);
        }
        let query = if let Some(query) = metric.query.as_deref().filter(|q| !q.trim().is_empty()) {
            match self.rendered(seen, metric, query).await {
                Ok(query) => query,
                Err(why) => return Answer::Error(why),
            }
        } else {
            let router = measured_by(self.brief.mesh.as_deref(), &seen.router, &seen.spec);
            let route = self.route_name(seen).await;
            let mut subject = Subject::new(&seen.key, &seen.spec, &router, metric.interval.as_deref());
            subject.route = route.as_deref().unwrap_or(subject.route);
            match metric.name.as_str() {
                "request-success-rate" => catalogue::success_rate(&subject),
                "request-duration" => catalogue::duration(&subject),
                other => return Answer::Error(format!("no built-in check {}", clean(other))),
            }
        };
        match self.source(seen) {
            Ok(source) => source.value(&query).await,
            Err(why) => Answer::Error(why),
        }
    }

    /// The name of a Knative canary's route is its newest revision's.
    async fn route_name(&self, seen: &Observation) -> Option<String> {
        if seen.spec.target_kind() != TargetKind::Knative {
            return None;
        }
        let service = self.access.get(&Kind::KnativeService.path(&seen.key.namespace, &seen.spec.target_ref.name)).await.ok()?;
        Some(text(&service, "/status/latestCreatedRevisionName").to_owned()).filter(|name| !name.is_empty())
    }

    async fn rendered(&self, seen: &Observation, metric: &CanaryMetric, query: &str) -> Result<String, String> {
        let route = self.route_name(seen).await;
        rendered(&seen.key, &seen.spec, route.as_deref(), metric, query)
    }

    /// The template that `reference` names, with its namespace.
    async fn template_spec(&self, seen: &Observation, reference: &TemplateReference) -> Result<(MetricTemplateSpec, String), String> {
        template_spec(&self.access, &self.brief.engine, &seen.key.namespace, reference).await
    }

    async fn template(&self, seen: &Observation, metric: &CanaryMetric, reference: &TemplateReference) -> Result<Answer, String> {
        let (spec, namespace) = self.template_spec(seen, reference).await?;
        let named = format!("Metric template {}.{}", clean(&reference.name), clean(&namespace));
        let query = self.rendered(seen, metric, &spec.query).await.map_err(|e| format!("{named} query render error: {e}"))?;
        let secret = match &spec.provider.secret_ref {
            Some(secret) => {
                let data = secrets::data(&self.access, &namespace, &secret.name).await;
                Some(data.map_err(|e| format!("{named} secret {} error: {e}", clean(&secret.name)))?)
            }
            None => None,
        };
        let check = Check {
            provider: &spec.provider,
            secret: secret.as_ref(),
            query: &query,
            window: metric.interval.as_deref().and_then(duration::parse),
            now: self.brief.clock.now(),
            environment: &self.brief.environment,
            read_file: |path| std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}")),
        };
        Ok(providers::ask(&check, &self.relay).await)
    }

    /// Whether everything that the metrics stand on is there.
    async fn online(&self, seen: &Observation) -> Answer {
        let metrics = &seen.spec.analysis.metrics;
        for reference in metrics.iter().filter_map(|m| m.template_ref.as_ref()) {
            if let Err(why) = self.template_spec(seen, reference).await {
                return Answer::Error(why);
            }
        }
        if metrics.iter().all(|m| m.template_ref.is_some()) && !metrics.is_empty() {
            return Answer::Passed;
        }
        match self.source(seen) {
            Ok(source) => match source.value("vector(1)").await {
                Answer::Value(_) => Answer::Passed,
                Answer::Error(why) => Answer::Error(why),
                _ => Answer::Error(format!("{}: vector(1) has no value", source.name())),
            },
            Err(why) => Answer::Error(why),
        }
    }
}

impl AnalysisPort for Analyst {
    async fn ask(&self, seen: &Observation, question: Question) -> Answer {
        let analysis = &seen.spec.analysis;
        match question {
            Question::Hook { kind, index } => match analysis.webhooks.get(index) {
                Some(hook) => self.hook(seen, kind, hook).await,
                None => Answer::Error("no such webhook".into()),
            },
            Question::Online => self.online(seen).await,
            Question::Metric { index } => match analysis.metrics.get(index) {
                Some(metric) => self.metric(seen, metric).await,
                None => Answer::Error("no such metric".into()),
            },
        }
    }

    fn announce(&self, seen: &Observation, say: &[Say]) {
        self.herald.announce(seen, say);
    }
}

/// Where the metrics of a canary come from (rollout-contract §6.4): Linkerd measures whatever routes.
pub(super) fn measured_by(mesh: Option<&str>, router: &str, spec: &CanarySpec) -> String {
    let router = if mesh.is_some_and(|mesh| mesh.contains("linkerd")) { "linkerd" } else { router };
    if spec.target_kind() == TargetKind::Service { format!("{router}:service") } else { router.to_owned() }
}

/// `query` of `metric` with everything filled in; `route` is the name of the route where the Canary does not say it.
///
/// # Errors
/// A sentence with the position of the mistake.
pub(super) fn rendered(
    key: &CanaryKey,
    spec: &CanarySpec,
    route: Option<&str>,
    metric: &CanaryMetric,
    query: &str,
) -> Result<String, String> {
    let target = spec.target_ref.name.as_str();
    let named = |reference: &Option<crate::domain::canary::ObjectReference>| {
        reference.as_ref().map(|r| r.name.clone()).filter(|n| !n.is_empty()).unwrap_or_else(|| target.to_owned())
    };
    let route = route.map_or_else(|| named(&spec.route_ref), ToOwned::to_owned);
    let names = Names {
        name: &key.name,
        namespace: &key.namespace,
        target,
        service: spec.service_name(),
        ingress: &named(&spec.ingress_ref),
        route: &route,
        interval: metric.interval.as_deref().unwrap_or_default(),
        variables: &metric.template_variables,
    };
    template::render(query, &names).map_err(|e| e.to_string())
}

/// The template that `reference` of a Canary in `namespace` names, with its own namespace.
///
/// # Errors
/// It is not there, cannot be read, or is not allowed.
pub(super) async fn template_spec(
    access: &Access,
    engine: &Engine,
    home: &str,
    reference: &TemplateReference,
) -> Result<(MetricTemplateSpec, String), String> {
    let namespace = reference.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(home);
    let named = format!("Metric template {}.{}", clean(&reference.name), clean(namespace));
    if engine.no_cross_namespace_refs && namespace != home {
        return Err(format!("{named} error: it is in another namespace, and engine.noCrossNamespaceRefs forbids that"));
    }
    let path = format!("/apis/flagger.app/v1beta1/namespaces/{namespace}/metrictemplates/{}", reference.name);
    let object = access.get(&path).await.map_err(|e| format!("{named} error: {e}"))?;
    let spec = serde_json::from_value(object.get("spec").cloned().unwrap_or_default());
    let spec: MetricTemplateSpec = spec.map_err(|e| format!("{named} error: its spec cannot be read: {}", clean(&e.to_string())))?;
    match providers::mistake(&spec.provider) {
        Some(why) => Err(format!("{named} provider {} error: {why}", clean(&spec.provider.kind))),
        None => Ok((spec, namespace.to_owned())),
    }
}

/// A value of a Secret's `data`, whatever it is not.
#[must_use]
pub(super) fn decoded(value: &Value) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(value.as_str()?).ok()
}
