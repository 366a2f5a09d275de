//! What a server may answer, given to all that reads it: a target for fuzzing, and the replay of its corpus
//! (`tests/fuzz/corpus/opcua`).

use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

use opcua::core::{Message as _, ResponseMessage};
use opcua::types::{BinaryDecodable as _, ContextOwned, DataChangeNotification, DataValue, NodeId};

use super::nodes::decode;
use crate::manifest::{Kind, Manifest, Meaning};

/// The body of an answer, from the node id of its type on: how many values stand in it, or why it cannot be read.
///
/// # Errors
/// What the client would say of it.
///
/// # Panics
/// When a value makes a reading that is no number.
pub fn answer(bytes: &[u8]) -> Result<usize, String> {
    let values = values(bytes)?;
    for value in &values {
        let reading = decode(&MEANING, value);
        assert!(reading.value.is_none_or(f64::is_finite), "{reading:?}");
    }
    Ok(values.len())
}

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

/// A point's, as a manifest declares it.
static MEANING: LazyLock<Meaning> = LazyLock::new(|| {
    let text = "[[sources]]\nname = \"a\"\n[sources.opcua]\nendpoint = \"opc.tcp://h:1\"\npolicy = \"none\"\n\
                points = [{ name = \"n\", node = \"i=1\" }]\n";
    let manifest = Manifest::parse("manifest.toml", text, Path::new("")).expect("a good manifest");
    let Kind::OpcUa(server) = &manifest.sources[0].kind else { panic!("it is OPC UA") };
    server.points[0].meaning.clone()
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replay::{changed, changes, corpus};

    static ANSWERS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("opcua", 31));

    #[test]
    fn answers_of_real_servers_decode_but_for_those_that_contradict_themselves() {
        let answers: Vec<_> = ANSWERS.iter().map(|bytes| answer(bytes)).collect();
        let read: usize = answers.iter().flatten().sum();
        assert!(read >= 12, "{read} values in the corpus");
        // Matrices of one row of two, with three values.
        let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert!(refused.iter().all(|why| why.contains("dimensions")), "{refused:?}");
    }

    #[test]
    fn no_beginning_of_an_answer_makes_a_panic() {
        for bytes in &*ANSWERS {
            for end in 0..bytes.len().min(400) {
                drop(answer(&bytes[..end]));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60_000))]
        #[test]
        fn no_variation_of_an_answer_makes_a_panic_or_a_number_out_of_nothing(
            pick in any::<prop::sample::Index>(),
            changes in changes(&[]),
        ) {
            drop(answer(&changed(pick.get(&ANSWERS).clone(), &changes)));
        }
    }
}
