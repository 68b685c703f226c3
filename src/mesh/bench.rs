//! The laws that every router keeps, for the property tests of this room: what is written is read back, a second edit
//! changes nothing, others' fields survive, and an edit mends whatever stood there before.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::edit::merge;
use super::{Router, Settings, Subject};
use crate::domain::canary::CanarySpec;
use crate::domain::traffic::{Cookies, Traffic};

/// A router with a Canary, and what its route is made from.
pub struct Bench {
    pub router: &'static dyn Router,
    pub spec: CanarySpec,
    pub annotations: BTreeMap<String, String>,
    pub settings: Settings,
    pub source: Option<Value>,
    /// The route before the first edit, where it is the user's own object.
    pub start: Option<Value>,
    /// What the mesh's controller makes of a written route.
    pub settle: fn(Value) -> Value,
    /// What is read back of a weight.
    pub read_back: fn(i64) -> i64,
    /// Paths, list positions as `*`, below which everything is the router's: nothing of others has a place there.
    pub owned: &'static [&'static str],
    cookies: Cookies,
}

impl Bench {
    /// For the Canary `web` in namespace `prod`, with `spec` laid over a Deployment of that name.
    pub fn new(router: &'static dyn Router, spec: Value) -> Self {
        let spec = merge(Some(json!({"targetRef": {"kind": "Deployment", "name": "web"}})), spec);
        Self {
            router,
            spec: serde_json::from_value(spec).expect("a spec"),
            annotations: BTreeMap::new(),
            settings: Settings::default(),
            source: None,
            start: None,
            settle: |written| written,
            read_back: |weight| weight,
            owned: &[],
            cookies: Cookies::default(),
        }
    }

    pub fn subject(&self) -> Subject<'_> {
        Subject {
            namespace: "prod",
            name: "web",
            annotations: &self.annotations,
            spec: &self.spec,
            cookies: &self.cookies,
            source: self.source.as_ref(),
            settings: &self.settings,
        }
    }

    /// The route with the canary at `weight`, as the API server and the mesh leave it.
    pub fn written(&self, live: Option<&Value>, weight: i64) -> Value {
        (self.settle)(self.router.edit(&self.subject(), live, Traffic::weight(weight)).expect("an edit"))
    }

    pub fn read(&self, live: &Value) -> Result<Option<i64>, String> {
        self.router.read(&self.subject(), live).map(|traffic| traffic.map(|t| t.canary))
    }

    /// `before` and `weight` are percent; `picks` says, over and over, beside which fields others write theirs.
    pub fn keeps_the_laws(&self, before: i64, weight: i64, picks: &[bool]) {
        let at = self.subject();
        let mut live = self.written(self.start.as_ref(), before);
        assert_eq!(self.read(&live), Ok(Some((self.read_back)(before))), "a new route");
        let mut picks = picks.iter().copied().cycle();
        mark(&mut live, "", self.owned, &mut picks, &mut 0);
        let edited = self.written(Some(&live), weight);
        assert_eq!(self.read(&edited), Ok(Some((self.read_back)(weight))), "what is written is read back");
        assert_eq!(self.written(Some(&edited), weight), edited, "a second edit changes nothing");
        assert_eq!(self.router.differs(&at, &edited), Ok(false), "nothing is left to do");
        let (was, is) = (marks(&live), marks(&edited));
        assert_eq!(was.difference(&is).collect::<Vec<_>>(), Vec::<&String>::new(), "others' fields survive");
    }

    /// Puts `garbage` in the place of the `nth` value of a route: nothing panics, and where an edit is possible it mends the route.
    pub fn mends(&self, nth: usize, garbage: &Value, weight: i64) {
        let at = self.subject();
        let mut live = self.written(self.start.as_ref(), 30);
        let mut count = 0;
        size(&live, &mut count);
        replace(&mut live, &mut (nth % count), garbage);
        // Whether these two give an answer or an error is all the same here, as long as they return.
        let _ = self.router.read(&at, &live);
        let _ = self.router.differs(&at, &live);
        let _ = self.router.restore(&at, &live);
        if let Ok(edited) = self.router.edit(&at, Some(&live), Traffic::weight(weight)) {
            let edited = (self.settle)(edited);
            assert_eq!(self.read(&edited), Ok(Some((self.read_back)(weight))), "an edit mends {live}");
            assert_eq!(self.router.differs(&at, &edited), Ok(false), "an edit mends all of {live}");
        }
    }
}

/// Small JSON of any shape.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,4}|web-primary|web-canary|true|50".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("name|weight|spec|metadata|annotations|[a-z]{1,3}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn mark(value: &mut Value, path: &str, owned: &[&str], picks: &mut impl Iterator<Item = bool>, count: &mut usize) {
    if owned.contains(&path) {
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                mark(value, &format!("{path}/{key}"), owned, picks, count);
            }
            if picks.next() == Some(true) {
                *count += 1;
                map.insert(format!("foreign-{count}"), json!("theirs"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mark(item, &format!("{path}/*"), owned, picks, count)),
        _ => {}
    }
}

fn marks(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(map) => {
            map.iter().flat_map(|(key, value)| marks(value).into_iter().chain(key.starts_with("foreign-").then(|| key.clone()))).collect()
        }
        Value::Array(items) => items.iter().flat_map(marks).collect(),
        _ => BTreeSet::new(),
    }
}

fn size(value: &Value, count: &mut usize) {
    *count += 1;
    match value {
        Value::Object(map) => map.values().for_each(|value| size(value, count)),
        Value::Array(items) => items.iter().for_each(|value| size(value, count)),
        _ => {}
    }
}

/// Counts `nth` down through the values, and replaces the one where it is 0.
fn replace(value: &mut Value, nth: &mut usize, garbage: &Value) -> bool {
    if *nth == 0 {
        *value = garbage.clone();
        return true;
    }
    *nth -= 1;
    match value {
        Value::Object(map) => map.values_mut().any(|value| replace(value, nth, garbage)),
        Value::Array(items) => items.iter_mut().any(|value| replace(value, nth, garbage)),
        _ => false,
    }
}

/// The property tests of one router: `laws!(bench)`, where `bench` makes one.
macro_rules! laws {
    ($($name:ident: $bench:expr;)*) => {$(
        mod $name {
            use super::*;
            use proptest::prelude::*;

            proptest! {
                #[test]
                fn keeps_the_laws(before in 0..=100_i64, weight in 0..=100_i64, picks in prop::collection::vec(any::<bool>(), 1..40)) {
                    $bench.keeps_the_laws(before, weight, &picks);
                }

                #[test]
                fn mends(nth in 0..200_usize, garbage in crate::mesh::bench::any_json(), weight in 0..=100_i64) {
                    $bench.mends(nth, &garbage, weight);
                }
            }
        }
    )*};
}

pub(in crate::mesh) use laws;
