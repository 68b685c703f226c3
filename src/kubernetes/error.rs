//! What can go wrong with a cluster, in words for the person in front of it.

use std::time::Duration;

/// Failure of one request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{what}: {message}")]
    NotFound { what: String, message: String },
    /// Somebody wrote in between: look again.
    #[error("{what} changed in between: {message}")]
    Conflict { what: String, message: String },
    #[error("{what}: not allowed: {message}")]
    Forbidden { what: String, message: String },
    #[error("{what}: the credentials were refused ({message}); log in again, or renew the token in the kubeconfig")]
    Unauthorized { what: String, message: String },
    #[error("{what}: {message}")]
    Refused { what: String, code: u16, message: String },
    #[error("{what}: no answer within {}s", .after.as_secs())]
    Timeout { what: String, after: Duration },
    #[error("{what}: {message}")]
    Unreachable { what: String, message: String },
}

impl ApiError {
    /// Sorts an error of the client by what can be done about it.
    #[must_use]
    pub fn new(what: impl Into<String>, error: &kube::Error) -> Self {
        let what = what.into();
        match error {
            kube::Error::Api(status) => {
                let message = crate::domain::text::clean(&status.message);
                match status.code {
                    404 => Self::NotFound { what, message },
                    409 => Self::Conflict { what, message },
                    403 => Self::Forbidden { what, message },
                    401 => Self::Unauthorized { what, message },
                    code => Self::Refused { what, code, message },
                }
            }
            kube::Error::Auth(cause) => Self::Unauthorized { what, message: crate::domain::text::clean(&chain(cause)) },
            other => Self::Unreachable { what, message: crate::domain::text::clean(&plain(&chain(other))) },
        }
    }

    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    #[must_use]
    pub const fn is_denied(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::Unauthorized { .. })
    }
}

/// Words of the layers between us and the wire, which tell a reader nothing.
const LAYERS: [&str; 4] = ["ServiceError: ", "client error (Connect): ", "client error (SendRequest): ", "tcp connect error: "];

fn plain(chain: &str) -> String {
    LAYERS.iter().fold(chain.to_owned(), |text, layer| text.replace(layer, ""))
}

/// An error with its causes, once each: libraries repeat themselves on the way up.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !out.contains(&text) {
            out = format!("{out}: {text}");
        }
        source = cause.source();
    }
    out
}
