use jiff::civil::date;
use tokio_modbus::client::{Reader as _, Writer as _, tcp};
use tokio_modbus::prelude::SlaveContext as _;
use tokio_modbus::slave::Slave;

use super::*;
use crate::clock::SimClock;
use crate::plant::machine::{MachineSpec, Take};
use crate::recordings::midnight_ms;

/// A working morning.
fn moment() -> i64 {
    midnight_ms(date(2026, 7, 23)) + 10 * 3_600_000
}

fn machine() -> Arc<Machine> {
    let power = Take { weeks: 9, every: 1, phase: 0 };
    let temperature = Some(Take { weeks: 0, every: 1, phase: 0 });
    let spec = MachineSpec { power, share: 8, meter_wh: 70_000, part_wh: 900, temperature, off: Vec::new() };
    Arc::new(Machine::new(spec, date(2026, 7, 22)))
}

async fn device() -> Modbus {
    Modbus::start(machine(), Arc::new(SimClock::new(moment())), 3, "press 1").await.unwrap()
}

#[tokio::test]
async fn registers_say_what_the_machine_does() {
    let modbus = device().await;
    let mut client = tcp::connect_slave(modbus.address(), Slave(3)).await.unwrap();
    let words = client.read_input_registers(0, 10).await.unwrap().unwrap();
    assert_eq!(client.read_holding_registers(0, 10).await.unwrap().unwrap(), words);
    let reading = machine().at(moment());
    assert!(reading.power_w > 10_000);
    assert_eq!(words[usize::from(STATUS)], 0b11);
    assert_eq!(u64::from(words[1]), reading.power_w / 100);
    let long = |at: u16| u64::from(words[usize::from(at)]) << 16 | u64::from(words[usize::from(at) + 1]);
    assert_eq!(f32::from_bits(u32::try_from(long(POWER_KW)).unwrap()), reading.power_w as f32 / 1000.0);
    assert_eq!((long(ENERGY_WH), long(PARTS)), (reading.energy_wh, reading.parts));
    assert_eq!(words[usize::from(TEMPERATURE)].cast_signed(), reading.temperature.unwrap() / 10);
    assert_eq!(client.read_discrete_inputs(RUNNING, 1).await.unwrap().unwrap(), [true]);
}

#[tokio::test]
async fn addresses_outside_and_other_units_and_writes_are_refused() {
    let modbus = device().await;
    let mut client = tcp::connect_slave(modbus.address(), Slave(3)).await.unwrap();
    let refused = client.read_input_registers(8, 3).await.unwrap();
    assert_eq!(refused, Err(ExceptionCode::IllegalDataAddress));
    assert_eq!(client.write_single_register(1, 5).await.unwrap(), Err(ExceptionCode::IllegalFunction));
    client.set_slave(Slave(4));
    assert_eq!(client.read_input_registers(0, 1).await.unwrap(), Err(ExceptionCode::GatewayTargetDevice));
    assert_eq!((modbus.requests(), modbus.writes()), (3, 1));
}

#[tokio::test]
async fn a_device_switched_off_refuses_and_comes_back_at_its_address() {
    let mut modbus = device().await;
    let mut client = tcp::connect_slave(modbus.address(), Slave(3)).await.unwrap();
    client.read_input_registers(0, 1).await.unwrap().unwrap();
    modbus.stop().await.unwrap();
    assert!(client.read_input_registers(0, 1).await.is_err());
    assert!(tcp::connect_slave(modbus.address(), Slave(3)).await.is_err());
    modbus.resume().await.unwrap();
    let mut client = tcp::connect_slave(modbus.address(), Slave(3)).await.unwrap();
    client.read_input_registers(0, 1).await.unwrap().unwrap();
}
