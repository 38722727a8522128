//! `tricordd adopt`: makes the data directory of a node that is to take the place of another, and says what the cluster must
//! know of it. Called by `tricord node replace`, which has been told who the node is to be; also after an interruption.

use std::fs;
use std::path::Path;

use record::note::Signer;
use store::{DataDir, DataDirError, Identity};
use types::{ClusterId, Lineage, NodeId, Timestamp};

use crate::config::Config;
use crate::{Failure, keys};

/// Who the node is to be.
#[derive(clap::Args)]
#[group(id = "adoption")]
pub struct Adopt {
    /// The lineage of the cluster: 32 hexadecimal digits.
    #[arg(long)]
    pub lineage: Lineage,
    /// The id of the node, as a number.
    #[arg(long)]
    pub node: u64,
    /// The id of a node that was let in before; if the data directory is that one's, it stays so. 0: none.
    #[arg(long, default_value_t = 0)]
    pub or: u64,
}

/// What it has become, for the caller.
pub struct Adopted {
    /// The node.
    pub node: NodeId,
    /// The id of the disk.
    pub disk: ClusterId,
    /// The public key, as it prints.
    pub public_key: String,
    /// What protects the private half.
    pub protection: String,
}

/// Makes the directory, or finds that it is that node's already.
pub fn adopt(config: &Config, to: &Adopt, created: Timestamp) -> Result<Adopted, Failure> {
    let node = NodeId(to.node);
    if node.slot() != Some(config.slot) {
        return Err(format!("{node} is not of place {}, which the configuration is of", config.slot).into());
    }
    let found = match DataDir::identify(&config.data) {
        Ok(found) => Some(found),
        Err(DataDirError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let identity = match found {
        Some(found)
            if (found.cluster, found.lineage) == (config.cluster, to.lineage)
                && (found.node == node || found.node.0 == to.or) =>
        {
            found
        }
        Some(found) => {
            return Err(format!(
                "{} holds the data of {} of cluster {}. Is this the right disk? Then move that aside first, and keep it until \
                 the cluster is whole: mv {0} {0}.{}",
                config.data.display(),
                found.node,
                found.cluster,
                found.node,
            )
            .into());
        }
        None => {
            let identity = Identity::new(config.cluster, to.lineage, node, created)?;
            DataDir::create(&config.data, identity)?;
            identity
        }
    };
    let (_, public) = keys::open_or_make(&config.keys, &config.data)?;
    if let Some(path) = &config.audit_key {
        own_audit_key(path, identity.cluster, identity.node)?;
    }
    Ok(Adopted {
        node: identity.node,
        disk: ClusterId(identity.disk),
        public_key: public.to_string(),
        protection: config.keys.describe(&config.data),
    })
}

/// Makes the key this node signs the audit log with. The one before it, which signs for another node, is kept beside it.
fn own_audit_key(path: &Path, cluster: ClusterId, node: NodeId) -> Result<(), Failure> {
    let name = record::checkpoint::key_name(cluster, node);
    match fs::read_to_string(path) {
        Ok(text) => {
            let known = Signer::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            if known.verifier().name() == name {
                return Ok(());
            }
            let mut aside = path.as_os_str().to_owned();
            aside.push(".before");
            fs::rename(path, &aside).map_err(|error| format!("move {} aside: {error}", path.display()))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("read {}: {error}", path.display()).into()),
    }
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| "no randomness")?;
    let signer = Signer::from_seed(&name, *seed).map_err(|error| format!("make the audit key: {error}"))?;
    keys::write_new(path, format!("{}\n", signer.secret()).as_bytes())
}
