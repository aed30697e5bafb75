//! The beginning and the end of a connection, work between calls, other threads, and what makes no sense.

use std::time::Duration;

use puka::{Client, Error};

use super::super::actor::{Asked, Kind};
use super::super::answer::Any;
use super::super::judge;
use super::super::sim::Sim;
use super::super::world;
use super::{act, follow, waits};

pub(crate) fn connect(sim: &Sim, who: usize, client: &mut Client) {
    sim.actor(who, |actor| actor.connects += 1);
    let asked = Asked::new(Kind::Connect, &[], "connect".into());
    let promise = sim.ask(who, client, asked, Client::connect);
    if sim.percent(70) {
        waits::wait_for(sim, who, client, Any::Connected(promise));
    } else {
        sim.call_back(who, client, promise);
    }
}

pub(crate) fn close(sim: &Sim, who: usize, client: &mut Client) {
    sim.actor(who, |actor| actor.closes += 1);
    let asked = Asked::new(Kind::Close, &[], "close".into());
    let promise = sim.ask(who, client, asked, Client::close);
    follow(sim, who, client, promise);
}

pub(crate) fn update_secret(sim: &Sim, who: usize, client: &mut Client) {
    let asked = Asked::new(
        Kind::UpdateSecret,
        &["connection.update-secret"],
        "update_secret".into(),
    );
    let promise = sim.ask(who, client, asked, |client| {
        client.update_secret("guest", "a test")
    });
    follow(sim, who, client, promise);
}

/// The program computes, and the client does nothing: for a moment, or for longer than a broker waits for a heartbeat.
pub(crate) fn work(sim: &Sim, who: usize) {
    let time = sim.chance(|chance| match chance.below(10) {
        0..5 => Duration::from_micros(chance.below(2000) as u64),
        5..9 => Duration::from_millis(chance.below(700) as u64),
        _ => Duration::from_millis(chance.below(200_000) as u64),
    });
    sim.tell_of(who, || format!("works for {time:?}"));
    sim.broker.advance(time);
    let now = sim.now();
    let mut state = sim.state();
    // In a callback it is away within a call, and so are all that are in that call.
    if state.actors[who].depth > 0 {
        state.actors[who].works.push((now, time));
        for actor in &mut state.actors {
            actor.absences.push((now, time));
        }
        state.actors[who].seen = now;
    }
}

/// Another thread has something to say.
pub(crate) fn from_another_thread(sim: &Sim, who: usize, client: &mut Client) {
    let Ok(handle) = client.handle() else {
        return judge::holds(false, judge::ONE_RESULT, || "no handle".into());
    };
    let (at, breaks) = sim.chance(|chance| {
        let at = Duration::from_millis(chance.below(3000) as u64);
        (at, chance.percent(30))
    });
    sim.tell_of(who, || {
        format!("in {at:?} another thread has something to do, and breaks: {breaks}")
    });
    let within = sim.clone();
    world::after(&sim.broker, at, move || {
        // The client may be gone by then.
        let job = within.clone();
        let _ = handle.run(move |client| {
            job.tell_of(who, || "a job of another thread's".into());
            job.act_within(who, client);
        });
        if breaks {
            let _ = handle.loop_break();
        }
    });
}

/// What a confused program does: each has an answer of its own, and does no harm.
pub(crate) fn nonsense(sim: &Sim, who: usize, client: &mut Client) {
    match sim.chance(|chance| chance.below(8)) {
        0 => connect(sim, who, client),
        1 => {
            let done = sim.actor(who, |actor| {
                let done = actor.promises.values().filter(|entry| entry.is_done);
                done.map(|entry| entry.any).collect::<Vec<_>>()
            });
            if let Some(any) = sim.chance(|chance| chance.one(done)) {
                waits::wait_at_most(sim, who, client, any, None);
            }
        }
        2 => {
            let result = client.wait_ready(&[]);
            judge::holds(
                matches!(result, Err(Error::InvalidArgument(_))),
                judge::ONE_RESULT,
                || format!("c{who}: wait_ready of nothing gave {result:?}"),
            );
        }
        3 => {
            let asked = Asked::new(Kind::Plain, &[], "basic_get(\"\")".into()).odd(true);
            let promise = sim.ask(who, client, asked, |client| client.basic_get(""));
            follow(sim, who, client, promise);
        }
        4 => {
            sim.tell_of(who, || "on_read, on_write, on_timeout for nothing".into());
            client.on_read();
            client.on_write();
            client.on_timeout();
        }
        5 => update_secret(sim, who, client),
        6 => from_another_thread(sim, who, client),
        _ => {
            client.loop_break();
            act(sim, who, client);
        }
    }
}
