//! What a gateway's baseline says was there before it came: `docs/decisions/0028`. The file stays on the gateway; what
//! is here was handed in by the firm or read on site, and whoever hands it to [`crate::History::set_before`] has checked
//! it against the hash in the log.

use jiff::civil::Date;

/// What the sources of one gateway said of their past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// The first record of a log's oldest file, by index of the source.
    pub logs: Vec<(u32, Date)>,
    /// The first row of a table, by index of the source. Rows that were brought over keep their dates: this alone says
    /// nothing of the program.
    pub tables: Vec<(u32, Date)>,
    /// The build date of an OPC UA server, by index of the source.
    pub builds: Vec<(u32, Date)>,
}

impl Before {
    /// Takes a fact of `source` as the baseline names it; facts that hold no date are left out.
    pub fn take(&mut self, source: u32, name: &str, value: &str) {
        let list = match name {
            "oldest file: first record" => &mut self.logs,
            "first row: time" => &mut self.tables,
            "build date" => &mut self.builds,
            _ => return,
        };
        let date = value.get(..10).and_then(|text| text.parse::<Date>().ok());
        list.extend(date.filter(|date| (1990..2100).contains(&date.year())).map(|date| (source, date)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_taken_and_the_rest_is_left() {
        let mut before = Before::default();
        before.take(1, "oldest file: first record", "2021-04-02T01:00:00Z");
        before.take(1, "oldest file: first record", "none");
        before.take(2, "first row: time", "2020-01-01T00:00:00Z");
        before.take(2, "version", "2020-01-01T00:00:00Z");
        before.take(3, "build date", "0001-01-01T00:00:00Z");
        assert_eq!(before.logs, [(1, Date::constant(2021, 4, 2))]);
        assert_eq!((before.tables.len(), before.builds.len()), (1, 0));
    }
}
