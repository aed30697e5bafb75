//! Memory that is used again: in the steady state nothing is allocated for a message.

use crate::connection::incoming::body::Pool;
use crate::types::message::Delivery;
use crate::wire::Arena;

/// How many boxes are kept: of small deliveries, a loop that falls behind has some 3,000 at a time.
const BOXES: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// For small parts of what comes in.
    pub(crate) arena: Arena,
    /// For large bodies.
    pub(crate) pool: Pool,
    #[expect(clippy::vec_box, reason = "it is the boxes that are kept")]
    deliveries: Vec<Box<Delivery>>,
}

impl Memory {
    /// A blank delivery.
    pub(crate) fn delivery(&mut self) -> Box<Delivery> {
        let blank = || Box::new(Delivery::blank());
        self.deliveries.pop().unwrap_or_else(blank)
    }

    /// Takes back the box of a delivery, which is blank again.
    pub(crate) fn recycle(&mut self, delivery: Box<Delivery>) {
        if self.deliveries.len() < BOXES {
            self.deliveries.push(delivery);
        }
    }
}
