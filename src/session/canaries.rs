//! The canaries of one view: a list whose items are shared with the view before it, as most of them have not changed.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::view::CanaryView;
use crate::domain::target::CanaryKey;

/// A list of canaries that is cheap to copy. What is changed in one copy stays as it was in the others.
#[derive(Clone, Debug, Default)]
pub struct Canaries(Vec<Arc<CanaryView>>);

impl Canaries {
    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(|canary| &**canary)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn get(&self, index: usize) -> Option<&CanaryView> {
        self.0.get(index).map(|canary| &**canary)
    }

    /// The canary of this name. Sessions list them in the order of their keys; a list made otherwise is gone through.
    #[must_use]
    pub fn find(&self, key: &CanaryKey) -> Option<&CanaryView> {
        match self.0.binary_search_by(|canary| canary.key.cmp(key)) {
            Ok(index) => self.get(index),
            Err(_) => self.iter().find(|canary| canary.key == *key),
        }
    }

    #[must_use]
    pub fn first(&self) -> Option<&CanaryView> {
        self.get(0)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut CanaryView> {
        self.0.iter_mut().map(Arc::make_mut)
    }

    pub fn push(&mut self, canary: CanaryView) {
        self.0.push(Arc::new(canary));
    }

    /// Takes out the canary at `index`, where there is one.
    pub fn remove(&mut self, index: usize) -> Option<CanaryView> {
        (index < self.0.len()).then(|| Arc::unwrap_or_clone(self.0.remove(index)))
    }

    /// Keeps the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// Whether these are the very items of `other`: then nothing of them has changed.
    #[must_use]
    pub fn are_those_of(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, other)| Arc::ptr_eq(one, other))
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Goes through a list of canaries.
pub type Iter<'a> = std::iter::Map<std::slice::Iter<'a, Arc<CanaryView>>, fn(&'a Arc<CanaryView>) -> &'a CanaryView>;

impl<'a> IntoIterator for &'a Canaries {
    type Item = &'a CanaryView;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.0.iter().map(|canary| &**canary)
    }
}

impl FromIterator<Arc<CanaryView>> for Canaries {
    fn from_iter<I: IntoIterator<Item = Arc<CanaryView>>>(canaries: I) -> Self {
        Self(canaries.into_iter().collect())
    }
}

impl From<Vec<CanaryView>> for Canaries {
    fn from(canaries: Vec<CanaryView>) -> Self {
        canaries.into_iter().map(Arc::new).collect()
    }
}

impl Index<usize> for Canaries {
    type Output = CanaryView;

    fn index(&self, index: usize) -> &CanaryView {
        &self.0[index]
    }
}

impl IndexMut<usize> for Canaries {
    fn index_mut(&mut self, index: usize) -> &mut CanaryView {
        Arc::make_mut(&mut self.0[index])
    }
}

impl<'de> Deserialize<'de> for Canaries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<CanaryView>::deserialize(deserializer).map(Self::from)
    }
}

impl Serialize for Canaries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}
