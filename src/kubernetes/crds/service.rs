//! The schema of a Canary's `spec.service` (rollout-contract §1.2): the Services' own fields, then what is handed on to Istio,
//! then what is handed on to the Gateway API. Our types keep the last two as they stand, so these tables alone say their fields.

use serde_json::json;

use super::schema::{
    Schema, boolean, int_or_string, int32, integer, list, map, needs, number, object, one_text_of, one_text_or_none_of, text, word,
};

/// The name of an API group; nothing at all is the core group.
const GROUP: &str = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Names with dots between their parts.
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const KIND: &str = "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$";

/// `Canary.spec.service`.
pub(super) fn service() -> Schema {
    object([
        ("name", text()),
        ("port", number()),
        ("portName", text()),
        ("appProtocol", text()),
        ("trafficDistribution", word(["PreferClose", "PreferSameZone", "PreferSameNode"])),
        ("targetPort", int_or_string()),
        ("portDiscovery", boolean()),
        ("headless", boolean()),
        ("timeout", text()),
        ("backendTimeout", text()),
        ("meshName", text()),
        ("backends", list(text())),
        ("hosts", list(text())),
        ("delegation", boolean()),
        ("match", list(request())),
        ("retries", object([("attempts", int32()), ("perTryTimeout", text()), ("retryOn", text())])),
        ("rewrite", object([("uri", text()), ("authority", text()), ("type", text())])),
        ("mirror", list(object([("backendRef", mirror())]))),
        ("headers", object([("request", headers()), ("response", headers())])),
        ("gateways", list(text())),
        ("gatewayRefs", list(gateway()).at_most_items(32)),
        ("corsPolicy", cors()),
        ("trafficPolicy", policy()),
        ("apex", metadata()),
        ("primary", metadata()),
        ("canary", metadata()),
        ("unmanagedMetadata", object([("annotations", list(text())), ("labels", list(text()))])),
    ])
    .required(["port"])
}

/// Labels and annotations of a generated Service.
fn metadata() -> Schema {
    object([("labels", map(text())), ("annotations", map(text()))])
}

// ---------------------------------------------------------------------------------------------------------
// Istio.

/// Requests that a route takes.
fn request() -> Schema {
    let string = || one_text_or_none_of(["exact", "prefix", "regex"]);
    object([
        ("name", text()),
        ("uri", string()),
        ("scheme", string()),
        ("method", string()),
        ("authority", string()),
        ("headers", map(string())),
        ("withoutHeaders", map(string())),
        ("queryParams", map(string())),
        ("ignoreUriCase", boolean()),
        ("port", integer()),
        ("gateways", list(text())),
        ("sourceLabels", map(text())),
        ("sourceNamespace", text()),
    ])
}

fn headers() -> Schema {
    object([("add", map(text())), ("set", map(text())), ("remove", list(text()))])
}

fn cors() -> Schema {
    object([
        ("allowCredentials", boolean()),
        ("allowHeaders", list(text())),
        ("allowMethods", list(text())),
        ("allowOrigin", list(text())),
        ("allowOrigins", list(one_text_of(["exact", "prefix", "regex"]))),
        ("exposeHeaders", list(text())),
        ("maxAge", text()),
    ])
}

/// The traffic policy of both `DestinationRules`.
fn policy() -> Schema {
    object([
        ("connectionPool", object([("http", connections())])),
        ("loadBalancer", balancer()),
        ("outlierDetection", outliers()),
        ("tls", tls()),
    ])
}

fn connections() -> Schema {
    object([
        ("h2UpgradePolicy", word(["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"])),
        ("http1MaxPendingRequests", int32()),
        ("http2MaxRequests", int32()),
        ("idleTimeout", text()),
        ("maxRequestsPerConnection", int32()),
        ("maxRetries", int32()),
    ])
}

/// By a simple rule, or by a hash over exactly one thing.
fn balancer() -> Schema {
    let hashed = ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"].map(|name| needs([name]));
    let by_hash = json!({"required": ["consistentHash"], "properties": {"consistentHash": {"oneOf": hashed}}});
    object([
        ("simple", word(["ROUND_ROBIN", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "LEAST_REQUEST"])),
        (
            "consistentHash",
            object([
                ("httpHeaderName", text()),
                ("httpCookie", object([("name", text()), ("path", text()), ("ttl", text())])),
                ("useSourceIp", boolean()),
                ("httpQueryParameterName", text()),
                ("minimumRingSize", integer()),
            ]),
        ),
        ("localityLbSetting", locality()),
        ("warmupDurationSecs", text()),
    ])
    .one_of([needs(["simple"]), by_hash])
}

fn locality() -> Schema {
    object([
        ("enabled", boolean()),
        ("distribute", list(object([("from", text()), ("to", map(integer()))]))),
        ("failover", list(object([("from", text()), ("to", text())]))),
    ])
}

fn outliers() -> Schema {
    object([
        ("baseEjectionTime", text()),
        ("consecutive5xxErrors", integer()),
        ("consecutiveErrors", int32()),
        ("consecutiveGatewayErrors", int32()),
        ("consecutiveLocalOriginFailures", int32()),
        ("interval", text()),
        ("maxEjectionPercent", int32()),
        ("minHealthPercent", int32()),
        ("splitExternalLocalOriginErrors", boolean()),
    ])
}

fn tls() -> Schema {
    object([
        ("mode", word(["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])),
        ("clientCertificate", text()),
        ("privateKey", text()),
        ("caCertificates", text()),
        ("sni", text()),
        ("subjectAltNames", list(text())),
    ])
}

// ---------------------------------------------------------------------------------------------------------
// Gateway API.

/// What a route hangs on.
fn gateway() -> Schema {
    object([
        ("group", group().default("gateway.networking.k8s.io")),
        ("kind", kind().default("Gateway")),
        ("name", text().length(1..=253)),
        ("namespace", namespace()),
        ("sectionName", text().length(1..=253).pattern(SUBDOMAIN)),
        ("port", port()),
    ])
    .required(["name"])
}

/// Who gets a copy of each request.
fn mirror() -> Schema {
    object([
        ("group", group().default("")),
        ("kind", kind().default("Service")),
        ("name", text().length(1..=253)),
        ("namespace", namespace()),
        ("port", port()),
    ])
    .required(["name"])
    .rule("(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true", "Must have port for Service reference")
}

fn group() -> Schema {
    text().length(0..=253).pattern(GROUP)
}

fn kind() -> Schema {
    text().length(1..=63).pattern(KIND)
}

fn namespace() -> Schema {
    text().length(1..=63).pattern(LABEL)
}

fn port() -> Schema {
    int32().at_least(1).at_most(65_535)
}
