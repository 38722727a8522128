//! Linearizability: is there an order of all operations in which each takes effect at one moment between its begin and its
//! end, and each answer is what the model gives?
//!
//! The search of Wing and Gong with Lowe's cache of configurations already tried ("Testing for linearizability", 2017). What
//! leaves the state as it is, a read, is taken as soon as it fits and never taken back: whatever order exists without that still
//! exists with it, for all that ended before the read began are behind it already.

use std::collections::HashSet;
use std::hash::Hash;

use crate::Moment;

/// Configurations tried before giving up.
const TRIES_MAX: usize = 4_000_000;

/// What the operations are of.
pub trait Model {
    /// A state.
    type State: Copy + Eq + Hash;
    /// An operation with its answer.
    type Operation;
    /// The state in the beginning.
    fn initial(&self) -> Self::State;
    /// The state after the operation; none if it would not have had this answer.
    fn step(&self, state: Self::State, operation: &Self::Operation) -> Option<Self::State>;
}

/// An operation in time.
#[derive(Clone, Debug)]
pub struct Span<O> {
    /// When it was asked.
    pub begin: Moment,
    /// When it was answered; none: it took effect at some time after `begin`.
    pub end: Option<Moment>,
    /// What was asked and answered.
    pub operation: O,
}

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none; in the order that came furthest, this operation (by index) fits nowhere before its end.
    Stuck(usize),
    /// The search took too long.
    Undecided,
}

/// Looks for such an order.
pub fn linearizable<M: Model>(model: &M, spans: &[Span<M::Operation>]) -> Verdict {
    let mut list = List::new(spans);
    let mut state = model.initial();
    let mut taken: Vec<(usize, Option<M::State>)> = Vec::new();
    let mut tried: HashSet<(u128, M::State)> = HashSet::new();
    let mut set = 0;
    let (mut furthest, mut stuck) = (0, 0);
    let mut at = list.first();
    while let Some(entry) = at {
        let span = entry / 2;
        if entry.is_multiple_of(2) {
            let next = model.step(state, &spans[span].operation);
            let reads = next == Some(state);
            if let Some(next) = next.filter(|&next| reads || tried.insert((set ^ mark(span), next))) {
                taken.push((span, (!reads).then_some(state)));
                set ^= mark(span);
                state = next;
                list.take(span);
                at = list.first();
            } else {
                at = list.after(entry);
            }
            if tried.len() > TRIES_MAX {
                return Verdict::Undecided;
            }
            continue;
        }
        // This one ended, and did not fit so far: an earlier choice was wrong.
        if taken.len() >= furthest {
            (furthest, stuck) = (taken.len(), span);
        }
        at = None;
        while let Some((span, before)) = taken.pop() {
            list.put_back(span);
            set ^= mark(span);
            if let Some(before) = before {
                state = before;
                at = list.after(2 * span);
                break;
            }
        }
        if at.is_none() {
            return Verdict::Stuck(stuck);
        }
    }
    Verdict::Linearizable
}

/// Begins (even) and ends (odd) of spans in the order of time, from which those taken are lifted out.
struct List {
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl List {
    fn new<O>(spans: &[Span<O>]) -> Self {
        let head = 2 * spans.len();
        let time = |entry: usize| {
            let span = &spans[entry / 2];
            // Where a begin and an end meet, they overlap: more orders are allowed, never fewer.
            if entry.is_multiple_of(2) { (span.begin, 0) } else { (span.end.unwrap_or(Moment::MAX), 1) }
        };
        let mut order: Vec<usize> = (0..head).collect();
        order.sort_by_key(|&entry| time(entry));
        let (mut next, mut previous) = (vec![head; head + 1], vec![head; head + 1]);
        let mut last = head;
        for entry in order {
            next[last] = entry;
            previous[entry] = last;
            last = entry;
        }
        next[last] = head;
        previous[head] = last;
        Self { next, previous }
    }

    fn first(&self) -> Option<usize> {
        self.after(self.next.len() - 1)
    }

    fn after(&self, entry: usize) -> Option<usize> {
        Some(self.next[entry]).filter(|&next| next != self.next.len() - 1)
    }

    fn take(&mut self, span: usize) {
        for entry in [2 * span, 2 * span + 1] {
            let (before, after) = (self.previous[entry], self.next[entry]);
            self.next[before] = after;
            self.previous[after] = before;
        }
    }

    /// Undoes the last [`Self::take`] that was not undone.
    fn put_back(&mut self, span: usize) {
        for entry in [2 * span + 1, 2 * span] {
            let (before, after) = (self.previous[entry], self.next[entry]);
            self.next[before] = entry;
            self.previous[after] = entry;
        }
    }
}

/// A number for each span; a set of spans is the XOR of theirs. Two sets collide with a chance of one in 2^128.
fn mark(span: usize) -> u128 {
    let half = |salt: u64| {
        let mut x = (span as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    u128::from(half(0x9e37_79b9)) << 64 | u128::from(half(0x7f4a_7c15_0000_0001))
}
