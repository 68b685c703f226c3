//! The arithmetic of a rolling update, as the Deployment controller does it: how many pods more, how many fewer.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment>

use std::sync::Arc;

use serde_json::Value;

use super::view::revision;
use crate::kubernetes::json::{annotation, integer, text};

pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub const MOST: &str = "deployment.kubernetes.io/max-replicas";

/// What a Deployment's spec asks for, with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub replicas: i64,
    /// Pods above `replicas`.
    pub surge: i64,
    /// Pods that may be missing from `replicas`.
    pub unavailable: i64,
    pub recreate: bool,
    pub paused: bool,
    pub min_ready_seconds: i64,
    pub progress_deadline_seconds: Option<i64>,
    pub history: Option<usize>,
}

impl Wanted {
    #[must_use]
    pub fn of(deployment: &Value) -> Self {
        let replicas = integer(deployment, "/spec/replicas").unwrap_or(1);
        let recreate = text(deployment, "/spec/strategy/type") == "Recreate";
        let share = |field: &str, up: bool| {
            let path = format!("/spec/strategy/rollingUpdate/{field}");
            resolve(deployment.pointer(&path).unwrap_or(&Value::from("25%")), replicas, up)
        };
        let (surge, mut unavailable) = if recreate { (0, 0) } else { (share("maxSurge", true), share("maxUnavailable", false)) };
        // An update that may neither add nor take away would never begin.
        if !recreate && surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        Self {
            replicas,
            surge,
            unavailable: unavailable.min(replicas),
            recreate,
            paused: deployment.pointer("/spec/paused").and_then(Value::as_bool).unwrap_or(false),
            min_ready_seconds: integer(deployment, "/spec/minReadySeconds").unwrap_or(0),
            progress_deadline_seconds: integer(deployment, "/spec/progressDeadlineSeconds").filter(|s| *s < i64::from(i32::MAX)),
            history: integer(deployment, "/spec/revisionHistoryLimit").and_then(|n| usize::try_from(n).ok()),
        }
    }

    pub fn most(&self) -> i64 {
        self.replicas + self.surge
    }
}

/// A number or a percentage of `replicas`.
fn resolve(value: &Value, replicas: i64, up: bool) -> i64 {
    let Some(percent) = value.as_str().and_then(|s| s.strip_suffix('%')?.parse::<i64>().ok()) else {
        return value.as_i64().unwrap_or(0);
    };
    let product = replicas * percent;
    if up { (product + 99).div_euclid(100) } else { product.div_euclid(100) }
}

/// A `ReplicaSet` as one look of the Deployment controller sees it.
#[derive(Clone, Debug)]
pub struct Set {
    pub object: Arc<Value>,
    pub name: String,
    pub revision: i64,
    /// `spec.replicas`.
    pub replicas: i64,
    pub current: i64,
    pub ready: i64,
    pub available: i64,
    pub terminating: i64,
    /// What the Deployment wanted when this set was last scaled.
    pub desired: Option<i64>,
    /// The most pods that the Deployment could have then.
    pub most: Option<i64>,
}

impl Set {
    #[must_use]
    pub fn of(object: Arc<Value>) -> Self {
        let status = |field: &str| object.get("status").and_then(|s| s.get(field)?.as_i64()).unwrap_or(0);
        let number = |key: &str| annotation(&object, key).and_then(|n| n.parse().ok());
        Self {
            name: text(&object, "/metadata/name").to_owned(),
            revision: revision(&object),
            replicas: integer(&object, "/spec/replicas").unwrap_or(1),
            current: status("replicas"),
            ready: status("readyReplicas"),
            available: status("availableReplicas"),
            terminating: status("terminatingReplicas"),
            desired: number(DESIRED),
            most: number(MOST),
            object,
        }
    }
}

/// Size of the new set after the next step up.
#[must_use]
pub fn next_size(wanted: &Wanted, sets: &[Set], new: &Set) -> i64 {
    if wanted.recreate || new.replicas > wanted.replicas {
        return wanted.replicas;
    }
    let room = wanted.most() - total(sets);
    if room <= 0 { new.replicas } else { new.replicas + room.min(wanted.replicas - new.replicas) }
}

/// Sizes of the old sets after the next step down: pods that are not available go first, then available ones as far
/// as `maxUnavailable` allows. `old` is ordered oldest first. `None` where a set's status is older than its size: what is
/// available is then not known, and the real controller gives up, too, until it is.
#[must_use]
pub fn shrink(wanted: &Wanted, sets: &[Set], new: Option<&Set>, old: &[&Set]) -> Option<Vec<i64>> {
    let mut sizes: Vec<i64> = old.iter().map(|set| set.replicas).collect();
    let least = wanted.replicas - wanted.unavailable;
    let new_unavailable = new.map_or(0, |set| set.replicas - set.available);
    let mut unhealthy = total(sets) - least - new_unavailable;
    if unhealthy <= 0 {
        return Some(sizes);
    }
    for (size, set) in sizes.iter_mut().zip(old) {
        if unhealthy > 0 && set.available > *size {
            return None;
        }
        let taken = (*size - set.available).min(unhealthy);
        *size -= taken;
        unhealthy -= taken;
    }
    let mut spare = sets.iter().map(|set| set.available).sum::<i64>() - least;
    for size in &mut sizes {
        let taken = (*size).min(spare.max(0));
        *size -= taken;
        spare -= taken;
    }
    Some(sizes)
}

/// Sizes of the active sets, newest first where sizes are equal, when the Deployment is scaled in the middle of an
/// update: in proportion to what each has.
#[must_use]
pub fn proportions(wanted: &Wanted, active: &[&Set], deployment_replicas: i64) -> Vec<i64> {
    let allowed = if wanted.replicas > 0 { wanted.most() } else { 0 };
    let to_add = allowed - active.iter().map(|set| set.replicas).sum::<i64>();
    let mut added = 0;
    let mut sizes: Vec<i64> = active
        .iter()
        .map(|set| {
            let rest = to_add - added;
            if set.replicas == 0 || rest == 0 {
                return set.replicas;
            }
            let part = fraction(wanted, set, deployment_replicas);
            let part = if to_add > 0 { part.min(rest) } else { part.max(rest) };
            added += part;
            set.replicas + part
        })
        .collect();
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

/// By how much one set grows or shrinks, rounded half away from zero.
fn fraction(wanted: &Wanted, set: &Set, deployment_replicas: i64) -> i64 {
    if wanted.replicas == 0 {
        return -set.replicas;
    }
    let before = set.most.unwrap_or(deployment_replicas).max(1);
    let scaled = 2 * set.replicas * wanted.most() + before;
    scaled.div_euclid(2 * before) - set.replicas
}

/// Pods that all sets together are to have.
#[must_use]
pub fn total(sets: &[Set]) -> i64 {
    sets.iter().map(|set| set.replicas).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(replicas: i64, surge: Value, unavailable: Value) -> Wanted {
        Wanted::of(&json!({"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}}))
    }

    fn set(replicas: i64, available: i64, most: i64) -> Set {
        Set::of(Arc::new(json!({"metadata": {"name": "web-1", "annotations": {MOST: most.to_string()}},
            "spec": {"replicas": replicas}, "status": {"availableReplicas": available}})))
    }

    #[test]
    fn percentages_round_up_for_surge_and_down_for_unavailable() {
        for (replicas, surge, unavailable) in [(0, 0, 0), (1, 1, 0), (2, 1, 0), (4, 1, 1), (10, 3, 2)] {
            let w = wanted(replicas, json!("25%"), json!("25%"));
            assert_eq!((w.surge, w.unavailable), (surge, unavailable), "{replicas}");
        }
        assert_eq!(wanted(3, json!(0), json!(0)).unavailable, 1);
        assert_eq!(wanted(2, json!(1), json!(5)).unavailable, 2);
        let recreate = Wanted::of(&json!({"spec": {"replicas": 3, "strategy": {"type": "Recreate"}}}));
        assert_eq!((recreate.surge, recreate.unavailable), (0, 0));
    }

    #[test]
    fn an_update_goes_up_by_the_surge_and_down_by_what_may_be_missing() {
        let w = wanted(4, json!(1), json!(1));
        let (old, new) = (set(4, 4, 5), set(0, 0, 5));
        assert_eq!(next_size(&w, &[old.clone(), new.clone()], &new), 1);
        let new = set(1, 0, 5);
        assert_eq!(shrink(&w, &[old.clone(), new.clone()], Some(&new), &[&old]), Some(vec![3]));
        // Old pods that are not available go whatever the new ones do.
        let broken = set(4, 0, 5);
        assert_eq!(shrink(&w, &[broken.clone(), new.clone()], Some(&new), &[&broken]), Some(vec![3]));
        // Five are to be left, eleven are said to be available.
        let stale = set(5, 11, 18);
        assert_eq!(shrink(&wanted(6, json!(3), json!(2)), &[stale.clone(), set(4, 0, 9)], Some(&set(4, 0, 9)), &[&stale]), None);
    }

    #[test]
    fn scaling_in_the_middle_keeps_the_proportions() {
        let (old, new) = (set(8, 8, 13), set(5, 0, 13));
        assert_eq!(proportions(&wanted(15, json!(3), json!(2)), &[&old, &new], 13), [11, 7]);
        assert_eq!(proportions(&wanted(0, json!(3), json!(2)), &[&old, &new], 13), [0, 0]);
        assert_eq!(proportions(&wanted(6, json!(3), json!(2)), &[&set(11, 11, 18), &set(7, 0, 18)], 18), [5, 4]);
    }
}
