//! Session affinity (rollout-contract §2.6): which clients stay where by their cookies, and which cookies they are given.
//! One plan for all routers; each writes it in its own words.

use super::Subject;
use crate::domain::canary::SessionAffinity;

/// Header that clients show their cookies in.
pub(super) const COOKIE: &str = "Cookie";
/// Header that clients are given cookies in.
pub(super) const SET_COOKIE: &str = "Set-Cookie";
/// Seconds that the canary's cookie lives for where `maxAge` is absent or 0.
const DAY: i64 = 86_400;

/// What the cookies change about a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Rules before the weighted one, in their order.
    pub sticky: Vec<Sticky>,
    /// `Set-Cookie` of answers of the canary, by the weighted rule.
    pub canary: Option<String>,
    /// The same of the primary.
    pub primary: Option<String>,
}

/// A rule for clients that show a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sticky {
    /// Regular expression of their `Cookie` header.
    pub pattern: String,
    /// The canary's percent of their requests.
    pub canary: i64,
    /// `Set-Cookie` that makes them forget it.
    pub forget: Option<String>,
}

/// The plan while the canary has `weight` percent; `both` where the primary may have a cookie too.
///
/// A cookie that has no value yet changes nothing: the engine makes the values and writes them into the status first.
pub(super) fn plan(at: &Subject<'_>, weight: i64, both: bool) -> Plan {
    let Some(affinity) = &at.spec.analysis.session_affinity else { return Plan::default() };
    let mut plan = Plan::default();
    if weight == 0 {
        let previous = &at.cookies.previous;
        if !previous.is_empty() {
            plan.sticky.push(Sticky { pattern: pattern(previous), canary: 0, forget: Some(format!("{previous}; Max-Age=-1")) });
        }
        return plan;
    }
    if !at.cookies.canary.is_empty() {
        plan.sticky.push(Sticky { pattern: pattern(&at.cookies.canary), canary: 100, forget: None });
        let age = affinity.max_age.filter(|seconds| *seconds != 0).unwrap_or(DAY);
        plan.canary = Some(set_cookie(affinity, &at.cookies.canary, age));
    }
    if both && said(affinity.primary_cookie_name.as_ref()).is_some() && !at.cookies.primary.is_empty() {
        plan.sticky.push(Sticky { pattern: pattern(&at.cookies.primary), canary: 0, forget: None });
        let age = at.spec.analysis.every().as_secs();
        plan.primary = Some(set_cookie(affinity, &at.cookies.primary, i64::try_from(age).unwrap_or(DAY)));
    }
    plan
}

/// Finds `NAME=VALUE` anywhere in a `Cookie` header, in Flagger's form.
fn pattern(cookie: &str) -> String {
    let (name, value) = cookie.split_once('=').unwrap_or((cookie, ""));
    format!(".*{name}.*{value}.*")
}

/// The header's value, attributes in Flagger's order.
fn set_cookie(affinity: &SessionAffinity, cookie: &str, max_age: i64) -> String {
    let named = |name: &str, value: Option<&String>| said(value).map(|value| format!("{name}={value}"));
    let flag = |name: &str, set: bool| set.then(|| name.to_owned());
    let attributes = [
        Some(format!("Max-Age={max_age}")),
        named("Domain", affinity.domain.as_ref()),
        flag("HttpOnly", affinity.http_only),
        flag("Partitioned", affinity.partitioned),
        named("Path", affinity.path.as_ref()),
        named("SameSite", affinity.same_site.as_ref()),
        flag("Secure", affinity.secure),
    ];
    attributes.into_iter().flatten().fold(cookie.to_owned(), |all, attribute| format!("{all}; {attribute}"))
}

fn said(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::laws::Case;
    use super::*;
    use serde_json::{Value, json};

    fn case(affinity: Value) -> Case {
        Case::new(json!({"port": 80}), json!({"interval": "1m30s", "sessionAffinity": affinity})).with_cookies("c=aa", "p=bb", "c=old")
    }

    #[test]
    fn cookies_are_given_with_flaggers_attributes_and_lives() {
        let all = case(json!({"cookieName": "c", "primaryCookieName": "p", "domain": "d", "httpOnly": true, "maxAge": 5,
            "partitioned": true, "path": "/x", "sameSite": "Lax", "secure": true}));
        let rest = "Domain=d; HttpOnly; Partitioned; Path=/x; SameSite=Lax; Secure";
        let full = plan(&all.at(), 20, true);
        assert_eq!(full.canary, Some(format!("c=aa; Max-Age=5; {rest}")));
        assert_eq!(full.primary, Some(format!("p=bb; Max-Age=90; {rest}")));
        let kept: Vec<_> = full.sticky.iter().map(|s| (s.pattern.as_str(), s.canary)).collect();
        assert_eq!(kept, [(".*c.*aa.*", 100), (".*p.*bb.*", 0)]);
        let alone = plan(&all.at(), 20, false);
        assert_eq!((alone.sticky.len(), alone.primary), (1, None));
        let plain = case(json!({"cookieName": "c"}));
        assert_eq!(plan(&plain.at(), 100, true).canary.as_deref(), Some("c=aa; Max-Age=86400"));
        assert_eq!(plan(&plain.at(), 100, true).primary, None);
    }

    #[test]
    fn the_cookie_of_the_run_before_is_dropped_at_weight_zero_only() {
        let case = case(json!({"cookieName": "c", "primaryCookieName": "p"}));
        let forget = Sticky { pattern: ".*c.*old.*".into(), canary: 0, forget: Some("c=old; Max-Age=-1".into()) };
        assert_eq!(plan(&case.at(), 0, true), Plan { sticky: vec![forget], canary: None, primary: None });
        assert!(plan(&case.at(), 1, true).sticky.iter().all(|s| s.forget.is_none()));
        let fresh = case.with_cookies("", "", "");
        assert_eq!((plan(&fresh.at(), 0, true), plan(&fresh.at(), 50, true)), (Plan::default(), Plan::default()));
    }
}
