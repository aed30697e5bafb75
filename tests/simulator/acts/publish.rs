//! Publishes, and requests to other programs.

use std::collections::BTreeMap;
use std::time::Duration;

use puka::{Client, Message};

use super::super::actor::{Asked, Kind};
use super::super::chance::Chance;
use super::super::ledger::{Claim, Sent, body_of};
use super::super::names::{
    CALM, EXCHANGES, FULL, INTERNAL, MORTAL, OWN, QUORUM, SELF_DELETED, SERVICE, SHORT, SINGLE,
    TEMPORARY, WILD,
};
use super::super::sim::Sim;
use super::follow;

/// What is to be published, and what the judge must know of it.
struct Plan {
    exchange: String,
    routing_key: String,
    message: Message,
    refusals: &'static [u16],
    is_deadly: bool,
}

fn body(chance: &mut Chance, id: u64) -> Vec<u8> {
    let len = match chance.below(20) {
        0 => 0,
        1 => 4096 + chance.below(60_000),
        2..4 => 1 + chance.below(5000),
        _ => 1 + chance.below(60),
    };
    body_of(id, len)
}

fn message(chance: &mut Chance, id: u64) -> Message {
    let mut message = Message::new(body(chance, id))
        .message_id(id.to_string())
        .mandatory(chance.percent(30));
    if chance.percent(60) {
        message = message.persistent();
    }
    if chance.percent(15) {
        message = message
            .content_type("text/plain")
            .header("attempt", 1)
            .header("text", "a header");
    }
    message
}

fn plan(chance: &mut Chance, made: Option<String>, id: u64) -> Plan {
    let mut message = message(chance, id);
    let (exchange, routing_key, refusals): (String, String, &'static [u16]) = match chance.below(60)
    {
        0..12 => ("".into(), chance.pick(CALM).into(), &[]),
        12..26 => ("".into(), chance.pick(WILD).into(), &[]),
        26..34 => {
            let all = [FULL, SHORT, MORTAL, QUORUM, SINGLE, OWN, TEMPORARY];
            ("".into(), chance.pick(&all).into(), &[])
        }
        34..37 => ("".into(), made.unwrap_or_else(|| CALM[0].into()), &[]),
        37..54 => {
            let all = [EXCHANGES, &["amq.fanout", SELF_DELETED]].concat();
            (chance.pick(&all).into(), "k".into(), &[404])
        }
        54..56 => (INTERNAL.into(), "k".into(), &[403]),
        56..58 => (format!("missing-{}", chance.below(100)), "k".into(), &[404]),
        _ => {
            message = message.expiration("soon");
            ("".into(), chance.pick(CALM).into(), &[406])
        }
    };
    if refusals.is_empty() && chance.percent(4) {
        message = message.expiration("1000");
    }
    Plan {
        exchange,
        routing_key,
        message,
        refusals,
        is_deadly: false,
    }
}

fn send(sim: &Sim, who: usize, client: &mut Client, id: u64, plan: Plan) -> puka::Promise<()> {
    let Plan {
        exchange,
        routing_key,
        message,
        refusals,
        is_deadly,
    } = plan;
    {
        let mut state = sim.state();
        state.figures.publishes += 1;
        state.actors[who].refusals += u32::from(!refusals.is_empty());
        let sent = Sent {
            by: who,
            recovers: state.actors[who].chosen.recovers,
            is_confirmed: state.actors[who].chosen.pubacks != Some(false),
            message: message.clone(),
            exchange: exchange.clone(),
            routing_key: routing_key.clone(),
            claim: Claim::Open,
            seen: BTreeMap::new(),
        };
        state.ledger.add(id, sent);
    }
    let text = format!(
        "basic_publish({exchange:?}, {routing_key:?}) of message {id}, {} bytes, mandatory: {}",
        message.body.len(),
        message.mandatory
    );
    let asked = Asked::new(Kind::Publish(id), &["basic.publish"], text)
        .names(&[&exchange])
        .refusals(refusals)
        .repeatable()
        .deadly(is_deadly);
    sim.ask(who, client, asked, |client| {
        client.basic_publish(exchange, routing_key, message)
    })
}

pub(crate) fn publish(sim: &Sim, who: usize, client: &mut Client) {
    let id = sim.state().ledger.number();
    let made = sim.actor(who, |actor| actor.made.last().cloned());
    let plan = sim.chance(|chance| plan(chance, made, id));
    let promise = send(sim, who, client, id, plan);
    follow(sim, who, client, promise);
}

/// So many that those behind several refused ones wait in line, or that they fill a mark.
pub(crate) fn publish_many(sim: &Sim, who: usize, client: &mut Client) {
    let count = sim.chance(|chance| 20 + chance.below(150));
    let mut promises = Vec::new();
    for _ in 0..count {
        let id = sim.state().ledger.number();
        let plan = sim.chance(|chance| plan(chance, None, id));
        promises.push(send(sim, who, client, id, plan));
    }
    if sim.percent(40) {
        super::waits::wait_for_all(sim, who, client, &promises);
    }
}

/// One that ends the connection.
pub(crate) fn publish_deadly(sim: &Sim, who: usize, client: &mut Client, name: &str) {
    let id = sim.state().ledger.number();
    let message = Message::new(body_of(id, 10))
        .message_id(id.to_string())
        .correlation_id(name);
    let plan = Plan {
        exchange: String::new(),
        routing_key: CALM[0].into(),
        message,
        refusals: &[],
        is_deadly: true,
    };
    let promise = send(sim, who, client, id, plan);
    follow(sim, who, client, promise);
}

/// A request to another program: somebody may serve it, or nobody.
pub(crate) fn rpc(sim: &Sim, who: usize, client: &mut Client) {
    let id = sim.state().ledger.number();
    let (body, key, exchange, timeout) = sim.chance(|chance| {
        let key = if chance.percent(70) {
            SERVICE
        } else {
            "nobody"
        };
        let exchange = if chance.percent(10) {
            "missing-rpc"
        } else {
            ""
        };
        (
            body_of(id, chance.below(200)),
            key,
            exchange,
            Duration::from_secs(chance.below(20) as u64),
        )
    });
    let message = Message::new(body).message_id(id.to_string());
    sim.state().ledger.add(
        id,
        Sent {
            by: who,
            recovers: false,
            is_confirmed: true,
            message: message.clone(),
            exchange: exchange.into(),
            routing_key: key.into(),
            claim: Claim::Open,
            seen: BTreeMap::new(),
        },
    );
    let text = format!("call_timeout({exchange:?}, {key:?}, {timeout:?}) of message {id}");
    let asked = Asked::new(Kind::Rpc(id), &["basic.publish"], text)
        .names(&[exchange])
        .refusals(if exchange.is_empty() { &[] } else { &[404] });
    let promise = sim.ask(who, client, asked, |client| {
        client.call_timeout(exchange, key, message, timeout)
    });
    follow(sim, who, client, promise);
}
