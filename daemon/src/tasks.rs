//! Named tasks that are always joined.

use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;
use tokio::task::{Id, JoinSet};

/// A set of named tasks. When it is dropped, what still runs is aborted.
#[derive(Default)]
pub struct Tasks {
    set: JoinSet<anyhow::Result<()>>,
    names: Vec<(Id, String)>,
}

/// Tasks that did not stop within the grace period, by name.
#[derive(Debug, thiserror::Error)]
#[error("did not stop in time: {}", .0.join(", "))]
pub struct Unfinished(pub Vec<String>);

impl Tasks {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task under a name.
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        self.names.push((handle.id(), name.into()));
    }

    /// Waits for the next task to end: its name, and how it ended. A panic is an error here. `None` when all ended.
    pub async fn next(&mut self) -> Option<(String, anyhow::Result<()>)> {
        let (id, outcome) = match self.set.join_next_with_id().await? {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => (error.id(), Err(anyhow!("panicked: {error}"))),
        };
        Some((self.forget(id), outcome))
    }

    /// Waits for all tasks, at most `grace`; returns the first failure, or who did not stop.
    ///
    /// # Errors
    /// The first failure of a task, else [`Unfinished`] with the names of those that had to be aborted.
    pub async fn finish(mut self, grace: Duration) -> anyhow::Result<()> {
        let mut first = Ok(());
        let ended = tokio::time::timeout(grace, async {
            while let Some((name, outcome)) = self.next().await {
                if let Err(error) = outcome {
                    tracing::error!(task = name, error = %crate::chain(&*error), "task failed");
                    if first.is_ok() {
                        first = Err(error.context(format!("task {name} failed")));
                    }
                }
            }
        })
        .await;
        if ended.is_err() {
            let names = self.names.drain(..).map(|(_, name)| name).collect();
            self.set.abort_all();
            return Err(Unfinished(names).into());
        }
        first
    }

    fn forget(&mut self, id: Id) -> String {
        match self.names.iter().position(|(known, _)| *known == id) {
            Some(at) => self.names.swap_remove(at).1,
            None => "unnamed".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_did_not_stop_is_named() {
        let mut tasks = Tasks::new();
        tasks.spawn("quick", async { Ok(()) });
        tasks.spawn("stubborn", std::future::pending());
        let error = tasks.finish(Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.to_string(), "did not stop in time: stubborn");
    }

    #[tokio::test]
    async fn a_panic_is_reported_under_the_name_of_its_task() {
        let mut tasks = Tasks::new();
        tasks.spawn("doomed", async { panic!("no") });
        let (name, outcome) = tasks.next().await.unwrap();
        assert_eq!(name, "doomed");
        assert!(outcome.is_err());
    }
}
