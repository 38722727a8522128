use super::*;

fn sealed(key: &BackupKey, name: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let mut sealing = key.seal(name, Vec::new()).expect("begins");
    plain.chunks(700_001).for_each(|part| sealing.write(part).expect("takes more"));
    sealing.finish().expect("ends")
}

fn opened(key: &BackupKey, name: &[u8; 32], bytes: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut plain = Vec::new();
    key.unseal(name, bytes)?.read_to_end(&mut plain)?;
    Ok(plain)
}

fn plain(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

#[test]
fn a_file_of_any_length_opens_as_it_was() {
    let (key, name) = (BackupKey::generate().expect("a key"), [7; 32]);
    let chunk = BACKUP_CHUNK_BYTES;
    for bytes in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 5] {
        let sealed = sealed(&key, &name, &plain(bytes));
        assert_eq!(sealed.len(), 40 + bytes + 16 * bytes.div_ceil(chunk).max(1), "{bytes}");
        assert_eq!(opened(&key, &name, &sealed).expect("opens"), plain(bytes), "{bytes}");
    }
}

#[test]
fn a_changed_byte_a_cut_and_an_addition_are_found_out() {
    let (key, name) = (BackupKey::generate().expect("a key"), [7; 32]);
    let whole = sealed(&key, &name, &plain(300));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        assert!(opened(&key, &name, &changed).is_err(), "byte {at}");
        assert!(opened(&key, &name, &whole[..at]).is_err(), "cut to {at}");
    }
    assert!(opened(&key, &name, &[whole.as_slice(), &[0]].concat()).is_err(), "one byte more");
    assert!(opened(&key, &[8; 32], &whole).is_err(), "under another name");
    assert!(opened(&BackupKey::generate().expect("a key"), &name, &whole).is_err(), "another key");
}

#[test]
fn chunks_cannot_be_left_out_changed_for_one_another_or_ended_early() {
    let (key, name) = (BackupKey::generate().expect("a key"), [7; 32]);
    let sealed = sealed(&key, &name, &plain(3 * BACKUP_CHUNK_BYTES));
    let (head, chunks) = sealed.split_at(40);
    let chunks: Vec<&[u8]> = chunks.chunks(BACKUP_CHUNK_BYTES + 16).collect();
    assert_eq!(chunks.len(), 3);
    for order in [&[0, 1][..], &[0, 2], &[1, 0, 2], &[0, 1, 1, 2], &[0, 1, 2, 2], &[2]] {
        let parts: Vec<&[u8]> = [head].into_iter().chain(order.iter().map(|at| chunks[*at])).collect();
        assert!(opened(&key, &name, &parts.concat()).is_err(), "{order:?}");
    }
    assert!(opened(&key, &name, head).is_err(), "no chunk at all");
}

#[test]
fn the_same_file_twice_has_one_name_and_never_the_same_bytes() {
    let key = BackupKey::generate().expect("a key");
    let name = key.name_of(&[1; 32], 9).expect("a name");
    assert_eq!(name, key.name_of(&[1; 32], 9).expect("a name"));
    assert_ne!(name, key.name_of(&[1; 32], 8).expect("a name"));
    assert_ne!(name, BackupKey::generate().expect("a key").name_of(&[1; 32], 9).expect("a name"));
    assert_ne!(sealed(&key, &name, b"one"), sealed(&key, &name, b"one"));
}

#[test]
fn the_recovery_kit_opens_the_key_and_no_one_else() {
    let (kit, other) = (NodeKey::generate().expect("a pair"), NodeKey::generate().expect("a pair"));
    let key = BackupKey::generate().expect("a key");
    let envelope = key.envelope(&kit.public().expect("public"), b"here").expect("seals");
    assert_eq!(BackupKey::open(&envelope, b"here", &kit).expect("opens").bytes(), key.bytes());
    assert!(BackupKey::open(&envelope, b"there", &kit).is_err());
    assert!(BackupKey::open(&envelope, b"here", &other).is_err());
    for at in 0..envelope.len() {
        let mut changed = envelope.clone();
        changed[at] ^= 1;
        assert!(BackupKey::open(&changed, b"here", &kit).is_err(), "byte {at}");
        assert!(BackupKey::open(&envelope[..at], b"here", &kit).is_err(), "cut to {at}");
    }
}
