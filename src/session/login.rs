//! Logging in to contexts whose plugin waits for a person: what to run at the terminal, and what follows from it.

use std::sync::Arc;

use super::context::Context;
use super::fleet::Session;
pub use crate::kubernetes::credentials::LoginCommand;

impl Session {
    /// What a person runs at a terminal to log in to the context `name`, or to an alias of it; `None` where its
    /// credential does not come from a plugin that can ask.
    #[must_use]
    pub fn login_command(&self, name: &str) -> Option<LoginCommand> {
        let context = self.context(name)?;
        self.kubeconfig().login_command(&context.name)
    }

    /// The contexts that one login serves: the one called `name`, and all whose login is the same.
    #[must_use]
    pub fn served_by_login(&self, name: &str) -> Vec<Arc<Context>> {
        let Some(wanted) = self.login_command(name) else { return self.context(name).into_iter().collect() };
        let same = |context: &Arc<Context>| self.kubeconfig().login_command(&context.name).as_ref() == Some(&wanted);
        self.contexts().into_iter().filter(same).collect()
    }

    /// Somebody has logged in to `name`: it and all contexts with the same login connect at once.
    pub fn logged_in(&self, name: &str) {
        for context in self.served_by_login(name) {
            self.kubeconfig().forget_credential(&context.name);
            context.retry_now();
        }
    }
}
