//! Pins: where a kustomization names a ref of a distribution, and how the ref is replaced.
//!
//! An edit touches the bytes of the ref and nothing else. It is not believed but proven: both texts are parsed,
//! and they must differ in exactly this entry, in exactly this way.

use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::refs::check_pin_ref;
use super::{Address, GitError};

/// The fields of a kustomization whose entries may be remote.
const LISTS: [&str; 3] = ["resources", "bases", "components"];

/// A remote entry of a kustomization that names a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The entry without its query: repository and folder.
    pub url: String,
    /// The value of `ref=` (or `version=`), as it is written.
    pub reference: String,
    /// Where the ref stands in the text, in bytes.
    pub span: Range<usize>,
    /// The line of the entry, counted from 1.
    pub line: usize,
}

#[derive(Deserialize)]
struct Lists {
    #[serde(default)]
    resources: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    bases: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    components: Option<Vec<Spanned<String>>>,
}

/// A pin, and the place of its entry in the parsed document.
struct Located {
    pin: Pin,
    list: &'static str,
    index: usize,
    entry: String,
}

/// All pins in the text of a `kustomization.yaml`, in the order of the lists.
///
/// # Errors
/// The text is no kustomization, or holds a pin that cannot be edited in place.
pub fn find_pins(text: &str) -> Result<Vec<Pin>, GitError> {
    Ok(locate(text)?.into_iter().map(|located| located.pin).collect())
}

/// `text` with the ref of `pin` replaced by `new`: comments, order, quotes and line ends stay.
///
/// # Errors
/// A `new` that cannot be a ref, a `pin` that is not of this text, or an edit that would not change exactly
/// this pin (an anchored pin that is used elsewhere too).
pub fn set_ref(text: &str, pin: &Pin, new: &str) -> Result<String, GitError> {
    check_pin_ref(new)?;
    let unproven = |why| GitError::Unproven { line: pin.line, url: pin.url.clone(), to: new.to_owned(), why };
    let before = locate(text)?;
    let Some(target) = before.iter().find(|located| located.pin == *pin) else {
        return Err(unproven("the text has no such pin"));
    };
    let (Some(head), Some(tail)) = (text.get(..pin.span.start), text.get(pin.span.end..)) else {
        return Err(unproven("the pin lies outside the text"));
    };
    let edited = [head, new, tail].concat();

    let offset = target.entry.len() - target.pin_tail();
    let (Some(entry_head), Some(entry_tail)) = (target.entry.get(..offset), target.entry.get(offset + pin.reference.len()..)) else {
        return Err(unproven("the pin lies outside its entry"));
    };
    let entry = [entry_head, new, entry_tail].concat();
    let mut expected = parse(text)?;
    let Some(slot) = expected.get_mut(target.list).and_then(|list| list.get_mut(target.index)) else {
        return Err(unproven("the entry is not where it was"));
    };
    *slot = Value::String(entry);
    if parse(&edited).map_err(|_| unproven("the result is not YAML"))? != expected {
        return Err(unproven("other parts of the file change with it"));
    }
    let after = locate(&edited).map_err(|_| unproven("the result holds no such pin"))?;
    let kept = |(old, new_one): (&Located, &Located)| {
        let same = old.pin.url == new_one.pin.url && old.pin.line == new_one.pin.line;
        same && new_one.pin.reference == if old.pin == *pin { new } else { old.pin.reference.as_str() }
    };
    if after.len() != before.len() || !before.iter().zip(&after).all(kept) {
        return Err(unproven("other pins change with it"));
    }
    Ok(edited)
}

impl Located {
    /// The bytes of the entry from the ref to its end.
    fn pin_tail(&self) -> usize {
        self.entry.len() - reference_of(&self.entry).map_or(self.entry.len(), |range| range.start)
    }
}

fn parse(text: &str) -> Result<Value, GitError> {
    serde_saphyr::from_str(text).map_err(|error| malformed(&error))
}

fn malformed(error: &serde_saphyr::Error) -> GitError {
    GitError::Malformed { cause: crate::domain::text::clean(&error.without_snippet().to_string()) }
}

fn locate(text: &str) -> Result<Vec<Located>, GitError> {
    if !parse(text)?.is_object() {
        return Err(GitError::Malformed { cause: "it is not a mapping of fields".to_owned() });
    }
    let lists: Lists = serde_saphyr::from_str(text).map_err(|error| malformed(&error))?;
    let mut found = Vec::new();
    for (list, entries) in LISTS.into_iter().zip([lists.resources, lists.bases, lists.components]) {
        for (index, entry) in entries.unwrap_or_default().into_iter().enumerate() {
            if let Some(pin) = pin(text, &entry)? {
                found.push(Located { pin, list, index, entry: entry.value });
            }
        }
    }
    Ok(found)
}

fn pin(text: &str, entry: &Spanned<String>) -> Result<Option<Pin>, GitError> {
    let Some((url, _)) = entry.value.split_once('?') else { return Ok(None) };
    let (Some(range), true) = (reference_of(&entry.value), is_remote(url)) else { return Ok(None) };
    let line = usize::try_from(entry.referenced.line()).unwrap_or_default();
    let refuse = |why| Err(GitError::NotEditable { line, url: url.to_owned(), why });
    let at = entry.referenced.span().byte_offset().and_then(|at| usize::try_from(at).ok());
    let Some(raw) = at.and_then(|at| text.get(at..)) else { return refuse("has no place in the text") };
    let quote = usize::from(raw.starts_with(['"', '\'']));
    if !raw.get(quote..).is_some_and(|raw| raw.starts_with(&entry.value)) {
        return refuse("is an alias, has an anchor, or holds escapes or line breaks");
    }
    let start = at.unwrap_or_default() + quote;
    let reference = entry.value.get(range.clone()).unwrap_or_default().to_owned();
    Ok(Some(Pin { url: url.to_owned(), reference, span: start + range.start..start + range.end, line }))
}

/// Where the ref stands in an entry: the value of `ref=`, else of `version=`, as kustomize looks for it.
fn reference_of(entry: &str) -> Option<Range<usize>> {
    let query = entry.find('?')? + 1;
    ["ref=", "version="].into_iter().find_map(|key| {
        let mut at = query;
        for parameter in entry.get(query..)?.split('&') {
            if let Some(value) = parameter.strip_prefix(key)
                && !value.is_empty()
            {
                return Some(at + key.len()..at + parameter.len());
            }
            at += parameter.len() + 1;
        }
        None
    })
}

fn is_remote(url: &str) -> bool {
    !url.starts_with('/') && Address::parse(url).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# provider: gke\r\napiVersion: kustomize.config.k8s.io/v1beta1\r\nkind: Kustomization\r\nresources:\r\n  - ../local?ref=no   # not a pin\r\n  - https://example.com/vendor/app.git//dist/app-istio?ref=1.0.0&timeout=90s   # ö the pin\r\n  - \"git@example.com:other/x//y?timeout=1&version=v2\"\r\n  - namespace.yaml\r\nbases: ['ssh://git@example.com/vendor/app//dist/db?ref=1.0.0']\r\ncomponents: []\r\npatches:\r\n- patch: |-\r\n    note: https://example.com/vendor/app?ref=1.0.0\r\n";

    #[test]
    fn pins_are_found_with_their_place() {
        let pins = find_pins(TEXT).expect("a kustomization");
        let told: Vec<_> = pins.iter().map(|pin| (pin.url.as_str(), pin.reference.as_str(), pin.line)).collect();
        assert_eq!(
            told,
            [
                ("https://example.com/vendor/app.git//dist/app-istio", "1.0.0", 6),
                ("git@example.com:other/x//y", "v2", 7),
                ("ssh://git@example.com/vendor/app//dist/db", "1.0.0", 9),
            ]
        );
        for pin in &pins {
            assert_eq!(TEXT.get(pin.span.clone()), Some(pin.reference.as_str()));
        }
    }

    #[test]
    fn an_edit_touches_the_ref_and_nothing_else() {
        for pin in find_pins(TEXT).expect("a kustomization") {
            let edited = set_ref(TEXT, &pin, "1.10.0-rc.1").expect("edited");
            let expected = [&TEXT[..pin.span.start], "1.10.0-rc.1", &TEXT[pin.span.end..]].concat();
            assert_eq!(edited, expected);
            assert_eq!(edited.matches("\r\n").count(), TEXT.matches("\r\n").count());
        }
    }

    #[test]
    fn all_ways_to_write_an_entry() {
        for entry in [
            "- https://h/o/r//p?ref=1",
            "- 'https://h/o/r//p?ref=1'",
            "- \"https://h/o/r//p?ref=1\" # c",
            "- >-\n    https://h/o/r//p?ref=1",
            "- !!str https://h/o/r//p?ref=1",
            "- &a https://h/o/r//p?ref=1",
        ] {
            let text = format!("resources:\n{entry}\n");
            match find_pins(&text) {
                Ok(pins) => {
                    assert_eq!(pins.len(), 1, "{entry}");
                    assert_eq!(set_ref(&text, &pins[0], "2").expect(entry), text.replace("ref=1", "ref=2"), "{entry}");
                }
                Err(error) => assert!(error.to_string().contains("one plain or quoted string"), "{entry}: {error}"),
            }
        }
        let bom = "\u{feff}resources:\n- https://h/o/r?ref=1\n";
        if let Ok(pins) = find_pins(bom) {
            assert_eq!(set_ref(bom, &pins[0], "2").expect("edited"), bom.replace("ref=1", "ref=2"));
        }
    }

    #[test]
    fn an_anchored_pin_that_serves_twice_is_not_moved_half() {
        let text = "resources:\n- &a https://h/o/r?ref=1\ncomponents:\n- *a\n";
        match find_pins(text) {
            Ok(pins) => assert!(pins.iter().all(|pin| set_ref(text, pin, "2").is_err())),
            Err(error) => assert!(matches!(error, GitError::NotEditable { .. }), "{error}"),
        }
    }

    #[test]
    fn what_is_no_kustomization_is_said() {
        for text in ["resources: [", "- a\n- b\n", "resources: text\n", "a: 1\na: 2\n", "\t", "", "a: 1\n---\nb: 1\n"] {
            let error = find_pins(text).expect_err(text).to_string();
            assert!(error.starts_with("not a kustomization: "), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(find_pins("namespace: x\n").expect("no pins").is_empty());
        assert!(find_pins("resources:\n").expect("no pins").is_empty());
    }

    #[test]
    fn a_new_ref_cannot_break_out() {
        let text = "resources:\n- https://h/o/r//p?ref=1\n";
        let pin = &find_pins(text).expect("a pin")[0];
        for bad in ["", "2&timeout=1", "2 # x", "2\n- evil.yaml", "-2", "a..b", "a: b", "2\"", "~1"] {
            assert!(set_ref(text, pin, bad).is_err(), "{bad:?}");
        }
        let other = Pin { span: 0..3, ..pin.clone() };
        assert!(set_ref(text, &other, "2").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_anything_but_the_ref(before in "[ -~\u{e4}\r\n]{0,40}", after in "[ -~\r\n]{0,40}", new in "[0-9a-z./-]{1,12}") {
            let text = format!("{before}\nresources:\n- https://h/o/r//p?ref=1.0.0&x=1 # c\n{after}\n");
            for pin in find_pins(&text).unwrap_or_default() {
                if let Ok(edited) = set_ref(&text, &pin, &new) {
                    proptest::prop_assert_eq!(&edited[..pin.span.start], &text[..pin.span.start]);
                    proptest::prop_assert_eq!(&edited[pin.span.start + new.len()..], &text[pin.span.end..]);
                }
            }
        }
    }
}
