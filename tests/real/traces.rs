//! The facts of a real Flagger's rollouts, compared with ours: see `tests/traces`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::bed::Bed;
use crate::program::Home;
use crate::support::{Guarded, free_port, seconds, until};

const SCENARIOS: &str = "progressive-ok,progressive-fail,config-change,bluegreen-k8s";

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
