//! Logins at the terminal, for contexts whose credential plugin waits for a person.

use std::io::IsTerminal as _;
use std::process::Stdio;

use tokio::task::JoinSet;

use super::{Failure, Global, Outcome, contexts, output};
use crate::kubernetes::contexts::Contexts;
use crate::kubernetes::credentials::LoginCommand;

/// One login, and the contexts that it serves.
struct Login {
    command: LoginCommand,
    contexts: Vec<String>,
}

pub(super) async fn login(global: &Global, named: &[String], expired: bool) -> Outcome {
    let contexts = contexts(global)?;
    let named: Vec<String> = named.iter().chain(&global.context).cloned().collect();
    for name in &named {
        contexts.check(name).map_err(Failure::usage)?;
        if contexts.login_command(name).is_none() {
            return Err(Failure::usage(format!(
                "context {name} has no credential plugin that a person could log in for; {}",
                way_out(&contexts, name)
            )));
        }
    }
    let mut names = if named.is_empty() { contexts.names() } else { named };
    if expired {
        names = without_credential(&contexts, names).await;
    }
    let logins = logins(&contexts, names);
    if logins.is_empty() {
        output::print(if expired { "no context waits for a login\n" } else { "no context has a credential plugin that asks\n" });
        return Ok(0);
    }
    if global.dry_run {
        for login in &logins {
            output::print(&format!("would run {}, for {}\n", shown(&login.command), login.contexts.join(", ")));
        }
        return Ok(0);
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::usage("a login needs a terminal; --dry-run names the commands"));
    }
    let mut failed = Vec::new();
    for login in &logins {
        output::complain(&format!("{}, for {}", login.command.hint, login.contexts.join(", ")));
        match run(&login.command).await {
            Ok(()) => failed.extend(look(&contexts, &login.contexts).await),
            Err(why) => failed.push(format!("{}: {why}", login.contexts.join(", "))),
        }
    }
    if failed.is_empty() { Ok(0) } else { Err(Failure::failed(failed.join("\n"))) }
}

fn way_out(contexts: &Contexts, name: &str) -> String {
    match contexts.credential(name) {
        Some(credential) if credential.plugin.is_some() => "its plugin never asks: see what it needs by running it".into(),
        _ => "renew what stands in the kubeconfig".into(),
    }
}

/// Equal logins are one.
fn logins(contexts: &Contexts, names: Vec<String>) -> Vec<Login> {
    let mut logins: Vec<Login> = Vec::new();
    for name in names {
        let Some(command) = contexts.login_command(&name) else { continue };
        match logins.iter_mut().find(|login| login.command == command) {
            Some(login) => login.contexts.push(name),
            None => logins.push(Login { command, contexts: vec![name] }),
        }
    }
    logins
}

/// Those of `names` whose plugin gives no credential now.
async fn without_credential(contexts: &Contexts, names: Vec<String>) -> Vec<String> {
    let mut asked = JoinSet::new();
    for (place, name) in names.into_iter().enumerate().filter(|(_, name)| contexts.login_command(name).is_some()) {
        let contexts = contexts.clone();
        asked.spawn(async move { contexts.authenticate(&name).await.is_err().then_some((place, name)) });
    }
    let mut without: Vec<(usize, String)> = asked.join_all().await.into_iter().flatten().collect();
    without.sort();
    without.into_iter().map(|(_, name)| name).collect()
}

fn shown(command: &LoginCommand) -> String {
    let words = std::iter::once(&command.program).chain(&command.args);
    crate::domain::text::clean(&words.map(String::as_str).collect::<Vec<_>>().join(" "))
}

async fn run(command: &LoginCommand) -> Result<(), String> {
    let mut child = tokio::process::Command::new(&command.program);
    child.args(&command.args).envs(&command.env);
    if command.prints_secret {
        child.stdout(Stdio::null());
    }
    let status = child.status().await.map_err(|error| format!("{} cannot be started: {error}", command.program))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", shown(command))) }
}

/// What the contexts' plugins say after the login; returns the failures.
async fn look(contexts: &Contexts, names: &[String]) -> Vec<String> {
    let mut failed = Vec::new();
    for name in names {
        contexts.forget_credential(name);
    }
    for name in names {
        match contexts.authenticate(name).await {
            Ok(()) => {
                let until = contexts.credential(name).and_then(|credential| credential.expires);
                let until = until.map(|at| format!(" until {at:.0}")).unwrap_or_default();
                output::print(&format!("{}: logged in{until}\n", crate::domain::text::clean(name)));
            }
            Err(error) => failed.push(error.to_string()),
        }
    }
    failed
}
