//! A delivery is what was published, comes in order, and says whether it came before; what is settled stays settled.

use puka::{Client, Delivery, Error, Result};

use super::super::actor::{Actor, Asked, Held};
use super::super::acts::settle::is_excused;
use super::super::names::DEAD;
use super::super::sim::Sim;
use super::super::world;
use super::{ONE_RESULT, holds};

/// `basic_get` gave a message.
pub(super) fn got(sim: &Sim, who: usize, client: &Client, asked: &Asked, delivery: Delivery) {
    let queue = asked.names[0].clone();
    let no_ack = asked.text.ends_with("no_ack: true");
    let is_stale = client.is_stale(&delivery);
    let how = How {
        no_ack,
        is_stale,
        is_shaky: false,
    };
    take(sim, who, queue, how, delivery);
}

/// A consumer gave one.
pub(super) fn delivered(sim: &Sim, who: usize, client: &Client, number: u64, delivery: Delivery) {
    let tag = delivery.consumer_tag.to_string();
    let mut parts = tag.split(['.', '~']);
    let promise = parts.next().and_then(|part| part.parse::<u64>().ok());
    let index = parts.next().and_then(|part| part.parse::<usize>().ok());
    holds(
        promise == Some(number) && delivery.promise().number() == number,
        ONE_RESULT,
        || format!("c{who}: #{number} gives what is for {tag}"),
    );
    let is_stale = client.is_stale(&delivery);
    let tag = delivery.delivery_tag();
    let checked = sim.actor(who, |actor| {
        let mark = actor.chosen.unread_mark;
        let (losses, troubles) = (actor.losses, actor.troubles);
        let consumer = actor.consumers.get_mut(&number)?;
        let queue = consumer.queues.get(index?)?.clone();
        // Another channel counts from 1; what was dropped for a mark comes again.
        let is_next = match consumer.last {
            // Its channel may have been another's.
            None => true,
            Some(last) => tag <= last + 1,
        };
        // After a loss it is on another channel, or on several, one after another, until all its queues are there.
        let is_elsewhere = losses != consumer.losses || troubles > 0 && consumer.queues.len() > 1;
        consumer.losses = losses;
        let may_skip =
            is_elsewhere || consumer.may_skip || consumer.is_cancelled || mark < 1024 * 1024;
        consumer.last = Some(tag);
        Some((
            queue,
            consumer.queues.len() > 1,
            consumer.no_ack,
            is_next || may_skip || is_stale,
        ))
    });
    let Some((queue, is_shaky, no_ack, is_in_order)) = checked else {
        return holds(false, ONE_RESULT, || {
            format!("c{who}: #{number} is no consumer of that: {delivery:?}")
        });
    };
    holds(is_in_order, ONE_RESULT, || {
        format!("c{who}: #{number} has missed a delivery: it gives tag {tag}")
    });
    let how = How {
        no_ack,
        is_stale,
        is_shaky,
    };
    take(sim, who, queue, how, delivery);
}

/// How a delivery came.
struct How {
    no_ack: bool,
    is_stale: bool,
    is_shaky: bool,
}

/// A delivery that is stale came long ago, and its message may have come again since, and be gone.
fn take(sim: &Sim, who: usize, queue: String, how: How, delivery: Delivery) {
    let How {
        no_ack,
        is_stale,
        is_shaky,
    } = how;
    sim.state().figures.deliveries += 1;
    let id = delivery
        .properties
        .message_id()
        .and_then(|id| id.parse::<u64>().ok());
    let told = || format!("c{who}: {queue:?} gave {delivery:?}");
    let sent = id.and_then(|id| sim.state().ledger.get(id).cloned());
    let (Some(id), Some(sent)) = (id, sent) else {
        return holds(false, ONE_RESULT, || {
            format!("{}, which nobody has sent", told())
        });
    };
    holds(delivery.body == sent.message.body, ONE_RESULT, || {
        format!("{}, and its body was another", told())
    });
    // A request to another program has an address for the reply.
    let is_request = sent.message.properties.reply_to() != delivery.properties.reply_to();
    let is_as_sent = !is_request
        && ["x-death", "x-delivery-count"]
            .iter()
            .all(|name| delivery.header(name).is_none());
    if is_as_sent {
        let is_it = delivery.properties == world::as_delivered(&sent.message)
            && *delivery.exchange == *sent.exchange
            && *delivery.routing_key == *sent.routing_key;
        holds(is_it, ONE_RESULT, || {
            format!("{}, and was sent as {:?}", told(), sent.message)
        });
    }
    let copies = world::taken(sim, id).count;
    let was_restarted = world::was_restarted(sim);
    let mut state = sim.state();
    let state = &mut *state;
    let breaks: Vec<u32> = state.actors.iter().map(Actor::breaks).collect();
    let Some(seen) = state.ledger.seen(id, &queue) else {
        return;
    };
    let is_unaware = state.actors[who].is_unaware();
    let is_one =
        !is_stale && !is_shaky && !is_unaware && copies == 1 && queue != DEAD && !was_restarted;
    let is_gone = seen
        .done_by
        .iter()
        .any(|&(by, before)| breaks[by] == before);
    let problem = if is_one && seen.deliveries > 0 && !delivery.redelivered {
        Some("it came before, and it is not marked")
    } else if is_one && is_gone {
        Some("somebody was done with it")
    } else {
        None
    };
    seen.deliveries += 1;
    if no_ack {
        seen.done += 1;
    }
    let told = problem.map(|problem| format!("{}: {problem}", told()));
    if !no_ack {
        let message = Some(id);
        state.actors[who].held.push(Held {
            delivery,
            queue,
            message,
            is_shaky,
        });
    }
    if let Some(told) = told {
        holds(false, ONE_RESULT, || told);
    }
}

/// The program has settled a delivery, or tried to.
pub(crate) fn settlement(
    sim: &Sim,
    who: usize,
    client: &Client,
    (promise, tag): (u64, u64),
    was_stale: bool,
    result: &Result<()>,
) {
    let Err(error) = result else { return };
    sim.tell_of(who, || format!("that fails: {error}"));
    let told = || format!("c{who}: delivery {tag} of #{promise}: {error}");
    holds(was_stale, ONE_RESULT, || {
        format!("{}, and it was not stale", told())
    });
    let is_loss =
        !client.is_active() && !matches!(error, Error::NoAck(_) | Error::ForeignPromise(_));
    holds(is_excused(error) || is_loss, ONE_RESULT, told);
}
