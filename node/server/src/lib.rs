//! `tricordd`, the daemon of one node.

mod abort;
mod accept;
mod addresses;
mod adopt;
mod advice;
mod backups;
mod certificates;
mod client_port;
mod config;
mod doctor;
mod founding;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod history;
mod keys;
mod local;
mod logging;
mod ops_port;
mod outside;
mod page;
mod peer_port;
mod places;
mod process;
mod refound;
mod reload;
mod renewal;
mod restored;
mod revocation;
mod run;
mod support;
mod tls;
mod vitals;
mod watchdog;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{CommandFactory, Parser, Subcommand};
use store::{DataDir, Identity};
use types::{Incarnation, NodeId, Timestamp};

use crate::config::Config;
use crate::founding::Founding;

/// One node of a Tricord cluster.
#[derive(Parser)]
#[command(name = "tricordd", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Args {
    /// Print a configuration with every key, what it means, its unit and its default.
    #[arg(long, exclusive = true)]
    print_default_config: bool,
    /// The same as 'tricordd check --config FILE'.
    #[arg(long, exclusive = true, value_name = "FILE", num_args = 0..=1, default_missing_value = CONFIG)]
    check_config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the configuration is unless said otherwise.
const CONFIG: &str = "/etc/tricord/tricordd.toml";

#[derive(Subcommand)]
enum Command {
    /// Makes this node's data directory, once, when the cluster is founded. A machine that replaces another is not founded:
    /// this refuses a directory that is not empty.
    Found(ConfigFile),
    /// Makes the data directory of a node that takes the place of a lost one. `tricord node replace` calls it.
    Adopt {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        to: adopt::Adopt,
    },
    /// Begins a new history with what this node has, the others being lost for good. `tricord disaster refound` calls it.
    Refound {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        to: refound::Refound,
    },
    /// Runs the node until it is told to stop (SIGTERM). Certificates are read again when their files change; they and the
    /// configuration on SIGHUP, as by 'tricord node reload'.
    Run(ConfigFile),
    /// Checks the configuration, certificates and data directory, and changes nothing.
    Check(ConfigFile),
    /// Looks at configuration, certificates, disk, ports, peers, clocks and the machine's limits, and prints what it found as
    /// JSON. Runs whether or not the daemon does. People say `tricord doctor`, which calls this. Exit status: 0 nothing is to
    /// be done, 3 something is, 1 the node cannot do its work.
    Doctor(ConfigFile),
    /// Gathers what someone needs who helps, from this machine and from all nodes that answer, and prints it as JSON. People
    /// say `tricord support bundle`, which calls this and encrypts it.
    Support(ConfigFile),
    /// Writes the manual pages into a directory.
    #[command(hide = true)]
    Man {
        /// It is created.
        dir: PathBuf,
    },
    /// Works on backups without a node. People say `tricord backup`, which calls this.
    #[command(subcommand)]
    Backup(backups::BackupCommand),
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The node's configuration.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

/// What stops a command; printed with all its causes.
type Failure = Box<dyn Error + Send + Sync>;

/// Does what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _failing = store::failing::from_environment();
    if let Err(error) = seal::environment::hide(&[keys::PASSPHRASE_VARIABLE]) {
        say(&format!("tricordd: take secrets out of the environment: {error}"));
        return ExitCode::FAILURE;
    }
    if cfg!(feature = "bare") && std::env::var_os("TRICORD_BARE").is_none() {
        say("this daemon was built without sealing and audit, only to be measured; ops/bench --bare runs it");
        return ExitCode::FAILURE;
    }
    let args = Args::parse();
    if args.print_default_config {
        print(config::DEFAULT.trim_end());
        return ExitCode::SUCCESS;
    }
    let command = args.command.or(args.check_config.map(|config| Command::Check(ConfigFile { config })));
    // Without arguments there is help instead.
    let Some(command) = command else { return ExitCode::from(2) };
    let done = match command {
        Command::Doctor(file) => {
            let report = doctor::examine(&file.config);
            print(&report.json());
            return report.exit();
        }
        Command::Found(file) => found(&file),
        Command::Adopt { file, to } => adopt(&file, &to),
        Command::Refound { file, to } => refound(&file, &to),
        Command::Run(file) => run(&file),
        Command::Check(file) => check(&file),
        Command::Support(file) => support::gather(&file.config).map(|gathered| print(&gathered)),
        Command::Man { dir } => manual(&dir),
        Command::Backup(command) => backups::run_command(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("tricordd: {}", chain(&*failure)));
            let refuted = failure.downcast_ref::<backup::Error>().is_some_and(backup::Error::refutes);
            if refuted { ExitCode::from(backups::REFUTED) } else { ExitCode::FAILURE }
        }
    }
}

fn found(file: &ConfigFile) -> Result<(), Failure> {
    let config = Config::load(&file.config)?;
    let path = config.founding.as_ref().ok_or("the configuration names no founding document ('founding = …')")?;
    let founding = Founding::load(path)?;
    if founding.cluster != config.cluster {
        return Err(format!(
            "the founding document is of cluster {}, the configuration of {}; use those that were made together",
            founding.cluster, config.cluster
        )
        .into());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let created = Timestamp(u64::try_from(now.as_millis())?);
    run::check_files(&config)?;
    let node = NodeId::new(config.slot, Incarnation(1));
    let identity = Identity::new(founding.cluster, founding.lineage, node, created)?;
    DataDir::create(&config.data, identity)?;
    let (_, public) = keys::open_or_make(&config.keys, &config.data)?;
    say(&format!("Node {node} has its data directory: {}", config.data.display()));
    say(&format!("Its public key, made here: {public}; protected by: {}", config.keys.describe(&config.data)));
    say(&format!("Next: once all three have theirs, on each: tricordd run --config {}", file.config.display()));
    Ok(())
}

fn adopt(file: &ConfigFile, to: &adopt::Adopt) -> Result<(), Failure> {
    let config = Config::load(&file.config)?;
    // Whoever is let in must be able to start: what is wrong with its certificates is said before the cluster hears of it.
    run::check_files(&config).map_err(|error| {
        format!(
            "{}; have the healthy machine hand certificates over (tricord node approve --spare DIR, or --authority DIR), or put \
             them there",
            chain(&*error)
        )
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let adopt::Adopted { node, disk, public_key, protection } =
        adopt::adopt(&config, to, Timestamp(u64::try_from(now.as_millis())?))?;
    say(&format!(
        "Node {node} has its data directory: {}; its key is protected by: {protection}",
        config.data.display()
    ));
    // All of it is hexadecimal digits and a number: nothing needs quoting.
    print(&format!(r#"{{"node":{},"disk":"{disk}","public_key":"{public_key}"}}"#, node.0));
    Ok(())
}

fn refound(file: &ConfigFile, to: &refound::Refound) -> Result<(), Failure> {
    let refound::Report { name, node, last, unapplied, begun } = refound::run(&Config::load(&file.config)?, to)?;
    let begun = begun.map_or_else(|| "null".to_owned(), |at| at.0.to_string());
    // Quoted as TOML quotes, which for a name that was checked is as JSON does.
    let name = toml::Value::String(name);
    print(&format!(
        r#"{{"name":{name},"node":"{node}","last_ms":{},"unapplied":{unapplied},"begun_ms":{begun}}}"#,
        last.0
    ));
    Ok(())
}

fn run(file: &ConfigFile) -> Result<(), Failure> {
    let config = Config::load(&file.config)?;
    let logging = logging::start(&config);
    abort::forbid_core_files();
    abort::on_panic();
    run::run(config, logging)
}

fn manual(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)?;
    Ok(clap_mangen::generate_to(Args::command(), dir)?)
}

fn check(file: &ConfigFile) -> Result<(), Failure> {
    let config = Config::load(&file.config)?;
    run::check_files(&config)?;
    if let Some(dir) = &config.backup.dir {
        backups::check(dir)?;
    }
    match DataDir::identify(&config.data) {
        Ok(identity) => {
            run::check_identity(&config, &identity)?;
            say(&format!("The configuration is good; the data directory is that of node {}.", identity.node));
        }
        Err(store::DataDirError::Missing { .. }) => {
            say("The configuration is good; there is no data directory yet ('tricordd found' makes it).");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "words for people go to standard error")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "what a program asked for goes to standard output")]
fn print(line: &str) {
    println!("{line}");
}

/// An error and its causes in one line; a cause whose text stands in the one before is not said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    /// A node that is to be, with certificates that were written by two attempts: they do not fit.
    fn half_written(dir: &Path) -> ConfigFile {
        let text = config::DEFAULT.replace("/var/lib/tricord", &dir.join("data").to_string_lossy());
        let config = dir.join("tricordd.toml");
        std::fs::write(&config, text).expect("written");
        std::fs::create_dir_all(dir.join("tls")).expect("made");
        let made = || {
            let key = rcgen::KeyPair::generate().expect("a key");
            let params = rcgen::CertificateParams::new(vec!["b.example".to_owned()]).expect("a name");
            (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
        };
        let ((first, _), (_, second)) = (made(), made());
        for (name, text) in [
            ("ca.crt", &first),
            ("peer.crt", &first),
            ("peer.key", &second),
            ("client.crt", &first),
            ("client.key", &second),
        ] {
            std::fs::write(dir.join("tls").join(name), text).expect("written");
        }
        ConfigFile { config }
    }

    #[test]
    fn nobody_is_to_be_let_in_whose_certificates_do_not_fit() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = half_written(dir.path());
        let lineage = "000102030405060708090a0b0c0d0e0f".parse().expect("an id");
        let node = NodeId::new(types::Slot::A, Incarnation(2)).0;
        let refused = adopt(&file, &adopt::Adopt { lineage, node, or: 0 }).expect_err("they do not fit").to_string();
        assert!(refused.contains("client.crt") && refused.contains("--authority"), "{refused}");
        assert!(!dir.path().join("data").exists(), "nothing is made before that is mended");
    }

    #[test]
    fn an_unknown_flag_is_told_the_nearest_right_one() {
        let error = Args::try_parse_from(["tricordd", "run", "--confg", "x"]).err().expect("refused").to_string();
        assert!(error.contains("'--config'"), "{error}");
    }
}
