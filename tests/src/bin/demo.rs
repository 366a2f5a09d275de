//! `cargo demo`: see [`tests::demo`].

use std::process::ExitCode;

use clap::Parser as _;
use daemon::Exit;
use tests::demo::Demo;

fn main() -> ExitCode {
    let demo = match Demo::try_parse() {
        Ok(demo) => demo,
        Err(error) => {
            let usage = error.use_stderr();
            // A closed terminal leaves nobody to tell.
            drop(error.print());
            return if usage { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    demo.log();
    daemon::run("demo", async |ctx| {
        demo.run(ctx.stop()).await?;
        Ok(Exit::Ok)
    })
}
