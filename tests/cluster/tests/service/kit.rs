//! Another recovery kit, made by one administrator and confirmed by another, on three real processes.

use cluster::{ADMIN_PASSWORD, binary, skipped, tricord};
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::{PermissionSet, UpdateUserRequest, User};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::people::local;
use super::*;

/// Makes and proposes a kit, as a person at a terminal would: its fingerprint, and two of its shares.
async fn replace(cluster: &Cluster) -> Result<(String, String)> {
    let socket = format!("unix:{}", cluster.dir().join("a/data/local.sock").display());
    let mut command = Command::new(binary("tricord")?);
    command.env("TRICORD_HOME", cluster.dir().join("local")).args(["--node", &socket, "--profile", "admin"]);
    command.args(["--output", "json", "key", "recovery", "replace", "--reason", "a share is lost"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
    let told: serde_json::Value = serde_json::from_str(&lines.next_line().await?.ok_or("nothing was shown")?)?;
    let share = |at: usize| told["shares"][at].as_str().unwrap_or_default().to_owned();
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    // Once wrongly: nothing is proposed before two of them have given the kit back.
    let typed = format!("{0}\n{0}\n{1}\n{0}\n{ADMIN_PASSWORD}\n", share(0), share(2));
    stdin.write_all(typed.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("tricord key recovery confirm"), "{said}");
    assert!(said.contains("two different shares are needed"), "{said}");
    Ok((told["fingerprint"].as_str().unwrap_or_default().to_owned(), format!("{}\n{}\n", share(1), share(2))))
}

async fn appoint(cluster: &Cluster, user: &str) -> Result<()> {
    let user = User { name: user.into(), permission_sets: vec![PermissionSet::Admin.into()], ..User::default() };
    let granted = cluster.admin().write(|wire, id| {
        let update_paths = vec!["permission_sets".to_owned()];
        let request = UpdateUserRequest { user: Some(user.clone()), update_paths, request_id: Some(id) };
        async move { DirectoryServiceClient::new(wire).update_user(request).await }
    });
    granted.await.map(drop).map_err(|status| format!("grant: {}", reason(&status)).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recovery_kit_is_replaced_by_two_and_each_opens_the_backups_of_its_time() -> Result<()> {
    let cluster = Cluster::found(Options::default()).await?;
    let people = enrol_all(cluster.links(), cluster.admin(), &[Person::new("two", "Two")], || {}).await?;
    appoint(&cluster, people[0].user()).await?;
    local(&cluster, "admin", &["login", "admin"], &format!("{ADMIN_PASSWORD}\n")).await?;
    local(&cluster, "two", &["login", "two"], "password of two\n").await?;
    let ward = create_group(&people[0], "Ward 3", &[]).await?;
    send(&people[0], &ward, "of before").await.map_err(|status| reason(&status))?;
    let target = cluster.dir().join("target");
    std::fs::create_dir(&target)?;
    let dir = target.to_string_lossy().into_owned();
    let first = tricord(&cluster, 1, &["backup", "create", "--init", "--dir", &dir], "")?.trim().to_owned();

    let (kit, new) = replace(&cluster).await?;
    let alone = local(&cluster, "admin", &["key", "recovery", "confirm", &kit], &format!("{ADMIN_PASSWORD}\n")).await;
    assert!(alone.is_err_and(|error| error.to_string().contains("yourself")), "one alone");
    let confirmed = local(&cluster, "two", &["key", "recovery", "confirm", &kit], "password of two\n").await?;
    assert!(confirmed.contains("@admin") && confirmed.contains("KEEP THE OLD KIT"), "{confirmed}");
    let listed = local(&cluster, "two", &["key", "recovery", "list"], "").await?;
    assert!(listed.contains(&kit) && listed.contains("former") && listed.contains("backups from"), "{listed}");
    let verified = local(&cluster, "admin", &["key", "recovery", "verify"], &new).await?;
    assert!(verified.contains("VERIFIED"), "{verified}");

    send(&people[0], &ward, "of after").await.map_err(|status| reason(&status))?;
    let second = tricord(&cluster, 1, &["backup", "create", "--dir", &dir], "")?.trim().to_owned();
    let old = format!("{}\n{}\n", cluster.recovery_shares()[0], cluster.recovery_shares()[1]);
    let verify =
        |name: &str, shares: &str| tricord(&cluster, 1, &["backup", "verify", name, "--dir", &dir, "--kit"], shares);
    for (name, right, wrong) in [(&first, &old, &new), (&second, &new, &old)] {
        let good = verify(name, right)?;
        assert!(good.starts_with("GOOD.") && good.contains("the recovery kit opens"), "{good}");
        let refused = verify(name, wrong).err().ok_or("the other kit opens it")?.to_string();
        assert!(refused.contains("is sealed to the recovery kit"), "{refused}");
    }
    cluster.check_logs(NO_ERRORS)
}

/// An age identity and its public key; none where age is not installed.
fn identity(dir: &std::path::Path, name: &str) -> Result<Option<(std::path::PathBuf, String)>> {
    let file = dir.join(name);
    let Ok(made) = std::process::Command::new("age-keygen").arg("-o").arg(&file).output() else { return Ok(None) };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = std::fs::read_to_string(&file)?;
    let public = text.lines().find_map(|line| line.strip_prefix("# public key: ")).ok_or("no public key")?.to_owned();
    Ok(Some((file, public)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kit_for_three_who_are_elsewhere_is_proposed_confirmed_and_opened_by_two_of_them() -> Result<()> {
    let cluster = Cluster::found(Options::default()).await?;
    let keys = tempfile::tempdir()?;
    let mut people = Vec::new();
    for name in ["anna", "ben", "chris"] {
        let Some(one) = identity(keys.path(), name)? else {
            return skipped("age is not installed");
        };
        people.push(one);
    }
    let two = enrol_all(cluster.links(), cluster.admin(), &[Person::new("two", "Two")], || {}).await?;
    appoint(&cluster, two[0].user()).await?;
    local(&cluster, "admin", &["login", "admin"], &format!("{ADMIN_PASSWORD}\n")).await?;
    local(&cluster, "two", &["login", "two"], "password of two\n").await?;

    let shares = keys.path().join("shares").to_string_lossy().into_owned();
    let paths: Vec<String> = people.iter().map(|(file, _)| file.to_string_lossy().into_owned()).collect();
    let mut replace = vec!["key", "recovery", "replace", "--reason", "they live elsewhere", "--shares-out", &shares];
    people.iter().for_each(|(_, public)| replace.extend(["--recipient", public]));
    // Nobody is here to prove that a share opens again: nothing is made.
    let typed = format!("{ADMIN_PASSWORD}\n");
    let unproven = local(&cluster, "admin", &replace, &typed).await;
    assert!(unproven.is_err_and(|error| error.to_string().contains("--identity")), "nobody proves it");
    let foreign = identity(keys.path(), "stranger")?.ok_or("age was there")?.0.to_string_lossy().into_owned();
    let strangers = [replace.as_slice(), &["--identity", &foreign]].concat();
    let unproven = local(&cluster, "admin", &strangers, &typed).await;
    assert!(
        unproven.is_err_and(|error| error.to_string().contains("opens none of the three")),
        "a stranger proves nothing"
    );
    replace.extend(["--identity", &paths[1]]);
    let proposed = local(&cluster, "admin", &replace, &typed).await?;
    let kit = proposed.split_whitespace().skip_while(|word| *word != "Kit").nth(1).ok_or("no fingerprint")?.to_owned();
    assert!(proposed.contains("opens share 2 again"), "{proposed}");
    let file = |number: usize| std::path::Path::new(&shares).join(format!("recovery-{kit}-{number}.age"));
    assert!((1..=3).all(|number| file(number).is_file()), "{proposed}");

    let confirmed = local(&cluster, "two", &["key", "recovery", "confirm", &kit], "password of two\n").await?;
    assert!(confirmed.contains("is in use"), "{confirmed}");
    // Each opens their own share, and two of them have the kit: it opens what the cluster seals from now on.
    let mut opened = Vec::new();
    for (number, path) in [(1, &paths[0]), (3, &paths[2])] {
        let output =
            std::process::Command::new("age").args(["--decrypt", "--identity", path]).arg(file(number)).output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        opened.push(String::from_utf8(output.stdout)?);
        let wrong = std::process::Command::new("age")
            .args(["--decrypt", "--identity", &paths[1]])
            .arg(file(number))
            .output()?;
        assert!(!wrong.status.success(), "nobody opens another's");
    }
    let typed = opened.concat();
    let verified = local(&cluster, "admin", &["key", "recovery", "verify"], &typed).await?;
    assert!(verified.contains("VERIFIED"), "{verified}");
    let target = cluster.dir().join("target");
    std::fs::create_dir(&target)?;
    let dir = target.to_string_lossy().into_owned();
    let made = tricord(&cluster, 1, &["backup", "create", "--init", "--dir", &dir], "")?.trim().to_owned();
    let good = tricord(&cluster, 1, &["backup", "verify", &made, "--dir", &dir, "--kit"], &typed)?;
    assert!(good.starts_with("GOOD.") && good.contains("the recovery kit opens"), "{good}");
    cluster.check_logs(NO_ERRORS)
}
