//! A careful connection: where the last ones may have died of what was sent, this one sends things in turns, so that it
//! shows what it dies of.
//!
//! There is one rule. Nothing goes out but in its turn, and a turn begins when the broker has handled all that went out in
//! the last one, or has had plenty of time for it. What is suspect goes in a turn without anything else; first one, then
//! two, four, and so on, for most of it is innocent. Turns are given to, in this order:
//! - declarations of before;
//! - consumers and requests that are no younger than the youngest suspect: there is an end to them, and a publish may need
//!   what they declare;
//! - publishes, which have fences between them (`publish/held.rs`);
//! - if publishes have to wait, for a queue, say: all other requests. Else nothing suspect is left that could go, and the
//!   connection is not careful any more. What could not go stays suspect, for the next death.
//!
//! That the broker has handled something shows by its answer. A publish may be confirmed, and a call be replied to, a long
//! time after: these have a `basic.qos` behind them, which changes nothing, and whose answer says the same.

use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::connection::recovery::step::Item;
use crate::types::ids::PromiseNumber;

/// How long a turn may take: whatever hangs at the broker then does not hang everything else.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Nobody,
    Steps,
    /// Promises up to that one.
    Promises(PromiseNumber),
}

#[derive(Debug)]
pub(crate) struct Careful {
    turn: Turn,
    /// How many suspects may go out in one turn.
    window: usize,
    /// How many went out in this one, and how many others.
    suspects: usize,
    others: usize,
    /// Until when the next turn waits for what went out in this one; none: nothing did.
    until: Option<Instant>,
}

impl Careful {
    pub(crate) fn new() -> Self {
        Self {
            turn: Turn::Nobody,
            window: 1,
            suspects: 0,
            others: 0,
            until: None,
        }
    }

    pub(crate) fn admits(&self, item: &Item, is_suspect: bool) -> bool {
        let has_turn = match (self.turn, item) {
            (Turn::Steps, Item::Step(_)) => true,
            (Turn::Promises(youngest), Item::Promise(promise)) => *promise <= youngest,
            _ => false,
        };
        let is_alone = match is_suspect {
            true => self.others == 0 && self.suspects < self.window,
            false => self.suspects == 0,
        };
        has_turn && is_alone
    }

    pub(crate) fn note(&mut self, is_suspect: bool) {
        match is_suspect {
            true => self.suspects += 1,
            false => self.others += 1,
        }
    }

    /// Something is sent, and the broker has its time for it.
    pub(crate) fn note_sending(&mut self, now: Instant) {
        self.until = now.checked_add(PATIENCE);
    }

    fn end_turn(&mut self) {
        if self.suspects > 0 {
            self.window = self.window.saturating_mul(2);
        }
        (self.suspects, self.others) = (0, 0);
        self.until = None;
    }

    fn has_begun(&self) -> bool {
        self.suspects + self.others > 0
    }
}

impl Connection {
    /// Gives the next turns, on a careful connection, if it is time for them.
    pub(crate) fn go_on_carefully(&mut self) {
        while self.state.is_up() && self.is_time_for_a_turn() {
            if let Some(careful) = &mut self.blame.careful {
                careful.end_turn();
            }
            if self.give_turn() {
                continue;
            }
            if !self.state.is_open() || !self.publisher.line.is_empty() {
                return;
            }
            log::debug!("all that was sent one by one is answered");
            self.blame.careful = None;
            self.start_suspended();
            self.go_on_publishing();
            self.serve_waiting();
        }
    }

    /// When a turn has lasted for long enough; never on a connection that is not up, which gives no turns.
    pub(crate) fn turn_ends_at(&self) -> Option<Instant> {
        let careful = self.blame.careful.as_ref();
        careful?.until.filter(|_| self.state.is_up())
    }

    fn is_time_for_a_turn(&self) -> bool {
        let Some(careful) = &self.blame.careful else {
            return false;
        };
        careful.until.is_none_or(|until| self.now >= until) || self.is_at_rest()
    }

    /// Whether the broker has handled all.
    fn is_at_rest(&self) -> bool {
        self.publishes_under_way().next().is_none()
            && !self.publisher.line.is_fenced()
            && self.under_way().is_empty()
    }

    /// Sends something; false: nothing can be sent now.
    fn give_turn(&mut self) -> bool {
        if self.replay.left() > 0 && self.give_turn_to(Turn::Steps) {
            return true;
        }
        if !self.state.is_open() {
            return false;
        }
        if let Some(youngest) = self.blame.youngest_suspect()
            && self.give_turn_to(Turn::Promises(youngest))
        {
            return true;
        }
        self.release_held_carefully()
            || !self.publisher.line.is_empty()
                && self.give_turn_to(Turn::Promises(PromiseNumber(u64::MAX)))
    }

    fn give_turn_to(&mut self, turn: Turn) -> bool {
        self.set_turn(turn);
        if turn == Turn::Steps {
            self.go_on_replaying();
        } else {
            self.start_suspended();
            self.serve_waiting();
        }
        self.set_turn(Turn::Nobody);
        self.blame.careful.as_ref().is_some_and(Careful::has_begun)
    }

    fn set_turn(&mut self, turn: Turn) {
        if let Some(careful) = &mut self.blame.careful {
            careful.turn = turn;
        }
    }
}
