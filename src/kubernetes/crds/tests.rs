//! The CRDs beside the facts of Flagger's (`tests/contract/flagger-crds.json`), and beside Canaries that fill, stretch and break
//! them. What a real API server says of the same Canaries is the business of the test of the real bed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{all, canary_spec, check};
use crate::domain::alert::AlertProviderSpec;
use crate::domain::canary::CanarySpec;
use crate::domain::status::CanaryStatus;
use crate::domain::template::MetricTemplateSpec;

const FACTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract/flagger-crds.json"));
const MAXIMAL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract/maximal.json"));
const VARIANTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract/variants.json"));

/// What Flagger's CRDs say and ours leave out: the place (`*` for anywhere), the rule, its value there, and why.
const LEFT_OUT: [(&str, &str, &str, &str); 3] = [
    ("*", "format", "\"string\"", "no format of that name exists: the API server warns of it and checks nothing"),
    ("*", "format", "\"url\"", "no format of that name exists: the API server warns of it and checks nothing"),
    (
        "Canary /spec/service/mirror",
        "required",
        "[\"backendRef\"]",
        "it stands on the list and not on its items, and says nothing of a list",
    ),
];

type Facts = BTreeMap<String, Value>;

/// Enters what `schema` says of `place` itself, and then everything below it.
fn flatten(schema: &Value, kind: &str, place: &str, facts: &mut Facts) {
    let mut own = schema.as_object().cloned().expect("a schema is an object");
    let mut below: Vec<_> = match own.remove("properties") {
        Some(Value::Object(fields)) => fields.into_iter().map(|(name, schema)| (format!("{place}/{name}"), schema)).collect(),
        _ => Vec::new(),
    };
    below.extend(own.remove("items").map(|items| (format!("{place}/[]"), items)));
    below.extend(own.remove("additionalProperties").map(|values| (format!("{place}/{{}}"), values)));
    facts.insert(format!("{kind} {}", if place.is_empty() { "/" } else { place }), sorted(Value::Object(own)));
    for (place, schema) in below {
        flatten(&schema, kind, &place, facts);
    }
}

/// `required` and `enum` are sets: their order means nothing.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| match (key.as_str(), sorted(value)) {
                ("required" | "enum", Value::Array(mut set)) => {
                    set.sort_by_key(Value::to_string);
                    (key, set.into())
                }
                (_, value) => (key, value),
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

fn ours(crds: &[Value]) -> Facts {
    let mut facts = Facts::new();
    for crd in crds {
        let kind = crd["spec"]["names"]["kind"].as_str().expect("a kind");
        let mut about = crd["spec"].as_object().cloned().expect("a spec");
        about.remove("versions");
        about.insert("name".into(), crd["metadata"]["name"].clone());
        about.insert("annotations".into(), crd["metadata"]["annotations"].clone());
        facts.insert(kind.into(), about.into());
        for version in crd["spec"]["versions"].as_array().expect("versions") {
            let mut about = version.as_object().cloned().expect("a version");
            let at = format!("{kind} {}", version["name"].as_str().expect("a name"));
            let columns = about.remove("additionalPrinterColumns");
            for (position, column) in columns.as_ref().and_then(Value::as_array).into_iter().flatten().enumerate() {
                facts.insert(format!("{at} column {position:02}"), column.clone());
            }
            let schema = about.remove("schema").expect("a schema");
            facts.insert(at, about.into());
            flatten(&schema["openAPIV3Schema"], kind, "", &mut facts);
        }
    }
    facts
}

fn theirs() -> Facts {
    let file: Value = serde_json::from_str(FACTS).expect("JSON");
    serde_json::from_value(file["facts"].clone()).expect("facts")
}

/// Each place and rule where the two differ, with what theirs says there and what ours does.
fn differences(theirs: &Facts, ours: &Facts) -> Vec<(String, String, String, String)> {
    let nothing = Value::Null;
    let empty = Map::new();
    let mut found = Vec::new();
    for place in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
        let (Some(their), Some(our)) = (theirs.get(place), ours.get(place)) else {
            let is = |facts: &Facts| if facts.contains_key(place) { "there" } else { "missing" }.to_owned();
            found.push((place.clone(), "place".into(), is(theirs), is(ours)));
            continue;
        };
        let (their, our) = (their.as_object().unwrap_or(&empty), our.as_object().unwrap_or(&empty));
        for rule in their.keys().chain(our.keys()).collect::<BTreeSet<_>>() {
            let (their, our) = (their.get(rule).unwrap_or(&nothing), our.get(rule).unwrap_or(&nothing));
            if their != our {
                found.push((place.clone(), rule.clone(), their.to_string(), our.to_string()));
            }
        }
    }
    found
}

#[test]
fn they_are_flaggers_but_for_what_is_left_out_on_purpose() {
    let (left_out, others): (Vec<_>, Vec<_>) = differences(&theirs(), &ours(&all())).into_iter().partition(|(place, rule, their, our)| {
        our == "null" && LEFT_OUT.iter().any(|(at, what, value, _)| (*at == "*" || at == place) && what == rule && value == their)
    });
    assert!(others.is_empty(), "place, rule, Flagger's, ours: {others:#?}");
    for (at, what, value, why) in LEFT_OUT {
        let used = left_out.iter().any(|(place, rule, their, _)| (at == "*" || at == place) && rule == what && their == value);
        assert!(used && why.len() > 20, "{at} {what} is left out of nothing: take it off the table");
    }
}

#[test]
fn a_difference_is_seen_wherever_it_is() {
    let said = |change: fn(&mut Vec<Value>)| {
        let mut crds = all();
        change(&mut crds);
        let found = differences(&ours(&all()), &ours(&crds));
        found.into_iter().map(|(place, rule, their, our)| format!("{place}, {rule}: {their}, {our}")).collect::<Vec<_>>()
    };
    assert_eq!(
        said(|crds| {
            let at = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/analysis/properties/alerts/items/properties";
            crds[0].pointer_mut(at).and_then(Value::as_object_mut).expect("fields").remove("severity");
        }),
        ["Canary /spec/analysis/alerts/[]/severity, place: there, missing"]
    );
    assert_eq!(
        said(|crds| crds[0]["spec"]["versions"][0]["additionalPrinterColumns"][2]["priority"] = json!(0)),
        ["Canary v1beta1 column 02, priority: 1, 0"]
    );
    assert_eq!(said(|crds| crds[2]["spec"]["scope"] = json!("Cluster")), ["AlertProvider, scope: \"Namespaced\", \"Cluster\""]);
}

fn maximal() -> Vec<Value> {
    let list: Value = serde_json::from_str(MAXIMAL).expect("JSON");
    list["items"].as_array().cloned().expect("items")
}

/// Every place of `schema` that `value` fills; a field that the schema does not name is called by its name and a question mark.
fn filled(schema: &Value, kind: &str, place: &str, value: &Value, places: &mut BTreeSet<String>) {
    places.insert(format!("{kind} {}", if place.is_empty() { "/" } else { place }));
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(schema) = schema.get("properties").and_then(|known| known.get(name)) {
                    filled(schema, kind, &format!("{place}/{name}"), value, places);
                } else if let Some(schema) = schema.get("additionalProperties") {
                    filled(schema, kind, &format!("{place}/{{}}"), value, places);
                } else if place != "/metadata" {
                    places.insert(format!("{kind} {place}/{name}?"));
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| filled(&schema["items"], kind, &format!("{place}/[]"), item, places)),
        _ => {}
    }
}

#[test]
fn the_maximal_objects_fill_every_place_and_break_no_rule() {
    let crds = all();
    let mut places = BTreeSet::new();
    for object in maximal() {
        let kind = object["kind"].as_str().expect("a kind");
        let crd = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == kind).expect("its CRD");
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(check::fault(schema, kind, &object), None);
        filled(schema, kind, "", &object, &mut places);
    }
    let known: BTreeSet<_> = ours(&crds).into_keys().filter(|place| place.contains(" /")).collect();
    let missing: Vec<_> = known.difference(&places).collect();
    let unknown: Vec<_> = places.difference(&known).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not filled: {missing:#?}, not known: {unknown:#?}");
}

/// What is written to the API server has been read into these types before: none may lose a field.
#[test]
fn our_types_keep_all_that_the_schemas_keep() {
    fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &Value) -> Value {
        let typed: T = serde_json::from_value(value.clone()).expect("the type reads what the schema lets through");
        serde_json::to_value(typed).expect("JSON")
    }
    for object in maximal() {
        let spec = &object["spec"];
        let kept = match object["kind"].as_str().expect("a kind") {
            "Canary" => again::<CanarySpec>(spec),
            "MetricTemplate" => again::<MetricTemplateSpec>(spec),
            "AlertProvider" => again::<AlertProviderSpec>(spec),
            kind => panic!("{kind} is no kind of ours"),
        };
        assert_eq!(&kept, spec);
        if let Some(status) = object.get("status") {
            assert_eq!(&again::<CanaryStatus>(status), status);
        }
    }
}

#[test]
fn variants_are_taken_and_refused_as_by_flaggers() {
    let variants: Value = serde_json::from_str(VARIANTS).expect("JSON");
    let schema = canary_spec();
    let fault = |change: &Value| {
        let mut spec = variants["base"].clone();
        json_patch::merge(&mut spec, change);
        check::fault(&schema, "spec", &spec)
    };
    // Rules in CEL are the API server's own.
    for (group, refused) in [("accepted", false), ("refused", true), ("refused by the server alone", false)] {
        for (name, change) in variants[group].as_object().expect("variants") {
            assert_eq!(fault(change).is_some(), refused, "{name}: {:?}", fault(change));
        }
    }
}
