//! Traps that are known, each by its name; and that a seed is a run. Sources: RAFT.md 1.3, 1.4, 2.3; DESIGN 4.

use std::process::Command;

fn sim(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tricord-sim")).args(arguments).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn holds(seed: &str, faults: &str) {
    let (well, text) = sim(&["--seed", seed, "--faults", faults, "--safety-ms", "6000", "--little-log"]);
    assert!(well, "{text}");
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    let arguments = ["--seed", "7", "--safety-ms", "5000", "--trace"];
    let lines = |text: &str| text.lines().filter(|line| !line.contains("virtual time")).map(String::from).collect();
    let runs: [Vec<String>; 2] = [lines(&sim(&arguments).1), lines(&sim(&arguments).1)];
    assert!(runs[0].len() > 100, "{:?}", runs[0]);
    for (one, other) in runs[0].iter().zip(&runs[1]) {
        assert_eq!(one, other);
    }
    assert_eq!(runs[0].len(), runs[1].len());
}

#[test]
fn all_lose_power_while_the_leaders_disk_has_stalled_and_nothing_acknowledged_is_lost() {
    holds("11", "PowerCutStalled");
}

#[test]
fn a_torn_last_batch_opens() {
    holds("12", "TornWrite,TornWriteAll");
}

#[test]
fn a_flipped_last_batch_opens_and_its_node_votes_when_it_has_it_again() {
    holds("13", "FlipLast");
}

#[test]
fn a_flipped_middle_batch_does_not_open_and_the_others_go_on() {
    holds("14", "FlipMiddle");
}

#[test]
fn a_purge_does_not_overtake_what_is_applied_and_durable() {
    for kept in ["--little-log", "--lazy-flushes"] {
        let (well, text) = sim(&["--seed", "15", "--faults", "Kill,PowerCutAll", "--safety-ms", "8000", kept]);
        assert!(well, "{text}");
    }
}

#[test]
fn new_nodes_take_the_places_of_lost_disks_while_nodes_are_killed() {
    holds("18", "Replace,Kill,Isolate");
}

#[test]
fn a_leader_whose_clock_says_2099_changes_nothing() {
    holds("16", "Clock2099,Stop");
}

#[test]
fn no_read_is_stale_when_a_follower_restarts_fast_and_the_leader_is_cut_off() {
    holds("17", "Kill,Isolate,OneWay");
}

#[test]
fn nodes_that_stood_still_for_up_to_a_minute_take_nothing_for_true_that_was_true_before() {
    holds("19", "Pause,Isolate");
}
