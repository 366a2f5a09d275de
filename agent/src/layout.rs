//! Which source and point an index of the manifest stands for, by name, from one start to the next.
//!
//! Positions in logs and long-run ranges are kept under indices. A manifest whose sources were put in another order
//! must not hand one log the position of another: its records would be counted twice.

use std::collections::BTreeMap;

use buffer::Bookmarks;
use collectors::manifest::Manifest;
use proof::features::Range;
use serde::{Deserialize, Serialize};

/// The sources of a manifest in their order, each with the names of its points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout(Vec<(String, Vec<String>)>);

/// A range under the index of its source and the place of its point.
pub(crate) type PlacedRange = ((u16, usize), Range);

impl Layout {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let points = |source: &collectors::manifest::Source| {
            source.points().into_iter().map(|point| point.name.clone()).collect()
        };
        Self(manifest.sources.iter().map(|source| (source.name.clone(), points(source))).collect())
    }

    /// `None` for anything that [`Layout::encode`] did not write.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names are text")
    }

    /// Bookmarks of this layout under the indices of `new`; those of sources that it does not name are left out.
    pub(crate) fn move_bookmarks(&self, new: &Self, bookmarks: &Bookmarks) -> Bookmarks {
        let moved = self.moved(new);
        let place = |(source, bookmark): (&u16, &Vec<u8>)| {
            let (index, _) = moved.get(source)?;
            Some((*index, bookmark.clone()))
        };
        bookmarks.iter().filter_map(place).collect()
    }

    /// Ranges of this layout under the places of `new`; those of points that it does not name are left out.
    pub(crate) fn move_ranges(&self, new: &Self, ranges: Vec<PlacedRange>) -> Vec<PlacedRange> {
        let moved = self.moved(new);
        let place = |((source, point), range): PlacedRange| {
            let (index, points) = moved.get(&source)?;
            let name = self.0.get(usize::from(source) - 1)?.1.get(point)?;
            Some(((*index, points.iter().position(|other| other == name)?), range))
        };
        ranges.into_iter().filter_map(place).collect()
    }

    /// From an index here to the index and the points of the same source in `new`.
    fn moved<'a>(&self, new: &'a Self) -> BTreeMap<u16, (u16, &'a [String])> {
        let places =
            |layout: &'a Self| (1..).zip(&layout.0).map(|(index, (name, points))| (name, (index, points)));
        let new: BTreeMap<_, (u16, &'a Vec<String>)> = places(new).collect();
        let place = |(index, (name, _)): (u16, &(String, Vec<String>))| {
            let (to, points) = new.get(name)?;
            Some((index, (*to, points.as_slice())))
        };
        (1..).zip(&self.0).filter_map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(sources: &[(&str, &[&str])]) -> Layout {
        let points = |points: &[&str]| points.iter().map(|point| (*point).to_owned()).collect();
        Layout(sources.iter().map(|(name, of)| ((*name).to_owned(), points(of))).collect())
    }

    #[test]
    fn what_is_kept_follows_its_source_by_name() {
        let old = layout(&[("press", &["power", "parts"]), ("mes", &[]), ("erp", &[])]);
        let new = layout(&[("oven", &["power"]), ("erp", &[]), ("press", &["parts", "speed"])]);
        let bookmarks = Bookmarks::from([(2, b"mes".to_vec()), (3, b"erp".to_vec()), (9, b"gone".to_vec())]);
        assert_eq!(old.move_bookmarks(&new, &bookmarks), Bookmarks::from([(2, b"erp".to_vec())]));
        let range = |low| Range { low, high: low + 1.0 };
        let ranges =
            vec![((1, 0), range(1.0)), ((1, 1), range(2.0)), ((1, 7), range(3.0)), ((8, 0), range(4.0))];
        assert_eq!(old.move_ranges(&new, ranges), [((3, 0), range(2.0))]);
    }

    #[test]
    fn a_layout_reads_back_as_written() {
        let layout = layout(&[("冲床", &["功率"]), ("mes", &[])]);
        assert_eq!(Layout::decode(&layout.encode()), Some(layout));
        assert_eq!(Layout::decode(b""), None);
    }
}
