//! Calls on behalf of one cluster: its own Services go through its API server where the process is outside of it.

use bytes::Bytes;

use super::address::check;
use super::direct::Direct;
use super::{LARGEST_BODY, Manner, Outbound};
use crate::kubernetes::access::Access;

/// One cluster's way to the outside.
#[derive(Clone)]
pub struct Relay {
    pub access: Access,
    pub direct: Direct,
}

impl Relay {
    #[must_use]
    pub const fn new(access: Access, in_cluster: bool) -> Self {
        Self { access, direct: Direct { in_cluster } }
    }
}

impl Outbound for Relay {
    async fn send(&self, request: http::Request<Bytes>, manner: &Manner) -> Result<http::Response<Bytes>, String> {
        let checked = check(&request.uri().to_string(), self.direct.in_cluster)?;
        let Some((namespace, name, port)) = checked.service else { return self.direct.send(request, manner).await };
        // The API server dials by the scheme that stands before the name.
        let scheme = if checked.url.scheme() == "https" { "https:" } else { "" };
        let query = checked.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/services/{scheme}{name}:{port}/proxy{}{query}", checked.url.path());
        let mut access = self.access.clone();
        access.deadline = manner.deadline;
        access.relay(request, &path, LARGEST_BODY).await.map_err(|e| e.to_string())
    }
}
