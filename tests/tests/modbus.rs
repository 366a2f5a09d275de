//! Modbus against a server that is not ours: every type in every byte order over every transport.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use collectors::manifest::Manifest;
use serde_json::Value;
use tests::foreign::Device;
use tokio::net::TcpStream;

const UNIT: u8 = 7;

/// A manifest with everything that the device says it has, over one line.
fn manifest(line: &str, points: &[Value]) -> anyhow::Result<Manifest> {
    let mut text = format!(
        "[[lines]]\nname = \"line\"\n{line}\n[[sources]]\nname = \"all\"\n[sources.modbus]\nline = \"line\"\n\
         unit = {UNIT}\ntimeout = \"5s\"\n"
    );
    for (at, point) in points.iter().enumerate() {
        let (kind, order, address) = (&point["type"], &point["order"], &point["address"]);
        write!(
            text,
            "[[sources.modbus.points]]\nname = \"{at}\"\ntype = {kind}\norder = {order}\naddress = {address}\n"
        )?;
    }
    Manifest::parse("manifest.toml", &text, Path::new("")).map_err(|wrong| anyhow::anyhow!("{wrong}"))
}

async fn reads_all(line: &str, points: &[Value]) -> anyhow::Result<()> {
    let manifest = manifest(line, points)?;
    let probe =
        collectors::probe(&manifest.sources[0], Path::new("")).await.with_context(|| line.to_owned())?;
    assert_eq!(probe.points.len(), points.len());
    for (point, read) in points.iter().zip(&probe.points) {
        assert_eq!(read.reading.value, point["value"].as_f64(), "{line}: {point}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs pymodbus: cargo xtask test"]
async fn every_type_in_every_order_over_every_transport_is_what_pymodbus_serves() -> anyhow::Result<()> {
    let device = Device::start("modbus_table.py", &[]).await?;
    let points = device.listening["points"].as_array().context("points")?.clone();
    assert!(points.len() > 200, "{} points are not every type in every order", points.len());
    let rtu = format!("127.0.0.1:{}", device.listening["rtu_port"]);
    reads_all(&format!("connect = \"{}\"", device.address()), &points).await?;
    reads_all(&format!("connect = \"{rtu}\"\nframing = \"rtu\""), &points).await?;

    // A serial port, with the server behind it.
    let (mut far, mut near) = tokio_serial::SerialStream::pair()?;
    let path = tokio_serial::SerialPort::name(&near).context("the port has a name")?;
    // Held open: while nobody has it open, its other end is an error to read.
    near.set_exclusive(false)?;
    let _held = std::fs::OpenOptions::new().read(true).write(true).open(&path)?;
    drop(near);
    let mut behind = TcpStream::connect(&rtu).await?;
    let line = format!("serial = \"{path}\"\nbaud = 115200");
    tokio::select! {
        ended = tokio::io::copy_bidirectional(&mut far, &mut behind) => anyhow::bail!("the bridge ended: {ended:?}"),
        read = reads_all(&line, &points) => read?,
    }

    // A unit that dials, and says who it is.
    let listener = tests::process::free_address()?;
    let line = format!("listen = \"{listener}\"\nregistration = \"DTU0001\"");
    let dialling = async {
        let mut near = loop {
            match TcpStream::connect(&listener).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        tokio::io::AsyncWriteExt::write_all(&mut near, b"DTU0001").await?;
        let mut behind = TcpStream::connect(&rtu).await?;
        tokio::io::copy_bidirectional(&mut near, &mut behind).await
    };
    tokio::select! {
        ended = dialling => anyhow::bail!("the unit ended: {ended:?}"),
        read = reads_all(&line, &points) => read?,
    }
    device.end().await.map(drop)
}
