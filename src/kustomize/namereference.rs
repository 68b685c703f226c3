//! After names have changed, whoever mentions an old name gets the new one.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::fieldspec::{FieldSpec, Make};
use super::identity::{Id, NO_NAMESPACE};
use super::node::{Node, Tag};
use super::referrers::{Rule, rules};
use super::resource::Resource;

/// What a search needs to know of an object; none of it changes while references do.
struct Known {
    id: Id,
    original: Id,
    previous: Vec<Id>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

/// Rewrites the references of all `resources`.
pub(super) fn fix(resources: &mut [Resource], file: &str) -> Result<(), Error> {
    let known: Vec<Known> = resources
        .iter()
        .map(|resource| Known {
            id: resource.id(),
            original: resource.original_id(),
            previous: resource.previous_ids(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
        })
        .collect();
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, object) in known.iter().enumerate() {
        let names: BTreeSet<&str> = object.previous.iter().map(|id| id.name.as_str()).collect();
        for name in names {
            by_name.entry(name).or_default().push(at);
        }
    }
    if by_name.is_empty() {
        return Ok(());
    }
    let rules = rules();
    for (at, resource) in resources.iter_mut().enumerate() {
        let search = Search {
            known: &known,
            by_name: &by_name,
            referrer: &known[at],
            bound: bound_namespaces(resource),
            role: role(&resource.node),
        };
        let first = &known[at].original.gvk;
        for rule in rules.iter().filter(|rule| first.is_selected(rule.group, rule.version, rule.kind)) {
            FieldSpec::new("", "", "", &rule.path, false)
                .apply(resource, Make::Nothing, &mut |node| search.set(node, rule))
                .map_err(|cause| Error::object(file, known[at].id.to_string(), cause))?;
        }
    }
    Ok(())
}

/// The namespaces whose service accounts a `RoleBinding` names.
fn bound_namespaces(resource: &Resource) -> BTreeSet<String> {
    let subjects = match resource.node.get("subjects") {
        Some(Node::Sequence(subjects)) if resource.kind() == "RoleBinding" => subjects.as_slice(),
        _ => &[],
    };
    subjects
        .iter()
        .filter(|subject| subject.get("kind").is_some_and(|kind| kind.as_text() == "ServiceAccount"))
        .filter_map(|subject| subject.get("namespace").map(|name| name.as_text().to_owned()))
        .collect()
}

/// Group and kind of what a binding refers to.
fn role(node: &Node) -> Option<(String, String)> {
    let role = node.get("roleRef")?;
    let text = |key: &str| role.get(key).map(|node| node.as_text().to_owned());
    Some((text("apiGroup")?, text("kind")?))
}

struct Search<'a> {
    known: &'a [Known],
    by_name: &'a BTreeMap<&'a str, Vec<usize>>,
    referrer: &'a Known,
    bound: BTreeSet<String>,
    role: Option<(String, String)>,
}

impl Search<'_> {
    fn set(&self, node: &mut Node, rule: &Rule) -> Result<(), String> {
        match node {
            Node::Sequence(items) => items.iter_mut().try_for_each(|item| match item {
                Node::Sequence(_) => Err("a list of lists where names are expected".to_owned()),
                _ => self.set_one(item, rule),
            }),
            _ => self.set_one(node, rule),
        }
    }

    fn set_one(&self, node: &mut Node, rule: &Rule) -> Result<(), String> {
        if node.is_null() {
            return Ok(());
        }
        let Node::Mapping(map) = &*node else {
            let old = node.as_text().to_owned();
            let found = self.referral(&old, rule, None, |a, b| a.name == b.name)?;
            return match found {
                Some(new) if new.id.name != old => node.retext(&new.id.name, Tag::Unset),
                _ => Ok(()),
            };
        };
        let old = map.get("name").ok_or("a reference without a name")?.as_text().to_owned();
        let namespace = map.get("namespace").map(|node| node.as_text().to_owned());
        let same = |a: &Id, b: &Id| a.name == b.name && a.namespace == b.namespace;
        let Some(new) = self.referral(&old, rule, namespace.as_deref(), same)? else {
            return Ok(());
        };
        let id = &new.id;
        if id.name == old && id.namespace.is_empty() {
            return Ok(());
        }
        node.set("name", Node::unset(id.name.clone()));
        if !id.namespace.is_empty() {
            node.set("namespace", Node::unset(id.namespace.clone()));
        }
        Ok(())
    }

    /// The object that was called `old` and that `rule` is about.
    fn referral(&self, old: &str, rule: &Rule, namespace: Option<&str>, same: impl Fn(&Id, &Id) -> bool) -> Result<Option<&Known>, String> {
        let Some(named) = self.by_name.get(old) else {
            return Ok(None);
        };
        let in_namespace = self.in_namespace(namespace);
        let selected = |object: &Known, group: &str, version: &str, kind: &str| {
            object.previous.iter().any(|id| id.gvk.is_selected(group, version, kind))
        };
        let mut found: Vec<&Known> = named
            .iter()
            .map(|&at| &self.known[at])
            .filter(|object| self.in_reach(object) && in_namespace(object))
            .filter(|object| selected(object, rule.target.0, rule.target.1, rule.target.2))
            .filter(|object| match &self.role {
                Some((group, kind)) if rule.path.ends_with("roleRef/name") => selected(object, group, "", kind),
                _ => true,
            })
            .filter(|object| self.in_same_namespace(object))
            .collect();
        if found.len() > 1 {
            found.retain(|object| self.affixes_match(object, true));
        }
        if found.len() > 1 {
            found.retain(|object| self.affixes_match(object, false));
        }
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            [first, rest @ ..] if rest.iter().all(|other| same(&first.id, &other.id)) => Ok(Some(first)),
            _ => Err(format!("{old} may mean several objects, such as {} and {}", found[0].id, found[1].id)),
        }
    }

    /// A reference with a namespace means the objects that were there first, or else are there now.
    fn in_namespace<'b>(&self, namespace: Option<&'b str>) -> impl Fn(&Known) -> bool + use<'b> {
        let began = |id: &Id, wanted: &str| !id.cluster_scoped && id.effective_namespace() == wanted;
        let originally = namespace.is_some_and(|wanted| {
            wanted != NO_NAMESPACE && self.known.iter().any(|object| self.in_reach(object) && began(&object.original, wanted))
        });
        move |object| match namespace {
            None => true,
            Some(wanted) if originally => began(&object.original, wanted),
            Some(wanted) => began(&object.id, wanted),
        }
    }

    /// What the referrer could refer to at all.
    fn in_reach(&self, object: &Known) -> bool {
        let me = &self.referrer.id;
        me.cluster_scoped
            || object.id.cluster_scoped
            || object.id.effective_namespace() == me.effective_namespace()
            || self.bound.contains(&object.id.namespace)
    }

    fn in_same_namespace(&self, object: &Known) -> bool {
        let me = &self.referrer.id;
        me.cluster_scoped
            || object.id.cluster_scoped
            || object.id.gvk.kind == "ServiceAccount"
            || object.id.effective_namespace() == me.effective_namespace()
    }

    fn affixes_match(&self, object: &Known, open: bool) -> bool {
        let pairs = [(&self.referrer.prefixes, &object.prefixes), (&self.referrer.suffixes, &object.suffixes)];
        pairs.into_iter().all(|(mine, theirs)| {
            if mine.is_empty() || theirs.is_empty() {
                open || mine.is_empty() && theirs.is_empty()
            } else {
                mine.ends_with(theirs) || theirs.ends_with(mine)
            }
        })
    }
}
