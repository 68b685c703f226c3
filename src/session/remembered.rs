//! The fleet as the last session saw it, for the first frame of the next one.
//!
//! A file in the cache folder, for one kubeconfig and one fleet file: a line of JSON that says of what it is, then one for
//! each row and for each canary, so that neither writing nor reading holds more than one of them. Only a console reads and
//! writes it; whoever prints and exits shows what is. It holds what the read model holds, which is no secret, without
//! events and series. It is replaced as a whole, at most once a minute and only when something has changed; a file that is
//! broken, of another version or of another fleet is as good as none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::canaries::Canaries;
use super::view::{CanaryView, ContextView, DriverView, FleetView, Link};
use crate::domain::revision::sha256_hex;
use crate::domain::text::{clean_all, is_plain};

/// Of the form of the file.
const VERSION: u32 = 2;
/// More canaries are not remembered: reading them would keep the first frame waiting.
const MOST_CANARIES: usize = 4_000;
/// A larger file is not ours.
const LARGEST: u64 = 32 * 1024 * 1024;
pub(super) const EVERY: Duration = Duration::from_mins(1);

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    key: String,
    /// Lines that follow.
    lines: usize,
}

/// Any other line.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Read {
    Context(Box<ContextView>),
    /// One of the row before it.
    Canary(Box<CanaryView>),
}

/// The same on its way into the file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Line<'a> {
    Context(&'a ContextView),
    Canary(&'a CanaryView),
}

/// Where one fleet is remembered.
pub struct Memory {
    key: String,
    path: PathBuf,
    /// Sum of what the file says, dates aside.
    written: Option<Total>,
    /// The canaries of each row when they were summed up last: most of them stay the same from one minute to the next.
    summed: BTreeMap<String, (Canaries, Total)>,
}

/// A SHA-256 sum.
type Total = [u8; 32];

impl Memory {
    /// The memory of the fleet that `key` names (its kubeconfig and fleet file), in the folder `cache`.
    #[must_use]
    pub fn new(cache: &Path, key: &str) -> Self {
        let key = sha256_hex(key.as_bytes());
        Self { path: cache.join("fleets").join(format!("{key}.json")), key, written: None, summed: BTreeMap::new() }
    }

    /// The rows by context, each dated; none where there is nothing to trust.
    #[must_use]
    pub fn read(&self) -> BTreeMap<String, Arc<ContextView>> {
        let small = std::fs::metadata(&self.path).is_ok_and(|data| data.is_file() && data.len() <= LARGEST);
        small.then(|| self.rows()).flatten().unwrap_or_default()
    }

    fn rows(&self) -> Option<BTreeMap<String, Arc<ContextView>>> {
        let mut lines = BufReader::new(File::open(&self.path).ok()?).lines();
        let head: Head = serde_json::from_str(&lines.next()?.ok()?).ok()?;
        if head.version != VERSION || head.key != self.key {
            return None;
        }
        let (mut rows, mut last) = (BTreeMap::new(), None::<ContextView>);
        let mut keep = |row: Option<ContextView>| row.and_then(|row| rows.insert(row.name.clone(), Arc::new(row)));
        let mut count = 0;
        for line in lines {
            count += 1;
            match read(&line.ok()?)? {
                Read::Context(row) => drop(keep(last.replace(*row))),
                Read::Canary(canary) => last.as_mut()?.canaries.push(*canary),
            }
        }
        keep(last);
        (count == head.lines).then_some(rows)
    }

    /// The sum of what the file is to say of `fleet`, dates aside, and its lines.
    fn sum(&mut self, fleet: &FleetView) -> io::Result<(Total, usize)> {
        let (mut whole, mut lines, mut summed) = (Sum(Sha256::new()), 0, BTreeMap::new());
        for (row, canaries) in rows(fleet, false) {
            lines += 1 + canaries.len();
            serde_json::to_writer(&mut whole, &Line::Context(&row))?;
            let known = self.summed.remove(&row.name).filter(|(known, _)| known.are_those_of(&canaries));
            let sum = if let Some((_, sum)) = known {
                sum
            } else {
                let mut sum = Sum(Sha256::new());
                for canary in &canaries {
                    serde_json::to_writer(&mut sum, &Line::Canary(&lean(canary)))?;
                }
                sum.0.finalize().into()
            };
            whole.0.update(sum);
            summed.insert(row.name, (canaries, sum));
        }
        self.summed = summed;
        Ok((whole.0.finalize().into(), lines))
    }

    /// Writes `fleet` unless the file says the same; `at_the_end` also when only dates differ.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, fleet: &FleetView, at_the_end: bool) -> io::Result<()> {
        let (sum, lines) = self.sum(fleet)?;
        if lines == 0 || (self.written == Some(sum) && !at_the_end) {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // It is made for its owner alone, and takes the old one's place at once.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let mut out = BufWriter::new(file.as_file_mut());
        serde_json::to_writer(&mut out, &Head { version: VERSION, key: self.key.clone(), lines })?;
        for (row, canaries) in rows(fleet, true) {
            out.write_all(b"\n")?;
            serde_json::to_writer(&mut out, &Line::Context(&row))?;
            for canary in &canaries {
                out.write_all(b"\n")?;
                serde_json::to_writer(&mut out, &Line::Canary(&lean(canary)))?;
            }
        }
        out.flush()?;
        drop(out);
        file.persist(&self.path).map_err(|error| error.error)?;
        self.written = Some(sum);
        Ok(())
    }
}

/// A line of the file, which is ours and may have been written by anybody.
fn read(line: &str) -> Option<Read> {
    if is_plain(line) {
        return serde_json::from_str(line).ok();
    }
    let mut value = serde_json::from_str(line).ok()?;
    clean_all(&mut value);
    serde_json::from_value(value).ok()
}

/// The rows that have been seen, each beside its canaries, and of both what a first frame needs; `dated` or not.
fn rows(fleet: &FleetView, dated: bool) -> impl Iterator<Item = (ContextView, Canaries)> {
    let mut room = MOST_CANARIES;
    fleet.each().filter_map(move |context| {
        // What was remembered and never seen again stays as old as it is.
        let at = context.heard.or(context.remembered)?;
        let mut row = context.clone();
        row.remembered = Some(at);
        let mut canaries = std::mem::take(&mut row.canaries);
        canaries.truncate(room);
        room -= canaries.len();
        // These are of the process, not of the cluster.
        (row.problems, row.credential, row.driver) = (Vec::new(), None, DriverView::Unknown);
        row.permissions.clear();
        if !dated {
            (row.heard, row.remembered, row.link) = (None, None, Link::Live);
            if let Some(sync) = &mut row.sync {
                sync.checked = None;
            }
        }
        Some((row, canaries))
    })
}

fn lean(canary: &CanaryView) -> CanaryView {
    CanaryView { events: Vec::new(), slo: Vec::new(), verdicts: Vec::new(), ..canary.clone() }
}

/// Sums up what is written to it.
struct Sum(Sha256);

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
