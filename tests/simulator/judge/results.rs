//! Every promise has one result, and it is one that may come of what was asked for.

use std::time::Duration;

use puka::{CancelledBy, Client, Error, Result};

use super::super::actor::{Entry, Kind};
use super::super::answer::Value;
use super::super::ledger::Claim;
use super::super::names::FULL;
use super::super::sim::Sim;
use super::super::world;
use super::{INNOCENTS, ONE_RESULT, deliveries, heartbeats, holds, innocents};

/// A promise gave something.
pub(crate) fn result(
    sim: &Sim,
    who: usize,
    client: &mut Client,
    number: u64,
    result: Result<Value>,
) {
    let entry = sim.actor(who, |actor| actor.promises.get(&number).cloned());
    let Some(entry) = entry else {
        return holds(false, ONE_RESULT, || {
            format!("c{who}: #{number} is nobody's, and gave {result:?}")
        });
    };
    sim.tell_of(who, || match &result {
        Ok(Value::Delivery(delivery)) => format!(
            "#{number} gives message {:?} of {:?}, tag {}, redelivered: {}",
            delivery.properties.message_id(),
            delivery.consumer_tag,
            delivery.delivery_tag(),
            delivery.redelivered
        ),
        Ok(Value::Connected(connected)) => format!("#{number}: connected to {connected}"),
        Ok(value) => format!("#{number}: {value:?}"),
        Err(error) => format!("#{number} fails: {error}"),
    });
    holds(!entry.is_done, ONE_RESULT, || {
        format!(
            "c{who}: #{number} ({}) gives once more: {result:?}",
            entry.asked.text
        )
    });
    if !matches!(result, Ok(Value::Delivery(_))) {
        sim.actor(who, |actor| {
            if let Some(entry) = actor.promises.get_mut(&number) {
                entry.is_done = true;
                entry.has_failed = result.is_err();
            }
        });
    }
    heartbeats::none_is_missed(sim);
    match result {
        Ok(value) => succeeded(sim, who, client, number, &entry, value),
        Err(error) => failed(sim, who, client, number, &entry, &error),
    }
}

/// Without confirms a broker that refuses a message says nothing.
pub(super) fn is_dropped(sim: &Sim, id: u64) -> bool {
    let state = sim.state();
    let sent = state.ledger.get(id);
    sent.is_some_and(|sent| !sent.is_confirmed && sent.routing_key == FULL)
}

fn claim(sim: &Sim, entry: &Entry, claim: Claim) {
    if let Kind::Publish(id) = entry.asked.kind
        && let Some(sent) = sim.state().ledger.get_mut(id)
    {
        sent.claim = claim;
    }
}

fn succeeded(sim: &Sim, who: usize, client: &mut Client, number: u64, entry: &Entry, value: Value) {
    let asked = &entry.asked;
    holds(
        !asked.is_deadly || asked.kind == Kind::Consumer,
        INNOCENTS,
        || {
            format!(
                "c{who}: #{number} ({}) succeeded, and the broker dies of it",
                asked.text
            )
        },
    );
    match (asked.kind, value) {
        (Kind::Publish(id), Value::Done) => {
            claim(sim, entry, Claim::Taken);
            let taken = world::taken(sim, id);
            holds(taken.count > 0 || is_dropped(sim, id), ONE_RESULT, || {
                format!(
                    "c{who}: #{number} ({}) succeeded, and the broker does not have it",
                    asked.text
                )
            });
        }
        (Kind::Rpc(id), Value::Response(response)) => {
            let body = sim
                .state()
                .ledger
                .get(id)
                .map(|sent| sent.message.body.clone());
            holds(body.as_ref() == Some(&response.body), ONE_RESULT, || {
                format!("c{who}: #{number}: a reply to another request")
            });
        }
        (Kind::Plain, Value::Queue(ok)) if ok.queue.starts_with("amq.gen-") => {
            sim.actor(who, |actor| actor.made.push(ok.queue.to_string()));
        }
        (Kind::Plain, Value::Got(Some(delivery))) => {
            deliveries::got(sim, who, client, asked, delivery);
        }
        (Kind::Consumer, Value::Delivery(delivery)) => {
            deliveries::delivered(sim, who, client, number, delivery);
        }
        (Kind::Publish(_) | Kind::Rpc(_) | Kind::Consumer, value) => {
            holds(false, ONE_RESULT, || {
                format!("c{who}: #{number} ({}): {value:?}", asked.text)
            });
        }
        _ => {}
    }
}

fn failed(sim: &Sim, who: usize, client: &Client, number: u64, entry: &Entry, error: &Error) {
    let asked = &entry.asked;
    let told = || format!("c{who}: #{number} ({}): {error}", asked.text);
    let cause = innocents::cause(error);
    if let Some(reply) = cause.reply() {
        holds(reply.from_broker, ONE_RESULT, || {
            format!("{}: the broker is blamed", told())
        });
        if innocents::ends_the_connection(reply.code) {
            return ended(sim, who, entry, error, reply.code, &told);
        }
    }
    match (asked.kind, error) {
        (Kind::Publish(_), error) => publish_failed(sim, who, entry, error, &told),
        (_, error)
            if error
                .reply()
                .is_some_and(|reply| innocents::is_of(asked, reply)) => {}
        (_, error) if error.reply().is_some() => {
            // The login of a host that differs, say.
            let is_login = asked.kind == Kind::Connect || !client.is_active();
            holds(is_login, INNOCENTS, || {
                format!("{}: no such error may come of it", told())
            });
        }
        (Kind::Rpc(id), Error::NoRoute(returned)) => {
            let sent = sim.state().ledger.get(id).cloned();
            holds(
                sent.is_some_and(|sent| sent.message.body == returned.body),
                ONE_RESULT,
                told,
            );
        }
        (Kind::Rpc(_), Error::NoReply(_)) => {}
        (Kind::Consumer, Error::Cancelled(cancelled)) => {
            let is_cancelled = sim.actor(who, |actor| {
                actor
                    .consumers
                    .get(&number)
                    .is_some_and(|it| it.is_cancelled)
            });
            holds(
                is_cancelled || cancelled.by == CancelledBy::Broker,
                ONE_RESULT,
                || format!("{}, and the program has not cancelled it", told()),
            );
        }
        // The consumer had ended, or cannot have more.
        (Kind::OfConsumer(consumer), Error::UnknownPromise(id)) => {
            holds(id.number() == consumer, ONE_RESULT, told);
        }
        (Kind::OfConsumer(_), Error::Cancelled(_)) => {}
        (Kind::Connect, Error::AlreadyConnected) => holds(entry.was_active, ONE_RESULT, told),
        (_, Error::InvalidArgument(_)) => holds(asked.is_odd, ONE_RESULT, told),
        (_, error) => lost(sim, who, entry, error, &told),
    }
}

/// A word of the broker's that ends the connection.
fn ended(
    sim: &Sim,
    who: usize,
    entry: &Entry,
    error: &Error,
    code: u16,
    told: &dyn Fn() -> String,
) {
    let (recovers, is_closing, deaths) = sim.actor(who, |actor| {
        let is_over = actor.closes > 0 || actor.has_given_up;
        (actor.chosen.recovers, is_over, actor.deaths)
    });
    let asked = &entry.asked;
    if let Kind::Publish(_) = asked.kind {
        let is_told_well = matches!(error, Error::NotSent(_) | Error::OutcomeUnknown(_));
        holds(is_told_well || asked.is_deadly, ONE_RESULT, told);
        unsure(sim, who, entry, error, told);
    }
    // An operator who closes it, too, does what was asked for.
    holds(asked.kind != Kind::Close || code != 320, ONE_RESULT, told);
    let was_hit = had_trouble(sim, who);
    holds(was_hit, INNOCENTS, || {
        format!("{}, and nobody has closed it", told())
    });
    if code != 320 && !world::is_login(code) {
        holds(deaths > 0, INNOCENTS, || {
            format!("{}, and nobody has asked for that", told())
        });
        let may = innocents::may_suffer(asked, recovers, is_closing);
        holds(may, INNOCENTS, || {
            format!("{}: it suffers for another", told())
        });
    }
}

/// Something has happened to its connection: also that the program was away, and a handshake, or the end, took too long.
fn had_trouble(sim: &Sim, who: usize) -> bool {
    let now = sim.now();
    sim.actor(who, |actor| {
        // Half of the shortest limit, all together: it may have been away again and again.
        let away: Duration = actor.absences.iter().map(|(_, absence)| *absence).sum();
        actor.troubles > 0 || away + now.saturating_sub(actor.seen) >= Duration::from_secs(1)
    })
}

/// What may befall anything whose connection is lost, or closed, or was never there.
fn lost(sim: &Sim, who: usize, entry: &Entry, error: &Error, told: &dyn Fn() -> String) {
    let (closes, few) = sim.actor(who, |actor| (actor.closes, actor.chosen.channel_max > 0));
    let does = match error {
        Error::ConnectionBroken(_) | Error::UnsupportedProtocol(_) => had_trouble(sim, who),
        Error::NoMechanism { .. } => had_trouble(sim, who),
        Error::Closed => closes > 0,
        Error::NotConnected => !entry.was_active || had_trouble(sim, who) || closes > 0,
        Error::NoFreeChannel(_) => few || world::has_few_channels(&sim.broker),
        _ => false,
    };
    holds(does, INNOCENTS, || {
        format!("{}: nothing has happened that says so", told())
    });
}

fn publish_failed(sim: &Sim, who: usize, entry: &Entry, error: &Error, told: &dyn Fn() -> String) {
    let asked = &entry.asked;
    let Kind::Publish(id) = asked.kind else {
        return;
    };
    let sent = sim.state().ledger.get(id).cloned();
    let Some(sent) = sent else { return };
    match error {
        Error::NotSent(_) | Error::OutcomeUnknown(_) => unsure(sim, who, entry, error, told),
        Error::NoRoute(returned) => {
            claim(sim, entry, Claim::NoRoute);
            let is_it = sent.message.body == returned.body
                && sent.message.properties == returned.properties
                && *sent.exchange == *returned.exchange
                && *sent.routing_key == *returned.routing_key;
            holds(sent.message.mandatory && is_it, ONE_RESULT, || {
                format!("{}, and what came back is another: {returned:?}", told())
            });
        }
        Error::Nacked => claim(sim, entry, Claim::Nacked),
        Error::InvalidArgument(_) => holds(asked.is_odd, ONE_RESULT, told),
        error => {
            claim(sim, entry, Claim::Refused);
            let is_its = error
                .reply()
                .is_some_and(|reply| innocents::is_of(asked, reply));
            holds(is_its, INNOCENTS, || {
                format!("{}: that is not of this publish", told())
            });
        }
    }
}

/// Not sent, or unknown: both have a cause; and unknown is only what the protocol leaves unknown.
fn unsure(sim: &Sim, who: usize, entry: &Entry, error: &Error, told: &dyn Fn() -> String) {
    let (closes, refusals, resends, blocked) = sim.actor(who, |actor| {
        let chosen = &actor.chosen;
        (
            actor.closes,
            actor.refusals,
            chosen.resends,
            chosen.blocked_timeout.is_some(),
        )
    });
    let has_lost = sim.actor(who, |actor| actor.troubles > entry.troubles) || had_trouble(sim, who);
    let cause = innocents::cause(error);
    let is_refusal = cause
        .reply()
        .is_some_and(|reply| !innocents::ends_the_connection(reply.code));
    let does = match error {
        Error::OutcomeUnknown(_) => {
            claim(sim, entry, Claim::Unknown);
            match cause {
                Error::Closed => closes > 0,
                Error::Blocked(_) => blocked,
                // Of several that may be meant, this is one; or it was published again.
                Error::NoRoute(_) | Error::Nacked => has_lost,
                _ if is_refusal => refusals > 0 || has_lost,
                _ => has_lost,
            }
        }
        Error::NotSent(_) => {
            claim(sim, entry, Claim::NotSent);
            match cause {
                Error::Closed => closes > 0,
                Error::Blocked(_) => blocked,
                Error::NotConnected => !entry.was_active || has_lost || closes > 0,
                Error::UnreadDeliveries(_) => true,
                _ if is_refusal => !resends && refusals > 0,
                _ => has_lost,
            }
        }
        _ => {
            claim(sim, entry, Claim::Unknown);
            entry.asked.is_deadly
        }
    };
    holds(does, ONE_RESULT, || {
        format!("{}: nothing has happened that says so", told())
    });
}
