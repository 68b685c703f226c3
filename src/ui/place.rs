//! What a screen keeps while the console is elsewhere: cursor, filter, order, marks, scroll.

use std::collections::BTreeSet;

use super::rows::RowKey;
use super::rows::filter::Filter;

/// The state of one address. Going back finds it as it was left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The row under the cursor.
    pub selection: Option<RowKey>,
    /// The operator moved the cursor; until then it stays on the first row, which needs a look most.
    pub moved: bool,
    /// What rows must be.
    pub filter: Filter,
    /// Only what needs a look.
    pub trouble_only: bool,
    /// The order of rows.
    pub sort: Sort,
    /// Rows that a verb means together.
    pub marks: BTreeSet<RowKey>,
    /// The row from which a range of marks began.
    pub range_from: Option<RowKey>,
    /// First line shown of a screen that scrolls.
    pub scroll: usize,
}

/// What rows are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// By what needs a look most.
    #[default]
    Attention,
    /// By name.
    Name,
    /// The youngest change first.
    Age,
    /// By state, then name.
    State,
    /// By wave, then name.
    Wave,
    /// By the pinned ref, then name.
    Version,
    /// The heaviest canary first.
    Weight,
}

impl SortBy {
    /// Every order, as `O` goes through them.
    pub const ALL: [Self; 7] = [Self::Attention, Self::Name, Self::Age, Self::State, Self::Wave, Self::Version, Self::Weight];

    /// Its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Name => "name",
            Self::Age => "age",
            Self::State => "state",
            Self::Wave => "wave",
            Self::Version => "version",
            Self::Weight => "weight",
        }
    }
}

/// An order of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// What by.
    pub by: SortBy,
    /// The other way round.
    pub reversed: bool,
}

impl Sort {
    /// Orders by this; a second time turns the order round.
    pub fn by(&mut self, by: SortBy) {
        self.reversed = self.by == by && !self.reversed;
        self.by = by;
    }

    /// The next order of [`SortBy::ALL`].
    pub fn next(&mut self) {
        let at = SortBy::ALL.iter().position(|by| *by == self.by).unwrap_or(0);
        *self = Self { by: SortBy::ALL[(at + 1) % SortBy::ALL.len()], reversed: false };
    }

    /// In words, with an arrow.
    #[must_use]
    pub fn word(self) -> String {
        format!("{}{}", self.by.word(), if self.reversed { " ↑" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_asked_for_twice_turns_round() {
        let mut sort = Sort::default();
        sort.by(SortBy::Name);
        assert_eq!(sort.word(), "name");
        sort.by(SortBy::Name);
        assert_eq!(sort.word(), "name ↑");
        sort.by(SortBy::Age);
        assert_eq!(sort.word(), "age");
        for _ in SortBy::ALL {
            sort.next();
        }
        assert_eq!(sort.by, SortBy::Age, "through all and round");
    }
}
