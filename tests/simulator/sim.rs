//! One life: a broker, programs with a client each, and all that they know, which their callbacks share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use puka::testing::Broker;
use puka::{Client, ConnectionEvent, Promise, Result};

use super::actor::{Actor, Asked, Entry};
use super::acts;
use super::answer::{Any, Known, Value};
use super::chance::Chance;
use super::judge;
use super::ledger::Ledger;
use super::trouble;
use super::world::{self, Taken};

/// How deep callbacks may act in callbacks.
const DEPTH: u32 = 5;

/// What is shared.
pub(crate) struct State {
    pub(crate) chance: Chance,
    pub(crate) actors: Vec<Actor>,
    pub(crate) ledger: Ledger,
    /// How much may still be done.
    pub(crate) budget: usize,
    /// The network and the broker do what is asked of them, from now on.
    pub(crate) is_healed: bool,
    /// The broker has forgotten what is not durable.
    pub(crate) was_restarted: bool,
    /// How many of the messages that the broker has taken are counted, and how often each was.
    pub(crate) published: usize,
    pub(crate) taken: BTreeMap<u64, Taken>,
    /// The network does not take all at once.
    pub(crate) blocks: bool,
    /// Each line is shown as it comes.
    pub(crate) is_live: bool,
    /// The transcript, if somebody wants to read it.
    lines: Option<Vec<String>>,
    pub(crate) figures: Figures,
}

/// How much has happened.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures {
    pub(crate) acts: u64,
    pub(crate) publishes: u64,
    pub(crate) deliveries: u64,
    pub(crate) losses: u64,
    pub(crate) callbacks: u64,
    pub(crate) troubles: u64,
    pub(crate) hours: f64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.acts += other.acts;
        self.publishes += other.publishes;
        self.deliveries += other.deliveries;
        self.losses += other.losses;
        self.callbacks += other.callbacks;
        self.troubles += other.troubles;
        self.hours += other.hours;
    }
}

#[derive(Clone)]
pub(crate) struct Sim {
    pub(crate) broker: Broker,
    state: Arc<Mutex<State>>,
}

impl Sim {
    pub(crate) fn new(seed: u64, tells: bool) -> Self {
        let mut chance = Chance::new(seed);
        let (broker, world) = world::broker(&mut chance);
        let budget = 20 + chance.below(150);
        let state = State {
            chance,
            actors: Vec::new(),
            ledger: Ledger::default(),
            budget,
            is_healed: false,
            was_restarted: false,
            published: 0,
            taken: BTreeMap::new(),
            is_live: false,
            blocks: world.would_block > 0 || world.capacity < 256 * 1024,
            lines: tells.then(|| vec![format!("{world:?}")]),
            figures: Figures::default(),
        };
        let sim = Self {
            broker,
            state: Arc::new(Mutex::new(state)),
        };
        trouble::poison_all(&sim);
        sim
    }

    /// What all share. Nobody holds it while a client runs.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn chance<T>(&self, of: impl FnOnce(&mut Chance) -> T) -> T {
        of(&mut self.state().chance)
    }

    pub(crate) fn percent(&self, chance: usize) -> bool {
        self.state().chance.percent(chance)
    }

    pub(crate) fn actor<T>(&self, who: usize, of: impl FnOnce(&mut Actor) -> T) -> T {
        of(&mut self.state().actors[who])
    }

    /// How long this life has lasted.
    pub(crate) fn now(&self) -> Duration {
        world::age(&self.broker)
    }

    /// A line for the transcript.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        let now = self.now();
        let mut state = self.state();
        let is_live = state.is_live;
        if let Some(lines) = &mut state.lines {
            let line = format!("{:>12.6}  {}", now.as_secs_f64(), what());
            if is_live {
                println!("{line}");
            }
            lines.push(line);
        }
    }

    /// The same of one program.
    pub(crate) fn tell_of(&self, who: usize, what: impl FnOnce() -> String) {
        let depth = self.actor(who, |actor| actor.depth) as usize;
        self.tell(|| format!("{}c{who} {}", "    ".repeat(depth), what()));
    }

    pub(crate) fn transcript(&self) -> Vec<String> {
        self.state().lines.clone().unwrap_or_default()
    }

    /// Something happened that the client may lose its connection by, or that is in its way.
    pub(crate) fn trouble(&self, who: usize) {
        let now = self.now();
        let mut state = self.state();
        state.actors[who].troubles += 1;
        state.actors[who].troubled = now;
        state.figures.troubles += 1;
    }

    /// The same, of the client of that name; without a name it may be any.
    pub(crate) fn trouble_of(&self, name: Option<&str>) {
        let who = self
            .state()
            .actors
            .iter()
            .position(|actor| Some(&*actor.name) == name);
        match who {
            Some(who) => self.trouble(who),
            None => self.trouble_all(),
        }
    }

    /// For so long the network is in its way.
    pub(crate) fn hinder(&self, name: Option<&str>, time: Duration) {
        let until = self.now() + time;
        for actor in &mut self.state().actors {
            if name.is_none_or(|name| actor.name == name) {
                actor.hindered = actor.hindered.max(until);
            }
        }
    }

    pub(crate) fn trouble_all(&self) {
        let count = self.state().actors.len();
        (0..count).for_each(|who| self.trouble(who));
    }

    /// Asks for something, and notes it.
    pub(crate) fn ask<T: Known>(
        &self,
        who: usize,
        client: &mut Client,
        asked: Asked,
        ask: impl FnOnce(&mut Client) -> Promise<T>,
    ) -> Promise<T> {
        let was_active = client.is_active();
        let troubles = self.actor(who, |actor| {
            actor.deaths += u32::from(asked.is_deadly);
            actor.troubles
        });
        let before = self.now();
        let promise = ask(client);
        let now = self.now();
        if now > before {
            // It has waited for room.
            acts::waits::is_nested(self, who, before);
        }
        let number = promise.number();
        self.tell_of(who, || format!("#{number} {}", asked.text));
        let entry = Entry {
            any: T::any(promise),
            asked,
            is_done: false,
            has_failed: false,
            has_callback: false,
            was_active,
            troubles,
        };
        let before = self.actor(who, |actor| actor.promises.insert(number, entry));
        judge::holds(before.is_none(), judge::ONE_RESULT, || {
            format!("c{who}: the number {number} twice")
        });
        self.state().figures.acts += 1;
        promise
    }

    /// Sets a callback that notes the result, and may act.
    pub(crate) fn call_back<T: Known>(&self, who: usize, client: &mut Client, promise: Promise<T>) {
        let sim = self.clone();
        let number = promise.number();
        self.actor(who, |actor| {
            if let Some(entry) = actor.promises.get_mut(&number) {
                entry.has_callback = true;
            }
        });
        let is_consumer = matches!(T::any(promise), Any::Delivery(_));
        if is_consumer || self.percent(20) {
            client.set_callback(promise, move |client, promise, result| {
                sim.called_back(who, client, promise.number(), result.map(Known::value));
            });
        } else {
            promise.then(client, move |client, promise, result| {
                sim.called_back(who, client, promise.number(), result.map(Known::value));
            });
        }
    }

    fn called_back(&self, who: usize, client: &mut Client, number: u64, result: Result<Value>) {
        self.state().figures.callbacks += 1;
        self.tell_of(who, || format!("callback of #{number}"));
        judge::result(self, who, client, number, result);
        self.act_within(who, client);
    }

    /// What callbacks, jobs and the like do.
    pub(crate) fn act_within(&self, who: usize, client: &mut Client) {
        let (goes_on, count) = {
            let mut state = self.state();
            let depth = state.actors[who].depth;
            let goes_on = depth < DEPTH && state.budget > 0 && !state.is_healed;
            (goes_on, state.chance.below(3))
        };
        if !goes_on {
            return;
        }
        self.actor(who, |actor| actor.depth += 1);
        for _ in 0..count {
            acts::within(self, who, client);
        }
        self.actor(who, |actor| actor.depth -= 1);
    }

    /// Tells the program of its connection.
    pub(crate) fn listen(&self, who: usize, client: &mut Client) {
        let sim = self.clone();
        client.on_connection_event(move |client, event| sim.heard(who, client, &event));
    }

    fn heard(&self, who: usize, client: &mut Client, event: &ConnectionEvent) {
        self.tell_of(who, || match event {
            ConnectionEvent::Blocked(reason) => format!("is blocked: {reason}"),
            ConnectionEvent::Unblocked => "is not blocked any more".into(),
            ConnectionEvent::Lost(error) => format!("has lost its connection: {error}"),
            ConnectionEvent::GivenUp(error) => format!("has lost its connection for good: {error}"),
            event => format!("{event:?}"),
        });
        judge::event(self, who, event);
        if self.percent(10) {
            self.actor(who, |actor| actor.is_told = true);
            self.act_within(who, client);
            self.actor(who, |actor| {
                actor.is_told = false;
                // What it has settled meanwhile may have been lost meanwhile.
                actor.losses += 1;
            });
        }
    }
}
