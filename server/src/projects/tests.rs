use super::*;

fn rules() -> Rules {
    Rules::load(None, None).unwrap()
}

#[test]
fn a_begun_file_is_a_project_and_is_not_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = begin(directory.path(), "a-firm", "甲\"公司\"").unwrap().unwrap();
    assert_eq!(begin(directory.path(), "a-firm", "乙").unwrap(), None);
    let projects = load(directory.path(), &rules(), &Bound::new()).unwrap();
    assert_eq!(projects.len(), 1, "{}", path.display());
    assert_eq!((projects[0].id.as_str(), projects[0].name_zh.as_str()), ("a-firm", "甲\"公司\""));
}

#[test]
fn the_gateways_of_a_firm_are_those_of_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let path = begin(directory.path(), "firm", "甲").unwrap().unwrap();
    let with_device =
        format!("{}\n[[devices]]\nname = \"冲床\"\nsource = 1\n", fs::read_to_string(&path).unwrap());
    fs::write(&path, with_device).unwrap();
    let agent = AgentId([5; 16]);
    let before = load(directory.path(), &rules(), &Bound::new()).unwrap();
    assert_eq!((before[0].agents.as_slice(), before[0].devices[0].source), ([].as_slice(), None));
    let bound = Bound::from([("firm".to_owned(), vec![agent])]);
    let after = load(directory.path(), &rules(), &bound).unwrap();
    assert_eq!(
        (after[0].agents.as_slice(), after[0].devices[0].source),
        ([agent].as_slice(), Some((agent, 1)))
    );
}

#[test]
fn the_complaints_of_all_firms_come_at_once() {
    let directory = tempfile::tempdir().unwrap();
    begin(directory.path(), "good", "甲").unwrap();
    fs::write(directory.path().join("a.toml"), "colour = 1\nname_zh = \"甲\"\n").unwrap();
    fs::write(directory.path().join("b.toml"), "not toml").unwrap();
    fs::write(directory.path().join("C D.toml"), "").unwrap();
    let text = load(directory.path(), &rules(), &Bound::new()).unwrap_err().to_string();
    for part in [
        "/a.toml: colour: is not a known key",
        "/a.toml: dates.contract: is missing",
        "/b.toml: is not readable",
        "`C D`",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
}

#[test]
fn a_wrong_type_hides_nothing_else_that_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = begin(directory.path(), "firm", "甲").unwrap().unwrap();
    let text = fs::read_to_string(&path).unwrap().replace("name_zh = ", "name_zh = 7 # ");
    let more =
        "\n[[devices]]\nname = true\nsource = \"one\"\n[[devices]]\nsource = 90000\n[[stops]]\nfrom = 1\n";
    fs::write(&path, format!("colour = 1\n{text}{more}")).unwrap();
    let bound = Bound::from([("firm".to_owned(), vec![AgentId([5; 16])])]);
    let complaints = load(directory.path(), &rules(), &bound).unwrap_err();
    let file = path.display();
    let found: Vec<_> = complaints.list().iter().map(|complaint| complaint.path.as_str()).collect();
    let expected = [
        "colour",
        "devices[0].name",
        "devices[0].source",
        "name_zh",
        "stops[0].from",
        "devices[1].source",
        "devices[1].name",
        "stops[0].reason",
        "stops[0].to",
    ];
    assert_eq!(found, expected.map(|path| format!("{file}: {path}")));
}

#[test]
fn ids_are_safe_as_file_names_and_in_addresses() {
    for id in ["a", "firm-1", "x_2"] {
        assert!(is_id(id), "{id}");
    }
    for id in ["", "A", "a b", "../a", "甲", &"a".repeat(65)] {
        assert!(!is_id(id), "{id}");
    }
}
