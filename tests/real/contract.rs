//! The contract of the simulated API server, put to a real one: what is on record is still what a real server answers.

use crate::bed::Bed;
use crate::contract_list::{differences, plan, real::Real, transcript};

#[test]
fn the_record_is_what_a_real_server_answers() {
    let read = |name: &str| std::fs::read_to_string(format!("{}/tests/contract/{name}", env!("CARGO_MANIFEST_DIR"))).expect(name);
    let operations = plan::operations(&read("operations.json"));
    let recorded: Vec<serde_json::Value> = serde_json::from_str(&read("answers.json")).expect("a list");
    let bed = Bed::up("--clusters one:kubernetes");
    let answers = transcript(&mut Real::new(bed.facts(), "one"), &operations);
    let report = differences(&recorded, &answers, 5);
    assert!(report.is_empty(), "{report}");
    println!("contract: {} operations, a real API server answers what is on record", operations.len());
}
