//! The rooms that have a reference of their own: kustomize, and the API server's apply.

use std::path::{Path, PathBuf};
use std::process::Command;

use kube::Client;

use crate::bed::{Bed, block};

#[path = "../sync/apply_cases.rs"]
mod apply_cases;
#[path = "../kustomize/differential.rs"]
mod differential;

#[test]
fn the_sync_applies_prunes_and_remembers_on_a_real_api_server() {
    let bed = Bed::up("--clusters one:kubernetes");
    let client: Client = bed.cluster("one").client;
    let all = block(apply_cases::all(client));
    let failed: Vec<String> = all.into_iter().filter_map(|(what, case)| case.err().map(|why| format!("{what}: {why}"))).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The kustomize of the test bed, whose version is the reference.
fn oracle() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/build.sh");
    let built = Command::new("sh").arg(script).output().expect("sh");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let folder = String::from_utf8_lossy(&built.stdout).trim().lines().last().map(PathBuf::from);
    folder.expect("a folder").join("kustomize")
}

#[test]
fn every_folder_of_the_corpus_renders_as_kustomize_prints_it() {
    let (count, differences) = differential::corpus(&oracle());
    println!("kustomize: {count} cases, {} differ", differences.len());
    assert!(count > 0 && differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_mistake_of_the_corpus_is_refused_by_its_cause() {
    let (count, wrong) = differential::failures();
    assert!(count > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_remote_base_renders_as_its_folder() {
    differential::remote_base().expect("the same bytes");
}
