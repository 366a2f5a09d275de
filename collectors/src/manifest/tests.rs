use std::path::Path;

use proof::wire::{ActionClass, ActorClass, ExclusionReason, Role, Share};

use super::*;

const EXAMPLE: &str = include_str!("../../../config/manifest.toml");

fn parse(text: &str) -> Result<Manifest, Complaints> {
    Manifest::parse("manifest.toml", text, Path::new(""))
}

#[test]
fn the_example_is_a_manifest() {
    let manifest = parse(EXAMPLE).unwrap();
    assert_eq!(manifest.sources.len(), 8);
    let Kind::Modbus(press) = &manifest.sources[0].kind else { panic!() };
    assert_eq!((press.points[1].address, press.points[1].kind), (100, Type::U32));
    assert_eq!((press.points[1].meaning.role, press.points[1].meaning.share), (Role::Counter, Share::Delta));
    let Kind::OpcUa(meter) = &manifest.sources[1].kind else { panic!() };
    let Security::Secured { policy: Policy::Basic256Sha256, mode, pin } = &meter.security else { panic!() };
    assert!(matches!((mode, pin), (Mode::SignAndEncrypt, Some(Thumbprint::Sha256(_)))));
    let Kind::Log(log) = &manifest.sources[2].kind else { panic!() };
    assert_eq!((log.text.encoding, log.text.utc_offset_minutes), (Encoding::Gb18030, 480));
    assert_eq!(log.text.accounts[0].class, ActorClass::Excluded);
    assert_eq!(log.text.accounts[0].reason, ExclusionReason::Admin);
    assert_eq!((log.text.rules[3].module, log.text.rules[3].action), (0, ActionClass::Login));
    assert_eq!(manifest.source_named("MES").unwrap().index, 3);
    let Kind::Modbus(meter) = &manifest.sources[3].kind else { panic!() };
    let Transport::Serial(port) = &meter.line.transport else { panic!() };
    assert_eq!((port.parity, meter.line.baud, meter.line.framing), (Parity::Even, 9_600, Framing::Rtu));
    assert_eq!(manifest.sources[3].address(), "/dev/ttyS1 unit 3");
    let Kind::Modbus(meter) = &manifest.sources[4].kind else { panic!() };
    let places: Vec<_> = meter.points.iter().map(|point| (point.address, point.meaning.share)).collect();
    assert_eq!(places, [(0x34, Share::Shape), (0x48, Share::Delta)]);
    let Kind::Modbus(plc) = &manifest.sources[5].kind else { panic!() };
    assert_eq!((plc.points[0].address, plc.points[0].order), (0x1064, Order::Cdab));
    let Kind::Mqtt(broker) = &manifest.sources[6].kind else { panic!() };
    assert_eq!((broker.ca_file.is_none(), broker.points[0].value.as_str()), (true, "/v/run"));
    assert_eq!(broker.points[0].only["/dev"], "CNC-07");
    let Kind::Syslog(port) = &manifest.sources[7].kind else { panic!() };
    assert_eq!((&port.carrier, port.listen.port(), port.from.len()), (&Carrier::Tcp, 6514, 1));
}

#[test]
fn what_is_wrong_with_a_syslog_port_is_said_with_its_path_and_one_port_has_one_source() {
    let text = r#"
[[sources]]
name = "a"
[sources.syslog]
listen = "6514"
transport = "tls"
from = ["erp.local"]
rules = [{ action = "login", when = [{ field = "syslog_app", equals = "k" }, { field = "message", equals = "k" }] }]
[[sources]]
name = "b"
[sources.syslog]
listen = "0.0.0.0:6514"
transport = "udp"
key_file = "x"
quiet_after = "1s"
[[sources]]
name = "c"
[sources.syslog]
listen = "0.0.0.0:6514"
transport = "tcp"
from = ["10.0.0.1"]
[[sources]]
name = "d"
[sources.syslog]
listen = "127.0.0.1:6514"
transport = "tcp"
from = ["10.0.0.1"]
"#;
    let complaints = parse(text).unwrap_err();
    let mut paths: Vec<_> = complaints.list().iter().map(|complaint| complaint.path.as_str()).collect();
    paths.sort_unstable();
    let expected = [
        "sources[0].syslog.certificate_file",
        "sources[0].syslog.from[0]",
        "sources[0].syslog.key_file",
        "sources[0].syslog.listen",
        "sources[0].syslog.rules[0].when[1].field",
        "sources[1].syslog.from",
        "sources[1].syslog.key_file",
        "sources[1].syslog.quiet_after",
        "sources[3].syslog.listen",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn what_is_wrong_with_a_broker_is_said_with_its_path_and_no_password_goes_unprotected() {
    let text = r#"
[[sources]]
name = "a"
[sources.mqtt]
broker = "192.168.1.9"
tls = "no"
time = "ts"
[[sources.mqtt.points]]
name = "x"
topic = "gw/#/up"
value = "/v/~2"
[[sources]]
name = "b"
[sources.mqtt]
broker = "192.168.1.9:1883"
tls = "none"
user = "inuse"
password_file = "/nowhere"
"#;
    let wrong = parse(text).unwrap_err().to_string();
    for expected in [
        "sources[0].mqtt.broker: `192.168.1.9` is not a host and port",
        "sources[0].mqtt.tls: `no` is not `none`",
        "sources[0].mqtt.time: `ts` is not a JSON pointer",
        "sources[0].mqtt.points[0].topic: `gw/#/up` is not a topic",
        "sources[0].mqtt.points[0].value: `/v/~2` is not a JSON pointer",
        "sources[1].mqtt.user: a password would travel unprotected",
        "sources[1].mqtt.password_file: no such file `/nowhere`",
        "sources[1].mqtt.points: is empty",
    ] {
        assert!(wrong.contains(expected), "{expected}\n{wrong}");
    }
}

#[test]
fn what_is_wrong_with_lines_is_said_with_its_path() {
    let text = r#"
[[lines]]
name = "a"
serial = "/dev/ttyS1"
framing = "tcp"
baud = 3
[[lines]]
name = "a"
connect = "192.168.1.40"
[[lines]]
name = "b"
serial = "/dev/ttyS1"
[[lines]]
name = "c"
listen = "5020"
registration = "x"
[[lines]]
name = "d"
connect = "192.168.1.40:502"
registration = "x"
parity = "even"
[[lines]]
name = "e"
listen = "0.0.0.0:5020"
registration = "DTU1"
[[lines]]
name = "f"
listen = "0.0.0.0:5020"
registration = "DTU12"
[[lines]]
name = "g"

[[sources]]
name = "s"
[sources.modbus]
line = "nowhere"
endpoint = "192.168.1.40:502"
retries = 9
max_registers = 2
order = "ABBA"
points = [
    { name = "p", address = 0, type = "text" },
    { name = "q", address = 0, registers = 3, order = "ABCDEFGH" },
    { name = "r", address = 0, type = "u64" },
]
[[sources]]
name = "t"
[sources.modbus]
endpoint = "192.168.1.40:502"
points = [{ name = "p", address = 0 }]
[[sources]]
name = "u"
[sources.modbus]
line = "nowhere"
points = [{ name = "p", address = 0 }]
"#;
    let complaints = parse(text).unwrap_err();
    let mut paths: Vec<_> = complaints.list().iter().map(|complaint| complaint.path.as_str()).collect();
    paths.sort_unstable();
    let expected = [
        "lines[0].baud",
        "lines[0].framing",
        "lines[1].connect",
        "lines[2]",
        "lines[3].listen",
        "lines[4].parity",
        "lines[4].registration",
        "lines[6]",
        "lines[7]",
        "sources[0].modbus",
        "sources[0].modbus.max_registers",
        "sources[0].modbus.order",
        "sources[0].modbus.points[0].registers",
        "sources[0].modbus.points[1].order",
        "sources[0].modbus.points[1].registers",
        "sources[0].modbus.retries",
        "sources[1].modbus.endpoint",
        "sources[2].modbus.line",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn what_leaves_of_a_manifest_names_nobody_and_no_address() {
    let manifest = parse(EXAMPLE).unwrap();
    let body = manifest.public(&[7; 32]);
    let bytes = prost::Message::encode_to_vec(&body);
    let text = String::from_utf8_lossy(&bytes);
    for hidden in ["冲压", "192.168", "Meter", "/var/log", "admin", "报工"] {
        assert!(!text.contains(hidden), "{hidden} leaves");
    }
    let names: Vec<_> = body.modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["work_order", "production_report", "quality"]);
    assert_eq!(body.sources[2].modules, [6, 7, 8]);
    assert_eq!(body.sources[0].points.len(), 3);
    assert_eq!((body.sources[0].cadence_s, body.utc_offset_minutes), (10, 480));
    assert_ne!(body.hidden_digest, manifest.public(&[8; 32]).hidden_digest);
    assert_eq!(body, manifest.public(&[7; 32]));
}

#[test]
fn all_complaints_come_at_once_each_with_its_path() {
    let text = r#"
utc_offset_minutes = 9000
colour = "red"

[[sources]]
name = "a"
cadence = "1500ms"
[sources.modbus]
endpoint = "192.168.1.20"
timeout = "10ms"
[[sources.modbus.points]]
name = "p"
address = 0
base = 1
type = "u24"
[[sources.modbus.points]]
name = "q"
table = "coil"
address = 65535
type = "u16"
[[sources.modbus.points]]
name = "r"
address = 65535
type = "f32"
scale = 0.0
role = "spinning"
[[sources.modbus.points]]
name = "s"
address = 3
type = "bit"

[[sources]]
name = "a"
[sources.opcua]
endpoint = "http://x"
policy = "none"
user = "u"
password_file = "nowhere"
server_thumbprint = "12"
verify = false
points = [{ name = "n", node = "Meter" }]

[[sources]]
cadence = "0s"

[[sources]]
name = "log"
[sources.log]
path = "x.log"
encoding = "gbk2"
parser = "cobol"
accounts = [{ exact = "a", prefix = "b", class = "human" }, { exact = "c", class = "excluded" }]
rules = [{ module = "mining", action = "dig" }, { action = "report", when = [{ field = "m", equals = "x" }] }]
"#;
    let complaints = parse(text).unwrap_err();
    let mut paths: Vec<_> = complaints.list().iter().map(|complaint| complaint.path.as_str()).collect();
    paths.sort_unstable();
    let mut expected = [
        "colour",
        "sources[0].cadence",
        "sources[0].modbus.endpoint",
        "sources[0].modbus.points[0].address",
        "sources[0].modbus.points[0].type",
        "sources[0].modbus.points[1].type",
        "sources[0].modbus.points[2].address",
        "sources[0].modbus.points[2].role",
        "sources[0].modbus.points[2].scale",
        "sources[0].modbus.points[3].bit",
        "sources[0].modbus.timeout",
        "sources[1].opcua.endpoint",
        "sources[1].opcua.password_file",
        "sources[1].opcua.points[0].node",
        "sources[1].opcua.server_thumbprint",
        "sources[1].opcua.user",
        "sources[1].opcua.verify",
        "sources[2]",
        "sources[2].cadence",
        "sources[2].name",
        "sources[3].log.accounts[0]",
        "sources[3].log.accounts[1].reason",
        "sources[3].log.encoding",
        "sources[3].log.parser",
        "sources[3].log.rules[0].action",
        "sources[3].log.rules[0].module",
        "sources[3].log.rules[0].when",
        "sources[3].log.rules[1].module",
        "utc_offset_minutes",
    ];
    expected.sort_unstable();
    assert_eq!(paths, expected);
}

#[test]
fn names_are_taken_once_and_there_is_something_to_watch() {
    let twice = "[[sources]]\nname = \"a\"\n[sources.modbus]\nendpoint = \"h:502\"\npoints = [{ name = \"p\", address = 1 }, { name = \"p\", address = 2 }]\n";
    let complaints = parse(&format!("{twice}{twice}")).unwrap_err();
    let paths: Vec<_> = complaints.list().iter().map(|complaint| complaint.path.as_str()).collect();
    assert_eq!(
        paths,
        ["sources[0].modbus.points[1].name", "sources[1].modbus.points[1].name", "sources[1].name"]
    );
    assert!(parse("").unwrap_err().to_string().contains("nothing to watch"));
}

#[test]
fn no_more_signals_than_a_window_has_room_for() {
    let point =
        |at: usize| format!("[[sources.modbus.points]]\nname = \"p{at}\"\naddress = {at}\nsignal = true\n");
    let text = |count| {
        let points: String = (0..count).map(point).collect();
        format!("[[sources]]\nname = \"a\"\n[sources.modbus]\nendpoint = \"h:502\"\n{points}")
    };
    assert!(parse(&text(64)).is_ok());
    assert!(parse(&text(65)).unwrap_err().to_string().contains("65 points as signal (at most 64"));
}

#[test]
fn there_is_no_key_that_turns_the_servers_check_off() {
    let text = "[[sources]]\nname = \"a\"\n[sources.opcua]\nendpoint = \"opc.tcp://h:4840\"\npolicy = \"basic256sha256\"\npoints = [{ name = \"n\", node = \"i=2258\" }]\n";
    assert!(parse(text).is_ok());
    for key in ["verify", "insecure", "trust_all", "verify_server_certs", "accept_any"] {
        let text = text.replace("policy", &format!("{key} = true\npolicy"));
        assert!(parse(&text).unwrap_err().to_string().contains("is not a known key"), "{key}");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let text = "[[sources]]\nname = \"a\"\n[sources.opcua]\nendpoint = \"opc.tcp://op:secret@h:4840\"\npolicy = \"none\"\npoints = [{ name = \"n\", node = \"i=2258\" }]\n";
    let complaints = parse(text).unwrap_err().to_string();
    assert!(complaints.contains("endpoint: has a user") && !complaints.contains("secret"), "{complaints}");
}

#[test]
fn every_built_in_parser_reads_and_fits_its_fields() {
    for (name, text) in logs::BUILT_IN {
        let parser = logs::parser(name, text).unwrap();
        assert!(!parser.about.is_empty() && parser.time.is_some(), "{name}");
        let manifest =
            format!("[[sources]]\nname = \"l\"\n[sources.log]\npath = \"x.log\"\nparser = \"{name}\"\n");
        parse(&manifest).unwrap();
    }
}

#[cfg(feature = "log")]
#[test]
fn a_rule_about_a_field_the_parser_does_not_have_is_a_complaint() {
    let text = r#"
[[sources]]
name = "l"
[sources.log]
path = "x.log"
parser = "spring"
accounts = [{ regex = "(", class = "human" }]
rules = [
    { module = "sales", action = "create", when = [{ field = "titel", equals = "x" }] },
    { module = "sales", action = "create", when = [{ field = "message", regex = "[" }] },
]
"#;
    let complaints = parse(text).unwrap_err();
    let paths: Vec<_> = complaints.list().iter().map(|complaint| complaint.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "sources[0].log.rules[0].when[0].field",
            "sources[0].log.rules[1].when[0].regex",
            "sources[0].log.accounts[0].regex",
        ]
    );
}

#[test]
fn a_parser_file_beside_the_manifest_is_found_and_covered_by_the_digest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("parsers")).unwrap();
    let own = "about = \"ours\"\ndelimiter = \";\"\nfields = [\"when\", \"who\"]\n";
    std::fs::write(folder.path().join("parsers/ours.toml"), own).unwrap();
    let text = "[[sources]]\nname = \"l\"\n[sources.log]\npath = \"x.log\"\nparser = \"ours\"\n";
    std::fs::write(folder.path().join("manifest.toml"), text).unwrap();
    let manifest = Manifest::load(&folder.path().join("manifest.toml")).unwrap();
    assert!(manifest.text.starts_with(text) && manifest.text.ends_with(own));
    let Kind::Log(log) = &manifest.sources[0].kind else { panic!() };
    assert_eq!(log.path, folder.path().join("x.log"));
    for (document, path, why) in [
        ("fields = [\"what\"]", "parser: document.fields", "no field `what`"),
        ("fields = []", "document.fields", "0 entries"),
        ("pattern = \"x\"", "document.fields", "missing"),
        ("fields = [\"when\", \"who\"]\npattern = \"(x)\"", "document.pattern", "one field"),
        ("fields = [\"who\"]\npattern = \"x\"", "parser: document.pattern", "0 groups"),
    ] {
        let wrong = format!("{own}[document]\n{document}\n");
        std::fs::write(folder.path().join("parsers/ours.toml"), wrong).unwrap();
        let complaints = Manifest::load(&folder.path().join("manifest.toml")).unwrap_err().to_string();
        assert!(complaints.contains(path) && complaints.contains(why), "{document}: {complaints}");
    }
    let escape = text.replace("\"ours\"", "\"../ours\"");
    assert!(
        Manifest::parse("m", &escape, folder.path()).unwrap_err().to_string().contains("no parser `../ours`")
    );
}

#[test]
fn thumbprints_are_read_as_tools_print_them() {
    assert_eq!(Thumbprint::parse(&"AB:".repeat(19)), None);
    assert_eq!(Thumbprint::parse(&"ab".repeat(20)), Some(Thumbprint::Sha1([0xAB; 20])));
    assert_eq!(Thumbprint::parse(&"AB:".repeat(32)), Some(Thumbprint::Sha256([0xAB; 32])));
    assert_eq!(Thumbprint::parse(&"+b".repeat(20)), None);
    assert_eq!(Thumbprint::parse("é"), None);
    let shown = Thumbprint::Sha256([0x0F; 32]).to_string();
    assert_eq!(Thumbprint::parse(&shown), Some(Thumbprint::Sha256([0x0F; 32])));
}

#[cfg(feature = "sql")]
mod tables {
    use super::*;

    /// The example's source of a table, which stands there as a comment.
    fn example() -> String {
        let text = include_str!("../../../config/manifest.toml");
        let from = text.find("# [[sources]]\n").expect("the example has a table");
        let lines = text[from..].lines().map(|line| line.strip_prefix('#').unwrap_or(line).trim_start());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn complaints_about(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("pw"), "secret").expect("a file");
        let text = text.replace("/etc/inuse/erp.password", "pw");
        let wrong = Manifest::parse("m", &text, folder.path()).err();
        wrong
            .map(|wrong| wrong.list().iter().map(|told| format!("{}: {}", told.path, told.problem)).collect())
            .unwrap_or_default()
    }

    #[test]
    fn the_table_of_the_example_is_a_source_and_leaves_as_a_table() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pw"), "secret").unwrap();
        let text = example().replace("/etc/inuse/erp.password", "pw");
        let manifest = Manifest::parse("m", &text, folder.path()).unwrap();
        let source = &manifest.sources[0];
        assert_eq!(source.address(), "192.168.1.8:1433/AIS20250101 T_BAS_OPERATELOG");
        assert_eq!(source.modules().len(), 3);
        let body = manifest.public(&[7; 32]);
        assert_eq!(body.sources[0].kind(), proof::wire::SourceKind::Table);
        let sent = format!("{body:?}");
        assert!(!sent.contains("AIS2025") && !sent.contains("T_BAS"), "{sent}");
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said_with_its_path() {
        let changes = [
            ("kind = \"sqlserver\"", "kind = \"oracle\"", "sources[0].table.server.kind"),
            ("host = \"192.168.1.8\"", "host = \"http://erp\"", "sources[0].table.server.host"),
            ("database = \"AIS20250101\"", "", "sources[0].table.server.database"),
            ("user = \"inuse\"", "", "sources[0].table.server.user"),
            ("tls = \"required\"", "tls = \"none\"", "sources[0].table.server.server_thumbprint"),
            ("\"6f1a2b3c", "\"f1a2b3c", "sources[0].table.server.server_thumbprint"),
            ("tls = \"required\"", "tls = \"trust\"", "sources[0].table.server.tls"),
            ("tls = \"required\"", "ca_file = \"none.pem\"", "sources[0].table.server.ca_file"),
            ("kingdee_operatelog\"", "../kingdee\"", "sources[0].table.map"),
            ("field = \"object\"", "field = \"objekt\"", "sources[0].table.rules[0].when[0].field"),
            ("max_rows = 1000", "max_rows = 1", "sources[0].table.max_rows"),
            ("overlap = \"5m\"", "overlap = \"5d\"", "sources[0].table.overlap"),
        ];
        for (from, to, path) in changes {
            let text = example();
            assert!(text.contains(from), "{from}");
            let told = complaints_about(&text.replacen(from, to, 1));
            assert!(told.iter().any(|told| told.starts_with(path)), "{to}: {told:?}");
        }
    }

    #[test]
    fn a_map_with_names_that_are_no_names_is_refused() {
        let good = crate::manifest::BUILT_IN_MAPS[0].1;
        let changes = [
            ("table = \"SFCTC\"", "table = \"SFCTC; DROP TABLE x\"", "table"),
            ("table = \"SFCTC\"", "table = \"a.b.c.d\"", "table"),
            ("column = \"TC001\", type", "column = \"TC001]\", type", "key[2].column"),
            ("column = \"CREATOR\"", "column = \"u.CREATOR\"", "fields[1].column"),
            ("column = \"CREATOR\"", "column = \"CREA TOR\"", "fields[1].column"),
            ("fields = [\"date\", \"time\"]", "fields = [\"day\"]", "time.fields"),
            ("field = \"creator\"", "field = \"maker\"", "account.field"),
            ("fields = [\"kind\", \"number\"]", "fields = [\"kind\", \"nr\"]", "document.fields"),
            ("evidence = \"documented\"", "evidence = \"sure\"", "evidence"),
        ];
        for (from, to, path) in changes {
            assert!(good.contains(from), "{from}");
            let wrong = crate::manifest::maps::map("ours", &good.replacen(from, to, 1)).unwrap_err();
            assert!(wrong.list().iter().any(|complaint| complaint.path == path), "{to}: {wrong}");
        }
    }

    #[test]
    fn there_is_no_way_to_take_any_certificate_of_a_database() {
        for key in
            ["insecure = true", "trust_server_certificate = true", "tls = \"prefer\"", "verify = false"]
        {
            let text = example().replacen("tls = \"required\"", key, 1);
            assert!(!complaints_about(&text).is_empty(), "{key}");
        }
    }
}
