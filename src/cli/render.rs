//! Rendering a kustomization to stdout.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Outcome, output};
use crate::git::MirrorRemotes;
use crate::kustomize::{self, DiskFiles, Remotes};

const TRANSFER: Duration = Duration::from_mins(1);

pub(super) async fn render(path: &str) -> Outcome {
    let path = path.to_owned();
    let text = tokio::task::spawn_blocking(move || rendered(&path)).await.map_err(Failure::failed)??;
    output::print(&text);
    Ok(0)
}

fn rendered(path: &str) -> Result<String, Failure> {
    let remotes = MirrorRemotes::new(crate::config::cache_folder(), TRANSFER);
    if let Some(base) = kustomize::parse_remote(path).filter(|_| !Path::new(path).exists()) {
        let tree = remotes.open(&base).map_err(Failure::failed)?;
        return kustomize::render(tree, &base.path, &remotes).map(|r| r.to_yaml()).map_err(Failure::failed);
    }
    let folder = std::fs::canonicalize(path).map_err(|e| Failure::failed(format!("{path}: {e}")))?;
    let root = boundary(&folder);
    let inside = folder.strip_prefix(&root).map_err(Failure::failed)?.to_string_lossy().into_owned();
    kustomize::render(Arc::new(DiskFiles::new(root)), &inside, &remotes).map(|r| r.to_yaml()).map_err(Failure::failed)
}

/// Nothing outside the git work tree is read; without one, nothing outside the folder's parent.
fn boundary(folder: &Path) -> PathBuf {
    let work_tree = folder.ancestors().find(|f| f.join(".git").exists());
    work_tree.or_else(|| folder.parent()).unwrap_or(folder).to_path_buf()
}
