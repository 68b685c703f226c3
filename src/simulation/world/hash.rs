//! Names that the real controllers derive or draw: `pod-template-hash`, suffixes of pods and slices.

use fastrand::Rng;
use serde_json::Value;

/// Letters and digits that form no words, as Kubernetes' `rand.SafeEncodeString` uses them.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A hash of a pod template that does not depend on the order of its fields. It looks like the real one and is as
/// stable; its value is another one, for the real one hashes Go structures.
pub fn template_hash(template: &Value) -> String {
    let mut hash = 0x811c_9dc5_u32;
    feed(template, &mut |bytes| {
        for byte in bytes {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    });
    hash.to_string().bytes().map(|digit| char::from(SAFE[usize::from(digit) % SAFE.len()])).collect()
}

/// A random suffix of five letters.
pub fn suffix(rng: &mut Rng) -> String {
    (0..5).map(|_| char::from(SAFE[rng.usize(..SAFE.len())])).collect()
}

/// A number from 0 to 1 that belongs to a text: the same everywhere for the same seed.
#[expect(clippy::cast_precision_loss, reason = "a phase needs no more than 2^52 values")]
pub fn phase(seed: u64, text: &str, index: u64) -> f64 {
    let mut state = (seed.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in text.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    Rng::with_seed(state).u64(..1 << 52) as f64 / (1_u64 << 52) as f64
}

fn feed(value: &Value, sink: &mut impl FnMut(&[u8])) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            sink(b"{");
            for key in keys {
                sink(key.as_bytes());
                sink(b":");
                feed(&map[key], sink);
            }
            sink(b"}");
        }
        Value::Array(list) => {
            sink(b"[");
            for item in list {
                feed(item, sink);
            }
            sink(b"]");
        }
        other => {
            sink(other.to_string().as_bytes());
            sink(b",");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_has_one_hash_and_another_template_another_one() {
        let hash = template_hash(&json!({"spec": {"a": 1, "b": [true, "x"]}}));
        assert_eq!(hash, template_hash(&json!({"spec": {"b": [true, "x"], "a": 1}})));
        assert_ne!(hash, template_hash(&json!({"spec": {"a": 1, "b": ["x", true]}})));
        assert!((6..=10).contains(&hash.len()) && hash.bytes().all(|b| SAFE.contains(&b)), "{hash}");
    }

    #[test]
    fn phases_differ_by_seed_text_and_index() {
        let all = [phase(1, "a", 0), phase(2, "a", 0), phase(1, "b", 0), phase(1, "a", 1)];
        assert!(all.iter().all(|p| (0.0..1.0).contains(p)) && all.windows(2).all(|w| (w[0] - w[1]).abs() > 1e-9), "{all:?}");
    }
}
