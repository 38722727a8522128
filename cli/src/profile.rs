//! Where the client keeps what it knows: `$TRICORD_HOME`, or `$XDG_CONFIG_HOME/tricord`. Each profile is a device of its
//! own, so that several users can be signed in side by side.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::args::Global;
use crate::error::{Error, Result};
use crate::store::{Store, replace};

/// `config.toml`, for all profiles or in a profile's directory: what need not be said each time.
#[derive(Serialize, Deserialize, Default, Clone)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The nodes' client addresses, `host:port`.
    pub nodes: Vec<String>,
    /// The certificate authority's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The profile when none is said (only in the common file).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// A profile, and where its nodes are.
#[derive(Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its directory, mode 0700.
    pub dir: PathBuf,
    /// The nodes' client addresses; may be empty.
    pub nodes: Vec<String>,
    /// The certificate authority, PEM; none: none was named.
    pub ca: Option<Vec<u8>>,
}

impl Profile {
    /// Finds the profile and settles nodes and authority: options, environment, the profile's file, the common file.
    pub fn open(global: &Global) -> Result<Self> {
        let home = home()?;
        let common = read_config(&home.join("config.toml"))?;
        let name = global.profile.clone().or(common.profile).unwrap_or_else(|| "default".into());
        if types::text::check_login(&name).is_err() {
            return Err(Error::Usage(format!(
                "the profile {name:?}: 2 to 64 of a-z, 0-9, '.', '-', '_', beginning with a letter or digit"
            )));
        }
        let dir = home.join("profiles").join(&name);
        private_dir(&dir)?;
        let own = read_config(&dir.join("config.toml"))?;
        let nodes = [split(&global.node), own.nodes, common.nodes].into_iter().find(|nodes| !nodes.is_empty());
        let ca =
            global.ca.clone().or_else(|| own.ca.map(|ca| dir.join(ca))).or_else(|| common.ca.map(|ca| home.join(ca)));
        let ca = ca.map(|path| std::fs::read(&path).map_err(|source| Error::File { doing: "read", path, source }));
        Ok(Self { name, dir, nodes: nodes.unwrap_or_default(), ca: ca.transpose()? })
    }

    /// Its state file.
    pub fn store(&self) -> Store {
        Store::new(&self.dir)
    }

    /// Keeps nodes and authority with the profile, so that they need not be said again.
    pub fn remember(&self) -> Result<()> {
        let write = |name: &str, bytes: &[u8]| {
            let path = self.dir.join(name);
            replace(&path, bytes).map_err(|source| Error::File { doing: "write", path, source })
        };
        if let Some(ca) = &self.ca {
            write("ca.crt", ca)?;
        }
        let config = Config { nodes: self.nodes.clone(), ca: self.ca.as_ref().map(|_| "ca.crt".into()), profile: None };
        let text = toml::to_string(&config)
            .map_err(|error| Error::Content { doing: "write the profile".into(), why: error.to_string() })?;
        write("config.toml", text.as_bytes())
    }
}

/// Each element may itself be a list with commas, as in the environment.
fn split(nodes: &[String]) -> Vec<String> {
    nodes
        .iter()
        .flat_map(|list| list.split(','))
        .map(|node| node.trim().to_owned())
        .filter(|node| !node.is_empty())
        .collect()
}

fn home() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("TRICORD_HOME")
        .or_else(|| set("XDG_CONFIG_HOME").map(|dir| dir.join("tricord")))
        .or_else(|| set("HOME").map(|dir| dir.join(".config/tricord")))
        .ok_or_else(|| Error::Usage("none of TRICORD_HOME, XDG_CONFIG_HOME and HOME is set".into()))
}

/// Makes a directory that only its owner can enter.
pub fn private_dir(dir: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| Error::File {
        doing: "create",
        path: dir.to_owned(),
        source,
    })
}

fn read_config(path: &Path) -> Result<Config> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text)
            .map_err(|error| Error::Content { doing: format!("read {}", path.display()), why: error.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(source) => Err(Error::File { doing: "read", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_the_environment_is_taken_apart() {
        assert_eq!(split(&["a:1,b:2".into(), " c:3 ".into()]), ["a:1", "b:2", "c:3"]);
        assert!(split(&[String::new()]).is_empty());
    }
}
