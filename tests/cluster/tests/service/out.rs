//! Who is out stays out, on every node: whoever was deactivated, and whoever guessed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Client, Cluster, Options, Result, reason};
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::session_service_client::SessionServiceClient;
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::{DeactivateUserRequest, GetUserRequest, SignInRequest, SyncRequest};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{NO_ERRORS, ward};

const PATIENCE: Duration = Duration::from_secs(30);
/// How soon whoever is deactivated is out, on a machine that has nothing else to do.
const SOON: Duration = Duration::from_secs(1);
/// Wrong passwords until one must wait, and more: some may come while there is no leader.
const GUESSES: usize = 20;

/// A stream of this session at a node, which is open when this returns; when it ended.
async fn stream(client: &Client, node: usize) -> Result<JoinHandle<Result<Instant>>> {
    let mut sync = SyncServiceClient::new(client.own_wire_to(node)?);
    let mut stream = sync.sync(SyncRequest::default()).await?.into_inner();
    Ok(tokio::spawn(async move {
        while let Ok(Some(_)) = timeout(PATIENCE, stream.message()).await? {}
        Ok(Instant::now())
    }))
}

/// How long after it was done the last stream of a deactivated user ended, on any node; nothing answers them from then on.
async fn until_out(cluster: &Cluster, who: &Arc<Client>) -> Result<Duration> {
    let mut streams = Vec::new();
    for node in 0..3 {
        streams.push(stream(who, node).await?);
    }
    let call = cluster.admin().write(|wire, id| {
        let request = DeactivateUserRequest { name: who.user().to_owned(), request_id: Some(id) };
        async move { DirectoryServiceClient::new(wire).deactivate_user(request).await }
    });
    call.await.map_err(|status| format!("deactivate: {} {}", reason(&status), status.message()))?;
    let began = Instant::now();
    let mut took = Duration::ZERO;
    for stream in streams {
        took = took.max(stream.await??.saturating_duration_since(began));
    }
    for node in 0..3 {
        let request = GetUserRequest { name: who.user().to_owned(), ..GetUserRequest::default() };
        let refused = DirectoryServiceClient::new(who.own_wire_to(node)?).get_user(request).await;
        let refused = refused.expect_err("a session of who is deactivated");
        assert_eq!(refused.code(), tonic::Code::Unauthenticated, "{}", reason(&refused));
    }
    Ok(took)
}

/// What comes of a try to sign in, from the address that all of this machine have.
async fn sign_in(cluster: &Cluster, node: usize, login: &str, password: &str) -> Result<String> {
    let request = SignInRequest { login: login.into(), password: password.into(), ..SignInRequest::default() };
    let wire = cluster.links().to(node, 0)?;
    let answer = SessionServiceClient::new(wire).sign_in(request).await;
    Ok(answer.map_or_else(|status| reason(&status), |_| "OK".into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_deactivated_is_out_within_a_second_everywhere_and_guesses_count_when_the_leader_dies() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let (people, _) = ward(&cluster, 4).await?;
    let mut took = Vec::new();
    for who in &people[1..] {
        took.push(until_out(&cluster, who).await?);
    }
    // The machine may be busy; by itself it takes as long as a commit.
    assert!(took.iter().min().is_some_and(|took| *took < SOON), "{took:?}");

    let leader = cluster.leader().await?;
    let mut said = String::new();
    for _ in 0..GUESSES {
        said = sign_in(&cluster, leader, "nurse-0", "not the password").await?;
        if said == "LOCKED_OUT" {
            break;
        }
        assert_eq!(said, "BAD_CREDENTIALS");
    }
    assert_eq!(said, "LOCKED_OUT");
    cluster.node(leader).kill()?;
    let began = Instant::now();
    for node in (0..3).filter(|node| *node != leader) {
        // Until there is a leader again it may be that nothing can be said; what it may never be is a way in.
        loop {
            said = sign_in(&cluster, node, "nurse-0", "password of nurse-0").await?;
            assert_ne!(said, "OK", "whoever waits for another leader guesses on");
            if said == "LOCKED_OUT" {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "node {node} says {said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    cluster.node(leader).start()?;
    cluster.wait_until_well().await?;
    cluster.check_logs(NO_ERRORS)
}
