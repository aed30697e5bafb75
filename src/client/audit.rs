//! What a client holds, and what is left in it when all is over: for simulations.

use crate::Client;

/// What a client holds.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Audit {
    /// Tables, timers and buffers that are not empty: at the end of a client none should be left.
    pub left: Vec<&'static str>,
    /// Bytes of deliveries that nobody has read and of which the broker sends ever more.
    pub unread_bytes: usize,
    /// Bytes of unread deliveries of consumers that have ended.
    pub ended_bytes: usize,
    /// Bytes of deliveries that a prefetch holds back.
    pub held_bytes: usize,
}

impl Client {
    pub(crate) fn audit(&self) -> Audit {
        let [unread_bytes, ended_bytes, held_bytes] = self.driver.unread();
        let mut left = self.driver.leftovers();
        if self.has_work() {
            left.push("something to run");
        }
        if self.loops > 0 {
            left.push("a loop");
        }
        Audit {
            left,
            unread_bytes,
            ended_bytes,
            held_bytes,
        }
    }
}
