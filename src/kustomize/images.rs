//! `images:` — new names, tags and digests for containers and image volumes.

use super::error::Error;
use super::fieldspec::{FieldSpec, Make};
use super::node::{Node, Tag};
use super::pattern::Pattern;
use super::resource::Resource;
use super::spec::Image;

/// Where images stand in any kind, beside `containers` and `initContainers` at any depth.
const PATHS: [&str; 6] = [
    "spec/containers[]/image",
    "spec/initContainers[]/image",
    "spec/volumes[]/image/reference",
    "spec/template/spec/containers[]/image",
    "spec/template/spec/initContainers[]/image",
    "spec/template/spec/volumes[]/image/reference",
];

/// Applies `image` to `resources`.
pub(super) fn apply(resources: &mut [Resource], image: &Image, file: &str) -> Result<(), Error> {
    // The name is a pattern, as it is in kustomize.
    let text = format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
    let pattern = Pattern::new(&text).map_err(|cause| Error::unsupported(file, format!("the image name \"{}\" ({cause})", image.name)))?;
    for resource in resources {
        if resource.kind() == "CustomResourceDefinition" {
            continue;
        }
        rewrite(resource, image, &pattern).map_err(|cause| Error::object(file, resource.id().to_string(), cause))?;
    }
    Ok(())
}

fn rewrite(resource: &mut Resource, image: &Image, pattern: &Pattern) -> Result<(), String> {
    anywhere(&mut resource.node, image, pattern)?;
    for path in PATHS {
        FieldSpec::new("", "", "", path, true).apply(resource, Make::Nothing, &mut |node| set(node, image, pattern))?;
    }
    Ok(())
}

fn anywhere(node: &mut Node, image: &Image, pattern: &Pattern) -> Result<(), String> {
    match node {
        Node::Scalar(_) => Ok(()),
        Node::Sequence(items) => items.iter_mut().try_for_each(|item| anywhere(item, image, pattern)),
        Node::Mapping(map) => {
            for (key, value) in map {
                anywhere(value, image, pattern)?;
                if let ("containers" | "initContainers", Node::Sequence(items)) = (key.as_str(), value) {
                    for item in items {
                        match item {
                            Node::Mapping(container) => {
                                if let Some(node) = container.get_mut("image") {
                                    set(node, image, pattern)?;
                                }
                            }
                            other if other.is_null() => {}
                            _ => return Err(format!("{key} holds something else than mappings")),
                        }
                    }
                }
            }
            Ok(())
        }
    }
}

fn set(node: &mut Node, image: &Image, pattern: &Pattern) -> Result<(), String> {
    let Node::Scalar(scalar) = &*node else {
        return Err("an image is not a string".to_owned());
    };
    if !pattern.is_match(&scalar.text) {
        return Ok(());
    }
    let (name, tag, digest) = split(&scalar.text);
    let mut text = if image.new_name.is_empty() { name.to_owned() } else { image.new_name.clone() };
    let (tag, digest) = match (image.new_tag.is_empty(), image.digest.is_empty()) {
        (false, _) => (image.new_tag.clone(), image.digest.clone()),
        (true, false) => (String::new(), image.digest.clone()),
        (true, true) if !image.tag_suffix.is_empty() => (format!("{tag}{}", image.tag_suffix), String::new()),
        (true, true) => (tag.to_owned(), digest.to_owned()),
    };
    if !tag.is_empty() {
        text.push(':');
        text.push_str(&tag);
    }
    if !digest.is_empty() {
        text.push('@');
        text.push_str(&digest);
    }
    node.retext(&text, Tag::Unset)
}

/// Name, tag and digest. A colon before the first slash belongs to a port.
fn split(text: &str) -> (&str, &str, &str) {
    let from = text.find('/').filter(|&at| at > 0).unwrap_or(0);
    let at = text[from..].find('@').map(|at| at + from);
    let colon = text[from..].find(':').map(|at| at + from);
    match (colon, at) {
        (None, None) => (text, "", ""),
        (colon, Some(at)) if colon.is_none_or(|colon| at < colon) => (&text[..at], "", &text[at + 1..]),
        (Some(colon), Some(at)) => (&text[..colon], &text[colon + 1..at], &text[at + 1..]),
        (Some(colon), None) => (&text[..colon], &text[colon + 1..], ""),
        (None, Some(at)) => (&text[..at], "", &text[at + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn references_are_split() {
        assert_eq!(split("nginx"), ("nginx", "", ""));
        assert_eq!(split("host:5000/a/b:1@sha256:x"), ("host:5000/a/b", "1", "sha256:x"));
        assert_eq!(split("a@sha256:x"), ("a", "", "sha256:x"));
        assert_eq!(split("a:1"), ("a", "1", ""));
    }
}
