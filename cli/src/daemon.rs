//! The daemon's program, which this one calls for what is done on a node's own machine.

use std::path::{Path, PathBuf};

/// Where it is: as said, or beside this program, or on the path.
pub fn program(said: Option<&Path>) -> PathBuf {
    if let Some(path) = said {
        return path.to_owned();
    }
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("tricordd")));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| "tricordd".into())
}
