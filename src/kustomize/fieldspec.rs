//! Walks a path such as `spec/template/metadata/labels` through a document. Sequences on the way
//! are walked element by element, and what is missing is made where the rule says so.

use super::node::Node;
use super::resource::Resource;

/// Where a transformer writes, and in which kinds. Empty parts fit every kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldSpec {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) path: String,
    pub(super) create: bool,
}

/// What stands at the end of a path that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Make {
    Nothing,
    Mapping,
    Scalar,
}

/// Called with the node at the end of the path.
pub(super) type Setter<'a> = dyn FnMut(&mut Node) -> Result<(), String> + 'a;

impl FieldSpec {
    pub(super) fn new(kind: &str, group: &str, version: &str, path: &str, create: bool) -> Self {
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned(), path: path.to_owned(), create }
    }

    /// Runs `set` on what the path leads to in `resource`, if its kind fits.
    pub(super) fn apply(&self, resource: &mut Resource, make: Make, set: &mut Setter<'_>) -> Result<(), String> {
        if !resource.gvk().is_selected(&self.group, &self.version, &self.kind) {
            return Ok(());
        }
        let make = if self.create { make } else { Make::Nothing };
        let parts = split(&self.path);
        walk(&mut resource.node, &parts, make, set).map_err(|cause| format!("{}: {cause}", self.path))
    }
}

/// Splits at `/`, `\/` being part of a name.
pub(super) fn split(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut joined = false;
    for part in path.strip_prefix('/').unwrap_or(path).split('/') {
        let (text, open) = match part.strip_suffix('\\') {
            Some(text) => (text, true),
            None => (part, false),
        };
        match parts.last_mut() {
            Some(last) if joined => {
                last.push('/');
                last.push_str(text);
            }
            _ => parts.push(text.to_owned()),
        }
        joined = open;
    }
    parts
}

fn walk(node: &mut Node, parts: &[String], make: Make, set: &mut Setter<'_>) -> Result<(), String> {
    let Some((part, rest)) = parts.split_first() else {
        return set(node);
    };
    match node {
        Node::Sequence(items) => items.iter_mut().try_for_each(|item| walk(item, parts, make, set)),
        Node::Mapping(map) => {
            let name = part.strip_suffix("[]").unwrap_or(part);
            let wanted = match make {
                _ if name != part => Some(Node::Sequence(Vec::new())),
                Make::Nothing => None,
                Make::Scalar if rest.is_empty() => Some(Node::unset("")),
                Make::Mapping | Make::Scalar => Some(Node::mapping()),
            };
            let may_make = name == part && make != Make::Nothing;
            match map.get_mut(name) {
                None => match wanted {
                    Some(fresh) if may_make => {
                        let child = map.entry(name.to_owned()).or_insert(fresh);
                        walk(child, rest, make, set)
                    }
                    _ => Ok(()),
                },
                Some(child) => {
                    if let (true, Some(fresh)) = (child.is_null(), wanted) {
                        *child = fresh;
                    }
                    walk(child, rest, make, set)
                }
            }
        }
        Node::Scalar(_) if node.is_null() => Ok(()),
        Node::Scalar(scalar) => Err(format!("\"{}\" stands where a mapping or a sequence is expected", scalar.text)),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn an_escaped_slash_stays_in_the_name() {
        assert_eq!(split(r"metadata/annotations/a.io\/b"), ["metadata", "annotations", "a.io/b"]);
        assert_eq!(split("/a/b"), ["a", "b"]);
    }
}
