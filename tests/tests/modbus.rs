//! Modbus against servers that are not ours: every type in every byte order, every table, over every transport.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use collectors::manifest::{Kind, Manifest};
use collectors::modbus::hand::{Hand, USUAL_GAP};
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
        write!(text, "[[sources.modbus.points]]\nname = \"{at}\"\n")?;
        for (key, value) in point.as_object().context("a point is a table")? {
            if !matches!(key.as_str(), "value" | "text") {
                writeln!(text, "{key} = {value}")?;
            }
        }
    }
    Manifest::parse("manifest.toml", &text, Path::new("")).map_err(|wrong| anyhow::anyhow!("{wrong}"))
}

async fn reads_all(line: &str, points: &[Value]) -> anyhow::Result<()> {
    let manifest = manifest(line, points)?;
    let probe =
        collectors::probe(&manifest.sources[0], Path::new("")).await.with_context(|| line.to_owned())?;
    assert_eq!(probe.points.len(), points.len());
    for (point, read) in points.iter().zip(&probe.points) {
        assert_eq!(read.text.as_deref(), point["text"].as_str(), "{line}: {point}");
        if read.text.is_none() {
            assert_eq!(read.reading.value, point["value"].as_f64(), "{line}: {point}");
        }
    }
    Ok(())
}

/// What the device says of itself when it is asked by hand.
async fn identity(manifest: &Manifest) -> anyhow::Result<[String; 3]> {
    let Kind::Modbus(device) = &manifest.sources[0].kind else { anyhow::bail!("it is a Modbus device") };
    let mut hand = Hand::new(&device.line, Duration::from_secs(5), USUAL_GAP);
    let who = hand.identity(UNIT).await?.context("it says nothing of itself")?;
    Ok([who.vendor, who.product, who.revision])
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
    let said =
        ["VendorName", "ProductCode", "MajorMinorRevision"].map(|key| &device.listening["identity"][key]);
    for line in
        [format!("connect = \"{}\"", device.address()), format!("connect = \"{rtu}\"\nframing = \"rtu\"")]
    {
        assert_eq!(
            identity(&manifest(&line, &points)?).await?.each_ref().map(String::as_str),
            said.map(|it| it.as_str().unwrap_or_default())
        );
    }

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

#[tokio::test]
#[ignore = "needs libmodbus: cargo xtask test"]
async fn every_type_in_every_order_is_what_libmodbus_serves_over_tcp_and_a_serial_port() -> anyhow::Result<()>
{
    let device = Device::start("libmodbus_table.py", &[]).await?;
    let points = device.listening["points"].as_array().context("points")?.clone();
    assert!(points.len() > 200, "{} points are not every type in every order", points.len());
    reads_all(&format!("connect = \"{}\"", device.address()), &points).await?;
    // It lost its connection, and a new one is answered as well.
    reads_all(&format!("connect = \"{}\"", device.address()), &points).await?;
    reads_all(&format!("serial = \"{}\"\nbaud = 115200", device.text("serial")), &points).await?;
    device.end().await.map(drop)
}
