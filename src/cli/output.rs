//! The one place that prints.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::Failure;
use crate::domain::fleet::API_VERSION;

/// Form of a command's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Yaml,
}

/// Writes to stdout; a reader that went away is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Writes to stdout, and tells when nobody reads it any more.
pub fn append(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line to stderr.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints `body` under `kind` as JSON or YAML, or `table` where a table is asked for.
pub fn show(format: Format, kind: &str, body: &impl Serialize, table: impl FnOnce() -> String) -> Result<(), Failure> {
    let mut value = serde_json::to_value(body).map_err(Failure::failed)?;
    if !value.is_object() {
        value = json!({"items": value});
    }
    if let Value::Object(map) = &mut value {
        map.insert("apiVersion".into(), json!(API_VERSION));
        map.insert("kind".into(), json!(kind));
    }
    match format {
        Format::Table => print(&table()),
        Format::Json => print(&(serde_json::to_string_pretty(&value).map_err(Failure::failed)? + "\n")),
        Format::Yaml => print(&serde_yaml::to_string(&value).map_err(Failure::failed)?),
    }
    Ok(())
}

/// Columns as wide as their widest cell, two spaces apart.
pub fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let mut out = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            out.push_str(cell);
            out.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        out.trim_end().to_owned() + "\n"
    };
    let mut out = line(header.to_vec());
    for row in rows {
        out.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    out
}
