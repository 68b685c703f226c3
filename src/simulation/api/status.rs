//! `metav1.Status`: how the API server says no. One constructor for each sentence, worded as kube-apiserver words it,
//! because clients match on reason, details and message.

use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::fields::Cause;
use super::kinds::Resource;

/// An answer of kind `Status`: every refusal, and the success of a delete that returns no object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The HTTP status code; 200 for a success.
    pub code: u16,
    /// The word that programs match on, such as `NotFound`; empty for a success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What the sentence is about; `{}` where the server has nothing to add, and absent where it gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// `metav1.StatusDetails`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The object's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group, empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The plural resource, or for validation errors the kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One entry for each field that is wrong or in conflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// After how many seconds a client may ask again; 0 where that is not said.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// `metav1.StatusCause`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCause {
    /// The word for programs, such as `FieldValueInvalid`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The path of the field, such as `spec.replicas`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for Status {}

/// The usual result of everything that answers a request; boxed, because refusals are rare and large.
pub(super) type Answered<T> = Result<T, Box<Status>>;

impl Status {
    /// A refusal without details.
    pub(super) fn plain(code: StatusCode, reason: &str, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { code: code.as_u16(), reason: reason.to_owned(), message: message.into(), details: None })
    }

    fn about(code: StatusCode, reason: &str, message: String, details: Details) -> Box<Self> {
        Box::new(Self { code: code.as_u16(), reason: reason.to_owned(), message, details: Some(details) })
    }

    fn of(resource: &Resource, name: &str) -> Details {
        Details { name: name.to_owned(), group: resource.group.clone(), kind: resource.plural.clone(), ..Details::default() }
    }

    /// The success of a delete whose answer is no object.
    pub(super) fn deleted(resource: &Resource, name: &str, uid: &str) -> Self {
        let details = Details { uid: uid.to_owned(), ..Self::of(resource, name) };
        Self { code: 200, reason: String::new(), message: String::new(), details: Some(details) }
    }

    /// Nothing is served under this path.
    pub(super) fn no_such_resource() -> Box<Self> {
        Self::about(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource".into(), Details::default())
    }

    /// Nobody serves this path, not even a group.
    pub(super) fn no_such_path() -> Box<Self> {
        Self::plain(StatusCode::NOT_FOUND, "", "404 page not found\n")
    }

    /// There is no object of this name.
    pub(super) fn not_found(resource: &Resource, name: &str) -> Box<Self> {
        Self::about(StatusCode::NOT_FOUND, "NotFound", format!("{} \"{name}\" not found", resource.qualified()), Self::of(resource, name))
    }

    /// There is an object of this name already.
    pub(super) fn already_exists(resource: &Resource, name: &str) -> Box<Self> {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::about(StatusCode::CONFLICT, "AlreadyExists", message, Self::of(resource, name))
    }

    /// There is an object of this name, which is being deleted.
    pub(super) fn still_exists(resource: &Resource, name: &str) -> Box<Self> {
        let message = format!("object is being deleted: {} \"{name}\" already exists", resource.qualified());
        Self::about(StatusCode::CONFLICT, "AlreadyExists", message, Self::of(resource, name))
    }

    /// A precondition does not hold; `why` ends the standard sentence.
    pub(super) fn conflict(resource: &Resource, name: &str, why: &str) -> Box<Self> {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::about(StatusCode::CONFLICT, "Conflict", message, Self::of(resource, name))
    }

    /// The object has another resourceVersion than the writer read.
    pub(super) fn modified(resource: &Resource, name: &str) -> Box<Self> {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// Other managers own fields of an apply.
    pub(super) fn apply_conflict(message: String, causes: Vec<StatusCause>) -> Box<Self> {
        Self::about(StatusCode::CONFLICT, "Conflict", message, Details { causes, ..Details::default() })
    }

    /// An admission rule refuses the request; `why` ends the standard sentence.
    pub(super) fn forbidden(resource: &Resource, name: &str, why: &str, causes: Vec<StatusCause>) -> Box<Self> {
        let subject = if name.is_empty() { resource.qualified() } else { format!("{} \"{name}\"", resource.qualified()) };
        let details = Details { causes, ..Self::of(resource, name) };
        Self::about(StatusCode::FORBIDDEN, "Forbidden", format!("{subject} is forbidden: {why}"), details)
    }

    /// The object breaks rules of its kind. `kind` is qualified, as in `Deployment.apps`.
    pub(super) fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Box<Self> {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut sentences: Vec<String> = Vec::new();
        for cause in &causes {
            let sentence = format!("{}: {}", cause.field, cause.message);
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        let all = if sentences.len() == 1 { sentences.concat() } else { format!("[{}]", sentences.join(", ")) };
        let causes = causes.into_iter().map(StatusCause::from).collect();
        let details = Details { name: name.to_owned(), group: group.to_owned(), kind: kind.to_owned(), causes, ..Details::default() };
        let message = format!("{qualified} \"{name}\" is invalid: {all}");
        Self::about(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message, details)
    }

    /// One wrong field of an object.
    pub(super) fn invalid_field(resource: &Resource, name: &str, field: &str, reason: &'static str, message: &str) -> Box<Self> {
        let cause = Cause { field: field.to_owned(), reason, message: message.to_owned() };
        Self::invalid(&resource.group, &resource.kind, name, vec![cause])
    }

    /// A PUT has to name the version that it replaces; this message names the resource where others name the kind.
    pub(super) fn version_required(resource: &Resource, name: &str) -> Box<Self> {
        let message = "Invalid value: 0: must be specified for an update".to_owned();
        let cause = Cause { field: "metadata.resourceVersion".into(), reason: "FieldValueInvalid", message };
        Self::invalid(&resource.group, &resource.plural, name, vec![cause])
    }

    /// A PUT is meant for an object of another uid. The sentence is that of the storage, with the key in etcd.
    pub(super) fn other_uid(resource: &Resource, namespace: &str, name: &str, wanted: &str, found: &str) -> Box<Self> {
        let key = [resource.storage_path().as_str(), namespace, name]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("/");
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{key}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
        );
        Self::conflict(resource, name, &why)
    }

    /// The request cannot be understood.
    pub(super) fn bad_request(message: impl Into<String>) -> Box<Self> {
        Self::plain(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The resource exists, the method does not.
    pub(super) fn method_not_allowed() -> Box<Self> {
        let message = "the server does not allow this method on the requested resource";
        Self::about(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message.into(), Details::default())
    }

    /// No representation that the client accepts.
    pub(super) fn not_acceptable() -> Box<Self> {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf, \
            application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
        Self::about(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message.into(), Details::default())
    }

    /// Metadata of one object is wanted of a list, or the other way round.
    pub(super) fn wrong_shape(wanted: &str, found: &str, resource: &Resource, list: bool) -> Box<Self> {
        let package = if resource.group.is_empty() { "core" } else { resource.group.split('.').next().unwrap_or_default() };
        let kind = if list { &resource.list_kind } else { &resource.kind };
        let class = match (resource.custom, list) {
            (true, true) => "*unstructured.UnstructuredList".to_owned(),
            (true, false) => "*unstructured.Unstructured".to_owned(),
            (false, _) => format!("*{package}.{kind}"),
        };
        Self::plain(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            format!("you requested {wanted}, but the requested object {found} ({class})"),
        )
    }

    /// A patch of a media type that is no patch.
    pub(super) fn unknown_patch() -> Box<Self> {
        Self::about(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", "415: Unsupported Media Type".into(), Details::default())
    }

    /// A JSON patch does not fit the object.
    pub(super) fn unpatchable() -> Box<Self> {
        let message = "the server rejected our request due to an error in our request";
        Self::about(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message.into(), Details::default())
    }

    /// A patch makes something that is no object of the kind.
    pub(super) fn invalid_patch(shown: &str, why: &str) -> Box<Self> {
        let message = format!("Invalid value: {}: {why}", serde_json::Value::from(shown));
        Self::invalid("", "", "", vec![Cause { field: "patch".into(), reason: "FieldValueInvalid", message }])
    }

    /// An option of the request is wrong; `kind` is the type of options, as in `PatchOptions`.
    pub(super) fn invalid_option(kind: &str, field: &str, reason: &'static str, message: &str) -> Box<Self> {
        Self::invalid("meta.k8s.io", kind, "", vec![Cause { field: field.into(), reason, message: message.into() }])
    }

    /// The body is of a type that is not read here.
    pub(super) fn unsupported_media_type(accepted: &str) -> Box<Self> {
        let message = format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// History that is needed for the answer has been forgotten.
    pub(super) fn expired(message: impl Into<String>) -> Box<Self> {
        Self::plain(StatusCode::GONE, "Expired", message)
    }

    /// The wanted resourceVersion is yet to come.
    pub(super) fn too_large_version(wanted: u64, current: u64) -> Box<Self> {
        let cause =
            StatusCause { reason: "ResourceVersionTooLarge".into(), message: "Too large resource version".into(), field: String::new() };
        let details = Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() };
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        Self::about(StatusCode::GATEWAY_TIMEOUT, "Timeout", message, details)
    }

    /// A request shape that this server does not serve, so that no test passes by accident.
    pub(super) fn not_implemented(what: &str) -> Box<Self> {
        Self::plain(StatusCode::NOT_IMPLEMENTED, "NotImplemented", format!("the simulated API server does not serve {what}"))
    }

    /// The JSON document, with the fields that every Status has.
    pub(super) fn document(&self) -> serde_json::Value {
        let mut document = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": if self.code < 400 { "Success" } else { "Failure" },
        });
        for (key, text) in [("message", &self.message), ("reason", &self.reason)] {
            if !text.is_empty() {
                document[key] = text.as_str().into();
            }
        }
        if let Some(details) = self.details.as_ref().and_then(|details| serde_json::to_value(details).ok()) {
            document["details"] = details;
        }
        if self.code >= 400 {
            document["code"] = self.code.into();
        }
        document
    }
}

impl From<Cause> for StatusCause {
    fn from(cause: Cause) -> Self {
        Self { reason: cause.reason.to_owned(), message: cause.message, field: cause.field }
    }
}
