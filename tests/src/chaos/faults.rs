//! What a device on a bad line may do to a question, and what must come of it.
//!
//! Each fault states its outcomes: what a point may read when the last question that asked for it met this fault. A
//! value is always compared with what was served to that very question, whatever is stated here.

use collectors::manifest::Framing;

/// Exceptions that devices and gateways answer with: the standard's, and one of a device's own.
pub const EXCEPTIONS: [u8; 10] = [1, 2, 3, 4, 5, 6, 8, 10, 11, 66];

/// What happens to a question or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The answer takes up to half of the time-out.
    Slow,
    /// The answer comes at about the end of the time-out.
    AboutTimeout,
    /// The answer comes after the time-out, during another question.
    Late,
    /// The answer comes in pieces.
    Split,
    /// A frame that nobody asked for, with values that were never true, comes in one piece with the answer.
    Stray,
    /// The answer before comes again, in one piece with the answer.
    Repeated,
    /// The answer comes twice, in one piece.
    Doubled,
    /// Instead of the answer, one with another question's number.
    OtherNumber,
    /// Instead of the answer, one of another unit.
    OtherUnit,
    /// Instead of the answer, one of another function.
    OtherFunction,
    /// Noise and the answer.
    NoiseBefore,
    /// The answer and noise.
    NoiseAfter,
    /// The answer with noise in it.
    NoiseWithin,
    /// The answer with up to three wrong bits.
    BadCrc,
    /// The answer with a header that says another length.
    BadLength,
    /// An answer with fewer registers than were asked for.
    OtherCount,
    /// Half of the answer, and no more.
    Half,
    /// Half of the answer, and the connection is reset.
    Reset,
    /// The unit is off for a while.
    Dead,
    /// One register inside of a range cannot be read for a while.
    RefusedBlock,
    /// The line accepts connections and questions, and says nothing for a while.
    HalfOpen,
    /// The line cannot be reached for a while: refused, unplugged, or a unit that does not dial.
    Down,
    /// Somebody speaks without end on a serial line for a while.
    Babble,
    /// The unit refuses with this exception.
    Exception(u8),
}

/// What a point may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The value that was served.
    Value,
    /// No answer.
    NoAnswer,
    /// Something that cannot be read, or a refusal.
    Fault,
}

use Fault as F;

impl Fault {
    /// Faults of single questions that are thrown by dice.
    pub const THROWN: [Self; 18] = [
        F::Slow,
        F::AboutTimeout,
        F::Late,
        F::Split,
        F::Stray,
        F::Repeated,
        F::Doubled,
        F::OtherNumber,
        F::OtherUnit,
        F::OtherFunction,
        F::NoiseBefore,
        F::NoiseAfter,
        F::NoiseWithin,
        F::BadCrc,
        F::BadLength,
        F::OtherCount,
        F::Half,
        F::Reset,
    ];

    /// Faults that last for a while.
    pub const LASTING: [Self; 5] = [F::Dead, F::RefusedBlock, F::HalfOpen, F::Down, F::Babble];

    /// Those that a question for an identity may meet.
    pub const OF_IDENTITY: [Self; 7] =
        [F::Slow, F::Late, F::Split, F::NoiseBefore, F::OtherUnit, F::Half, F::Exception(1)];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let exceptions = EXCEPTIONS.into_iter().map(F::Exception);
        Self::THROWN.into_iter().chain(Self::LASTING).chain(exceptions)
    }

    /// Whether a line of this framing can have it; `port` says that the line is a serial port.
    pub fn is_of(self, framing: Framing, port: bool) -> bool {
        match self {
            F::OtherNumber | F::BadLength => framing == Framing::Tcp,
            F::BadCrc | F::Babble => framing == Framing::Rtu,
            F::Reset => !port,
            F::Slow
            | F::AboutTimeout
            | F::Late
            | F::Split
            | F::Stray
            | F::Repeated
            | F::Doubled
            | F::OtherUnit
            | F::OtherFunction
            | F::NoiseBefore
            | F::NoiseAfter
            | F::NoiseWithin
            | F::OtherCount
            | F::Half
            | F::Dead
            | F::RefusedBlock
            | F::HalfOpen
            | F::Down
            | F::Exception(_) => true,
        }
    }

    /// What a point may read whose last question met it.
    pub fn stated(self, framing: Framing) -> &'static [Outcome] {
        use Outcome::{Fault, NoAnswer, Value};
        match (self, framing) {
            (F::Slow | F::Split | F::Stray | F::Doubled | F::NoiseAfter, _) => &[Value],
            // On TCP the number tells it; on a serial line two answers that differ are none.
            (F::Repeated, Framing::Tcp) | (F::NoiseBefore, Framing::Rtu) => &[Value],
            (F::Repeated, Framing::Rtu) => &[Value, Fault],
            (F::AboutTimeout, _) => &[Value, NoAnswer],
            (F::Late | F::OtherNumber | F::OtherUnit | F::OtherFunction | F::Half | F::Reset, _) => {
                &[NoAnswer]
            }
            // TCP loses and invents no bytes: what is out of step is no Modbus.
            (F::NoiseBefore | F::NoiseWithin | F::OtherCount, Framing::Tcp) => &[Fault],
            (F::NoiseWithin | F::BadCrc | F::OtherCount, _) => &[NoAnswer],
            // Too short a frame is an unreadable answer, too long a one never ends.
            (F::BadLength, _) => &[NoAnswer, Fault],
            (F::Dead | F::HalfOpen | F::Down, _) => &[NoAnswer],
            (F::RefusedBlock, _) => &[Fault],
            (F::Babble, _) => &[Value, NoAnswer, Fault],
            (F::Exception(10 | 11), _) => &[NoAnswer],
            (F::Exception(_), _) => &[Fault],
        }
    }

    /// In words, for the report.
    pub fn words(self) -> String {
        let words = match self {
            F::Slow => "slow answer",
            F::AboutTimeout => "answer at about the time-out",
            F::Late => "late answer",
            F::Split => "answer in pieces",
            F::Stray => "stray frame with the answer",
            F::Repeated => "the answer before comes again",
            F::Doubled => "answer twice",
            F::OtherNumber => "wrong transaction number",
            F::OtherUnit => "wrong unit",
            F::OtherFunction => "wrong function",
            F::NoiseBefore => "noise before the answer",
            F::NoiseAfter => "noise after the answer",
            F::NoiseWithin => "noise within the answer",
            F::BadCrc => "wrong CRC",
            F::BadLength => "wrong length in the header",
            F::OtherCount => "wrong byte count",
            F::Half => "half an answer",
            F::Reset => "connection reset within an answer",
            F::Dead => "unit off for a while",
            F::RefusedBlock => "register in a block refused",
            F::HalfOpen => "half-open connection",
            F::Down => "line gone for a while",
            F::Babble => "endless noise on a line",
            F::Exception(code) => return format!("exception {code}"),
        };
        words.to_owned()
    }
}

/// Numbers that follow from a seed alone (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice of one seed; each `stream` of a seed has its own.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mixed(seed ^ mixed(stream)))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    /// A number from 0 to below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.any() % end
    }

    /// A number of this range.
    pub fn within(&mut self, range: std::ops::Range<f64>) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are enough")]
        let part = (self.any() >> 11) as f64 / (1_u64 << 53) as f64;
        range.start + (range.end - range.start) * part
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, those: &[T]) -> T {
        let at = self.below(u64::try_from(those.len()).expect("a length fits"));
        those[usize::try_from(at).expect("below a length")]
    }
}

/// Faults that come round: in any order, and none again before each was there, so that a short run has them all.
#[derive(Debug)]
pub struct Round<T> {
    all: Vec<T>,
    left: Vec<T>,
}

impl<T: Copy> Round<T> {
    /// A round of these, of which there is one at least.
    pub fn new(all: impl IntoIterator<Item = T>) -> Self {
        Self { all: all.into_iter().collect(), left: Vec::new() }
    }

    /// The next.
    pub fn next(&mut self, dice: &mut Dice) -> T {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
        }
        let at = dice.below(u64::try_from(self.left.len()).expect("a length fits"));
        self.left.swap_remove(usize::try_from(at).expect("below a length"))
    }
}

/// One number for another, without a pattern.
pub(super) fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}
