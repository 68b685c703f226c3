//! Secrets, read by name when they are needed and kept nowhere.

use std::collections::BTreeMap;

use super::analyst::decoded;
use crate::domain::text::clean;
use crate::kubernetes::access::Access;
use crate::kubernetes::kinds::Kind;

/// The data of a Secret.
///
/// # Errors
/// As the API server answers; never with what a Secret holds.
pub async fn data(access: &Access, namespace: &str, name: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let secret = access.get(&Kind::Secret.path(namespace, name)).await.map_err(|e| e.to_string())?;
    let data = secret.get("data").and_then(|d| d.as_object());
    Ok(data.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), decoded(value)?))).collect())
}

/// Headers for the webhook called `hook`: `named` is the annotation's value, `SECRET` for all hooks or `HOOK=SECRET,…`.
///
/// # Errors
/// A sentence that names the Secret, which is in the Canary's namespace.
pub async fn hook_headers(access: &Access, namespace: &str, named: &str, hook: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let entries = named.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let secret = entries.filter_map(|entry| match entry.split_once('=') {
        None => Some(entry),
        Some((name, secret)) => (name.trim() == hook).then_some(secret.trim()),
    });
    match secret.collect::<Vec<_>>().pop() {
        None => Ok(BTreeMap::new()),
        Some(secret) => data(access, namespace, secret)
            .await
            .map_err(|e| format!("the headers of webhook {} are in Secret {}: {e}", clean(hook), clean(secret))),
    }
}
