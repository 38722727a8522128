//! Runs a command beside a cluster of its own: for clients in other languages (tests/interop).

use std::process::{Command, ExitCode, ExitStatus};

use clap::Parser;
use cluster::{Cluster, Options, Person, Result, enrol_all};

/// Founds three nodes, creates the users ito and weber, runs the command, and takes all away again. The command finds in its
/// environment TRICORD_NODES (host:port, three, with commas), TRICORD_CA (a file), and for each user a password in
/// TRICORD_PASSWORD_ITO and TRICORD_PASSWORD_WEBER, the first operator's in TRICORD_PASSWORD_ADMIN, where everything is kept (`a/tricordd.toml` and so on) in TRICORD_DIR, and
/// the process ids of a, b and c in TRICORD_PIDS. It may kill a node. With disks of their own nodes have them mounted at
/// `a/data` and so on; with clocks of their own what is in `a.clock` (`+3600`) is how wrong each is.
#[derive(Parser)]
struct Arguments {
    /// Give each node a disk of its own of so many MiB; needs root.
    #[arg(long, value_name = "MIB")]
    disks: Option<u64>,
    /// Give each node a clock of its own; needs libfaketime.
    #[arg(long)]
    clocks: bool,
    /// What nodes may say at level error: lines that contain one of these.
    #[arg(long, value_name = "WORDS")]
    expect: Vec<String>,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("with-cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<ExitStatus> {
    let options = Options { disk_mib: arguments.disks, clocks: arguments.clocks, ..Options::default() };
    let cluster = Cluster::found(options).await?;
    let people = [Person::new("ito", "Dr Ito"), Person::new("weber", "A. Weber")];
    enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    let nodes = [0, 1, 2].map(|node| cluster.links().address(node).to_owned()).join(",");
    let pids = cluster.pids().map(|pid| pid.unwrap_or_default().to_string()).join(" ");
    let [program, rest @ ..] = arguments.command.as_slice() else { return Err("no command".into()) };
    let status = Command::new(program)
        .args(rest)
        .env("TRICORD_NODES", nodes)
        .env("TRICORD_CA", cluster.dir().join("ca.crt"))
        .env("TRICORD_DIR", cluster.dir())
        .env("TRICORD_PIDS", pids)
        .env("TRICORD_PASSWORD_ADMIN", cluster::ADMIN_PASSWORD)
        .env("TRICORD_PASSWORD_ITO", people[0].password())
        .env("TRICORD_PASSWORD_WEBER", people[1].password())
        .status()?;
    let expected: Vec<&str> = arguments.expect.iter().map(String::as_str).collect();
    cluster.check_logs(&expected)?;
    Ok(status)
}
