//! `target:` — which objects a patch is for.

use std::collections::BTreeMap;

use super::pattern::Pattern;
use super::resource::Resource;
use super::spec::Selector;

/// A compiled selector.
pub(super) struct Compiled {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Compiled {
    pub(super) fn new(selector: &Selector) -> Result<Self, String> {
        Ok(Self {
            group: Pattern::anchored(&selector.group)?,
            version: Pattern::anchored(&selector.version)?,
            kind: Pattern::anchored(&selector.kind)?,
            name: Pattern::anchored(&selector.name)?,
            namespace: Pattern::anchored(&selector.namespace)?,
            labels: requirements(&selector.label_selector)?,
            annotations: requirements(&selector.annotation_selector)?,
        })
    }

    /// Name and namespace may be today's or the first ones.
    pub(super) fn matches(&self, resource: &Resource) -> bool {
        let (now, first) = (resource.id(), resource.original_id());
        let fits = |pattern: &Pattern, old: &str, new: &str| pattern.is_match(old) || pattern.is_match(new);
        fits(&self.namespace, first.effective_namespace(), now.effective_namespace())
            && fits(&self.name, &first.name, &now.name)
            && self.group.is_match(&now.gvk.group)
            && self.version.is_match(&now.gvk.version)
            && self.kind.is_match(&now.gvk.kind)
            && holds(&self.labels, &resource.node.metadata_texts("labels"))
            && holds(&self.annotations, &resource.node.metadata_texts("annotations"))
    }
}

fn holds(requirements: &[Requirement], texts: &BTreeMap<String, String>) -> bool {
    requirements.iter().all(|requirement| match requirement {
        Requirement::In(key, values) => texts.get(key).is_some_and(|text| values.contains(text)),
        Requirement::NotIn(key, values) => texts.get(key).is_none_or(|text| !values.contains(text)),
        Requirement::Exists(key) => texts.contains_key(key),
        Requirement::Missing(key) => !texts.contains_key(key),
    })
}

/// Kubernetes' label selectors:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>.
fn requirements(text: &str) -> Result<Vec<Requirement>, String> {
    let mut found = Vec::new();
    for part in parts(text) {
        let part = part.trim();
        if part.is_empty() {
            return Err(format!("the selector \"{text}\" has an empty part"));
        }
        found.push(requirement(part)?);
    }
    Ok(found)
}

/// Cuts at commas outside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let (mut from, mut inside) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[from..]);
    found
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let wrong = || format!("the selector part \"{part}\" is not understood");
    if part.contains(['<', '>']) {
        return Err(wrong());
    }
    if let Some(key) = part.strip_prefix('!') {
        return word(key).map(Requirement::Missing).ok_or_else(wrong);
    }
    if let Some((key, value)) = part.split_once("!=") {
        let (key, value) = (word(key).ok_or_else(wrong)?, value.trim().to_owned());
        return Ok(Requirement::NotIn(key, vec![value]));
    }
    if let Some((key, value)) = part.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value).trim();
        let key = word(key).ok_or_else(wrong)?;
        return Ok(Requirement::In(key, vec![value.to_owned()]));
    }
    if let Some((head, list)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let mut words = head.split_whitespace();
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Ok(Requirement::In(key.to_owned(), values)),
            (Some(key), Some("notin"), None) => Ok(Requirement::NotIn(key.to_owned(), values)),
            _ => Err(wrong()),
        };
    }
    word(part).map(Requirement::Exists).ok_or_else(wrong)
}

fn word(text: &str) -> Option<String> {
    let text = text.trim();
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (!text.is_empty() && text.chars().all(known)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(selector: &str) -> bool {
        let texts = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), String::new())]);
        requirements(selector).is_ok_and(|found| holds(&found, &texts))
    }

    #[test]
    fn label_selectors_are_understood() {
        for selector in ["", "app=web", "app == web,tier=", "app!=db", "other!=x", "app in (db, web)", "app notin (db),!other", "tier"] {
            assert!(fits(selector), "{selector}");
        }
        for selector in ["app=db", "!app", "app notin (web)", "other", "app>1", ",", "a b"] {
            assert!(!fits(selector), "{selector}");
        }
    }
}
