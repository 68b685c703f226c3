//! ConfigMaps and Secrets out of literals, files and env files.

use std::collections::BTreeMap;

use super::error::Error;
use super::load::Place;
use super::node::{Node, Scalar, Tag, key_is_text};
use super::resource::{Behavior, Resource};
use super::spec::{Generator, GeneratorOptions, Kustomization};

/// One generated object and what becomes of one that is there already.
pub(super) struct Generated {
    pub(super) resource: Resource,
    pub(super) behavior: Behavior,
}

/// Everything that `spec` generates, in order.
pub(super) fn generate(spec: &Kustomization, place: &Place, file: &str) -> Result<Vec<Generated>, Error> {
    let kinds = [(&spec.config_map_generator, "ConfigMap"), (&spec.secret_generator, "Secret")];
    let mut all = Vec::new();
    for (generators, kind) in kinds {
        for generator in generators {
            all.push(one(generator, kind, spec.generator_options.as_ref(), place, file)?);
        }
    }
    Ok(all)
}

fn one(generator: &Generator, kind: &str, global: Option<&GeneratorOptions>, place: &Place, file: &str) -> Result<Generated, Error> {
    let what = format!("{kind} generator {}", generator.name);
    if generator.name.is_empty() {
        return Err(Error::invalid(file, format!("a {kind} generator without a name")));
    }
    let behavior = match generator.behavior.as_str() {
        "replace" => Behavior::Replace,
        "merge" => Behavior::Merge,
        // kustomize takes every other word for this.
        _ => Behavior::Create,
    };
    let options = options(generator.options.as_ref(), global);
    let pairs = pairs(generator, &what, place, file)?;
    let mut meta = BTreeMap::from([("name".to_owned(), Node::text(generator.name.clone()))]);
    if !generator.namespace.is_empty() {
        meta.insert("namespace".to_owned(), Node::text(generator.namespace.clone()));
    }
    let mut node = Node::Mapping(BTreeMap::from([
        ("apiVersion".to_owned(), Node::text("v1")),
        ("kind".to_owned(), Node::text(kind)),
        ("metadata".to_owned(), Node::Mapping(meta)),
    ]));
    if kind == "Secret" {
        let name = if generator.secret_type.is_empty() { "Opaque" } else { &generator.secret_type };
        node.set("type", Node::text(name));
        node.set("data", Node::mapping());
    }
    for (key, bytes) in pairs {
        let (field, text) = match String::from_utf8(bytes) {
            Ok(text) if kind == "ConfigMap" => ("data", text),
            Ok(text) => ("data", base64_lines(text.as_bytes())),
            Err(error) if kind == "ConfigMap" => ("binaryData", base64_lines(error.as_bytes())),
            Err(error) => ("data", base64_lines(error.as_bytes())),
        };
        key_is_text(&key).map_err(|cause| Error::invalid(file, format!("{what}: {cause}")))?;
        if let Some(map) = node.child(field) {
            map.set(&key, Node::text(text));
        }
    }
    for (field, texts) in [("labels", &options.labels), ("annotations", &options.annotations)] {
        if !texts.is_empty() {
            node.set_metadata_texts(field, texts.clone());
        }
    }
    if options.immutable {
        node.set("immutable", Node::Scalar(Scalar { text: "true".to_owned(), tag: Tag::Other, quoted: false, flow: false, keep: false }));
    }
    let mut resource = Resource::new(node);
    resource.needs_hash = !options.disable_name_suffix_hash;
    resource.touched = true;
    Ok(Generated { resource, behavior })
}

/// A generator's own options before those of all generators; a switch that is on stays on.
fn options(local: Option<&GeneratorOptions>, global: Option<&GeneratorOptions>) -> GeneratorOptions {
    let mut merged = local.cloned().unwrap_or_default();
    if let Some(global) = global {
        for (own, others) in [(&mut merged.labels, &global.labels), (&mut merged.annotations, &global.annotations)] {
            for (key, text) in others {
                own.entry(key.clone()).or_insert_with(|| text.clone());
            }
        }
        merged.disable_name_suffix_hash |= global.disable_name_suffix_hash;
        merged.immutable |= global.immutable;
    }
    merged
}

fn pairs(generator: &Generator, what: &str, place: &Place, file: &str) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut found = Vec::new();
    for path in &generator.envs {
        found.extend(env_lines(&place.read(path, file)?, path, file)?);
    }
    for literal in &generator.literals {
        match literal.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                found.push((key.to_owned(), unquoted(value).as_bytes().to_vec()));
            }
            _ => {
                return Err(Error::invalid(file, format!("{what}: the literal \"{literal}\" is not key=value")));
            }
        }
    }
    for source in &generator.files {
        let (key, path) = match source.split_once('=') {
            None => (base_name(source), source.as_str()),
            Some((key, path)) if !key.is_empty() && !path.is_empty() && !path.contains('=') => (key, path),
            Some(_) => {
                return Err(Error::invalid(file, format!("{what}: the file \"{source}\" is not [key=]path")));
            }
        };
        found.push((key.to_owned(), place.read(path, file)?));
    }
    let mut map = BTreeMap::new();
    for (key, bytes) in found {
        if map.insert(key.clone(), bytes).is_some() {
            return Err(Error::invalid(file, format!("{what}: the key {key} is there twice")));
        }
    }
    Ok(map)
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// One pair of quotes around the whole value goes.
fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// `key=value` lines; comments and empty lines are left out, and a key alone has an empty value.
fn env_lines(bytes: &[u8], path: &str, file: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid(file, format!("the env file {path} is not UTF-8")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    for line in text.split('\n') {
        // Go's scanner takes one carriage return with the line end, and refuses endless lines.
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.len() >= 64 * 1024 {
            return Err(Error::invalid(file, format!("the env file {path} has a line of more than 64 KiB")));
        }
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if !key.is_empty() {
            found.push((key.to_owned(), value.as_bytes().to_vec()));
        }
    }
    Ok(found)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_LINE: usize = 70;

/// Base64, in lines of 70 characters where it is longer than one.
fn base64_lines(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let part = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = part(0) << 16 | part(1) << 8 | part(2);
        for at in 0..4 {
            let index = (bits >> (18 - 6 * at)) & 0x3f;
            text.push(if at <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    if text.len() < BASE64_LINE {
        return text;
    }
    let mut lines = String::new();
    for (at, c) in text.chars().enumerate() {
        lines.push(c);
        if (at + 1) % BASE64_LINE == 0 || at + 1 == text.len() {
            lines.push('\n');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_cut_into_lines_of_seventy() {
        assert_eq!(base64_lines(b""), "");
        assert_eq!(base64_lines(b"a"), "YQ==");
        assert_eq!(base64_lines(b"ab"), "YWI=");
        assert_eq!(base64_lines(b"abc"), "YWJj");
        assert_eq!(base64_lines(&[0xff; 60]).lines().map(str::len).collect::<Vec<_>>(), [70, 10]);
        assert!(base64_lines(&[0xff; 60]).ends_with('\n'));
    }

    #[test]
    fn quotes_around_the_whole_go() {
        assert_eq!(unquoted("\"a b\""), "a b");
        assert_eq!(unquoted("'a'"), "a");
        assert_eq!(unquoted("\"a'"), "\"a'");
        assert_eq!(unquoted("\""), "\"");
    }
}
