//! A receiver of webhooks and alerts: it answers as it is told and keeps what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::bed::text;
use crate::support::seconds;

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

impl Asked {
    /// `status.phase` as the payload of a webhook has it.
    pub fn phase(&self) -> String {
        text(&self.body, "/phase")
    }
}

#[derive(Default)]
struct Shared {
    asked: Vec<Asked>,
    /// Status codes by path: one for each request, the last for all that follow. 200 where none are said.
    answers: BTreeMap<String, Vec<u16>>,
}

/// Listens until the process ends.
#[derive(Clone)]
pub struct Receiver {
    address: String,
    shared: Arc<Mutex<Shared>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::<Mutex<Shared>>::default();
        let kept = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                // A caller that breaks off has asked nothing.
                std::thread::spawn(move || answer(stream, &kept));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `path` answers with these, one after the other.
    pub fn answers(&self, path: &str, statuses: &[u16]) {
        self.locked().answers.insert(path.into(), statuses.to_vec());
    }

    /// All requests to `path`, in their order.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.locked().asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    pub fn all(&self) -> Vec<Asked> {
        self.locked().asked.clone()
    }
}

fn answer(mut stream: TcpStream, shared: &Mutex<Shared>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split_whitespace().nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let status = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.asked.push(Asked { path: path.clone(), headers, body });
        match shared.answers.get_mut(&path) {
            Some(statuses) if statuses.len() > 1 => statuses.remove(0),
            Some(statuses) => statuses.first().copied().unwrap_or(200),
            None => 200,
        }
    };
    let said = if status <= 202 { "ok" } else { "not now" };
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}", said.len()).ok()
}

/// Sends JSON to a URL; the status and the body of the reply.
pub fn post(url: &str, body: &Value) -> (u16, String) {
    let (address, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
    let body = body.to_string();
    let head = format!("POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let reply = (|| {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(seconds(10)))?;
        stream.write_all((head + &body).as_bytes())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok::<_, std::io::Error>(reply)
    })();
    let reply = reply.unwrap_or_else(|error| panic!("{url}: {error}"));
    let (head, said) = reply.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or_else(|| panic!("{url}: no HTTP: {reply}")), said.into())
}
