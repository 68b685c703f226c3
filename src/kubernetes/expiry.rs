//! When credentials end, as they say themselves: read for foresight, never verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// `exp` of a JWT; a token of another kind says nothing.
#[must_use]
pub(super) fn of_token(token: &str) -> Option<Timestamp> {
    let mut parts = token.trim().split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return None };
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let seconds = claims.get("exp")?;
    // Some issuers write fractions.
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second is nothing here, and what is too large saturates")]
    Timestamp::from_second(seconds.as_i64().or_else(|| seconds.as_f64().map(|s| s as i64))?).ok()
}

/// `notAfter` of the first certificate in `pem`.
#[must_use]
pub(super) fn of_certificate(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_when_they_end() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let at = |second: i64| Timestamp::from_second(second).ok();
        assert_eq!(of_token(&token(r#"{"exp": 1790000000}"#)), at(1_790_000_000));
        assert_eq!(of_token(&token(r#"{"exp": 1790000000.7}"#)), at(1_790_000_000));
        for other in ["", "opaque", "a.b.c", "a.b.c.d", &token("{}"), &token(r#"{"exp": "soon"}"#), &token(r#"{"exp": 1e300}"#)] {
            assert_eq!(of_token(other), None, "{other}");
        }
    }

    #[test]
    fn certificates_say_when_they_end() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(vec!["somebody".to_owned()]).expect("a name");
        parameters.not_after = rcgen::date_time_ymd(2031, 4, 5);
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        assert_eq!(of_certificate(pem.as_bytes()), "2031-04-05T00:00:00Z".parse().ok());
        assert_eq!(of_certificate(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), None);
        assert_eq!(of_certificate(b""), None);
    }
}
