//! Prints how fast a log is followed, decoded and parsed: a collector as the agent builds it, on a clock that is always
//! at the next look. `cargo run --release -p collectors --example measure_log`

#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use collectors::SampleSender;
use collectors::manifest::Manifest;
use daemon::{Clock, Hold, Sleep, Stamp, Stopwatch};
use proof::What;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const LINES: u64 = 400_000;

const LINE: &str = "2025-06-18 08:21:45.112  INFO 5312 --- [nio-8080-exec-7] c.x.mes.report.ReportService : 报工成功 工单=MO2506-0117 工序=20 数量=48 操作员=wang01\n";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for (name, encoding) in [("utf-8", encoding_rs::UTF_8), ("gb18030", encoding_rs::GB18030)] {
        let folder = tempfile::tempdir()?;
        let (line, ..) = encoding.encode(LINE);
        let bytes = line.repeat(usize::try_from(LINES)?);
        std::fs::write(folder.path().join("mes.log"), &bytes)?;
        let (watch, cpu) = (Stopwatch::start(), cpu_seconds()?);
        follow(folder.path(), name).await?;
        let (took, cpu) = (watch.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        let megabytes = bytes.len() as f64 / 1e6;
        println!(
            "{name}: {LINES} lines, {megabytes:.0} MB in {took:.2} s: {:.0} MB/s, {:.0} MB/s of one core",
            megabytes / took,
            megabytes / cpu
        );
    }
    Ok(())
}

/// Follows the log until every line has come, parsed.
async fn follow(folder: &Path, encoding: &str) -> Result<(), Box<dyn Error>> {
    let text = format!(
        "[[sources]]\nname = \"mes\"\ncadence = \"1s\"\n[sources.log]\npath = \"mes.log\"\nencoding = \"{encoding}\"\n\
         parser = \"spring\"\nrules = [{{ module = \"production_report\", action = \"report\", \
         when = [{{ field = \"message\", regex = \"^报工成功\" }}] }}]\n"
    );
    let source = Manifest::parse("manifest.toml", &text, folder)?.sources.remove(0);
    let mut collector = collectors::build(&source, None, folder, &collectors::Shared::default())?;
    let (tx, mut rx) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let clock = Arc::new(AlwaysDue(AtomicI64::new(0)));
    let out = SampleSender::new(1, source.cadence, clock, tx, stop.clone());
    let all = async {
        let mut records = 0;
        while records < LINES {
            let Some(sample) = rx.recv().await else { break };
            if let What::Records(batch) = sample.observation.what {
                records += u64::try_from(batch.records.len()).unwrap_or(0);
            }
        }
        stop.cancel();
        records
    };
    let (ended, records) = tokio::join!(collector.run(&out, &stop), all);
    ended?;
    if records < LINES {
        return Err(format!("{records} of {LINES} lines came as records").into());
    }
    Ok(())
}

/// The next moment is now.
struct AlwaysDue(AtomicI64);

impl Clock for AlwaysDue {
    fn stamp(&self) -> Stamp {
        Stamp { wall_ms: self.0.load(Ordering::Relaxed), mono_ms: 0 }
    }

    fn boot_id(&self) -> String {
        "measure".to_owned()
    }

    fn sleep_until(&self, wall_ms: i64) -> Sleep {
        self.0.fetch_max(wall_ms, Ordering::Relaxed);
        Box::pin(async {
            tokio::task::yield_now().await;
            Hold::none()
        })
    }

    fn hold(&self) -> Hold {
        Hold::none()
    }
}

/// What this process has used of all cores, user and system: fields 14 and 15 of stat, in hundredths of a second.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || fields.next().unwrap_or_default().parse::<f64>();
    Ok((next()? + next()?) / 100.0)
}
