//! OPC UA answers as the client decodes them: what real servers sent, and thousands of variations of it, decode or are
//! refused; no bytes make a panic, and no answer makes a reading out of what is no number.
//!
//! `fuzz/corpus/opcua` holds one answer a file, from its type's node id on; `fuzz/README.md` says whose they are.

use std::io::Cursor;
use std::path::Path;

use collectors::manifest::{Kind, Manifest, Meaning};
use collectors::opcua::nodes::decode;
use opcua::core::{Message as _, ResponseMessage};
use opcua::types::{BinaryDecodable as _, ContextOwned, DataChangeNotification, DataValue, NodeId};

/// What a corpus file or a fuzzer's bytes come to: the values in the answer, or nothing.
fn values(bytes: &[u8]) -> Result<Vec<DataValue>, String> {
    let owned = ContextOwned::default();
    let ctx = owned.context();
    let mut stream = Cursor::new(bytes);
    let id = NodeId::decode(&mut stream, &ctx).map_err(|error| error.to_string())?;
    let id = id.as_object_id().map_err(|_| "no type".to_owned())?;
    let answer = ResponseMessage::decode_by_object_id(&mut stream, id, &ctx);
    let answer = answer.map_err(|error| error.to_string())?;
    if let ResponseMessage::Read(answer) = answer {
        return Ok(answer.results.unwrap_or_default());
    }
    let ResponseMessage::Publish(answer) = answer else { return Ok(Vec::new()) };
    let data = answer.notification_message.notification_data.unwrap_or_default();
    let changes = data.into_iter().filter_map(|data| data.into_inner_as::<DataChangeNotification>());
    Ok(changes.flat_map(|change| change.monitored_items.unwrap_or_default()).map(|item| item.value).collect())
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/opcua");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("a file").path())
        .map(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            (name.unwrap_or_default(), std::fs::read(path).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

fn meaning() -> Meaning {
    let text = "[[sources]]\nname = \"a\"\n[sources.opcua]\nendpoint = \"opc.tcp://h:1\"\npolicy = \"none\"\n\
                points = [{ name = \"n\", node = \"i=1\" }]\n";
    let manifest = Manifest::parse("manifest.toml", text, Path::new("")).expect("a good manifest");
    let Kind::OpcUa(server) = &manifest.sources[0].kind else { panic!("it is OPC UA") };
    server.points[0].meaning.clone()
}

fn judged(values: &[DataValue], meaning: &Meaning) -> usize {
    let readings = values.iter().map(|value| decode(meaning, value));
    readings.inspect(|reading| assert!(reading.value.is_none_or(f64::is_finite), "{reading:?}")).count()
}

#[test]
fn answers_of_real_servers_decode_but_for_those_that_contradict_themselves() {
    let (meaning, mut read, mut refused) = (meaning(), 0, Vec::new());
    for (name, bytes) in corpus() {
        match values(&bytes) {
            Ok(values) => read += judged(&values, &meaning),
            Err(error) => refused.push((name, error)),
        }
    }
    assert!(read >= 12, "{read} values in the corpus");
    // Matrices of one row of two, with three values.
    assert!(refused.iter().all(|(_, why)| why.contains("dimensions")), "{refused:?}");
}

#[test]
fn no_variation_of_an_answer_makes_a_panic_or_a_number_out_of_nothing() {
    let meaning = meaning();
    for (name, bytes) in corpus() {
        for end in 0..bytes.len().min(400) {
            drop(values(&bytes[..end]));
        }
        let mut random = 0x9E37_79B9_7F4A_7C15_u64 ^ bytes.len() as u64 ^ name.len() as u64;
        for _ in 0..2_000 {
            let mut changed = bytes.clone();
            for _ in 0..3 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = usize::try_from(random >> 32).expect("32 bits") % changed.len();
                changed[at] = random.to_le_bytes()[0];
            }
            if let Ok(values) = values(&changed) {
                judged(&values, &meaning);
            }
        }
    }
}
