//! `labels`, `commonLabels` and `commonAnnotations`, and the fields they are written to.
//!
//! Source: kustomize's default transformer configuration, as `kustomize config save` prints it.

use std::collections::BTreeMap;

use super::error::Error;
use super::fieldspec::{FieldSpec, Make};
use super::node::{Node, key_is_text};
use super::resource::Resource;
use super::spec::{Kustomization, Label};

/// Applies the labels of `spec`, then its common labels.
pub(super) fn apply(resources: &mut [Resource], spec: &Kustomization, file: &str) -> Result<(), Error> {
    for label in &spec.labels {
        let fields = fields(label).map_err(|cause| Error::invalid(file, cause))?;
        write(resources, &label.pairs, &fields, file)?;
    }
    let common: Vec<FieldSpec> = selectors().chain(templates("labels")).collect();
    write(resources, &spec.common_labels, &common, file)
}

/// Applies the common annotations of `spec`.
pub(super) fn annotate(resources: &mut [Resource], spec: &Kustomization, file: &str) -> Result<(), Error> {
    let fields: Vec<FieldSpec> = templates("annotations").collect();
    write(resources, &spec.common_annotations, &fields, file)
}

fn write(resources: &mut [Resource], pairs: &BTreeMap<String, String>, fields: &[FieldSpec], file: &str) -> Result<(), Error> {
    for key in pairs.keys() {
        key_is_text(key).map_err(|cause| Error::invalid(file, cause))?;
    }
    for resource in resources {
        for (key, text) in pairs {
            let mut set = |node: &mut Node| match node {
                Node::Mapping(_) => {
                    node.set(key, Node::text(text.clone()));
                    Ok(())
                }
                _ => Err("labels or annotations are not a mapping".to_owned()),
            };
            for field in fields {
                field.apply(resource, Make::Mapping, &mut set).map_err(|cause| Error::object(file, resource.id().to_string(), cause))?;
            }
        }
    }
    Ok(())
}

fn fields(label: &Label) -> Result<Vec<FieldSpec>, String> {
    let mut all: Vec<FieldSpec> =
        label.fields.iter().map(|field| FieldSpec::new(&field.kind, &field.group, &field.version, &field.path, field.create)).collect();
    let mut add = |field: FieldSpec| {
        let known = all.iter().find(|known| {
            let fits = |wanted: &str, have: &str| wanted.is_empty() || wanted == have;
            known.path == field.path
                && fits(&field.group, &known.group)
                && fits(&field.version, &known.version)
                && fits(&field.kind, &known.kind)
        });
        match known {
            Some(known) if known.create != field.create => Err(format!("the label field {} contradicts kustomize's own", field.path)),
            Some(_) => Ok(()),
            None => {
                all.push(field);
                Ok(())
            }
        }
    };
    if label.include_selectors {
        selectors().chain(templates("labels")).try_for_each(&mut add)?;
        return Ok(all);
    }
    if label.include_templates {
        templates("labels").try_for_each(&mut add)?;
    }
    add(FieldSpec::new("", "", "", "metadata/labels", true))?;
    Ok(all)
}

/// `metadata` of objects and of what they make.
fn templates(field: &str) -> impl Iterator<Item = FieldSpec> {
    let stateful = if field == "labels" { "apps" } else { "" };
    let rules: [(&str, &str, &str, &str); 10] = [
        ("", "", "", "metadata"),
        ("ReplicationController", "", "v1", "spec/template/metadata"),
        ("Deployment", "", "", "spec/template/metadata"),
        ("ReplicaSet", "", "", "spec/template/metadata"),
        ("DaemonSet", "", "", "spec/template/metadata"),
        ("StatefulSet", stateful, "", "spec/template/metadata"),
        ("Job", "batch", "", "spec/template/metadata"),
        ("CronJob", "batch", "", "spec/jobTemplate/metadata"),
        ("CronJob", "batch", "", "spec/jobTemplate/spec/template/metadata"),
        ("StatefulSet", "apps", "", "spec/volumeClaimTemplates[]/metadata"),
    ];
    let count = if field == "labels" { 10 } else { 9 };
    rules.map(|(kind, group, version, path)| FieldSpec::new(kind, group, version, &format!("{path}/{field}"), true)).into_iter().take(count)
}

fn selectors() -> impl Iterator<Item = FieldSpec> {
    const SELECTORS: [(&str, &str, &str, &str, bool); 12] = [
        ("Service", "", "v1", "spec/selector", true),
        ("ReplicationController", "", "v1", "spec/selector", true),
        ("Deployment", "", "", "spec/selector/matchLabels", true),
        ("ReplicaSet", "", "", "spec/selector/matchLabels", true),
        ("DaemonSet", "", "", "spec/selector/matchLabels", true),
        ("StatefulSet", "apps", "", "spec/selector/matchLabels", true),
        ("Job", "batch", "", "spec/selector/matchLabels", false),
        ("CronJob", "batch", "", "spec/jobTemplate/spec/selector/matchLabels", false),
        ("PodDisruptionBudget", "policy", "", "spec/selector/matchLabels", false),
        ("NetworkPolicy", "networking.k8s.io", "", "spec/podSelector/matchLabels", false),
        ("NetworkPolicy", "networking.k8s.io", "", "spec/ingress/from/podSelector/matchLabels", false),
        ("NetworkPolicy", "networking.k8s.io", "", "spec/egress/to/podSelector/matchLabels", false),
    ];
    const SPREAD: [&str; 5] = [
        "affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
        "affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
        "affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
        "affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
        "topologySpreadConstraints/labelSelector/matchLabels",
    ];
    let spread = ["Deployment", "StatefulSet"].into_iter().flat_map(|kind| {
        SPREAD.into_iter().map(move |path| FieldSpec::new(kind, "apps", "", &format!("spec/template/spec/{path}"), false))
    });
    SELECTORS.into_iter().map(|(kind, group, version, path, create)| FieldSpec::new(kind, group, version, path, create)).chain(spread)
}
