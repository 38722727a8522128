//! Finds the programs under test.

use std::path::PathBuf;

use crate::Result;

/// The path of `tricordd` or `tricord`: `TRICORD_BIN_DIR` if set, else beside this executable or one directory above (cargo
/// puts test executables into `deps/`).
pub fn binary(name: &str) -> Result<PathBuf> {
    let mut places = Vec::new();
    if let Some(dir) = std::env::var_os("TRICORD_BIN_DIR") {
        places.push(PathBuf::from(dir));
    }
    let own = std::env::current_exe()?;
    places.extend(own.ancestors().skip(1).take(2).map(PathBuf::from));
    for place in &places {
        let path = place.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    let packages = "-p tricord-server -p tricord-cli -p tricord-tests-compare";
    Err(format!("no {name} in {places:?}; build it first: cargo build --release {packages}").into())
}
