//! What stands where on the last frame, so that a click means what it points at.
//!
//! A screen calls [`Hits::rows`] for a list and [`Hits::push`] for anything else while it draws; what
//! is drawn later lies over what was drawn before.

use ratatui::layout::{Position, Rect};
use serde::{Deserialize, Serialize};

use super::actions::Id;

/// Something on the frame that a click can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Hit {
    /// A row of the screen's list, counted from its first one, shown or not.
    Row(usize),
    /// An action, as if its key were pressed.
    Key(Id),
    /// A tab of the header, by the action that opens it.
    Tab(Id),
}

/// The regions of one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    regions: Vec<(Rect, Option<Hit>)>,
}

impl Hits {
    /// A region that means something.
    pub fn push(&mut self, area: Rect, hit: Hit) {
        self.regions.push((area, Some(hit)));
    }

    /// One line a row from the top of `area`, the first of them being row `first` of `count`.
    pub fn rows(&mut self, area: Rect, first: usize, count: usize) {
        for (line, row) in area.rows().zip(first..count) {
            self.push(line, Hit::Row(row));
        }
    }

    /// A word of `columns` columns in the one line of `area`; the column after it is the answer.
    pub fn word(&mut self, area: Rect, column: u16, columns: usize, hit: Hit) -> u16 {
        let width = u16::try_from(columns).unwrap_or(u16::MAX);
        self.push(Rect { x: column, width, ..area }.intersection(area), hit);
        column.saturating_add(width)
    }

    /// A region that means nothing, whatever lies under it.
    pub fn cover(&mut self, area: Rect) {
        self.regions.push((area, None));
    }

    /// What is on top at this cell.
    #[must_use]
    pub fn at(&self, column: u16, row: u16) -> Option<Hit> {
        let here = Position::new(column, row);
        self.regions.iter().rev().find(|(area, _)| area.contains(here)).and_then(|(_, hit)| *hit)
    }
}

/// The part of `area` that begins after `above` lines and has `room` lines.
#[must_use]
pub fn list(area: Rect, above: usize, room: usize) -> Rect {
    let rows = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    Rect { y: area.y.saturating_add(rows(above)), height: rows(room), ..area }.intersection(area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_drawn_is_hit() {
        let mut hits = Hits::default();
        hits.rows(Rect::new(0, 3, 80, 10), 7, 9);
        hits.push(Rect::new(1, 20, 12, 1), Hit::Key(Id::Help));
        assert_eq!(hits.at(5, 3), Some(Hit::Row(7)));
        assert_eq!(hits.at(79, 4), Some(Hit::Row(8)));
        assert_eq!(hits.at(5, 5), None, "only as many rows as there are");
        assert_eq!((hits.at(12, 20), hits.at(13, 20)), (Some(Hit::Key(Id::Help)), None));
        hits.cover(Rect::new(0, 0, 80, 4));
        assert_eq!((hits.at(5, 3), hits.at(5, 4)), (None, Some(Hit::Row(8))));
    }
}
