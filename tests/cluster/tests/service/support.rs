//! `tricord support bundle`: what is in it, and what is not.

use std::process::Command;

use cluster::{Cluster, Options, Person, Result, SLOTS, binary, create_group, enrol_all};

/// Random, so that they stand nowhere by chance.
const STAFF: &str = "canary-staff-Kq4Vn8TzRw1Yd";
const LOGIN: &str = "canary-login-x7m2";
const TITLE: &str = "canary-title-Pb9Hs3LcEj6Ua";
const TEXT: &str = "canary-text-Wd5Fg2XoMi8Nt";

#[tokio::test(flavor = "multi_thread")]
async fn a_support_bundle_holds_all_nodes_and_no_text_name_token_or_key() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let people = [Person::new(LOGIN, STAFF), Person::new("other", "Other")];
    let clients = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    let ward = create_group(&clients[0], TITLE, &[clients[1].user().to_owned()]).await?;
    for node in 0..3 {
        clients[0].move_to(node);
        super::send(&clients[0], &ward, TEXT).await?;
    }
    // Something for the logs: a node goes away and comes back.
    cluster.node(2).kill()?;
    cluster.node(2).start()?;
    cluster.wait_until_well().await?;

    let dir = tempfile::tempdir()?;
    let key = dir.path().join("key.txt");
    let made = Command::new("age-keygen").arg("-o").arg(&key).output();
    let made = made.map_err(|error| format!("age-keygen: {error}; ops/deps --test installs age"))?;
    let said = String::from_utf8(made.stderr)?;
    let recipient = said.trim().rsplit(' ').next().ok_or("no recipient")?.to_owned();
    let out = dir.path().join("bundle.tar.age");
    let mut command = Command::new(binary("tricord")?);
    command.args(["support", "bundle", "--recipient", &recipient, "--out"]).arg(&out);
    command.arg("--config").arg(cluster.node(0).config()).env("TRICORDD", binary("tricordd")?);
    let done = command.output()?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let sealed = std::fs::read(&out)?;
    assert!(sealed.starts_with(b"age-encryption.org/v1"), "it is encrypted");
    let opened = Command::new("age").args(["--decrypt", "--identity"]).arg(&key).arg(&out).output()?;
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    let archive = String::from_utf8_lossy(&opened.stdout).into_owned();

    for slot in SLOTS {
        for file in ["diagnostics.json", "metrics.txt"] {
            assert!(archive.contains(&format!("tricord-support/{slot}/{file}")), "{slot}/{file} is missing");
        }
    }
    for words in ["tricord_raft_term_number", "the node runs", "CLUSTER_HEALTH_OK", "\"findings\"", "keys.protection"] {
        assert!(archive.contains(words), "{words} is missing");
    }
    let mut secrets = vec![STAFF.to_owned(), LOGIN.into(), TITLE.into(), TEXT.into(), "Test hospital".into()];
    secrets.push(cluster::ADMIN_PASSWORD.into());
    secrets.extend(people.iter().map(|person| person.password().to_owned()));
    for file in ["a/audit.key", "a/node.secret", "a/tls/peer.key", "a/tls/client.key", "ca/ca.key"] {
        let text = std::fs::read_to_string(cluster.dir().join(file))?;
        // The longest line: of a PEM its body, of a signing key the key.
        let line = text.lines().filter(|line| !line.starts_with("---")).max_by_key(|line| line.len());
        secrets.push(line.ok_or("an empty file")?.to_owned());
    }
    secrets.extend(clients.iter().map(|client| client.user().trim_start_matches("users/").to_owned()));
    for secret in secrets {
        assert!(secret.len() > 4 && !archive.contains(&secret), "{secret} is in the bundle");
    }
    Ok(())
}
