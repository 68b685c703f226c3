//! Remote bases for the renderer, out of mirrors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{GitError, Mirror};
use crate::kustomize::{Files, RemoteBase, Remotes};

/// Opens remote bases from the mirrors in a cache folder.
///
/// Make one for each rendering: a repository is fetched at most once by it, so that all bases of one
/// rendering are of one moment. Tags and commits that the mirror knows cost no fetch at all.
#[derive(Debug)]
pub struct MirrorRemotes {
    cache: PathBuf,
    deadline: Duration,
    fetched: Mutex<BTreeSet<String>>,
    opened: Mutex<BTreeMap<(String, String), Arc<super::GitTree>>>,
}

impl MirrorRemotes {
    /// Mirrors in `cache`; each fetch may last for `deadline`.
    #[must_use]
    pub const fn new(cache: PathBuf, deadline: Duration) -> Self {
        Self { cache, deadline, fetched: Mutex::new(BTreeSet::new()), opened: Mutex::new(BTreeMap::new()) }
    }

    fn tree(&self, base: &RemoteBase) -> Result<Arc<super::GitTree>, GitError> {
        let reference = base.reference.as_deref().unwrap_or("HEAD");
        let mirror = Mirror::open(&self.cache, &base.repository)?;
        let key = (mirror.address().as_str().to_owned(), reference.to_owned());
        if let Some(tree) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(tree));
        }
        let mut found = mirror.find(reference)?;
        if !found.is_some_and(|found| found.kind.is_fixed()) {
            self.fetch(&mirror)?;
            found = mirror.find(reference)?;
        }
        let Some(found) = found else { return Err(mirror.no_such_ref(reference)?) };
        let tree = Arc::new(mirror.tree(found.commit)?);
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&tree));
        Ok(tree)
    }

    fn fetch(&self, mirror: &Mirror) -> Result<(), GitError> {
        // Held while fetching: a second thread that wants the same repository wants the same moment of it.
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if !fetched.contains(mirror.address().as_str()) {
            mirror.fetch(self.deadline)?;
            fetched.insert(mirror.address().as_str().to_owned());
        }
        Ok(())
    }
}

impl Remotes for MirrorRemotes {
    fn open(&self, base: &RemoteBase) -> Result<Arc<dyn Files>, String> {
        match self.tree(base) {
            Ok(tree) => Ok(tree),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::scratch::{Folder, Origin};

    fn base(origin: &Origin, reference: Option<&str>) -> RemoteBase {
        RemoteBase { repository: origin.url(), path: String::new(), reference: reference.map(str::to_owned) }
    }

    #[test]
    fn fixed_pins_cost_no_fetch_and_branches_are_followed() {
        let folder = Folder::new();
        let origin = Origin::new(&folder, "app");
        let first = origin.commit("a.txt", "one");
        origin.git(&["tag", "1.0.0"]);
        let remotes = || MirrorRemotes::new(folder.path().join("cache"), Duration::from_secs(20));
        let read =
            |remotes: &MirrorRemotes, reference| remotes.open(&base(&origin, reference)).map(|tree| tree.read("a.txt").expect("there"));
        let early = remotes();
        assert_eq!(read(&early, Some("main")).expect("opened"), b"one");
        origin.commit("a.txt", "two");
        assert_eq!(read(&early, Some("main")).expect("opened"), b"one", "one rendering sees one moment");
        assert_eq!(read(&early, None).expect("opened"), b"one");
        for moving in [Some("main"), None, Some("HEAD")] {
            assert_eq!(read(&remotes(), moving).expect("opened"), b"two");
        }
        let error = read(&remotes(), Some("1.0.1")).expect_err("no such tag");
        assert!(error.contains("app.git") && error.contains("`1.0.1`") && error.contains("1.0.0"), "{error}");
        origin.remove();
        assert_eq!(read(&remotes(), Some("1.0.0")).expect("no fetch"), b"one");
        assert_eq!(read(&remotes(), Some(&first)).expect("no fetch"), b"one");
        assert!(read(&remotes(), Some("main")).expect_err("gone").contains("cannot fetch from"));
        for trick in ["--upload-pack=touch x", "-x", "a b"] {
            assert!(read(&remotes(), Some(trick)).expect_err(trick).contains("cannot be a ref"));
        }
        let helper = RemoteBase { repository: "ext::sh -c id".into(), path: String::new(), reference: None };
        assert!(remotes().open(&helper).err().is_some_and(|error| error.contains("not a repository")));
    }
}
