//! Renders every folder of the corpus and compares the bytes with those of an installed kustomize.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use pilothouse::kustomize::{DiskFiles, Error, Files, RemoteBase, Remotes, Rendered, render};

/// Refuses every remote base.
pub struct NoRemotes;

impl Remotes for NoRemotes {
    fn open(&self, base: &RemoteBase) -> Result<Arc<dyn Files>, String> {
        Err(format!("{} is not mirrored; mirror it first", base.repository))
    }
}

/// The corpus: `cases` must equal the oracle's bytes, `failing` must be refused.
pub fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kustomize").join(kind)
}

/// Renders a case: its own folder, or `overlay` in it where it has no kustomization of its own.
pub fn render_case(case: &Path) -> Result<Rendered, Error> {
    render(Arc::new(DiskFiles::new(case.to_owned())), entry(case), &NoRemotes)
}

fn entry(case: &Path) -> &'static str {
    let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    if names.iter().any(|name| case.join(name).exists()) { "" } else { "overlay" }
}

/// How many cases there are, and a sentence for each that differs from what `oracle`, a kustomize
/// 5.8.1, prints.
pub fn corpus(oracle: &Path) -> (usize, Vec<String>) {
    let mut differences = Vec::new();
    let cases = cases("cases");
    for case in &cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = match Command::new(oracle).arg("build").arg(case.join(entry(case))).output() {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(output) => {
                differences.push(format!("{name}: the oracle fails: {}", String::from_utf8_lossy(&output.stderr)));
                continue;
            }
            Err(error) => {
                differences.push(format!("{name}: {}: {error}", oracle.display()));
                continue;
            }
        };
        match render_case(case) {
            Ok(rendered) if rendered.to_yaml() == wanted => {}
            Ok(rendered) => differences.push(format!("{name}: {}", first_difference(&rendered.to_yaml(), &wanted))),
            Err(error) => differences.push(format!("{name}: {error}")),
        }
    }
    (cases.len(), differences)
}

/// The case folders, sorted.
pub fn cases(kind: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder(kind))
        .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
        .unwrap_or_default();
    found.sort();
    found
}

fn first_difference(ours: &str, wanted: &str) -> String {
    let mut lines = ours.lines().zip(wanted.lines()).enumerate();
    match lines.find(|(_, (ours, wanted))| ours != wanted) {
        Some((at, (ours, wanted))) => format!("line {}: \"{ours}\" where kustomize has \"{wanted}\"", at + 1),
        None => format!("{} bytes where kustomize has {}", ours.len(), wanted.len()),
    }
}

/// What each failing case's message must name.
const NAMED: [(&str, &[&str]); 34] = [
    ("bad-literal", &["kustomization.yaml", "novalue"]),
    ("bad-separator", &["a.yaml", "--- text"]),
    ("component-as-resource", &["part/kustomization.yaml", "Component"]),
    ("cycle", &["b/kustomization.yaml", "cycle", "../a"]),
    ("cycle-parent", &["a/kustomization.yaml", "cycle", ".."]),
    ("duplicate-after-namespace", &["kustomization.yaml", "v1 ConfigMap a in namespace x"]),
    ("duplicate-key", &["a.yaml", "\"x\"", "twice"]),
    ("duplicate-object", &["b.yaml", "v1 ConfigMap a in namespace default", "twice"]),
    ("empty", &["kustomization.yaml", "empty"]),
    ("escape-absolute", &["kustomization.yaml", "/etc", "leaves"]),
    ("escape-file", &["kustomization.yaml", "../../../etc/hostname", "leaves"]),
    ("escape-folder", &["kustomization.yaml", "../../outside", "leaves"]),
    ("file-outside-folder", &["overlay/kustomization.yaml", "../a.yaml", "outside"]),
    ("generated-merge-into-nothing", &["kustomization.yaml", "v1 ConfigMap a"]),
    ("generated-number-key", &["kustomization.yaml", "\"123\""]),
    ("generated-twice", &["kustomization.yaml", "v1 ConfigMap a", "behavior"]),
    ("json-patch-of-nothing", &["kustomization.yaml", "v1 ConfigMap a", "remove /data/none"]),
    ("missing-file", &["kustomization.yaml", "missing.yaml"]),
    ("missing-kustomization", &["base", "kustomization.yaml"]),
    ("no-kind", &["a.yaml", "kind"]),
    ("no-name", &["a.yaml", "ConfigMap", "metadata.name"]),
    ("not-yaml", &["a.yaml"]),
    ("number-key", &["a.yaml", "key 1"]),
    ("patch-of-wrong-kind", &["kustomization.yaml", "ConfigMap a"]),
    ("patch-without-object", &["kustomization.yaml", "v1 ConfigMap b"]),
    ("remote", &["kustomization.yaml", "github.com/org/repo//path?ref=v1", "not mirrored"]),
    ("tag-as-number", &["kustomization.yaml", "1.1"]),
    ("two-kustomizations", &["kustomization.yaml", "kustomization.yml"]),
    ("unknown-field", &["kustomization.yaml", "resourses"]),
    ("unknown-nested-field", &["kustomization.yaml", "\"tag\""]),
    ("unsupported-helm-in-base", &["base/kustomization.yaml", "helmCharts"]),
    ("unsupported-http-file", &["kustomization.yaml", "https://example.com/org/repo/main/a.yaml"]),
    ("unsupported-replacements", &["kustomization.yaml", "replacements"]),
    ("wrong-kind", &["kustomization.yaml", "Kustomisation"]),
];

/// How many failing cases there are, and a sentence for each that renders, or whose message does
/// not name the cause.
pub fn failures() -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    let cases = cases("failing");
    for case in &cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((_, wanted)) = NAMED.iter().find(|(known, _)| *known == name) else {
            wrong.push(format!("{name}: nothing is known of its message"));
            continue;
        };
        match render_case(case) {
            Ok(_) => wrong.push(format!("{name}: it renders")),
            Err(error) => {
                let message = error.to_string();
                let unsupported = matches!(error, Error::Unsupported { .. });
                if !wanted.iter().all(|part| message.contains(part)) || unsupported != name.starts_with("unsupported-") {
                    wrong.push(format!("{name}: {message}"));
                }
            }
        }
    }
    if cases.len() != NAMED.len() {
        wrong.push(format!("{} failing cases, {} messages", cases.len(), NAMED.len()));
    }
    (cases.len(), wrong)
}

/// One tree for every remote base.
pub struct OneTree(pub PathBuf);

impl Remotes for OneTree {
    fn open(&self, _: &RemoteBase) -> Result<Arc<dyn Files>, String> {
        Ok(Arc::new(DiskFiles::new(self.0.clone())))
    }
}

/// A remote base renders as its folder does, and is reported.
pub fn remote_base() -> Result<(), String> {
    let tree = folder("cases").join("diamond");
    let far = folder("cases").join("nested-overlays");
    let here = std::env::temp_dir().join(format!("remote-base-{}", std::process::id()));
    std::fs::create_dir_all(&here).map_err(|error| error.to_string())?;
    let text = "resources: ['https://example.com/org/repo//overlay?ref=v1.2']\n";
    std::fs::write(here.join("kustomization.yaml"), text).map_err(|error| error.to_string())?;
    let ours = render(Arc::new(DiskFiles::new(here.clone())), "", &OneTree(far.clone()));
    let other = render(Arc::new(DiskFiles::new(here.clone())), "", &OneTree(tree));
    std::fs::remove_dir_all(&here).map_err(|error| error.to_string())?;
    let ours = ours.map_err(|error| error.to_string())?;
    let wanted = render_case(&far).map_err(|error| error.to_string())?;
    let met = RemoteBase {
        repository: "https://example.com/org/repo".to_owned(),
        path: "overlay".to_owned(),
        reference: Some("v1.2".to_owned()),
    };
    if ours.to_yaml() != wanted.to_yaml() || ours.remotes != [met] {
        return Err("a remote base renders to something else than its folder".to_owned());
    }
    match other {
        Ok(other) if other.to_yaml() != wanted.to_yaml() => Ok(()),
        _ => Err("two remote trees render to the same".to_owned()),
    }
}
