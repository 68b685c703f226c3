//! Where a webhook may go. Cloud metadata and link-local addresses are always refused, loopback only
//! inside a cluster, where it would be the engine's own pod (the class of SSRF in Argo Rollouts #4707).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A URL that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub url: reqwest::Url,
    /// `NAMESPACE/NAME:PORT` of a Service, to be reached through the API server from outside the cluster.
    pub service: Option<(String, String, u16)>,
}

/// # Errors
/// A sentence that says what is refused.
pub fn check(text: &str, in_cluster: bool) -> Result<Checked, String> {
    let shown = crate::domain::text::clean(text);
    let url = reqwest::Url::parse(text).map_err(|e| format!("{shown} is not a URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{shown}: scheme {} is refused, only http and https are called", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user or password in it is refused".into());
    }
    let Some(host) = url.host_str().map(str::to_owned) else { return Err(format!("{shown} has no host")) };
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if let Some(address) = literal {
        allowed(address, in_cluster).map_err(|why| format!("{shown}: {why}"))?;
    }
    let service =
        service_of(&host).filter(|_| !in_cluster).map(|(namespace, name)| (namespace, name, url.port_or_known_default().unwrap_or(80)));
    Ok(Checked { url, service })
}

/// `NAME.NAMESPACE.svc[.cluster.local]`, or `NAME.NAMESPACE` of one label each.
fn service_of(host: &str) -> Option<(String, String)> {
    let host = host.trim_end_matches('.');
    let stem = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc"))?;
    let (name, namespace) = stem.split_once('.')?;
    (!namespace.contains('.')).then(|| (namespace.to_owned(), name.to_owned()))
}

/// # Errors
/// Why the address is refused. Names are checked again with what they resolve to.
pub fn allowed(address: IpAddr, in_cluster: bool) -> Result<(), String> {
    let address = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    };
    let metadata = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast() || v4 == Ipv4Addr::new(100, 100, 100, 200),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unspecified() || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    };
    if metadata {
        return Err(format!("{address} is a metadata, link-local or unspecified address and is refused"));
    }
    if address.is_loopback() && in_cluster {
        return Err(format!("{address} is loopback, which inside a cluster is the engine itself"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_the_metadata_server_are_closed() {
        for url in [
            "http://169.254.169.254/latest",
            "http://[::ffff:169.254.169.254]/",
            "http://2852039166/",
            "http://0xA9FEA9FE/",
            "http://0251.0376.0251.0376/",
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
        assert!(check("http://[::1]:8080/", true).is_err());
    }

    #[test]
    fn services_are_recognised() {
        let service = check("http://tester.app.svc.cluster.local/gate", false).expect("a URL").service;
        assert_eq!(service, Some(("app".into(), "tester".into(), 80)));
        assert_eq!(check("http://tester.app.svc:8080/", true).expect("a URL").service, None);
        assert_eq!(check("https://example.com/", false).expect("a URL").service, None);
    }
}
