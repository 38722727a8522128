//! `audit verify`: offline, from the founding keys alone.

use std::io::IsTerminal;
use std::path::Path;

use record::note::Note;
use record::tree::{Hash, Memory};
use record::verify::{Log, Problem, Report, Sealed};
use record::{FoundingKeys, Witness};
use types::record::{Action, Agent, Entity, Record, Result as End};

use super::proof::{Proof, Proven};
use super::read;
use super::tiles::{Tiles, WIDTH};
use crate::args::{Format, Global};
use crate::error::{Error, Result};
use crate::output::{COLUMNS, print};
use crate::text::{thousands, unhex};

/// Whom to believe: the founding keys, and perhaps those of a restoration.
pub fn keys(founding: &Path, signers: Option<&Path>) -> Result<FoundingKeys> {
    let wrong = |path: &Path, error: record::note::Error| {
        let doing = format!("read the keys {}", path.display());
        Error::Content { doing, why: error.to_string() }
    };
    let keys = FoundingKeys::parse(&read(founding)?).map_err(|error| wrong(founding, error))?;
    match signers {
        Some(path) => keys.believe(&read(path)?).map_err(|error| wrong(path, error)),
        None => Ok(keys),
    }
}

/// A head kept from earlier, and which witness signed it when, if one was asked for.
pub struct Earlier {
    note: String,
    seen: Option<(Witness, u64)>,
}

impl Earlier {
    /// Reads a head. With a witness's key, that witness must have signed it.
    pub fn read(since: Option<&Path>, witness: Option<&str>) -> Result<Option<Self>> {
        let Some(path) = since else { return Ok(None) };
        let note = read(path)?;
        let Some(key) = witness else { return Ok(Some(Self { note, seen: None })) };
        let witness = Witness::parse(key)
            .map_err(|error| Error::Usage(format!("--witness: {error}; NAME+ID+BASE64, of kind 4, is needed")))?;
        let saw = Note::parse(&note).ok().and_then(|note| witness.saw(&note));
        let saw = saw.ok_or_else(|| {
            Error::NotVerified(format!("NOT SEEN: {} did not sign the head {}", witness.name(), path.display()))
        })?;
        Ok(Some(Self { note, seen: Some((witness, saw)) }))
    }

    fn told(&self, size: u64) -> String {
        let seen = self.seen.as_ref().map_or_else(String::new, |(witness, saw)| {
            format!(", which {} saw at {}", witness.name(), when(types::Timestamp(saw.saturating_mul(1_000))))
        });
        format!("It goes on from the head of {} records{seen}.", thousands(size))
    }
}

/// Verifies an export or a proof, and says so, or what is wrong.
pub fn run(global: &Global, path: &Path, keys: &FoundingKeys, since: Option<&Earlier>) -> Result<()> {
    let words = if path.is_dir() {
        whole(&Tiles(path), keys, since)?
    } else if since.is_some() {
        return Err(Error::Usage("--since is for an export; a proof speaks of one message".into()));
    } else {
        let doing = format!("read the proof {}", path.display());
        one(&read(path)?, &doing, keys)?
    };
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({ "verified": true, "words": words }));
    }
    if std::io::stdout().is_terminal() {
        return crate::text::wrap(&words, usize::from(COLUMNS)).iter().try_for_each(|row| print(row));
    }
    print(&words) // As one line, for whoever looks for a part of it.
}

fn wrong(problem: &Problem) -> Error {
    Error::NotVerified(problem.to_string())
}

/// A whole export.
fn whole(tiles: &Tiles<'_>, keys: &FoundingKeys, since: Option<&Earlier>) -> Result<String> {
    let checkpoint = read(&tiles.checkpoint())?;
    let size = Note::parse(&checkpoint).ok().and_then(|note| record::Checkpoint::parse(&note.text));
    let size = size.ok_or_else(|| wrong(&Problem::NoHead("the checkpoint")))?.size;
    let (mut log, mut leaves) = (Log::default(), Vec::new());
    for bundle in 0..size.div_ceil(WIDTH) {
        let width = (size - bundle * WIDTH).min(WIDTH);
        let Some(records) = tiles.records(bundle, width)? else {
            return Err(wrong(&Problem::Missing(bundle * WIDTH)));
        };
        leaves.extend(records.iter().map(|record| log.push(record)));
    }
    match log.verify(keys, &checkpoint, &tiles.heads()?, since.map(|earlier| &*earlier.note)) {
        Ok(report) => Ok(told(&report, since)),
        Err(Problem::Root) => Err(wrong(&changed(tiles, &checkpoint, &leaves, size)?)),
        Err(problem) => Err(wrong(&problem)),
    }
}

/// Which record it is whose change makes the root another one: the tiles tell, as far as they give the root themselves.
fn changed(tiles: &Tiles<'_>, checkpoint: &str, leaves: &[Hash], size: u64) -> Result<Problem> {
    let root = Note::parse(checkpoint).ok().and_then(|note| record::Checkpoint::parse(&note.text));
    let Some(root) = root.map(|checkpoint| checkpoint.root) else { return Ok(Problem::Root) };
    let mut stored = Memory::default();
    for tile in 0..size.div_ceil(WIDTH) {
        let width = (size - tile * WIDTH).min(WIDTH);
        tiles.hashes(0, tile, width)?.into_iter().for_each(|leaf| stored.push(leaf));
    }
    if stored.size() == size && record::tree::root(&stored, size) == Ok(root) {
        let first = stored.level(0).iter().zip(leaves).position(|(stored, found)| stored != found);
        return Ok(first.map_or(Problem::Root, |index| Problem::Changed(index as u64)));
    }
    // Leaves and records were changed together: a level up, a run of them stands out.
    let mut found = Memory::default();
    leaves.iter().for_each(|leaf| found.push(*leaf));
    let full = size / WIDTH;
    let mut above = Vec::new();
    for tile in 0..full.div_ceil(WIDTH) {
        above.extend(tiles.hashes(1, tile, (full - tile * WIDTH).min(WIDTH))?);
    }
    let run = above.iter().zip(found.level(8)).position(|(stored, found)| stored != found);
    Ok(run.map_or(Problem::Root, |run| {
        let first = run as u64 * WIDTH;
        Problem::ChangedWithin { first, last: first + WIDTH - 1 }
    }))
}

fn told(report: &Report, since: Option<&Earlier>) -> String {
    let size = report.head.checkpoint.size;
    let since = report.since.zip(since).map_or_else(
        || {
            "That nothing was cut off before this head was sealed is not shown: that takes an earlier head (--since)."
                .into()
        },
        |(size, earlier)| earlier.told(size),
    );
    let believed = report.believed.iter().map(|index| {
        format!(
            " Who signs since record {} is believed because of the keys given (--signers) alone.",
            thousands(*index)
        )
    });
    let since = since + &believed.collect::<String>();
    format!(
        "VERIFIED. Records 0 to {} are there, complete and unchanged (signed by {}). {since} Complete to size {}, sealed at \
         {} or later; nothing is said about later. Not shown: that what was done was recorded, beyond what two nodes agree on.",
        thousands(size.saturating_sub(1)),
        signers(&report.head),
        thousands(size),
        when(report.last)
    )
}

/// The proof of one message.
pub fn one(text: &str, doing: &str, keys: &FoundingKeys) -> Result<String> {
    let content = |why: String| Error::Content { doing: doing.to_owned(), why };
    let proof: Proof = serde_json::from_str(text).map_err(|error| content(error.to_string()))?;
    if proof.tricord_proof != 1 {
        return Err(content("it is of a newer release".into()));
    }
    let head = record::verify::head(&proof.head, keys).map_err(|problem| wrong(&problem))?;
    let last = proven(&proof.last, &head).map_err(|why| why.into_error(&content))?;
    if proof.last.index + 1 != head.checkpoint.size {
        return Err(content("its last record is not the last one".into()));
    }
    let posted = proven(&proof.record, &head).map_err(|why| why.into_error(&content))?;
    let (Agent::User { user, .. }, Some(Entity::Messages(conversation, seq, _)), Action::Post, End::Done) =
        (&posted.agent, posted.entities.first(), posted.action, posted.result)
    else {
        return Err(content("its record is not that of a message".into()));
    };
    let mut words = format!(
        "VERIFIED. Message {} of conversation {conversation}, sent by {user} at {}, is record {}, unchanged since {} (signed \
         by {}). Complete to size {}, sealed at {} or later; nothing is said about later. Not shown by this proof: that anyone \
         looked at it.",
        seq.0,
        when(posted.at),
        thousands(proof.record.index),
        when(posted.at),
        signers(&head),
        thousands(head.checkpoint.size),
        when(last.at)
    );
    if let Some(payload) = &proof.payload {
        let bytes = unhex(payload).ok_or_else(|| content("its payload is not written in hexadecimal digits".into()))?;
        let commitment = posted.commitment.ok_or_else(|| content("its record commits to no payload".into()))?;
        let payload = seal::revealed(&bytes, &commitment).map_err(|_| {
            Error::NotVerified("CHANGED TEXT: the text given is not the one that the record commits to".into())
        })?;
        words += &format!("\nIt says:\n{}", crate::text::lines(&payload.text));
    }
    Ok(words)
}

enum Why {
    Wrong(Problem),
    Content(String),
}

impl Why {
    fn into_error(self, content: &dyn Fn(String) -> Error) -> Error {
        match self {
            Self::Wrong(problem) => wrong(&problem),
            Self::Content(why) => content(why),
        }
    }
}

fn proven(part: &Proven, head: &Sealed) -> std::result::Result<Record, Why> {
    let hexes = || Why::Content("a part of it is not written in hexadecimal digits".into());
    let stored = unhex(&part.stored).ok_or_else(hexes)?;
    let path: Option<Vec<Hash>> = part.path.iter().map(|hash| unhex(hash)?.try_into().ok()).collect();
    let path = path.ok_or_else(hexes)?;
    let read = record::verify::record(&stored, part.index, &path, &head.checkpoint).map_err(Why::Wrong)?;
    read.map_err(|error| Why::Content(error.to_string()))
}

fn signers(head: &Sealed) -> String {
    head.signers.join(" and ")
}

fn when(at: types::Timestamp) -> String {
    let at = i64::try_from(at.0).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| "an unknown time".into(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use record::cosignature::cosigner::Cosigner;

    use super::*;

    #[test]
    fn an_earlier_head_counts_as_witnessed_only_with_that_witnesss_line() {
        let cosigner = Cosigner::from_seed("witness.example", [9; 32]).expect("a key");
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("audit.cosigned");
        let text = "tricord/audit/x\n88120\nAAAA\n".to_owned();
        let note = Note { signatures: vec![cosigner.cosign(&text, 1_772_598_540)], text };
        std::fs::write(&path, note.to_string()).expect("written");
        let key = cosigner.witness().to_string();
        let earlier = Earlier::read(Some(&path), Some(&key)).expect("seen").expect("given");
        let words = "It goes on from the head of 88,120 records, which witness.example saw at 2026-03-04T04:29:00Z.";
        assert_eq!(earlier.told(88_120), words);

        let other = Cosigner::from_seed("witness.example", [8; 32]).expect("a key").witness().to_string();
        let Err(Error::NotVerified(said)) = Earlier::read(Some(&path), Some(&other)) else { panic!("another key") };
        assert!(said.starts_with("NOT SEEN: witness.example did not sign"), "{said}");
        assert!(matches!(Earlier::read(Some(&path), Some("w+1+x")), Err(Error::Usage(_))));
        let plain = Earlier::read(Some(&path), None).expect("read").expect("given");
        assert_eq!(plain.told(7), "It goes on from the head of 7 records.");
    }
}
