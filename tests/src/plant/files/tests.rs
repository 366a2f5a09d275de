use std::sync::Arc;

use jiff::civil::date;

use super::*;
use crate::clock::SimClock;
use crate::plant::firm::demo_firms;
use crate::recordings::midnight_ms;

const START: Date = date(2026, 7, 22);
const END: Date = date(2026, 9, 20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_firm_has_a_manifest_and_a_project_that_can_be_read_again() {
    for firm in demo_firms(START, END) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimClock::new(midnight_ms(START)));
        let plant = Plant::start(firm, folder.path(), clock, Duration::from_secs(60)).await.unwrap();
        write_manifest(&plant, folder.path(), Duration::from_secs(60)).unwrap();
        let text = fs::read_to_string(folder.path().join("manifest.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let sources = table["sources"].as_array().unwrap();
        assert_eq!(sources.len(), plant.firm().devices.len() + plant.firm().logs.len());
        let project: toml::Table =
            project(plant.firm(), &["agent".to_owned()], "neutral").unwrap().parse().unwrap();
        assert_eq!(project["devices"].as_array().unwrap().len(), plant.firm().devices.len());
        plant.stop().await.unwrap();
    }
}

#[test]
fn a_stop_ends_on_its_last_day() {
    let stop = stop((date(2026, 8, 12), date(2026, 8, 22)));
    assert_eq!((stop.from.as_str(), stop.to.as_str()), ("2026-08-12", "2026-08-21"));
}
