//! Amazon `CloudWatch`: `GetMetricData` over AWS JSON 1.0 (rollout-contract §6.5), signed with credentials of the
//! environment, or with those that STS gives for the service account's token (IRSA).
//!
//! The token goes to STS alone, never to an address that a template names.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use super::Provider;
use super::call::{Call, Number, address, json as parsed};
use crate::domain::template::MetricProvider;
use crate::metrics::Check;

/// The query looks back this many intervals.
const INTERVALS: u32 = 10;
/// Points asked for.
const POINTS: u32 = 20;
/// Name of the session where the environment gives none.
const SESSION: &str = "pilothouse";

pub const PROVIDER: Provider = Provider {
    default_address: |provider| Some(endpoint("monitoring", provider)),
    region: true,
    window: true,
    login,
    ..Provider::plain("cloudwatch", request, read)
};

fn request(check: &Check<'_>, address: Url, login: Option<&[u8]>) -> Result<Call, String> {
    let call = Call::post(address, "application/x-amz-json-1.0", body(check)?)?
        .header("x-amz-target", "GraniteServiceVersion20100801.GetMetricData");
    let credentials = credentials(check, login)?;
    signed(call, &credentials, region(check.provider), "monitoring", check.now)
}

fn region(provider: &MetricProvider) -> &str {
    provider.region.as_deref().unwrap_or_default()
}

/// Where `service` is in the provider's region.
fn endpoint(service: &str, provider: &MetricProvider) -> String {
    let region = region(provider);
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

fn body(check: &Check<'_>) -> Result<String, String> {
    let queries: Vec<Map<String, Value>> =
        serde_json::from_str(check.query).map_err(|e| format!("the query is not a JSON list of MetricDataQuery objects, {e}"))?;
    let (start, end) = check.span(INTERVALS);
    let body = json!({"StartTime": start / 1_000, "EndTime": end / 1_000, "MaxDatapoints": POINTS, "MetricDataQueries": queries});
    Ok(body.to_string())
}

/// Keys of the environment, which come before IRSA as in AWS's own clients.
fn of_environment(check: &Check<'_>) -> Option<Credentials> {
    let (id, key) = (check.variable("AWS_ACCESS_KEY_ID")?, check.variable("AWS_SECRET_ACCESS_KEY")?);
    Some(Credentials::new(id, key, check.variable("AWS_SESSION_TOKEN").map(str::to_owned), None, "environment"))
}

/// The request to STS that trades the service account's token for credentials.
fn login(check: &Check<'_>) -> Result<Option<Call>, String> {
    if of_environment(check).is_some() {
        return Ok(None);
    }
    let (Some(role), Some(file)) = (check.variable("AWS_ROLE_ARN"), check.variable("AWS_WEB_IDENTITY_TOKEN_FILE")) else {
        return Err("no credentials: annotate the service account with a role (IRSA), or set AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY; the metadata server of the node is not asked"
            .into());
    };
    let token = (check.read_file)(file)?;
    let token = token.trim();
    // AWS's own name for another STS; tests and private endpoints use it.
    let endpoint = check.variable("AWS_ENDPOINT_URL_STS").map_or_else(|| endpoint("sts", check.provider), str::to_owned);
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", check.variable("AWS_ROLE_SESSION_NAME").unwrap_or(SESSION))
        .append_pair("WebIdentityToken", token)
        .finish();
    let call = Call::post(address(&endpoint)?, "application/x-www-form-urlencoded", form)?;
    Ok(Some(call.header("accept", "application/json").hiding(token)))
}

/// What STS answers, each key inside the one before.
const CREDENTIALS: &str = "/AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Session {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
}

fn credentials(check: &Check<'_>, login: Option<&[u8]>) -> Result<Credentials, String> {
    let Some(reply) = login else {
        return of_environment(check).ok_or_else(|| "no credentials".into());
    };
    let session = serde_json::from_slice::<Value>(reply).ok().and_then(|mut reply| reply.pointer_mut(CREDENTIALS).map(Value::take));
    // The parser's words may quote a key, so they are not told.
    let session: Session = session
        .and_then(|session| serde_json::from_value(session).ok())
        .ok_or("no credentials: STS answered something else than a session")?;
    Ok(Credentials::new(session.access_key_id, session.secret_access_key, Some(session.session_token), None, "sts"))
}

/// `call` with AWS's signature, version 4, over its address, headers and body.
fn signed(mut call: Call, credentials: &Credentials, region: &str, service: &str, now: Timestamp) -> Result<Call, String> {
    let failed = |e: &dyn std::fmt::Display| format!("the request cannot be signed, {e}");
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::from(now))
        .settings(SigningSettings::default())
        .build()
        .map_err(|e| failed(&e))?
        .into();
    let headers = {
        let request: &Request<Bytes> = &call.request;
        let uri = request.uri().to_string();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(request.method().as_str(), &uri, headers, SignableBody::Bytes(request.body()));
        let output = signable.and_then(|signable| sign(signable, &parameters)).map_err(|e| failed(&e))?;
        output.into_parts().0.into_parts().0
    };
    for header in headers {
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| "AWS credentials hold control characters: correct them")?;
        value.set_sensitive(header.sensitive() || header.name() == "authorization");
        call.request.headers_mut().insert(HeaderName::from_static(header.name()), value);
    }
    Ok(call)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    metric_data_results: Vec<Series>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Series {
    #[serde(default)]
    values: Vec<Number>,
    #[serde(default)]
    status_code: Option<String>,
}

/// The first value, which is the newest, of the first series.
fn read(body: &[u8]) -> Result<Option<f64>, String> {
    let reply: Reply = parsed(body)?;
    let Some(first) = reply.metric_data_results.first() else { return Ok(None) };
    match first.status_code.as_deref() {
        Some(failed @ ("InternalError" | "Forbidden")) => Err(format!("the query failed, {failed}")),
        _ => Ok(first.values.first().and_then(|v| v.0)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::{Fixture, NOW, Served, ask_loopback};
    use super::*;
    use crate::engine::effect::Answer;

    const SESSION_TOKEN: &str = "session/token+secret==";

    pub fn fixture() -> Fixture {
        let mut fixture = Fixture::new("cloudwatch", r#"[{"Id": "e1", "Expression": "m1 / m2", "Label": "ErrorRate"}]"#, &[]);
        fixture.provider.region = Some("eu-west-1".into());
        for (name, value) in
            [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "aws-secret-key"), ("AWS_SESSION_TOKEN", SESSION_TOKEN)]
        {
            fixture.environment.insert(name.into(), value.into());
        }
        fixture
    }

    fn with_role() -> Fixture {
        let mut fixture = fixture();
        fixture.environment = [
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/engine"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
            ("AWS_ENDPOINT_URL_STS", "{address}/sts"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        fixture.read_file = |path| if path == "/var/run/token" { Ok("identity-token-secret\n".into()) } else { Err("no such file".into()) };
        fixture
    }

    const VALUE: &str =
        r#"{"MetricDataResults": [{"Id": "e1", "StatusCode": "Complete", "Timestamps": [2, 1], "Values": [0.5, 0.9]}], "Messages": []}"#;

    #[tokio::test]
    async fn the_query_is_signed_and_the_first_value_taken() {
        let (answer, seen) = ask_loopback(&fixture(), fixture().served(200, VALUE)).await;
        assert_eq!(answer, Answer::Value(0.5));
        let request = seen.requests.first().expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/"));
        assert_eq!(request.header("x-amz-target"), "GraniteServiceVersion20100801.GetMetricData");
        assert_eq!(request.header("content-type"), "application/x-amz-json-1.0");
        assert_eq!((request.header("x-amz-date"), request.header("x-amz-security-token")), ("20231114T221320Z", SESSION_TOKEN));
        let authorization = request.header("authorization");
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/eu-west-1/monitoring/aws4_request, "));
        assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature="));
        let sent: Value = serde_json::from_str(&request.body).expect("JSON");
        assert_eq!((&sent["StartTime"], &sent["EndTime"], &sent["MaxDatapoints"]), (&json!(NOW - 600), &json!(NOW), &json!(20)));
        assert_eq!(sent["MetricDataQueries"][0]["Expression"], "m1 / m2");
    }

    /// The example of "Create a signed AWS API request" in the IAM user guide.
    #[test]
    fn a_published_example_has_its_published_signature() {
        let url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08".parse().expect("a URL");
        let call = Call::get(url).expect("a call").header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "test");
        let now = "2015-08-30T12:36:00Z".parse().expect("an instant");
        let signed = signed(call, &credentials, "us-east-1", "iam", now).expect("a signature");
        assert_eq!(
            signed.request.headers()["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[tokio::test]
    async fn the_service_accounts_token_is_traded_for_a_session() {
        let session = r#"{"AssumeRoleWithWebIdentityResponse": {"AssumeRoleWithWebIdentityResult": {"Credentials":
            {"AccessKeyId": "ASIASESSION", "SecretAccessKey": "sts-secret-key", "SessionToken": "sts-token-secret", "Expiration": 1.7e9}}}}"#;
        let served = |status, body: &str| vec![Served::new("/sts", 200, session), Served::new("/", status, body)];
        let (answer, seen) = ask_loopback(&with_role(), served(200, VALUE)).await;
        assert_eq!(answer, Answer::Value(0.5));
        let [login, query] = seen.requests.as_slice() else { panic!("{:?}", seen.requests) };
        let form = login.form();
        assert_eq!((login.method.as_str(), login.header("accept")), ("POST", "application/json"));
        assert_eq!((form["Action"].as_str(), form["Version"].as_str()), ("AssumeRoleWithWebIdentity", "2011-06-15"));
        assert_eq!((form["RoleArn"].as_str(), form["WebIdentityToken"].as_str()), ("arn:aws:iam::1:role/engine", "identity-token-secret"));
        assert_eq!(form["RoleSessionName"], SESSION);
        assert!(query.header("authorization").contains("Credential=ASIASESSION/"));
        assert_eq!(query.header("x-amz-security-token"), "sts-token-secret");

        let (answer, _) = ask_loopback(&with_role(), served(400, "expired: sts-token-secret and identity-token-secret")).await;
        assert!(matches!(answer, Answer::Error(why) if why.ends_with("expired: *** and ***")));
    }

    #[tokio::test]
    async fn without_a_session_nothing_is_asked_and_nothing_told() {
        for (status, body) in [
            (403, "InvalidIdentityToken identity-token-secret"),
            (
                200,
                r#"{"AssumeRoleWithWebIdentityResponse": {"AssumeRoleWithWebIdentityResult": {"Credentials": {"AccessKeyId": 5, "SecretAccessKey": "sts-secret-key"}}}}"#,
            ),
            (200, "<SecretAccessKey>sts-secret-key</SecretAccessKey>"),
        ] {
            let (answer, seen) = ask_loopback(&with_role(), vec![Served::new("/sts", status, body), Served::new("/", 200, VALUE)]).await;
            let Answer::Error(why) = answer else { panic!("{answer:?}") };
            assert!(why.contains("no credentials: ") && !why.contains("-secret"), "{why}");
            assert_eq!(seen.requests.len(), 1, "{why}");
        }
        let mut bare = fixture();
        bare.environment.clear();
        assert!(matches!(bare.ask_at("http://127.0.0.1:1").await, Answer::Error(why) if why.contains("IRSA")));
    }

    /// A template's address must not get the token that is worth the engine's role.
    #[test]
    fn the_token_goes_to_sts_whatever_the_address() {
        let provider = MetricProvider { address: Some("https://evil.example".into()), ..fixture().provider };
        let mut environment = with_role().environment;
        environment.remove("AWS_ENDPOINT_URL_STS");
        for (region, host) in [("eu-west-1", "sts.eu-west-1.amazonaws.com"), ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn")] {
            let provider = MetricProvider { region: Some(region.into()), ..provider.clone() };
            let check = Check {
                provider: &provider,
                secret: None,
                query: "[]",
                window: None,
                now: Timestamp::UNIX_EPOCH,
                environment: &environment,
                read_file: with_role().read_file,
            };
            let call = login(&check).expect("a call").expect("a login");
            assert_eq!(call.request.uri().host(), Some(host));
        }
    }

    #[tokio::test]
    async fn without_a_value_there_is_no_data() {
        for body in [
            r#"{"MetricDataResults": []}"#,
            r#"{"MetricDataResults": [{"Values": []}]}"#,
            r#"{"MetricDataResults": [{"Values": ["NaN"], "StatusCode": "Complete"}]}"#,
        ] {
            assert_eq!(fixture().answer(body).await, Answer::NoData, "{body}");
        }
        for body in [r#"{"MetricDataResults": [{"Values": [5], "StatusCode": "InternalError"}]}"#, "{}"] {
            assert!(matches!(fixture().answer(body).await, Answer::Error(_)), "{body}");
        }
        let mut wrong = fixture();
        wrong.query = r#"{"Id": "e1"}"#.into();
        assert!(matches!(wrong.ask_at("http://127.0.0.1:1").await, Answer::Error(why) if why.contains("not a JSON list")));
    }
}
