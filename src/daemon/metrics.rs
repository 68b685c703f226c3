//! Flagger's gauges, by name, label and value (rollout-contract §9.4), with the context beside them.

use std::fmt;
use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::{EncodeLabelSet, text::encode as encode_text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::domain::phase::Phase;
use crate::runner::tally::Figures;
use crate::session::view::FleetView;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    context: String,
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Weighted {
    context: String,
    namespace: String,
    workload: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Counted {
    context: String,
    namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    context: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Info {
    version: &'static str,
    mesh_provider: &'static str,
}

type Gauges<L> = Family<L, Gauge<i64, AtomicI64>>;

/// The exposition of what `view` shows.
pub(super) fn encode(view: &FleetView, figures: &Figures) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let (status, weight, total, up) =
        (Gauges::<Named>::default(), Gauges::<Weighted>::default(), Gauges::<Counted>::default(), Gauges::<Of>::default());
    for context in &view.contexts {
        let name = || context.name.clone();
        up.get_or_create(&Of { context: name() }).set(i64::from(context.link.is_live()));
        for canary in &context.canaries {
            let namespace = || canary.key.namespace.clone();
            let value = match canary.phase {
                Phase::Progressing => 0,
                Phase::Failed => 2,
                _ => 1,
            };
            status.get_or_create(&Named { context: name(), namespace: namespace(), name: canary.target.clone() }).set(value);
            total.get_or_create(&Counted { context: name(), namespace: namespace() }).inc();
            let share = i64::from(canary.weight);
            weight.get_or_create(&Weighted { context: name(), namespace: namespace(), workload: canary.target.clone() }).set(share);
            weight
                .get_or_create(&Weighted { context: name(), namespace: namespace(), workload: format!("{}-primary", canary.target) })
                .set(100 - share);
        }
    }
    registry.register("flagger_canary_status", "Last known canary analysis result: 0 running, 1 successful, 2 failed", status);
    registry.register("flagger_canary_weight", "Percent of traffic of a workload", weight);
    registry.register("flagger_canary_total", "Number of canaries", total);
    let info = Gauges::<Info>::default();
    info.get_or_create(&Info { version: env!("CARGO_PKG_VERSION"), mesh_provider: "" }).set(1);
    registry.register("flagger_info", "Version of the rollout engine", info);
    figures.register(&mut registry);
    registry.register("pilothouse_context_up", "Whether a context answers", up);
    let mut out = String::new();
    encode_text(&mut out, &registry)?;
    Ok(out)
}
