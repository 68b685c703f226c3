//! What every router has to keep, whatever the weight and whatever others put beside ours; their tests call it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Router, Settings, Subject};
use crate::domain::canary::CanarySpec;
use crate::domain::traffic::{Cookies, Traffic};

/// Canary `web` of namespace `prod`, and what its router may look at.
#[derive(Clone, Debug)]
pub struct Case {
    pub spec: CanarySpec,
    pub cookies: Cookies,
    annotations: BTreeMap<String, String>,
    settings: Settings,
}

impl Case {
    pub fn new(service: Value, analysis: Value) -> Self {
        let spec = json!({"targetRef": {"kind": "Deployment", "name": "web"}, "service": service, "analysis": analysis});
        Self {
            spec: serde_json::from_value(spec).expect("a spec"),
            cookies: Cookies::default(),
            annotations: BTreeMap::new(),
            settings: Settings::default(),
        }
    }

    pub fn with_cookies(mut self, canary: &str, primary: &str, previous: &str) -> Self {
        self.cookies = Cookies { canary: canary.into(), primary: primary.into(), previous: previous.into() };
        self
    }

    pub fn at(&self) -> Subject<'_> {
        Subject {
            namespace: "prod",
            name: "web",
            annotations: &self.annotations,
            spec: &self.spec,
            cookies: &self.cookies,
            source: None,
            settings: &self.settings,
        }
    }
}

/// Edits `live`, and checks that the result says `traffic`, differs from nothing and is edited into itself. `stored` is what
/// the cluster makes of a written object.
pub fn edited(router: &dyn Router, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic, stored: fn(Value) -> Value) -> Value {
    assert_eq!(router.mistake(at), None);
    let out = stored(router.edit(at, live, traffic).expect("editable"));
    assert_eq!(router.read(at, &out), Ok(Some(traffic)), "{out:#}");
    assert_eq!(router.differs(at, &out), Ok(false), "{out:#}");
    assert_eq!(stored(router.edit(at, Some(&out), traffic).expect("editable")), out);
    out
}

/// Something of somebody else: a field, and which of the places it is put into.
pub fn foreign() -> impl Strategy<Value = (String, Value, prop::sample::Index)> {
    let value = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,8}".prop_map(Value::from),
        prop::collection::vec("[a-z]{1,4}", 0..3).prop_map(|list| json!({"list": list})),
    ];
    ("x-[a-z]{1,6}", value, any::<prop::sample::Index>())
}

/// Puts a field of somebody else into one of `places` (pointers to objects of a route), changes the traffic, and checks that
/// the field is still there, with its value.
pub fn keeps(
    router: &dyn Router,
    at: &Subject<'_>,
    before: &Value,
    places: &[&str],
    (key, value, which): (String, Value, prop::sample::Index),
    traffic: Traffic,
    stored: fn(Value) -> Value,
) {
    let place = *which.get(places);
    let mut live = before.clone();
    live.pointer_mut(place).and_then(Value::as_object_mut).expect("an object").insert(key.clone(), value.clone());
    let after = edited(router, at, Some(&live), traffic, stored);
    let kept = after.pointer(place).and_then(|object| object.get(&key));
    assert_eq!(kept, Some(&value), "{key} in {place} of {after:#}");
}
