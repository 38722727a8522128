//! `audit export`: everything, as files that anyone can verify.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use proto::v1;
use proto::v1::audit_service_client::AuditServiceClient;
use proto::v1::export_records_response::Part;
use record::checkpoint::Checkpoint;
use record::note::Note;
use record::tree::Memory;

use super::tiles::{Tiles, WIDTH, write};
use crate::error::{Error, Result};
use crate::judge::{Verdict, judge};
use crate::output::say;
use crate::rpc;
use crate::session::Session;
use crate::text::thousands;

/// How often in a row the stream may break without anything new.
const FAILURES_MAX: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// Exports to a directory; what is there already is not fetched again.
pub async fn run(session: &Session, dir: &Path) -> Result<()> {
    let mut export = Export::resume(Tiles(dir))?;
    if export.tree.size() > 0 {
        say(&format!("{} records are there already.", thousands(export.tree.size())));
    }
    let mut failures = 0;
    loop {
        let before = export.tree.size();
        match export.fetch(session).await {
            Ok(()) => break,
            Err(Stopped::Failed(error)) => return Err(error),
            Err(Stopped::Broken(status)) => {
                failures = if export.tree.size() > before { 0 } else { failures + 1 };
                let judgement = judge(&status);
                if judgement.verdict == Verdict::Final || failures >= FAILURES_MAX {
                    return Err(Error::Refused {
                        doing: "export the audit log".into(),
                        reason: judgement.reason,
                        why: status.message().to_owned(),
                        fields: crate::judge::fields(&status),
                    });
                }
                let current = session.client.current().to_owned();
                session.client.avoid(&current);
                tokio::time::sleep(PAUSE).await;
                export = Export::resume(Tiles(dir))?; // From the last whole bundle.
            }
        }
    }
    export.finish()
}

enum Stopped {
    Broken(tonic::Status),
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Export<'a> {
    tiles: Tiles<'a>,
    tree: Memory,
    /// Records of the bundle that is not full yet.
    rest: Vec<Vec<u8>>,
    head: Option<v1::AuditHead>,
}

impl<'a> Export<'a> {
    /// Goes on after the last whole bundle.
    fn resume(tiles: Tiles<'a>) -> Result<Self> {
        let mut tree = Memory::default();
        for bundle in 0.. {
            let Some(records) = tiles.records(bundle, WIDTH)? else { break };
            records.iter().for_each(|record| tree.push(record::leaf_hash(record)));
        }
        Ok(Self { tiles, tree, rest: Vec::new(), head: None })
    }

    async fn fetch(&mut self, session: &Session) -> std::result::Result<(), Stopped> {
        let request = v1::ExportRecordsRequest { start_index: self.tree.size() };
        let opened = session.client.open(request, rpc!(AuditServiceClient.export_records)).await;
        let mut stream = opened.map_err(Stopped::Broken)?;
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} records, {eta} left") {
            bar.set_style(style);
        }
        while let Some(part) = stream.message().await.map_err(Stopped::Broken)? {
            match part.part {
                Some(Part::Head(head)) if self.head.is_none() => {
                    bar.set_length(head.size);
                    self.head = Some(head);
                }
                Some(Part::Head(head)) => write(&self.tiles.head(head.size), head.note.as_bytes())?,
                Some(Part::Records(batch)) => self.take(batch)?,
                None => {}
            }
            bar.set_position(self.tree.size());
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn take(&mut self, batch: v1::RecordBatch) -> Result<()> {
        if batch.first_index != self.tree.size() {
            return Err(Error::Content { doing: "read the export".into(), why: "a record is missing".into() });
        }
        for stored in batch.stored {
            self.tree.push(record::leaf_hash(&stored));
            self.rest.push(stored);
            if self.rest.len() as u64 == WIDTH {
                self.tiles.write_records(self.tree.size() / WIDTH - 1, &self.rest)?;
                self.rest.clear();
            }
        }
        Ok(())
    }

    /// Writes what is not a whole bundle, the tiles, and last the head.
    fn finish(self) -> Result<()> {
        let doing = || "export the audit log".to_owned();
        let size = self.tree.size();
        let head = self.head.filter(|head| head.size == size);
        let head = head.ok_or_else(|| Error::Content { doing: doing(), why: "its head is missing".into() })?;
        if !self.rest.is_empty() {
            self.tiles.write_records(size / WIDTH, &self.rest)?;
        }
        self.tiles.write_hashes(&self.tree)?;
        let checkpoint = Note::parse(&head.note).ok().and_then(|note| Checkpoint::parse(&note.text));
        let root = record::tree::root(&self.tree, size).ok();
        if checkpoint.is_none_or(|checkpoint| Some(checkpoint.root) != root) {
            return Err(Error::NotVerified("CHANGED RECORD: the records received do not give the head's root".into()));
        }
        let path = self.tiles.checkpoint();
        if let Ok(old) = std::fs::read_to_string(&path)
            && let Some(old_head) = Note::parse(&old).ok().and_then(|note| Checkpoint::parse(&note.text))
            && old_head.size < size
        {
            write(&self.tiles.head(old_head.size), old.as_bytes())?;
        }
        write(&path, head.note.as_bytes())?;
        say(&format!("{} records are in {}.", thousands(size), self.tiles.0.display()));
        say(&format!("Anyone can check them: tricord audit verify {} --founding audit.pub", self.tiles.0.display()));
        Ok(())
    }
}
