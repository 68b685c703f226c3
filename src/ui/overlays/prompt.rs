//! The `:` prompt: addresses and actions by name, with completion.

use crossterm::event::KeyCode;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::Step;
use super::input::Input;
use crate::domain::target::Target;
use crate::ui::actions::{ACTIONS, Action, Group, Id};
use crate::ui::address::{self, Address};
use crate::ui::keymap::Key;
use crate::ui::model::Model;
use crate::ui::theme::Role;
use crate::ui::verbs;
use crate::ui::widgets::text::{cut, cut_middle, fit, width};

/// Completions shown at once.
const SHOWN: usize = 8;

/// The prompt.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    /// What was typed.
    pub input: Input,
    /// Which completion is under the cursor.
    pub cursor: usize,
}

/// What the words at the prompt mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Go there.
    Go(Address),
    /// Narrow to these contexts or providers; empty is all.
    Narrow(Vec<String>),
    /// Do this.
    Act(Id),
    /// Bump to this ref.
    Bump(String),
    /// Leave.
    Quit,
}

/// Reads the words.
#[must_use]
pub fn read(text: &str) -> Option<Wish> {
    let mut words = text.split_whitespace();
    let first = words.next()?;
    let rest: Vec<String> = words.map(String::from).collect();
    match (first, rest.as_slice()) {
        ("q" | "quit" | "q!" | "exit", []) => Some(Wish::Quit),
        ("ctx" | "context" | "contexts", []) => Some(Wish::Act(Id::Contexts)),
        ("ctx" | "context" | "contexts", names) => Some(Wish::Narrow(names.to_vec())),
        ("all", []) => Some(Wish::Narrow(Vec::new())),
        ("bump", [to]) => Some(Wish::Bump(to.clone())),
        ("canary", [target]) => target.parse().ok().map(|target| Wish::Go(Address::Canary(target))),
        (address, []) => Address::parse(address)
            .or_else(|| address.parse::<Target>().ok().map(Address::Canary))
            .map(Wish::Go)
            .or_else(|| offered().find(|action| action.word == address).map(|action| Wish::Act(action.id))),
        _ => None,
    }
}

/// Actions that make sense by name: those that move the cursor do not.
fn offered() -> impl Iterator<Item = &'static Action> {
    ACTIONS.iter().filter(|action| action.group != Group::Move && !matches!(action.id, Id::Prompt | Id::Interrupt | Id::Quit))
}

/// Something that the prompt may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The words.
    pub text: String,
    /// What they do.
    pub about: String,
    /// The key that does the same.
    pub key: String,
    /// It does nothing here and now; `about` says why.
    pub refused: bool,
}

impl Completion {
    fn new(text: impl Into<String>, about: impl Into<String>) -> Self {
        Self { text: text.into(), about: about.into(), key: String::new(), refused: false }
    }

    fn action(model: &Model, action: &Action) -> Self {
        let here = action.screens.contains(&model.address.screen());
        let (about, refused) = if !here {
            (format!("{} · not on this screen", action.help), true)
        } else if verbs::writes(action.id) {
            match (verbs::possible(model, action.id), model.target()) {
                (Err(why), _) => (why, true),
                (Ok(()), Some(target)) if action.id != Id::Bump && action.id != Id::Sync => (format!("{target} · {}", action.help), false),
                (Ok(()), _) => (action.help.to_string(), false),
            }
        } else {
            (action.help.to_string(), false)
        };
        Self { text: action.word.into(), about, key: model.keymap.short(action.id), refused }
    }
}

impl Prompt {
    /// What the text may become, best first: matched letter by letter, as in `prm` for `promote`.
    #[must_use]
    pub fn completions(&self, model: &Model) -> Vec<Completion> {
        let typed = self.input.text.trim_start();
        if let Some(names) = typed.strip_prefix("ctx ") {
            let (before, last) = names.rfind(' ').map_or(("", names), |at| names.split_at(at + 1));
            let all = model.view.each().map(|context| Completion::new(format!("ctx {before}{}", context.name), "narrow to it"));
            return ranked(all.collect(), last, |completion| completion.text.rsplit(' ').next().unwrap_or_default().to_string());
        }
        let mut all: Vec<Completion> = address::PLAIN.iter().map(|(word, _, about)| Completion::new(*word, *about)).collect();
        let known = |word: &str| address::PLAIN.iter().any(|(plain, ..)| *plain == word);
        all.extend(offered().filter(|action| !known(action.word)).map(|action| Completion::action(model, action)));
        all.push(Completion::new("quit", "leave"));
        all.push(Completion::new("ctx", "narrow to contexts by name"));
        for context in model.visible() {
            all.push(Completion::new(Address::Provider(context.name.clone()).to_string(), "open it"));
            for canary in &context.canaries {
                all.push(Completion::new(format!("canary {}", Target::new(&context.name, &canary.key)), "open it"));
            }
        }
        ranked(all, typed, |completion| completion.text.clone())
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key, model: &Model) -> Step {
        let found = self.completions(model);
        match key.code {
            KeyCode::Esc => return Step::Cancel,
            KeyCode::Backspace if self.input.text.is_empty() => return Step::Cancel,
            KeyCode::Enter => {
                if (read(&self.input.text).is_none() || self.cursor > 0)
                    && let Some(completion) = found.get(self.cursor)
                    && !self.input.text.trim().is_empty()
                {
                    self.input.text.clone_from(&completion.text);
                }
                return Step::Go;
            }
            KeyCode::Tab => {
                if let Some(completion) = found.get(self.cursor) {
                    self.input.text.clone_from(&completion.text);
                    self.cursor = 0;
                }
            }
            KeyCode::Down => self.cursor = (self.cursor + 1).min(found.len().saturating_sub(1)),
            KeyCode::Up => self.cursor = self.cursor.saturating_sub(1),
            _ => {
                if self.input.key(key) {
                    self.cursor = 0;
                }
            }
        }
        Step::Stay
    }
}

/// Those that hold the letters of `typed` in their order, the closest first.
fn ranked(all: Vec<Completion>, typed: &str, word: impl Fn(&Completion) -> String) -> Vec<Completion> {
    if typed.trim().is_empty() {
        return all;
    }
    let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
    let pattern = Pattern::parse(typed, CaseMatching::Ignore, Normalization::Never);
    let mut buffer = Vec::new();
    let mut found: Vec<(u32, Completion)> = all
        .into_iter()
        .filter_map(|completion| {
            let text = word(&completion);
            let score = pattern.score(Utf32Str::new(&text, &mut buffer), &mut matcher)?;
            // A whole word beats a longer one that begins with it.
            Some((score + u32::from(text == typed.trim()) * 1_000, completion))
        })
        .collect();
    found.sort_by_key(|(score, completion)| (std::cmp::Reverse(*score), completion.refused));
    found.into_iter().map(|(_, completion)| completion).collect()
}

/// Draws the prompt over the last row, its completions above it.
pub fn draw(frame: &mut Frame<'_>, model: &Model, prompt: &Prompt) {
    let theme = model.theme();
    let screen = frame.area();
    let found = prompt.completions(model);
    let first = prompt.cursor.saturating_sub(SHOWN - 1);
    let room = usize::from(screen.height).saturating_sub(2);
    let wide = found.iter().take(200).map(|completion| width(&completion.text)).max().unwrap_or(0).clamp(12, 44);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (at, completion) in found.iter().enumerate().skip(first).take(SHOWN.min(room)) {
        let here = at == prompt.cursor;
        let about = cut(&completion.about, usize::from(screen.width).saturating_sub(wide + 13));
        let role = if completion.refused { Role::Stale } else { Role::Text };
        let mut line = Line::from(vec![
            Span::styled(if here { "> " } else { "  " }, theme.style(Role::Key)),
            Span::styled(fit(&cut_middle(&completion.text, wide), wide), theme.style(if here { Role::Title } else { role })),
            Span::styled(format!(" {} ", fit(&completion.key, 8)), theme.style(Role::Key)),
            Span::styled(about, theme.style(Role::Dim)),
        ]);
        if here {
            line = line.style(theme.ground());
        }
        lines.push(line);
    }
    if found.is_empty() {
        lines.push(Line::styled("  nothing is called that", theme.style(Role::Warn)));
    }
    lines.insert(0, Line::styled("─".repeat(usize::from(screen.width)), theme.style(Role::Rule)));
    let mut typed = vec![Span::styled(" : ", theme.style(Role::Key))];
    typed.push(Span::styled(format!("{}_", prompt.input.text), theme.style(Role::Text)));
    typed.push(Span::styled("   tab completes · Enter goes · esc closes", theme.style(Role::Dim)));
    lines.push(Line::from(typed));
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(screen.height);
    let area = Rect { y: screen.bottom() - height, height, ..screen };
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        assert_eq!(read("fleet"), Some(Wish::Go(Address::Fleet)));
        assert_eq!(read(" canary gke/app/web "), Some(Wish::Go(Address::Canary("gke/app/web".parse().expect("a target")))));
        assert_eq!(read("gke/app/web"), read("canary gke/app/web"));
        assert_eq!(read("ctx gke eks"), Some(Wish::Narrow(vec!["gke".into(), "eks".into()])));
        assert_eq!(read("bump 1.1.0"), Some(Wish::Bump("1.1.0".into())));
        assert_eq!(read("abort"), Some(Wish::Act(Id::Abort)));
        assert_eq!(read("q"), Some(Wish::Quit));
        assert_eq!(read("nonsense"), None);
        assert_eq!(read(""), None);
    }
}
