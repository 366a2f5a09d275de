//! `cargo run -p tests --bin chaos -- --minutes 30 --seed 1`: see [`tests::chaos`].

use std::process::ExitCode;

use clap::Parser as _;
use daemon::Exit;
use tests::chaos::Chaos;

fn main() -> ExitCode {
    let chaos = match Chaos::try_parse() {
        Ok(chaos) => chaos,
        Err(error) => {
            let usage = error.use_stderr();
            // A closed terminal leaves nobody to tell.
            drop(error.print());
            return if usage { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    tests::process::log_when_asked();
    daemon::run("chaos", async |ctx| {
        let report = chaos.run(ctx.stop()).await?;
        tests::chaos::print(&report);
        Ok(if report.is_good() { Exit::Ok } else { Exit::Failed })
    })
}
