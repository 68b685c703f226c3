//! `patches`, `patchesStrategicMerge` and `patchesJson6902`: reads them, finds what they are for
//! and applies them.

use serde_json::Value;

use super::error::Error;
use super::jsonpatch::{self, Operation};
use super::load::Place;
use super::merge::merge;
use super::node::{Node, to_value_v2};
use super::parse::document;
use super::resource::{Resource, resources};
use super::scalars::Dialect;
use super::select::Compiled;
use super::spec::{Kustomization, Patch, PatchOptions};

enum Body {
    Merge(Vec<Resource>),
    Json(Vec<Operation>),
}

/// Applies `patchesStrategicMerge`, which come first.
pub(super) fn strategic(all: &mut Vec<Resource>, spec: &Kustomization, place: &Place, file: &str) -> Result<(), Error> {
    for entry in &spec.patches_strategic_merge {
        // An entry is the patch itself, or else a path.
        let inline = matches!(document(entry, file, Dialect::V3), Ok(Some(Node::Mapping(_))));
        let (source, patches) = if inline {
            (file.to_owned(), resources(entry, file)?)
        } else {
            let (path, text) = place.read_text(entry, file)?;
            let patches = resources(&text, &path)?;
            (path, patches)
        };
        for patch in patches {
            let at = only_target(all, &patch, &source)?;
            merge_into(&mut all[at], &copied(&patch), PatchOptions::default(), &source)?;
        }
    }
    all.retain(|resource| !resource.deleted);
    Ok(())
}

/// Applies `patches`.
pub(super) fn patches(all: &mut Vec<Resource>, spec: &Kustomization, place: &Place, file: &str) -> Result<(), Error> {
    for patch in &spec.patches {
        let (source, body) = read(patch, place, file)?;
        match body {
            Body::Merge(found) if !found.is_empty() => merge_all(all, patch, &found, &source)?,
            Body::Merge(_) => {}
            Body::Json(operations) => json_all(all, patch, &operations, &source, true)?,
        }
        all.retain(|resource| !resource.deleted);
    }
    Ok(())
}

/// Applies `patchesJson6902`.
pub(super) fn json6902(all: &mut [Resource], spec: &Kustomization, place: &Place, file: &str) -> Result<(), Error> {
    for patch in &spec.patches_json6902 {
        if patch.target.as_ref().is_none_or(|target| target.name.is_empty()) {
            return Err(Error::invalid(file, "an entry of patchesJson6902 has no target with a name"));
        }
        match read(patch, place, file)? {
            (source, Body::Json(operations)) => json_all(all, patch, &operations, &source, false)?,
            (source, Body::Merge(_)) => {
                return Err(Error::document(&source, "a JSON patch is a list of operations"));
            }
        }
    }
    Ok(())
}

fn read(patch: &Patch, place: &Place, file: &str) -> Result<(String, Body), Error> {
    let inline = patch.patch.trim();
    let (source, text) = match (inline.is_empty(), patch.path.is_empty()) {
        (true, true) => {
            return Err(Error::invalid(file, "an entry of patches has neither patch nor path"));
        }
        (false, false) => {
            return Err(Error::invalid(file, "an entry of patches has both patch and path"));
        }
        (false, true) => (file.to_owned(), inline.to_owned()),
        (true, false) => place.read_text(&patch.path, file)?,
    };
    if text.starts_with('[') {
        let value: Value =
            serde_json::from_str(&text).map_err(|error| Error::document(&source, format!("a JSON patch that is not JSON: {error}")))?;
        return json_body(&value, source);
    }
    if let Ok(Some(node @ Node::Sequence(_))) = document(&text.replace("\r\n", "\n"), &source, Dialect::V2) {
        return json_body(&to_value_v2(&node, &source)?, source);
    }
    let found = resources(&text, &source)?;
    Ok((source, Body::Merge(found)))
}

fn json_body(value: &Value, source: String) -> Result<(String, Body), Error> {
    let operations = jsonpatch::operations(value).map_err(|cause| Error::document(&source, cause))?;
    Ok((source, Body::Json(operations)))
}

fn merge_all(all: &mut [Resource], patch: &Patch, found: &[Resource], source: &str) -> Result<(), Error> {
    let options = patch.options.unwrap_or_default();
    let Some(target) = &patch.target else {
        for patch in found {
            let at = only_target(all, patch, source)?;
            merge_into(&mut all[at], patch, options, source)?;
        }
        return Ok(());
    };
    let [one] = found else {
        return Err(Error::invalid(source, "several merge patches in one entry do not go with a target"));
    };
    let selector = Compiled::new(target).map_err(|cause| Error::unsupported(source, format!("the target ({cause})")))?;
    let one = copied(one);
    let gvk_kind = one.kind().to_owned();
    for resource in all.iter_mut().filter(|resource| selector.matches(resource)) {
        let mut own = one.clone();
        own.node.set("apiVersion", Node::unset(resource.gvk().api_version()));
        own.node.set("kind", Node::unset(gvk_kind.clone()));
        merge_into(resource, &own, options, source)?;
    }
    distinct(all, source)
}

/// What kustomize makes of a patch that it applies by a selector or by the old field: labels and
/// annotations are strings, and empty ones are not there.
fn copied(patch: &Resource) -> Resource {
    let mut own = patch.clone();
    own.inherit(patch);
    own
}

fn only_target(all: &[Resource], patch: &Resource, source: &str) -> Result<usize, Error> {
    let id = patch.id();
    let found: Vec<usize> = all.iter().enumerate().filter(|(_, resource)| resource.matches_any_id(&id)).map(|(at, _)| at).collect();
    match found.as_slice() {
        [at] => Ok(*at),
        [] => Err(Error::patch(source, &format!("patch of {id}"), "there is no such object")),
        _ => Err(Error::patch(source, &format!("patch of {id}"), "there are several such objects")),
    }
}

fn merge_into(resource: &mut Resource, patch: &Resource, options: PatchOptions, source: &str) -> Result<(), Error> {
    if resource.deleted {
        return Ok(());
    }
    if resource.touched && replaces_annotations(&patch.node) {
        return Err(Error::unsupported(source, format!("a patch that replaces all annotations of {}", resource.id())));
    }
    let (name, namespace, kind) = (resource.name().to_owned(), resource.namespace().to_owned(), resource.kind().to_owned());
    if options.allow_name_change || options.allow_kind_change {
        resource.remember();
    }
    let target = std::mem::replace(&mut resource.node, Node::mapping());
    let merged = merge(target, &patch.node).map_err(|cause| Error::patch(source, &format!("patch of {kind} {name}"), cause))?;
    match merged {
        Some(node) if !node.is_empty() => resource.node = node,
        _ => {
            resource.deleted = true;
            return Ok(());
        }
    }
    if !options.allow_kind_change {
        resource.node.set("kind", Node::unset(kind));
    }
    if !options.allow_name_change {
        resource.set_name(&name);
    }
    resource.set_namespace(&namespace);
    Ok(())
}

/// kustomize's bookkeeping is in the annotations, and would go with them.
fn replaces_annotations(patch: &Node) -> bool {
    let meta = patch.get("metadata");
    let annotations = meta.and_then(|meta| meta.get("annotations"));
    let replaced = patch.get("$patch").is_some_and(|text| text.as_text() == "replace");
    !replaced
        && (meta.is_some_and(|node| node.is_null() || node.get("$patch").is_some_and(|it| it.as_text() != "merge"))
            || annotations.is_some_and(|node| node.is_null() || node.get("$patch").is_some_and(|it| it.as_text() != "merge")))
}

fn json_all(all: &mut [Resource], patch: &Patch, operations: &[Operation], source: &str, remembers: bool) -> Result<(), Error> {
    let Some(target) = &patch.target else {
        return Err(Error::invalid(source, "a JSON patch has no target"));
    };
    let selector = Compiled::new(target).map_err(|cause| Error::unsupported(source, format!("the target ({cause})")))?;
    for resource in all.iter_mut().filter(|resource| selector.matches(resource)) {
        let id = resource.id().to_string();
        let wrong = |cause: String| Error::patch(source, &format!("JSON patch of {id}"), cause);
        if remembers {
            resource.remember();
        }
        if resource.touched {
            resource.open_annotations();
        }
        let mut value = resource.node.to_value().map_err(wrong)?;
        jsonpatch::apply(&mut value, operations).map_err(wrong)?;
        if !value.is_object() {
            return Err(wrong("it leaves no object".to_owned()));
        }
        resource.node = Node::from_value(&rounded(value));
        resource.close_annotations().map_err(wrong)?;
        if resource.kind().is_empty() {
            return Err(wrong("it leaves an object without kind".to_owned()));
        }
    }
    Ok(())
}

/// Go takes a patched document through floats.
#[allow(clippy::cast_precision_loss, reason = "the loss is what is wanted")]
fn rounded(value: Value) -> Value {
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) if whole.unsigned_abs() > EXACT => Value::from(whole as f64),
            (None, Some(whole)) => Value::from(whole as f64),
            _ => Value::Number(number),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(rounded).collect()),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, rounded(value))).collect(),
        other => other,
    }
}

fn distinct(all: &[Resource], source: &str) -> Result<(), Error> {
    let mut seen = std::collections::HashSet::new();
    for resource in all.iter().filter(|resource| !resource.deleted) {
        let id = resource.id();
        if !seen.insert(id.key()) {
            return Err(Error::Duplicate { file: source.to_owned(), id: id.to_string() });
        }
    }
    Ok(())
}
