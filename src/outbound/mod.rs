//! Calls to the outside: one bounded request, with where it may go.
//!
//! Webhooks, chat alerts and metric servers are reached through [`Outbound`], so that one place decides what a
//! URL may name, how long a call lasts and how much of a body is read.

pub mod address;
pub mod direct;
pub mod relay;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

/// More of a body than this is never read.
pub const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// How a call is made.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Limit for one attempt, connection and body together.
    pub deadline: Duration,
    /// The server's certificate is not verified.
    pub insecure: bool,
    /// URL of an HTTP proxy.
    pub proxy: Option<String>,
}

impl Manner {
    #[must_use]
    pub const fn within(deadline: Duration) -> Self {
        Self { deadline, insecure: false, proxy: None }
    }
}

/// What makes requests.
pub trait Outbound: Send + Sync {
    /// One request, one reply, whatever its status. The reply's body is whole, or cut at [`LARGEST_BODY`] with an error.
    ///
    /// # Errors
    /// A sentence: the address is refused, does not resolve, does not answer in time.
    fn send(&self, request: http::Request<Bytes>, manner: &Manner) -> impl Future<Output = Result<http::Response<Bytes>, String>> + Send;
}
