//! The recovery kit as `cluster init` makes it: shown once, and asked for once, before anything else is written.

use std::io::IsTerminal;

use seal::PublicKey;

use crate::args::{ClusterInit, Format};
use crate::error::{Error, Result};
use crate::output::{print, say};
use crate::{custody, prompt};

use crate::recovery::{self, Share};

/// How often the share that is asked for may be mistyped.
const TRIES: usize = 3;

/// What founding needs of the kit.
pub struct Kit {
    /// The public half of the recovery key.
    pub public: PublicKey,
    /// The shares, to be told to programs; empty where they were shown to people.
    pub shares: Vec<Share>,
}

impl Kit {
    /// Makes a kit, shows its shares, and asks one of them back.
    ///
    /// Errors: without a terminal there is nobody to ask, and `--recovery-unconfirmed` is needed.
    pub fn make(init: &ClusterInit, output: Format) -> Result<Self> {
        let ask = !init.recovery_unconfirmed;
        if custody::check(&init.custody)? {
            return Self::elsewhere(init, ask);
        }
        if ask && !(std::io::stdin().is_terminal() && output == Format::Table) {
            return Err(Error::Usage(
                "nobody is here to be asked for a share of the recovery kit; use a terminal, or say --recovery-unconfirmed \
                 and see to the shares yourself"
                    .into(),
            ));
        }
        let (public, shares) = recovery::split()?;
        if output == Format::Json {
            return Ok(Self { public, shares });
        }
        say(
            "The recovery kit: any two of these three shares open the cluster's content and its backups when all three",
        );
        say("nodes are lost. They are shown only now. Write each on paper, and put them in three safes:");
        print(&format!("  Kit {}", recovery::fingerprint(&public)))?;
        for share in &shares {
            print(&format!("  {share}"))?;
        }
        if ask {
            confirm(&shares[1])?;
        } else {
            say("NOT CONFIRMED: nobody was asked for a share. Without two of them, nothing can be recovered.");
        }
        Ok(Self { public, shares: Vec::new() })
    }
}

impl Kit {
    /// Makes a kit whose shares are encrypted to three people, one of whom opens theirs again.
    fn elsewhere(init: &ClusterInit, ask: bool) -> Result<Self> {
        if ask && init.custody.identity.is_empty() {
            return Err(Error::Usage(
                "nobody proves that a share opens again; give --identity of one of the three, or say --recovery-unconfirmed"
                    .into(),
            ));
        }
        let (public, shares) = recovery::split()?;
        let kit = recovery::fingerprint(&public);
        let proven = custody::hand_over(&init.custody, &kit, &shares)?;
        print(&format!("  Kit {kit}"))?;
        if !proven {
            say("NOT CONFIRMED: nobody opened a share again. Without two of them, nothing can be recovered.");
        }
        Ok(Self { public, shares: Vec::new() })
    }
}

fn confirm(share: &Share) -> Result<()> {
    for _ in 0..TRIES {
        let typed = prompt::secret(&format!("Type share {} as it is written on the paper", share.number()))?;
        match Share::parse(&typed) {
            Ok(typed) if typed == *share => return Ok(()),
            Ok(_) => say("That is another share, or another kit's."),
            Err(error) => say(&error.to_string()),
        }
    }
    Err(Error::Usage("the share was not typed rightly, so nothing was founded; run the command again".into()))
}
