//! `chat`.

use crate::error::Result;
use crate::session::Session;

/// Runs it.
pub async fn run(_session: Session, _conversation: Option<String>) -> Result<()> {
    Ok(())
}
