//! City figures as they may be published: no cell of fewer than five firms, none that one firm makes up, none that
//! the others give away. They cover the whole city always: two filtered releases could isolate a firm.

use scorer::Headline;

use super::rank::Badge;
use crate::source::Firm;

/// Fewest firms of a published cell.
const FEWEST: u64 = 5;

/// A figure, or the word that it is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    Shown(u64),
    Withheld,
}

/// The city's figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) firms: Cell,
    pub(crate) headlines: Vec<(Headline, Cell)>,
    pub(crate) online: Cell,
    pub(crate) windows: Cell,
}

impl Totals {
    pub(crate) fn of<'a>(firms: impl Iterator<Item = &'a Firm> + Clone) -> Self {
        let count = |headline| {
            let with = firms.clone().filter(|firm| firm.assessment.headline == headline).count();
            u64::try_from(with).unwrap_or(u64::MAX)
        };
        let counts: Vec<u64> = Badge::ALL.into_iter().map(count).collect();
        let all = counts.iter().sum();
        let cells = suppress(&counts);
        let online: Vec<u64> = firms.clone().map(|firm| up(firm).0).collect();
        let windows: Vec<u64> = firms.map(|firm| firm.chain.windows).collect();
        Self {
            firms: if all < FEWEST { Cell::Withheld } else { Cell::Shown(all) },
            headlines: Badge::ALL.into_iter().zip(cells).collect(),
            online: sum(&online),
            windows: sum(&windows),
        }
    }
}

/// Gateways online, and all.
pub(crate) fn up(firm: &Firm) -> (u64, u64) {
    let count = |online: bool| firm.gateways.iter().filter(|g| !online || g.online == Some(true)).count();
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    (wide(count(true)), wide(count(false)))
}

/// Withholds counts below five that are not zero; where the total would give a single one away, the smallest other
/// one goes too. With fewer than five firms in all, everything goes: even a zero speaks of each of them.
pub(crate) fn suppress(counts: &[u64]) -> Vec<Cell> {
    let all: u64 = counts.iter().sum();
    if all < FEWEST {
        return vec![Cell::Withheld; counts.len()];
    }
    let mut cells: Vec<Cell> = counts
        .iter()
        .map(|count| if (1..FEWEST).contains(count) { Cell::Withheld } else { Cell::Shown(*count) })
        .collect();
    let hidden = |cells: &[Cell]| -> (usize, u64) {
        let pairs = cells.iter().zip(counts).filter(|(cell, _)| **cell == Cell::Withheld);
        pairs.fold((0, 0), |(n, sum), (_, count)| (n + 1, sum + count))
    };
    // What is hidden must be two cells and five firms, or the total minus the rest says it.
    while matches!(hidden(&cells), (1, _) | (2.., 0..FEWEST)) {
        let next = (0..cells.len())
            .filter(|at| matches!(cells[*at], Cell::Shown(count) if count > 0))
            .min_by_key(|at| counts[*at])
            .or_else(|| (0..cells.len()).find(|at| cells[*at] != Cell::Withheld));
        let Some(at) = next else { break };
        cells[at] = Cell::Withheld;
    }
    cells
}

/// A sum over firms: of five or more contributors, none of which makes over seventy percent.
fn sum(shares: &[u64]) -> Cell {
    let all: u64 = shares.iter().fold(0, |sum, share| sum.saturating_add(*share));
    let most = shares.iter().copied().max().unwrap_or(0);
    let firms = shares.iter().filter(|share| **share > 0).count();
    let dominated = u128::from(most) * 10 > u128::from(all) * 7;
    if u64::try_from(firms).unwrap_or(0) < FEWEST || dominated { Cell::Withheld } else { Cell::Shown(all) }
}

#[cfg(test)]
mod tests {
    use super::Cell::{Shown, Withheld};
    use super::*;

    #[test]
    fn small_cells_are_withheld_and_cannot_be_computed_from_the_total() {
        assert_eq!(suppress(&[1, 1, 2]), [Withheld; 3]);
        assert_eq!(suppress(&[6, 0, 9]), [Shown(6), Shown(0), Shown(9)]);
        // 3 alone would be the total minus the rest: the next smallest goes with it.
        assert_eq!(suppress(&[3, 8, 20]), [Withheld, Withheld, Shown(20)]);
        assert_eq!(suppress(&[3, 4, 20]), [Withheld, Withheld, Shown(20)]);
        // Two hidden cells of one firm each still say "two firms": more goes.
        assert_eq!(suppress(&[1, 1, 7, 30]), [Withheld, Withheld, Withheld, Shown(30)]);
        assert_eq!(suppress(&[3, 0, 5]), [Withheld, Shown(0), Withheld]);
    }

    #[test]
    fn sums_that_one_firm_makes_up_are_withheld() {
        assert_eq!(sum(&[10, 10, 10, 10, 10]), Shown(50));
        assert_eq!(sum(&[100, 10, 10, 10, 10]), Withheld);
        assert_eq!(sum(&[10, 10, 10, 10]), Withheld);
        assert_eq!(sum(&[]), Withheld);
    }
}
