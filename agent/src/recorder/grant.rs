//! Carries out what commands beside the daemon asked of the chain: see [`crate::wishes`].

use buffer::BufferError;
use daemon::Stamp;
use proof::envelope::{LABEL, OPENING, ROTATE};
use proof::payload::{check_label, check_opened};
use proof::{rotation, wire};
use prost::Message as _;
use tracing::{info, warn};

use super::Recorder;
use crate::keys::ROTATED;
use crate::wishes::{self, Wish};

impl Recorder {
    /// Carries out what was left in the folder of wishes, in order, each once.
    pub(crate) async fn grant(&mut self, now: Stamp) -> anyhow::Result<()> {
        loop {
            let folder = self.state_dir.clone();
            let waits = tokio::task::spawn_blocking(move || wishes::first(&folder)).await?;
            let (name, wish) = match waits {
                Ok(Some(waits)) => waits,
                Ok(None) => return Ok(()),
                Err(error) => {
                    warn!(%error, "wishes cannot be read");
                    return Ok(());
                }
            };
            let before = self.buffer.ask(|buffer| buffer.state(wishes::DONE)).await??;
            if before.as_deref() != Some(name.as_bytes()) {
                match wish {
                    Wish::Label(label) => self.label(*label, &name, now).await?,
                    Wish::Opened(opened) => self.opened(opened, &name, now).await?,
                    Wish::Rotate => self.rotate(&name, now).await?,
                }
            }
            let (folder, taken) = (self.state_dir.clone(), name.clone());
            if let Err(error) = tokio::task::spawn_blocking(move || wishes::done(&folder, &taken)).await? {
                // It is done, and the store knows: nothing after it is begun until it is gone.
                warn!(wish = name, %error, "a wish that was carried out cannot be taken away");
                return Ok(());
            }
        }
    }

    /// Signs from the next entry on with another key: see [`crate::keys`] for the steps.
    async fn rotate(&mut self, wish: &str, now: Stamp) -> anyhow::Result<()> {
        if let Some(seq) = self.keys.waits_for() {
            warn!(seq, "no rotation: the last one has no receipt yet");
            return Ok(());
        }
        let new = match self.keys.next() {
            Ok(new) => new,
            Err(error) => {
                warn!(%error, "no rotation: the new key cannot be kept");
                return Ok(());
            }
        };
        let header = self.chain.header(now, self.shared.skew_ms());
        let proof = self.chain.next(ROTATE, rotation::encode(&header, &new), Vec::new());
        let (seq, rotated) = (proof.seq, self.keys.rotated(proof.seq));
        let (stored, wish) = (proof.clone(), wish.to_owned());
        self.store(stored, move |buffer| {
            buffer.enqueue_with(&proof, &[(wishes::DONE, wish.as_bytes()), (ROTATED, &rotated)])
        })
        .await?;
        self.keys.take_over(new, seq);
        self.chain.epoch = self.keys.epoch();
        info!(seq, epoch = self.chain.epoch, kid = %self.keys.current().verify_key().kid(), "another key signs");
        Ok(())
    }

    /// The old key goes when the ledger has answered for the entry by which the new one took over.
    pub(super) async fn forget_old_key(&mut self) -> anyhow::Result<()> {
        let Some(seq) = self.keys.waits_for() else { return Ok(()) };
        let answered = self.buffer.ask(move |buffer| Ok::<_, BufferError>(buffer.receipt(seq)?.is_some()));
        if answered.await?? {
            self.keys.forget_old();
        }
        Ok(())
    }

    /// Puts what somebody says into the chain.
    async fn label(&mut self, label: wire::Label, wish: &str, now: Stamp) -> anyhow::Result<()> {
        let header = self.chain.header(now, self.shared.skew_ms());
        let label = wire::Label { header: Some(header.wire()), ..label };
        if let Err(error) = check_label(&label) {
            // Places that the chain has not reached.
            warn!(wish, %error, "a label that cannot be said is let go");
            return Ok(());
        }
        self.put(LABEL, label.encode_to_vec(), wish).await
    }

    /// Puts the word that a past leaf was shown into the chain.
    async fn opened(&mut self, opened: wire::Opened, wish: &str, now: Stamp) -> anyhow::Result<()> {
        let header = self.chain.header(now, self.shared.skew_ms());
        let opened = wire::Opened { header: Some(header.wire()), ..opened };
        if let Err(error) = check_opened(&opened) {
            warn!(wish, %error, "an opening of no window of this chain is let go");
            return Ok(());
        }
        self.put(OPENING, opened.encode_to_vec(), wish).await
    }

    /// Puts an entry into the chain, and with it that the wish is carried out.
    async fn put(&mut self, kind: &'static str, payload: Vec<u8>, wish: &str) -> anyhow::Result<()> {
        let proof = self.chain.next(kind, payload, Vec::new());
        info!(seq = proof.seq, kind, "put into the chain");
        let (stored, wish) = (proof.clone(), wish.to_owned());
        self.store(stored, move |buffer| buffer.enqueue_with(&proof, &[(wishes::DONE, wish.as_bytes())]))
            .await
    }
}
