//! Locked screens, places and emergency access on three real processes, with failures in the middle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Client, Cluster, Options, Person, Result, binary, enrol_all, reason};
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::lock_service_client::LockServiceClient;
use proto::v1::place_service_client::PlaceServiceClient;
use proto::v1::security_service_client::SecurityServiceClient;
use proto::v1::session_service_client::SessionServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::*;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::{NO_ERRORS, send, ward};

/// How long one of these may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

async fn set(admin: &Client, settings: Settings) -> Result<()> {
    admin
        .write(|wire, id| {
            let request = UpdateSettingsRequest { settings: Some(settings.clone()), request_id: Some(id) };
            async move { SecurityServiceClient::new(wire).update_settings(request).await }
        })
        .await
        .map(drop)
        .map_err(|status| format!("settings: {}", reason(&status)).into())
}

async fn lock(client: &Client) -> std::result::Result<(), Status> {
    let body = |id| LockSessionRequest { name: String::new(), request_id: Some(id) };
    client.write(|wire, id| async move { LockServiceClient::new(wire).lock_session(body(id)).await }).await.map(drop)
}

async fn unlock(client: &Client, password: &str) -> std::result::Result<(), Status> {
    let proof = unlock_session_request::Proof::Password(password.into());
    client
        .write(|wire, id| {
            let request = UnlockSessionRequest { proof: Some(proof.clone()), request_id: Some(id) };
            async move { LockServiceClient::new(wire).unlock_session(request).await }
        })
        .await
        .map(drop)
}

/// The last thing a stream at this node says before it ends.
async fn last_word(client: Arc<Client>, node: usize) -> Result<Option<Item>> {
    let request = SyncRequest { with_messages: true, ..SyncRequest::default() };
    let mut stream = SyncServiceClient::new(client.own_wire_to(node)?).sync(request).await?.into_inner();
    let mut last = None;
    while let Some(item) = timeout(PATIENCE, stream.message()).await?? {
        last = item.item.or(last);
    }
    Ok(last)
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_lock_on_every_node_also_when_the_leader_dies_and_what_was_sent_goes_through_once() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let (people, conversation) = ward(&cluster, 3).await?;
    let leader = cluster.leader().await?;
    let others: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    // Two sessions, connected to the nodes that stay.
    let streams: Vec<_> =
        others.iter().zip(&people).map(|(node, client)| tokio::spawn(last_word(Arc::clone(client), *node))).collect();
    sleep(Duration::from_millis(500)).await;
    let soon = prost_types::Duration { seconds: 6, nanos: 0 };
    set(cluster.admin(), Settings { lock_after: Some(soon), version: 1, ..Settings::default() }).await?;
    let began = Instant::now();
    cluster.node(leader).kill()?;
    for stream in streams {
        let last = stream.await??;
        assert!(matches!(last, Some(Item::SessionLocked(_))), "{last:?}");
    }
    eprintln!("both streams told of the lock after {:?}", began.elapsed());
    people.iter().zip([others[0], others[1], others[0]]).for_each(|(client, node)| client.move_to(node));
    let refused = send(&people[0], &conversation, "while locked").await.expect_err("it is locked");
    assert_eq!(reason(&refused), "SESSION_LOCKED");
    cluster.node(leader).start()?;
    // The administrator's session has locked too, and asks how the cluster is only after this.
    cluster.admin().move_to(others[0]);
    set_unlocked(&cluster, &people).await?;
    cluster.wait_until_well().await?;
    // A lock that races a send: whatever comes first, the message is there once or was refused.
    let (sent, locked) = tokio::join!(send(&people[0], &conversation, "racing"), lock(&people[0]));
    locked.map_err(|status| format!("lock: {}", reason(&status)))?;
    if let Err(status) = &sent {
        assert_eq!(reason(status), "SESSION_LOCKED");
    }
    unlock(&people[0], "password of nurse-0").await?;
    let count = if sent.is_ok() { 1 } else { 0 };
    let last = send(&people[0], &conversation, "after").await?.seq;
    assert_eq!(last, count + 1);
    cluster.check_logs(NO_ERRORS)
}

/// Nothing locks from here on, and everyone is unlocked.
async fn set_unlocked(cluster: &Cluster, people: &[Arc<Client>]) -> Result<()> {
    let admin = cluster.admin();
    if let Err(status) = unlock(admin, cluster::ADMIN_PASSWORD).await {
        return Err(format!("unlock: {} {}", reason(&status), status.message()).into());
    }
    let never = Some(prost_types::Duration::default());
    set(admin, Settings { lock_after: never, version: 2, ..Settings::default() }).await?;
    for (index, client) in people.iter().enumerate() {
        unlock(client, &format!("password of nurse-{index}"))
            .await
            .map_err(|status| format!("unlock: {}", reason(&status)))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_tap_in_at_once_through_all_nodes_one_is_there() -> Result<()> {
    let cluster = Cluster::found(Options::default()).await?;
    let mut accounts: Vec<Person> = (0..4).map(|n| Person::new(&format!("nurse-{n}"), &format!("Nurse {n}"))).collect();
    accounts.push(Person { kind: UserKind::Location, ..Person::new("room-1", "Room 1") });
    let clients = enrol_all(cluster.links(), cluster.admin(), &accounts, || {}).await?;
    let room = &clients[4];
    let tap = |n: usize| {
        let room = Arc::clone(room);
        async move {
            let secret = tap_in_request::Secret::Password(format!("password of nurse-{n}"));
            let request = TapInRequest { login: format!("nurse-{n}"), secret: Some(secret), code: String::new() };
            let wire = room.wire_to(n % 3)?;
            let answer = PlaceServiceClient::new(wire).tap_in(request).await?.into_inner();
            Ok::<_, cluster::Failure>(answer.credentials.ok_or("no credentials")?)
        }
    };
    let taps = futures::future::join_all((0..4).map(tap)).await;
    let parts: Vec<Credentials> = taps.into_iter().collect::<Result<_>>()?;
    let mut there = 0;
    for part in &parts {
        let mut request = tonic::Request::new(GetSelfRequest {
            read: Some(ReadOptions { linearizable: true, ..ReadOptions::default() }),
        });
        request.metadata_mut().insert("authorization", format!("Bearer {}", part.token).parse()?);
        match SessionServiceClient::new(cluster.links().to(0, 0)?).get_self(request).await {
            Ok(answer) => {
                there += 1;
                let session = answer.into_inner().session.ok_or("no session")?;
                assert_eq!(session.location, room.user());
            }
            Err(status) => assert_eq!(reason(&status), "NO_SESSION"),
        }
    }
    assert_eq!(there, 1, "of four");
    cluster.check_logs(NO_ERRORS)
}

/// `tricord` over a node's local socket, without any certificate.
pub async fn local(cluster: &Cluster, profile: &str, arguments: &[&str], input: &str) -> Result<String> {
    let socket = format!("unix:{}", cluster.dir().join("a/data/local.sock").display());
    let home = cluster.dir().join("local");
    let mut command = Command::new(binary("tricord")?);
    command.env("TRICORD_HOME", &home).args(["--node", &socket, "--profile", profile, "--yes"]).args(arguments);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(input.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(said.into());
    }
    Ok(format!("{}{said}", String::from_utf8_lossy(&output.stdout)))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keyholders_open_emergency_access_over_the_local_socket_with_one_node_dead() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let accounts = [Person::new("one", "One"), Person::new("two", "Two"), Person::new("eve", "Auditor")];
    let clients = enrol_all(cluster.links(), cluster.admin(), &accounts, || {}).await?;
    for (client, set) in
        clients.iter().zip([PermissionSet::Keyholder, PermissionSet::Keyholder, PermissionSet::Auditor])
    {
        let user = User { name: client.user().into(), permission_sets: vec![set.into()], ..User::default() };
        let admin = cluster.admin();
        admin
            .write(|wire, id| {
                let update_paths = vec!["permission_sets".to_owned()];
                let request = UpdateUserRequest { user: Some(user.clone()), update_paths, request_id: Some(id) };
                async move { DirectoryServiceClient::new(wire).update_user(request).await }
            })
            .await
            .map_err(|status| format!("grant: {}", reason(&status)))?;
    }
    cluster.node(2).kill()?;
    for login in ["one", "two", "eve"] {
        local(&cluster, login, &["login", login], &format!("password of {login}\n")).await?;
    }
    let open = ["emergency", "open", "--reason", "no administrator", "--minutes", "5"];
    local(&cluster, "one", &open, "password of one\n").await?;
    assert!(
        local(&cluster, "one", &["user", "add", "xenia", "--name", "Xenia"], "").await.is_err(),
        "nothing is open yet"
    );
    let own = local(&cluster, "one", &["emergency", "approve", "1"], "password of one\n").await;
    assert!(own.is_err(), "not by the same person");
    local(&cluster, "two", &["emergency", "approve", "1"], "password of two\n").await?;
    local(&cluster, "one", &["user", "add", "xenia", "--name", "Xenia"], "").await?;
    let listed = local(&cluster, "eve", &["emergency", "list"], "").await?;
    assert!(listed.contains("IN FORCE"), "{listed}");
    local(&cluster, "two", &["emergency", "close", "1"], "").await?;
    assert!(local(&cluster, "one", &["user", "add", "yusuf", "--name", "Yusuf"], "").await.is_err(), "it is over");
    local(&cluster, "eve", &["emergency", "review", "1", "--note", "one account, as said"], "").await?;
    let listed = local(&cluster, "eve", &["emergency", "list"], "").await?;
    assert!(listed.contains("reviewed"), "{listed}");
    cluster.check_logs(NO_ERRORS)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_second_factor_cannot_require_it_of_themselves() -> Result<()> {
    let cluster = Cluster::found(Options::default()).await?;
    local(&cluster, "admin", &["login", "admin"], &format!("{}\n", cluster::ADMIN_PASSWORD)).await?;
    let refused = local(&cluster, "admin", &["settings", "set", "--second-factor", "admin"], "").await;
    let said = refused.expect_err("the administrator's own rights").to_string();
    assert!(said.contains("totp confirm"), "{said}");
    // Of others it can be required, and what is shown is what was set.
    let shown = local(&cluster, "admin", &["settings", "set", "--second-factor", "discloser"], "").await?;
    assert!(shown.contains("discloser"), "{shown}");
    assert_eq!(local(&cluster, "admin", &["settings", "show"], "").await?, shown);
    cluster.check_logs(NO_ERRORS)
}
