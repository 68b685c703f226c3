//! The rules of the house that no compiler checks: who may name whom, what may stand where.
//!
//! One crate has no wall between its rooms; these tests are the walls. Each failure says where, which rule and
//! the way out. What is read is the text of `src` and `tests` without comments and strings; code under
//! `#[cfg(test)]` may look over a wall, since a test has to put things together.
#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at what it cannot read")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

// ---------------------------------------------------------------------------------------------------------
// The tables.

/// A room, the parts of the crate that it may name, and why.
struct Room {
    name: &'static str,
    may_name: &'static [&'static str],
    why: &'static str,
}

const fn room(name: &'static str, may_name: &'static [&'static str], why: &'static str) -> Room {
    Room { name, may_name, why }
}

const ROOMS: &[Room] = &[
    room("domain", &[], "nouns stand alone"),
    room("engine", &["domain"], "decisions are made of nouns"),
    room("kustomize", &[], "a renderer over trees of files"),
    room("runner", &["domain", "engine"], "it drives the engine through its own ports"),
    room(
        "kubernetes",
        &["domain", "runner::ports", "engine", "mesh"],
        "an adapter; the ports speak of the engine's observations, effects and sync stages, and routes are read and edited by mesh's pure functions",
    ),
    room("mesh", &["domain", "kubernetes::json", "kubernetes::kinds"], "pure functions over a route's JSON, named by the table of kinds"),
    room(
        "outbound",
        &["domain", "kubernetes::access"],
        "calls to the outside; a cluster's own Services are reached through its API server",
    ),
    room(
        "metrics",
        &["domain", "runner::ports", "engine", "kubernetes", "outbound"],
        "an adapter; answers are the engine's type, and servers in a cluster are reached through its API server",
    ),
    room(
        "notify",
        &["domain", "runner::ports", "outbound"],
        "an adapter; answers are the engine's type, and every call goes by outbound's rules",
    ),
    room("git", &["domain", "runner::ports", "kustomize"], "an adapter; its trees are the renderer's Files"),
    room(
        "session",
        &["domain", "engine", "kustomize", "runner", "kubernetes", "mesh", "metrics", "git", "notify", "outbound"],
        "the assembly",
    ),
    room("ui", &["domain", "engine::report", "session"], "it draws the read model and sends commands"),
    room(
        "config",
        &["domain", "ui::keymap", "ui::looks", "ui::theme"],
        "it reads the nouns of the fleet file, and settings into what the console takes",
    ),
    room("telemetry", &[], "logs know nobody"),
    room(
        "simulation",
        &["domain", "engine", "git", "kubernetes", "kustomize::pattern", "metrics", "runner", "session"],
        "it provides what adapters consume, and plays on the assembly; its Prometheus matches by the renderer's patterns; only the command line and tests name it",
    ),
    room(
        "daemon",
        &["config", "domain", "engine", "git", "kubernetes", "kustomize", "mesh", "metrics", "notify", "runner", "session", "telemetry"],
        "a front door",
    ),
    room(
        "cli",
        &[
            "config",
            "daemon",
            "domain",
            "engine",
            "git",
            "kubernetes",
            "kustomize",
            "mesh",
            "metrics",
            "notify",
            "runner",
            "session",
            "simulation",
            "telemetry",
            "ui",
        ],
        "the front door",
    ),
];

/// A word that only some rooms may say, or that some rooms may not.
struct Word {
    words: &'static [&'static str],
    wall: Wall,
    way_out: &'static str,
}

enum Wall {
    /// Only these rooms.
    Only(&'static [&'static str]),
    /// All rooms but these.
    Not(&'static [&'static str]),
}

const CRATES: &[Word] = &[
    Word {
        words: &["kube", "k8s_openapi"],
        wall: Wall::Only(&["kubernetes", "simulation"]),
        way_out: "say it over JSON in `kubernetes`, and call that",
    },
    Word {
        words: &["tokio", "futures", "tower"],
        wall: Wall::Not(&["domain", "engine", "kustomize", "mesh"]),
        way_out: "return what is to be done, and let `runner` or `session` wait for it",
    },
    Word { words: &["ratatui", "crossterm"], wall: Wall::Only(&["ui"]), way_out: "give `ui` data to draw" },
    Word { words: &["git2"], wall: Wall::Only(&["git"]), way_out: "give `git` a function for it, and call that" },
    Word { words: &["prometheus_http_query"], wall: Wall::Only(&["metrics"]), way_out: "ask through `metrics::prometheus`" },
    Word {
        words: &["axum"],
        wall: Wall::Only(&["daemon", "simulation"]),
        way_out: "the daemon serves HTTP, and the simulation its clusters",
    },
    Word { words: &["clap", "clap_complete", "clap_mangen"], wall: Wall::Only(&["cli"]), way_out: "take plain values as arguments" },
    Word {
        words: &["directories"],
        wall: Wall::Only(&["config", "kubernetes"]),
        way_out: "take the folder as an argument; `config` knows it, and `kubernetes` the kubeconfig's",
    },
    Word {
        words: &["tracing_appender", "tracing_subscriber"],
        wall: Wall::Only(&["telemetry"]),
        way_out: "write with `tracing`; `telemetry` says where to",
    },
    Word { words: &["color_eyre", "eyre", "anyhow"], wall: Wall::Only(&["main.rs"]), way_out: "return the room's own error type" },
];

const CALLS: &[Word] = &[
    Word {
        words: &["Timestamp::now", "Zoned::now", "SystemTime::now", "Instant::now"],
        wall: Wall::Not(&["domain", "engine", "mesh", "kustomize"]),
        way_out: "take the time as an argument",
    },
    Word {
        words: &["HashMap", "HashSet"],
        wall: Wall::Not(&["domain", "engine"]),
        way_out: "use BTreeMap or BTreeSet: the same observation must give the same step",
    },
    Word {
        words: &["thread::sleep"],
        wall: Wall::Only(&["git"]),
        way_out: "tokio::time::sleep; only `git` is blocking, and its callers use spawn_blocking",
    },
    Word {
        words: &["println!", "print!", "eprintln!", "eprint!"],
        wall: Wall::Only(&[]),
        way_out: "cli::output prints and survives a closed pipe; `tracing` logs; the terminal belongs to the frame",
    },
];

/// What never stays, in tests neither.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!"];
// In two halves, since comments count and this file is read, too.
const MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X:"), concat!("TO", "DO")];

/// Packages that the product stands on: in Cargo.toml, and called.
const REQUIRED: &[&str] = &[
    "ratatui",
    "crossterm",
    "kube",
    "tokio",
    "prometheus-http-query",
    "serde_yaml",
    "git2",
    "directories",
    "tracing-appender",
    "color-eyre",
];

/// Dependencies that no line of ours names, each with what it is there for.
const UNNAMED: &[(&str, &str)] = &[];

/// Options of single commands, which the general help does not list.
const OF_COMMANDS: &str = "--speed --seed --providers --serve --provider --gate --install --md --expired --at --cast \
     --canaries --settled --storm --confirm";

const LONGEST: usize = 800;
/// Files that may be longer, each with the reason.
const LONGER: &[(&str, &str)] = &[];

// ---------------------------------------------------------------------------------------------------------
// The rules.

#[test]
fn every_room_stands_in_the_table() {
    let folders: BTreeSet<String> = folders(&root().join("src"));
    let rooms: BTreeSet<String> = ROOMS.iter().map(|room| room.name.to_owned()).collect();
    assert_eq!(folders, rooms, "src/ and the table ROOMS in tests/tidy.rs differ; give a new room its row, and lib.rs a line in the map");
}

#[test]
fn rooms_name_only_whom_they_may() {
    let mut broken = Vec::new();
    for source in sources("src").iter().filter(|s| s.room().is_some()) {
        let Some(room) = ROOMS.iter().find(|room| Some(room.name) == source.room()) else { continue };
        for (line, named) in source.names_of_crate() {
            let own = named.split("::").next() == Some(room.name);
            let allowed = room.may_name.iter().any(|may| named == *may || named.starts_with(&format!("{may}::")));
            if !own && !allowed {
                broken.push(format!(
                    "{}:{line}: `{}` names crate::{named}, and may name {:?} ({}): hand it in as an argument or through a port, \
                     or change the table ROOMS by argument",
                    source.path, room.name, room.may_name, room.why
                ));
            }
        }
    }
    report("rooms name only whom they may", broken);
}

#[test]
fn nobody_leaves_a_room_by_super() {
    let mut broken = Vec::new();
    for source in sources("src").iter().filter(|s| s.room().is_some()) {
        for (number, line) in source.product_lines() {
            for at in words(line, "super") {
                let chain = climbs(&line[at..]);
                // An inline module adds one level, and only tests have inline modules.
                if chain >= source.depth() {
                    broken.push(format!("{}:{number}: climbs out of its room by super::; write crate::ROOM", source.path));
                }
            }
        }
    }
    report("a path out of a room says crate::", broken);
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    report(
        "foreign crates stay in their rooms",
        behind(CRATES, |source, number, line, word| {
            let _ = number;
            source_names_crate(source, line, word)
        }),
    );
}

#[test]
fn clocks_maps_sleeps_and_prints_stay_in_their_rooms() {
    report("clocks, maps, sleeps and prints stay in their rooms", behind(CALLS, |_, _, line, word| !words(line, word).is_empty()));
}

#[test]
fn nothing_is_left_unfinished() {
    let mut broken = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        for (number, line) in source.code.lines().enumerate() {
            for word in UNFINISHED.iter().filter(|word| !words(line, word).is_empty()) {
                broken.push(format!(
                    "{}:{}: {word} is left: finish it, or return an error that says what is missing",
                    source.path,
                    number + 1
                ));
            }
        }
        for (number, line) in source.text.lines().enumerate() {
            for mark in MARKS.iter().filter(|mark| line.contains(**mark)) {
                broken.push(format!("{}:{}: {mark} is left: do it, or say in the present tense how it is", source.path, number + 1));
            }
        }
    }
    report("nothing is left unfinished", broken);
}

#[test]
fn files_are_short_enough_to_read() {
    let mut broken = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        let lines = source.text.lines().count();
        let listed = LONGER.iter().any(|(path, _)| *path == source.path);
        if lines > LONGEST && !listed {
            broken.push(format!("{}:{LONGEST}: {lines} lines: part it by what its pieces do, not by their size", source.path));
        }
        if lines <= LONGEST && listed {
            broken.push(format!("{}:1: is short enough again: take it off the list LONGER", source.path));
        }
    }
    report(&format!("files have at most {LONGEST} lines"), broken);
}

#[test]
fn every_room_says_what_it_is() {
    let mut broken = Vec::new();
    for source in sources("src") {
        let is_room = source.path.ends_with("/mod.rs") || ["src/lib.rs", "src/main.rs"].contains(&source.path.as_str());
        if is_room && !source.text.starts_with("//!") {
            broken.push(format!("{}:1: begin with `//!`: what lives here, what never does, which file to read first", source.path));
        }
    }
    report("every mod.rs says what its folder is", broken);
}

#[test]
fn required_packages_are_there_and_called() {
    let (dependencies, _) = dependencies();
    let sources = sources("src");
    let mut broken = Vec::new();
    for package in REQUIRED {
        if !dependencies.iter().any(|name| name == package) {
            broken.push(format!("Cargo.toml:1: {package} is not in [dependencies], and the product stands on it"));
        }
        let name = package.replace('-', "_");
        let called = sources.iter().any(|s| s.product_lines().any(|(_, line)| source_names_crate(s, line, &name)));
        if !called {
            broken.push(format!("Cargo.toml:1: {package} is not called anywhere in src: give it its job back"));
        }
    }
    report("required packages are named and called", broken);
}

#[test]
fn every_dependency_is_used() {
    let (dependencies, for_tests) = dependencies();
    let (src, tests) = (sources("src"), sources("tests"));
    let mut broken = Vec::new();
    for package in dependencies.iter().chain(&for_tests) {
        let name = package.replace('-', "_");
        let used = src.iter().chain(&tests).any(|s| s.code.lines().any(|line| source_names_crate(s, line, &name)));
        let listed = UNNAMED.iter().any(|(unnamed, _)| unnamed == package);
        if !used && !listed {
            broken.push(format!("Cargo.toml:1: {package} is used nowhere: take it out, or list it in UNNAMED with what it is there for"));
        }
        if used && listed {
            broken.push(format!("Cargo.toml:1: {package} is used: take it off the list UNNAMED"));
        }
    }
    report("every dependency is used", broken);
}

#[test]
fn exceptions_have_reasons() {
    for (what, why) in LONGER.iter().chain(UNNAMED) {
        assert!(why.len() > 10, "tests/tidy.rs: the exception for {what} has no reason");
    }
}

// ---------------------------------------------------------------------------------------------------------
// What README and the front page of the documentation say is so.

#[test]
fn the_readme_has_the_keys() {
    let table = pilothouse::ui::key_table();
    assert!(read("README.md").contains(&table), "README.md: its table of keys is not that of ui::actions; put this there:\n\n{table}");
}

#[test]
fn the_readme_has_every_command_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_pilothouse")).arg("--help").output().expect("pilothouse --help runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands: BTreeSet<String> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| *word != "help")
        .map(str::to_owned)
        .collect();
    let readme = read("README.md");
    let written: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `pilothouse "))
        .filter_map(|row| row.split(['`', ' ']).next())
        .filter(|word| !word.starts_with('-'))
        .map(str::to_owned)
        .collect();
    assert_eq!(commands, written, "README.md: its table of commands (left: the program's, right: the README's) is not the program's");
    let lines = readme.lines().filter(|line| !line.contains("cargo "));
    for option in lines.flat_map(|line| line.split(['`', ' '])).filter(|word| word.starts_with("--")) {
        let option = option.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let known = help.contains(&format!("{option} "))
            || help.contains(&format!("{option}\n"))
            || OF_COMMANDS.split(' ').any(|known| known == option);
        assert!(known, "README.md: {option} is no option of pilothouse");
    }
}

#[test]
fn the_fleet_file_of_the_readme_is_read_without_mistakes() {
    let readme = read("README.md");
    let yaml = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).find(|text| text.contains("kind: Fleet"));
    let yaml = yaml.expect("README.md: has no fleet file in a ```yaml block");
    let fleet: pilothouse::domain::fleet::Fleet = serde_yaml::from_str(yaml).expect("README.md: its fleet file is read");
    assert_eq!(fleet.mistakes(), Vec::<String>::new(), "README.md: its fleet file has mistakes");
}

#[test]
fn the_settings_and_the_theme_of_the_readme_are_read_without_mistakes() {
    let readme = read("README.md");
    let block = |fence: &str, word: &str| {
        let text = readme.split(fence).skip(1).filter_map(|rest| rest.split("```").next()).find(|text| text.contains(word));
        text.unwrap_or_else(|| panic!("README.md: no {fence} with {word}"))
    };
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("themes")).expect("a folder");
    fs::write(folder.path().join("settings.yaml"), block("```yaml\n", "armFor:")).expect("a file");
    fs::write(folder.path().join("themes/own.toml"), block("```toml\n", "inherits")).expect("a file");
    assert_eq!(
        pilothouse::config::settings::check(folder.path()),
        Vec::<String>::new(),
        "README.md: its settings or its theme have mistakes"
    );
}

#[test]
fn paths_in_texts_exist() {
    let mut broken = Vec::new();
    for (file, text, base) in [("README.md", read("README.md"), root()), ("src/lib.rs", read("src/lib.rs"), root().join("src"))] {
        for (number, line) in text.lines().enumerate() {
            for word in line.split('`').skip(1).step_by(2).chain(line.split("](").skip(1).filter_map(|rest| rest.split(')').next())) {
                let word = word.split_whitespace().next().unwrap_or_default().trim_end_matches('/');
                let is_path =
                    word.starts_with("tests/") || word.starts_with("src/") || word.starts_with("dist/") || word.starts_with("config/");
                let is_path = is_path || Path::new(word).extension().is_some_and(|e| e == "rs" || e == "md");
                if is_path && !base.join(word).exists() && !root().join(word).exists() {
                    broken.push(format!("{file}:{}: there is no {word}", number + 1));
                }
            }
        }
    }
    report("paths in texts exist", broken);
}

#[test]
fn the_front_page_maps_every_room() {
    let page = read("src/lib.rs");
    for room in ROOMS {
        assert!(page.contains(&format!("| [`{}`] |", room.name)), "src/lib.rs: the map has no line for {}", room.name);
        assert!(page.contains(&format!("\npub mod {};", room.name)), "src/lib.rs: there is no `pub mod {};`", room.name);
    }
}

// ---------------------------------------------------------------------------------------------------------
// How the texts are read.

/// One file of Rust.
struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
    /// The text with comments and strings blanked, line by line.
    code: String,
    /// Lines under `#[cfg(test)]`.
    tests: BTreeSet<usize>,
}

impl Source {
    fn room(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        let (room, _) = rest.split_once('/')?;
        Some(room)
    }

    /// How many `super::` lead from this file's module to the crate's root.
    fn depth(&self) -> usize {
        let rest = self.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        rest.split('/').count()
    }

    /// Lines of the product, numbered from 1.
    fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(i, line)| (i + 1, line)).filter(|(number, _)| !self.tests.contains(number))
    }

    /// Where `crate::…` stands in the product, with what follows; braces are opened one level deep.
    fn names_of_crate(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut start = 0;
        while let Some(at) = self.code[start..].find("crate::").map(|at| at + start) {
            start = at + "crate::".len();
            let number = self.code[..at].matches('\n').count() + 1;
            if self.tests.contains(&number) || self.code[..at].ends_with(is_name) {
                continue;
            }
            let rest = &self.code[start..];
            let named = if let Some(inside) = rest.strip_prefix('{') { alternatives(inside) } else { vec![path_of(rest)] };
            found.extend(named.into_iter().map(|name| (number, name)));
        }
        found
    }
}

/// The paths at the first level of `{a::b, c::{d, e}}`, of which the opening brace is gone.
fn alternatives(inside: &str) -> Vec<String> {
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for c in inside.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            c if depth == 0 => part.push(c),
            _ => {}
        }
    }
    parts.push(part);
    parts.iter().map(|part| path_of(part.trim())).filter(|path| !path.is_empty()).collect()
}

/// How many `super::` stand at the start of `path`.
fn climbs(mut path: &str) -> usize {
    let mut levels = 0;
    while let Some(rest) = path.strip_prefix("super::") {
        (path, levels) = (rest, levels + 1);
    }
    levels
}

fn path_of(text: &str) -> String {
    let path: String = text.chars().take_while(|c| is_name(*c) || *c == ':').collect();
    path.trim_end_matches(':').to_owned()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands in `line` as a word of its own.
fn words(line: &str, word: &str) -> Vec<usize> {
    line.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| {
            let (begins, ends) = (!line[..*at].ends_with(is_name), !line[at + word.len()..].starts_with(is_name));
            begins && (ends || !word.ends_with(is_name))
        })
        .collect()
}

/// Whether `line` names the foreign crate `name`: as the head of a path, or as a whole in a `use`.
fn source_names_crate(source: &Source, line: &str, name: &str) -> bool {
    words(line, name).into_iter().any(|at| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let head = !before.ends_with("::") && !before.ends_with('.');
        let own = source.code.contains(&format!("mod {name};")) && before.trim_start().starts_with("mod");
        head && !own
            && (after.starts_with("::") || before.trim_end().ends_with("use") && (after.starts_with(';') || after.starts_with(" as ")))
    })
}

/// The lines that say a word on the wrong side of its wall.
fn behind(table: &[Word], says: impl Fn(&Source, usize, &str, &str) -> bool) -> Vec<String> {
    let mut broken = Vec::new();
    for source in &sources("src") {
        let room = source.room().unwrap_or_else(|| source.path.trim_start_matches("src/"));
        for row in table {
            let (may, rule) = match &row.wall {
                Wall::Only(rooms) => (rooms.contains(&room), format!("only {rooms:?} may")),
                Wall::Not(rooms) => (!rooms.contains(&room), format!("{rooms:?} may not")),
            };
            if may {
                continue;
            }
            for (number, line) in source.product_lines() {
                for word in row.words.iter().filter(|word| says(source, number, line, word)) {
                    broken.push(format!("{}:{number}: says `{word}`, which {rule}: {}", source.path, row.way_out));
                }
            }
        }
    }
    broken
}

fn report(rule: &str, mut broken: Vec<String>) {
    broken.sort();
    broken.dedup();
    assert!(broken.is_empty(), "{rule}: {} broken\n{}", broken.len(), broken.join("\n"));
}

fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn folders(at: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(at).unwrap_or_else(|error| panic!("{}: {error}", at.display()));
    entries.flatten().filter(|e| e.path().is_dir()).map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// Every file of Rust below `folder`.
fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let texts: Vec<(PathBuf, String, String)> = paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let code = blanked(&text);
            (path, text, code)
        })
        .collect();
    let whole: Vec<PathBuf> = texts.iter().flat_map(|(path, text, code)| test_files(path, text, code)).collect();
    let made: Vec<Source> = texts
        .into_iter()
        .map(|(path, text, code)| {
            let shown = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let is_test = whole.iter().any(|test| path == *test || path.starts_with(test.with_extension("")));
            let tests = if is_test { (1..=text.lines().count()).collect() } else { test_lines(&code) };
            Source { path: shown, text, code, tests }
        })
        .collect();
    assert!(!made.is_empty(), "{folder} holds no Rust");
    made
}

fn collect(at: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(at).unwrap_or_else(|error| panic!("{}: {error}", at.display())).flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

const TEST: &str = "#[cfg(test)]";

/// The files of modules declared under `#[cfg(test)]` in the file `path`.
fn test_files(path: &Path, text: &str, code: &str) -> Vec<PathBuf> {
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let below = if ["mod", "lib", "main"].contains(&stem.as_str()) { folder.clone() } else { folder.join(stem) };
    let mut files = Vec::new();
    for (at, _) in code.match_indices(TEST) {
        let Some(end) = code[at..].find([';', '{']).map(|end| end + at) else { continue };
        let Some(name) = code[at..end].rsplit_once("mod ").map(|(_, name)| name.trim()).filter(|_| code[end..].starts_with(';')) else {
            continue;
        };
        match text[at..end].split_once("#[path = \"").and_then(|(_, rest)| rest.split_once('"')) {
            Some((named, _)) => files.push(folder.join(named)),
            None => files.extend([below.join(name).with_extension("rs"), below.join(name).join("mod.rs")]),
        }
    }
    files
        .into_iter()
        .flat_map(|file| {
            if file.ends_with("mod.rs") { vec![file.clone(), file.parent().map(Path::to_path_buf).unwrap_or_default()] } else { vec![file] }
        })
        .collect()
}

/// Lines of the items under `#[cfg(test)]`, numbered from 1.
fn test_lines(code: &str) -> BTreeSet<usize> {
    let mut lines = BTreeSet::new();
    for (at, _) in code.match_indices(TEST) {
        let first = code[..at].matches('\n').count() + 1;
        let (mut depth, mut end) = (0_i32, code.len());
        for (i, c) in code[at + TEST.len()..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(c, '}' | ';') {
                end = at + TEST.len() + i;
                break;
            }
        }
        lines.extend(first..=code[..end].matches('\n').count() + 1);
    }
    lines
}

/// `text` with comments, strings and character literals blanked; offsets and lines stay.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        let end = if rest.starts_with(b"//") {
            i + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            i + end_of_block(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| i == 0 || !is_name(char::from(bytes[i - 1]))) {
            i + length
        } else if rest[0] == b'"' {
            i + end_of_string(rest)
        } else if rest[0] == b'\'' {
            i + character(text, i)
        } else {
            i += 1;
            continue;
        };
        for byte in &mut out[i..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        i = end.max(i + 1);
    }
    String::from_utf8(out).expect("blanks are ASCII, and what is blanked is blanked whole")
}

fn end_of_block(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        if rest[i..].starts_with(b"/*") {
            depth += 1;
            i += 2;
        } else if rest[i..].starts_with(b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    rest.len()
}

fn end_of_string(rest: &[u8]) -> usize {
    let mut i = 1;
    while i < rest.len() {
        match rest[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    rest.len()
}

/// Length of `r"…"`, `r#"…"#`, `br"…"` at the start of `rest`.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let start = usize::from(rest.starts_with(b"b"));
    let after = rest.get(start..)?.strip_prefix(b"r")?;
    let hashes = after.iter().take_while(|b| **b == b'#').count();
    after.get(hashes).filter(|b| **b == b'"')?;
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = start + 1 + hashes + 1;
    let length = rest[body..].windows(close.len()).position(|window| window == close)?;
    Some(body + length + close.len())
}

/// Length of the character literal at `at`; 0 for a lifetime.
fn character(text: &str, at: usize) -> usize {
    let mut chars = text[at + 1..].char_indices();
    match chars.next() {
        Some((_, '\\')) => text[at + 3..].find('\'').map_or(0, |end| end + 4),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(i, _)| i + 2),
        None => 0,
    }
}

/// Names under `[dependencies]` and under `[dev-dependencies]`.
fn dependencies() -> (Vec<String>, Vec<String>) {
    let manifest = read("Cargo.toml");
    let section = |header: &str| -> Vec<String> {
        manifest
            .lines()
            .skip_while(|line| *line != header)
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim().to_owned()))
            .filter(|name| !name.starts_with('#'))
            .collect()
    };
    (section("[dependencies]"), section("[dev-dependencies]"))
}

#[test]
fn the_reader_sees_code_and_nothing_else() {
    let text = "let a = \"crate::x {\"; // crate::y\nlet b = '{'; let c: &'a str = r#\"}\"#;\n/* kube:: /* */ */ kube::x();\n#[cfg(test)]\nmod tests {\n    tokio::spawn();\n}\nfn z() {}\n";
    let code = blanked(text);
    assert_eq!(code.len(), text.len());
    assert!(!code.contains("crate::") && code.contains("&'a str") && code.matches("kube::").count() == 1 && !code.contains('"'), "{code}");
    assert_eq!(test_lines(&code), (4..=7).collect());
    assert_eq!((climbs("super::super::engine"), climbs("super::step"), climbs("superb::x")), (2, 1, 0));
    assert_eq!(alternatives("a::b, c::{d, e}, f}; rest"), ["a::b", "c", "f"]);
}
