use super::*;

const EXAMPLE: &str = include_str!("../../../config/server.toml");

fn parse(text: &str) -> Result<ServerConfig, Complaints> {
    ServerConfig::parse("server.toml", text, Path::new("/etc/inuse"))
}

fn paths(text: &str) -> Vec<String> {
    parse(text).unwrap_err().list().iter().map(|complaint| complaint.path.clone()).collect()
}

#[test]
fn the_example_is_a_configuration_and_says_the_defaults() {
    let example = parse(EXAMPLE).unwrap();
    let short = parse("data = \"/var/lib/inuse-server\"\nprojects = \"projects\"\nnames = [\"inuse.example.cn\", \"192.0.2.10\"]\n").unwrap();
    assert_eq!(example, short);
    assert_eq!(short.projects, Path::new("/etc/inuse/projects"));
}

#[test]
fn all_complaints_come_at_once_each_with_its_path() {
    let text = "names = [\"a b\"]\nroles = [\"broker\", \"king\"]\ncolour = 1\n\
                [log]\norigin = \"a b\"\n[listen]\nbroker = \"8883\"\nportal = 1\n[broker]\nmode = \"embedded\"\nurl = \"x\"\n";
    assert_eq!(
        paths(text),
        [
            "colour",
            "listen.portal",
            "data",
            "projects",
            "names[0]",
            "roles[1]",
            "log.origin",
            "listen.broker",
            "broker.url"
        ]
    );
}

#[test]
fn an_external_broker_needs_a_url_and_its_authority() {
    let head = "data = \"d\"\nprojects = \"p\"\nnames = [\"a.example\"]\n[broker]\nmode = \"external\"\n";
    assert_eq!(paths(head), ["broker.url", "broker.ca"]);
    let wrong = format!("{head}url = \"mqtt://plain:1883\"\nca = \"no.pem\"\nkey = \"no.key\"\n");
    assert_eq!(paths(&wrong), ["broker.ca", "broker.key", "broker.url", "broker.cert"]);
}

#[test]
fn an_ingester_alone_needs_an_external_broker() {
    let text = "data = \"d\"\nprojects = \"p\"\nnames = [\"a.example\"]\nroles = [\"ingester\"]\n";
    assert_eq!(paths(text), ["broker.mode"]);
}

#[test]
fn broker_addresses_are_tls_only() {
    assert_eq!(host_and_port("mqtts://b.example"), Some(("b.example".to_owned(), 8883)));
    assert_eq!(host_and_port("mqtts://192.0.2.1:8884"), Some(("192.0.2.1".to_owned(), 8884)));
    assert_eq!(host_and_port("mqtts://[2001:db8::1]:1"), Some(("2001:db8::1".to_owned(), 1)));
    for wrong in ["mqtt://b.example", "mqtts://", "mqtts://b:0", "mqtts://b:99999", "b.example:8883"] {
        assert_eq!(host_and_port(wrong), None, "{wrong}");
    }
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(parse(&config.to_string()).unwrap(), config);
}

#[test]
fn a_policy_of_witnesses_is_checked_with_the_configuration_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let complain = |policy: Option<&str>| {
        let path = folder.path().join("w.policy");
        match policy {
            Some(policy) => std::fs::write(&path, policy).unwrap(),
            None => drop(std::fs::remove_file(&path)),
        }
        let text =
            "data = \"d\"\nprojects = \"p\"\nnames = [\"a.example\"]\n[log]\nwitnesses = \"w.policy\"\n";
        ServerConfig::parse("server.toml", text, folder.path())
    };
    assert!(complain(None).unwrap_err().to_string().contains("no such file"));
    let wrong = complain(Some("witness a b\nquorum c\n")).unwrap_err().to_string();
    assert!(wrong.contains("line 1") && wrong.contains("line 2"), "{wrong}");
    let key = proof::policy::Cosigner::new("w.example", proof::SigningKey::from_seed(&[1; 32])).unwrap();
    let key = key.public().text();
    for (url, what) in [("", "no address"), ("ftp://w.example", "http://"), ("w.example", "http://")] {
        let wrong = complain(Some(&format!("witness a {key} {url}\nquorum a\n"))).unwrap_err().to_string();
        assert!(wrong.contains("log.witnesses") && wrong.contains(what), "{wrong}");
    }
    let good = complain(Some(&format!("witness a {key} https://w.example/inuse\nquorum a\n"))).unwrap();
    assert!(good.to_string().contains("witnesses = "), "{good}");
    assert_eq!(good.witnesses.unwrap().policy.witnesses.len(), 1);
}

#[test]
fn the_example_of_a_policy_is_one_and_asks_nobody() {
    let policy = Policy::parse(include_str!("../../../config/witnesses.policy")).unwrap();
    assert!(!policy.asks_witnesses());
}
