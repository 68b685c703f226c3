//! The fleet as the last session saw it, for the first frame of the next one.
//!
//! A file in the cache folder, for one kubeconfig and one fleet file. Only a console reads and writes it; whoever prints
//! and exits shows what is. It holds what the read model holds, which is no secret, without events and series. It is
//! replaced as a whole, at most once a minute and only when something has changed; a file that is broken, of another
//! version or of another fleet is as good as none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::view::{ContextView, DriverView, FleetView};
use crate::domain::revision::sha256_hex;

/// Of the form of the file.
const VERSION: u32 = 1;
/// More canaries are not remembered: reading them would keep the first frame waiting.
const MOST_CANARIES: usize = 4_000;
/// A larger file is not ours.
const LARGEST: u64 = 32 * 1024 * 1024;
pub(super) const EVERY: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
struct Read {
    version: u32,
    key: String,
    contexts: Vec<ContextView>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    key: &'a str,
    contexts: &'a [ContextView],
}

/// Where one fleet is remembered.
pub struct Memory {
    key: String,
    path: PathBuf,
    /// Sum of what the file says, dates aside.
    written: String,
}

impl Memory {
    /// The memory of the fleet that `key` names (its kubeconfig and fleet file), in the folder `cache`.
    #[must_use]
    pub fn new(cache: &Path, key: &str) -> Self {
        let key = sha256_hex(key.as_bytes());
        Self { path: cache.join("fleets").join(format!("{key}.json")), key, written: String::new() }
    }

    /// The rows by context, each dated; none where there is nothing to trust.
    #[must_use]
    pub fn read(&self) -> BTreeMap<String, Arc<ContextView>> {
        let small = std::fs::metadata(&self.path).is_ok_and(|data| data.is_file() && data.len() <= LARGEST);
        let read = small.then(|| std::fs::read(&self.path).ok()).flatten();
        let Some(read) = read.and_then(|bytes| serde_json::from_slice::<Read>(&bytes).ok()) else { return BTreeMap::new() };
        if read.version != VERSION || read.key != self.key {
            return BTreeMap::new();
        }
        read.contexts.into_iter().map(|context| (context.name.clone(), Arc::new(context))).collect()
    }

    /// Writes `fleet` unless the file says the same; `at_the_end` also when only dates differ.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, fleet: &FleetView, at_the_end: bool) -> std::io::Result<()> {
        let contexts = worth_keeping(fleet);
        if contexts.is_empty() {
            return Ok(());
        }
        let sum = sum(&contexts);
        if sum == self.written && !at_the_end {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&Written { version: VERSION, key: &self.key, contexts: &contexts })?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // It is made for its owner alone, and takes the old one's place at once.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        file.persist(&self.path).map_err(|error| error.error)?;
        self.written = sum;
        Ok(())
    }
}

/// The rows that have been seen, with what a first frame needs of them.
fn worth_keeping(fleet: &FleetView) -> Vec<ContextView> {
    let mut room = MOST_CANARIES;
    let mut kept = Vec::new();
    for context in fleet.each() {
        // What was remembered and never seen again stays as old as it is.
        let Some(at) = context.heard.or(context.remembered) else { continue };
        let mut context = context.clone();
        context.remembered = Some(at);
        context.canaries.truncate(room);
        room -= context.canaries.len();
        for canary in &mut context.canaries {
            (canary.events, canary.slo, canary.verdicts) = (Vec::new(), Vec::new(), Vec::new());
        }
        // These are of the process, not of the cluster.
        (context.problems, context.credential, context.driver) = (Vec::new(), None, DriverView::Unknown);
        context.permissions.clear();
        kept.push(context);
    }
    kept
}

fn sum(contexts: &[ContextView]) -> String {
    let undated: Vec<ContextView> = contexts
        .iter()
        .map(|context| {
            let mut context = context.clone();
            (context.heard, context.remembered) = (None, None);
            context.link = super::view::Link::Live;
            if let Some(sync) = &mut context.sync {
                sync.checked = None;
            }
            context
        })
        .collect();
    sha256_hex(&serde_json::to_vec(&undated).unwrap_or_default())
}
