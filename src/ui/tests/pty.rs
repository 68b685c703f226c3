//! The loop on a real terminal, in a process of its own: this program again, with one test that is the console.

use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tokio::sync::{mpsc, watch};

use super::harness::{Harness, fleet};
use crate::session::Clock;
use crate::telemetry::crash;
use crate::ui::event_loop::{Run, stop_signals};
use crate::ui::host::Host as _;
use crate::ui::message::{Effect, HandOver};
use crate::ui::progress::Progress;
use crate::ui::sequences::Surroundings;
use crate::ui::terminal::Screen;
use crate::ui::view::draw;
use crate::ui::{Crash, Exit, Options, Port, UiError};

/// What the other process does; in this one nothing is set.
const ROLE: &str = "PILOTHOUSE_TEST_ROLE";
const FOLDER: &str = "PILOTHOUSE_TEST_FOLDER";

/// The other process.
#[test]
fn a_console_of_its_own() {
    let (Ok(role), Some(folder)) = (std::env::var(ROLE), std::env::var_os(FOLDER).map(PathBuf::from)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let script = |name: &str| folder.join(name).display().to_string();
    runtime.block_on(async {
        match role.as_str() {
            "panics" => panics(folder.clone()).await,
            "editor" => {
                let effect = Effect::OpenEditor { name: "frontend.yaml".into(), text: "kind: Canary\n".into() };
                console(vec![effect], Options { editor: format!("{} -R", script("editor")), ..Options::default() }).await;
            }
            "program" => {
                let errand = HandOver {
                    what: "k9s on gke".into(),
                    program: script("k9s"),
                    args: vec!["--context".into(), "gke".into()],
                    env: Vec::new(),
                };
                console(vec![Effect::HandOver(errand)], Options::default()).await;
            }
            "says" => {
                let notify = Effect::Notify { title: "gke/app/frontend".into(), body: "rolled back".into() };
                let title = Effect::Title("◆1 pilothouse".into());
                let effects = vec![Effect::Copy("gke/app/frontend".into()), notify, title, Effect::Progress(Progress::Percent(40))];
                let surroundings = Surroundings { shows_progress: true, ..Surroundings::default() };
                console(effects, Options { surroundings, ..Options::default() }).await;
            }
            other => panic!("{other} is no role"),
        }
    });
}

async fn console(effects: Vec<Effect>, options: Options) {
    let (_views, view) = watch::channel(Arc::new(fleet()));
    let (_outcomes, incoming) = mpsc::unbounded_channel();
    let port = Port {
        view,
        outcomes: incoming,
        clock: Clock::wall(),
        send: Box::new(|_| 0),
        answers: mpsc::unbounded_channel().1,
        ask: Box::new(|_| {}),
    };
    let away = Arc::default();
    let stop = stop_signals(Arc::clone(&away), Arc::default()).expect("signals");
    let mut screen = Screen::enter(&options).expect("a terminal");
    let mut run = Run::new(&mut screen, port, options, away, None).expect("a console");
    for effect in effects {
        run.carry_out(effect).expect("carried out");
    }
    let exit: Result<Exit, UiError> = run.drive(stop).await;
    assert_eq!(exit.expect("an exit"), Exit::Quit);
}

async fn panics(folder: PathBuf) {
    crash::install(folder, |info| format!("SAID {info}"));
    let options = Options { crash: Some(Crash::new(crash::report)), ..Options::default() };
    let mut screen = Screen::enter(&options).expect("a terminal");
    let guard = screen.guard();
    let harness = Harness::new(120, 36);
    let frame = screen.terminal().draw(|frame| draw(frame, &harness.model)).expect("a frame");
    guard.keep(frame.buffer);
    let broken = tokio::spawn(async { panic!("an odd object") }).await;
    assert!(broken.is_err());
    let report = guard.broken().await;
    // Still the console's.
    screen.say(&format!("\x1b[1;1HBROKE {}", report.len())).expect("a terminal");
    panic!("the loop itself");
}

/// That process, seen from here. It is killed when the test is done with it.
struct Other {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    bytes: Arc<Mutex<Vec<u8>>>,
    _master: Box<dyn MasterPty + Send>,
}

impl Other {
    fn start(role: &str, folder: &Path) -> Self {
        let pty = native_pty_system().openpty(PtySize { rows: 36, cols: 120, pixel_width: 0, pixel_height: 0 }).expect("a pseudo terminal");
        let mut command = CommandBuilder::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "ui::tests::pty::a_console_of_its_own", "--nocapture", "--test-threads", "1"]);
        command.env(ROLE, role);
        command.env(FOLDER, folder);
        let mut reader = pty.master.try_clone_reader().expect("a reader");
        let child = pty.slave.spawn_command(command).expect("a process");
        drop(pty.slave);
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // A terminal whose last program has ended answers with an error.
            while let Ok(count @ 1..) = reader.read(&mut chunk) {
                sink.lock().expect("no reader panics").extend_from_slice(&chunk[..count]);
            }
        });
        Self { child, writer: pty.master.take_writer().expect("a writer"), bytes, _master: pty.master }
    }

    fn all(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no reader panics")).into_owned()
    }

    #[track_caller]
    fn until(&mut self, what: &str, mut wanted: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !wanted(self) {
            assert!(begun.elapsed() < Duration::from_secs(30), "not within 30 s: {what}\n{:?}", tail(&self.all()));
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn writes(&mut self, text: &str) {
        self.until(text, |other| other.all().contains(text));
    }

    fn keys(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).and_then(|()| self.writer.flush()).expect("a terminal that takes keys");
    }

    #[track_caller]
    fn ends(&mut self) -> bool {
        let mut ok = false;
        self.until("its end", |other| {
            let status = other.child.try_wait().expect("a child of ours");
            ok = status.as_ref().is_some_and(portable_pty::ExitStatus::success);
            status.is_some()
        });
        ok
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn tail(text: &str) -> &str {
    &text[text.floor_char_boundary(text.len().saturating_sub(1500))..]
}

/// A program that notes how it was called, what its terminal is like and the line that is typed for it.
fn script(folder: &Path, name: &str, then: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    let text = format!(
        "#!/bin/sh\necho HAS-THE-TERMINAL\nIFS= read -r typed\nmkdir -p '{0}/told'\n\
         {{ echo \"$typed\"; echo \"$@\"; stty -a; {then}; }} > '{0}/told/{name}.new' 2>&1\nmv '{0}/told/{name}.new' '{0}/told/{name}'\n",
        folder.display()
    );
    std::fs::write(&path, text).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a file");
}

#[test]
fn an_editor_gets_what_is_typed_and_the_console_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    script(folder.path(), "editor", "cat \"$2\"");
    let mut other = Other::start("editor", folder.path());
    other.writes("HAS-THE-TERMINAL");
    assert!(other.all().contains("\x1b[?1049l\x1b[?25h"), "the screen is given back first");
    other.keys("?q jj\r");
    other.writes("editor on frontend.yaml: done");
    let told = std::fs::read_to_string(folder.path().join("told/editor")).expect("what the editor saw");
    assert!(told.starts_with("?q jj\n-R /"), "{told}");
    assert!(told.contains(" icanon") && told.contains(" echo ") && told.ends_with("kind: Canary\n"), "{told}");
    // Nothing of it is left, and keys are the console's again.
    let path = told.lines().nth(1).and_then(|line| line.strip_prefix("-R ")).expect("a path");
    assert!(!Path::new(path).exists(), "{path}");
    other.keys("?");
    other.writes("HELP");
    other.keys("qq");
    assert!(other.ends(), "{:?}", tail(&other.all()));
}

#[test]
fn a_program_that_is_interrupted_leaves_the_console_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    script(folder.path(), "k9s", "true");
    let mut other = Other::start("program", folder.path());
    other.writes("HAS-THE-TERMINAL");
    // In a terminal that is not raw this interrupts whoever is in the foreground: the program, and us.
    other.keys("\x03");
    other.writes("k9s on gke: ended by signal 2");
    other.keys("q");
    assert!(other.ends(), "{:?}", tail(&other.all()));
}

#[test]
fn copies_notifications_titles_and_progress_reach_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut other = Other::start("says", folder.path());
    other.writes("\x1b]52;c;Z2tlL2FwcC9mcm9udGVuZA==\x1b\\");
    other.writes("\x1b]9;gke/app/frontend: rolled back\x07\x1b]777;notify;gke/app/frontend;rolled back\x07");
    other.writes("\x1b[22;2t");
    other.writes("\x1b]2;◆1 pilothouse\x07");
    other.writes("\x1b]9;4;1;40\x07");
    other.writes("\x1b]2;◆1 ✗1 pilothouse\x07");
    other.writes("\x1b[?2026h");
    other.keys("q");
    assert!(other.ends());
    other.writes("\x1b]9;4;0;0\x07\x1b]2;\x07\x1b[23;2t");
}

#[test]
fn a_panic_gives_the_terminal_back_and_leaves_a_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut other = Other::start("panics", folder.path());
    assert!(!other.ends());
    other.writes("report: ");
    let text = other.all();
    let (ours, after) = text.split_once("\x1b[?1049l").expect("the screen is given back");
    assert!(ours.contains("BROKE") && !ours.contains("SAID"), "nothing is printed over the frame:\n{ours:?}");
    assert!(!after.contains("\x1b[?1049h") && after.contains("\x1b[?25h"), "{after:?}");
    assert!(ours.contains("\x1b[?2004l") && ours.contains("\x1b[?1000l"), "paste and mouse are given back");
    assert!(after.contains("SAID") && after.contains("the loop itself"), "{after}");
    let mut reports: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    reports.sort();
    assert_eq!(reports.len(), 2, "one for each panic: {reports:?}");
    let last = std::fs::read_to_string(&reports[1]).expect("a report");
    for part in ["the loop itself", "--- stack", "a_console_of_its_own", "--- the last frame", "FLEET", "frontend"] {
        assert!(last.contains(part), "{part} is not in\n{last}");
    }
    assert!(std::fs::read_to_string(&reports[0]).expect("a report").contains("an odd object"));
}
