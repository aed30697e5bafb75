//! Declarations, bindings, deletions.

use puka::{
    Client, ExchangeBind, ExchangeDeclare, ExchangeDelete, QueueBind, QueueDeclare, QueueDelete,
};

use super::super::actor::{Asked, Kind};
use super::super::names::{
    CALM, DEADLY, EXCHANGES, FLEETING, OWN, SELF_DELETED, TEMPORARY, WILD, names_of_fixed, shape_of,
};
use super::super::sim::Sim;
use super::follow;

pub(crate) fn request(sim: &Sim, who: usize, client: &mut Client) {
    match sim.chance(|chance| chance.below(100)) {
        0..30 => declare(sim, who, client),
        30..36 => delete(sim, who, client),
        36..41 => purge(sim, who, client),
        41..60 => bind(sim, who, client),
        60..66 => unbind(sim, who, client),
        66..82 => declare_exchange(sim, who, client),
        82..88 => delete_exchange(sim, who, client),
        _ => bind_exchange(sim, who, client),
    }
}

fn declare(sim: &Sim, who: usize, client: &mut Client) {
    let (name, declare) = sim.chance(|chance| match chance.below(10) {
        0 => (
            String::new(),
            QueueDeclare::server_named().exclusive(chance.percent(70)),
        ),
        1..4 => {
            let mut names = names_of_fixed();
            names.extend([OWN, TEMPORARY, FLEETING]);
            let name = chance.pick(&names);
            (name.into(), shape_of(name))
        }
        _ => {
            let name = chance.pick(WILD);
            let declare = QueueDeclare::new(name).durable(chance.percent(85));
            (name.into(), declare)
        }
    });
    let passive = !name.is_empty() && sim.percent(15);
    let declare = declare.passive(passive);
    let text = format!("queue_declare({name:?}), passive: {passive}");
    let asked = Asked::new(Kind::Plain, &["queue.declare"], text)
        .names(&[&name])
        .refusals(&[404, 405, 406])
        .repeatable();
    let promise = sim.ask(who, client, asked, |client| client.queue_declare(declare));
    follow(sim, who, client, promise);
}

fn delete(sim: &Sim, who: usize, client: &mut Client) {
    let (name, if_unused, if_empty) = sim.chance(|chance| {
        let name = if chance.percent(10) {
            FLEETING
        } else {
            chance.pick(WILD)
        };
        (name, chance.percent(20), chance.percent(20))
    });
    let text = format!("queue_delete({name:?}), if_unused: {if_unused}, if_empty: {if_empty}");
    let asked = Asked::new(Kind::Plain, &["queue.delete"], text)
        .names(&[name])
        .refusals(&[405, 406]);
    let delete = QueueDelete::new(name)
        .if_unused(if_unused)
        .if_empty(if_empty);
    let promise = sim.ask(who, client, asked, |client| client.queue_delete(delete));
    follow(sim, who, client, promise);
}

fn purge(sim: &Sim, who: usize, client: &mut Client) {
    let name = sim.chance(|chance| chance.pick(WILD));
    let asked = Asked::new(
        Kind::Plain,
        &["queue.purge"],
        format!("queue_purge({name:?})"),
    )
    .names(&[name])
    .refusals(&[404, 405]);
    let promise = sim.ask(who, client, asked, |client| client.queue_purge(name));
    follow(sim, who, client, promise);
}

fn some_queue(sim: &Sim, who: usize) -> String {
    let made = sim.actor(who, |actor| actor.made.clone());
    sim.chance(|chance| match chance.below(10) {
        0 => chance.pick(CALM).into(),
        1 => chance.one(made).unwrap_or_else(|| OWN.into()),
        2 => chance.pick(&[OWN, TEMPORARY]).into(),
        _ => chance.pick(WILD).into(),
    })
}

fn bind(sim: &Sim, who: usize, client: &mut Client) {
    let queue = some_queue(sim, who);
    let exchange = sim.chance(|chance| chance.pick(&[EXCHANGES, &["amq.fanout"]].concat()));
    let asked = Asked::new(
        Kind::Plain,
        &["queue.bind"],
        format!("queue_bind({queue:?}, {exchange:?})"),
    )
    .names(&[&queue, exchange])
    .refusals(&[404, 405])
    .repeatable();
    let bind = QueueBind::new(queue, exchange).routing_key("k");
    let promise = sim.ask(who, client, asked, |client| client.queue_bind(bind));
    follow(sim, who, client, promise);
}

fn unbind(sim: &Sim, who: usize, client: &mut Client) {
    let queue = some_queue(sim, who);
    let exchange = sim.chance(|chance| chance.pick(EXCHANGES));
    let text = format!("queue_unbind({queue:?}, {exchange:?})");
    let asked = Asked::new(Kind::Plain, &["queue.unbind"], text)
        .names(&[&queue, exchange])
        .refusals(&[404, 405])
        .repeatable();
    let unbind = QueueBind::new(queue, exchange).routing_key("k");
    let promise = sim.ask(who, client, asked, |client| client.queue_unbind(unbind));
    follow(sim, who, client, promise);
}

fn declare_exchange(sim: &Sim, who: usize, client: &mut Client) {
    let (name, kind, passive) = sim.chance(|chance| {
        let kind = if chance.percent(80) {
            "fanout"
        } else {
            "direct"
        };
        (chance.pick(EXCHANGES), kind, chance.percent(20))
    });
    let text = format!("exchange_declare({name:?}, {kind}), passive: {passive}");
    let asked = Asked::new(Kind::Plain, &["exchange.declare"], text)
        .names(&[name])
        .refusals(&[404, 406])
        .repeatable();
    let declare = ExchangeDeclare::with_kind(name, kind).passive(passive);
    let promise = sim.ask(who, client, asked, |client| {
        client.exchange_declare(declare)
    });
    follow(sim, who, client, promise);
}

fn delete_exchange(sim: &Sim, who: usize, client: &mut Client) {
    let (name, if_unused) = sim.chance(|chance| (chance.pick(EXCHANGES), chance.percent(20)));
    let text = format!("exchange_delete({name:?}), if_unused: {if_unused}");
    let asked = Asked::new(Kind::Plain, &["exchange.delete"], text)
        .names(&[name])
        .refusals(&[406]);
    let delete = ExchangeDelete::new(name).if_unused(if_unused);
    let promise = sim.ask(who, client, asked, |client| client.exchange_delete(delete));
    follow(sim, who, client, promise);
}

fn bind_exchange(sim: &Sim, who: usize, client: &mut Client) {
    let (destination, source, binds) = sim.chance(|chance| {
        let (one, other) = (chance.pick(EXCHANGES), chance.pick(EXCHANGES));
        (one, other, chance.percent(70))
    });
    let bind = ExchangeBind::new(destination, source).routing_key("k");
    let (name, methods): (_, &'static [&'static str]) = if binds {
        ("exchange_bind", &["exchange.bind"])
    } else {
        ("exchange_unbind", &["exchange.unbind"])
    };
    let asked = Asked::new(
        Kind::Plain,
        methods,
        format!("{name}({destination:?}, {source:?})"),
    )
    .names(&[destination, source])
    .refusals(&[404])
    .repeatable();
    let promise = sim.ask(who, client, asked, |client| match binds {
        true => client.exchange_bind(bind),
        false => client.exchange_unbind(bind),
    });
    follow(sim, who, client, promise);
}

/// What goes by itself, in some order.
pub(crate) fn fan_out(sim: &Sim, who: usize, client: &mut Client) {
    let queue = sim.chance(|chance| chance.pick(&[OWN, TEMPORARY]));
    match sim.chance(|chance| chance.below(5)) {
        0 => {
            let asked = Asked::new(
                Kind::Plain,
                &["exchange.declare"],
                format!("exchange_declare({SELF_DELETED:?}), auto_delete"),
            )
            .names(&[SELF_DELETED])
            .refusals(&[406])
            .repeatable();
            let declare = ExchangeDeclare::fanout(SELF_DELETED).auto_delete(true);
            let promise = sim.ask(who, client, asked, |client| {
                client.exchange_declare(declare)
            });
            follow(sim, who, client, promise);
        }
        1 => {
            let asked = Asked::new(
                Kind::Plain,
                &["queue.declare"],
                format!("queue_declare({queue:?})"),
            )
            .names(&[queue])
            .refusals(&[405, 406])
            .repeatable();
            let declare = shape_of(queue);
            let promise = sim.ask(who, client, asked, |client| client.queue_declare(declare));
            follow(sim, who, client, promise);
        }
        2 | 3 => {
            let asked = Asked::new(
                Kind::Plain,
                &["queue.bind"],
                format!("queue_bind({queue:?}, {SELF_DELETED:?})"),
            )
            .names(&[queue, SELF_DELETED])
            .refusals(&[404, 405])
            .repeatable();
            let bind = QueueBind::new(queue, SELF_DELETED);
            let promise = sim.ask(who, client, asked, |client| client.queue_bind(bind));
            follow(sim, who, client, promise);
        }
        _ => super::consume::consume_of(sim, who, client, &[queue]),
    }
}

/// Asks for something that ends the connection.
pub(crate) fn die(sim: &Sim, who: usize, client: &mut Client) {
    if sim.percent(40) {
        return;
    }
    let (name, how) = sim.chance(|chance| (chance.pick(DEADLY), chance.below(4)));
    sim.trouble(who);
    match how {
        0 => {
            let asked = Asked::new(
                Kind::Plain,
                &["queue.declare"],
                format!("queue_declare({name:?})"),
            )
            .names(&[name])
            .repeatable()
            .deadly(true);
            let promise = sim.ask(who, client, asked, |client| client.queue_declare(name));
            follow(sim, who, client, promise);
        }
        1 => {
            let asked = Asked::new(
                Kind::Plain,
                &["exchange.declare"],
                format!("exchange_declare({name:?})"),
            )
            .names(&[name])
            .repeatable()
            .deadly(true);
            let promise = sim.ask(who, client, asked, |client| client.exchange_declare(name));
            follow(sim, who, client, promise);
        }
        2 => super::consume::consume_of(sim, who, client, &[name]),
        _ => super::publish::publish_deadly(sim, who, client, name),
    }
}
