//! `pilothouse replay`: a recording of a console, played or as one frame.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Global, Outcome, console, output};
use crate::ui::replay::Recording;
use crate::ui::{self, picture, text};

#[derive(Args, Debug, Clone)]
pub(super) struct Replay {
    /// The recording that `pilothouse --record FILE` made
    file: PathBuf,
    /// So many times as fast as life
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Begin at this time: 12:04:31 (UTC), 90s after the start, or a whole timestamp
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Print the frame of that time, else the last one, as text
    #[arg(long)]
    snapshot: bool,
    /// Write the frame of that time, else the last one, as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write all of it as an asciicast
    #[arg(long, value_name = "FILE")]
    cast: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|n: &f64| (0.01..=1000.0).contains(n)).ok_or_else(|| "write a number from 0.01 to 1000".into())
}

pub(super) async fn run(global: &Global, replay: &Replay) -> Outcome {
    let name = replay.file.display();
    let file = File::open(&replay.file).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let recording = Recording::read(BufReader::new(file)).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let options = console::options(global)?;
    let at = replay.at.as_deref().map(|text| recording.time(text)).transpose().map_err(Failure::usage)?;
    let last = at.unwrap_or_else(|| recording.end());
    let mut shown = false;
    if let Some(path) = &replay.cast {
        let mut out = BufWriter::new(made(path)?);
        recording.cast(&mut out, replay.speed, options.clone()).map_err(Failure::failed)?;
        out.flush().map_err(Failure::failed)?;
        shown = true;
    }
    if let Some(path) = &replay.svg {
        let frame = recording.frame(last, options.clone());
        made(path)?.write_all(picture::svg(&frame, "Pilothouse").as_bytes()).map_err(Failure::failed)?;
        shown = true;
    }
    if replay.snapshot {
        output::print(&text(&recording.frame(last, options.clone())));
        shown = true;
    }
    if shown {
        if let Some(flaw) = &recording.flaw {
            output::complain(&format!("pilothouse: {name}: {flaw}; played as far as it goes"));
        }
        return Ok(0);
    }
    console::needs_terminal()?;
    ui::play(&recording, at.unwrap_or_else(|| recording.start()), replay.speed, options).await.map(|_| 0).map_err(Failure::failed)
}

/// A file to write to, or why not.
pub(super) fn made(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}
