//! What has a reference of its own: kustomize's bytes, the API server's apply, and the traces of a real Flagger.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kube::Client;

use crate::bed::{Bed, block};
use crate::program::Home;
use crate::support::{Guarded, free_port, seconds, until};

#[path = "../sync/apply_cases.rs"]
mod apply_cases;
#[path = "../kustomize/differential.rs"]
mod differential;

/// Of the scenarios in `tests/traces`.
const SCENARIOS: &str = "ab,bluegreen-istio,bluegreen-k8s,bluegreen-mirror,config-change,gates,no-data,progressive-fail,progressive-ok,restart-midway,skip-analysis,stepweights-promotion";

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

/// See `tests/traces`: time is left out, and whatever differs on purpose stands there with its reason.
#[test]
fn rollouts_take_the_course_that_flagger_takes() {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let bed = Bed::up("--clusters one:istio");
    let one = bed.cluster("one");
    let home = Home::new("traces", &bed.kubeconfig());
    home.expect(0, &["crds", "--install"]);
    let (metrics, hooks) = (free_port(), free_port());
    let daemon = home.daemon(&["--mesh", "istio", "--prometheus", &format!("http://127.0.0.1:{metrics}")]);
    let recorded = home.folder.path().join("recorded");
    let said = home.folder.path().join("recorder.log");
    let log = std::fs::File::create(&said).expect("a file");
    let recorder = Command::new("python3")
        .arg(traces.join("record.py"))
        .args([&one.kubeconfig, &traces.join("scenarios"), &recorded])
        .args(["--seconds", "240", "--only", SCENARIOS])
        .args(["--prom-port", &metrics.to_string(), "--hook-port", &hooks.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("python3 for the recorder");
    let mut recorder = Guarded(recorder);
    let code = until(seconds(500), "end of the recorder", || recorder.code());
    assert_eq!(code, 0, "the recorder: {}", std::fs::read_to_string(&said).unwrap_or_default());
    assert_eq!(daemon.stop(), 0);
    let compared = Command::new("python3")
        .arg(traces.join("compare.py"))
        .args([&traces.join("flagger-1.44.0"), &recorded])
        .arg(SCENARIOS)
        .arg("--intended")
        .arg(traces.join("intended.json"))
        .output()
        .expect("python3 for the comparison");
    let told = String::from_utf8_lossy(&compared.stdout).into_owned() + &String::from_utf8_lossy(&compared.stderr);
    println!("traces: {}", told.lines().last().unwrap_or_default());
    assert!(compared.status.success(), "{told}");
}
