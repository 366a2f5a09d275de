//! Which registers a unit has: what to ask next, and what the answers say. Pure.
//!
//! Asked for in blocks. A block that is refused is cut in two until single registers are refused; a table that the
//! unit does not have ends the sweep, and so does a unit that has stopped answering.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::hand::Said;
use super::registers::Words;

/// Blocks in a row without an answer after which a unit is not asked any more.
const MOST_SILENT: u32 = 3;

/// What stands at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// A register's or bit's value.
    Value(u16),
    /// It was refused, with this code.
    Refused(u8),
    /// There was no answer, or none that can be read.
    Silent,
}

/// A walk over one table of one unit.
#[derive(Debug)]
pub struct Sweep {
    /// First and count of each block, the next one last.
    waiting: Vec<(u16, u16)>,
    found: BTreeMap<u16, Cell>,
    silent: u32,
    ended: Option<&'static str>,
}

impl Sweep {
    /// A walk over these addresses (as on the wire, from 0), so many at once.
    pub fn new(addresses: RangeInclusive<u16>, block: u16) -> Self {
        let step = usize::from(block.max(1));
        let mut waiting: Vec<_> = addresses
            .clone()
            .step_by(step)
            .map(|first| (first, (addresses.end() - first).saturating_add(1).min(block.max(1))))
            .collect();
        waiting.reverse();
        Self { waiting, found: BTreeMap::new(), silent: 0, ended: None }
    }

    /// First address and count of the next question; `None` at the end.
    pub fn next(&self) -> Option<(u16, u16)> {
        self.waiting.last().copied()
    }

    /// Blocks that still wait. Refused ones become more.
    pub fn left(&self) -> usize {
        self.waiting.len()
    }

    /// Takes what was said to the question that [`Sweep::next`] named.
    pub fn handle(&mut self, said: &Said) {
        let Some((first, count)) = self.waiting.pop() else { return };
        let all = (0..count).map(|at| first.saturating_add(at));
        self.silent = if matches!(said, Said::Nothing) { self.silent + 1 } else { 0 };
        match said {
            Said::Words(Words::Registers(words)) => {
                self.found.extend(all.zip(words.iter().map(|word| Cell::Value(*word))));
            }
            Said::Words(Words::Bits(bits)) => {
                self.found.extend(all.zip(bits.iter().map(|bit| Cell::Value(u16::from(*bit)))));
            }
            Said::Refused(1) => {
                self.waiting.clear();
                self.ended = Some("the device has no such table (exception 1)");
            }
            Said::Refused(2 | 3) if count > 1 => {
                let half = count / 2;
                self.waiting.push((first.saturating_add(half), count - half));
                self.waiting.push((first, half));
            }
            Said::Refused(code) => self.found.extend(all.map(|at| (at, Cell::Refused(*code)))),
            Said::Nothing | Said::Unreadable(_) => self.found.extend(all.map(|at| (at, Cell::Silent))),
        }
        if self.silent >= MOST_SILENT {
            self.waiting.clear();
            self.ended = Some("the unit has stopped answering");
        }
    }

    /// What was found so far, by address.
    pub fn found(&self) -> &BTreeMap<u16, Cell> {
        &self.found
    }

    /// Why it ended before its last address, where it did.
    pub fn ended(&self) -> Option<&'static str> {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit with these registers, asked until the end; how many questions it took.
    fn walk(sweep: &mut Sweep, has: &[RangeInclusive<u16>], most: u16) -> usize {
        let mut questions = 0;
        while let Some((first, count)) = sweep.next() {
            questions += 1;
            let there = |at: u16| has.iter().any(|range| range.contains(&at));
            let said = if count > most {
                Said::Refused(3)
            } else if (first..=first + (count - 1)).all(there) {
                Said::Words(Words::Registers((first..=first + (count - 1)).collect()))
            } else {
                Said::Refused(2)
            };
            sweep.handle(&said);
        }
        questions
    }

    #[test]
    fn every_register_that_is_there_is_found_and_every_other_is_refused_by_itself() {
        let mut sweep = Sweep::new(0..=199, 50);
        let questions = walk(&mut sweep, &[3..=40, 100..=149, 199..=199], 125);
        let values: Vec<_> =
            sweep.found().iter().filter(|(_, cell)| matches!(cell, Cell::Value(_))).collect();
        assert_eq!(values.len(), 38 + 50 + 1);
        assert!(values.iter().all(|(at, cell)| **cell == Cell::Value(**at)));
        assert_eq!(sweep.found().len(), 200);
        assert!(questions < 250, "{questions} questions");
    }

    #[test]
    fn a_device_that_takes_few_registers_at_once_is_asked_for_few() {
        let mut sweep = Sweep::new(0..=63, 64);
        walk(&mut sweep, &[0..=63], 16);
        assert!(sweep.found().values().all(|cell| matches!(cell, Cell::Value(_))));
    }

    #[test]
    fn a_table_that_is_not_there_costs_one_question() {
        let mut sweep = Sweep::new(0..=999, 10);
        sweep.handle(&Said::Refused(1));
        assert_eq!((sweep.next(), sweep.found().len()), (None, 0));
        assert!(sweep.ended().is_some());
    }

    #[test]
    fn a_unit_that_has_stopped_answering_is_left_alone() {
        let mut sweep = Sweep::new(0..=999, 10);
        for _ in 0..MOST_SILENT {
            assert!(sweep.next().is_some());
            sweep.handle(&Said::Nothing);
        }
        assert_eq!(sweep.next(), None);
        assert!(sweep.ended().is_some());
    }

    #[test]
    fn the_last_address_of_a_table_can_be_asked_for() {
        let mut sweep = Sweep::new(65_530..=u16::MAX, 4);
        assert_eq!(sweep.next(), Some((65_530, 4)));
        walk(&mut sweep, &[65_530..=u16::MAX], 125);
        assert_eq!(sweep.found().len(), 6);
    }
}
