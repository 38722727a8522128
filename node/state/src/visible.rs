//! What a principal may see of a conversation: spans of messages and of events.

use alloc::vec::Vec;

use types::conversation::{Conversation, Participant};
use types::{EventNumber, Principal, Seq};

use crate::view::{Rows, View};

/// What one principal may see of one conversation now.
///
/// Invariant: both lists ascend and do not overlap; spans of messages end at the newest message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Visible {
    /// Messages: first and last of each span.
    pub seqs: Vec<(Seq, Seq)>,
    /// Events: first and last of each span; the last of an open one is `u64::MAX`.
    pub events: Vec<(EventNumber, EventNumber)>,
}

/// A span of seqs that is visible as a whole, or not at all: a list says so rather than leave a hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first.
    pub from: Seq,
    /// The last.
    pub to: Seq,
    /// Whether these messages may be seen.
    pub visible: bool,
}

/// What a principal may see of a conversation; none if there is nothing it may know of it.
pub fn of<V: View>(view: &V, conversation: &Conversation, principal: Principal) -> Result<Option<Visible>, V::Fault> {
    Ok(view.participant(conversation.id, principal)?.map(|participant| Visible::new(conversation, &participant)))
}

impl Visible {
    /// What this participant may see.
    #[must_use]
    pub fn new(conversation: &Conversation, participant: &Participant) -> Self {
        let mut visible = Self::default();
        for interval in &participant.intervals {
            let to = interval.to.unwrap_or(conversation.last_seq).min(conversation.last_seq);
            if interval.from <= to {
                match visible.seqs.last_mut() {
                    Some((_, last)) if last.next() == interval.from => *last = to,
                    _ => visible.seqs.push((interval.from, to)),
                }
            }
            visible.events.push((interval.from_event, interval.to_event.unwrap_or(EventNumber(u64::MAX))));
        }
        visible
    }

    /// Whether this message may be seen, and exists.
    #[must_use]
    pub fn sees(&self, seq: Seq) -> bool {
        self.seqs.iter().any(|&(from, to)| from <= seq && seq <= to)
    }

    /// Whether this event of the conversation may be seen.
    #[must_use]
    pub fn sees_event(&self, number: EventNumber) -> bool {
        self.events.iter().any(|&(from, to)| from <= number && number <= to)
    }

    /// The newest message that may be seen, 0 if none: for those who have left, the head they may know of.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.seqs.last().map_or(Seq(0), |&(_, to)| to)
    }

    /// How many visible messages come after `displayed`, counted up to `max`.
    #[must_use]
    pub fn unread(&self, displayed: Seq, max: u32) -> u32 {
        let count = self.seqs.iter().fold(0_u64, |count, &(from, to)| {
            let first = from.max(displayed.next());
            count.saturating_add(to.0.saturating_add(1).saturating_sub(first.0))
        });
        u32::try_from(count).unwrap_or(u32::MAX).min(max)
    }

    /// Divides `from..=to` into what may be seen and what may not, ascending, without gaps.
    #[must_use]
    pub fn spans(&self, from: Seq, to: Seq) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut next = from;
        for &(first, last) in &self.seqs {
            let (first, last) = (first.max(next), last.min(to));
            if first > last {
                continue;
            }
            if next < first {
                spans.push(Span { from: next, to: Seq(first.0.saturating_sub(1)), visible: false });
            }
            spans.push(Span { from: first, to: last, visible: true });
            next = last.next();
        }
        if next <= to && next.0 != u64::MAX {
            spans.push(Span { from: next, to, visible: false });
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn visible() -> Visible {
        Visible { seqs: vec![(Seq(5), Seq(9)), (Seq(20), Seq(30))], events: vec![] }
    }

    #[test]
    fn a_list_says_what_is_not_visible() {
        let span = |from, to, visible| Span { from: Seq(from), to: Seq(to), visible };
        assert_eq!(
            visible().spans(Seq(1), Seq(25)),
            [span(1, 4, false), span(5, 9, true), span(10, 19, false), span(20, 25, true)]
        );
        assert_eq!(visible().spans(Seq(31), Seq(40)), [span(31, 40, false)]);
        assert_eq!(visible().spans(Seq(6), Seq(7)), [span(6, 7, true)]);
    }

    #[test]
    fn unread_messages_are_those_visible_and_not_displayed() {
        assert_eq!(visible().unread(Seq(0), 100), 16);
        assert_eq!(visible().unread(Seq(8), 100), 12);
        assert_eq!(visible().unread(Seq(8), 10), 10);
        assert_eq!(visible().unread(Seq(30), 100), 0);
    }
}
