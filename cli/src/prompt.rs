//! Secrets and texts from a terminal or from stdin; never from arguments.

use std::io::{BufRead, IsTerminal, Read, Write};

use crate::error::{Error, Result};

/// A secret: asked for without echo on a terminal, otherwise one line of stdin.
pub fn secret(what: &str) -> Result<String> {
    let fail = |source| Error::Terminal { doing: "read a secret", source };
    let secret = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(format!("{what}: ")).map_err(fail)?
    } else {
        one_line().map_err(fail)?
    };
    if secret.is_empty() {
        return Err(Error::Usage(format!("{what}: nothing was entered")));
    }
    Ok(secret)
}

/// A password that is there already: handed over ([`crate::secrets`]), or asked for as a secret.
pub fn password(what: &str) -> Result<String> {
    match crate::secrets::password()? {
        Some(password) => Ok(password),
        None => secret(what),
    }
}

/// A new password: on a terminal asked for twice.
pub fn new_password() -> Result<String> {
    let password = secret("New password (10 characters or more)")?;
    if password.chars().count() < types::limits::PASSWORD_CHARS_MIN {
        return Err(Error::Usage("the password is too short: 10 characters or more, of any kind".into()));
    }
    if std::io::stdin().is_terminal() && secret("The same again")? != password {
        return Err(Error::Usage("the two passwords differ".into()));
    }
    Ok(password)
}

/// A new PIN: on a terminal asked for twice.
pub fn new_pin() -> Result<String> {
    let pin = secret("New PIN (6 to 12 digits)")?;
    if std::io::stdin().is_terminal() && secret("The same again")? != pin {
        return Err(Error::Usage("the two PINs differ".into()));
    }
    Ok(pin)
}

/// Whether someone is there to be asked.
pub fn is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// A message's text: on a terminal lines up to an empty one or Ctrl-D; otherwise all of stdin, without its last line break.
pub fn message() -> Result<Vec<u8>> {
    let fail = |source| Error::Terminal { doing: "read the text", source };
    let mut text = Vec::new();
    if std::io::stdin().is_terminal() {
        let _ = write!(std::io::stderr(), "Text (end with an empty line): ");
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(fail)?;
            if line.is_empty() {
                break;
            }
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
    } else {
        let limit = types::limits::CLIENT_REQUEST_BYTES_MAX as u64;
        std::io::stdin().lock().take(limit).read_to_end(&mut text).map_err(fail)?;
    }
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(text)
}

/// Asks whether to go on; without a terminal, `--yes` is needed.
pub fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage(format!("{question} Say --yes if that is meant.")));
    }
    let _ = write!(std::io::stderr(), "{question} Type yes to go on: ");
    let answer = one_line().map_err(|source| Error::Terminal { doing: "read the answer", source })?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Error::Usage("not confirmed, nothing was done".into())) }
}

/// One line of an answer that is no secret.
pub fn line(question: &str) -> Result<String> {
    let _ = write!(std::io::stderr(), "{question}: ");
    one_line().map_err(|source| Error::Terminal { doing: "read the answer", source })
}

/// One line, read without taking more from stdin than it.
fn one_line() -> std::io::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
