//! Session affinity: which cookies a run has, and which ones clients are told to drop (rollout-contract §2.6).

use super::observation::Observation;
use crate::domain::revision::sha256_hex;
use crate::domain::status::CanaryStatus;

/// Letters of a cookie's value, as many as Flagger has.
const LETTERS: usize = 10;

/// A run begins: what the last one gave its clients is to be dropped, and this one has a value of its own.
pub(super) fn begin(seen: &Observation, status: &mut CanaryStatus) {
    end(status);
    let Some(affinity) = seen.spec.analysis.session_affinity.as_ref().filter(|_| seen.can.session_affinity) else { return };
    // The same step gives the same cookie when it is repeated; another run of the same revision has another one before it.
    let run = format!("{} {} {}", seen.uid, seen.checksum().unwrap_or_default(), status.previous_session_affinity_cookie);
    status.session_affinity_cookie = format!("{}={}", affinity.cookie_name, letters(&run));
    match affinity.primary_cookie_name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) if !status.primary_session_affinity_cookie.starts_with(&format!("{name}=")) => {
            status.primary_session_affinity_cookie = format!("{name}={}", letters(&format!("{} primary", seen.uid)));
        }
        Some(_) => {}
        None => status.primary_session_affinity_cookie.clear(),
    }
}

/// The canary has no traffic any more: its clients are to drop its cookie.
pub(super) fn end(status: &mut CanaryStatus) {
    if !status.session_affinity_cookie.is_empty() {
        status.previous_session_affinity_cookie = std::mem::take(&mut status.session_affinity_cookie);
    }
}

/// Letters that are the same for the same `seed`: a step that is repeated gives the same cookie.
fn letters(seed: &str) -> String {
    sha256_hex(seed.as_bytes()).bytes().take(LETTERS).map(|b| char::from(b'a' + (b % 26))).collect()
}
