//! The files written for the plant's firms are what agent and server read.

use std::sync::Arc;
use std::time::Duration;

use collectors::manifest::Manifest;
use jiff::civil::date;
use scorer::project::ProjectFile;
use tests::clock::SimClock;
use tests::plant::files::{project, write_manifest};
use tests::plant::{Plant, firm::demo_firms};
use tests::recordings::midnight_ms;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_and_server_read_what_is_written_for_every_firm() {
    let (start, end) = (date(2026, 7, 22), date(2026, 9, 20));
    for firm in demo_firms(start, end) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimClock::new(midnight_ms(start)));
        let plant = Plant::start(firm, folder.path(), clock, Duration::from_secs(60)).await.unwrap();
        write_manifest(&plant, folder.path(), Duration::from_secs(60)).unwrap();
        let manifest =
            Manifest::load(&folder.path().join("manifest.toml")).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(manifest.sources.len(), plant.firm().devices.len() + plant.firm().logs.len());

        let agent = "aaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned();
        let text = project(plant.firm(), &[agent], "neutral").unwrap();
        let file: ProjectFile = toml::from_str(&text).unwrap();
        let project = file.check(plant.firm().id).unwrap();
        assert_eq!(project.devices.len(), plant.firm().devices.len());
        plant.stop().await.unwrap();
    }
}
