//! What users of other collectors complain of, re-enacted: each test names the report it answers. Others stand beside
//! what they are about, by name too.

use super::*;

/// edgexfoundry/device-modbus-go 356: several connections to a device that accepts one.
#[tokio::test]
async fn edgex_356_devices_of_one_address_are_asked_over_one_connection_at_the_same_time() {
    let far = FarEnd::begin().await;
    let lines = Lines::default();
    let mut devices: Vec<_> =
        (1..=5).map(|unit| Asking::new(&far.device("tcp", unit, "5s"), &lines)).collect();
    let script = async |question: Vec<u8>| {
        let (function, count) = (question[7], question[11]);
        let data = if function == 1 { vec![1] } else { vec![question[6]; usize::from(count) * 2] };
        vec![tcp_answer(
            &question,
            &[&[function, u8::try_from(data.len()).unwrap()], data.as_slice()].concat(),
        )]
    };
    let asking = async {
        let [a, b, c, d, e] = devices.as_mut_slice() else { unreachable!() };
        for _ in 0..3 {
            let all = tokio::join!(a.cycle(), b.cycle(), c.cycle(), d.cycle(), e.cycle());
            for (unit, readings) in (1..).zip([all.0, all.1, all.2, all.3, all.4]) {
                assert_eq!(readings.unwrap()[0].value, Some(f64::from(unit * 257)));
            }
        }
    };
    far.answering(script, asking).await;
    assert_eq!(far.connections.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// edgexfoundry/device-modbus-go 666: a device that cannot be reached stops the collection from all others.
#[tokio::test]
async fn edgex_666_a_device_that_is_never_reached_stops_nobody() {
    let (gone, far) = (FarEnd::begin().await, FarEnd::begin().await);
    let lines = Lines::default();
    let mut gone = Asking::new(&gone.device("tcp", 1, "30s"), &lines);
    let mut well = Asking::new(&far.device("tcp", 1, "5s"), &lines);
    let script = async |question: Vec<u8>| {
        let (function, count) = (question[7], question[11]);
        let data = if function == 1 { vec![1] } else { vec![0; usize::from(count) * 2] };
        vec![tcp_answer(
            &question,
            &[&[function, u8::try_from(data.len()).unwrap()], data.as_slice()].concat(),
        )]
    };
    let asking = async {
        for _ in 0..10 {
            assert!(well.cycle().await.unwrap().iter().all(|reading| reading.quality == Quality::Good));
        }
    };
    tokio::select! {
        biased;
        () = asking => {}
        () = far.answer(script) => unreachable!(),
        // It connects, and nobody there ever says a word.
        ended = gone.cycle() => panic!("{ended:?}"),
    }
}

/// edgexfoundry/device-modbus-go 636: a serial port went and came back, and its device was never read again.
#[tokio::test]
async fn edgex_636_a_serial_port_that_went_and_came_back_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("meter");
    let text = format!(
        "[[lines]]\nname = \"rs485\"\nserial = \"{}\"\nbaud = 115200\n[[sources]]\nname = \"press\"\n\
         [sources.modbus]\nline = \"rs485\"\nunit = 3\ntimeout = \"5s\"\nretries = 0\n{POINTS}",
        link.display()
    );
    let device = modbus_of(&text);
    let line = Lines::default().line(&device.line);
    for address in [7, 8] {
        let (mut far, near) = tokio_serial::SerialStream::pair().unwrap();
        let path = tokio_serial::SerialPort::name(&near).unwrap();
        drop(near);
        // Held open, or the far end would say that nobody is there.
        let _open = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let answering = async {
            let mut question = [0; 8];
            loop {
                far.read_exact(&mut question).await.unwrap();
                far.write_all(&sealed(&[3, 3, 2, 0, question[3]])).await.unwrap();
            }
        };
        let asking = async {
            loop {
                // The attempt that found it gone is followed by no other for a second.
                if let Ok(answer) = line.ask(&device, read(address, 1)).await {
                    break assert_eq!(answer, Answer::Registers(vec![address]));
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { () = answering => unreachable!(), () = asking => {} }
        std::fs::remove_file(&link).unwrap();
        drop(far);
        assert!(line.ask(&device, read(address, 1)).await.is_err(), "it is gone");
    }
}

/// emqx/neuron 2148: a broadcast on the bus broke the framing and dropped the line.
#[tokio::test]
async fn a_broadcast_on_the_bus_costs_nothing() {
    let far = FarEnd::begin().await;
    let (line, device) = far.line("rtu", 3, "1s");
    let broadcast = sealed(&[0, 6, 0, 1, 0x12, 0x34]);
    let script =
        async |question: Vec<u8>| vec![[broadcast.clone(), sealed(&[3, 3, 2, 0, question[3]])].concat()];
    let asking = async {
        for address in 0..4 {
            assert_eq!(line.ask(&device, read(address, 1)).await.unwrap(), Answer::Registers(vec![address]));
        }
        assert_eq!(line.dropped().await.foreign, 4);
    };
    far.answering(script, asking).await;
    assert_eq!(far.connections.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// influxdata/telegraf 16873: a device takes fewer than 125 registers at once. thingsboard/thingsboard-gateway 2052:
/// reading in blocks skipped a register between two of them.
#[tokio::test]
async fn telegraf_16873_a_device_that_takes_few_registers_at_once_is_asked_for_each_register_once() {
    let far = FarEnd::begin().await;
    let points = points_at(0..50);
    let mut device = far.device_of("tcp", 3, "5s", &points);
    device.max_registers = 16;
    let mut asking = Asking::new(&device, &Lines::default());
    let mut counts = Vec::new();
    let script = async |question: Vec<u8>| {
        let (first, count) = (question[9], question[11]);
        counts.push(count);
        let words: Vec<u8> = (first..first + count).flat_map(|address| [0, address]).collect();
        let few = [&[3, count * 2], words.as_slice()].concat();
        vec![tcp_answer(&question, if count > 16 { &[0x83, 3] } else { &few })]
    };
    let cycle = async { asking.cycle().await.unwrap() };
    let readings = far.answering(script, cycle).await;
    let values: Vec<_> = readings.iter().filter_map(|reading| reading.value).collect();
    assert_eq!(values, (0..50).map(f64::from).collect::<Vec<_>>());
    assert_eq!(counts, [16, 16, 16, 2]);
}
