//! The runbooks: each command in them is one of the command line's, and those that are no hospital's are run, in order, on a
//! cluster: they end and print as the runbook says. How a runbook is marked: `cluster::runbook`.
//!
//! Hands, in a `<!-- test: … -->` between commands: `on b` (the machine that is typed at), `as LOGIN` (who types), `kill b`, `start b`,
//! `let NAME = COMMAND` (what stands for NAME from here on), `do COMMAND`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cluster::runbook::{self, Runbook, Step, calls};
use cluster::{ADMIN_PASSWORD, Cluster, Options, Result, SLOTS, binary};

use super::*;

/// As many commands are run at least: more than a walk that goes astray at once.
const RUN_MIN: usize = 40;
/// How long a command may take, in seconds.
const COMMAND_S_MAX: &str = "60";
/// What a person says again until it is as it should be.
const SAID_AGAIN: [&str; 6] = ["cluster status", "node status", "audit prove", "audit head", "audit list", "key list"];
/// What a runbook shows where a person types their password.
const ASKED: &str = "Your password:";
/// How long they do.
const PATIENCE: Duration = Duration::from_secs(45);
/// Who else types in runbooks, with their permission sets.
const PEOPLE: [(&str, &[&str]); 5] = [
    ("auditor", &["auditor", "discloser"]),
    ("ana", &["keyholder"]),
    ("ben", &["keyholder"]),
    ("eve", &["auditor"]),
    ("ito", &[]),
];

fn books() -> Result<Vec<Runbook>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ops/runbooks");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    paths.iter().map(|path| Runbook::read(path)).collect()
}

/// Why a call is none of the command line's: asked of the program itself, which looks at every word before it shows its help.
fn refused(call: &[String]) -> Result<Option<String>> {
    let mut words: Vec<&String> =
        call[1..].iter().take_while(|word| !word.contains('…') && !word.starts_with('[')).collect();
    if words.len() + 1 < call.len() {
        words.pop_if(|word| word.starts_with("--")); // Its value is left open.
    }
    let output = Command::new(binary(&call[0])?).args(words).arg("--help").stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // A word such as SIZE stands for a value.
    let stands = said
        .split_once("invalid value '")
        .and_then(|(_, rest)| rest.split_once('\''))
        .is_some_and(|(word, _)| word.chars().all(|letter| letter.is_ascii_uppercase() || matches!(letter, '_' | '/')));
    Ok((!output.status.success() && !stands).then_some(said))
}

#[test]
fn every_command_of_a_runbook_is_one_of_the_command_line() -> Result<()> {
    let mut asked = BTreeMap::new();
    for book in books()? {
        let typed = book.steps.iter().filter_map(|step| match step {
            Step::Command(command) => Some((command.line, command.text.as_str())),
            Step::Hands(..) => None,
        });
        for (line, text) in typed.chain(book.named.iter().map(|(line, text)| (*line, text.as_str()))) {
            for call in calls(text) {
                asked.entry(call).or_insert_with(|| format!("{}.md:{line}: {text}", book.name));
            }
        }
    }
    assert!(asked.len() >= 100, "only {} commands were found", asked.len());
    let mut wrong = Vec::new();
    for (call, place) in asked {
        wrong.extend(refused(&call)?.map(|why| format!("{place}: {why}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let wrong = ["tricord", "node", "status", "--scoket", "x"].map(str::to_owned);
    assert!(refused(&wrong)?.is_some_and(|why| why.contains("--socket")), "a flag that is none is found");
    Ok(())
}

/// A cluster, and who stands where.
struct Walk {
    cluster: Cluster,
    on: usize,
    who: String,
    words: BTreeMap<String, String>,
    bin: PathBuf,
    run: usize,
}

impl Walk {
    fn new(cluster: Cluster) -> Result<Self> {
        let bin = cluster.dir().join("bin");
        std::fs::create_dir_all(&bin)?;
        for name in ["tricord", "tricordd"] {
            std::os::unix::fs::symlink(binary(name)?, bin.join(name))?;
        }
        let mut walk = Self { cluster, on: 0, who: "admin".into(), words: BTreeMap::new(), bin, run: 0 };
        walk.well("login admin", "")?;
        for (login, sets) in PEOPLE {
            let sets: String = sets.iter().map(|set| format!(" --permission {set}")).collect();
            let told = walk.well(&format!("--output json user add {login} --name {login}{sets}"), "")?;
            let told: serde_json::Value = serde_json::from_str(&told)?;
            let code = told["enrolment_code"].as_str().ok_or_else(|| format!("no code: {told}"))?.to_owned();
            walk.who = login.into();
            walk.well(&format!("enrol {login}"), &format!("{code}\n{ADMIN_PASSWORD}\n"))?;
            walk.who = "admin".into();
        }
        walk.well("conversation create --title ward @ito", "")?;
        Ok(walk)
    }

    /// `tricord` by the one who types now.
    fn well(&self, words: &str, stdin: &str) -> Result<String> {
        let (exit, printed) = self.shell(&format!("tricord {words} 2>/dev/null"), self.cluster.dir(), stdin)?;
        if exit == 0 { Ok(printed) } else { Err(format!("tricord {words}: {exit}: {printed}").into()) }
    }

    /// What a shell on this machine makes of a line: how it ends, and what is seen.
    fn shell(&self, line: &str, dir: &Path, stdin: &str) -> Result<(i32, String)> {
        let base = self.cluster.dir();
        let here = base.join(SLOTS[self.on]);
        let nodes: Vec<&str> = (0..SLOTS.len()).map(|node| self.cluster.links().address(node)).collect();
        let path = format!("{}:{}", self.bin.display(), std::env::var("PATH")?);
        let mut command = Command::new("timeout");
        command.args([COMMAND_S_MAX, "bash", "-c", &format!("exec 2>&1\n{line}")]).current_dir(dir);
        command.env("PATH", path).env("TRICORD_HOME", base.join("home")).env("TRICORD_PROFILE", &self.who);
        command.env("TRICORD_NODES", nodes.join(",")).env("TRICORD_CA", base.join("ca.crt"));
        command.env("TRICORD_CONFIG", here.join("tricordd.toml")).env("TRICORD_SOCKET", here.join("data/local.sock"));
        command.env("TRICORDD", self.bin.join("tricordd"));
        if stdin.is_empty() {
            command.env("TRICORD_PASSWORD", ADMIN_PASSWORD);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        std::io::Write::write_all(&mut child.stdin.take().ok_or("no stdin")?, stdin.as_bytes())?;
        let output = child.wait_with_output()?;
        Ok((output.status.code().ok_or("killed")?, String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// A line with what stands in a runbook for something of this cluster.
    fn fill(&self, text: &str) -> String {
        let base = self.cluster.dir();
        let here = base.join(SLOTS[self.on]);
        let mut text = text
            .replace("/etc/tricord", &here.display().to_string())
            .replace("/var/lib/tricord", &here.join("data").display().to_string())
            .replace("/root/founding", &base.display().to_string())
            .replace("/mnt/backup", &base.join("mnt").display().to_string());
        for (name, value) in self.words.iter().rev() {
            text = text.replace(name, value);
        }
        text
    }

    /// What was printed, with the paths of a hospital's machine.
    fn plain(&self, printed: &str) -> String {
        let base = self.cluster.dir();
        let here = base.join(SLOTS[self.on]);
        printed
            .replace(&here.join("data").display().to_string(), "/var/lib/tricord")
            .replace(&here.display().to_string(), "/etc/tricord")
            .replace(&base.join("mnt").display().to_string(), "/mnt/backup")
    }

    fn slot(word: &str) -> Result<usize> {
        SLOTS.iter().position(|slot| *slot == word).ok_or_else(|| format!("no node {word}").into())
    }

    fn hands(&mut self, words: &str, dir: &Path) -> Result<()> {
        let (what, rest) = words.split_once(' ').ok_or("nothing to do")?;
        match what {
            "on" => self.on = Self::slot(rest)?,
            "as" => self.who = rest.to_owned(),
            "kill" => self.cluster.node(Self::slot(rest)?).kill()?,
            "start" => self.cluster.node(Self::slot(rest)?).start()?,
            "do" | "let" => {
                let (name, line) =
                    if what == "do" { ("", rest) } else { rest.split_once(" = ").ok_or("NAME = COMMAND")? };
                let line = self.fill(line);
                let (exit, printed) = self.shell(&line, dir, "")?;
                if exit != 0 {
                    return Err(format!("{line}: {exit}: {printed}").into());
                }
                if !name.is_empty() {
                    self.words.insert(name.to_owned(), printed.trim().to_owned());
                }
            }
            _ => return Err(format!("hands do not know how to {what}").into()),
        }
        Ok(())
    }

    /// Runs a command as it stands; what is not as it says, in words.
    fn command(&mut self, command: &runbook::Command, dir: &Path) -> Result<Option<String>> {
        self.run += 1;
        let on = self.on;
        match command.text.strip_prefix("systemctl ").and_then(|rest| rest.strip_suffix(" tricordd")) {
            Some("start") => return self.cluster.node(on).start().map(|()| None),
            Some("stop") => return self.cluster.node(on).stop(PATIENCE).map(|_| None),
            Some("restart") => {
                self.cluster.node(on).stop(PATIENCE)?;
                return self.cluster.node(on).start().map(|()| None);
            }
            _ => {}
        }
        let line = self.fill(&command.text);
        let again = SAID_AGAIN.iter().any(|words| line.contains(&format!("tricord {words}")));
        // Where a person must be asked, they are: nobody's question is printed to who is no terminal.
        let asked = command.shown.iter().filter(|line| line.trim() == ASKED).count();
        let typed = format!("{ADMIN_PASSWORD}\n").repeat(asked);
        let shown: Vec<String> = command.shown.iter().filter(|line| line.trim() != ASKED).cloned().collect();
        let began = Instant::now();
        loop {
            let (exit, printed) = self.shell(&line, dir, &typed)?;
            let printed = self.plain(&printed);
            if std::env::var_os("RUNBOOKS_SHOW").is_some() {
                eprintln!("$ {line}   # {exit}\n{printed}");
            }
            let missing = runbook::missing(&shown, &printed);
            let why = match missing {
                _ if exit != command.exit => format!("ends with {exit}, not {}; it printed:\n{printed}", command.exit),
                Some(missing) => format!("does not print {missing:?} there, but:\n{printed}"),
                None => return Ok(None),
            };
            if !again || began.elapsed() > PATIENCE {
                return Ok(Some(why));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_runbooks_do_and_print_what_the_runbooks_say() -> Result<()> {
    let only = std::env::var("RUNBOOK").ok();
    let mut walk = tokio::task::block_in_place(|| -> Result<_> {
        let cluster = tokio::runtime::Handle::current().block_on(Cluster::found(Options::default()))?;
        Walk::new(cluster)
    })?;
    let mut wrong = Vec::new();
    for book in books()?.into_iter().filter(|book| only.as_ref().is_none_or(|only| *only == book.name)) {
        let dir = walk.cluster.dir().join("walk").join(&book.name);
        std::fs::create_dir_all(&dir)?;
        (walk.on, walk.who) = (0, "admin".into());
        for step in &book.steps {
            let done = tokio::task::block_in_place(|| match step {
                Step::Hands(line, words) => {
                    Ok(walk.hands(words, &dir).err().map(|error| format!("{}.md:{line}: {words}: {error}", book.name)))
                }
                Step::Command(command) if command.by_hand => Ok(None),
                Step::Command(command) => {
                    let place = format!("{}.md:{}: {}", book.name, command.line, command.text);
                    Ok::<_, cluster::Failure>(walk.command(command, &dir)?.map(|why| format!("{place}: {why}")))
                }
            })?;
            wrong.extend(done);
        }
        for node in 0..SLOTS.len() {
            if walk.cluster.node(node).pid().is_none() {
                walk.cluster.node(node).start()?;
            }
        }
        walk.cluster.wait_until_well().await?;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(only.is_some() || walk.run >= RUN_MIN, "only {} commands were run", walk.run);
    // One of them shows a share that is not mounted.
    walk.cluster.check_logs(&["no backup was made"])
}
