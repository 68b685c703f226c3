//! Whether the parents of an `HTTPRoute` accepted it as it stands: before that, nobody can say where traffic goes.

use serde_json::Value;

use crate::kubernetes::json::{integer, items, text};
use crate::mesh::{Named, shown};

/// Each parent's condition `Accepted` is True, and of the current generation (rollout-contract §7.2).
///
/// # Errors
/// A sentence about the first parent that did not accept it, or has not said anything yet.
pub(super) fn by_all(route: &Named, live: &Value) -> Result<(), String> {
    let generation = integer(live, "/metadata/generation").unwrap_or(0);
    for parent in items(live, "/spec/parentRefs") {
        let wanted = identity(parent, &route.namespace);
        let mut answers = items(live, "/status/parents")
            .filter(|answer| answer.get("parentRef").is_some_and(|told| identity(told, &route.namespace) == wanted))
            .peekable();
        let objection = match answers.peek() {
            None => Some("its controller has not answered".to_owned()),
            Some(_) => answers.find_map(|answer| objection(answer, generation)),
        };
        if let Some(why) = objection {
            let (kind, name) = (route.kind.word(), shown(&route.name));
            let [_, parent_kind, namespace, parent, ..] = wanted;
            return Err(format!(
                "{kind} {name} is not accepted yet by {} {}/{}: {why}; look at the route's status and at that parent",
                shown(&parent_kind),
                shown(&namespace),
                shown(&parent)
            ));
        }
    }
    Ok(())
}

/// Why one controller's answer does not count as acceptance of `generation`.
fn objection(answer: &Value, generation: i64) -> Option<String> {
    let Some(condition) = items(answer, "/conditions").find(|condition| text(condition, "/type") == "Accepted") else {
        return Some("its controller has not answered".into());
    };
    let answered = integer(condition, "/observedGeneration").unwrap_or(0);
    if answered < generation {
        return Some(format!("its answer is about generation {answered}, the route is at {generation}"));
    }
    if text(condition, "/status") == "True" {
        return None;
    }
    let why = format!("{} {}", shown(text(condition, "/reason")), shown(text(condition, "/message")));
    Some(if why.trim().is_empty() { "it gives no reason".into() } else { why.trim().to_owned() })
}

/// A reference to a parent with what its absent fields mean: controllers repeat it with and without them.
fn identity(parent: &Value, namespace: &str) -> [String; 6] {
    let said = |field: &str, otherwise: &str| parent.get(field).and_then(Value::as_str).unwrap_or(otherwise).to_owned();
    let group = said("group", "gateway.networking.k8s.io");
    [
        // Linkerd calls the core group by name.
        if group == "core" { String::new() } else { group },
        said("kind", "Gateway"),
        said("namespace", namespace),
        said("name", ""),
        said("sectionName", ""),
        parent.get("port").and_then(Value::as_i64).map(|port| port.to_string()).unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::kinds::Kind;
    use serde_json::json;

    fn check(parents: Value, answers: Value) -> Result<(), String> {
        let route = Named { kind: Kind::HttpRoute, namespace: "prod".into(), name: "web".into() };
        by_all(&route, &json!({"metadata": {"generation": 3}, "spec": {"parentRefs": parents}, "status": {"parents": answers}}))
    }

    fn answer(parent: Value, status: &str, generation: i64) -> Value {
        let condition = json!({"type": "Accepted", "status": status, "observedGeneration": generation,
            "reason": "NoMatchingListenerHostname", "message": "no\u{1b}[1m listener"});
        json!({"parentRef": parent, "conditions": [{"type": "ResolvedRefs", "status": "True", "observedGeneration": 3}, condition]})
    }

    #[test]
    fn every_parent_has_to_accept_the_route_as_it_stands() {
        let (public, inner) = (json!({"name": "public"}), json!({"name": "inner", "namespace": "infra", "sectionName": "https"}));
        let both = json!([public, inner]);
        let yes =
            answer(json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "prod"}), "True", 3);
        assert_eq!(check(both.clone(), json!([yes, answer(inner.clone(), "True", 4)])), Ok(()));
        for (answers, part) in [
            (Value::Null, "HTTPRoute web is not accepted yet by Gateway prod/public: its controller has not answered"),
            (json!([yes]), "not accepted yet by Gateway infra/inner: its controller"),
            (json!([yes, answer(json!({"name": "inner", "namespace": "infra"}), "True", 3)]), "infra/inner: its controller"),
            (json!([yes, answer(inner.clone(), "True", 2)]), "its answer is about generation 2, the route is at 3"),
            (json!([yes, answer(inner.clone(), "False", 3)]), "infra/inner: NoMatchingListenerHostname no[1m listener;"),
            (json!([yes, answer(inner.clone(), "True", 3), answer(inner.clone(), "Unknown", 3)]), "infra/inner: NoMatching"),
            (json!([yes, {"parentRef": inner, "conditions": []}]), "infra/inner: its controller has not answered"),
        ] {
            let why = check(both.clone(), answers).expect_err("not accepted");
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn a_service_is_a_parent_under_both_names_of_its_group() {
        let service = |group: &str| json!({"group": group, "kind": "Service", "name": "web", "port": 80});
        assert_eq!(check(json!([service("core")]), json!([answer(service(""), "True", 3)])), Ok(()));
        let other = json!({"group": "", "kind": "Service", "name": "web", "port": 81});
        assert!(check(json!([service("core")]), json!([answer(other, "True", 3)])).is_err());
    }
}
