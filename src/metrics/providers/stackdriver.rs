//! Google Cloud Monitoring: MQL over `timeSeries:query` (rollout-contract §6.5), with the key of a service account.
//!
//! The key signs a token request (RFC 7523) with rustls' own RSA, so that no further cryptography is linked.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use url::{Url, form_urlencoded};

use super::call::{Call, Number, address, below, json as parsed};
use super::{Provider, short};
use crate::metrics::Check;

const PROJECT: &str = "project";
const KEY: &str = "serviceAccountKey";
const SCOPE: &str = "https://www.googleapis.com/auth/monitoring.read";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest that Google takes, in seconds.
const LIFETIME: i64 = 3_600;

pub const PROVIDER: Provider = Provider {
    default_address: |_| Some("https://monitoring.googleapis.com".into()),
    secret_keys: &[PROJECT],
    login: |check| login(check).map(Some),
    ..Provider::plain("stackdriver", request, read)
};

/// As Google hands it out; fields that are not needed are left out.
#[derive(Deserialize)]
struct ServiceAccount {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default = "google")]
    token_uri: String,
}

fn google() -> String {
    "https://oauth2.googleapis.com/token".into()
}

/// The request for an access token.
fn login(check: &Check<'_>) -> Result<Call, String> {
    let key = match check.variable("GOOGLE_APPLICATION_CREDENTIALS") {
        _ if check.has(KEY) => check.secret(KEY)?.to_owned(),
        Some(path) => (check.read_file)(path)?,
        None => {
            return Err(format!(
                "no credentials: put the key of a service account under {KEY} into the Secret; workload identity is not \
                 supported, since the metadata server of the node is not asked"
            ));
        }
    };
    // The parser's words may quote the key, so they are not told.
    let account: ServiceAccount = serde_json::from_str(&key).map_err(|_| format!("{KEY} is not the JSON key of a service account"))?;
    if account.kind != "service_account" {
        return Err(format!("{KEY} is of type {}: use the key of a service account", short(&account.kind)));
    }
    let assertion = assertion(&account, check.now.as_second())?;
    let form =
        form_urlencoded::Serializer::new(String::new()).append_pair("grant_type", GRANT).append_pair("assertion", &assertion).finish();
    let call = Call::post(address(&account.token_uri)?, "application/x-www-form-urlencoded", form)?;
    Ok(call.hiding(&assertion).hiding(&account.private_key))
}

/// A JSON web token of the account, signed with its key at `now` (seconds since 1970).
fn assertion(account: &ServiceAccount, now: i64) -> Result<String, String> {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": account.private_key_id});
    let claims = json!({
        "iss": account.client_email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now,
        "exp": now + LIFETIME,
    });
    let encoded = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
    let signature = PrivateKeyDer::from_pem_slice(account.private_key.as_bytes())
        .ok()
        .and_then(|der| any_supported_type(&der).ok())
        .and_then(|key| key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]))
        .and_then(|signer| signer.sign(message.as_bytes()).ok())
        .ok_or_else(|| format!("the private_key of {KEY} is no RSA key in PEM"))?;
    Ok(format!("{message}.{}", encoded(&signature)))
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

fn request(check: &Check<'_>, address: Url, login: Option<&[u8]>) -> Result<Call, String> {
    let token: Token = login
        .and_then(|reply| serde_json::from_slice(reply).ok())
        .ok_or("no credentials: the token endpoint answered something else than a token")?;
    let url = below(address, ["v3", "projects", check.secret(PROJECT)?, "timeSeries:query"]);
    Call::post(url, "application/json", json!({"query": check.query}).to_string())?.bearer(&token.access_token)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    /// Google leaves out lists that are empty.
    #[serde(default)]
    time_series_data: Vec<Series>,
    #[serde(default)]
    partial_errors: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    #[serde(default)]
    point_data: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    #[serde(default)]
    values: Vec<Typed>,
}

/// A value under its type's name; types that are no numbers are left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    #[serde(default)]
    double_value: Option<Number>,
    #[serde(default)]
    int64_value: Option<Number>,
}

/// The first value of the first point of the first series. Flagger reads what is no double as 0; here an integer is a
/// number, and anything else an error. So is a result that Google says is not whole.
fn read(body: &[u8]) -> Result<Option<f64>, String> {
    let reply: Reply = parsed(body)?;
    if let Some(failure) = reply.partial_errors.first() {
        return Err(format!("the query failed, {}", failure.message));
    }
    let first = reply.time_series_data.first().and_then(|s| s.point_data.first()).and_then(|p| p.values.first());
    let Some(value) = first else { return Ok(None) };
    match value.double_value.or(value.int64_value) {
        Some(number) => Ok(number.0),
        None => Err("the query returned something else than numbers: aggregate to one, for example with percentile()".into()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::OnceLock;

    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::prelude::BASE64_STANDARD;
    use serde_json::Value;

    use super::super::testing::{Fixture, NOW, Served, ask_loopback};
    use super::*;
    use crate::engine::effect::Answer;

    const ACCESS_TOKEN: &str = "ya29.access-token-secret";

    fn key() -> &'static KeyPair {
        static KEY: OnceLock<KeyPair> = OnceLock::new();
        KEY.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    fn pem() -> String {
        let der: Pkcs8V1Der<'_> = key().as_der().expect("a key");
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(der.as_ref()))
    }

    fn account(change: impl Fn(&mut Value)) -> String {
        let mut account = json!({
            "type": "service_account",
            "client_email": "engine@my-project.iam",
            "private_key_id": "key-1",
            "private_key": pem(),
            "token_uri": "{address}/token",
        });
        change(&mut account);
        serde_json::to_string_pretty(&account).expect("JSON")
    }

    pub fn fixture() -> Fixture {
        let mut fixture = Fixture::new("stackdriver", "fetch a | every 1m", &[(PROJECT, "my-project"), (KEY, &account(|_| {}))]);
        let token = json!({"access_token": ACCESS_TOKEN, "expires_in": 3_599, "token_type": "Bearer"});
        fixture.login = Some(Served::new("/token", 200, &token.to_string()));
        fixture
    }

    #[tokio::test]
    async fn the_key_signs_for_a_token_and_the_token_asks() {
        let body = r#"{"timeSeriesData": [{"pointData": [{"values": [{"doubleValue": 100.5}, {"doubleValue": 1}]}, {"values": []}]}]}"#;
        let (answer, seen) = ask_loopback(&fixture(), fixture().served(200, body)).await;
        assert_eq!(answer, Answer::Value(100.5));
        let [login, query] = seen.requests.as_slice() else { panic!("{:?}", seen.requests) };
        let form = login.form();
        assert_eq!((login.method.as_str(), login.path.as_str(), form["grant_type"].as_str()), ("POST", "/token", GRANT));
        let (message, signature) = form["assertion"].rsplit_once('.').expect("a signature");
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64");
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key().public_key().as_ref())
            .verify(message.as_bytes(), &signature)
            .expect("the key's signature");
        let parts: Vec<Value> =
            message.split('.').map(|p| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(p).expect("base64")).expect("JSON")).collect();
        assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
        assert_eq!((&parts[1]["iss"], &parts[1]["scope"]), (&json!("engine@my-project.iam"), &json!(SCOPE)));
        assert_eq!((&parts[1]["iat"], &parts[1]["exp"]), (&json!(NOW), &json!(NOW + 3_600)));
        assert!(parts[1]["aud"].as_str().is_some_and(|aud| aud.ends_with("/token")));

        assert_eq!((query.method.as_str(), query.path.as_str()), ("POST", "/v3/projects/my-project/timeSeries:query"));
        assert_eq!(query.header("authorization"), format!("Bearer {ACCESS_TOKEN}"));
        assert_eq!(serde_json::from_str::<Value>(&query.body).expect("JSON"), json!({"query": "fetch a | every 1m"}));
    }

    #[tokio::test]
    async fn without_a_value_there_is_no_data_and_no_zero() {
        let value = |value: &str| format!(r#"{{"timeSeriesData": [{{"pointData": [{{"values": [{value}]}}]}}]}}"#);
        for body in [
            "{}".into(),
            r#"{"timeSeriesData": []}"#.into(),
            r#"{"timeSeriesData": [{}]}"#.into(),
            value(""),
            value(r#"{"doubleValue": "NaN"}"#),
        ] {
            assert_eq!(fixture().answer(&body).await, Answer::NoData, "{body}");
        }
        assert_eq!(fixture().answer(&value(r#"{"int64Value": "7"}"#)).await, Answer::Value(7.0));
        for body in [
            value(r#"{"stringValue": "7"}"#),
            value(r#"{"distributionValue": {"mean": 7}}"#),
            value(r#"{"doubleValue": 7}"#).replacen('{', r#"{"partialErrors": [{"message": "timed out"}], "#, 1),
        ] {
            assert!(matches!(fixture().answer(&body).await, Answer::Error(_)), "{body}");
        }
    }

    #[tokio::test]
    async fn neither_the_key_nor_the_token_is_told() {
        let (answer, _) = ask_loopback(&fixture(), fixture().served(403, &format!("denied for {ACCESS_TOKEN}"))).await;
        assert!(matches!(answer, Answer::Error(why) if why.ends_with("denied for ***")));
        let line = BASE64_STANDARD.encode(AsDer::<Pkcs8V1Der<'_>>::as_der(key()).expect("a key").as_ref());
        for (status, body) in [
            (400, format!("invalid_grant {line}")),
            (200, format!(r#"{{"access_token": ["{ACCESS_TOKEN}"]}}"#)),
            (200, ACCESS_TOKEN.into()),
        ] {
            let (answer, seen) = ask_loopback(&fixture(), vec![Served::new("/token", status, &body), Served::new("/", 200, "{}")]).await;
            let Answer::Error(why) = answer else { panic!("{answer:?}") };
            assert!(why.contains("no credentials: ") && !why.contains("ya29") && !why.contains(&line[..40]), "{why}");
            assert_eq!(seen.requests.len(), 1);
        }
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_used_is_described() {
        for (key, expected) in [
            ("not json".to_owned(), "is not the JSON key of a service account"),
            (account(|a| a["type"] = json!("external_account")), "is of type external_account"),
            (
                account(|a| a["private_key"] = json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")),
                "is no RSA key in PEM",
            ),
            (account(|a| a["token_uri"] = json!("file:///etc/passwd")), "is not of HTTP"),
        ] {
            let mut fixture = fixture();
            fixture.secret.insert(KEY.into(), key.into_bytes());
            let answer = fixture.ask_at("http://127.0.0.1:1").await;
            assert!(matches!(&answer, Answer::Error(why) if why.contains(expected)), "{expected}: {answer:?}");
        }
        let mut without = fixture();
        without.secret.remove(KEY);
        assert!(matches!(without.ask_at("http://127.0.0.1:1").await, Answer::Error(why) if why.contains("metadata server")));
    }

    #[tokio::test]
    async fn the_key_may_stand_in_a_file() {
        let mut fixture = fixture();
        fixture.secret.remove(KEY);
        fixture.environment.insert("GOOGLE_APPLICATION_CREDENTIALS".into(), "/etc/key.json".into());
        fixture.read_file = |path| {
            if path == "/etc/key.json" { Ok(account(|a| a["token_uri"] = json!("http://127.0.0.1:1/token"))) } else { Err("no".into()) }
        };
        let answer = fixture.ask_at("http://127.0.0.1:1").await;
        assert!(matches!(&answer, Answer::Error(why) if why.contains("127.0.0.1:1/token")), "{answer:?}");
    }
}
