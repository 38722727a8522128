//! Unpacks a backup: opens its files into a directory, each held to its hash.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use seal::{BackupKey, SealError};
use sha2::{Digest, Sha256};

use crate::contents::{CONTENTS_BYTES_MAX, Contents};
use crate::verify::Opener;
use crate::{Error, Manifest, Progress, Target};

const READ_BYTES: usize = 256 * 1024;

/// The key of a backup's series.
pub(crate) fn key(target: &Target, manifest: &Manifest, with: &Opener) -> Result<BackupKey, Error> {
    let path = target.manifest_path(&manifest.name);
    let foreign = |what, found: String, expected: String| Error::Foreign { path: path.clone(), what, found, expected };
    match with {
        Opener::Kit(kit) => {
            let public = kit.public()?;
            if public != manifest.recovery {
                return Err(foreign("the recovery kit", manifest.recovery.to_string(), public.to_string()));
            }
            let context = Manifest::context(manifest.cluster, manifest.lineage, &manifest.series);
            BackupKey::open(&manifest.envelope, &context, kit)
                .map_err(|_| Error::Changed { path, why: "the key in it does not open with its recovery kit" })
        }
        Opener::Series(series) if series.id != manifest.series => {
            let (found, expected) = (crate::hex::encode(&manifest.series), crate::hex::encode(&series.id));
            Err(foreign("the series", found, expected))
        }
        Opener::Series(series) => Ok(BackupKey::from_bytes(zeroize::Zeroizing::new(*series.key.bytes()))),
    }
}

/// What a backup's files are.
pub(crate) fn contents(target: &Target, manifest: &Manifest, key: &BackupKey) -> Result<Contents, Error> {
    let path = target.file_path(&manifest.series, &manifest.contents);
    let file = File::open(&path).map_err(Error::io("open", &path))?;
    let changed = |why| Error::Changed { path: path.clone(), why };
    let mut bytes = Vec::new();
    let opened = key.unseal(&manifest.contents.name, file).map_err(|error| unsealing_failed(error, &path))?;
    let read = opened.take(CONTENTS_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|source| unsealing_failed(SealError::Io(source), &path))?;
    let contents = Contents::decode(&bytes).ok_or_else(|| changed("it is no list of files"))?;
    if contents.head == manifest.head() {
        Ok(contents)
    } else {
        Err(Error::Changed { path: target.manifest_path(&manifest.name), why: "what is sealed says otherwise" })
    }
}

/// Opens all files of a backup into an empty directory.
///
/// Errors: the first file that is not what was sealed, by its name.
pub(crate) fn files(
    target: &Target,
    manifest: &Manifest,
    key: &BackupKey,
    contents: &Contents,
    into: &Path,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let (mut done, total) = (0, contents.snapshot.bytes());
    let mut chunk = vec![0; READ_BYTES];
    for file in &contents.snapshot.files {
        let name = key.name_of(&file.sha256, file.bytes)?;
        let item = manifest.files.iter().find(|item| item.name == name);
        let item = item.ok_or_else(|| Error::Contents {
            path: target.manifest_path(&manifest.name),
            what: format!("nothing of the file {}", file.name),
        })?;
        let path = target.file_path(&manifest.series, item);
        let sealed = File::open(&path).map_err(Error::io("open", &path))?;
        let mut opened = key.unseal(&name, sealed).map_err(|error| unsealing_failed(error, &path))?;
        let plain = into.join(&file.name);
        let mut out = File::create_new(&plain).map_err(Error::io("create", &plain))?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        loop {
            let read = opened.read(&mut chunk).map_err(|source| unsealing_failed(SealError::Io(source), &path))?;
            if read == 0 {
                break;
            }
            hash.update(&chunk[..read]);
            out.write_all(&chunk[..read]).map_err(Error::io("write", &plain))?;
            bytes += read as u64;
            done += read as u64;
            progress(done, total);
        }
        if bytes != file.bytes || hash.finalize().as_slice() != file.sha256 {
            return Err(Error::Changed { path, why: "another file is in it" });
        }
        out.sync_all().map_err(Error::io("sync", &plain))?;
    }
    crate::target::sync_dir(into)
}

fn unsealing_failed(error: SealError, path: &Path) -> Error {
    match error {
        SealError::Seal(seal::Error::Version(found)) => {
            Error::Newer { path: path.to_owned(), found: found.to_string() }
        }
        SealError::Seal(seal::Error::Damaged) => Error::Changed { path: path.to_owned(), why: "it does not open" },
        SealError::Seal(error) => error.into(),
        SealError::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            Error::Changed { path: path.to_owned(), why: "it does not open" }
        }
        SealError::Io(source) => Error::io("read", path)(source),
    }
}
