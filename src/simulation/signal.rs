//! A value that many wait to change, and who are woken in the order in which they came: the runtime's own channel wakes
//! them in a random one, and the same seed would not tell the same story twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

struct State<T> {
    value: T,
    /// Counts the changes.
    version: u64,
    closed: bool,
    listeners: u64,
    waiting: BTreeMap<u64, Waker>,
}

/// The side that changes the value. Dropped, it ends all waiting.
pub struct Sender<T> {
    state: Arc<Mutex<State<T>>>,
}

/// One that waits.
pub struct Receiver<T> {
    state: Arc<Mutex<State<T>>>,
    number: u64,
    seen: u64,
}

/// There will be no more changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Copy> Sender<T> {
    #[must_use]
    pub fn new(value: T) -> Self {
        Self { state: Arc::new(Mutex::new(State { value, version: 0, closed: false, listeners: 0, waiting: BTreeMap::new() })) }
    }

    /// Whoever subscribes waits for changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = lock(&self.state);
        state.listeners += 1;
        Receiver { state: Arc::clone(&self.state), number: state.listeners, seen: state.version }
    }

    #[must_use]
    pub fn get(&self) -> T {
        lock(&self.state).value
    }

    /// Sets the value and wakes everybody.
    pub fn set(&self, value: T) {
        let waiting = {
            let mut state = lock(&self.state);
            state.value = value;
            state.version += 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = lock(&self.state);
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

impl<T: Copy> Receiver<T> {
    #[must_use]
    pub fn get(&self) -> T {
        lock(&self.state).value
    }

    /// What has changed so far is no news.
    pub fn mark_unchanged(&mut self) {
        self.seen = lock(&self.state).version;
    }

    /// Returns at the next change, at once if there was one since the last.
    ///
    /// # Errors
    /// [`Closed`] when there can be none.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        std::future::poll_fn(|context| {
            let mut state = lock(&self.state);
            if state.version != self.seen {
                self.seen = state.version;
                return Poll::Ready(Ok(()));
            }
            if state.closed {
                return Poll::Ready(Err(Closed));
            }
            let before = state.waiting.insert(self.number, context.waker().clone());
            drop(state);
            // A waker may hold the last of a task, which may hold a receiver.
            drop(before);
            Poll::Pending
        })
        .await
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let waiting = lock(&self.state).waiting.remove(&self.number);
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_is_woken_in_the_order_they_came() {
        let sender = Sender::new(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (mut receiver, order) = (sender.subscribe(), Arc::clone(&order));
            tasks.spawn(async move {
                while receiver.changed().await.is_ok() {
                    order.lock().expect("nobody panics").push((receiver.get(), number));
                }
            });
        }
        for value in 1..=3 {
            tokio::task::yield_now().await;
            sender.set(value);
        }
        tokio::task::yield_now().await;
        drop(sender);
        while tasks.join_next().await.is_some() {}
        let expected: Vec<_> = (1..=3).flat_map(|value| (0..20).map(move |number| (value, number))).collect();
        assert_eq!(*order.lock().expect("nobody panics"), expected);
    }

    #[tokio::test]
    async fn a_change_between_two_looks_is_not_missed() {
        let sender = Sender::new(1);
        let mut receiver = sender.subscribe();
        sender.set(2);
        sender.set(3);
        assert_eq!((receiver.changed().await, receiver.get()), (Ok(()), 3));
        sender.set(4);
        receiver.mark_unchanged();
        drop(sender);
        assert_eq!((receiver.changed().await, receiver.get()), (Err(Closed), 4));
    }
}
