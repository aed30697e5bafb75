//! A whole life: clients are made, live, and are closed; what the main programs do, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use puka::{Client, Handle};

use super::actor::{Actor, Kind};
use super::acts::{self, life, settle, waits};
use super::answer::Any;
use super::judge::{self, NO_ENDLESS_WAIT, ONE_RESULT, holds};
use super::options::Chosen;
use super::sim::Sim;
use super::{trouble, world};

/// What kind of program it is: how often each step comes.
type Steps = &'static [(usize, Step)];

#[derive(Debug, Clone, Copy)]
enum Step {
    Act,
    Wait,
    /// All clients in one loop.
    Together,
    /// A loop that only another thread ends.
    Forever,
    Embed,
    Work,
    Trouble,
    Connect,
    Close,
    Drop,
    SettleAll,
}

const MIXED: Steps = &[
    (50, Step::Act),
    (18, Step::Wait),
    (4, Step::Together),
    (3, Step::Forever),
    (4, Step::Embed),
    (5, Step::Work),
    (9, Step::Trouble),
    (4, Step::Connect),
    (1, Step::Close),
    (1, Step::Drop),
    (2, Step::SettleAll),
];
const SCRIPT: Steps = &[
    (60, Step::Act),
    (30, Step::Wait),
    (6, Step::Work),
    (6, Step::Trouble),
    (4, Step::Connect),
    (1, Step::Close),
    (3, Step::SettleAll),
];
const LOOPS: Steps = &[
    (30, Step::Act),
    (20, Step::Together),
    (8, Step::Forever),
    (8, Step::Trouble),
    (4, Step::Connect),
    (3, Step::Work),
];
const EMBEDDED: Steps = &[
    (40, Step::Act),
    (30, Step::Embed),
    (6, Step::Trouble),
    (4, Step::Connect),
    (4, Step::Work),
];

/// Lives one life.
pub(crate) fn live(sim: &Sim) {
    let (count, steps) = sim.chance(|chance| {
        let count = chance.weighted(&[(60, 1), (30, 2), (10, 3)]);
        (
            count,
            chance.weighted(&[(50, MIXED), (20, SCRIPT), (15, LOOPS), (15, EMBEDDED)]),
        )
    });
    let mut clients: Vec<Client> = (0..count).map(|who| born(sim, who)).collect();
    for (who, client) in clients.iter_mut().enumerate() {
        life::connect(sim, who, client);
    }
    // What does nothing costs nothing, and is not done for ever.
    for _ in 0..1000 {
        if sim.state().budget == 0 {
            break;
        }
        step(sim, &mut clients, steps);
    }
    end(sim, &mut clients);
}

/// A client, with a program that knows nothing yet.
fn born(sim: &Sim, who: usize) -> Client {
    let (name, chosen) = {
        let mut state = sim.state();
        let chosen = Chosen::new(&mut state.chance);
        let lives = state.actors.get(who).map_or(0, |actor| actor.lives + 1);
        let mut actor = Actor::new(format!("c{who}-{lives}"), chosen.clone());
        if let Some(before) = state.actors.get(who) {
            actor.lives = lives;
            actor.troubles = before.troubles + 1;
            actor.refusals = before.refusals;
            actor.losses = before.losses;
            actor.connects = before.connects;
        }
        let name = actor.name.clone();
        if who == state.actors.len() {
            state.actors.push(actor);
        } else {
            state.actors[who] = actor;
        }
        (name, chosen)
    };
    sim.tell_of(who, || format!("is made: {chosen:?}"));
    let now = sim.now();
    sim.actor(who, |actor| actor.seen = now);
    let mut client = world::client(sim, chosen.options(&name), chosen.several_hosts);
    // Whoever recovers hears of it, so that one knows when.
    if chosen.recovers || sim.percent(50) {
        sim.listen(who, &mut client);
    }
    client
}

fn step(sim: &Sim, clients: &mut [Client], steps: Steps) {
    let (who, step) = sim.chance(|chance| (chance.below(clients.len()), chance.weighted(steps)));
    let client = &mut clients[who];
    match step {
        Step::Act => acts::act(sim, who, client),
        Step::Wait => waits::wait(sim, who, client),
        Step::Together => together(sim, clients),
        Step::Forever => forever(sim, who, client),
        Step::Embed => acts::embed::embed(sim, who, client),
        Step::Work => life::work(sim, who),
        Step::Trouble => trouble::trouble(sim, who),
        Step::Connect if !client.is_active() => life::connect(sim, who, client),
        Step::Connect => {}
        Step::Close => life::close(sim, who, client),
        Step::Drop => {
            sim.tell_of(who, || "is dropped".into());
            clients[who] = born(sim, who);
            life::connect(sim, who, &mut clients[who]);
        }
        Step::SettleAll => settle::settle_all(sim, who, client),
    }
}

/// All clients in one loop.
fn together(sim: &Sim, clients: &mut [Client]) {
    let limit = sim.chance(|chance| Duration::from_millis(chance.below(5000) as u64));
    sim.tell(|| format!("all loop together for {limit:?}"));
    let since = sim.now();
    let seen: Vec<Duration> = sim.state().actors.iter().map(|actor| actor.seen).collect();
    for who in 0..clients.len() {
        waits::enter(sim, who);
        sim.actor(who, |actor| actor.depth += 1);
    }
    let mut all: Vec<&mut Client> = clients.iter_mut().collect();
    let result = puka::loop_timeout(&mut all, limit);
    for (who, seen) in seen.into_iter().enumerate() {
        sim.actor(who, |actor| actor.depth -= 1);
        waits::leave(sim, who);
        if result.is_err() {
            // One whose connection is over ends it, and nobody else may have had a turn.
            sim.actor(who, |actor| actor.seen = seen);
        }
    }
    sim.tell(|| format!("their loop ends: {result:?}"));
    for (who, client) in clients.iter().enumerate() {
        judge::step(sim, who, client);
    }
    judge::looped_together(sim, clients, since, limit, &result);
}

/// A loop that another thread ends.
fn forever(sim: &Sim, who: usize, client: &mut Client) {
    let Ok(handle) = client.handle() else { return };
    let after = sim.chance(|chance| Duration::from_millis(chance.below(10_000) as u64));
    let is_over = Arc::new(AtomicBool::new(false));
    break_until(sim, after, handle, is_over.clone());
    sim.tell_of(who, || {
        format!("loop_forever, until another thread ends it in {after:?}")
    });
    let since = sim.now();
    let result = waits::inside(sim, who, client, Client::loop_forever);
    is_over.store(true, Ordering::Relaxed);
    waits::tell_end(sim, who, &result);
    judge::looped(sim, who, client, since, None, &result);
}

/// The other thread says so again and again: a loop in the loop may have taken it.
fn break_until(sim: &Sim, time: Duration, handle: Handle, is_over: Arc<AtomicBool>) {
    let again = sim.clone();
    world::after(&sim.broker, time, move || {
        if !is_over.load(Ordering::Relaxed) {
            let _ = handle.loop_break();
            break_until(&again, Duration::from_secs(1), handle, is_over);
        }
    });
}

/// Everything is well from now on: whatever was asked for comes to an end.
fn end(sim: &Sim, clients: &mut [Client]) {
    sim.tell(|| "all is well from now on".into());
    trouble::heal(sim);
    for (who, client) in clients.iter_mut().enumerate() {
        finish(sim, who, client);
    }
    for (who, client) in clients.iter_mut().enumerate() {
        close(sim, who, client);
    }
    // What was to happen later happens to nobody.
    sim.broker.advance(Duration::from_secs(600));
    for (who, client) in clients.iter_mut().enumerate() {
        client.run_any_callbacks();
        everything_was_told(sim, who, client);
        judge::nothing_is_left(who, client);
    }
    sim.state().figures.hours += sim.now().as_secs_f64() / 3600.0;
    judge::claims_are_true(sim);
    world::nobody_is_connected(sim);
}

/// All that is open comes to an end but consumers.
fn finish(sim: &Sim, who: usize, client: &mut Client) {
    for round in 0.. {
        holds(round < 1000, NO_ENDLESS_WAIT, || {
            format!("c{who} does not come to rest")
        });
        let open: Vec<Any> = sim.actor(who, |actor| {
            actor.open().map(|(_, entry)| entry.any).collect()
        });
        if open.is_empty() {
            return;
        }
        for any in open {
            if !waits::wait_at_most(sim, who, client, any, None) {
                drain(sim, who, client);
            }
        }
    }
}

/// Takes what lies unread, and settles it: it may be in the way.
fn drain(sim: &Sim, who: usize, client: &mut Client) {
    let all: Vec<Any> = sim.actor(who, |actor| {
        let live = actor.live_consumers().map(|(number, _)| number);
        live.map(|number| actor.promises[&number].any).collect()
    });
    for any in all {
        for _ in 0..100 {
            let number = any.id().number();
            let before = sim.state().figures.deliveries;
            waits::wait_at_most(sim, who, client, any, Some(Duration::ZERO));
            let is_done = sim.actor(who, |actor| actor.promises[&number].is_done);
            if is_done || sim.state().figures.deliveries == before {
                break;
            }
        }
    }
    client.run_any_callbacks();
    settle::settle_all(sim, who, client);
}

fn close(sim: &Sim, who: usize, client: &mut Client) {
    if !client.is_active() {
        return sim.actor(who, |actor| actor.losses += 1);
    }
    sim.actor(who, |actor| actor.closes += 1);
    let asked = acts::close_asked();
    let promise = sim.ask(who, client, asked, Client::close);
    for _ in 0..1000 {
        if waits::wait_at_most(sim, who, client, Any::Done(promise), None) {
            break;
        }
        drain(sim, who, client);
    }
    let has_failed = sim.actor(who, |actor| actor.promises[&promise.number()].has_failed);
    if has_failed {
        sim.actor(who, |actor| actor.losses += 1);
    }
    holds(!client.is_active(), NO_ENDLESS_WAIT, || {
        format!("c{who} is closed, and active")
    });
}

/// The connection is over: each promise has come to an end, and a consumer gives what it has, and then its end.
fn everything_was_told(sim: &Sim, who: usize, client: &mut Client) {
    let open: Vec<(u64, Any, Kind)> = sim.actor(who, |actor| {
        let open = actor.promises.iter().filter(|(_, entry)| !entry.is_done);
        open.map(|(&number, entry)| (number, entry.any, entry.asked.kind))
            .collect()
    });
    for (number, any, kind) in open {
        let most = if kind == Kind::Consumer { 100_000 } else { 1 };
        for _ in 0..most {
            waits::wait_at_most(sim, who, client, any, None);
            if sim.actor(who, |actor| actor.promises[&number].is_done) {
                break;
            }
        }
        let is_done = sim.actor(who, |actor| actor.promises[&number].is_done);
        holds(is_done, ONE_RESULT, || {
            let text = sim.actor(who, |actor| actor.promises[&number].asked.text.clone());
            format!("c{who}: all is over, and #{number} ({text}) has no end")
        });
    }
}
