//! Consumers, what is asked of them, and `basic_get`.

use puka::{Client, Consume, ConsumeMulti, Get, Promise};

use super::super::actor::{Asked, Consumer, Kind};
use super::super::answer::Any;
use super::super::names::{
    CALM, DEAD, DEADLY, FULL, MORTAL, OWN, QUORUM, SERVICE, SHORT, SINGLE, TEMPORARY, WILD,
};
use super::super::sim::Sim;
use super::{follow, waits};

const CONSUMED: &[&str] = &[
    CALM[0], CALM[0], CALM[1], CALM[1], WILD[0], WILD[1], WILD[2], FULL, SHORT, MORTAL, DEAD,
    QUORUM, SINGLE, SINGLE, OWN, TEMPORARY, SERVICE,
];

pub(crate) fn consume(sim: &Sim, who: usize, client: &mut Client) {
    let (first, second) = sim.chance(|chance| {
        let second = chance.percent(25).then(|| chance.pick(CONSUMED));
        (chance.pick(CONSUMED), second)
    });
    let queues: Vec<&str> = [first].into_iter().chain(second).collect();
    consume_of(sim, who, client, &queues);
}

pub(crate) fn consume_of(sim: &Sim, who: usize, client: &mut Client, queues: &[&str]) {
    let (prefetch, no_ack, exclusive) = sim.chance(|chance| {
        let prefetch = chance.pick(&[0, 1, 2, 3, 10]);
        (prefetch, chance.percent(15), chance.percent(12))
    });
    let no_ack = no_ack && !queues.contains(&CALM[1]);
    let text = format!(
        "basic_consume({queues:?}), prefetch: {prefetch}, no_ack: {no_ack}, exclusive: {exclusive}"
    );
    let consumers = queues
        .iter()
        .map(|&queue| Consume::new(queue).exclusive(exclusive));
    let consume = ConsumeMulti::new(consumers)
        .prefetch_count(prefetch)
        .no_ack(no_ack);
    let is_deadly = queues.iter().any(|queue| DEADLY.contains(queue));
    let asked = Asked::new(Kind::Consumer, CONSUMES, text)
        .names(queues)
        .refusals(&[403, 404, 405])
        .repeatable()
        .deadly(is_deadly);
    let promise = sim.ask(who, client, asked, |client| {
        client.basic_consume_multi(consume)
    });
    let consumer = Consumer {
        queues: queues.iter().map(|&queue| queue.into()).collect(),
        no_ack,
        ..Consumer::default()
    };
    sim.actor(who, |actor| {
        actor.consumers.insert(promise.number(), consumer)
    });
    match sim.chance(|chance| chance.below(10)) {
        0..6 => sim.call_back(who, client, promise),
        6 => waits::wait_for(sim, who, client, Any::Delivery(promise)),
        _ => {}
    }
}

pub(crate) fn get(sim: &Sim, who: usize, client: &mut Client) {
    let (queue, no_ack) = sim.chance(|chance| (chance.pick(CONSUMED), chance.percent(25)));
    let no_ack = no_ack && queue != CALM[1];
    let text = format!("basic_get({queue:?}), no_ack: {no_ack}");
    let asked = Asked::new(Kind::Plain, &["basic.get"], text)
        .names(&[queue])
        .refusals(&[404, 405]);
    let get = Get::new(queue).no_ack(no_ack);
    let promise = sim.ask(who, client, asked, |client| client.basic_get(get));
    follow(sim, who, client, promise);
}

/// What a consumer is made of; after a loss its queue is declared again, too.
const CONSUMES: &[&str] = &["basic.consume", "basic.qos", "queue.declare"];

/// Some consumer that has not ended, or one that has.
fn some_consumer(sim: &Sim, who: usize) -> Option<(Promise<puka::Delivery>, Vec<String>)> {
    let mut state = sim.state();
    let state = &mut *state;
    let actor = &state.actors[who];
    let live: Vec<u64> = actor.live_consumers().map(|(number, _)| number).collect();
    let all: Vec<u64> = actor.consumers.keys().copied().collect();
    let from = if state.chance.percent(90) { live } else { all };
    let number = state.chance.one(from)?;
    match actor.promises.get(&number)?.any {
        Any::Delivery(promise) => Some((promise, actor.consumers[&number].queues.clone())),
        _ => None,
    }
}

/// The last of a consumer: `basic_cancel`.
pub(crate) fn cancel(sim: &Sim, who: usize, client: &mut Client) {
    let Some((consumer, queues)) = some_consumer(sim, who) else {
        return;
    };
    let number = consumer.number();
    let asked = of(number, &queues, format!("basic_cancel(#{number})"));
    note(sim, who, number, |consumer| consumer.is_cancelled = true);
    let promise = sim.ask(who, client, asked, |client| client.basic_cancel(consumer));
    follow(sim, who, client, promise);
}

fn of(number: u64, queues: &[String], text: String) -> Asked {
    const METHODS: &[&str] = &[
        "basic.cancel",
        "basic.consume",
        "basic.qos",
        "basic.recover",
    ];
    let names: Vec<&str> = queues.iter().map(String::as_str).collect();
    Asked::new(Kind::OfConsumer(number), METHODS, text)
        .names(&names)
        .refusals(&[403, 404, 405])
        .odd(true)
}

fn note(sim: &Sim, who: usize, number: u64, of: impl FnOnce(&mut Consumer)) {
    sim.actor(who, |actor| {
        if let Some(consumer) = actor.consumers.get_mut(&number) {
            of(consumer);
        }
    });
}

pub(crate) fn of_consumer(sim: &Sim, who: usize, client: &mut Client) {
    let how = sim.chance(|chance| chance.below(6));
    if how < 3 {
        return cancel(sim, who, client);
    }
    let Some((consumer, queues)) = some_consumer(sim, who) else {
        return;
    };
    let number = consumer.number();
    // Of what is replaced, or asked for again, tags go by that the program never sees.
    note(sim, who, number, |consumer| consumer.may_skip = true);
    if how == 3 {
        let asked = of(number, &queues, format!("basic_recover(#{number})"));
        let promise = sim.ask(who, client, asked, |client| client.basic_recover(consumer));
        follow(sim, who, client, promise);
    } else {
        let prefetch = sim.chance(|chance| chance.below(5) as u16);
        let asked = of(number, &queues, format!("basic_qos(#{number}, {prefetch})"));
        let promise = sim.ask(who, client, asked, |client| {
            client.basic_qos(consumer, prefetch)
        });
        follow(sim, who, client, promise);
    }
}
