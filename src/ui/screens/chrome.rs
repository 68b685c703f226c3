//! What every frame has: scope, state of the connections, armed or not, news, legal keys.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{chord, spread};
use crate::domain::intent::Verb;
use crate::session::view::Link;
use crate::ui::actions::{ACTIONS, Action, Group, Id};
use crate::ui::address::Address;
use crate::ui::attention;
use crate::ui::hits::{Hit, Hits};
use crate::ui::keymap::show_sequence;
use crate::ui::model::Model;
use crate::ui::theme::Role;
use crate::ui::verbs;
use crate::ui::widgets::glyph::State;
use crate::ui::widgets::text::{clock, clock_with_seconds, countdown, cut, cut_middle, width};

/// The first line: where, which contexts, how they answer, armed or not, UTC.
#[must_use]
pub fn header(model: &Model, columns: usize) -> Line<'static> {
    let theme = model.theme();
    let time = if model.counts_seconds() { clock_with_seconds(model.now) } else { clock(model.now) };
    let long = columns >= 100;
    let mode = if model.armed() {
        Span::styled(format!(" ARMED {} ", countdown(model.armed_for())), theme.style(Role::Armed))
    } else {
        let text = match (long, model.options.read_only) {
            (true, false) => format!("RO ({} to arm)", model.keymap.short(Id::Arm)),
            (true, true) => "RO (started read-only)".into(),
            (false, _) => "RO".into(),
        };
        Span::styled(text, theme.style(Role::Dim))
    };
    let mut right = vec![Span::raw("  "), mode];
    if columns >= 60 {
        right.push(Span::styled(format!("  {time}"), theme.style(Role::Title)));
    }
    right.push(Span::raw(" "));
    let taken: usize = right.iter().map(Span::width).sum();
    let crumb = match &model.address {
        Address::Fleet => "FLEET".to_string(),
        Address::Help => "HELP".to_string(),
        Address::Versions => "VERSIONS".to_string(),
        Address::Gates => "GATES".to_string(),
        Address::Events => "EVENTS".to_string(),
        Address::Log => "LOG".to_string(),
        Address::Provider(context) => format!("FLEET › {}", cut_middle(context, 32)),
        Address::Canary(target) => format!("FLEET › {} › {}/{}", cut_middle(&target.context, 24), target.namespace, target.name),
        Address::Why(target) => format!("WHY › {} › {}/{}", cut_middle(&target.context, 24), target.namespace, target.name),
    };
    let scope = scope(model, if long { 30 } else { 16 });
    let narrowed = if model.scope.is_empty() { Role::Dim } else { Role::Warn };
    let room = columns.saturating_sub(taken + width(&scope) + 4);
    let name = if long { "PILOTHOUSE  " } else { "" };
    let mut links = links(model);
    let whole: usize = links.iter().map(Span::width).sum();
    if width(name) + width(&crumb) + whole + 2 > room {
        links.clear();
    }
    let rest: usize = links.iter().map(Span::width).sum();
    let mut left = vec![
        Span::styled(format!(" {name}"), theme.style(Role::Dim)),
        Span::styled(cut_middle(&crumb, room.saturating_sub(width(name) + rest)), theme.style(Role::Title)),
        Span::styled(format!("  {scope}  "), theme.style(narrowed)),
    ];
    left.extend(links);
    spread(left, right, columns)
}

fn scope(model: &Model, columns: usize) -> String {
    let names: Vec<&str> = model.scope.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => "all contexts".into(),
        [one] => format!("only {}", cut_middle(one, columns.saturating_sub(5))),
        many => {
            let listed = format!("only {}", many.join(" "));
            if width(&listed) <= columns { listed } else { format!("only {} of {}", many.len(), model.view.contexts.len()) }
        }
    }
}

fn links(model: &Model) -> Vec<Span<'static>> {
    let theme = model.theme();
    let mut counts = [0_usize; 5];
    for context in model.visible() {
        let kind = match context.link {
            Link::Live => 0,
            Link::Connecting { .. } => 1,
            Link::Stale { .. } => 2,
            Link::Unreachable { .. } => 3,
            Link::Unauthorized { .. } => 4,
        };
        counts[kind] += 1;
    }
    let total: usize = counts.iter().sum();
    let mut spans = vec![Span::styled(format!("{total} cluster{}:", if total == 1 { "" } else { "s" }), theme.style(Role::Dim))];
    let words =
        [("live", Role::Good), ("connecting", Role::Busy), ("stale", Role::Stale), ("unreachable", Role::Bad), ("auth", Role::Warn)];
    for ((word, role), count) in words.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
        let dot = if spans.len() > 1 { " ·" } else { "" };
        spans.push(Span::styled(dot, theme.style(Role::Dim)));
        spans.push(Span::styled(format!(" {count} {word}"), theme.style(role)));
    }
    spans
}

/// The counters: glyph, word and number of every state.
#[must_use]
pub fn counters(model: &Model, columns: usize) -> Line<'static> {
    const ALWAYS: [State; 7] = [State::Fail, State::Gate, State::Hold, State::Prog, State::Ok, State::Stale, State::Auth];
    const ORDER: [State; 10] =
        [State::Fail, State::Slo, State::Gate, State::Hold, State::Prog, State::Ok, State::Wait, State::Stale, State::Auth, State::Down];
    let theme = model.theme();
    let visible = || model.digests.each().filter(|(context, _)| attention::in_scope(&model.scope, &context.name));
    let counts = State::ALL.map(|state| visible().map(|(_, digest)| digest.count(state)).sum::<usize>());
    let of = |state: State| counts[state as usize];
    let line = |shown: &dyn Fn(State) -> bool, word: &dyn Fn(State) -> String, gap: &str| {
        let mut spans = vec![Span::raw(" ")];
        for state in ORDER.into_iter().filter(|state| shown(*state)) {
            let role = if of(state) == 0 { Role::Dim } else { state.role() };
            spans.push(Span::styled(format!("{}{}{gap}", word(state), of(state)), theme.style(role)));
        }
        Line::from(spans)
    };
    let named = |state: State| format!("{} {} ", state.glyph(), state.word());
    let present = |state: State| of(state) > 0;
    let mut full = line(&|state| ALWAYS.contains(&state) || present(state), &named, if columns >= 100 { "   " } else { "  " });
    if full.width() > columns {
        full = line(&present, &named, " ");
    }
    // The rows below have the words; here the numbers matter more.
    if full.width() > columns + 1 { line(&present, &|state| state.glyph().to_string(), " ") } else { full }
}

/// The line above the footer: news, a half-typed sequence where there is no room for its box, the filter being typed,
/// or `quiet`.
#[must_use]
pub fn status(model: &Model, columns: usize, quiet: Line<'static>) -> Line<'static> {
    let theme = model.theme();
    if model.filtering {
        return Line::from(vec![
            Span::styled(" / ", theme.style(Role::Key)),
            Span::styled(format!("{}_", model.place.filter.text()), theme.style(Role::Text)),
            match model.place.filter.mistake() {
                Some(mistake) => Span::styled(format!("   {mistake}"), theme.style(Role::Warn)),
                None => Span::styled("   Enter keeps · esc clears · also wave=2 state=gate age<2h !word", theme.style(Role::Dim)),
            },
        ]);
    }
    if !model.pressed.is_empty() && !chord::has_box(model) {
        let mut spans = vec![Span::styled(format!(" {} … ", show_sequence(&model.pressed)), theme.style(Role::Key))];
        for (keys, action) in model.keymap.continuations(model.address.screen(), &model.pressed) {
            spans.push(Span::styled(keys, theme.style(Role::Key)));
            spans.push(Span::styled(format!(" {} ({})   ", action.title, action.help), theme.style(Role::Text)));
        }
        return Line::from(spans);
    }
    if let Some(delayed) = model.delayed.first() {
        let left = (delayed.due.as_second() - model.now.as_second()).max(0);
        let more = if model.delayed.len() > 1 { format!(" and {} more", model.delayed.len() - 1) } else { String::new() };
        let text = format!(" » {}{more} is sent in {left} s", delayed.label);
        return Line::from(vec![
            Span::styled(cut(&text, columns.saturating_sub(20)), theme.style(Role::Warn)),
            Span::styled(format!("  {}", model.keymap.short(Id::Undo)), theme.style(Role::Key)),
            Span::styled(" takes it back", theme.style(Role::Dim)),
        ]);
    }
    match &model.toast {
        Some(toast) => {
            let more = if toast.until.is_none() && toast.role == Role::Bad { "  esc" } else { "" };
            Line::from(vec![
                Span::styled(format!(" {}", cut(&toast.text, columns.saturating_sub(2 + more.len()))), theme.style(toast.role)),
                Span::styled(more, theme.style(Role::Dim)),
            ])
        }
        None => quiet,
    }
}

/// Keys that the footer offers, in this order, as far as they fit; what acts comes first.
const FOOTER: [Id; 21] = [
    Id::Open,
    Id::Approve,
    Id::Reject,
    Id::Promote,
    Id::Pause,
    Id::Abort,
    Id::Retry,
    Id::Bump,
    Id::Why,
    Id::Arm,
    Id::Undo,
    Id::Close,
    Id::Filter,
    Id::Mark,
    Id::Gates,
    Id::Versions,
    Id::Fleet,
    Id::Contexts,
    Id::Prompt,
    Id::Help,
    Id::Quit,
];

/// The last line: keys that do something here and now.
#[must_use]
pub fn footer(model: &Model, columns: usize, area: Rect, hits: &mut Hits) -> Line<'static> {
    let theme = model.theme();
    let mut spans = Vec::new();
    let (mut room, mut column) = (columns.saturating_sub(1), area.x);
    // The way out and the way to help are always there.
    let kept: usize = hints(model).iter().filter(|(id, ..)| is_kept(*id)).map(|(_, key, title)| width(key) + width(title) + 3).sum();
    room = room.saturating_sub(kept);
    for (id, key, title) in hints(model) {
        let wide = width(&key) + width(&title) + 3;
        if !is_kept(id) {
            if wide > room {
                continue;
            }
            room -= wide;
        }
        column = hits.word(area, column, wide, Hit::Key(id));
        spans.push(Span::styled(format!(" {key}"), theme.style(Role::Key)));
        spans.push(Span::styled(format!(" {title} "), theme.style(Role::Dim)));
    }
    Line::from(spans)
}

const fn is_kept(id: Id) -> bool {
    matches!(id, Id::Help | Id::Quit | Id::Close)
}

fn hints(model: &Model) -> Vec<(Id, String, String)> {
    let screen = model.address.screen();
    let legal = |action: &&Action| action.screens.contains(&screen) && offered(model, action.id);
    FOOTER
        .iter()
        .filter_map(|id| ACTIONS.iter().find(|action| action.id == *id))
        .filter(legal)
        .map(|action| (action.id, model.keymap.short(action.id), title(model, action)))
        .collect()
}

/// Whether the key would do something now. Without arming verbs are offered all the same: the answer
/// says how to arm, and the hand learns the key.
fn offered(model: &Model, id: Id) -> bool {
    if verbs::writes(id) {
        return !model.options.read_only && verbs::possible(model, id).is_ok();
    }
    match id {
        Id::Arm => !model.options.read_only,
        Id::Open => model.place.selection.is_some(),
        Id::Undo => !model.delayed.is_empty() || (model.armed() && model.undo.is_some()),
        Id::Why => model.subject().is_some(),
        Id::Mark => !model.rows.is_empty(),
        Id::Gates => model.address != Address::Gates && model.digests.each().any(|(_, digest)| digest.gates > 0),
        Id::Versions => model.address == Address::Fleet,
        Id::Fleet => model.address != Address::Fleet,
        _ => true,
    }
}

/// The title of an action as it stands: `s` is pause or resume, `W` arms or disarms.
#[must_use]
pub fn title(model: &Model, action: &Action) -> String {
    let paused = model.subject().is_some_and(|(_, canary)| canary.paused.is_some());
    let word: String = match action.id {
        Id::Pause => if paused { Verb::Resume.word() } else { Verb::Pause.word() }.into(),
        Id::Arm if model.armed() => "disarm".into(),
        _ => action.title.into(),
    };
    let count = match action.id {
        Id::Bump | Id::Sync => model.marked_contexts().len(),
        _ if verbs::writes(action.id) => model.marked_targets().len(),
        _ => 0,
    };
    if count > 1 { format!("{word} {count}") } else { word }
}

/// Keys that act on the selection and are legal, for the preview: key and title.
#[must_use]
pub fn next_keys(model: &Model) -> Vec<(String, String)> {
    let screen = model.address.screen();
    ACTIONS
        .iter()
        .filter(|action| {
            action.group == Group::Act
                && !matches!(action.id, Id::Arm | Id::Stop | Id::Undo)
                && action.screens.contains(&screen)
                && offered(model, action.id)
        })
        .map(|action| (model.keymap.short(action.id), title(model, action)))
        .collect()
}

/// Whether a screen of this size has a line for them.
#[must_use]
pub const fn has_tabs((width, height): (u16, u16)) -> bool {
    height >= 30 && width >= 60
}

/// The screens that have a number, as one line; the present one stands out.
#[must_use]
pub fn tabs(model: &Model, columns: usize, area: Rect, hits: &mut Hits) -> Line<'static> {
    const TABS: [(Id, Address); 5] = [
        (Id::Fleet, Address::Fleet),
        (Id::Versions, Address::Versions),
        (Id::Gates, Address::Gates),
        (Id::Events, Address::Events),
        (Id::Log, Address::Log),
    ];
    let theme = model.theme();
    let waiting: usize =
        model.digests.each().filter(|(context, _)| attention::in_scope(&model.scope, &context.name)).map(|(_, digest)| digest.gates).sum();
    let mut left = vec![Span::raw(" ")];
    for (id, address) in TABS {
        let Some(action) = super::super::actions::action(id) else { continue };
        let here = model.address == address;
        let count = if id == Id::Gates && waiting > 0 { format!("({waiting})") } else { String::new() };
        let (key, word) = (model.keymap.short(id), format!("{}{count}", action.title));
        let column = u16::try_from(left.iter().map(Span::width).sum::<usize>()).unwrap_or(u16::MAX);
        hits.word(area, area.x.saturating_add(column), width(&key) + 1 + width(&word), Hit::Tab(id));
        left.push(Span::styled(key, theme.style(Role::Key)));
        let role = if here {
            Role::Title
        } else if count.is_empty() {
            Role::Dim
        } else {
            Role::Gate
        };
        let mut style = theme.style(role);
        if here {
            style = style.add_modifier(ratatui::style::Modifier::UNDERLINED);
        }
        left.push(Span::styled(" ", theme.style(Role::Dim)));
        left.push(Span::styled(word, style));
        left.push(Span::raw("   "));
    }
    let sort = format!("sort: {} ", model.place.sort.word());
    spread(left, vec![Span::styled(sort, theme.style(Role::Dim))], columns)
}
