//! Knative: the user's own Service, whose traffic is divided between the newest revision and the primary's, which an
//! annotation names (rollout-contract §7.2).
//!
//! What is asked for stands in `spec.traffic`, what is given in `status.traffic`.

use serde_json::{Value, json};

use super::edit::{brief, list, merge, parts, shown};
use super::{Abilities, Named, Restore, Router, Subject, WEIGHTED};
use crate::domain::canary::TargetKind;
use crate::domain::traffic::Traffic;
use crate::kubernetes::json::{annotation, text};
use crate::kubernetes::kinds::Kind;

/// Knative Serving.
pub struct Knative;

/// Names the revision that is the primary.
pub const PRIMARY_REVISION: &str = "flagger.app/primary-revision";
const CREATED: &str = "/status/latestCreatedRevisionName";

impl Router for Knative {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::KnativeService]
    }

    fn absent(&self) -> &'static str {
        "Knative's CRDs are not installed in this cluster: install Knative Serving, or set spec.provider: kubernetes"
    }

    fn abilities(&self) -> Abilities {
        Abilities { blue_green: false, ..WEIGHTED }
    }

    fn route(&self, at: &Subject<'_>) -> Named {
        Named { kind: Kind::KnativeService, namespace: at.namespace.into(), name: at.spec.target_ref.name.clone() }
    }

    fn mistake(&self, at: &Subject<'_>) -> Option<String> {
        let target = &at.spec.target_ref;
        (at.spec.target_kind() != TargetKind::Knative).then(|| {
            format!(
                "spec.targetRef is a {} of {}: provider knative rolls out Services of serving.knative.dev/v1; name one, or \
                 another provider",
                brief(&target.kind),
                brief(&target.api_version)
            )
        })
    }

    fn weights_at(&self, _: &Subject<'_>) -> Vec<String> {
        ["spec", "traffic"].map(Into::into).into()
    }

    fn read(&self, at: &Subject<'_>, live: &Value) -> Result<Option<Traffic>, String> {
        let Some(revision) = primary_revision(live) else { return Ok(None) };
        let object = shown(&self.route(at));
        let wrong = |why: &str| Err(format!("Knative {object}: {why}"));
        let (Some(asked), Some(given)) = (asked(live, revision), shares(list(live, "/status/traffic"), revision)) else {
            return wrong("a percent in its traffic is no whole number from 0 to 100; correct spec.traffic");
        };
        if asked.newest != given.newest {
            // What was asked for is on its way; until it is there it is pending.
            return Ok(Some(Traffic::weight(asked.newest)));
        }
        let others: i64 = given.others.iter().map(|(_, percent)| percent).sum();
        if given.newest + given.primary + others != 100 {
            return wrong("the percents in status.traffic do not add up to 100; look at its conditions, or correct spec.traffic");
        }
        // At promotion the annotation moves to the newest revision; what the old one still has is the primary's until the next edit.
        let promoted = given.primary == 0 && given.others.len() == 1 && revision == text(live, CREATED);
        match given.others.first() {
            Some((other, percent)) if !promoted => wrong(&format!(
                "revision {} has {percent} percent and is neither the newest nor the primary, {}; take it out of spec.traffic",
                brief(other),
                brief(revision)
            )),
            _ => Ok(Some(Traffic::weight(given.newest))),
        }
    }

    fn pending(&self, at: &Subject<'_>, live: &Value) -> Option<String> {
        let revision = primary_revision(live)?;
        let (asked, given) = (asked(live, revision)?, shares(list(live, "/status/traffic"), revision)?);
        (asked.newest != given.newest).then(|| {
            format!(
                "Knative {}: its newest revision has {} percent by status.traffic and {} by spec.traffic; Knative has not taken that up yet",
                shown(&self.route(at)),
                given.newest,
                asked.newest
            )
        })
    }

    fn edit(&self, at: &Subject<'_>, live: Option<&Value>, traffic: Traffic) -> Result<Value, String> {
        let [to_primary, to_canary] = parts(traffic)?;
        let object = self.route(at);
        let missing =
            || format!("Knative {} is not in namespace {}; create it, or correct spec.targetRef", shown(&object), brief(at.namespace));
        let live = live.ok_or_else(missing)?;
        let created = Some(text(live, CREATED)).filter(|name| !name.is_empty());
        let revision = primary_revision(live).or(created).ok_or_else(|| {
            format!(
                "Knative {} has no revision yet; wait until status.latestCreatedRevisionName names one, or look at its conditions",
                shown(&object)
            )
        })?;
        let targets = targets(list(live, "/spec/traffic"), Some((revision, to_primary)), to_canary);
        Ok(merge(Some(live.clone()), json!({"metadata": {"annotations": {PRIMARY_REVISION: revision}}, "spec": {"traffic": targets}})))
    }

    fn restore(&self, _: &Subject<'_>, live: &Value) -> Restore {
        if primary_revision(live).is_none() {
            return Restore::Leave;
        }
        let targets = targets(list(live, "/spec/traffic"), None, 100);
        let before = json!({"metadata": {"annotations": {PRIMARY_REVISION: null}}, "spec": {"traffic": targets}});
        Restore::Write(merge(Some(live.clone()), before))
    }

    /// By what is asked for: `status` follows later, and until then it is no reason to ask again.
    fn differs(&self, at: &Subject<'_>, live: &Value) -> Result<bool, String> {
        let asked = primary_revision(live).and_then(|revision| asked(live, revision)).map_or(0, |asked| asked.newest);
        let wanted = self.edit(at, Some(live), Traffic::weight(asked.clamp(0, 100)))?;
        Ok(["/spec", "/metadata/annotations"].iter().any(|p| wanted.pointer(p) != live.pointer(p)))
    }
}

/// Percent by revision.
struct Shares<'a> {
    newest: i64,
    primary: i64,
    /// Revisions that are neither, where they have a part.
    others: Vec<(&'a str, i64)>,
}

fn primary_revision(live: &Value) -> Option<&str> {
    annotation(live, PRIMARY_REVISION).filter(|name| !name.is_empty())
}

/// The shares that `spec.traffic` asks for; without it everything goes to the newest revision.
fn asked<'a>(live: &'a Value, primary: &str) -> Option<Shares<'a>> {
    match list(live, "/spec/traffic") {
        [] => Some(Shares { newest: 100, primary: 0, others: Vec::new() }),
        targets => shares(targets, primary),
    }
}

/// The shares that `targets` give; `None` where a percent is none.
fn shares<'a>(targets: &'a [Value], primary: &str) -> Option<Shares<'a>> {
    let mut out = Shares { newest: 0, primary: 0, others: Vec::new() };
    for target in targets {
        let percent = target.get("percent").map_or(Some(0), Value::as_i64).filter(|p| (0..=100).contains(p))?;
        if is_newest(target) {
            out.newest += percent;
        } else if is_revision(target, primary) {
            out.primary += percent;
        } else if percent > 0 {
            out.others.push((text(target, "/revisionName"), percent));
        }
    }
    Some(out)
}

fn is_newest(target: &Value) -> bool {
    target.get("latestRevision").is_some_and(|newest| *newest == true)
}

fn is_revision(target: &Value, revision: &str) -> bool {
    !is_newest(target) && text(target, "/revisionName") == revision
}

/// `live` with `newest` percent for the newest revision and the rest for the primary. Of the others those stay that have a
/// tag, which is an address of their own, and they have no percent: an old primary without one would stay for ever.
fn targets(live: &[Value], primary: Option<(&str, i64)>, newest: i64) -> Value {
    // An entry with a tag is one only where there is no other.
    let find =
        |is: &dyn Fn(&Value) -> bool| live.iter().position(|t| is(t) && text(t, "/tag").is_empty()).or_else(|| live.iter().position(is));
    let mut taken = vec![find(&is_newest)];
    let base = |index: Option<usize>| index.and_then(|index| live.get(index)).cloned();
    let mut out = vec![merge(base(taken[0]), json!({"latestRevision": true, "percent": newest, "revisionName": null}))];
    if let Some((revision, percent)) = primary {
        taken.push(find(&|target| is_revision(target, revision)));
        out.push(merge(base(taken[1]), json!({"revisionName": revision, "percent": percent})));
    }
    let others = live.iter().enumerate().filter(|(index, target)| !taken.contains(&Some(*index)) && !text(target, "/tag").is_empty());
    out.extend(others.map(|(_, target)| match target.get("percent") {
        Some(_) => merge(Some(target.clone()), json!({"percent": 0})),
        None => target.clone(),
    }));
    Value::Array(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::bench::{Bench, laws};

    /// What Knative makes of it: defaults in `spec.traffic`, and `status.traffic` by revision.
    fn settle(mut written: Value) -> Value {
        let newest = text(&written, CREATED).to_owned();
        let mut traffic = written["spec"]["traffic"].clone();
        for target in traffic.as_array_mut().into_iter().flatten() {
            target["latestRevision"] = json!(is_newest(target));
        }
        written["spec"]["traffic"] = traffic.clone();
        for target in traffic.as_array_mut().into_iter().flatten().filter(|t| is_newest(t)) {
            target["revisionName"] = json!(newest);
        }
        merge(Some(written), json!({"status": {"traffic": traffic}}))
    }

    fn bench() -> Bench {
        let target = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "web"});
        let mut bench = Bench::new(&Knative, json!({"targetRef": target}));
        bench.start = Some(
            json!({"metadata": {"name": "web"}, "spec": {"template": {"spec": {}}}, "status": {"latestCreatedRevisionName": "web-00001"}}),
        );
        bench.settle = settle;
        bench.owned = &["/status"];
        bench
    }

    fn with_status(mut live: Value, traffic: Value) -> Value {
        live["status"]["traffic"] = traffic;
        live
    }

    #[test]
    fn the_first_edit_names_the_primary_revision() {
        let bench = bench();
        let start = bench.start.clone().expect("a start");
        assert_eq!(bench.read(&start), Ok(None));
        assert_eq!(Knative.differs(&bench.subject(), &start), Ok(true));
        let out = Knative.edit(&bench.subject(), Some(&start), Traffic::PRIMARY).expect("an edit");
        assert_eq!(out["metadata"]["annotations"], json!({"flagger.app/primary-revision": "web-00001"}));
        assert_eq!(
            out["spec"],
            json!({"template": {"spec": {}}, "traffic":
                [{"latestRevision": true, "percent": 0}, {"revisionName": "web-00001", "percent": 100}]})
        );
        let edit = |live: Option<&Value>| Knative.edit(&bench.subject(), live, Traffic::PRIMARY).expect_err("no edit");
        assert!(edit(None).contains("Knative Service web is not in namespace prod"));
        assert!(edit(Some(&json!({"status": {}}))).contains("has no revision yet"));
    }

    #[test]
    fn weights_are_what_status_gives_once_it_has_followed() {
        let bench = bench();
        let at = bench.subject();
        let ten = bench.written(bench.start.as_ref(), 10);
        let asked = Knative.edit(&at, Some(&ten), Traffic::weight(20)).expect("an edit");
        assert_eq!(bench.read(&asked), Ok(Some(20)));
        assert!(Knative.pending(&at, &asked).is_some_and(|e| e.contains("10 percent by status.traffic and 20 by spec.traffic")));
        assert_eq!(Knative.differs(&at, &asked), Ok(false), "it is asked for already");
        assert_eq!((bench.read(&settle(asked.clone())), Knative.pending(&at, &settle(asked.clone()))), (Ok(Some(20)), None));
        let other = with_status(
            asked.clone(),
            json!([{"latestRevision": true, "revisionName": "web-00002", "percent": 20},
            {"revisionName": "web-00001", "percent": 70}, {"revisionName": "web-00000", "percent": 10}]),
        );
        assert!(bench.read(&other).is_err_and(|e| e.contains("revision web-00000 has 10 percent")));
        let short =
            with_status(asked.clone(), json!([{"latestRevision": true, "percent": 20}, {"revisionName": "web-00001", "percent": 70}]));
        assert!(bench.read(&short).is_err_and(|e| e.contains("do not add up to 100")));
        let text = with_status(asked, json!([{"latestRevision": true, "percent": "20"}]));
        assert!(bench.read(&text).is_err_and(|e| e.contains("no whole number")));
    }

    #[test]
    fn after_promotion_the_old_revision_counts_as_the_primary_until_the_next_edit() {
        let bench = bench();
        let mut live = bench.written(bench.start.as_ref(), 50);
        live["status"]["latestCreatedRevisionName"] = json!("web-00002");
        let mut live = settle(live);
        live["metadata"]["annotations"][PRIMARY_REVISION] = json!("web-00002");
        assert_eq!(bench.read(&live), Ok(Some(50)));
        let out = bench.written(Some(&live), 0);
        assert_eq!(
            out["spec"]["traffic"],
            json!([{"latestRevision": true, "percent": 0}, {"latestRevision": false, "revisionName": "web-00002", "percent": 100}])
        );
        assert_eq!(bench.read(&out), Ok(Some(0)));
    }

    #[test]
    fn tags_stay_without_a_percent_and_restore_gives_all_to_the_newest() {
        let bench = bench();
        let at = bench.subject();
        let mut start = bench.start.clone().expect("a start");
        start["metadata"]["annotations"] = json!({"theirs": "1"});
        start["spec"]["traffic"] = json!([{"tag": "current", "revisionName": "web-00001", "percent": 60},
            {"tag": "old", "revisionName": "web-00000"}, {"revisionName": "web-00000", "percent": 40}]);
        let live = bench.written(Some(&start), 30);
        let off = |mut target: Value| {
            target["latestRevision"] = json!(false);
            target
        };
        assert_eq!(
            live["spec"]["traffic"],
            json!([{"latestRevision": true, "percent": 30}, off(json!({"tag": "current", "revisionName": "web-00001", "percent": 70})),
                off(json!({"tag": "old", "revisionName": "web-00000"}))])
        );
        let Restore::Write(before) = Knative.restore(&at, &live) else { panic!("nothing to write") };
        assert_eq!(before["metadata"]["annotations"], json!({"theirs": "1"}));
        assert_eq!(
            before["spec"]["traffic"],
            json!([{"latestRevision": true, "percent": 100}, off(json!({"tag": "current", "revisionName": "web-00001", "percent": 0})),
                off(json!({"tag": "old", "revisionName": "web-00000"}))])
        );
        assert_eq!(Knative.restore(&at, &before), Restore::Leave);
    }

    #[test]
    fn only_knatives_services_are_rolled_out() {
        let mut bench = bench();
        assert_eq!(Knative.mistake(&bench.subject()), None);
        bench.spec.target_ref.api_version = "v1".into();
        assert!(Knative.mistake(&bench.subject()).is_some_and(|m| m.contains("spec.targetRef is a Service of v1")));
    }

    laws! { knative: bench(); }
}
