//! The rooms that have a reference of their own: kustomize, and the API server's apply.

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
