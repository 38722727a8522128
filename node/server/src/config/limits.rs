//! `[limits]`: what this node takes of clients.

use serde::Deserialize;
use services::ClientLimits;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsSection {
    calls_per_second: u32,
    streams: u32,
    failures_per_address: u32,
    sign_ins_per_login: u32,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let ClientLimits { calls_per_second, streams, failures_per_address, sign_ins_per_login } =
            ClientLimits::default();
        Self { calls_per_second, streams, failures_per_address, sign_ins_per_login }
    }
}

impl LimitsSection {
    /// Errors: the key that is wrong, its value, and why.
    pub(super) fn limits(self) -> Result<ClientLimits, (&'static str, String, String)> {
        let Self { calls_per_second, streams, failures_per_address, sign_ins_per_login } = self;
        let limits = ClientLimits { calls_per_second, streams, failures_per_address, sign_ins_per_login };
        match limits.bounds().into_iter().find(|(_, value, bounds)| !bounds.contains(value)) {
            None => Ok(limits),
            Some((key, value, bounds)) => {
                Err((key, value.to_string(), format!("{} to {} are possible", bounds.start(), bounds.end())))
            }
        }
    }
}
