//! Where a call may go. Cloud metadata and link-local addresses are always refused, the API server by its names,
//! loopback only inside a cluster, where it would be the engine's own pod (the class of SSRF in Argo Rollouts #4707).
//! A refusal names scheme and host only: paths and queries of hooks are secrets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::text::clean;

/// The longest name that DNS knows, in characters.
const LONGEST_HOST: usize = 253;

/// Metadata servers that do not live on a link-local address: Alibaba Cloud, Azure, Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// Google Cloud's metadata server.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);

/// A URL that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub url: reqwest::Url,
    /// `NAMESPACE/NAME:PORT` of a Service, to be reached through the API server from outside the cluster.
    pub service: Option<(String, String, u16)>,
}

/// Reads `text` as a URL that may be called; the names in it are still to be resolved and passed to [`allowed`].
///
/// # Errors
/// A sentence that says what is refused.
pub fn check(text: &str, in_cluster: bool) -> Result<Checked, String> {
    let url =
        reqwest::Url::parse(text).map_err(|e| format!("the URL cannot be read ({e}): write http://HOST/PATH or https://HOST/PATH"))?;
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = short(url.scheme());
        return Err(format!("a URL of scheme {scheme} is refused: only http and https are called"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user or password in it is refused: hand credentials over in a Secret".into());
    }
    let Some(host) = url.host_str().map(canonical) else { return Err("the URL has no host".into()) };
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        allowed(address, in_cluster).map_err(|why| format!("{}://{}: {why}", url.scheme(), short(&host)))?;
    }
    if is_api_server(&host) {
        return Err(format!("{}: this is the API server, which is not a hook, and is refused", short(&host)));
    }
    let service =
        service_of(&host).filter(|_| !in_cluster).map(|(namespace, name)| (namespace, name, url.port_or_known_default().unwrap_or(80)));
    Ok(Checked { url, service })
}

/// A host for an error sentence.
pub(super) fn short(host: &str) -> String {
    clean(host).chars().take(LONGEST_HOST).collect()
}

/// Names are one in every case, with and without the root's dot.
fn canonical(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The API server by the names that a pod's search list completes, and by those of its endpoints.
fn is_api_server(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    matches!(labels[..], ["kubernetes"] | ["kubernetes", "default"]) || labels.windows(3).any(|l| l == ["kubernetes", "default", "svc"])
}

/// `NAME.NAMESPACE.svc[.cluster.local]`, as (namespace, name).
fn service_of(host: &str) -> Option<(String, String)> {
    let stem = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc"))?;
    let (name, namespace) = stem.split_once('.')?;
    (!namespace.contains('.')).then(|| (namespace.to_owned(), name.to_owned()))
}

/// # Errors
/// Why the address is refused. Names are checked again with what they resolve to.
pub fn allowed(address: IpAddr, in_cluster: bool) -> Result<(), String> {
    let address = match address {
        IpAddr::V6(v6) => carried(v6).map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    };
    let metadata = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast() || METADATA_V4.contains(&v4),
        // fd00:ec2::/32 is what AWS keeps for services of the instance.
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.is_unspecified() || v6 == METADATA_V6 || matches!(v6.segments(), [0xfd00, 0xec2, ..])
        }
    };
    if metadata {
        return Err(format!("{address} is a metadata, link-local or unspecified address and is refused"));
    }
    if address.is_loopback() && in_cluster {
        return Err(format!("{address} is loopback, which inside a cluster is the engine itself"));
    }
    Ok(())
}

/// The IPv4 address that an IPv6 one stands for: mapped, NAT64 (`64:ff9b::/96`) and 6to4 (`2002::/16`).
fn carried(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(join(high, low)),
        _ => v6.to_ipv4_mapped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_24_the_ways_to_the_metadata_server_are_closed() {
        for url in [
            "http://169.254.169.254/latest",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://2852039166/",
            "http://0xA9FEA9FE/",
            "http://0251.0376.0251.0376/",
            "http://169.254.169.254./",
            "http://168.63.129.16/",
            "http://[fd00:ec2::23]/",
            "http://[fd20:ce::254]/",
            "http://[fe80::1]/",
            "http://0.0.0.0:80/",
            "file:///etc/passwd",
            "gopher://a/",
            "http://user:pw@a/",
            "nonsense",
        ] {
            assert!(check(url, false).is_err(), "{url}");
        }
        assert!(check("http://127.0.0.1:8080/", false).is_ok() && check("http://127.0.0.1:8080/", true).is_err());
        assert!(check("http://[::1]:8080/", true).is_err() && check("http://[::ffff:127.0.0.1]/", true).is_err());
    }

    #[test]
    fn services_are_recognised() {
        let service = check("http://tester.app.svc.cluster.local/gate", false).expect("a URL").service;
        assert_eq!(service, Some(("app".into(), "tester".into(), 80)));
        assert_eq!(check("http://Tester.App.SVC./", false).expect("a URL").service, Some(("app".into(), "tester".into(), 80)));
        assert_eq!(check("http://tester.app.svc:8080/", true).expect("a URL").service, None);
        assert_eq!(check("https://example.com/", false).expect("a URL").service, None);
    }

    #[test]
    fn bad_input_24_the_api_server_is_no_hook() {
        for host in [
            "kubernetes",
            "kubernetes.default",
            "Kubernetes.Default.",
            "kubernetes.default.svc",
            "KUBERNETES.default.SVC.cluster.local.",
            "10-0-0-1.kubernetes.default.svc.other.domain",
        ] {
            for in_cluster in [true, false] {
                let why = check(&format!("https://{host}/api"), in_cluster).expect_err(host);
                assert!(why.contains("API server"), "{why}");
            }
        }
        for host in ["kubernetes.io", "kubernetes.default.example.com", "my-kubernetes.default.svc", "kubernetes.app.svc"] {
            assert!(check(&format!("https://{host}/"), true).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_path_query_or_password() {
        for url in [
            "http://169.254.169.254/T0KEN?key=T0KEN",
            "https://kubernetes.default/T0KEN",
            "http://a:T0KEN@b/",
            "file:///T0KEN",
            "hooks.slack.com/services/T0KEN",
            "http://[T0KEN",
        ] {
            let why = check(url, true).expect_err(url);
            assert!(!why.contains("T0KEN"), "{why}");
        }
    }
}
