//! What a device's turn brings of its points.

use super::*;

#[tokio::test]
async fn declared_points_are_read_in_manifest_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = source(&listener, "1s");
    let device = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let (header, pdu) = question(&mut stream).await;
            let answer: &[u8] = match pdu.as_slice() {
                [3, 0, 0, 0, 3] => &[3, 6, 0, 1, 0x86, 0xA0, 0, 1],
                [4, 0, 10, 0, 2] => &[4, 4, 0x41, 0x48, 0, 0],
                [1, 0, 5, 0, 1] => &[1, 1, 1],
                other => panic!("asked for what is not declared: {other:?}"),
            };
            answer_to(&mut stream, header, answer).await;
        }
    };
    let what = tokio::select! { () = device => unreachable!(), what = first(&source) => what.0 };
    let What::Cycle(readings) = what else { panic!("{what:?}") };
    let values: Vec<_> = readings.iter().map(|reading| reading.value).collect();
    assert_eq!(values, [Some(1.0), Some(100_000.0), Some(12.5), Some(1.0)]);
    assert_eq!(readings[1].raw, [0x86, 0xA0, 0, 1]);
    assert!(readings.iter().all(|reading| reading.quality == Quality::Good));
}

#[tokio::test]
async fn an_exception_costs_its_points_and_no_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = source(&listener, "1s");
    let device = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let (header, pdu) = question(&mut stream).await;
            let answer: &[u8] = match pdu[0] {
                3 => &[0x83, 2],
                4 => &[0x84, 0x0B],
                _ => &[1, 1, 0],
            };
            answer_to(&mut stream, header, answer).await;
        }
    };
    let what = tokio::select! { () = device => unreachable!(), what = first(&source) => what.0 };
    let What::Cycle(readings) = what else { panic!("{what:?}") };
    let qualities: Vec<_> = readings.iter().map(|reading| reading.quality).collect();
    assert_eq!(qualities, [Quality::Fault, Quality::Fault, Quality::NoAnswer, Quality::Good]);
}

#[tokio::test]
async fn a_block_that_was_refused_for_a_moment_is_asked_for_whole_again() {
    let far = FarEnd::begin().await;
    let points = points_at(0..4);
    let mut asking = Asking::new(&far.device_of("tcp", 3, "1s", &points), &Lines::default());
    let mut counts = Vec::new();
    let script = async |question: Vec<u8>| {
        let count = question[11];
        counts.push(count);
        if counts.len() == 1 {
            return vec![tcp_answer(&question, &[0x83, 2])];
        }
        vec![tcp_answer(&question, &[&[3, count * 2], vec![0; usize::from(count) * 2].as_slice()].concat())]
    };
    let cycles = async {
        for _ in 0..2 {
            asking.cycle().await.unwrap();
        }
        let (since, wait) = asking.cut.unwrap();
        assert_eq!(wait, REFUSED[0]);
        asking.cut = Some((since, Duration::ZERO));
        asking.cycle().await.unwrap();
        assert_eq!(asking.cut.map(|_| ()), None);
    };
    far.answering(script, cycles).await;
    assert_eq!(counts, [4, 2, 2, 2, 2, 4]);
}

#[tokio::test]
async fn requests_that_are_never_answered_do_not_hide_the_others() {
    let far = FarEnd::begin().await;
    let points = points_at((0..40).step_by(10));
    let mut asking = Asking::new(&far.device_of("tcp", 3, "50ms", &points), &Lines::default());
    let script = async |question: Vec<u8>| match question[9] {
        0 | 10 => vec![],
        address => vec![tcp_answer(&question, &[3, 2, 0, address])],
    };
    let cycles = async {
        assert!(asking.cycle().await.is_err(), "both of this turn's first are never answered");
        asking.cycle().await.unwrap()
    };
    let readings = far.answering(script, cycles).await;
    let values: Vec<_> = readings.iter().map(|reading| reading.value).collect();
    assert_eq!(values, [None, None, Some(20.0), Some(30.0)]);
}

#[tokio::test]
async fn a_unit_that_answers_nonsense_is_asked_the_rest_of_its_turn() {
    let far = FarEnd::begin().await;
    let mut asking = Asking::new(&far.device("tcp", 3, "1s"), &Lines::default());
    let script = async |question: Vec<u8>| match question[7] {
        // One register, and three were asked for.
        3 => vec![tcp_answer(&question, &[3, 2, 0, 1])],
        4 => vec![tcp_answer(&question, &[4, 4, 0x41, 0x48, 0, 0])],
        _ => vec![tcp_answer(&question, &[1, 1, 1])],
    };
    let cycle = async { asking.cycle().await.unwrap() };
    let readings = far.answering(script, cycle).await;
    let qualities: Vec<_> = readings.iter().map(|reading| reading.quality).collect();
    assert_eq!(qualities, [Quality::Fault, Quality::Fault, Quality::Good, Quality::Good]);
}

/// influxdata/telegraf 11782, edgexfoundry/device-modbus-go 666, emqx/neuron 1602.
#[tokio::test]
async fn telegraf_11782_a_silent_unit_costs_its_neighbour_on_the_line_no_more_than_its_time_out() {
    let far = FarEnd::begin().await;
    let lines = Lines::default();
    let (silent, well) = (far.device("rtu", 1, "50ms"), far.device("rtu", 2, "1s"));
    let (mut silent, mut well) = (Asking::new(&silent, &lines), Asking::new(&well, &lines));
    assert!(Arc::ptr_eq(&silent.line, &well.line), "they share the line");
    let mut asked = Vec::new();
    let script = async |question: Vec<u8>| {
        asked.push(question[0]);
        match (question[0], question[1]) {
            (2, 1) => vec![sealed(&[2, 1, 1, 1])],
            (2, function) => {
                let count = usize::from(question[5]) * 2;
                vec![sealed(&[&[2, function, question[5] * 2], vec![0; count].as_slice()].concat())]
            }
            _ => vec![],
        }
    };
    let asking = async {
        let silences = async {
            for _ in 0..5 {
                assert!(silent.cycle().await.is_err());
            }
        };
        let answers = async {
            for _ in 0..20 {
                let readings = well.cycle().await.unwrap();
                assert!(readings.iter().all(|reading| reading.quality == Quality::Good), "{readings:?}");
            }
        };
        tokio::join!(silences, answers);
    };
    far.answering(script, asking).await;
    assert_eq!(far.connections.load(std::sync::atomic::Ordering::Relaxed), 1, "one connection for all");
    // Both always have something to ask, and the silent one is never asked twice while the other waits.
    let last = asked.iter().rposition(|unit| *unit == 2).unwrap();
    assert!(asked[..last].windows(2).all(|pair| pair != [1, 1]), "{asked:?}");
    assert!(asked.contains(&1));
}

/// influxdata/telegraf 13630: one address that is not there stopped the whole read. Register 5 is not there.
#[tokio::test]
async fn telegraf_13630_a_refused_block_is_asked_in_two_until_only_what_is_not_there_is_refused() {
    let far = FarEnd::begin().await;
    let points = points_at(0..10);
    let mut asking = Asking::new(&far.device_of("tcp", 3, "1s", &points), &Lines::default());
    let mut questions = 0;
    let script = async |question: Vec<u8>| {
        questions += 1;
        let (first, count) = (question[9], question[11]);
        if (first..first + count).contains(&5) {
            return vec![tcp_answer(&question, &[0x83, 2])];
        }
        let words: Vec<u8> = (first..first + count).flat_map(|address| [0, address]).collect();
        vec![tcp_answer(&question, &[&[3, count * 2], words.as_slice()].concat())]
    };
    let cycles = async {
        for turn in 0..3 {
            let readings = asking.cycle().await.unwrap();
            for (at, reading) in readings.iter().enumerate() {
                let expected = if at == 5 { Quality::Fault } else { Quality::Good };
                assert_eq!(reading.quality, expected, "turn {turn}, point {at}");
            }
        }
    };
    far.answering(script, cycles).await;
    // 0–9, 0–4, 5–9, 5–6, 5, 6, 7–9; then 0–4, 6, 7–9 and no question for what is not there.
    assert_eq!(questions, 7 + 3 + 3);
}

#[tokio::test]
async fn a_question_without_an_answer_costs_its_points_and_no_others() {
    let far = FarEnd::begin().await;
    let mut asking = Asking::new(&far.device("tcp", 3, "50ms"), &Lines::default());
    let script = async |question: Vec<u8>| match question[7] {
        3 => vec![],
        4 => vec![tcp_answer(&question, &[4, 4, 0x41, 0x48, 0, 0])],
        _ => vec![tcp_answer(&question, &[1, 1, 1])],
    };
    let cycle = async { asking.cycle().await.unwrap() };
    let readings = far.answering(script, cycle).await;
    let qualities: Vec<_> = readings.iter().map(|reading| reading.quality).collect();
    assert_eq!(qualities, [Quality::NoAnswer, Quality::NoAnswer, Quality::Good, Quality::Good]);
}

#[tokio::test]
async fn a_device_that_is_off_is_one_silence_for_one_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = source(&listener, "1s");
    drop(listener);
    let (what, ended) = first(&source).await;
    assert_eq!(what, What::Silent(Cause::NoAnswer));
    assert_eq!(ended.unwrap_err().cause(), Cause::NoAnswer);
}

#[tokio::test]
async fn a_probe_shows_each_point_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = source(&listener, "1s");
    let device = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let (header, pdu) = question(&mut stream).await;
            answer_to(&mut stream, header, &[pdu[0] | 0x80, 1]).await;
        }
    };
    let probe = crate::probe(&source, std::path::Path::new(""));
    let probe = tokio::select! { () = device => unreachable!(), probe = probe => probe.unwrap() };
    let names: Vec<_> = probe.points.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(names, ["running", "parts", "kwh", "door"]);
}
