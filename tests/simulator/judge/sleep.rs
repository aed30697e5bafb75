//! No sleep while something could go on: bytes to write and room for them, bytes to read and no pause, a timer that is
//! due, a job, a callback to run. The network in memory sees who goes to sleep, and notes what was there.

use super::super::sim::Sim;
use super::super::world;
use super::{NO_SLEEP, holds};

pub(super) fn nobody_slept_over_something(sim: &Sim) {
    let faults = world::faults(&sim.broker);
    holds(faults.is_empty(), NO_SLEEP, || faults.join("; "));
}
