//! What an event on a Canary says, read from its text: Flagger's texts, which the engine writes word for word.
//!
//! One table of phrases; what none of them fits is [`Happening::Other`] and never guessed at.

use super::view::EventView;
use crate::domain::canary::HookKind;

/// What the recorder of Kubernetes' client puts before the newest of many events.
const COMBINED: &str = "(combined from similar events): ";

/// One thing that happened to a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A new revision: a rollout begins, or begins anew.
    Detected,
    /// Nothing was measured yet; pre-rollout hooks are called.
    Starting,
    /// The canary has this many percent of the traffic.
    Weight(u32),
    Iteration(u32),
    /// Blue/green: users meet the canary.
    Switched,
    /// The weight goes back to the primary after its promotion; percent that the primary has.
    Returning(u32),
    /// A check measured a value beyond its limit, or a hook said no. The check, and the sentence behind it.
    CheckFailed {
        check: String,
        sentence: String,
    },
    /// A check had no data.
    NoData {
        check: String,
    },
    /// A metric server could not be asked, or refused.
    QueryFailed {
        sentence: String,
    },
    /// Pods are not ready; whose, and why.
    NotReady {
        sentence: String,
    },
    GateWaits(HookKind),
    /// A gate was passed; by whom, where a human opened it.
    GatePassed {
        gate: HookKind,
        who: Option<String>,
    },
    PreRolloutPassed,
    RollingBack,
    Failed,
    Copying,
    /// All traffic goes to the promoted primary.
    Routed,
    Promoted,
    /// Promoted without analysis.
    Skipped,
    Initialised,
    Other,
}

/// Phrases for which the text alone says what it is.
const PHRASES: &[(&str, Happening)] = &[
    ("New revision detected", Happening::Detected),
    ("Starting canary analysis", Happening::Starting),
    ("Routing all traffic to canary", Happening::Switched),
    ("Stop traffic mirroring and route all traffic to canary", Happening::Switched),
    ("Rolling back ", Happening::RollingBack),
    ("Rollback check ", Happening::RollingBack),
    ("Canary failed! ", Happening::Failed),
    ("Copying ", Happening::Copying),
    ("Routing all traffic to primary", Happening::Routed),
    ("Promotion completed! Canary analysis was skipped", Happening::Skipped),
    ("Promotion completed! ", Happening::Promoted),
    ("Initialization done! ", Happening::Initialised),
    ("Pre-rollout check ", Happening::PreRolloutPassed),
];

const GATES_PASSED: &[(&str, HookKind)] = &[
    ("Confirm-rollout check ", HookKind::ConfirmRollout),
    ("Confirm-traffic-increase check ", HookKind::ConfirmTrafficIncrease),
    ("Confirm-promotion check ", HookKind::ConfirmPromotion),
];

/// `message` without what recorders put round it.
#[must_use]
pub fn bare(message: &str) -> &str {
    message.strip_prefix(COMBINED).unwrap_or(message)
}

/// What `event` says.
#[must_use]
pub fn read(event: &EventView) -> Happening {
    let text = bare(&event.message);
    if let Some(rest) = text.strip_prefix("Advance ") {
        return advance(rest);
    }
    if text.starts_with("Halt ") {
        return halt(text);
    }
    if let Some((gate, rest)) = GATES_PASSED.iter().find_map(|(phrase, gate)| Some((*gate, text.strip_prefix(phrase)?))) {
        let Some((_, after)) = rest.split_once(" passed") else { return Happening::Other };
        let who = after.strip_prefix(": approved by ").map(|who| who.split_once(": ").map_or(who, |(who, _)| who).to_owned());
        return Happening::GatePassed { gate, who };
    }
    if let Some((_, happening)) = PHRASES.iter().find(|(phrase, _)| text.starts_with(phrase)) {
        return happening.clone();
    }
    let asks_in_vain = ["Prometheus query failed", "Metric query failed for ", "Metric template ", "Error checking metric providers"];
    if event.warning && asks_in_vain.iter().any(|phrase| text.starts_with(phrase)) {
        return Happening::QueryFailed { sentence: text.to_owned() };
    }
    if event.warning && text.contains(" not ready: ") {
        return Happening::NotReady { sentence: text.to_owned() };
    }
    Happening::Other
}

/// `web.test canary weight 20`, `web.test canary iteration 1/3`, `web.test primary weight 70`.
fn advance(rest: &str) -> Happening {
    let number = |phrase: &str| {
        let (_, after) = rest.rsplit_once(phrase)?;
        after.split('/').next()?.trim().parse::<u32>().ok()
    };
    number(" canary weight ")
        .map(Happening::Weight)
        .or_else(|| number(" canary iteration ").map(Happening::Iteration))
        .or_else(|| number(" primary weight ").map(Happening::Returning))
        .unwrap_or(Happening::Other)
}

/// `Halt web.test advancement …`.
fn halt(text: &str) -> Happening {
    if let Some((_, check)) = text.split_once("no values found for ") {
        let check = check.split_once("metric: ").map(|(_, name)| name).or_else(|| check.split_once("metric ").map(|(_, name)| name));
        let check = check.and_then(|name| name.split([' ', ':']).next()).unwrap_or_default();
        return Happening::NoData { check: check.to_owned() };
    }
    let Some((_, what)) = text.split_once(" advancement ") else { return Happening::Other };
    if let Some(gate) = what.strip_prefix("waiting for ") {
        return Happening::GateWaits(match gate {
            g if g.starts_with("traffic increase approval") => HookKind::ConfirmTrafficIncrease,
            g if g.starts_with("promotion approval") => HookKind::ConfirmPromotion,
            _ => HookKind::ConfirmRollout,
        });
    }
    if what.contains(" not ready: ") {
        return Happening::NotReady { sentence: what.to_owned() };
    }
    let hook = what.strip_prefix("pre-rollout check ").or_else(|| what.strip_prefix("external check "));
    let check = match hook {
        Some(hook) => hook.split_once(" failed ").map_or(hook, |(name, _)| name),
        None if what.starts_with("success rate ") => "request-success-rate",
        None if what.starts_with("request duration ") => "request-duration",
        // `NAME VALUE SIGN LIMIT`.
        None => what.rsplitn(4, ' ').nth(3).unwrap_or(what),
    };
    Happening::CheckFailed { check: check.to_owned(), sentence: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Happening {
        read(&EventView { at: None, warning: true, message: text.into(), count: 1 })
    }

    #[test]
    fn texts_are_read() {
        let failed = |check: &str, sentence: &str| Happening::CheckFailed { check: check.into(), sentence: sentence.into() };
        for (text, expected) in [
            ("New revision detected! Restarting analysis for web.test", Happening::Detected),
            ("Advance web.test canary weight 20", Happening::Weight(20)),
            ("Advance web.test canary iteration 2/10", Happening::Iteration(2)),
            ("Advance web.test primary weight 70", Happening::Returning(70)),
            ("Advance web.test canary weight many", Happening::Other),
            ("(combined from similar events): Promotion completed! Scaling down web.test", Happening::Promoted),
            ("Promotion completed! Canary analysis was skipped for web.test", Happening::Skipped),
            ("Halt web.test advancement success rate 97.20% < 99%", failed("request-success-rate", "success rate 97.20% < 99%")),
            ("Halt web.test advancement request duration 1.515s > 500ms", failed("request-duration", "request duration 1.515s > 500ms")),
            ("Halt web.test advancement queue lag 31.00 > 30", failed("queue lag", "queue lag 31.00 > 30")),
            ("Halt web.test advancement external check load failed status 500", failed("load", "external check load failed status 500")),
            (
                "Halt advancement no values found for istio metric request-success-rate probably web.no-data is not receiving traffic: x",
                Happening::NoData { check: "request-success-rate".into() },
            ),
            ("Halt advancement no values found for custom metric: lag: no values found", Happening::NoData { check: "lag".into() }),
            ("Halt web.test advancement waiting for approval g", Happening::GateWaits(HookKind::ConfirmRollout)),
            ("Halt web.test advancement waiting for promotion approval g", Happening::GateWaits(HookKind::ConfirmPromotion)),
            (
                "Confirm-promotion check confirm-promotion passed: approved by bo: graphs flat",
                Happening::GatePassed { gate: HookKind::ConfirmPromotion, who: Some("bo".into()) },
            ),
            ("Confirm-rollout check g1 passed", Happening::GatePassed { gate: HookKind::ConfirmRollout, who: None }),
            (
                "Metric query failed for lag: connection refused",
                Happening::QueryFailed { sentence: "Metric query failed for lag: connection refused".into() },
            ),
            ("Halt", Happening::Other),
            ("", Happening::Other),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
