//! The files people edit: each that ships is right, and a wrong one gets all complaints at once.

use scorer::{CalendarFile, ProfileFile, ProjectFile};

fn each(folder: &str) -> Vec<(String, String)> {
    let folder = format!("{}/../config/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
    };
    files.filter(|path| path.extension().is_some_and(|end| end == "toml")).map(read).collect()
}

#[test]
fn every_shipped_profile_is_right_and_says_that_it_is_a_proposal() {
    let files = each("profiles");
    assert_eq!(files.len(), 5);
    for (name, text) in files {
        let profile = toml::from_str::<ProfileFile>(&text).unwrap().check(&name).unwrap();
        assert_eq!(profile.stamp.origin, "proposal");
        assert!(profile.thresholds.values().all(|threshold| threshold.origin == "proposal"), "{name}");
    }
}

#[test]
fn every_shipped_calendar_makes_up_only_on_week_ends() {
    let files = each("calendars");
    assert_eq!(files.len(), 5);
    for (_, text) in files {
        let calendar = toml::from_str::<CalendarFile>(&text).unwrap().check().unwrap();
        let mut day = jiff::civil::Date::constant(2022, 12, 1);
        while day.year() < 2028 {
            let week_end = day.weekday().to_monday_zero_offset() >= 5;
            if matches!(calendar.day(day), Some(scorer::calendar::CalendarDay::MakeUp(_))) {
                assert!(week_end, "{day} is a working day anyway");
            }
            day = day.tomorrow().unwrap();
        }
    }
}

#[test]
fn a_year_whose_swapped_days_are_not_announced_is_said_beside_the_verdict() {
    let text = |provisional: bool| {
        format!("year = 2025\norigin = \"proposal\"\nprovisional = {provisional}\nholidays = []\n")
    };
    let notes = |provisional: bool| {
        let calendar = toml::from_str::<CalendarFile>(&text(provisional)).unwrap().check().unwrap();
        let plant = crate::plant::run(1, 2, |_| 3.0);
        let (project, profile) = (&plant.project, crate::plant::neutral());
        let as_of_ms = 1_748_100_000_000;
        let verdict = scorer::assess(project, &profile, &calendar, &plant.history, as_of_ms);
        verdict.notes.iter().any(|note| note.zh.contains("调休"))
    };
    assert!(notes(true) && !notes(false));
}

#[test]
fn a_wrong_project_gets_all_complaints_each_with_its_path() {
    let text = r#"
        name_zh = "厂"
        city = "市"
        agents = ["nobody"]
        week = ["monday"]
        seats = 1000000
        modules = [{ code = "production_report" }, { code = "production_report" }, { code = "mes" }]
        devices = [{ name = "压机", source = 2 }]
        shifts = [{ name = "白班", from = "8", to = "20:00" }]
        stops = [{ from = "2025-05-02", to = "2025-05-01", reason = "停产" }]
        [dates]
        contract = "2025-03-01"
        completion = "2025-02-01"
        acceptance = "soon"
    "#;
    let complaints = toml::from_str::<ProjectFile>(text).unwrap().check("firm").unwrap_err();
    let mut paths: Vec<_> = complaints.iter().map(|complaint| complaint.path.as_str()).collect();
    paths.sort_unstable();
    let expected = [
        "agents[0]",
        "dates.acceptance",
        "dates.completion",
        "devices[0].agent",
        "district",
        "modules[1].code",
        "modules[2].code",
        "seats",
        "shifts[0].from",
        "stops[0].to",
        "week[0]",
    ];
    let expected: Vec<_> =
        expected.iter().map(|path| if *path == "week[0]" { "week" } else { path }).collect();
    assert_eq!(paths, expected);
}

#[test]
fn a_night_shift_ends_on_the_next_day() {
    let text = r#"
        name_zh = "厂"
        city = "市"
        district = "区"
        modules = [{ code = "production_report", star = true }]
        shifts = [{ name = "夜班", from = "20:00", to = "08:00" }, { name = "全天", from = "00:00", to = "24:00" }]
        [dates]
        contract = "2025-03-01"
        completion = "2025-04-01"
    "#;
    let project = toml::from_str::<ProjectFile>(text).unwrap().check("firm").unwrap();
    let times: Vec<_> = project.shifts.iter().map(|shift| (shift.from, shift.to)).collect();
    assert_eq!(times, [(1_200, 1_920), (0, 1_440)]);
    assert_eq!((project.utc_offset_minutes, project.profile.as_str()), (480, "neutral"));
}

#[test]
fn a_window_of_dates_needs_both_and_in_their_order() {
    let neutral =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/profiles/neutral.toml"));
    let neutral = neutral.unwrap();
    let complaints = |window: &str| {
        let text = format!("{neutral}\n[window]\n{window}");
        let checked = toml::from_str::<ProfileFile>(&text).unwrap().check("city");
        let list = checked.err().unwrap_or_default();
        list.into_iter().map(|complaint| complaint.to_string()).collect::<Vec<_>>()
    };
    assert!(complaints("from = \"2025-09-07\"\nto = \"2027-09-06\"").is_empty());
    assert_eq!(complaints("from = \"2025-09-07\""), ["window.to: is missing"]);
    assert_eq!(complaints("from = \"2025-09-07\"\nto = \"2025-09-06\""), ["window.to: lies before from"]);
    assert_eq!(complaints("from = \"soon\"\nto = \"1999-01-01\"").len(), 2);
}
