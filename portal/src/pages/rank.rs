//! Which firm an officer should look at first, and why: an order with its reasons, not a score.

use scorer::{Headline, Text};

use crate::lang::Lang;
use crate::source::Firm;

/// How urgent, smallest first. The order of the variants is the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// A suspicion is the headline.
    Suspicion,
    /// Built, not used.
    Unused,
    /// Any flag beside another headline.
    Flagged,
    /// Little used.
    Little,
    /// Too little was seen to say.
    Unseen,
    /// In real use, but a gateway is silent or its chain forked.
    Shaky,
    /// In real use.
    Fine,
}

impl Tier {
    pub(crate) fn of(firm: &Firm) -> Self {
        let flagged = !firm.assessment.flags.is_empty();
        match firm.assessment.headline {
            Headline::Fabrication | Headline::OldWine => Self::Suspicion,
            Headline::BuiltUnused => Self::Unused,
            Headline::LittleUsed | Headline::TooLittleData | Headline::RealUse if flagged => Self::Flagged,
            Headline::LittleUsed => Self::Little,
            Headline::TooLittleData => Self::Unseen,
            Headline::RealUse if silent(firm) || firm.forks() > 0 => Self::Shaky,
            Headline::RealUse => Self::Fine,
        }
    }
}

fn silent(firm: &Firm) -> bool {
    firm.gateways.is_empty() || firm.gateways.iter().any(|gateway| gateway.online == Some(false))
}

/// Why a firm stands where it stands; empty for one with nothing to look at.
pub(crate) fn reasons(firm: &Firm, lang: Lang) -> Vec<String> {
    let say = |text: &Text| lang.pick(&text.zh, &text.en).to_owned();
    let assessment = &firm.assessment;
    let mut reasons: Vec<String> = assessment
        .flags
        .iter()
        .flat_map(|flag| flag.indicators.iter().take(2))
        .map(|i| say(&i.text))
        .collect();
    if assessment.headline != Headline::RealUse {
        reasons.extend(assessment.facts_against.iter().take(2).map(|fact| say(&fact.text)));
    }
    if firm.forks() > 0 {
        reasons.push(
            lang.pick("链上有同序号的不同记录，待查", "the chain has forked; to be looked into").to_owned(),
        );
    }
    if firm.gateways.is_empty() {
        reasons.push(lang.pick("尚未启用网关", "no gateway enrolled").to_owned());
    } else if silent(firm) {
        reasons.push(lang.pick("有网关离线", "a gateway is offline").to_owned());
    }
    reasons
}

/// A headline as it is shown: word, sign, class. Told apart without colour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Badge {
    pub(crate) text: &'static str,
    pub(crate) sign: &'static str,
    pub(crate) class: &'static str,
    pub(crate) code: &'static str,
}

impl Badge {
    pub(crate) const ALL: [Headline; 6] = [
        Headline::Fabrication,
        Headline::OldWine,
        Headline::BuiltUnused,
        Headline::LittleUsed,
        Headline::TooLittleData,
        Headline::RealUse,
    ];

    pub(crate) const fn of(headline: Headline, lang: Lang) -> Self {
        let (sign, class, code) = match headline {
            Headline::Fabrication => ("▲", "poor", "fabrication"),
            Headline::OldWine => ("▲", "poor", "old_wine"),
            Headline::BuiltUnused => ("○", "poor", "built_unused"),
            Headline::LittleUsed => ("◐", "fair", "little_used"),
            Headline::TooLittleData => ("？", "dim", "too_little_data"),
            Headline::RealUse => ("●", "good", "real_use"),
        };
        Self { text: lang.pick(headline.zh(), headline.en()), sign, class, code }
    }
}
