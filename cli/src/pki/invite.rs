//! `cluster init --invite`: the first machine gives the others what is theirs, each over a code of its own.

use std::net::SocketAddr;
use std::path::Path;

use types::Slot;

use crate::error::{Error, Result};
use crate::join::bundle::{Adopted, Bundle, File, Given, Outcome, Purpose};
use crate::join::offer::Offer;
use crate::output::{print, say};

/// What each machine gets.
const FILES: [(&str, u32); 10] = [
    ("tricordd.toml", 0o644),
    ("founding.toml", 0o600),
    ("audit.key", 0o600),
    ("tls/ca.crt", 0o644),
    ("tls/peer.crt", 0o644),
    ("tls/peer.key", 0o600),
    ("tls/client.crt", 0o644),
    ("tls/client.key", 0o600),
    ("tls/renewal.crt", 0o644),
    ("tls/renewal.key", 0o600),
];

/// Waits for the machines of all slots but `here`, one after the other.
pub async fn run(name: &str, out: &Path, address: SocketAddr, here: Slot) -> Result<()> {
    for slot in Slot::ALL.into_iter().filter(|slot| *slot != here) {
        while let Err(error) = one(name, out, address, slot).await {
            say(&format!("{error}. A new code follows."));
        }
    }
    say("All three machines have what they need.");
    Ok(())
}

async fn one(name: &str, out: &Path, address: SocketAddr, slot: Slot) -> Result<()> {
    let mut offer = Offer::open(address).await?;
    say(&format!("On the machine for {slot}: tricord node join THIS_MACHINE, and type there:"));
    print(&offer.code())?;
    let waiting = |seconds: u64| {
        if seconds.is_multiple_of(10) {
            say(&format!("Waiting for {slot} ({}:{:02}). Nothing is served yet.", seconds / 60, seconds % 60));
        }
    };
    let (mut sealed, greeting) = offer.take(waiting).await?;
    if greeting.purpose != Purpose::Found {
        let why = "this code is for founding a cluster, not for replacing a node";
        sealed.say(&Given::Refused(why.into())).await?;
        return Err(Error::Content { doing: format!("wait for {slot}"), why: why.into() });
    }
    let dir = out.join(slot.letter());
    let files = FILES.iter().map(|(path, mode)| File::read(&dir, path, *mode)).collect::<Result<_>>()?;
    let node = types::NodeId::new(slot, types::Incarnation(1));
    let bundle = Bundle {
        name: name.to_owned(),
        lineage: String::new(),
        slot: slot.to_string(),
        node: node.0,
        node_name: node.to_string(),
        pending: 0,
        files,
    };
    sealed.say(&Given::Bundle(Box::new(bundle))).await?;
    sealed.wire.set_patience(std::time::Duration::from_secs(300)); // A passphrase may have to be typed there.
    match sealed.hear().await? {
        Adopted::Ready { .. } => {
            sealed.say(&Outcome::Admitted).await?;
            say(&format!("{slot} has what it needs."));
            Ok(())
        }
        Adopted::Failed(why) => Err(Error::Content { doing: format!("found {slot} on its machine"), why }),
    }
}
