//! Every kind of file in a target, changed in every way that disks and people change files.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Says that a test does not run, also in the file that `ops/test` counts those in.
fn skipped(why: &str) {
    use std::io::Write;
    eprintln!("SKIPPED, not run: {why}");
    let Some(path) = std::env::var_os("TRICORD_SKIPPED") else { return };
    let line = format!("test {}\t{why}\n", std::thread::current().name().unwrap_or("without a name"));
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("the file of skipped tests");
    file.write_all(line.as_bytes()).expect("written");
}

/// Which of a target's files is damaged.
fn kinds(target: &Target, made: &Made) -> Vec<(&'static str, std::path::PathBuf)> {
    let manifest = &made.manifest;
    let mut kinds = vec![
        ("manifest", target.manifest_path(&manifest.name)),
        ("contents", target.file_path(&manifest.series, &manifest.contents)),
    ];
    kinds.extend(manifest.files.iter().map(|item| ("file", target.file_path(&manifest.series, item))));
    kinds
}

/// Where a file is changed: all of a short one, and of a long one its ends and places between.
fn places(length: usize) -> impl Iterator<Item = usize> {
    let step = (length / 97).max(1);
    (0..length).filter(move |at| length < 400 || *at < 64 || *at + 64 >= length || at % step == 0)
}

#[test]
fn any_changed_byte_or_cut_of_any_file_is_refused_and_names_the_file() {
    let mut world = World::new();
    world.post(2);
    world.seal_head();
    let (_dir, target, made) = backed_up(&mut world);
    let mut tried = 0;
    for (kind, path) in kinds(&target, &made) {
        let whole = fs::read(&path).expect("readable");
        let refused = |bytes: &[u8], how: &str| {
            fs::write(&path, bytes).expect("writable");
            let error = check(&world, &target, &made, None).expect_err(how);
            let text = error.to_string();
            let named = text.contains(path.file_name().and_then(|name| name.to_str()).expect("a name"));
            assert!(named, "{kind}, {how}: {text}");
        };
        for at in places(whole.len()) {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            refused(&changed, &format!("byte {at} of {}", whole.len()));
            tried += 1;
        }
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            refused(&whole[..length], &format!("cut to {length}"));
        }
        refused(&[whole.as_slice(), b"\n"].concat(), "one byte more");
        fs::remove_file(&path).expect("removable");
        let error = check(&world, &target, &made, None).expect_err("gone").to_string();
        assert!(error.contains("MISSING FILE") || error.contains("there is no backup"), "{kind}: {error}");
        fs::write(&path, &whole).expect("writable");
    }
    assert!(tried > 1_000, "{tried}");
    check(&world, &target, &made, Some(&world.kit())).expect("whole again");
}

#[test]
fn files_changed_for_one_another_or_a_manifest_made_up_anew_are_found_out_by_opening() {
    let mut world = World::new();
    world.post(2);
    let (_dir, target, made) = backed_up(&mut world);
    let good = fs::read_to_string(target.manifest_path(&made.manifest.name)).expect("readable");
    let forge = |change: &dyn Fn(&mut crate::Manifest)| {
        let mut forged = made.manifest.clone();
        forged.signature = None;
        change(&mut forged);
        target.put_manifest(&forged).expect("written");
        check(&world, &target, &made, Some(&world.kit())).expect_err("forged").to_string()
    };
    // Whoever can write the target can write a manifest with right checksums; what is sealed says otherwise.
    for error in [
        forge(&|manifest| manifest.records -= 1),
        forge(&|manifest| manifest.root[0] ^= 1),
        forge(&|manifest| manifest.applied += 1),
        forge(&|manifest| manifest.created.0 += 1),
        forge(&|manifest| manifest.contents = manifest.files[0].clone()),
        forge(&|manifest| {
            manifest.files.pop();
        }),
    ] {
        assert!(error.contains("CHANGED FILE") || error.contains("WRONG CONTENTS"), "{error}");
    }
    fs::write(target.manifest_path(&made.manifest.name), good).expect("written");
    let [one, other] = [0, 1].map(|at| target.file_path(&made.manifest.series, &made.manifest.files[at]));
    let bytes = fs::read(&one).expect("readable");
    fs::copy(&other, &one).expect("copied");
    assert!(check(&world, &target, &made, None).is_err(), "another file's bytes");
    fs::write(&one, bytes).expect("written");
    check(&world, &target, &made, Some(&world.kit())).expect("whole again");
}

#[test]
fn an_interrupted_backup_leaves_nothing_listed_and_the_next_one_works() {
    let mut world = World::new();
    world.post(20);
    let dir = tempfile::tempdir().expect("a directory");
    let target = Target::init(dir.path()).expect("a target");
    let snapshot = world.snapshot();
    // Stopped while any of its files is written.
    for stop_at in 0.. {
        let stop = Arc::new(AtomicBool::new(false));
        let mut told = 0;
        let done = world.back_up_at(&target, snapshot.clone(), Pace::new(0, stop.clone()), &mut |_, _| {
            told += 1;
            stop.store(told > stop_at, Ordering::Relaxed);
        });
        if done.is_ok() {
            assert!(stop_at > 5, "it was stopped {stop_at} times");
            let name = target.names().expect("lists").remove(0);
            fs::remove_file(target.manifest_path(&name)).expect("as if it had been stopped before its manifest");
            break;
        }
        assert!(matches!(done, Err(Error::Stopped)), "{done:?}");
        assert_eq!(target.names().expect("lists"), Vec::<String>::new());
    }
    // Power lost while one was written: half a file, under its partial name; and one of no backup.
    let series = target.series_dir(&world.series().id);
    fs::write(series.join("aa.partial"), b"half").expect("written");
    let made = world.back_up_of(&target, snapshot).expect("the next one");
    check(&world, &target, &made, Some(&world.kit())).expect("good");
    assert!(!series.join("aa.partial").exists(), "what was half written is taken away");
}

#[test]
fn a_share_that_is_not_mounted_is_not_written_to() {
    let mut world = World::new();
    let dir = tempfile::tempdir().expect("a directory");
    let error = Target::open(dir.path()).expect_err("no target").to_string();
    assert!(error.contains("mounted"), "{error}");
    let target = Target::init(dir.path()).expect("a target");
    world.back_up(&target).expect("a backup");
    Target::init(dir.path()).expect("it is one already");
    let other = tempfile::tempdir().expect("a directory");
    fs::write(other.path().join("photo.jpg"), b"x").expect("written");
    assert!(Target::init(other.path()).is_err(), "somebody else's directory");
}

#[test]
fn a_full_target_is_said_plainly_and_leaves_nothing_listed() {
    let mut world = World::new();
    world.post(30);
    let dir = tempfile::tempdir().expect("a directory");
    let mount = |options: &str| {
        let path = dir.path().to_str().expect("a path");
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", path]).output();
        mounted.is_ok_and(|output| output.status.success())
    };
    if !mount("size=64k") {
        skipped("mounting a small file system needs root");
        return;
    }
    let _mounted = Unmount(dir.path());
    let target = Target::init(dir.path()).expect("a target");
    let error = world.back_up(&target).expect_err("no room");
    assert!(matches!(error, Error::NoRoom { .. }), "{error}");
    assert!(error.to_string().contains("no room"), "{error}");
    // More room than it looks like, and less than it takes: full while a file is written.
    assert!(mount("remount,size=160k") || mount("remount,size=160k,rw"), "more room");
    fs::write(dir.path().join("other"), vec![1; 30 << 10]).expect("somebody else's file");
    let snapshot = world.snapshot();
    let filler = dir.path().join("filler");
    let mut told = 0;
    let done = world.back_up_at(&target, snapshot, Pace::unbounded(), &mut |_, _| {
        told += 1;
        if told == 3 {
            let _ = fs::write(&filler, vec![1; 1 << 20]); // Takes all that is left.
        }
    });
    assert!(matches!(done, Err(Error::NoRoom { .. })), "{done:?}");
    assert_eq!(target.names().expect("lists"), Vec::<String>::new());
    fs::remove_file(&filler).expect("room again");
    fs::remove_file(dir.path().join("other")).expect("room again");
    let made = world.back_up(&target).expect("there is room");
    check(&world, &target, &made, Some(&world.kit())).expect("good");
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}
