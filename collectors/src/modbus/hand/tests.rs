use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::manifest::{Kind, Manifest};

/// A converter with units behind it, which speaks Modbus TCP and says what a script wants; nothing for `None`.
async fn converter(script: impl Fn(u8, &[u8]) -> Option<Vec<u8>>) -> (Settings, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = Settings::to(listener.local_addr().unwrap().to_string());
    let serving = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut header = [0; 7];
            while stream.read_exact(&mut header).await.is_ok() {
                let mut pdu = vec![0; usize::from(u16::from_be_bytes([header[4], header[5]])) - 1];
                stream.read_exact(&mut pdu).await.unwrap();
                let Some(answer) = script(header[6], &pdu) else { continue };
                let length = u16::try_from(answer.len() + 1).unwrap().to_be_bytes();
                let mut frame = header.to_vec();
                frame[4..6].copy_from_slice(&length);
                frame.extend(answer);
                stream.write_all(&frame).await.unwrap();
            }
        }
    };
    (line, serving)
}

fn hand(line: &Settings) -> Hand {
    Hand::new(line, Duration::from_millis(100), SHORTEST_GAP)
}

#[tokio::test]
async fn a_unit_that_refuses_is_there_and_one_that_is_silent_or_unknown_to_its_gateway_is_not() {
    let script = |unit: u8, pdu: &[u8]| match unit {
        1 => Some(vec![3, 2, 0, 9]),
        2 => Some(vec![pdu[0] | 0x80, 2]),
        3 => Some(vec![pdu[0] | 0x80, 0x0B]),
        5 => Some(vec![3, 1, 0]),
        _ => None,
    };
    let (line, serving) = converter(script).await;
    let asking = async {
        let mut hand = hand(&line);
        assert_eq!(hand.presence(1).await.unwrap(), Presence::There { refused: None });
        assert_eq!(hand.presence(2).await.unwrap(), Presence::There { refused: Some(2) });
        assert_eq!(hand.presence(3).await.unwrap(), Presence::GatewaySays(0x0B));
        assert_eq!(hand.presence(4).await.unwrap(), Presence::Silent);
        assert!(matches!(hand.presence(5).await.unwrap(), Presence::Garbled(_)));
        // Silence has not put the line out of step.
        assert_eq!(hand.presence(1).await.unwrap(), Presence::There { refused: None });
    };
    tokio::select! { () = serving => unreachable!(), () = asking => {} }
}

#[tokio::test]
async fn a_device_is_shown_by_its_own_words_in_as_many_parts_as_it_tells_them() {
    let script = |unit: u8, pdu: &[u8]| match (unit, pdu) {
        (1, [0x2B, 0x0E, 1, 0]) => Some([&[0x2B, 0x0E, 1, 1, 0xFF, 1, 1, 0, 4][..], b"ACME"].concat()),
        (1, [0x2B, 0x0E, 1, 1]) => {
            Some([&[0x2B, 0x0E, 1, 1, 0, 0, 2, 1, 2][..], b"P7", &[2, 3], b"1.2"].concat())
        }
        (_, pdu) => Some(vec![pdu[0] | 0x80, 1]),
    };
    let (line, serving) = converter(script).await;
    let asking = async {
        let mut hand = hand(&line);
        let identity = hand.identity(1).await.unwrap().unwrap();
        assert_eq!((&*identity.vendor, &*identity.product, &*identity.revision), ("ACME", "P7", "1.2"));
        assert_eq!(hand.identity(2).await.unwrap(), None);
    };
    tokio::select! { () = serving => unreachable!(), () = asking => {} }
}

#[tokio::test]
async fn a_line_that_is_not_there_is_an_error_and_not_a_silent_unit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = Settings::to(listener.local_addr().unwrap().to_string());
    drop(listener);
    assert!(matches!(hand(&line).presence(1).await, Err(CollectError::Lost { .. })));
}

#[tokio::test]
async fn what_a_turn_costs_is_what_the_line_carries() {
    let script = |_: u8, pdu: &[u8]| match pdu[0] {
        3 => Some([&[3, 8][..], &[0; 8]].concat()),
        _ => Some(vec![1, 2, 0, 0]),
    };
    let (line, serving) = converter(script).await;
    let text = format!(
        "[[sources]]\nname = \"a\"\n[sources.modbus]\nendpoint = \"{}\"\npoints = [\n\
         {{ name = \"a\", address = 0, type = \"u64\" }}, {{ name = \"b\", table = \"coil\", address = 1 }},\n\
         {{ name = \"c\", table = \"coil\", address = 2 }}, {{ name = \"d\", table = \"coil\", address = 11 }}]\n",
        line.address()
    ) + "max_hole = 8\n";
    let manifest = Manifest::parse("manifest.toml", &text, std::path::Path::new("")).unwrap();
    let Kind::Modbus(device) = &manifest.sources[0].kind else { panic!() };
    let cost = planned(device);
    // 12 bytes a question; 9 and the data of an answer.
    assert_eq!((cost.questions, cost.asked_bytes, cost.answered_bytes), (2, 24, 9 + 8 + 9 + 2));
    let measuring = measured(device, SHORTEST_GAP);
    let cost = tokio::select! { () = serving => unreachable!(), cost = measuring => cost.unwrap() };
    assert_eq!((cost.questions, cost.unanswered), (2, 0));
    assert!(cost.took.is_some());
}
