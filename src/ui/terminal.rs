//! The terminal itself: entered once, and left as it was found on every way out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use ratatui::DefaultTerminal;
use tokio::sync::Notify;

/// The terminal while the console has it. Dropping it gives it back.
#[derive(Debug)]
pub struct Screen {
    /// What frames are drawn on.
    pub terminal: DefaultTerminal,
    panic: Arc<Panic>,
}

/// Whether anything in this process panicked: the hook has given the terminal back by then.
#[derive(Debug, Default)]
pub struct Panic {
    happened: AtomicBool,
    news: Notify,
}

impl Panic {
    /// Resolves once something panicked, in whatever task.
    pub async fn happened(&self) {
        self.news.notified().await;
    }
}

impl Screen {
    /// Raw mode, alternate screen, bracketed paste; a panic gives all of them back before it is reported.
    ///
    /// # Errors
    /// Where standard output is no terminal.
    pub fn enter() -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let panic = Arc::new(Panic::default());
        let (report, told) = (std::panic::take_hook(), Arc::clone(&panic));
        std::panic::set_hook(Box::new(move |info| {
            // Nothing better can be done with an error in the middle of a panic.
            let _ = execute!(io::stdout(), DisableBracketedPaste);
            told.happened.store(true, Ordering::SeqCst);
            report(info);
            told.news.notify_one();
        }));
        let screen = Self { terminal, panic };
        execute!(io::stdout(), EnableBracketedPaste)?;
        Ok(screen)
    }

    /// Tells of panics, also of those in other tasks, after which nothing may be drawn.
    #[must_use]
    pub fn panic(&self) -> Arc<Panic> {
        Arc::clone(&self.panic)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Leaving twice would put the cursor over the report.
        if self.panic.happened.load(Ordering::SeqCst) {
            return;
        }
        // A terminal that is gone cannot be given back, and there is nobody to tell.
        let _ = execute!(io::stdout(), DisableBracketedPaste);
        let _ = self.terminal.show_cursor();
        let _ = ratatui::try_restore();
    }
}
