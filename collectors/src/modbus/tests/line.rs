//! What is taken for the answer to a question, on each kind of line.

use super::*;

/// grid-x/modbus 78, slowtec/tokio-modbus 324: one slow answer, and every later one was one question behind.
#[tokio::test]
async fn grid_x_78_a_late_answer_is_never_taken_for_the_next_ones() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("tcp", 3, "200ms");
    let mut late = Vec::new();
    let script = async |question: Vec<u8>| {
        let answer = tcp_answer(&question, &[3, 2, 0, question[9]]);
        // The first is never answered in time; from the second on, the answer before comes first.
        let said = if late.is_empty() { Vec::new() } else { [late.clone(), answer.clone()].concat() };
        late = answer;
        vec![said]
    };
    let asking = async {
        assert!(matches!(line.ask(&device, read(7, 1)).await, Err(CollectError::Lost { .. })));
        for address in 8..12 {
            assert_eq!(line.ask(&device, read(address, 1)).await.unwrap(), Answer::Registers(vec![address]));
        }
        assert_eq!(line.dropped().await.late, 4);
    };
    far.answering(script, asking).await;
}

#[tokio::test]
async fn a_late_answer_on_a_serial_line_is_never_taken_for_the_next_ones() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("rtu", 3, "200ms");
    let mut owed = Vec::new();
    let script = async |question: Vec<u8>| match question[1] {
        // It has no identity, and says so: after what it owed.
        0x2B => vec![[std::mem::take(&mut owed), sealed(&[3, 0xAB, 1])].concat()],
        _ if question[3] == 7 => {
            owed = sealed(&[3, 3, 2, 0, 7]);
            vec![]
        }
        // One shape with what is owed: the question before could be meant.
        _ => vec![sealed(&[3, 3, 2, 0, question[3]])],
    };
    let asking = async {
        assert!(matches!(line.ask(&device, read(7, 1)).await, Err(CollectError::Lost { .. })));
        for address in 8..12 {
            assert_eq!(line.ask(&device, read(address, 1)).await.unwrap(), Answer::Registers(vec![address]));
        }
        assert_eq!(line.dropped().await.late, 1);
    };
    far.answering(script, asking).await;
}

#[tokio::test]
async fn a_unit_that_owes_an_identity_is_asked_nothing() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("rtu", 3, "50ms");
    let mut asked = Vec::new();
    let script = async |question: Vec<u8>| {
        asked.push(question[1]);
        vec![]
    };
    let asking = async {
        for _ in 0..5 {
            assert!(matches!(line.ask(&device, read(7, 1)).await, Err(CollectError::Lost { .. })));
        }
    };
    far.answering(script, asking).await;
    assert_eq!(asked, [3, 0x2B], "the rest waits until nothing can be on its way");
}

#[tokio::test]
async fn two_answers_to_one_question_of_a_serial_line_are_none_when_they_differ() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("rtu\"\nbaud = 1200\npause = \"0s", 3, "1s");
    let script = async |question: Vec<u8>| {
        let answer = sealed(&[3, 3, 2, 0, question[3]]);
        match (question[1], question[3]) {
            (0x2B, _) => vec![sealed(&[3, 0xAB, 1])],
            // A converter that says everything twice.
            (_, 7) => vec![[answer.clone(), answer].concat()],
            // One that sends the answer before once more; nothing tells which of them is the answer.
            (_, 8) => vec![[sealed(&[3, 3, 2, 0, 7]), answer].concat()],
            (_, 9) => vec![answer.clone(), sealed(&[3, 3, 2, 0, 99])],
            _ => vec![answer],
        }
    };
    let asking = async {
        let doubtful = Answer::Unreadable("two answers came to one question, and they differ");
        assert_eq!(line.ask(&device, read(7, 1)).await.unwrap(), Answer::Registers(vec![7]));
        assert_eq!(line.ask(&device, read(8, 1)).await.unwrap(), doubtful);
        assert_eq!(line.ask(&device, read(9, 1)).await.unwrap(), doubtful);
        assert_eq!(line.ask(&device, read(10, 1)).await.unwrap(), Answer::Registers(vec![10]));
        assert_eq!(line.dropped().await.late, 3);
    };
    far.answering(script, asking).await;
}

#[tokio::test]
async fn what_came_while_nobody_looked_is_no_answer() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("rtu", 3, "1s");
    let (asked, said) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let speaking = async {
        let (mut stream, _) = far.listener.accept().await.unwrap();
        // What is said on a line is on it at once, and does not wait for the next question.
        stream.set_nodelay(true).unwrap();
        let mut question = [0; 8];
        loop {
            stream.read_exact(&mut question).await.unwrap();
            stream.write_all(&sealed(&[3, 3, 2, 0, question[3]])).await.unwrap();
            // After the answer was taken, one that nobody asked for.
            asked.notified().await;
            stream.write_all(&sealed(&[3, 3, 2, 0, 99])).await.unwrap();
            said.notify_one();
        }
    };
    let asking = async {
        for address in 0..4 {
            assert_eq!(line.ask(&device, read(address, 1)).await.unwrap(), Answer::Registers(vec![address]));
            asked.notify_one();
            said.notified().await;
        }
    };
    tokio::select! { () = speaking => unreachable!(), () = asking => {} }
}

#[tokio::test]
async fn noise_after_an_answer_costs_the_next_one_nothing_on_tcp() {
    // What follows an answer puts the next one out of step, whoever of the line is asked.
    let far = FarEnd::begin().await;
    let (line, device) = far.line("tcp", 3, "1s");
    let script = async |question: Vec<u8>| {
        vec![[tcp_answer(&question, &[3, 2, 0, question[9]]), vec![0xA5; 5]].concat()]
    };
    let asking = async {
        for address in 0..4 {
            assert_eq!(line.ask(&device, read(address, 1)).await.unwrap(), Answer::Registers(vec![address]));
        }
    };
    far.answering(script, asking).await;
}

/// grid-x/modbus 133: a time-out within a frame left the stream out of step.
#[tokio::test]
async fn grid_x_133_half_an_answer_costs_its_question_and_no_other() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("tcp", 3, "200ms");
    let script = async |question: Vec<u8>| {
        let mut answer = tcp_answer(&question, &[3, 2, 0, question[9]]);
        answer.truncate(if question[9] == 0 { 9 } else { answer.len() });
        vec![answer]
    };
    let asking = async {
        assert!(line.ask(&device, read(0, 1)).await.is_err());
        for address in 1..4 {
            assert_eq!(line.ask(&device, read(address, 1)).await.unwrap(), Answer::Registers(vec![address]));
        }
    };
    far.answering(script, asking).await;
}

#[tokio::test]
async fn split_merged_foreign_and_noisy_answers_are_taken_for_what_they_are() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("rtu", 3, "1s");
    let script = async |question: Vec<u8>| {
        let right = sealed(&[3, 3, 2, 0, question[3]]);
        match question[3] {
            0 => right.iter().map(|byte| vec![*byte]).collect(),
            1 => vec![[sealed(&[9, 3, 2, 0xAA, 0xAA]), right].concat()],
            2 => vec![[vec![0xFF, 0x03, 0x03], right].concat()],
            // Its own question comes back first: an echo on two wires.
            3 => vec![[question, right].concat()],
            // The answer of another one right after ours.
            _ => vec![[right, sealed(&[9, 3, 2, 0xAA, 0xAA])].concat()],
        }
    };
    let asking = async {
        for address in 0..6 {
            assert_eq!(line.ask(&device, read(address, 1)).await.unwrap(), Answer::Registers(vec![address]));
        }
        let dropped = line.dropped().await;
        assert_eq!((dropped.late, dropped.foreign, dropped.noise), (1, 2, 3));
    };
    far.answering(script, asking).await;
}

/// slowtec/tokio-modbus 180. At 1,200 bits a second these are 32 ms.
#[tokio::test]
async fn tokio_modbus_180_a_serial_line_is_silent_for_three_and_a_half_bytes_before_each_question() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("rtu\"\nbaud = 1200\npause = \"0s", 3, "1s");
    let mut said: Option<Stopwatch> = None;
    let script = async |question: Vec<u8>| {
        if let Some(said) = said {
            assert!(said.elapsed() >= Duration::from_millis(32), "asked after {:?}", said.elapsed());
        }
        said = Some(Stopwatch::start());
        vec![sealed(&[3, 3, 2, 0, question[3]])]
    };
    let asking = async {
        for address in 0..4 {
            line.ask(&device, read(address, 1)).await.unwrap();
        }
    };
    far.answering(script, asking).await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_any_more_is_given_up_and_made_anew() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("tcp", 3, "50ms");
    let mut heard = 0;
    let script = async |question: Vec<u8>| {
        heard += 1;
        if heard <= 3 { vec![] } else { vec![tcp_answer(&question, &[3, 2, 0, 9])] }
    };
    let asking = async {
        for _ in 0..3 {
            assert!(line.ask(&device, read(1, 1)).await.is_err());
        }
        assert_eq!(line.ask(&device, read(1, 1)).await.unwrap(), Answer::Registers(vec![9]));
    };
    far.answering(script, asking).await;
    assert_eq!(far.connections.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_device_that_closes_its_connection_between_questions_is_read_all_the_same() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("tcp", 3, "1s");
    let answering = async {
        loop {
            let (mut stream, _) = far.listener.accept().await.unwrap();
            let (header, _) = question(&mut stream).await;
            answer_to(&mut stream, header, &[3, 2, 0, 9]).await;
        }
    };
    let asking = async {
        for _ in 0..4 {
            assert_eq!(line.ask(&device, read(1, 1)).await.unwrap(), Answer::Registers(vec![9]));
        }
    };
    tokio::select! { () = answering => unreachable!(), () = asking => {} }
}

#[tokio::test]
async fn what_is_no_modbus_is_a_fault_and_costs_the_connection() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("tcp", 3, "1s");
    let script = async |_| vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()];
    let asking = async { line.ask(&device, read(1, 1)).await.unwrap_err() };
    let error = far.answering(script, asking).await;
    assert_eq!(error.cause(), Cause::Fault);
}

#[tokio::test]
async fn a_unit_that_dials_is_known_by_what_it_says_and_by_its_newest_connection() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let lines = Lines::default();
    let unit = |registration: &str| {
        let text = format!(
            "[[lines]]\nname = \"far\"\nlisten = \"{port}\"\nregistration = \"{registration}\"\n\
             [[sources]]\nname = \"press\"\n[sources.modbus]\nline = \"far\"\ntimeout = \"5s\"\n{POINTS}"
        );
        modbus_of(&text)
    };
    let (one, two) = (unit("DTU1"), unit("DTU2"));
    let (line_one, line_two) = (lines.line(&one.line), lines.line(&two.line));
    let dial = async |registration: &'static str, value: u8| loop {
        let Ok(mut stream) = TcpStream::connect(port).await else { continue };
        stream.write_all(registration.as_bytes()).await.unwrap();
        let mut question = [0; 8];
        while stream.read_exact(&mut question).await.is_ok() {
            stream.write_all(&sealed(&[1, 3, 2, 0, value])).await.unwrap();
        }
    };
    let asking = async {
        assert_eq!(line_one.ask(&one, read(0, 1)).await.unwrap(), Answer::Registers(vec![11]));
        assert_eq!(line_two.ask(&two, read(0, 1)).await.unwrap(), Answer::Registers(vec![22]));
        assert_eq!(line_one.ask(&one, read(0, 1)).await.unwrap(), Answer::Registers(vec![11]));
    };
    tokio::select! {
        () = dial("DTU2", 22) => unreachable!(),
        () = dial("DTU1", 11) => unreachable!(),
        () = asking => {}
    }
}

#[tokio::test]
async fn a_unit_whose_time_is_up_while_the_line_comes_back_costs_its_neighbour_nothing() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let lines = Lines::default();
    let unit = |unit: u8, timeout: &str| {
        modbus_of(&format!(
            "[[lines]]\nname = \"far\"\nlisten = \"{port}\"\nregistration = \"DTU1\"\n[[sources]]\nname = \"press\"\n\
             [sources.modbus]\nline = \"far\"\nunit = {unit}\ntimeout = \"{timeout}\"\n{POINTS}"
        ))
    };
    let (one, two) = (unit(1, "100ms"), unit(2, "5s"));
    let line = lines.line(&one.line);
    let dial = async || loop {
        if let Ok(mut stream) = TcpStream::connect(port).await {
            stream.write_all(b"DTU1").await.unwrap();
            return stream;
        }
    };
    let over = tokio::sync::Notify::new();
    let dialling = async {
        let (mut stream, mut question) = (dial().await, [0; 8]);
        stream.read_exact(&mut question).await.unwrap();
        stream.write_all(&sealed(&[1, 3, 2, 0, 11])).await.unwrap();
        // It hangs up at the next question, and comes back when its unit's time is up.
        stream.read_exact(&mut question).await.unwrap();
        drop(stream);
        over.notified().await;
        let mut stream = dial().await;
        while stream.read_exact(&mut question).await.is_ok() {
            stream.write_all(&sealed(&[question[0], 3, 2, 0, 22])).await.unwrap();
        }
    };
    let asking = async {
        assert_eq!(line.ask(&one, read(0, 1)).await.unwrap(), Answer::Registers(vec![11]));
        assert!(matches!(line.ask(&one, read(0, 1)).await, Err(CollectError::Lost { .. })));
        over.notify_one();
        assert_eq!(line.ask(&two, read(0, 1)).await.unwrap(), Answer::Registers(vec![22]));
    };
    tokio::select! { () = dialling => unreachable!(), () = asking => {} }
}

#[tokio::test]
async fn a_serial_port_carries_the_same_frames() {
    let (mut far, port) = tokio_serial::SerialStream::pair().unwrap();
    let path = tokio_serial::SerialPort::name(&port).unwrap();
    drop(port);
    let text = format!(
        "[[lines]]\nname = \"rs485\"\nserial = \"{path}\"\nbaud = 115200\nparity = \"even\"\n\
         [[sources]]\nname = \"press\"\n[sources.modbus]\nline = \"rs485\"\nunit = 3\n{POINTS}"
    );
    let device = modbus_of(&text);
    let line = Lines::default().line(&device.line);
    let answering = async {
        loop {
            let mut question = [0; 8];
            if far.read_exact(&mut question).await.is_err() {
                tokio::task::yield_now().await;
                continue;
            }
            far.write_all(&sealed(&[3, 3, 2, 0, question[3]])).await.unwrap();
        }
    };
    let asking = async {
        for address in [7, 8] {
            assert_eq!(line.ask(&device, read(address, 1)).await.unwrap(), Answer::Registers(vec![address]));
        }
    };
    tokio::select! { () = answering => unreachable!(), () = asking => {} }
}
