//! A server's certificate, shown once and pinned: what stands on the server's own screen decides.

use std::path::Path;

use collectors::manifest::Source;

use super::ask::Console;

/// What the installer says of the certificate that a server shows.
pub(super) enum Trust {
    /// The key of the manifest that pins it.
    Pinned(String),
    /// It is another than on the server's screen.
    Refused,
    /// Nobody answers, or without a certificate; why was said.
    Unseen,
}

/// Shows it and asks.
pub(super) async fn on_first_use(
    console: &mut Console,
    source: &Source,
    state_dir: &Path,
) -> anyhow::Result<Trust> {
    let print = match collectors::probe(source, state_dir).await {
        Ok(probe) => probe.server_thumbprint,
        Err(error) => {
            let why = daemon::chain(&error);
            console.say(&format!("  × {why}"), &format!("  ! {why}"))?;
            return Ok(Trust::Unseen);
        }
    };
    let Some(print) = print else {
        console.say("  × 服务器没有出示证书", "  ! the server shows no certificate")?;
        return Ok(Trust::Unseen);
    };
    let same = console
        .yes(
            &format!("服务器证书 SHA-256：\n  {print}\n与服务器屏幕上的一致？"),
            &format!("The server's certificate, SHA-256:\n  {print}\nIs it the one on its own screen?"),
            false,
        )
        .await?;
    Ok(if same { Trust::Pinned(format!("server_thumbprint = \"{print}\"\n")) } else { Trust::Refused })
}
