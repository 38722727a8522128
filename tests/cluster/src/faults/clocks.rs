//! A clock of its own for a node, through libfaketime: what the daemon reads as the time of day can be stepped while it runs.
//! Its monotonic clock stays the machine's, as it does when an operator sets the time.

use std::path::{Path, PathBuf};

use crate::Result;

/// Where Debian's package libfaketime puts it.
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// A clock that can be stepped.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
    library: &'static str,
}

impl Clock {
    /// Whether libfaketime is there.
    pub fn allowed() -> Result<&'static str> {
        let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
        library.ok_or_else(|| "libfaketime is not installed".into())
    }

    /// A clock that is right for now; `file` is where it reads how wrong to be.
    pub fn new(file: PathBuf) -> Result<Self> {
        let clock = Self { file, library: Self::allowed()? };
        clock.step(0)?;
        Ok(clock)
    }

    /// From within a second on it is so many seconds ahead of the machine's.
    pub fn step(&self, seconds: i64) -> Result<()> {
        // In place at once: a half-written file would be another time.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n"))?;
        Ok(std::fs::rename(&new, &self.file)?)
    }

    /// What a daemon needs in its environment to read this clock.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let file = self.file.to_string_lossy().into_owned();
        [
            ("LD_PRELOAD", self.library.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
