//! The kubeconfig's files: read together, told apart by cluster, and read again when they change.
//!
//! Two contexts are one row when they lead to one cluster: server address, authority, TLS name and proxy are equal. Of
//! the contexts of one cluster the current one is used, else the first; the others are its aliases. A reading that does
//! not parse, or that has lost what its contexts name, is half a file: the last good one stays.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kube::config::{AuthInfo, Cluster, Kubeconfig, NamedContext};

use super::contexts::ContextError;
use super::error::chain;
use crate::domain::revision::sha256_hex;
use crate::domain::text::clean;

/// Between two looks at the files.
pub(super) const LOOK: Duration = Duration::from_secs(2);
/// A file that is being written is not read: it must have stood still for so long.
pub(super) const STILL: Duration = Duration::from_millis(250);

/// The files of a kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files(pub Vec<PathBuf>);

/// How a file looked from outside; `None` for one that is not there.
pub(super) type Stamp = Option<(SystemTime, u64)>;

impl Files {
    /// `path`, else those of `KUBECONFIG`, else the one in the home folder.
    pub fn find(path: Option<&Path>) -> Self {
        if let Some(path) = path {
            return Self(vec![path.to_path_buf()]);
        }
        let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let listed: Vec<PathBuf> = std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
        if !listed.is_empty() {
            return Self(listed);
        }
        let home = directories::BaseDirs::new().map_or_else(|| PathBuf::from("~"), |folders| folders.home_dir().to_path_buf());
        Self(vec![home.join(".kube/config")])
    }

    /// All files as one kubeconfig; of equal names the first file's counts.
    ///
    /// # Errors
    /// [`ContextError::Unreadable`] names the file and the place in it; [`ContextError::Empty`].
    pub fn read(&self) -> Result<Kubeconfig, ContextError> {
        let unreadable = |path: &Path, cause: &dyn std::error::Error| ContextError::Unreadable {
            path: path.display().to_string(),
            cause: clean(&chain(cause)),
        };
        let mut whole = Kubeconfig::default();
        for path in &self.0 {
            let next = Kubeconfig::read_from(path).map_err(|e| unreadable(path, &e))?;
            whole = whole.merge(next).map_err(|e| unreadable(path, &e))?;
        }
        if whole.contexts.is_empty() { Err(ContextError::Empty) } else { Ok(whole) }
    }

    pub async fn stamps(&self) -> Vec<Stamp> {
        let mut stamps = Vec::new();
        for path in &self.0 {
            let found = tokio::fs::metadata(path).await.ok();
            stamps.push(found.map(|data| (data.modified().unwrap_or(SystemTime::UNIX_EPOCH), data.len())));
        }
        stamps
    }

    /// What a reading is known by.
    pub fn key(&self) -> String {
        self.0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
    }
}

/// What one context says: its cluster, its user, and how both are known.
pub(super) struct Meaning {
    pub cluster: Cluster,
    pub auth: AuthInfo,
    /// The name of the user entry.
    pub user: String,
    /// Equal for contexts that lead to one cluster.
    pub place: String,
    /// Equal for contexts that lead there as the same user.
    pub identity: String,
}

/// The meaning of `name`; `None` where it names a cluster that is not there.
pub(super) fn meaning(kubeconfig: &Kubeconfig, name: &str) -> Option<Meaning> {
    let context = kubeconfig.contexts.iter().find(|c| c.name == name)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|c| c.name == context.cluster)?.cluster.clone()?;
    let user = context.user.clone().unwrap_or_default();
    let auth = kubeconfig.auth_infos.iter().find(|a| a.name == user).and_then(|a| a.auth_info.clone()).unwrap_or_default();
    let server = cluster.server.as_deref().map(address).unwrap_or_default();
    let place = sha256_hex(
        serde_json::json!([
            server,
            cluster.certificate_authority,
            cluster.certificate_authority_data,
            cluster.insecure_skip_tls_verify.unwrap_or_default(),
            cluster.tls_server_name,
            cluster.proxy_url
        ])
        .to_string()
        .as_bytes(),
    );
    let identity = sha256_hex(serde_json::json!([place, serde_json::to_value(&auth).unwrap_or_default()]).to_string().as_bytes());
    Some(Meaning { cluster, auth, user, place, identity })
}

/// `server` in the one form of all its spellings.
fn address(server: &str) -> String {
    match url::Url::parse(server) {
        // It writes the host in lower case and leaves out the scheme's own port.
        Ok(url) => url.as_str().trim_end_matches('/').to_owned(),
        Err(_) => server.to_owned(),
    }
}

/// `name` alone, so that no client carries the credentials of others.
pub(super) fn alone(kubeconfig: &Kubeconfig, name: &str) -> Kubeconfig {
    let context: Option<&NamedContext> = kubeconfig.contexts.iter().find(|c| c.name == name);
    let (cluster, user) =
        context.and_then(|c| c.context.as_ref()).map(|c| (c.cluster.clone(), c.user.clone().unwrap_or_default())).unwrap_or_default();
    Kubeconfig {
        contexts: context.cloned().into_iter().collect(),
        clusters: kubeconfig.clusters.iter().find(|c| c.name == cluster).cloned().into_iter().collect(),
        auth_infos: kubeconfig.auth_infos.iter().find(|a| a.name == user).cloned().into_iter().collect(),
        ..Kubeconfig::default()
    }
}

/// Why `next`, read after `known`, is taken for half a file.
pub(super) fn half_written(known: &Kubeconfig, next: &Kubeconfig) -> Option<String> {
    if known.kind.is_some() && next.kind.is_none() {
        return Some("its kind is gone".into());
    }
    let dangling = |kubeconfig: &Kubeconfig| -> Vec<String> {
        let has_user = |user: &str| kubeconfig.auth_infos.iter().any(|a| a.name == user);
        let lost = |c: &&NamedContext| {
            c.context.as_ref().is_none_or(|context| {
                !kubeconfig.clusters.iter().any(|cluster| cluster.name == context.cluster)
                    || context.user.as_deref().is_some_and(|user| !user.is_empty() && !has_user(user))
            })
        };
        kubeconfig.contexts.iter().filter(lost).map(|c| c.name.clone()).collect()
    };
    let before = dangling(known);
    let lost = dangling(next).into_iter().find(|name| !before.contains(name))?;
    Some(format!("context {} names a cluster or a user that is gone", clean(&lost)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::contexts::Contexts;

    /// Contexts as `NAME CLUSTER USER NAMESPACE`, clusters as `NAME SERVER`.
    fn kubeconfig(current: &str, clusters: &[&str], contexts: &[&str]) -> String {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let clusters: Vec<_> = clusters.iter().map(|c| words(c)).collect();
        let contexts: Vec<_> = contexts.iter().map(|c| words(c)).collect();
        let users: std::collections::BTreeSet<&String> = contexts.iter().map(|c| &c[2]).collect();
        serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": current,
            "clusters": clusters.iter().map(|c| serde_json::json!({"name": c[0], "cluster": {"server": c[1]}})).collect::<Vec<_>>(),
            "users": users.iter().map(|u| serde_json::json!({"name": u, "user": {"token": u}})).collect::<Vec<_>>(),
            "contexts": contexts.iter().map(|c| serde_json::json!({"name": c[0],
                "context": {"cluster": c[1], "user": c[2], "namespace": c[3]}})).collect::<Vec<_>>()})
        .to_string()
    }

    fn rows(text: &str, wanted: &[&str]) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("it is written");
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let rows = Contexts::read(Some(file.path())).expect("it is read").rows(&wanted);
        rows.into_iter().map(|row| format!("{}={}", row.name, row.aliases.join(","))).collect()
    }

    const CLUSTERS: [&str; 4] =
        ["one https://a.example", "same https://A.example:443/", "two https://b.example", "path https://a.example/k8s/2"];

    #[test]
    fn contexts_of_one_cluster_are_one_row() {
        let contexts = ["dev one dan app", "ops same olga kube-system", "dev2 one dan web", "far two dan app", "sub path dan app"];
        let file = |current: &str| kubeconfig(current, &CLUSTERS, &contexts);
        assert_eq!(rows(&file(""), &[]), ["dev=ops,dev2", "far=", "sub="]);
        assert_eq!(rows(&file("ops"), &[]), ["ops=dev,dev2", "far=", "sub="]);
        // Who names a context gets it, and not another user of the cluster.
        assert_eq!(rows(&file("ops"), &["dev2"]), ["dev2=dev"]);
        assert_eq!(rows(&file(""), &["ops"]), ["ops="]);
        assert_eq!(rows(&file(""), &["far", "ops", "dev"]), ["far=", "ops=dev"]);
        assert_eq!(rows(&file(""), &["nowhere", "far"]), ["nowhere=", "far="]);
    }

    #[test]
    fn half_a_file_is_told_from_a_shorter_one() {
        let read = |text: &str| Kubeconfig::from_yaml(text).expect("it parses");
        let known = read(&kubeconfig("", &CLUSTERS, &["a one dan app", "b two olga app"]));
        assert_eq!(half_written(&known, &read(&kubeconfig("", &CLUSTERS, &["b two olga app"]))), None);
        assert_eq!(half_written(&known, &read(&kubeconfig("", &CLUSTERS, &["c two new app"]))), None);
        let cut = half_written(&known, &read(&kubeconfig("", &CLUSTERS[..1], &["a one dan app", "b two olga app"])));
        assert!(cut.is_some_and(|why| why.contains("context b")));
        let text = "apiVersion: v1\nclusters:\n- name: one\n  cluster: {server: https://a.example}\n";
        assert!(half_written(&known, &read(text)).is_some_and(|why| why.contains("kind")));
        // What was broken before is no news.
        let broken = read(&kubeconfig("", &CLUSTERS[..1], &["a one dan app", "b two olga app"]));
        assert_eq!(half_written(&broken, &broken), None);
    }
}
