//! What is due when: one queue for all controllers of a world. A task stands in it once, at its earliest time,
//! as in the work queues of real controllers, and those that failed come again after growing waits.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::options::milliseconds;
use super::view::Key;

/// The wait after a first failure and the longest one, in milliseconds.
const RETRY: (u64, u64) = (5, 60_000);

/// Who has something to do. The order decides between tasks of the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    ReplicaSet,
    Deployment,
    Garbage,
    Endpoints,
    VirtualService,
    DestinationRule,
    HttpRoute,
    /// Who sends how much where in one namespace; last of all that may change it.
    Flows,
    Autoscaler,
    Agent,
}

/// One object that one part has to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    pub part: Part,
    pub key: Key,
}

#[derive(Debug, Default)]
pub struct Agenda {
    queue: BTreeSet<(Timestamp, Task)>,
    due: BTreeMap<Task, Timestamp>,
    failures: BTreeMap<Task, u32>,
}

impl Agenda {
    /// Puts a task in, unless it stands there for an earlier time.
    pub fn at(&mut self, time: Timestamp, part: Part, key: &Key) {
        let task = Task { part, key: key.clone() };
        if let Some(before) = self.due.get(&task).copied() {
            if before <= time {
                return;
            }
            self.queue.remove(&(before, task.clone()));
        }
        self.due.insert(task.clone(), time);
        self.queue.insert((time, task));
    }

    /// The next task that is due, with its time.
    pub fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Task)> {
        if self.queue.first()?.0 > now {
            return None;
        }
        let (time, task) = self.queue.pop_first()?;
        self.due.remove(&task);
        Some((time, task))
    }

    /// When the next task is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(time, _)| *time)
    }

    /// Puts a task in again that failed at `time`.
    pub fn retry(&mut self, time: Timestamp, part: Part, key: &Key) {
        let failures = self.failures.entry(Task { part, key: key.clone() }).or_default();
        let wait = (RETRY.0 << (*failures).min(20)).min(RETRY.1);
        *failures += 1;
        self.at(time + milliseconds(wait), part, key);
    }

    /// Forgets the failures of a task that went well.
    pub fn succeeded(&mut self, part: Part, key: &Key) {
        if !self.failures.is_empty() {
            self.failures.remove(&Task { part, key: key.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milli: i64) -> Timestamp {
        Timestamp::from_millisecond(milli).expect("a time")
    }

    #[test]
    fn a_task_stands_once_at_its_earliest_time() {
        let mut agenda = Agenda::default();
        let key = Key::new("a", "b");
        for time in [30, 10, 20] {
            agenda.at(at(time), Part::Deployment, &key);
        }
        agenda.at(at(10), Part::ReplicaSet, &key);
        assert_eq!((agenda.next(), agenda.pop(at(9))), (Some(at(10)), None));
        let parts: Vec<_> = std::iter::from_fn(|| agenda.pop(at(100))).map(|(time, task)| (time, task.part)).collect();
        assert_eq!(parts, [(at(10), Part::ReplicaSet), (at(10), Part::Deployment)]);
    }

    #[test]
    fn waits_after_failures_grow_until_one_goes_well() {
        let mut agenda = Agenda::default();
        let key = Key::new("a", "b");
        let mut waits = Vec::new();
        for _ in 0..20 {
            agenda.retry(at(0), Part::Agent, &key);
            waits.push(agenda.pop(at(100_000)).expect("a task").0.as_millisecond());
        }
        assert_eq!((waits[0], waits[1], waits[19]), (5, 10, 60_000));
        agenda.succeeded(Part::Agent, &key);
        agenda.retry(at(0), Part::Agent, &key);
        assert_eq!(agenda.next(), Some(at(5)));
    }
}
