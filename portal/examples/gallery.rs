//! Serves the pages over made-up firms, to look at them in a browser: `cargo run -p portal --example gallery`.
//! Prints its address and stays up until Ctrl-C.

#![expect(clippy::print_stdout, reason = "a thing to look at, not a part of the road")]

use std::sync::Arc;

#[path = "../fixtures/madeup.rs"]
#[expect(clippy::unwrap_used, dead_code, reason = "shared with the tests")]
mod madeup;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (address, firms) = (listener.local_addr()?, madeup::MadeUp::new());
    println!("http://{address}/");
    println!("http://{address}/opening?text={}", firms.opening().text());
    axum::serve(listener, portal::router(Arc::new(firms))).await
}
