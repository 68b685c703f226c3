//! Reads YAML text into [`Node`]s the way kustomize does: cut at `---` lines, anchors written out,
//! the style of scalars remembered.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::error::Error;
use super::node::{Node, Scalar, Tag};
use super::scalars::{Dialect, Resolved, resolve};

/// How many nodes a document may have once its aliases are written out.
const MAX_NODES: usize = 500_000;

/// The documents of `text`, empty ones left out.
pub(super) fn documents(text: &str, file: &str, dialect: Dialect) -> Result<Vec<Node>, Error> {
    let text = text.replace("\r\n", "\n");
    let mut nodes = Vec::new();
    for chunk in chunks(&text, file)? {
        if let Some(node) = document(&chunk, file, dialect)? {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// Cuts at lines that begin with `---`, which only a comment may follow.
fn chunks(text: &str, file: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut current = String::new();
    // A separator needs a line end on both sides, and two separators cannot share one.
    let mut may_separate = false;
    for line in text.split_inclusive('\n') {
        if may_separate && line.starts_with("---") && line.ends_with('\n') {
            let rest = line[3..].trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(Error::document(file, format!("\"{}\" is no document separator", line.trim())));
            }
            found.push(std::mem::take(&mut current));
            may_separate = false;
            continue;
        }
        current.push_str(line);
        may_separate = true;
    }
    found.push(current);
    Ok(found)
}

/// The first document of `text`, `None` where it is empty.
pub(super) fn document(text: &str, file: &str, dialect: Dialect) -> Result<Option<Node>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder { file, dialect, anchors: BTreeMap::new(), stack: Vec::new(), root: None, nodes: 0, flow: 0 };
    let end = text.chars().count();
    for event in Parser::new_from_str(text) {
        let (mut event, span) = event.map_err(|error| Error::document(file, error.to_string()))?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        if let Event::Scalar(value, ScalarStyle::Literal | ScalarStyle::Folded, ..) = &mut event
            && span.end.index() >= end
            && is_unfinished(value, text)
        {
            value.to_mut().pop();
        }
        // The parser writes the null that is not there as `~`.
        builder.take(event, span.is_empty())?;
    }
    Ok(builder.root.filter(|node| !node.is_null()))
}

/// Whether a block ends with the text, in a line without a line end; go-yaml gives it none.
fn is_unfinished(value: &str, text: &str) -> bool {
    let last = text.rsplit('\n').next().unwrap_or_default().trim();
    let block = value.strip_suffix('\n').map(str::trim_end);
    !last.is_empty() && block.is_some_and(|block| block.ends_with(last))
}

enum Frame {
    Sequence(usize, bool, Vec<Node>),
    Mapping(usize, bool, BTreeMap<String, Node>, Vec<Node>, Option<Key>),
}

enum Key {
    Text(String),
    Merge,
}

struct Builder<'a> {
    file: &'a str,
    dialect: Dialect,
    anchors: BTreeMap<usize, Node>,
    stack: Vec<Frame>,
    root: Option<Node>,
    nodes: usize,
    flow: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, absent: bool) -> Result<(), Error> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.to_string());
                let text = if absent { String::new() } else { text.into_owned() };
                let scalar = self.scalar(text, style, tag.as_deref())?;
                self.add(Node::Scalar(scalar), anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.collection_tag(tag.map(|tag| tag.to_string()).as_deref())?;
                let flow = self.enter(style);
                self.stack.push(Frame::Sequence(anchor, flow, Vec::new()));
                Ok(())
            }
            Event::MappingStart(style, anchor, tag) => {
                self.collection_tag(tag.map(|tag| tag.to_string()).as_deref())?;
                let flow = self.enter(style);
                self.stack.push(Frame::Mapping(anchor, flow, BTreeMap::new(), Vec::new(), None));
                Ok(())
            }
            Event::SequenceEnd => match self.stack.pop() {
                Some(Frame::Sequence(anchor, flow, items)) => {
                    self.flow -= usize::from(flow);
                    self.add(Node::Sequence(items), anchor)
                }
                _ => Err(Error::document(self.file, "unbalanced sequence")),
            },
            Event::MappingEnd => match self.stack.pop() {
                Some(Frame::Mapping(anchor, flow, mut map, merged, _)) => {
                    self.flow -= usize::from(flow);
                    for source in merged {
                        self.merge(&mut map, source)?;
                    }
                    self.add(Node::Mapping(map), anchor)
                }
                _ => Err(Error::document(self.file, "unbalanced mapping")),
            },
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned().ok_or_else(|| Error::document(self.file, "an alias stands before its anchor"))?;
                self.nodes += weight(&node);
                self.add(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn enter(&mut self, style: StructureStyle) -> bool {
        let flow = style == StructureStyle::Flow;
        self.flow += usize::from(flow);
        flow
    }

    fn collection_tag(&self, tag: Option<&str>) -> Result<(), Error> {
        match tag.map(short) {
            None | Some("map" | "seq") => Ok(()),
            Some(other) => Err(Error::unsupported(self.file, format!("the YAML tag {other}"))),
        }
    }

    fn scalar(&self, text: String, style: ScalarStyle, tag: Option<&str>) -> Result<Scalar, Error> {
        let quoted = style != ScalarStyle::Plain;
        let kind = match tag.map(short) {
            None if quoted => Tag::Text,
            None => match resolve(&text, self.dialect) {
                Resolved::Null => Tag::Null,
                Resolved::Text => Tag::Text,
                _ => Tag::Other,
            },
            Some("str") => Tag::Text,
            Some(other) => {
                return Err(Error::unsupported(self.file, format!("the YAML tag {other}")));
            }
        };
        Ok(Scalar { text, tag: kind, quoted, flow: self.flow > 0, keep: false })
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Error> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Error::Budget { file: self.file.to_owned(), limit: MAX_NODES, what: "YAML nodes in one document" });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Sequence(_, _, items)) => items.push(node),
            Some(Frame::Mapping(_, _, map, merged, key)) => match key.take() {
                None => *key = Some(new_key(&node, map, self.file)?),
                Some(Key::Merge) => merged.push(node),
                Some(Key::Text(text)) => {
                    map.insert(text, node);
                }
            },
        }
        Ok(())
    }

    /// `<<`: the keys of a mapping, or of each mapping of a sequence, that are not there yet.
    fn merge(&self, map: &mut BTreeMap<String, Node>, source: Node) -> Result<(), Error> {
        match source {
            Node::Mapping(other) => {
                for (key, node) in other {
                    map.entry(key).or_insert(node);
                }
                Ok(())
            }
            Node::Sequence(items) => items.into_iter().try_for_each(|item| self.merge(map, item)),
            Node::Scalar(_) => Err(Error::document(self.file, "\"<<\" wants a mapping")),
        }
    }
}

fn new_key(node: &Node, map: &BTreeMap<String, Node>, file: &str) -> Result<Key, Error> {
    let Node::Scalar(scalar) = node else {
        return Err(Error::document(file, "a key is a collection; keys are strings"));
    };
    if scalar.text == "<<" && !scalar.quoted {
        return Ok(Key::Merge);
    }
    if scalar.tag != Tag::Text {
        return Err(Error::document(file, format!("the key {} is not a string; quote it", scalar.text)));
    }
    if map.contains_key(&scalar.text) {
        return Err(Error::document(file, format!("the key \"{}\" is there twice", scalar.text)));
    }
    Ok(Key::Text(scalar.text.clone()))
}

fn short(tag: &str) -> &str {
    tag.strip_prefix("tag:yaml.org,2002:").or_else(|| tag.strip_prefix("!!")).unwrap_or(tag)
}

fn weight(node: &Node) -> usize {
    match node {
        Node::Scalar(_) => 1,
        Node::Sequence(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Node::Mapping(map) => 1 + map.values().map(weight).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Option<Vec<serde_json::Value>> {
        let nodes = documents(text, "test.yaml", Dialect::V3).ok()?;
        nodes.iter().map(|node| node.to_value().ok()).collect()
    }

    #[test]
    fn documents_are_cut_at_separators() {
        let found = values("---\n# nothing\n---\na: 1\n--- # next\nb: |\n  x").unwrap_or_default();
        assert_eq!(found, [serde_json::json!({"a": 1}), serde_json::json!({"b": "x"})]);
        assert_eq!(values("a: 1\n--- b\nc: 2\n"), None);
    }

    #[test]
    fn anchors_and_merge_keys_are_written_out() {
        let found = values("a: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  x: 2\n  y: yes\n").unwrap_or_default();
        assert_eq!(found, [serde_json::json!({"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 2, "y": "yes"}})]);
    }

    #[test]
    fn aliases_have_a_budget() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..8 {
            let before = level - 1;
            let list = vec![format!("*a{before}"); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        assert!(matches!(documents(&text, "bomb.yaml", Dialect::V3), Err(Error::Budget { .. })));
    }
}
