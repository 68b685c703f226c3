//! The clusters that are looked at: the double behind TLS in a process of its own, the test bed, and contexts that do not answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::bed::{Bed, Cluster, block};
use crate::machine::binary;
use crate::support::{Folder, Guarded, free_port, seconds};
use crate::terminal::Terminal;

/// Clusters of the fleet, and canaries of each.
pub const CLUSTERS: usize = 60;
pub const CANARIES: usize = 50;
/// Canaries of the one large cluster.
pub const MANY: usize = 2_000;
/// What the canaries of the bed are called; nothing else on a screen has it.
pub const NAMED: &str = "bench-";

/// Where one person works, with a cache that is empty at first.
pub struct Home {
    pub folder: Folder,
    words: Vec<String>,
}

impl Home {
    pub fn new(words: &[String]) -> Self {
        Self { folder: Folder::new("bench"), words: words.to_vec() }
    }

    pub fn variables(&self) -> Vec<(String, String)> {
        let inside = |name: &str| self.folder.path().join(name).display().to_string();
        let mut all: Vec<(String, String)> =
            ["STATE", "CACHE", "CONFIG", "DATA"].map(|name| (format!("XDG_{name}_HOME"), inside(&name.to_lowercase()))).into();
        all.push(("HOME".into(), inside("home")));
        all.push(("PATH".into(), std::env::var("PATH").unwrap_or_default()));
        all.extend([("LANG", "C.UTF-8"), ("TERM", "xterm-256color"), ("COLORTERM", "truecolor")].map(|(n, v)| (n.into(), v.into())));
        all
    }

    /// Starts the console here.
    pub fn console(&self, size: (u16, u16)) -> Terminal {
        Terminal::start(&binary(), &self.words, &self.variables(), self.folder.path(), size)
    }
}

/// Clusters of the double, served by a process of their own.
pub struct Double {
    /// Kubeconfig and fleet file.
    pub words: Vec<String>,
    folder: Folder,
    _server: Guarded,
}

impl Double {
    /// So many clusters with so many canaries each, of which so many objects change every second.
    pub fn serve(clusters: usize, canaries: usize, storm: Option<u32>) -> Self {
        let (folder, home) = (Folder::new("double"), Home::new(&[]));
        let mut command = Command::new(binary());
        command.env_clear().envs(home.variables()).arg("demo").arg("--serve").arg(folder.path());
        command.args(["--providers", &clusters.to_string(), "--canaries", &canaries.to_string()]);
        if let Some(rate) = storm {
            command.args(["--storm", &rate.to_string()]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program");
        let out = child.stdout.take().expect("a pipe");
        let server = Guarded(child);
        let (sender, told) = channel();
        // Ends with the server.
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(out).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = told.recv_timeout(seconds(120)).expect("the double comes up within two minutes");
        assert!(line.contains("--kubeconfig"), "the double did not come up: {line}");
        let words = line.split_whitespace().skip(1).map(String::from).collect();
        Self { words, folder, _server: server }
    }

    pub fn sixty() -> Self {
        Self::serve(CLUSTERS, CANARIES, None)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.words.iter().skip_while(|word| *word != "--kubeconfig").nth(1).expect("a kubeconfig").into()
    }

    /// Changes that all clusters together have seen.
    pub fn changes(&self) -> u64 {
        let config = Kubeconfig::read_from(self.kubeconfig()).expect("the kubeconfig of the double");
        let names: Vec<String> = config.contexts.iter().map(|context| context.name.clone()).collect();
        let version = |name: &String| {
            let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
            block(async {
                let config = kube::Config::from_custom_kubeconfig(config.clone(), &options).await.expect("a configuration");
                let request = http::Request::get("/apis/flagger.app/v1beta1/canaries?limit=1").body(Vec::new()).expect("a request");
                let list: Value = kube::Client::try_from(config).expect("a client").request(request).await.expect("a list");
                list.pointer("/metadata/resourceVersion").and_then(Value::as_str).and_then(|version| version.parse::<u64>().ok())
            })
        };
        names.iter().map(|name| version(name).expect("a number as resourceVersion")).sum()
    }

    /// The same fleet, in which three contexts are refused, two hang and one does not know us any more.
    pub fn broken(&self) -> Broken {
        let text = std::fs::read_to_string(self.kubeconfig()).expect("the kubeconfig of the double");
        let mut config: Value = serde_yaml::from_str(&text).expect("a kubeconfig");
        let (hanging, expired) = (Listening::that_hangs(), Listening::that_refuses());
        let servers: Vec<String> = (0..3)
            .map(|_| format!("https://127.0.0.1:{}", free_port()))
            .chain([hanging.port, hanging.second].map(|port| format!("https://127.0.0.1:{port}")))
            .chain([format!("http://127.0.0.1:{}", expired.port)])
            .collect();
        let clusters = config["clusters"].as_array_mut().expect("clusters");
        // Spread over the fleet, as bad luck is.
        for (at, server) in servers.iter().enumerate() {
            clusters[at * 10]["cluster"]["server"] = json!(server);
        }
        let path = self.folder.path().join("broken.kubeconfig");
        std::fs::write(&path, serde_yaml::to_string(&config).expect("YAML")).expect("a file");
        let mut words = self.words.clone();
        let place = words.iter().position(|word| word == "--kubeconfig").expect("a kubeconfig");
        words[place + 1] = path.display().to_string();
        Broken { words, count: servers.len(), _listening: [hanging, expired] }
    }
}

/// A fleet of which some contexts do not answer.
pub struct Broken {
    pub words: Vec<String>,
    /// How many do not.
    pub count: usize,
    _listening: [Listening; 2],
}

/// Ports that take connections until the end of this process.
struct Listening {
    port: u16,
    second: u16,
}

impl Listening {
    fn on(answer: fn(std::net::TcpStream)) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer(stream));
            }
        });
        port
    }

    /// They accept, read, and never say anything.
    fn that_hangs() -> Self {
        let hang = |mut stream: std::net::TcpStream| {
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        };
        Self { port: Self::on(hang), second: Self::on(hang) }
    }

    /// They answer every request with 401.
    fn that_refuses() -> Self {
        let refuse = |mut stream: std::net::TcpStream| {
            let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
            let body = body.to_string();
            let head = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ";
            // One request is one packet here, and what is in it does not matter.
            if matches!(stream.read(&mut [0; 8192]), Ok(1..)) {
                let _ = write!(stream, "{head}{}\r\n\r\n{body}", body.len());
            }
        };
        Self { port: Self::on(refuse), second: 0 }
    }
}

/// A real cluster with [`MANY`] Canaries and nothing behind them.
pub fn bed() -> Bed {
    let programs = crate::k9s::cache().join("bed");
    assert!(programs.is_dir(), "the programs of the test bed are not in {}: run tests/cluster/build.sh", programs.display());
    let bed = Bed::up("--clusters bench:istio --flagger-crds");
    let cluster = bed.cluster("bench");
    const NAMESPACES: usize = 20;
    for number in 0..NAMESPACES {
        let name = format!("team-{number:02}");
        cluster.create("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
    const HANDS: usize = 8;
    std::thread::scope(|scope| {
        for hand in 0..HANDS {
            let cluster = &cluster;
            scope.spawn(move || {
                (hand..MANY).step_by(HANDS).for_each(|number| canary(cluster, &format!("team-{:02}", number % NAMESPACES), number));
            });
        }
    });
    bed
}

fn canary(cluster: &Cluster, namespace: &str, number: usize) {
    let name = format!("{NAMED}{number:04}");
    let object = json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "shop"}},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": 80, "targetPort": 9898},
            "analysis": {
                "interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": 10,
                "metrics": [
                    {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}},
                    {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500}}
                ],
                "webhooks": [{"name": "conformance", "type": "pre-rollout", "url": "http://tester.test/", "timeout": "30s"}]
            }
        }
    });
    let all = format!("/apis/flagger.app/v1beta1/namespaces/{namespace}/canaries");
    cluster.create(&all, &object);
    // Most canaries of a fleet are settled at any time.
    let (phase, weight) = match number % 100 {
        0..4 => ("Failed", 0),
        4..8 => ("WaitingPromotion", 50),
        8..16 => ("Progressing", 30),
        _ => ("Succeeded", 0),
    };
    let status = json!({"status": {
        "phase": phase, "canaryWeight": weight, "failedChecks": 0, "iterations": 0,
        "lastAppliedSpec": "5b9f6c7d8d", "lastPromotedSpec": "5b9f6c7d8d", "lastTransitionTime": "2026-03-02T12:04:31Z",
        "conditions": [{"type": "Promoted", "status": "True", "reason": phase, "message": "Canary analysis completed successfully, promotion finished.",
            "lastUpdateTime": "2026-03-02T12:04:31Z", "lastTransitionTime": "2026-03-02T12:04:31Z"}]
    }});
    let path = format!("{all}/{name}/status");
    if let Err(error) = cluster.send("PATCH", &path, "application/merge-patch+json", Some(&status)) {
        panic!("patch {path}: {error}");
    }
}

/// Whether every context of the header is live and every canary is counted.
pub fn all_there(frame: &str, live: usize, canaries: usize) -> bool {
    frame.lines().next().is_some_and(|header| header.contains(&format!(" {live} live"))) && counted(frame) >= canaries
}

/// The sum of the counters of states.
fn counted(frame: &str) -> usize {
    let line = frame.lines().take(5).find(|line| line.contains("FAIL") && line.contains("OK"));
    line.unwrap_or_default().split_whitespace().filter_map(|word| word.parse::<usize>().ok()).sum()
}

/// How long a fleet may take to be there, before something is wrong.
pub const PATIENCE: Duration = Duration::from_mins(1);
