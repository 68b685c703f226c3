//! The `:` prompt: addresses and actions by name, with completion.

use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::Step;
use super::input::Input;
use crate::domain::target::Target;
use crate::ui::actions::{ACTIONS, Group, Id};
use crate::ui::keymap::Key;
use crate::ui::model::{Address, Model};
use crate::ui::theme::Role;
use crate::ui::widgets::text::{cut, fit, width};

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
fn offered() -> impl Iterator<Item = &'static crate::ui::actions::Action> {
    ACTIONS.iter().filter(|action| action.group != Group::Move && !matches!(action.id, Id::Prompt | Id::Interrupt | Id::Quit))
}

impl Prompt {
    /// What the text may become, with a word about it.
    #[must_use]
    pub fn completions(&self, model: &Model) -> Vec<(String, &'static str)> {
        let typed = self.input.text.trim_start().to_lowercase();
        let mut all: Vec<(String, &'static str)> = vec![("fleet".into(), "every provider")];
        all.extend(offered().map(|action| (action.word.to_string(), action.help)));
        all.push(("quit".into(), "leave"));
        if let Some(names) = self.input.text.trim_start().strip_prefix("ctx ") {
            let (before, last) = names.rfind(' ').map_or(("", names), |at| names.split_at(at + 1));
            let last = last.to_lowercase();
            let named = model.view.contexts.iter().filter(|context| context.name.to_lowercase().contains(&last));
            return named.map(|context| (format!("ctx {before}{}", context.name), "narrow to it")).collect();
        }
        all.push(("ctx".into(), "narrow to contexts by name"));
        for context in model.visible() {
            for canary in &context.canaries {
                all.push((format!("canary {}", Target::new(&context.name, &canary.key)), "open it"));
            }
        }
        let mut found: Vec<_> = all.into_iter().filter(|(text, _)| text.to_lowercase().contains(typed.as_str())).collect();
        // What begins with the text is meant more often than what holds it.
        found.sort_by_key(|(text, _)| !text.starts_with(typed.as_str()));
        found
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key, model: &Model) -> Step {
        let found = self.completions(model);
        match key.code {
            KeyCode::Esc => return Step::Cancel,
            KeyCode::Backspace if self.input.text.is_empty() => return Step::Cancel,
            KeyCode::Enter => {
                if read(&self.input.text).is_none()
                    && let Some((text, _)) = found.get(self.cursor)
                    && !self.input.text.trim().is_empty()
                {
                    self.input.text.clone_from(text);
                }
                return Step::Go;
            }
            KeyCode::Tab => {
                if let Some((text, _)) = found.get(self.cursor) {
                    self.input.text.clone_from(text);
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

/// Draws the prompt over the last row, its completions above it.
pub fn draw(frame: &mut Frame<'_>, model: &Model, prompt: &Prompt) {
    let theme = model.theme();
    let screen = frame.area();
    let found = prompt.completions(model);
    let first = prompt.cursor.saturating_sub(SHOWN - 1);
    let room = usize::from(screen.height).saturating_sub(2);
    let wide = found.iter().map(|(text, _)| width(text)).max().unwrap_or(0).clamp(12, 44);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (at, (text, about)) in found.iter().enumerate().skip(first).take(SHOWN.min(room)) {
        let here = at == prompt.cursor;
        let about = cut(about, usize::from(screen.width).saturating_sub(wide + 4));
        let mut line = Line::from(vec![
            Span::styled(if here { "> " } else { "  " }, theme.style(Role::Key)),
            Span::styled(fit(text, wide), theme.style(if here { Role::Title } else { Role::Text })),
            Span::styled(format!("  {about}"), theme.style(Role::Dim)),
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
