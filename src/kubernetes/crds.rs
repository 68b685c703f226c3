//! The CRDs of group `flagger.app` (rollout-contract §1) and their installation. They take and keep what Flagger's do, neither
//! more nor less, so that a Canary is the same whichever of the two is installed; `crds/tests.rs` holds them to its facts.

use serde_json::{Value, json};

use self::schema::{Schema, any_object, boolean, list, map, needs, object, text, word};
use super::access::{Access, Patch};
use super::error::ApiError;
use crate::domain::{alert, template};

mod canary;
pub mod check;
mod schema;
mod service;
#[cfg(test)]
mod tests;

const MANAGER: &str = "pilothouse-crds";

/// Canary, `MetricTemplate` and `AlertProvider`.
#[must_use]
pub fn all() -> Vec<Value> {
    let alone = |name: &str, path: &str| vec![json!({"name": name, "type": "string", "jsonPath": path})];
    vec![
        definition("canaries", "Canary", canary::spec(), Some(canary::status()), canary::columns()),
        definition("metrictemplates", "MetricTemplate", template_spec(), None, alone("Provider", ".spec.provider.type")),
        definition("alertproviders", "AlertProvider", alert_spec(), None, alone("Type", ".spec.type")),
    ]
}

/// The schema of `Canary.spec`.
#[must_use]
pub fn canary_spec() -> Value {
    canary::spec().into()
}

/// `MetricTemplate.spec` (rollout-contract §1.8).
fn template_spec() -> Schema {
    let provider = object([
        ("type", word(template::KINDS)),
        ("address", text()),
        ("headers", map(list(text()))),
        ("secretRef", secret()),
        ("region", text()),
        ("insecureSkipVerify", boolean()),
    ]);
    object([("provider", provider.required(["type"])), ("query", text())]).required(["provider", "query"])
}

/// `AlertProvider.spec` (rollout-contract §1.9). The address is written down or kept in a Secret, not both.
fn alert_spec() -> Schema {
    object([
        ("type", word(alert::KINDS)),
        ("channel", text()),
        ("username", text()),
        ("address", text()),
        ("proxy", text()),
        ("secretRef", secret()),
    ])
    .one_of(["address", "secretRef"].map(|place| needs(["type", place])))
}

fn secret() -> Schema {
    object([("name", text())]).required(["name"])
}

/// The CRD of `kind`. Flagger keeps no status of the two kinds that it only reads, though both have the subresource.
fn definition(plural: &str, kind: &str, spec: Schema, status: Option<Schema>, columns: Vec<Value>) -> Value {
    let whole = object([("apiVersion", text()), ("kind", text()), ("metadata", any_object()), ("spec", spec)]);
    let whole = match status {
        Some(status) => whole.field("status", status),
        None => whole,
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.flagger.app"), "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": "flagger.app",
            "scope": "Namespaced",
            "names": {
                "plural": plural,
                "singular": kind.to_lowercase(),
                "kind": kind,
                "listKind": format!("{kind}List"),
                "categories": ["all"],
            },
            "versions": [{
                "name": "v1beta1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": Value::from(whole)},
            }],
        },
    })
}

/// What became of one CRD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    Created,
    Updated,
    /// Flagger's own is there, which serves as well.
    Kept(String),
}

/// Installs what is missing and updates what is ours; a CRD that somebody else manages stays as it is.
///
/// # Errors
/// As the API server answers; with `dry_run` nothing is written.
pub async fn install(access: &Access, dry_run: bool) -> Result<Vec<(String, Installed)>, ApiError> {
    let mut done = Vec::new();
    for crd in all() {
        let name = super::json::text(&crd, "/metadata/name").to_owned();
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let live = match access.get(&path).await {
            Ok(live) => Some(live),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let other = live.as_ref().and_then(|l| super::json::owner_of(l, &["spec", "versions"])).filter(|m| *m != MANAGER);
        let outcome = match (&live, other) {
            (Some(_), Some(manager)) => Installed::Kept(crate::domain::text::clean(manager)),
            (Some(_), None) => Installed::Updated,
            (None, _) => Installed::Created,
        };
        if !matches!(outcome, Installed::Kept(_)) {
            let patch = if dry_run { Patch::DryRun } else { Patch::Apply };
            access.patch(&path, MANAGER, patch, &crd).await?;
        }
        done.push((name, outcome));
    }
    Ok(done)
}
