//! What the world does to the programs, by chance: now, or while they wait.

use std::collections::BTreeMap;
use std::time::Duration;

use puka::ExchangeDeclare;
use puka::testing::inside::{self, Death, Direction};

use super::chance::Chance;
use super::ledger::{Claim, Sent, body_of};
use super::names::{
    CALM, DEADLY, EXCHANGES, FULL, MORTAL, QUORUM, SERVICE, SHORT, SINGLE, TEMPORARY, WILD,
    shape_of,
};
use super::sim::Sim;
use super::world;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Cut,
    CutUnnoticed,
    CutAfter,
    Silence,
    Slow,
    Close,
    CloseAll,
    Refuse,
    Hosts,
    Restart,
    Block,
    Nack,
    CancelConsumers,
    DeleteQueue,
    DeclareQueue,
    DeleteExchange,
    DeclareExchange,
    QueueDown,
    Publish,
    Poison,
}

const TROUBLES: &[(usize, Trouble)] = &[
    (10, Trouble::Cut),
    (4, Trouble::CutUnnoticed),
    (8, Trouble::CutAfter),
    (3, Trouble::Silence),
    (3, Trouble::Slow),
    (3, Trouble::Close),
    (1, Trouble::CloseAll),
    (4, Trouble::Refuse),
    (4, Trouble::Hosts),
    (1, Trouble::Restart),
    (5, Trouble::Block),
    (4, Trouble::Nack),
    (4, Trouble::CancelConsumers),
    (6, Trouble::DeleteQueue),
    (4, Trouble::DeclareQueue),
    (5, Trouble::DeleteExchange),
    (6, Trouble::DeclareExchange),
    (3, Trouble::QueueDown),
    (24, Trouble::Publish),
    (2, Trouble::Poison),
];

/// What a broker says of a queue whose node is on its way back.
const COMING_BACK: &[&str] = &[
    "home node 'x' of durable queue is down or inaccessible",
    "queue process is stopped by supervisor",
    "words of another version",
];

/// One of them: at once, or a while later.
pub(crate) fn trouble(sim: &Sim, _: usize) {
    let (trouble, delay) = sim.chance(|chance| {
        let trouble = chance.weighted(TROUBLES);
        let later = chance.percent(50).then(|| some_time(chance, 5000));
        (trouble, later)
    });
    match delay {
        None => happen(sim, trouble),
        Some(delay) => {
            let later = sim.clone();
            world::after(&sim.broker, delay, move || happen(&later, trouble));
        }
    }
}

fn some_time(chance: &mut Chance, most: usize) -> Duration {
    Duration::from_micros(chance.below(most * 1000) as u64)
}

fn happen(sim: &Sim, trouble: Trouble) {
    if sim.state().is_healed {
        return;
    }
    match trouble {
        Trouble::Cut
        | Trouble::CutUnnoticed
        | Trouble::CutAfter
        | Trouble::Silence
        | Trouble::Slow
        | Trouble::Close => of_a_link(sim, trouble),
        Trouble::CloseAll => {
            sim.tell(|| "an operator closes all connections".into());
            sim.trouble_all();
            sim.broker.close_connections(320);
        }
        Trouble::Refuse => refuse(sim),
        Trouble::Hosts => world::change_hosts(sim),
        Trouble::Restart => {
            sim.tell(|| "the broker restarts".into());
            sim.trouble_all();
            sim.state().was_restarted = true;
            sim.broker.restart();
        }
        Trouble::Block => block(sim),
        Trouble::Nack => {
            let count = sim.chance(|chance| 1 + chance.below(3) as u32);
            sim.tell(|| format!("{count} messages will be refused"));
            sim.broker.nack_next(count);
        }
        _ => of_the_queues(sim, trouble),
    }
}

/// What happens to one connection; to one that is being made it happens, too.
fn of_a_link(sim: &Sim, trouble: Trouble) {
    let links = inside::links(&sim.broker);
    let Some((link, name)) = sim.chance(|chance| chance.one(links)) else {
        return;
    };
    let (bytes, time, direction) = sim.chance(|chance| {
        let bytes = match chance.below(3) {
            0 => chance.below(40),
            1 => chance.below(1000),
            _ => chance.below(30_000),
        };
        let all = [Direction::ToBroker, Direction::ToClient, Direction::Either];
        (bytes, some_time(chance, 30_000), chance.pick(&all))
    });
    let is_of = |name: &Option<String>| name.clone().unwrap_or_else(|| "somebody".into());
    sim.tell(|| {
        format!(
            "{trouble:?} of the connection of {}: {bytes} bytes, {time:?}",
            is_of(&name)
        )
    });
    sim.trouble_of(name.as_deref());
    let broker = &sim.broker;
    match trouble {
        Trouble::Cut => inside::cut(broker, link),
        Trouble::CutUnnoticed => {
            sim.hinder(name.as_deref(), time);
            inside::cut_unnoticed(broker, link, time);
        }
        Trouble::CutAfter => inside::cut_after(broker, link, direction, bytes),
        Trouble::Close => inside::close(broker, link, 320, "CONNECTION_FORCED - by an operator"),
        Trouble::Silence => {
            sim.hinder(name.as_deref(), time);
            inside::silence(broker, link);
            let later = broker.clone();
            world::after(broker, time, move || inside::cut(&later, link));
        }
        _ => {
            sim.hinder(name.as_deref(), time);
            inside::slow(broker, link, Some(2000 + bytes as u64));
            let later = broker.clone();
            world::after(broker, time, move || inside::slow(&later, link, None));
        }
    }
}

/// Nobody can connect, for a while.
fn refuse(sim: &Sim) {
    let time = sim.chance(|chance| some_time(chance, 20_000));
    sim.tell(|| format!("nobody can connect for {time:?}"));
    sim.trouble_all();
    sim.broker.refuse_connections();
    let later = sim.broker.clone();
    world::after(&sim.broker, time, move || later.accept_connections());
}

/// An alarm, for a while.
fn block(sim: &Sim) {
    let time = sim.chance(|chance| some_time(chance, 20_000));
    sim.tell(|| format!("the broker takes no messages for {time:?}"));
    sim.trouble_all();
    sim.broker.block("low on memory");
    let later = sim.broker.clone();
    world::after(&sim.broker, time, move || later.unblock());
}

/// What happens to queues and exchanges: by another program, or by themselves.
fn of_the_queues(sim: &Sim, trouble: Trouble) {
    let (queue, exchange, time) = sim.chance(|chance| {
        (
            chance.pick(WILD),
            chance.pick(EXCHANGES),
            some_time(chance, 8000),
        )
    });
    let broker = &sim.broker;
    match trouble {
        Trouble::CancelConsumers => {
            let all = [WILD, CALM, &[QUORUM, SINGLE, TEMPORARY]].concat();
            let queue = sim.chance(|chance| chance.pick(&all));
            sim.tell(|| format!("the consumers of {queue:?} are cancelled"));
            broker.cancel_consumer(queue);
        }
        Trouble::DeleteQueue => {
            let queue = if sim.percent(20) { TEMPORARY } else { queue };
            sim.tell(|| format!("another program deletes {queue:?}"));
            inside::delete_queue(broker, queue);
        }
        Trouble::DeclareQueue => {
            sim.tell(|| {
                format!("another program declares {queue:?}, and binds it to {exchange:?}")
            });
            inside::declare_queue(broker, shape_of(queue));
            inside::declare_exchange(broker, ExchangeDeclare::fanout(exchange));
            inside::bind(broker, queue, exchange, "k");
        }
        Trouble::DeleteExchange => {
            sim.tell(|| format!("another program deletes {exchange:?}"));
            inside::delete_exchange(broker, exchange);
        }
        Trouble::DeclareExchange => {
            let queue = sim.chance(|chance| chance.pick(CALM));
            sim.tell(|| {
                format!("another program declares {exchange:?}, and binds {queue:?} to it")
            });
            inside::declare_exchange(broker, ExchangeDeclare::fanout(exchange));
            inside::bind(broker, queue, exchange, "k");
        }
        Trouble::QueueDown => {
            let queue = sim.chance(|chance| chance.pick(&[WILD, CALM].concat()));
            let text = sim.chance(|chance| chance.pick(COMING_BACK));
            sim.tell(|| format!("the node of {queue:?} is down for {time:?}"));
            sim.trouble_all();
            inside::take_down(broker, queue, text);
            let later = broker.clone();
            world::after(broker, time, move || {
                inside::bring_up(&later, queue);
            });
        }
        Trouble::Publish => publish(sim),
        _ => poison(sim),
    }
}

/// Another program publishes some messages.
fn publish(sim: &Sim) {
    let all = [CALM, WILD, &[FULL, SHORT, MORTAL, QUORUM, SINGLE, SERVICE]].concat();
    let count = sim.chance(|chance| 1 + chance.below(12));
    for _ in 0..count {
        let queue = sim.chance(|chance| chance.pick(&all));
        let id = sim.state().ledger.number();
        let len = sim.chance(|chance| {
            if chance.percent(5) {
                30_000
            } else {
                chance.below(300)
            }
        });
        let message = puka::Message::new(body_of(id, len))
            .message_id(id.to_string())
            .persistent();
        let sent = Sent {
            by: usize::MAX,
            recovers: false,
            is_confirmed: true,
            message: message.clone(),
            exchange: String::new(),
            routing_key: queue.into(),
            claim: Claim::Open,
            seen: BTreeMap::new(),
        };
        sim.state().ledger.add(id, sent);
        // A full queue refuses it.
        let _ = sim.broker.publish("", queue, message);
    }
    sim.tell(|| format!("another program publishes {count} messages"));
}

/// Some names end the connections of those who say them: in another way from now on.
fn poison(sim: &Sim) {
    let (name, death) = sim.chance(|chance| (chance.pick(DEADLY), death(chance)));
    inside::poison(&sim.broker, name, death);
}

fn death(chance: &mut Chance) -> Death {
    let code = chance.pick(&[541, 503, 540]);
    chance.weighted(&[
        (60, Death::Naming(code)),
        (25, Death::NamingNothing(code)),
        (15, Death::Wordless),
    ])
}

/// How it begins.
pub(crate) fn poison_all(sim: &Sim) {
    for name in DEADLY {
        let death = sim.chance(death);
        inside::poison(&sim.broker, name, death);
    }
}

/// All troubles are over.
pub(crate) fn heal(sim: &Sim) {
    sim.state().is_healed = true;
    let broker = &sim.broker;
    broker.accept_connections();
    broker.unblock();
    broker.nack_next(0);
    for queue in [WILD, CALM].concat() {
        inside::bring_up(broker, queue);
    }
    world::heal_hosts(sim);
    for (link, _) in inside::links(broker) {
        inside::slow(broker, link, None);
    }
}
