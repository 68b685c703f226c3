//! What the session tells, and what settings say: the channels of a port as one stream of events.

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::{mpsc, watch};

use super::looks::Looks;
use super::message::Event;
use crate::session::command::Outcome;
use crate::session::questions::Answer;
use crate::session::view::FleetView;

/// The channels, each of them until it ends.
pub(super) struct Sources {
    view: Option<watch::Receiver<Arc<FleetView>>>,
    outcomes: Option<mpsc::UnboundedReceiver<Outcome>>,
    answers: Option<mpsc::UnboundedReceiver<Answer>>,
    looks: Option<watch::Receiver<Arc<Looks>>>,
}

/// Resolves when there is something new, `true`, or when the source ends; where it has ended, never.
async fn changed<T>(source: &mut Option<watch::Receiver<T>>) -> bool {
    match source {
        Some(source) => source.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

/// The next value, or `None` at the end of the source; where it has ended, never.
async fn received<T>(source: &mut Option<mpsc::UnboundedReceiver<T>>) -> Option<T> {
    match source {
        Some(source) => source.recv().await,
        None => std::future::pending().await,
    }
}

impl Sources {
    pub(super) fn new(
        view: watch::Receiver<Arc<FleetView>>,
        outcomes: mpsc::UnboundedReceiver<Outcome>,
        answers: mpsc::UnboundedReceiver<Answer>,
        looks: watch::Receiver<Arc<Looks>>,
    ) -> Self {
        Self { view: Some(view), outcomes: Some(outcomes), answers: Some(answers), looks: Some(looks) }
    }

    /// The fleet as it is known already; it counts as told.
    pub(super) fn known(&mut self) -> Arc<FleetView> {
        self.view.as_mut().map(|view| view.borrow_and_update().clone()).unwrap_or_default()
    }

    /// The next event, the newest fleet before the rest; waits for ever once every source has ended.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                biased;
                new = changed(&mut self.view) => {
                    let Some(view) = self.view.as_mut().filter(|_| new) else {
                        self.view = None;
                        return Event::Ended;
                    };
                    return Event::View(view.borrow_and_update().clone());
                }
                outcome = received(&mut self.outcomes) => match outcome {
                    Some(outcome) => return Event::Outcome(outcome),
                    None => self.outcomes = None,
                },
                answer = received(&mut self.answers) => match answer {
                    Some(answer) => return Event::Answer(answer),
                    None => self.answers = None,
                },
                new = changed(&mut self.looks) => match self.looks.as_mut().filter(|_| new) {
                    Some(looks) => return Event::Looks(Arc::clone(&looks.borrow_and_update())),
                    None => self.looks = None,
                },
            }
        }
    }

    /// What is there now, without waiting.
    pub(super) fn ready(&mut self) -> Option<Event> {
        self.next().now_or_never()
    }
}
