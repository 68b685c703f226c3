//! Lists of rules that divide traffic: which are ours, what they weigh, and how they are changed beside other people's.
//! `VirtualService.spec.http` and `HTTPRoute.spec.rules` are such lists; only their words differ ([`Shape`]).

use serde_json::Value;

use super::{Named, Subject, destinations, percent, shown};

/// The words of one kind of rule.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Field of a rule that lists its destinations.
    pub list: &'static str,
    /// Field of a rule that says which requests it takes.
    pub matches: &'static str,
    /// The Service in this namespace that a destination names.
    pub service: for<'a> fn(&'a Value, namespace: &str) -> Option<&'a str>,
    /// The weight of a destination that says none.
    pub unsaid: i64,
    /// A live rule with what we want in it, destinations aside.
    pub rule: fn(live: &Value, wanted: &Value) -> Value,
    /// A live destination with what we want in it.
    pub destination: fn(live: &Value, wanted: &Value) -> Value,
}

impl Shape {
    fn destinations<'a>(&self, rule: &'a Value) -> impl Iterator<Item = &'a Value> {
        rule.get(self.list).and_then(Value::as_array).into_iter().flatten()
    }

    /// Whether `rule` names the primary, and whether it names the canary.
    fn names(&self, at: &Subject<'_>, rule: &Value) -> (bool, bool) {
        let (primary, canary) = destinations(at.spec);
        let has = |name: &str| self.destinations(rule).any(|d| (self.service)(d, at.namespace) == Some(name));
        (has(&primary), has(&canary))
    }

    /// Whether `rule` names one of our two Services.
    pub fn is_ours(&self, at: &Subject<'_>, rule: &Value) -> bool {
        self.names(at, rule) != (false, false)
    }

    /// Place of the rule that holds the weights: the last that names both Services, as Flagger reads it, because the rules
    /// that keep clients with what their cookie says name both as well and stand before it.
    fn main<'a>(&self, at: &Subject<'_>, mut rules: impl DoubleEndedIterator<Item = &'a Value> + ExactSizeIterator) -> Option<usize> {
        rules.rposition(|rule| self.names(at, rule) == (true, true))
    }

    /// The rule that holds the weights, and the canary's percent; `None` where no rule is ours.
    ///
    /// # Errors
    /// A sentence when nobody can say where traffic goes.
    pub fn weighted<'a>(&self, at: &Subject<'_>, route: &Named, rules: &'a [Value]) -> Result<Option<(&'a Value, i64)>, String> {
        let (primary, canary) = destinations(at.spec);
        let (kind, name) = (route.kind.word(), shown(&route.name));
        let Some(rule) = self.main(at, rules.iter()).and_then(|n| rules.get(n)) else {
            return if rules.iter().any(|rule| self.names(at, rule).1) {
                Err(format!(
                    "{kind} {name}: no rule divides between {primary} and {canary}, but one names {canary}; remove it, or delete the object"
                ))
            } else {
                Ok(None)
            };
        };
        let (mut to_primary, mut to_canary, mut to_others) = (0_i64, 0_i64, 0_i64);
        for destination in self.destinations(rule) {
            let weight = match destination.get("weight") {
                None | Some(Value::Null) => self.unsaid,
                Some(said) => said.as_i64().ok_or_else(|| {
                    let said = shown(&said.to_string());
                    format!("{kind} {name}: weight {said} is not a whole number; correct it, or delete the object")
                })?,
            };
            let sum = match (self.service)(destination, at.namespace) {
                Some(service) if service == primary => &mut to_primary,
                Some(service) if service == canary => &mut to_canary,
                _ => &mut to_others,
            };
            *sum = sum.saturating_add(weight);
        }
        if to_others != 0 {
            return Err(format!(
                "{kind} {name}: the rule of {primary} and {canary} gives weight {to_others} to others; remove them, or delete the object"
            ));
        }
        Ok(Some((rule, percent(route, to_primary, to_canary)?)))
    }

    /// `live` with our rules as `wanted`, and other people's after them.
    pub fn edit(&self, at: &Subject<'_>, live: &[Value], wanted: &[Value]) -> Vec<Value> {
        let (ours, foreign): (Vec<&Value>, Vec<&Value>) = live.iter().partition(|rule| self.is_ours(at, rule));
        let (live_main, wanted_main) = (self.main(at, ours.iter().copied()), self.main(at, wanted.iter()));
        let mut out = Vec::with_capacity(live.len() + wanted.len());
        for (n, rule) in wanted.iter().enumerate() {
            let twin = if Some(n) == wanted_main {
                live_main.and_then(|m| ours.get(m))
            } else {
                ours.iter().enumerate().find(|(m, other)| Some(*m) != live_main && self.are_alike(at, other, rule)).map(|(_, other)| other)
            };
            out.push(twin.map_or_else(|| rule.clone(), |twin| self.joined(at, twin, rule)));
        }
        out.extend(foreign.into_iter().cloned());
        out
    }

    /// Whether two rules that hold no weights serve the same purpose: the primary's alone is one of its kind, and the
    /// others are told apart by what they match.
    fn are_alike(&self, at: &Subject<'_>, one: &Value, other: &Value) -> bool {
        let names = self.names(at, one);
        names == self.names(at, other) && (names == (true, false) || one.get(self.matches) == other.get(self.matches))
    }

    /// A live rule as `wanted`, with fields of others in it and in its destinations.
    pub fn joined(&self, at: &Subject<'_>, live: &Value, wanted: &Value) -> Value {
        let mut out = (self.rule)(live, wanted);
        let named = |d: &Value| (self.service)(d, at.namespace).map(str::to_owned);
        let join = |d: &Value| {
            let twin = self.destinations(live).find(|other| named(other).is_some() && named(other) == named(d));
            twin.map_or_else(|| d.clone(), |twin| (self.destination)(twin, d))
        };
        let all = self.destinations(wanted).map(join).collect();
        if let Some(out) = out.as_object_mut() {
            out.insert(self.list.into(), Value::Array(all));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::laws::Case;
    use super::super::overlay;
    use super::*;
    use crate::kubernetes::kinds::Kind;
    use serde_json::json;

    const SHAPE: Shape = Shape {
        list: "to",
        matches: "match",
        service: |destination, _| destination["name"].as_str(),
        unsaid: 1,
        rule: |live, wanted| overlay(live, wanted, &["match", "to"]),
        destination: |live, wanted| overlay(live, wanted, &["name", "weight"]),
    };

    fn to(parts: &[(&str, i64)]) -> Value {
        json!(parts.iter().map(|(name, weight)| json!({"name": name, "weight": weight})).collect::<Vec<_>>())
    }

    fn percent_of(rules: Value) -> Result<Option<i64>, String> {
        let case = Case::new(json!({"port": 80}), json!({}));
        let route = Named { kind: Kind::HttpRoute, namespace: "prod".into(), name: "web".into() };
        let rules = rules.as_array().expect("a list");
        Ok(SHAPE.weighted(&case.at(), &route, rules)?.map(|(_, percent)| percent))
    }

    #[test]
    fn weights_are_those_of_the_last_rule_that_names_both() {
        let sticky = json!({"match": "cookie", "to": to(&[("web-primary", 0), ("web-canary", 100)])});
        let main = json!({"to": to(&[("web-primary", 80), ("web-canary", 20)])});
        let rest = json!({"to": to(&[("web-primary", 100)])});
        assert_eq!(percent_of(json!([sticky, main, rest, {"to": to(&[("other", 7)])}])), Ok(Some(20)));
        assert_eq!(percent_of(json!([{"to": to(&[("other", 7)])}, rest])), Ok(None));
        assert_eq!(percent_of(json!(["odd", {"to": 3}])), Ok(None));
    }

    #[test]
    fn whatever_nobody_can_tell_is_an_error() {
        for (parts, word) in [
            (json!([{"name": "web-primary"}, {"name": "web-canary"}]), "weights 1 and 1 do not add up"),
            (json!([{"name": "web-primary", "weight": 80}, {"name": "web-canary", "weight": "20"}]), "not a whole number"),
            (json!([{"name": "web-primary", "weight": 80}, {"name": "web-canary", "weight": 20.5}]), "20.5 is not a whole number"),
            (to(&[("web-primary", 80), ("web-canary", 20), ("web-old", 30)]), "gives weight 30 to others"),
            (to(&[("web-primary", i64::MAX), ("web-canary", 1), ("web-primary", i64::MAX)]), "do not add up"),
            (to(&[("web-canary", 100)]), "no rule divides between"),
        ] {
            assert!(percent_of(json!([{"to": parts}])).is_err_and(|e| e.contains(word)), "{word}");
        }
        assert_eq!(percent_of(json!([{"to": to(&[("web-primary", 80), ("web-canary", 20), ("web-old", 0)])}])), Ok(Some(20)));
    }

    #[test]
    fn our_rules_come_first_and_keep_what_others_put_into_them() {
        let case = Case::new(json!({"port": 80}), json!({}));
        let theirs = json!({"name": "theirs", "to": to(&[("other", 1)])});
        let live = [
            theirs.clone(),
            json!({"match": "old", "fault": 1, "to": [
                {"name": "web-canary", "weight": 10, "subset": "s"}, {"name": "web-primary", "weight": 90}]}),
            json!({"match": "old", "retry": 2, "to": to(&[("web-primary", 100)])}),
            json!({"match": "gone", "to": to(&[("web-canary", 100)])}),
        ];
        let wanted = [
            json!({"match": "new", "to": to(&[("web-primary", 60), ("web-canary", 40)])}),
            json!({"match": "new", "to": to(&[("web-primary", 100)])}),
        ];
        let expected = [
            json!({"match": "new", "fault": 1, "to": [
                {"name": "web-primary", "weight": 60}, {"name": "web-canary", "weight": 40, "subset": "s"}]}),
            json!({"match": "new", "retry": 2, "to": to(&[("web-primary", 100)])}),
            theirs,
        ];
        assert_eq!(SHAPE.edit(&case.at(), &live, &wanted), expected);
    }
}
