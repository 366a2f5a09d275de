use super::*;

#[test]
fn the_tree_is_as_its_rules_say() {
    let complaints = complaints(&tree::root()).unwrap();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_dependency_against_the_road_is_seen_in_every_table() {
    let members = ["proof", "ledger", "portal"];
    for table in ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"]
    {
        let package = parse(&format!("[{table}]\nportal.workspace = true\nproof.workspace = true\n"));
        assert_eq!(
            one_way("ledger", &package, &members),
            ["ledger: may not depend on portal; dependencies point one way"],
            "{table}"
        );
    }
}

#[test]
fn a_renamed_dependency_is_seen_by_its_own_name() {
    let package = parse("[dependencies]\nkeys = { package = \"ed25519-dalek\", version = \"2\" }\n");
    assert_eq!(reserved("agent", &package), ["agent: ed25519-dalek is not for it"]);
    assert!(reserved("proof", &package).is_empty());
}

#[test]
fn the_server_speaks_mqtt_in_its_tests_only() {
    let dev = parse("[dev-dependencies]\nrumqttc.workspace = true\n");
    let shipped = parse("[dependencies]\nrumqttc.workspace = true\n");
    assert!(reserved("server", &dev).is_empty());
    assert_eq!(reserved("server", &shipped), ["server: rumqttc is not for it"]);
}

#[test]
fn a_package_must_be_named_as_its_folder_and_inherit_its_lints() {
    let package = parse("[package]\nname = \"other\"\nversion = \"1.0.0\"\n[[bin]]\nname = \"tool\"\n");
    let complaints = shape("scorer", &package).join("\n");
    for part in ["named as its folder", "`version` is not", "lints", "`tool`"] {
        assert!(complaints.contains(part), "{part} in {complaints}");
    }
}

#[test]
fn what_is_carried_is_known_by_its_whole_name() {
    let tree = "proof v0.1.0\ntokio-util v0.7.1\nmio v1.0.0\n";
    assert_eq!(carries("proof", tree, &["tokio", "mio"], "why"), ["proof: carries mio; why"]);
}

#[test]
fn decisions_are_numbered_without_holes() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("docs/decisions");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["0001-first.md", "0002-second.md"] {
        std::fs::write(folder.join(name), "").unwrap();
    }
    assert!(text::decisions(root.path()).unwrap().is_empty());
    std::fs::write(folder.join("0004-fourth.md"), "").unwrap();
    assert_eq!(text::decisions(root.path()).unwrap(), ["docs/decisions/0004-fourth.md: expected 0003-….md"]);
}

#[test]
fn a_file_that_names_a_place_is_found_in_any_folder() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("a/b")).unwrap();
    std::fs::create_dir_all(root.path().join("target")).unwrap();
    let place = concat!("see /wo", "rk/x\n");
    std::fs::write(root.path().join("a/b/page.md"), place).unwrap();
    std::fs::write(root.path().join("target/log"), place).unwrap();
    assert_eq!(text::places(root.path()).unwrap(), [concat!("a/b/page.md: names /wo", "rk/")]);
}

#[test]
fn a_test_that_a_page_names_and_nobody_wrote_is_found() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("docs")).unwrap();
    std::fs::create_dir_all(root.path().join("a/src")).unwrap();
    std::fs::write(root.path().join("a/src/lib.rs"), "fn this_one_is_there_already() {}\n").unwrap();
    let page = "`this_one_is_there_already`, `this_one_is_not_there_yet`, `kill -9`, `bad_signature`\n";
    std::fs::write(root.path().join("docs/refusals.md"), page).unwrap();
    let found = text::unwritten(root.path()).unwrap();
    assert_eq!(found, ["docs/refusals.md: no test `this_one_is_not_there_yet`"]);
}

#[test]
fn a_raw_struct_that_would_read_unknown_keys_is_found() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("agent/src")).unwrap();
    let file = root.path().join("agent/src/config.rs");
    std::fs::write(&file, "#[derive(Debug, Deserialize)]\n#[serde(deny_unknown_fields)]\nstruct A {}\n")
        .unwrap();
    assert!(text::silent(root.path()).unwrap().is_empty());
    std::fs::write(&file, "\n#[derive(Debug, Deserialize)]\nstruct A {}\n").unwrap();
    assert_eq!(
        text::silent(root.path()).unwrap(),
        ["agent/src/config.rs:2: `#[serde(deny_unknown_fields)]` must follow"]
    );
}

fn parse(text: &str) -> Table {
    text.parse().unwrap()
}
