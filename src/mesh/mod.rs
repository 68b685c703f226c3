//! Traffic routing, one file per router: pure functions over the route's JSON.
//!
//! A router says what its objects should be, reads the weights they have, and edits them in place, so that
//! fields of others survive. It never talks to a cluster; `kubernetes::observe` and `kubernetes::perform`
//! do. Read `istio.rs` first; a new router is a file like it and a row in [`router`].

pub mod istio;
pub mod linkerd;

use serde_json::Value;

use crate::domain::canary::CanarySpec;

/// An object beside the route that has no weights: kind, name and `spec`.
pub struct Companion {
    pub kind: &'static str,
    pub name: String,
    pub spec: Value,
}

/// A router with route objects.
pub trait Router: Sync {
    /// Kind of the object that holds the weights; it is called as the Service.
    fn kind(&self) -> &'static str;

    /// Path of the field that holds them: whoever owns it wrote them last.
    fn weights_at(&self) -> [&'static str; 2];

    /// What to do where the kind is not installed.
    fn absent(&self) -> &'static str;

    /// Objects that have to be there before the route.
    fn companions(&self, spec: &CanarySpec) -> Vec<Companion>;

    /// `spec` of a new route that gives the canary `weight` percent.
    fn fresh(&self, spec: &CanarySpec, weight: i64) -> Value;

    /// The weight that `rule`, one of those at [`Router::weights_at`], gives the Service `name`; `None` where it does not name it.
    fn part(&self, rule: &Value, name: &str) -> Option<i64>;

    /// Percent that the canary has by the route; `None` where no rule is ours.
    ///
    /// # Errors
    /// A sentence when the weights do not add up to 100: nobody can say then where traffic goes.
    fn weight(&self, spec: &CanarySpec, live: &Value) -> Result<Option<i64>, String> {
        let (primary, canary) = destinations(spec);
        let rules = self.weights_at().iter().try_fold(live, |value, key| value.get(key)).and_then(Value::as_array);
        let ours = rules.into_iter().flatten().find_map(|rule| Some((self.part(rule, &primary)?, self.part(rule, &canary)?)));
        match ours {
            None => Ok(None),
            Some((p, c)) if p + c == 100 && (0..=100).contains(&c) => Ok(Some(c)),
            Some((p, c)) => {
                let (kind, name) = (self.kind(), spec.service_name());
                Err(format!("{kind} {name}: weights {p} and {c} do not add up to 100; correct them, or delete the object"))
            }
        }
    }

    /// `live` with the canary at `weight` percent and everything else of ours as the Canary says; whatever
    /// else stands in the object stays.
    fn edit(&self, spec: &CanarySpec, live: &Value, weight: i64) -> Value;

    /// Whether `live` is something else than the Canary wants, its weights aside.
    fn differs(&self, spec: &CanarySpec, live: &Value) -> bool {
        let weight = self.weight(spec, live).ok().flatten().unwrap_or(0);
        self.edit(spec, live, weight)["spec"] != live["spec"]
    }
}

/// The router that `spec.provider` names; `None` for one without route objects.
#[must_use]
pub fn router(provider: &str) -> Option<&'static dyn Router> {
    match provider {
        "istio" => Some(&istio::Istio),
        "linkerd" => Some(&linkerd::Linkerd),
        _ => None,
    }
}

/// Names of the two Services that traffic is divided between.
#[must_use]
pub fn destinations(spec: &CanarySpec) -> (String, String) {
    let base = spec.service_name();
    (format!("{base}-primary"), format!("{base}-canary"))
}
