//! The least of an HTTP client: one question over a real socket, as a page's reader would ask it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest answer read.
const MOST: u64 = 64 << 20;

/// The status and body of `GET path`.
///
/// # Errors
/// When nobody answers within 30 s, or not in HTTP.
pub async fn get(server: SocketAddr, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    ask(server, format!("GET {path} HTTP/1.0\r\nHost: {server}\r\nConnection: close\r\n\r\n")).await
}

/// The status and text of a form that is sent to `path`, its values unescaped.
///
/// # Errors
/// As [`get`].
pub async fn post_form(
    server: SocketAddr,
    path: &str,
    values: &[(&str, &str)],
) -> anyhow::Result<(u16, String)> {
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let body: Vec<_> = values.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let body = body.join("&");
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {server}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, answer) = ask(server, request).await?;
    Ok((status, String::from_utf8(answer)?))
}

async fn ask(server: SocketAddr, request: String) -> anyhow::Result<(u16, Vec<u8>)> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer =
        tokio::time::timeout(Duration::from_secs(30), exchange).await.context("no answer in 30 s")??;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without headers")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("an answer without status")?;
    Ok((status, answer[end + 4..].to_vec()))
}

/// A JSON answer to `GET path`.
///
/// # Errors
/// As [`get`], and when the status is not 200 or the body not JSON.
pub async fn get_json(server: SocketAddr, path: &str) -> anyhow::Result<serde_json::Value> {
    let (status, body) = get(server, path).await?;
    anyhow::ensure!(status == 200, "GET {path}: status {status}: {}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}
