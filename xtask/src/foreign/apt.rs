//! Debian packages, when we are root on a system that has them.

use anyhow::{Context as _, bail};

use crate::command::{Command, find};

/// Installs packages; the lists are updated once, before the first.
#[derive(Default)]
pub(super) struct Apt {
    updated: bool,
}

impl Apt {
    pub(super) fn install(&mut self, packages: &[&str]) -> anyhow::Result<()> {
        let wanted = packages.join(" ");
        if find("apt-get").is_none() {
            bail!("not installed, and there is no apt-get to install {wanted}");
        }
        if !is_root()? {
            bail!("not installed; as root: apt-get install {wanted}");
        }
        if !self.updated {
            apt_get().args(["update", "-qq"]).run().context("the package lists could not be updated")?;
            self.updated = true;
        }
        apt_get().args(["install", "-qq", "--no-install-recommends"]).args(packages).run()
    }

    /// As [`Apt::install`], for a package that would start a service: tests start their own, with their own settings.
    pub(super) fn install_without_starting(
        &mut self,
        packages: &[&str],
        service: &str,
    ) -> anyhow::Result<()> {
        let has_systemd = std::path::Path::new("/run/systemd/system").exists() && is_root()?;
        if !has_systemd {
            return self.install(packages);
        }
        Command::new("systemctl").args(["mask", "--runtime", service]).run()?;
        let installed = self.install(packages);
        Command::new("systemctl").args(["unmask", "--runtime", service]).run()?;
        installed?;
        Command::new("systemctl").args(["disable", service]).run()
    }
}

fn apt_get() -> Command {
    Command::new("apt-get")
        .args(["-y", "-o", "DPkg::Lock::Timeout=300"])
        .env("DEBIAN_FRONTEND", "noninteractive")
}

fn is_root() -> anyhow::Result<bool> {
    Ok(Command::new("id").args(["-u"]).output()?.trim() == "0")
}
