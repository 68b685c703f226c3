//! `pilothouse man`: the man page in roff, section 1.
//!
//! Options and commands are those of the command line's definition, keys those of the table of actions. What neither
//! of them knows stands in tables here: exit codes, files, variables.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::{Failure, Outcome, output};
use crate::config::settings;
use crate::ui::actions::Group;
use crate::ui::keymap::Keymap;

/// Exit codes and what they mean.
const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "Fine."),
    ("1", "Failed."),
    ("2", "Called in a way that means nothing, or a file has mistakes."),
    ("3", "Waits for a human."),
    ("4", "Part of the fleet cannot be reached."),
    ("5", "Refused by a policy or a permission."),
];

/// Variables that are read.
const VARIABLES: &[(&str, &str)] = &[
    ("KUBECONFIG", "Kubeconfig files, with colons between them; --kubeconfig goes before it."),
    (
        "XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME",
        "Where the folders named under FILES are; else ~/.config, ~/.local/state and ~/.cache.",
    ),
    ("VISUAL, EDITOR", "The editor that shows objects; else vi."),
    ("NO_COLOR, CLICOLOR_FORCE, COLORTERM, TERM", "How much colour the terminal takes."),
    ("COLORFGBG", "Whether the terminal is dark or light, until it has answered itself."),
    ("LC_ALL, LC_CTYPE, LANG", "ASCII is drawn where they name something else than UTF-8."),
    ("TMUX, STY, TERM_PROGRAM", "What the console is looked at through."),
    ("PILOTHOUSE_LOG", "Filters the log, for example pilothouse=debug."),
    ("EVENT_WEBHOOK_URL, SLACK_URL, MSTEAMS_URL", "Where events and alerts go that the fleet file names no address for."),
    ("GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL", "Who moves a pin; else what git is set to."),
    ("GIT_SSH_COMMAND, GIT_SSH", "How git reaches a repository by SSH."),
];

/// Prints the page of the program that `command` defines.
pub(super) fn man(command: Command) -> Outcome {
    output::print(&page(command).map_err(Failure::failed)?);
    Ok(0)
}

/// # Errors
/// Where what is generated cannot be put together; writing to memory does not fail.
fn page(command: Command) -> io::Result<String> {
    let mut command = command.disable_help_subcommand(true).subcommand_value_name("COMMAND");
    command.build();
    // An argument of a macro that is empty has to be written as one, or those behind it move up.
    let man = Man::new(command.clone()).title("PILOTHOUSE").date("\"\"").manual("Pilothouse");
    let mut bytes = Vec::new();
    man.render_title(&mut bytes)?;
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    let mut own = Roff::new();
    own.control("SH", ["COMMANDS"]).text([roman("TARGET is CONTEXT/NAMESPACE/NAME. The options above work with every command.")]);
    commands(&mut own, &command, command.get_name());
    own.control("SH", ["KEYS"]).text([roman(
        "The keys of the console, as they are bound where the settings say nothing else. Verbs work while it is armed. Some ask \
         first: for y, for the name of what they act on, or for the verb and how many it acts on.",
    )]);
    keys(&mut own);
    own.control("SH", ["EXIT STATUS"]);
    list(&mut own, EXIT_STATUS.iter().map(|(code, what)| ((*code).to_owned(), (*what).to_owned())));
    own.control("SH", ["FILES"]).text([roman("pilothouse config paths prints where they are for you.")]);
    list(&mut own, places());
    own.control("SH", ["ENVIRONMENT"]);
    list(&mut own, VARIABLES.iter().map(|(names, what)| ((*names).to_owned(), (*what).to_owned())));
    own.to_writer(&mut bytes)?;
    man.render_version_section(&mut bytes)?;
    Ok(once(&String::from_utf8_lossy(&bytes)))
}

/// Each section comes with the definition of the apostrophe in front; a page needs it once.
fn once(text: &str) -> String {
    let is_preamble = |line: &str| line.starts_with(".ie ") || line.starts_with(".el ");
    let (preamble, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| is_preamble(line));
    preamble.into_iter().take(2).chain(rest).flat_map(|line| [line, "\n"]).collect()
}

/// The commands below `of`, each with its own arguments.
fn commands(out: &mut Roff, of: &Command, above: &str) {
    for command in of.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("{above} {}", command.get_name());
        let mut usage = vec![bold(name.as_str())];
        for arg in arguments(command) {
            usage.push(roman(if arg.is_required_set() { " " } else { " [" }));
            usage.extend(written(arg));
            if !arg.is_required_set() {
                usage.push(roman("]"));
            }
        }
        out.control("TP", []).text(usage).text([roman(about(command.get_about().or_else(|| command.get_long_about())))]);
        let explained: Vec<&Arg> = arguments(command).filter(|arg| !help(arg).is_empty()).collect();
        if !explained.is_empty() {
            out.control("RS", []);
            for arg in explained {
                out.control("TP", []).text(written(arg)).text([roman(help(arg))]);
            }
            out.control("RE", []);
        }
        commands(out, command, &name);
    }
}

/// Arguments of this command alone.
fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
}

/// An argument as it is typed: `--to REF`, `TARGET`.
fn written(arg: &Arg) -> Vec<Inline> {
    let mut out = Vec::new();
    if let Some(long) = arg.get_long() {
        out.push(bold(format!("--{long}")));
    }
    if arg.get_action().takes_values() {
        if !out.is_empty() {
            out.push(roman(" "));
        }
        let names = arg.get_value_names().unwrap_or_default();
        out.push(italic(names.iter().map(clap::builder::Str::as_str).collect::<Vec<_>>().join(" ")));
    }
    out
}

/// What an argument does, what it may be and what it is where it is left out.
fn help(arg: &Arg) -> String {
    let mut text = about(arg.get_long_help().or_else(|| arg.get_help()));
    if arg.get_action().takes_values() {
        let may_be: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        if !may_be.is_empty() {
            text.push_str(&format!(" ({})", may_be.join(", ")));
        }
        let left_out: Vec<_> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy()).filter(|value| !value.is_empty()).collect();
        if !left_out.is_empty() {
            text.push_str(&format!(" [default: {}]", left_out.join(" ")));
        }
    }
    text.trim_start().to_owned()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The keys of the table of actions, in the order of the help screen.
fn keys(out: &mut Roff) {
    let keymap = Keymap::default();
    for group in Group::ALL {
        out.control("SS", [group.title()]);
        let rows = keymap.table().filter(|(action, _)| action.group == group).map(|(action, keys)| {
            let asks = action.tier.asks();
            let asks = if asks.is_empty() { String::new() } else { format!(" (asks: {asks})") };
            (keys.join(", "), format!("{}: {}{asks}", action.title, action.help))
        });
        list(out, rows);
    }
}

/// Files of a user, by the customs of XDG, whoever reads the page.
fn places() -> Vec<(String, String)> {
    let row = |path: String, what: &str| (path, what.to_owned());
    vec![
        row("~/.config/pilothouse/fleet.yaml".into(), "The fleet file, where --config names no other."),
        row(format!("~/.config/pilothouse/{}", settings::FILE), "Theme, keys and switches of the console."),
        row(format!("~/.config/pilothouse/{}/NAME.toml", settings::THEMES), "A theme of your own."),
        row("~/.local/state/pilothouse".into(), "Logs, and reports of panics."),
        row("~/.cache/pilothouse".into(), "Mirrors of repositories, and the fleet as it was seen last; it may be deleted."),
        row("~/.kube/config".into(), "The kubeconfig, where nothing names another."),
    ]
}

/// Names in bold, each with a text behind it.
fn list(out: &mut Roff, rows: impl IntoIterator<Item = (String, String)>) {
    for (name, text) in rows {
        out.control("TP", []).text([bold(name)]).text([roman(text)]);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::ui::actions::ACTIONS;

    fn of_this_program() -> String {
        page(super::super::Cli::command()).expect("a page")
    }

    /// What a reader sees of a line: without fonts and escapes.
    fn plain(page: &str) -> String {
        let fonts = ["\\fB", "\\fI", "\\fR"].iter().fold(page.to_owned(), |text, font| text.replace(font, ""));
        fonts.replace("\\-", "-").replace("\\*(Aq", "'").replace("\\&", "").replace("\\\\", "\\")
    }

    #[test]
    fn every_action_stands_in_it_with_its_keys() {
        let page = plain(&of_this_program());
        for action in ACTIONS {
            let row = format!("\n{}\n{}: {}", action.keys.join(", "), action.title, action.help);
            assert!(page.contains(&row), "the man page lacks {:?}, which is to stand there as{row}", action.id);
            assert!(page.contains(&format!("{}{}", action.help, if action.tier.asks().is_empty() { "\n" } else { " (asks: " })));
        }
    }

    #[test]
    fn every_command_and_every_option_stands_in_it() {
        let page = plain(&of_this_program());
        let mut command = super::super::Cli::command().disable_help_subcommand(true);
        command.build();
        let mut all: Vec<(String, &Command)> = vec![("pilothouse".into(), &command)];
        while let Some((name, command)) = all.pop() {
            assert!(page.lines().any(|line| line == name || line.starts_with(&format!("{name} "))), "the man page lacks `{name}`");
            for arg in command.get_arguments() {
                let word = arg.get_long().map_or_else(|| arg.get_id().as_str().to_uppercase(), |long| format!("--{long}"));
                assert!(page.contains(&word), "the man page lacks {word} of `{name}`");
            }
            all.extend(command.get_subcommands().map(|sub| (format!("{name} {}", sub.get_name()), sub)));
        }
    }

    #[test]
    fn it_is_roff_that_every_reader_of_man_pages_knows() {
        const MACROS: [&str; 11] = ["TH", "SH", "SS", "TP", "IP", "PP", "RS", "RE", "br", "ie", "el"];
        let page = of_this_program();
        let (mut deep, mut headed) = (0_i32, 0);
        for (number, line) in (1..).zip(page.lines()) {
            assert!(!line.starts_with('\''), "line {number} is taken for a macro: {line}");
            if let Some(rest) = line.strip_prefix('.') {
                let name = rest.split(' ').next().unwrap_or_default();
                assert!(MACROS.contains(&name), "line {number}: .{name} is no macro of man pages: {line}");
                assert!(rest.matches('"').count() % 2 == 0, "line {number} has a quote without its other: {line}");
                deep += i32::from(name == "RS") - i32::from(name == "RE");
                headed += i32::from(name == "TH");
            }
            assert!((0..=1).contains(&deep), "line {number}: .RS and .RE do not go together");
        }
        assert_eq!((deep, headed), (0, 1));
        assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "control characters");
        assert!(page.is_ascii(), "not every reader knows the encoding: {:?}", page.chars().filter(|c| !c.is_ascii()).collect::<String>());
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "KEYS", "FILES", "ENVIRONMENT", "VERSION"] {
            assert_eq!(page.matches(&format!(".SH {section}\n")).count(), 1, "{section}");
        }
        assert!(page.contains(".SH \"EXIT STATUS\"\n") && page.contains(".TH PILOTHOUSE 1 \"\" "));
    }
}
