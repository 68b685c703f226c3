//! The kustomization file, read strictly: every field is known, every value has its type.
//!
//! Source: <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::error::Error;
use super::node::to_value_v2;
use super::parse::document;
use super::scalars::Dialect;

/// The names of a kustomization file, in the order kustomize tries them.
pub(super) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Fields that kustomize has and this renderer leaves alone.
const UNSUPPORTED: &[&str] = &[
    "openapi",
    "vars",
    "replacements",
    "crds",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Kustomization {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// Has no effect on what is rendered.
    #[serde(rename = "metadata")]
    _metadata: Value,
    pub(super) name_prefix: String,
    pub(super) name_suffix: String,
    pub(super) namespace: String,
    pub(super) common_labels: BTreeMap<String, String>,
    pub(super) labels: Vec<Label>,
    pub(super) common_annotations: BTreeMap<String, String>,
    pub(super) patches_strategic_merge: Vec<String>,
    pub(super) patches_json6902: Vec<Patch>,
    pub(super) patches: Vec<Patch>,
    pub(super) images: Vec<Image>,
    pub(super) image_tags: Vec<Image>,
    pub(super) replicas: Vec<Replica>,
    pub(super) sort_options: Option<SortOptions>,
    pub(super) resources: Vec<String>,
    pub(super) components: Vec<String>,
    pub(super) bases: Vec<String>,
    pub(super) config_map_generator: Vec<Generator>,
    pub(super) secret_generator: Vec<Generator>,
    pub(super) generator_options: Option<GeneratorOptions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Label {
    pub(super) pairs: BTreeMap<String, String>,
    pub(super) include_selectors: bool,
    pub(super) include_templates: bool,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Field {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) path: String,
    pub(super) create: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Patch {
    pub(super) path: String,
    pub(super) patch: String,
    pub(super) target: Option<Selector>,
    pub(super) options: Option<PatchOptions>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PatchOptions {
    pub(super) allow_name_change: bool,
    pub(super) allow_kind_change: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Selector {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) annotation_selector: String,
    pub(super) label_selector: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) new_name: String,
    pub(super) tag_suffix: String,
    pub(super) new_tag: String,
    pub(super) digest: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Replica {
    pub(super) name: String,
    pub(super) count: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SortOptions {
    pub(super) order: String,
    pub(super) legacy_sort_options: Option<LegacySortOptions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LegacySortOptions {
    pub(super) order_first: Vec<String>,
    pub(super) order_last: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Generator {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) behavior: String,
    pub(super) literals: Vec<String>,
    pub(super) files: Vec<String>,
    pub(super) envs: Vec<String>,
    pub(super) env: String,
    pub(super) options: Option<GeneratorOptions>,
    /// Of secrets only.
    #[serde(rename = "type")]
    pub(super) secret_type: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct GeneratorOptions {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) disable_name_suffix_hash: bool,
    pub(super) immutable: bool,
}

impl Kustomization {
    pub(super) fn is_component(&self) -> bool {
        self.kind == "Component"
    }

    /// Reads `text`, the content of `file`.
    pub(super) fn parse(text: &str, file: &str) -> Result<Self, Error> {
        let node = document(&text.replace("\r\n", "\n"), file, Dialect::V2)?;
        let value = match node {
            Some(node) => to_value_v2(&node, file)?,
            None => Value::Null,
        };
        let value = without_nulls(value);
        let Value::Object(fields) = &value else {
            return Err(Error::invalid(file, "the kustomization is empty"));
        };
        if let Some(feature) = UNSUPPORTED.iter().find(|feature| fields.get(**feature).is_some_and(|value| !is_zero(value))) {
            return Err(Error::unsupported(file, *feature));
        }
        if fields.iter().all(|(key, value)| key == "apiVersion" || key == "kind" || is_zero(value) && !value.is_array()) {
            return Err(Error::invalid(file, "the kustomization is empty"));
        }
        let mut known = fields.clone();
        known.retain(|key, _| !UNSUPPORTED.contains(&key.as_str()));
        let mut read = Self::deserialize(Value::Object(known)).map_err(|error| unreadable(file, &error))?;
        read.check(file)?;
        read.resources.append(&mut read.bases);
        read.images.append(&mut read.image_tags);
        for generator in read.config_map_generator.iter_mut().chain(&mut read.secret_generator) {
            if !generator.env.is_empty() {
                generator.envs.push(std::mem::take(&mut generator.env));
            }
        }
        Ok(read)
    }

    fn check(&self, file: &str) -> Result<(), Error> {
        let wanted = match self.kind.as_str() {
            "" | "Kustomization" => "kustomize.config.k8s.io/v1beta1",
            "Component" => "kustomize.config.k8s.io/v1alpha1",
            other => {
                return Err(Error::invalid(file, format!("kind is {other}, and should be Kustomization or Component")));
            }
        };
        if !self.api_version.is_empty() && self.api_version != wanted {
            return Err(Error::invalid(file, format!("apiVersion is {}, and should be {wanted}", self.api_version)));
        }
        if self.config_map_generator.iter().any(|generator| !generator.secret_type.is_empty()) {
            return Err(Error::UnknownField { file: file.to_owned(), field: "configMapGenerator.type".to_owned() });
        }
        Ok(())
    }
}

/// Null is the absence of a field, and an empty string in a list.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(
            items.into_iter().map(|item| if item.is_null() { Value::String(String::new()) } else { without_nulls(item) }).collect(),
        ),
        other => other,
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn unreadable(file: &str, error: &serde_json::Error) -> Error {
    let cause = error.to_string();
    let field = cause.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    match field {
        Some(field) => Error::UnknownField { file: file.to_owned(), field: field.to_owned() },
        None => Error::invalid(file, cause),
    }
}
