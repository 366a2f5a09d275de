//! The shipped collectors against devices on bad lines, unruly servers and logs that rotate, for half a minute: `chaos`
//! does the same for longer.

use std::time::Duration;

use tests::chaos::faults::Fault;
use tests::chaos::lines::Weather;
use tests::chaos::{Pace, Report, run};
use tokio_util::sync::CancellationToken;

/// Each fault must have been met so often, or the run shows nothing of it.
const AT_LEAST: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_is_a_wrong_one_and_all_but_one_in_a_thousand_reports_have_their_cause() -> anyhow::Result<()>
{
    weathered(20_261_122).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgresql and mariadb: cargo xtask test"]
async fn rows_of_postgresql_and_mariadb_are_each_read_once_and_their_rewrites_told() -> anyhow::Result<()> {
    let report = weathered(20_261_123).await?;
    let tables = report.parts.iter().find(|part| part.title.contains("tables"));
    assert!(tables.is_some_and(|part| !part.rows.is_empty()), "tables took part: {report}");
    Ok(())
}

/// What came of such a run, when it is as it must be.
async fn weathered(seed: u64) -> anyhow::Result<Report> {
    let pace = Pace {
        cadence: Duration::from_millis(100),
        timeout: Duration::from_millis(300),
        restart: (Duration::from_millis(200), Duration::from_secs(1)),
        weather: Weather {
            share: 0.25,
            apart: (0.5, 1.5),
            lasts: (0.5, 2.0),
            calm_from: Duration::from_secs(40),
        },
        patience: Duration::from_secs(30),
        calm: Duration::from_secs(30),
    };
    let report = run(seed, pace, CancellationToken::new()).await?;
    tests::chaos::print(&report);
    assert_eq!(report.found.wrong_values, 0, "{report}");
    assert!(report.problems.is_empty() && report.unwell.is_empty() && !report.is_doubtful(), "{report}");
    // An answer that this machine was too busy to take in time is no wrong one.
    assert!(report.found.count * 1_000 <= report.found.reports, "{report}");
    for fault in Fault::all() {
        let (met, words) = (report.met(fault), fault.words());
        let least = if Fault::LASTING.contains(&fault) { 1 } else { AT_LEAST };
        assert!(met >= least, "{words} was met {met} times");
    }
    assert!(report.found.values > 10_000, "{} values were compared", report.found.values);
    // Tables take part where a database is at hand.
    for part in report.parts.iter().filter(|part| !part.rows.is_empty()) {
        let found = &part.found;
        assert_eq!(found.wrong, 0, "{report}");
        assert!(part.unwell.is_empty() && !part.is_doubtful(), "{report}");
        assert!(found.count * 1_000 <= found.reports, "{report}");
        assert!(found.compared > 300, "{} of {} were compared", found.compared, part.title);
        for row in &part.rows {
            assert!(row.injected > 0, "{} was never met", row.fault);
        }
    }
    Ok(report)
}
