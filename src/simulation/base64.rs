//! Base 64 (RFC 4648), for Secrets, continue tokens and hashes: too little for a dependency.

/// The alphabet of most uses.
pub(super) const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The alphabet for URLs.
pub(super) const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Text for bytes, with padding.
pub(super) fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = alphabet[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

/// Bytes of text without padding, or where the first letter stands that does not belong to the alphabet.
pub(super) fn decode(text: &str, alphabet: &[u8; 64]) -> Result<Vec<u8>, usize> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0_u32);
    for (at, letter) in text.bytes().enumerate() {
        let value = alphabet.iter().position(|one| *one == letter).and_then(|value| u32::try_from(value).ok()).ok_or(at)?;
        bits = (bits << 6) | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xFF) as u8);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_as_bytes() {
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar"] {
            let encoded = encode(text.as_bytes(), STANDARD);
            assert_eq!(decode(encoded.trim_end_matches('='), STANDARD), Ok(text.as_bytes().to_vec()));
        }
        assert_eq!(encode(b"fooba", STANDARD), "Zm9vYmE=");
        assert_eq!(decode("ab!", STANDARD), Err(2));
    }
}
