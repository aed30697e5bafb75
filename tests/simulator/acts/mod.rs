//! What a program does, by chance: requests, settlements, waits.

pub(crate) mod consume;
pub(crate) mod embed;
pub(crate) mod life;
pub(crate) mod publish;
pub(crate) mod requests;
pub(crate) mod settle;
pub(crate) mod waits;

use puka::{Client, Promise};

use super::actor::{Asked, Kind};
use super::answer::Known;
use super::sim::Sim;

/// Something that may be done anywhere: in a script, a callback, a job.
#[derive(Debug, Clone, Copy)]
enum Act {
    Request,
    Publish,
    PublishMany,
    Consume,
    Get,
    Rpc,
    OfConsumer,
    Settle,
    Wait,
    LoopBreak,
    Nonsense,
    FanOut,
    Die,
    Work,
}

const ACTS: &[(usize, Act)] = &[
    (14, Act::Request),
    (26, Act::Publish),
    (1, Act::PublishMany),
    (8, Act::Consume),
    (5, Act::Get),
    (3, Act::Rpc),
    (7, Act::OfConsumer),
    (16, Act::Settle),
    (12, Act::Wait),
    (1, Act::Nonsense),
    (4, Act::FanOut),
    (1, Act::Die),
    (3, Act::Work),
];

/// Does one thing.
pub(crate) fn act(sim: &Sim, who: usize, client: &mut Client) {
    let act = sim.chance(|chance| chance.weighted(ACTS));
    perform(sim, who, client, act);
}

/// The same, in a callback: there one may end the loop, too.
pub(crate) fn within(sim: &Sim, who: usize, client: &mut Client) {
    let act = sim.chance(|chance| {
        if chance.percent(10) {
            Act::LoopBreak
        } else {
            chance.weighted(ACTS)
        }
    });
    perform(sim, who, client, act);
}

fn perform(sim: &Sim, who: usize, client: &mut Client, act: Act) {
    {
        let mut state = sim.state();
        if state.budget == 0 {
            return;
        }
        state.budget -= 1;
    }
    match act {
        Act::Request => requests::request(sim, who, client),
        Act::Publish => publish::publish(sim, who, client),
        Act::PublishMany => publish::publish_many(sim, who, client),
        Act::Consume => consume::consume(sim, who, client),
        Act::Get => consume::get(sim, who, client),
        Act::Rpc => publish::rpc(sim, who, client),
        Act::OfConsumer => consume::of_consumer(sim, who, client),
        Act::Settle => settle::settle(sim, who, client),
        Act::Wait => waits::wait(sim, who, client),
        Act::LoopBreak => {
            sim.tell_of(who, || "loop_break".into());
            client.loop_break();
        }
        Act::Nonsense => life::nonsense(sim, who, client),
        Act::FanOut => requests::fan_out(sim, who, client),
        Act::Die => requests::die(sim, who, client),
        Act::Work => life::work(sim, who),
    }
}

/// What the program does with a promise: it forgets it, waits, or sets a callback.
fn follow<T: Known>(sim: &Sim, who: usize, client: &mut Client, promise: Promise<T>) {
    match sim.chance(|chance| chance.below(10)) {
        0..5 => {}
        5..8 => sim.call_back(who, client, promise),
        _ => waits::wait_for(sim, who, client, T::any(promise)),
    }
}

impl Asked {
    /// A request that has nothing special.
    fn new(kind: Kind, methods: &'static [&'static str], text: String) -> Self {
        Self {
            kind,
            text,
            methods,
            names: Vec::new(),
            refusals: &[],
            is_odd: false,
            is_deadly: false,
            is_repeatable: false,
        }
    }

    fn names(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(|&name| name.into()).collect();
        self
    }

    fn refusals(mut self, codes: &'static [u16]) -> Self {
        self.refusals = codes;
        self
    }

    /// Recovery asks for it again.
    fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    fn deadly(mut self, is_deadly: bool) -> Self {
        self.is_deadly = is_deadly;
        self
    }

    fn odd(mut self, is_odd: bool) -> Self {
        self.is_odd = is_odd;
        self
    }
}

/// The last close of a program.
pub(crate) fn close_asked() -> Asked {
    Asked::new(Kind::Close, &[], "close".into())
}
