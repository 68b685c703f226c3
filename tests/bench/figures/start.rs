//! From the start of the process: to its first frame, to its last row; and what any process costs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::KEYS;
use crate::fleets::{CANARIES, CLUSTERS, Double, Home, PATIENCE, all_there};
use crate::machine::binary;
use crate::present::page_costs;
use crate::support::seconds;
use crate::table::{By, Row};
use crate::terminal::{Terminal, USUAL};

const FRAMES: usize = 30;
const FLEETS: usize = 15;

/// A program of nothing, and an echo: how much of the other figures is the machine's.
pub fn floor() -> Vec<Row> {
    let home = Home::new(&[]);
    let shell =
        |script: &str| Terminal::start(Path::new("/bin/sh"), &["-c".into(), script.into()], &home.variables(), home.folder.path(), USUAL);
    let starts: Vec<Duration> =
        (0..FRAMES).map(|_| shell("printf ready; exec sleep 5").when(seconds(5), "a word", |frame| frame.contains("ready"))).collect();
    let mut echo = shell("stty raw -echo; printf ready; exec cat");
    echo.when(seconds(5), "a word", |frame| frame.contains("ready"));
    let mut random = fastrand::Rng::with_seed(1);
    let echoes: Vec<Duration> = (0..KEYS)
        .filter_map(|_| {
            echo.listen(Duration::from_micros(random.u64(5_000..20_000)));
            let at = echo.press("j");
            echo.answer(at, seconds(2), |_| true)
        })
        .collect();
    let (soon, late) = page_costs();
    let pages = Row::one("floor: a page touched again, ten seconds later", "µs", late)
        .note(format!("{soon:.2} µs a millisecond later; the difference is the machine's, and counts as time of whoever touches it"));
    vec![Row::times("floor: sh, start → byte", &starts), Row::times("floor: cat, key → echo", &echoes), pages]
}

pub fn first_frame() -> Vec<Row> {
    let double = Double::sixty();
    let kept = Home::new(&double.words);
    remember(&kept);
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for _ in 0..FRAMES {
        fresh.push(first(&mut Home::new(&double.words).console(USUAL)));
        again.push(first(&mut kept.console(USUAL)));
    }
    vec![
        Row::times("first frame, first start", &fresh).wanted(By::Median, 50.0),
        Row::times("first frame, fleet remembered", &again).wanted(By::Median, 50.0),
    ]
}

/// When the first frame came.
pub fn first(console: &mut Terminal) -> Duration {
    console.when(PATIENCE, "the first frame", |frame| frame.contains("PILOTHOUSE"))
}

/// Sees the whole fleet once, and leaves as an operator does.
fn remember(home: &Home) {
    let mut console = home.console(USUAL);
    console.when(PATIENCE, "the whole fleet", |frame| all_there(frame, CLUSTERS, CLUSTERS * CANARIES));
    console.press("q");
    assert!(console.ends(seconds(15)), "q does not end the console");
}

pub fn last_row() -> Vec<Row> {
    let double = Double::sixty();
    let mut taken = Vec::new();
    for _ in 0..FLEETS {
        let home = Home::new(&double.words);
        taken.push(home.console(USUAL).when(PATIENCE, "the whole fleet", |frame| all_there(frame, CLUSTERS, CLUSTERS * CANARIES)));
    }
    vec![
        Row::times("60 × 50: start → last row", &taken)
            .wanted(By::Median, 1000.0)
            .note("60 contexts live and 3,000 canaries counted; the double that serves them has the same cores"),
    ]
}

/// Of the binary that is measured, and of the one that is published where it lies beside it.
#[expect(clippy::cast_precision_loss, reason = "sizes of programs")]
pub fn size() -> Vec<Row> {
    let mib = |path: &Path| fs::metadata(path).map(|data| data.len() as f64 / 1_048_576.0);
    let mut rows = vec![match mib(&binary()) {
        Ok(size) => Row::one("binary as measured", "MiB", size),
        Err(error) => Row::missing("binary as measured", &error.to_string()),
    }];
    let dist = binary().parent().and_then(Path::parent).map(|target| target.join("dist/pilothouse"));
    // It takes ten minutes to build, and is measured only where somebody has.
    if let Some(Ok(size)) = dist.as_deref().map(mib) {
        rows.push(Row::one("binary, profile dist", "MiB", size).wanted(By::Max, 20.0));
    }
    rows
}
