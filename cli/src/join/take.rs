//! The machine that is given a code.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use seal::join::{Code, Side, meet};
use tokio::net::TcpStream;
use tokio::time::timeout;
use types::limits::JOIN_PROOF_MS_MAX;

use super::bundle::{Adopted, Bundle, Given, Greeting, Outcome};
use super::{MAGIC, PORT, Sealed, Wire, broken};
use crate::error::{Error, Result};

/// How long the machine that lets others in may take to have the cluster agree.
const ADMITTED_WITHIN: Duration = Duration::from_secs(60);

/// Connects, proves that it was given the code, and greets; what it is given in return.
pub async fn meet_other(host: &str, code: &Code, greeting: &Greeting) -> Result<(Sealed, Box<Bundle>)> {
    let address = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:{PORT}")
    };
    let unreachable = |why: String| Error::Content {
        doing: format!("reach {address}"),
        why: format!("{why}. Does the other machine show a code now, and do firewalls let TCP port {PORT} through?"),
    };
    let connected = timeout(Duration::from_millis(JOIN_PROOF_MS_MAX), TcpStream::connect(&address)).await;
    let tcp = match connected {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable("it does not answer".into())),
    };
    let mut wire = Wire::new(tcp);
    let (meeting, ours) = meet(code, Side::Joining).map_err(|error| broken(&error.to_string()))?;
    wire.send(&[MAGIC, &ours].concat()).await?;
    let theirs = wire.receive().await?;
    let channel = meeting.finish(&theirs).map_err(|error| broken(&error.to_string()))?;
    let mut sealed = Sealed { wire, channel };
    sealed.say(greeting).await?;
    // The other side hangs up on a wrong code.
    let given =
        sealed.hear().await.map_err(|_| broken("the code is not the one the other machine shows, or is void"))?;
    match given {
        Given::Bundle(bundle) => Ok((sealed, bundle)),
        Given::Refused(why) => Err(broken(&why)),
    }
}

/// Writes the files ([`Bundle::write`]), and makes the data directory with `tricordd`.
pub fn settle(bundle: &Bundle, config: &Path, arguments: &[&str]) -> Result<String> {
    let dir = config.parent().unwrap_or(Path::new("."));
    bundle.write(dir)?;
    daemon_says(config, arguments)
}

/// Runs `tricordd` on this configuration; what it prints.
pub fn daemon_says(config: &Path, arguments: &[&str]) -> Result<String> {
    let daemon = daemon();
    let doing = format!("run {} {}", daemon.display(), arguments.first().copied().unwrap_or_default());
    let output = Command::new(&daemon).args(arguments).arg("--config").arg(config).output();
    let output = output.map_err(|error| Error::Content { doing: doing.clone(), why: error.to_string() })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Content { doing, why: said.strip_prefix("tricordd: ").unwrap_or(&said).to_owned() });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Says what became of it, and waits for the last word.
pub async fn conclude(sealed: &mut Sealed, adopted: &Adopted) -> Result<()> {
    sealed.say(adopted).await?;
    sealed.wire.set_patience(ADMITTED_WITHIN);
    match sealed.hear().await? {
        Outcome::Admitted => Ok(()),
        Outcome::Refused(why) => Err(broken(&why)),
    }
}

/// `tricordd`: beside this program, or wherever it is found.
fn daemon() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("tricordd"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("tricordd"))
}
