//! How long an operator looks at nothing.

use std::net::TcpListener;

use crate::program::{Home, is_optimised};
use crate::support::{Figures, Folder, seconds, until};
use crate::terminal::Terminal;

const TIMES: usize = 10;

/// A kubeconfig of contexts at one address.
pub fn kubeconfig(names: &[&str], address: &str) -> String {
    let each = |line: fn(&str, &str) -> String| names.iter().map(|name| line(name, address)).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {}\nclusters:\n{}users:\n{}contexts:\n{}",
        names[0],
        each(|name, address| format!("- name: {name}\n  cluster:\n    server: https://{address}\n")),
        each(|name, _| format!("- name: {name}\n  user:\n    token: none\n")),
        each(|name, _| format!("- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n")),
    )
}

/// Clusters that never answer are the worst case: the frame must not wait for them.
#[test]
fn the_first_frame_comes_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let place = Folder::new("frame");
    let file = place.write("kubeconfig", &kubeconfig(&["aks", "eks", "gke"], &address));
    let mut all = Vec::new();
    for _ in 0..TIMES {
        let home = Home::new("frame", &file);
        let mut console = Terminal::start(&home, &[]);
        all.push(until(seconds(20), "the first frame", || console.first_frame()));
        console.shows("RO (W to arm)");
        console.keys("q");
        assert_eq!(console.ends(seconds(15)), 0);
    }
    let figures = Figures::new(all);
    println!("first frame: {figures}");
    if is_optimised() {
        assert!(figures.median().as_millis() < 100, "{figures}");
    }
}
