//! The built-in kinds, and the parts of them that an endpoint never writes, as the registry strategies' `GetResetFields`
//! name them.

use super::Typing;
use super::fieldsv1::Fields;

/// A kind: group, kind, its struct in `types.txt`, whether the object's endpoint leaves `status` alone, and what besides
/// `spec` its `/status` leaves alone.
type Row = (&'static str, &'static str, &'static str, bool, &'static [&'static str]);

const KINDS: &[Row] = &[
    ("", "Namespace", "Namespace", true, &[]),
    ("", "ConfigMap", "ConfigMap", false, &[]),
    ("", "Secret", "Secret", false, &[]),
    ("", "Service", "Service", true, &[]),
    ("", "ServiceAccount", "ServiceAccount", false, &[]),
    ("", "Event", "Event", false, &[]),
    ("", "Pod", "Pod", true, &["deletionTimestamp", "ownerReferences"]),
    ("", "PodTemplate", "PodTemplate", false, &[]),
    ("", "Endpoints", "Endpoints", false, &[]),
    ("apps", "Deployment", "Deployment", true, &["labels"]),
    ("apps", "ReplicaSet", "ReplicaSet", true, &[]),
    ("apps", "DaemonSet", "DaemonSet", true, &[]),
    ("apps", "StatefulSet", "StatefulSet", true, &[]),
    ("autoscaling", "Scale", "Scale", false, &[]),
    ("autoscaling", "HorizontalPodAutoscaler", "HorizontalPodAutoscaler", true, &[]),
    ("batch", "Job", "Job", true, &[]),
    ("coordination.k8s.io", "Lease", "Lease", false, &[]),
    ("discovery.k8s.io", "EndpointSlice", "EndpointSlice", false, &[]),
    ("policy", "PodDisruptionBudget", "PodDisruptionBudget", true, &[]),
    ("networking.k8s.io", "Ingress", "Ingress", true, &[]),
    ("networking.k8s.io", "NetworkPolicy", "NetworkPolicy", false, &[]),
    ("rbac.authorization.k8s.io", "Role", "Role", false, &[]),
    ("rbac.authorization.k8s.io", "RoleBinding", "RoleBinding", false, &[]),
    ("rbac.authorization.k8s.io", "ClusterRole", "ClusterRole", false, &[]),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "ClusterRoleBinding", false, &[]),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "CustomResourceDefinition", true, &[]),
];

fn row(group: &str, kind: &str) -> Option<&'static Row> {
    KINDS.iter().find(|row| row.0 == group && row.1 == kind)
}

/// The name of a kind's struct; None for kinds that are not known here.
pub fn struct_of(group: &str, kind: &str) -> Option<&'static str> {
    row(group, kind).map(|row| row.2)
}

/// Takes out of a set what the endpoint does not write. What of a custom kind's `status` its object's endpoint leaves alone
/// depends on its definition; the caller keeps that part as it is.
pub fn strip(typing: Typing<'_>, subresource: &str, fields: &mut Fields) {
    match (typing, subresource) {
        (Typing::BuiltIn { group, kind }, "status") => {
            fields.remove(&["spec"]);
            for part in row(group, kind).map_or(&[][..], |row| row.4) {
                fields.remove(&["metadata", part]);
            }
        }
        (Typing::BuiltIn { group, kind }, _) => {
            if row(group, kind).is_some_and(|row| row.3) {
                fields.remove(&["status"]);
            }
        }
        (Typing::Custom { .. }, "status") => {
            fields.remove(&["spec"]);
            fields.remove(&["metadata"]);
        }
        (Typing::Custom { .. }, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::table;
    use super::*;

    #[test]
    fn every_kind_has_a_struct() {
        for row in KINDS {
            assert!(table().named(row.2).is_some(), "{} {}", row.0, row.1);
        }
    }
}
