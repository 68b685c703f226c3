//! SMI: one `TrafficSplit`, `split.smi-spec.io` in three versions (rollout-contract §7.2).

use serde_json::{Value, json};

use super::rules::Shape;
use super::{Abilities, Named, Router, Subject, destinations, list, overlay, remade, shown};
use crate::domain::traffic::Traffic;
use crate::kubernetes::json::text;
use crate::kubernetes::kinds::Kind;

/// A router by `TrafficSplits`.
pub struct Smi {
    kinds: &'static [Kind],
    /// Weights are quantities, written as text.
    quantities: bool,
    /// Istio's adapter reads the split: it asks for gateways in an annotation.
    istio: bool,
}

const fn of(kinds: &'static [Kind], quantities: bool, istio: bool) -> Smi {
    Smi { kinds, quantities, istio }
}

/// `smi:v1alpha1`.
pub const V1ALPHA1: Smi = of(&[Kind::TrafficSplitV1Alpha1], true, false);
/// `smi:v1alpha1:istio`.
pub const V1ALPHA1_ISTIO: Smi = of(&[Kind::TrafficSplitV1Alpha1], true, true);
/// `smi:v1alpha2`.
pub const V1ALPHA2: Smi = of(&[Kind::TrafficSplitV1Alpha2], false, false);
/// `smi:v1alpha2:istio`.
pub const V1ALPHA2_ISTIO: Smi = of(&[Kind::TrafficSplitV1Alpha2], false, true);
/// `smi:v1alpha3`.
pub const V1ALPHA3: Smi = of(&[Kind::TrafficSplitV1Alpha3], false, false);
/// `smi:v1alpha3:istio`.
pub const V1ALPHA3_ISTIO: Smi = of(&[Kind::TrafficSplitV1Alpha3], false, true);

/// Annotation that Istio's adapter takes the gateways of its `VirtualService` from.
const GATEWAYS: &str = "VirtualService.v1alpha3.networking.istio.io/spec.gateways";

/// The `spec` of a split, taken as a rule.
const SPLIT: Shape = Shape {
    list: "backends",
    matches: "matches",
    service: |backend, _| backend.get("service").and_then(Value::as_str),
    unsaid: 0,
    rule: |live, wanted| overlay(live, wanted, &["service", "backends"]),
    destination: |live, wanted| overlay(live, wanted, &["service", "weight"]),
};

impl Router for Smi {
    fn kinds(&self) -> &'static [Kind] {
        self.kinds
    }

    fn absent(&self) -> &'static str {
        "SMI's TrafficSplit CRD is not installed in this cluster in the version of spec.provider: install it, or choose another provider"
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            progressive: true,
            ab_testing: false,
            blue_green: true,
            mirror_iterations: false,
            mirror_progressive: false,
            session_affinity: false,
        }
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        vec!["spec".into(), "backends".into()]
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        let route = self.route(at);
        let split = if self.quantities && SPLIT.is_ours(at, &live["spec"]) { in_numbers(&route, live)? } else { live["spec"].clone() };
        Ok(SPLIT.weighted(at, &route, &[split])?.map(|(_, canary)| Traffic::weight(canary)))
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let (primary, canary) = destinations(at.spec);
        let weight = |weight: i64| if self.quantities { json!(weight.to_string()) } else { json!(weight) };
        let service = &at.spec.service;
        let wanted = json!({
            "service": service.hosts.first().map_or(at.spec.service_name(), String::as_str),
            "backends": [
                {"service": canary, "weight": weight(traffic.canary)},
                {"service": primary, "weight": weight(100 - traffic.canary)},
            ],
        });
        let gateways = (self.istio && !service.gateways.is_empty()).then(|| (GATEWAYS, json!(service.gateways).to_string()));
        Ok(remade(at, live, gateways.into_iter().collect(), |spec| {
            let live = Value::Object(std::mem::take(spec));
            if let Value::Object(joined) = SPLIT.joined(at, &live, &wanted) {
                *spec = joined;
            }
        }))
    }
}

/// The `spec` of a split with its quantities as whole numbers of percent. Parts of one, as in 500m and 500m, are what SMI's
/// own examples have.
fn in_numbers(route: &Named, live: &Value) -> Result<Value, String> {
    let backends = list(live, "/spec/backends");
    let thousandths: Vec<i64> = backends
        .iter()
        .map(|backend| {
            let said = backend.get("weight").unwrap_or(&Value::Null);
            let text = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
            thousandths(&text).ok_or_else(|| {
                let (kind, name) = (route.kind.word(), shown(&route.name));
                format!("{kind} {name}: weight {} is not a quantity in thousandths; correct it, or delete the object", shown(&text))
            })
        })
        .collect::<Result<_, _>>()?;
    let total = thousandths.iter().fold(0_i64, |sum, part| sum.saturating_add(*part));
    let percent = |part: i64| match total {
        // Parts of one: a thousandth is a tenth of a percent.
        1_000 => (part % 10 == 0).then_some(part / 10),
        _ => (part % 1_000 == 0).then_some(part / 1_000),
    };
    let mut split = live["spec"].clone();
    for (n, part) in thousandths.into_iter().enumerate() {
        let said = percent(part).ok_or_else(|| {
            let (kind, name, service) = (route.kind.word(), shown(&route.name), shown(text(&backends[n], "/service")));
            format!("{kind} {name}: the weight of {service} is no whole number of percent; correct it, or delete the object")
        })?;
        split["backends"][n]["weight"] = json!(said);
    }
    Ok(split)
}

/// A Kubernetes quantity in thousandths, as `50`, `0.5`, `500m`, `5e1`, `1k`; `None` for what is none, or is finer or larger.
fn thousandths(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(digits)?;
    let power: i32 = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        _ => suffix.strip_prefix(['e', 'E'])?.parse().ok().filter(|power| (-9..=9).contains(power))?,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.chars().any(|c| !c.is_ascii_digit()) || !number.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits: i64 = format!("{whole}{part}").parse().ok()?;
    let shift = power + 3 - i32::try_from(part.len()).ok()?;
    let scale = 10_i64.checked_pow(shift.unsigned_abs())?;
    if shift >= 0 { digits.checked_mul(scale) } else { (digits % scale == 0).then_some(digits / scale) }
}

#[cfg(test)]
mod tests {
    use super::super::laws::{Case, edited, foreign, keeps};
    use super::super::{TOOLKIT, router};
    use super::*;
    use proptest::prelude::*;

    fn stored(object: Value) -> Value {
        object
    }

    fn split(primary: Value, canary: Value) -> Value {
        let backends = json!([{"service": "web-canary", "weight": canary}, {"service": "web-primary", "weight": primary}]);
        json!({"spec": {"service": "web", "backends": backends}})
    }

    #[test]
    fn a_split_has_the_canary_first_and_the_weights_of_its_version() {
        let case = Case::new(json!({"port": 80, "hosts": ["shop", "other"], "gateways": ["public"]}), json!({}));
        let fresh = edited(&V1ALPHA1, &case.at(), None, Traffic::weight(20), stored);
        assert_eq!(
            fresh["spec"],
            json!({"service": "shop", "backends": [{"service": "web-canary", "weight": "20"}, {"service": "web-primary", "weight": "80"}]})
        );
        assert_eq!(fresh["metadata"]["annotations"], json!({TOOLKIT[0].0: "disabled", TOOLKIT[1].0: "disabled"}));
        let number = edited(&V1ALPHA3, &Case::new(json!({"port": 80}), json!({})).at(), None, Traffic::PRIMARY, stored);
        assert_eq!(number["spec"], split(json!(100), json!(0))["spec"]);
        let adapter = router("smi:v1alpha2:istio").expect("known").expect("has routes");
        assert_eq!(edited(adapter, &case.at(), None, Traffic::PRIMARY, stored)["metadata"]["annotations"][GATEWAYS], "[\"public\"]");
    }

    #[test]
    fn quantities_are_read_as_what_they_mean() {
        let case = Case::new(json!({"port": 80}), json!({}));
        for (primary, canary, percent) in [
            (json!("50"), json!("50"), 50),
            (json!("500m"), json!("500m"), 50),
            (json!("0.9"), json!("100m"), 10),
            (json!("80000m"), json!("2e1"), 20),
            (json!("1"), json!("0"), 0),
            (json!(70), json!("30.0"), 30),
        ] {
            let read = V1ALPHA1.read(&case.at(), &split(primary, canary));
            assert_eq!(read, Ok(Some(Traffic::weight(percent))));
        }
        for (primary, canary, part) in [
            (json!("99500m"), json!("500m"), "web-canary is no whole number of percent"),
            (json!("999m"), json!("1m"), "no whole number of percent"),
            (json!("50"), json!("500m"), "no whole number of percent"),
            (json!("500"), json!("500"), "weights 500 and 500 do not add up to 100"),
            (json!("0"), json!("0"), "weights 0 and 0 do not"),
            (json!("50m"), json!("50Mi"), "weight 50Mi is not a quantity"),
            (json!("50"), Value::Null, "weight null is not a quantity"),
            (json!("99999999999999999999"), json!("1"), "not a quantity"),
        ] {
            assert!(V1ALPHA1.read(&case.at(), &split(primary, canary)).is_err_and(|e| e.contains(part)), "{part}");
        }
        assert!(V1ALPHA2.read(&case.at(), &split(json!("50"), json!("50"))).is_err_and(|e| e.contains("not a whole number")));
        let theirs = json!({"spec": {"backends": [{"service": "old", "weight": "333m"}, {"service": "new", "weight": "odd"}]}});
        assert_eq!(V1ALPHA1.read(&case.at(), &theirs), Ok(None));
        assert_eq!(V1ALPHA2.read(&case.at(), &json!({"spec": {"backends": [{"service": "old", "weight": 1}]}})), Ok(None));
    }

    #[test]
    fn thousandths_have_no_room_for_doubt() {
        for (text, value) in
            [("1k", Some(1_000_000)), ("-5", Some(-5_000)), ("0.0005", None), ("5000u", Some(5)), (".5", Some(500)), ("5.", Some(5_000))]
        {
            assert_eq!(thousandths(text), value, "{text}");
        }
        for text in ["", "m", "-", "1-1", "1.2.3", "NaN", "1e99", "1 0", "٣", "0x1", "1.-5"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_weight_is_read_back_and_what_is_foreign_stays(
            version in 0..3_usize, weight in 0..=100_i64, next in 0..=100_i64, foreign in foreign(),
        ) {
            let case = Case::new(json!({"port": 80}), json!({"stepWeight": 5}));
            let smi = [V1ALPHA1, V1ALPHA2, V1ALPHA3_ISTIO].into_iter().nth(version).expect("a version");
            let matches = json!([{"kind": "HTTPRouteGroup", "name": "g"}]);
            let live = json!({"metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {"matches": matches}});
            let before = edited(&smi, &case.at(), Some(&live), Traffic::weight(weight), stored);
            prop_assert_eq!(&before["spec"]["matches"], &live["spec"]["matches"]);
            let places = ["", "/metadata", "/metadata/labels", "/metadata/annotations", "/spec", "/spec/backends/0", "/spec/backends/1"];
            keeps(&smi, &case.at(), &before, &places, foreign, Traffic::weight(next), stored);
        }
    }
}
