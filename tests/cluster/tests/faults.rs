//! Machines break in every way the harness can make, under load; then every answer anyone was given is checked.

use std::time::Duration;

use cluster::faults::{Crowd, Load, Settings, Size, abilities, overload, run, settle};
use cluster::replay::list_all;
use cluster::{Client, Cluster, Options, Person, Result, SLOTS, create_group, enrol_all, reason, skipped};
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::{ClusterHealth, OutgoingMessage, SendMessageRequest};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_all_kinds_under_load_lose_nothing() -> Result<()> {
    let settings = Settings {
        seed: 4,
        time: Duration::from_secs(45),
        longest: Duration::from_secs(2),
        only: None,
        size: Size::default(),
    };
    let ended = run(settings, |line| eprintln!("{line}")).await?;
    for what in &ended.skipped {
        skipped(what)?;
    }
    eprintln!("{:?}: {}", ended.faults, ended.report);
    assert!(ended.is_well(), "{} {:?}", ended.report, ended.logged);
    assert!(ended.report.acknowledged > 100, "{}", ended.report);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_of_everything_is_refused_or_cut_off_and_holds_nobody_up() -> Result<()> {
    let crowd = Crowd { sessions: 180, deaf: 24, writers: 8, measured: Duration::from_secs(4) };
    let seen = overload(crowd, |line| eprintln!("{line}")).await?;
    assert!(seen.memory <= seen.memory_max, "{} of {} bytes", seen.memory, seen.memory_max);
    assert!(seen.cut >= crowd.deaf, "{} of {} that never read were cut off", seen.cut, crowd.deaf);
    // A machine that is quick enough for all of them refuses nobody.
    let served = seen.rush.1 > 0 || seen.waited_p99 < Duration::from_millis(50);
    assert!(seen.rush.0 > 100 && served, "in the rush acknowledged and refused: {:?}", seen.rush);
    // How long a busy machine makes them wait is nothing to test here; tricord-soak --overload says.
    Ok(())
}

/// Founds a cluster of nodes with disks of their own, or says why not.
async fn with_disks(mib: u64) -> Result<Option<Cluster>> {
    let (with, without) = abilities();
    if !with.disks {
        skipped(&without.join("; "))?;
        return Ok(None);
    }
    Cluster::found(Options { disk_mib: Some(mib), ..Options::default() }).await.map(Some)
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_refused_before_disks_are_full_and_taken_again_when_there_is_room() -> Result<()> {
    let Some(mut cluster) = with_disks(768).await? else { return Ok(()) };
    let people = enrol_all(cluster.links(), cluster.admin(), &[Person::new("ito", "Dr Ito")], || {}).await?;
    let ward = create_group(&people[0], "Ward 3", &[]).await?;
    assert_eq!(post(&people[0], &ward, "one").await?, 1);

    // One low disk stops nothing, but is told of.
    cluster.disk(0)?.fill(LOW)?;
    summary(&cluster, 1, "the disk of a is nearly full").await?;
    assert_eq!(post(&people[0], &ward, "two").await?, 2);

    // Two do, wherever one asks.
    cluster.disk(1)?.fill(LOW)?;
    for node in 0..3 {
        summary(&cluster, node, "The disks of a and b are nearly full").await?;
    }
    for node in 0..3 {
        people[0].move_to(node);
        let refused = post_once(&people[0], &ward, "three").await.err().ok_or("a write was taken with full disks")?;
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "DISK_FULL"), "{refused:?}");
    }
    let held = list_all(&people[0], 2, &ward).await?;
    assert_eq!(held.len(), 2, "reading goes on");

    cluster.disk(0)?.empty()?;
    cluster.disk(1)?.empty()?;
    cluster.wait_until_well().await?;
    assert_eq!(post(&people[0], &ward, "three").await?, 3);

    // A disk without any room stops its node, and no other.
    cluster.disk(2)?.fill(64 << 10)?;
    for index in 4..60 {
        assert_eq!(post(&people[0], &ward, &"x".repeat(8_000)).await?, index);
    }
    let _ = cluster.node(2).kill();
    cluster.disk(2)?.empty()?;
    cluster.node(2).start()?;
    cluster.wait_until_well().await?;
    assert_eq!(list_all(&people[0], 2, &ward).await?.len(), 59);
    cluster.check_logs(&["nearly full", "stopping at once", "IOFlushed error"])
}

/// Below an eighth of the disks above, and enough for what is written meanwhile.
const LOW: u64 = 48 << 20;

/// Waits until a node says so of the cluster.
async fn summary(cluster: &Cluster, node: usize, expected: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let said = cluster.status(node).await?.summary;
        if said.contains(expected) {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(20) {
            return Err(format!("node {node} says {said:?}, not {expected:?}").into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn post(client: &Client, conversation: &str, text: &str) -> Result<u64> {
    let message =
        OutgoingMessage { conversation: conversation.into(), text: text.into(), ..OutgoingMessage::default() };
    let answer = client.write(|wire, id| {
        let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
        async move { MessageServiceClient::new(wire).send_message(request).await }
    });
    Ok(answer.await.map_err(|status| format!("send: {} {}", reason(&status), status.message()))?.seq)
}

/// One attempt, whose number is not used again when it is refused.
async fn post_once(client: &Client, conversation: &str, text: &str) -> std::result::Result<u64, Status> {
    let number = client.numbers.take();
    let message =
        OutgoingMessage { conversation: conversation.into(), text: text.into(), ..OutgoingMessage::default() };
    let answer = client
        .once(Duration::from_secs(5), |wire| {
            let id = client.numbers.request_id(number);
            let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
            async move { MessageServiceClient::new(wire).send_message(request).await }
        })
        .await;
    client.numbers.done(number);
    Ok(answer?.seq)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_all_three_fails_no_call_that_is_tried_twice() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    // An attempt that is only slow, on a machine with much else to do, is no attempt that failed.
    let size = Size { attempt: Duration::from_secs(5), ..Size::default() };
    let mut load = Load::start(&cluster, size).await?;
    sleep(Duration::from_secs(1)).await;
    let (mut longest, mut tries) = (Duration::ZERO, 0);
    // The leader first, so that leadership moves at least twice.
    let leader = cluster.leader().await?;
    for node in [leader, (leader + 1) % 3, (leader + 2) % 3] {
        let _ = (load.take_gap(), load.take_tries());
        let status = tokio::task::block_in_place(|| cluster.node(node).stop(Duration::from_secs(30)))?;
        assert!(status.success(), "{status}");
        cluster.node(node).start()?;
        cluster.wait_until_well().await?;
        let gap = load.take_gap();
        eprintln!("restart of {}: longest time without an acknowledgement {gap:?}", SLOTS[node]);
        longest = longest.max(gap);
        tries = tries.max(load.take_tries());
    }
    let report = settle(&mut cluster, &mut load).await?;
    eprintln!("{report}; longest gap {longest:?}; most attempts {tries}");
    assert!(report.is_clean(), "{report}");
    assert!(tries <= 2, "a write needed {tries} attempts");
    // How short it is on a quiet machine, tests/README.md says; here much else may run.
    assert!(longest < Duration::from_secs(2), "no acknowledgement for {longest:?}");
    cluster.check_logs(&[])
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_end_between_writing_syncing_and_applying_lose_nothing() -> Result<()> {
    let (with, without) = abilities();
    if !with.points {
        skipped(&without.join("; "))?;
        return Ok(());
    }
    let mut cluster = Cluster::found(Options::default()).await?;
    let mut load = Load::start(&cluster, Size::default()).await?;
    let points = ["log-before-fsync=30*off->return", "log-after-fsync=30*off->return", "state-applied=30*off->return"];
    for (turn, point) in points.into_iter().chain(["state-flushed=return"]).enumerate() {
        let node = (cluster.leader().await? + turn % 2) % 3;
        cluster.node(node).kill()?;
        cluster.node(node).start_until(point)?;
        // What was applied is made durable once in a while, and at the latest when it stops in order.
        let seldom = point.starts_with("state-flushed");
        let patience = Duration::from_secs(if seldom { 3 } else { 30 });
        if !tokio::task::block_in_place(|| cluster.node(node).has_ended_within(patience))? {
            assert!(seldom, "{} did not come to {point}: {}", SLOTS[node], cluster.node(node).log());
            let _ = tokio::task::block_in_place(|| cluster.node(node).stop(Duration::from_secs(30)))?;
        }
        assert!(cluster.node(node).log().contains("this process ends at a fail point"), "{point}");
        cluster.node(node).start()?;
        cluster.wait_until_well().await?;
    }
    let report = settle(&mut cluster, &mut load).await?;
    assert!(report.is_clean(), "{report}");
    assert!(report.acknowledged > 100, "{report}");
    cluster.check_logs(&[])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_leader_that_vanished_is_answered_by_the_next() -> Result<()> {
    let (with, without) = abilities();
    if !with.hosts {
        skipped(&without.join("; "))?;
        return Ok(());
    }
    let cluster = Cluster::found(Options { hosts: true, ..Options::default() }).await?;
    let people = enrol_all(cluster.links(), cluster.admin(), &[Person::new("ito", "Dr Ito")], || {}).await?;
    let ward = create_group(&people[0], "Ward 3", &[]).await?;
    let leader = cluster.leader().await?;
    people[0].move_to(leader + 1);
    assert_eq!(post_once(&people[0], &ward, "one").await?, 1);
    cluster.hosts()?.vanish(leader)?;
    let began = Instant::now();
    // One attempt: the node that took it hears of the next leader, and does not wait for the old one.
    assert_eq!(post_once(&people[0], &ward, "two").await?, 2);
    let took = began.elapsed();
    eprintln!("answered after {took:?}");
    assert!(took < Duration::from_millis(2_500), "answered after {took:?}");
    cluster.hosts()?.heal()?;
    cluster.wait_until_well().await?;
    assert_eq!(list_all(&people[0], leader, &ward).await?.len(), 2);
    cluster.check_logs(&[])
}

/// A busy machine may elect for reasons of its own, though hardly each time.
const ROUNDS_MAX: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn resets_a_link_that_rejects_and_a_follower_that_says_goodbye_elect_nobody() -> Result<()> {
    let (with, without) = abilities();
    if !with.hosts {
        skipped(&without.join("; "))?;
        return Ok(());
    }
    let mut cluster = Cluster::found(Options { hosts: true, ..Options::default() }).await?;
    let people = enrol_all(cluster.links(), cluster.admin(), &[Person::new("ito", "Dr Ito")], || {}).await?;
    let ward = create_group(&people[0], "Ward 3", &[]).await?;
    for round in 1.. {
        let leader = cluster.leader().await?;
        let before = cluster.status(leader).await?.term;
        people[0].move_to(leader);
        let followers = [(leader + 1) % 3, (leader + 2) % 3];
        // Connections of the leader break, each way, for less than an election timeout.
        for (from, to) in followers.into_iter().flat_map(|follower| [(leader, follower), (follower, leader)]) {
            cluster.hosts()?.reject(from, to)?;
            post(&people[0], &ward, "while connections are reset").await?;
            sleep(Duration::from_millis(100)).await;
            cluster.hosts()?.heal()?;
            cluster.wait_until_well().await?;
        }
        // One link rejects for many of them: that follower hears nothing of the leader, who says so, and the other one does.
        for (from, to) in [(leader, followers[0]), (followers[1], leader)] {
            cluster.hosts()?.reject(from, to)?;
            let (began, mut noticed) = (Instant::now(), None);
            while noticed.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(1)) {
                post(&people[0], &ward, "while a link rejects").await?;
                if noticed.is_none() && cluster.status(leader).await?.health() != ClusterHealth::Ok {
                    noticed = Some(Instant::now());
                }
                assert!(began.elapsed() < Duration::from_secs(20), "nobody noticed that a link rejects");
                sleep(Duration::from_millis(50)).await;
            }
            cluster.hosts()?.heal()?;
            cluster.wait_until_well().await?;
        }
        // A follower that stops in order tells its peers to go (GOAWAY), and comes back.
        let status = tokio::task::block_in_place(|| cluster.node(followers[0]).stop(Duration::from_secs(30)))?;
        assert!(status.success(), "{status}");
        post(&people[0], &ward, "while one is away").await?;
        cluster.node(followers[0]).start()?;
        cluster.wait_until_well().await?;
        let after = cluster.status(leader).await?.term;
        if after == before {
            break;
        }
        eprintln!("round {round}: term {before} became {after}");
        assert!(round < ROUNDS_MAX, "each of {round} rounds elected, and none had a reason");
    }
    cluster.check_logs(&[])
}
