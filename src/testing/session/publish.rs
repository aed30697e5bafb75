//! `basic.publish`: the message goes to the model, and what became of it to the client.

use super::channel::Partial;
use super::confirms::Fate;
use super::fault::{Fault, is_finite};
use super::{CONFIRM_DELAY, Session, Turn};
use crate::testing::model::{Caller, Publish, Published};
use crate::wire::{self, Properties, check_table};

impl Session {
    pub(super) fn publish(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        publish: Partial,
    ) -> Result<(), Fault> {
        let Partial {
            exchange,
            routing_key,
            mandatory,
            header,
            ..
        } = publish;
        let properties = header.properties;
        if let Some(id) = properties.correlation_id() {
            turn.troubles.die_of(id)?;
        }
        let headers = properties.headers();
        // RabbitMQ's channel dies of what it cannot read.
        if check_table(headers.encoded()).is_err() || !is_finite(headers) {
            return Err(Fault::internal());
        }
        let channel = self.channels.get(&number);
        let is_confirmed = channel.is_some_and(|channel| channel.confirms.is_some());
        let body = publish.body.freeze();
        let published = turn.model.publish(
            Caller::Channel(self.key(number)),
            Publish {
                exchange: &exchange,
                routing_key: &routing_key,
                immediate: publish.immediate,
                is_confirmed,
                properties: properties.clone(),
                body: body.clone(),
            },
        )?;
        let is_returned = mandatory && !published.is_routed;
        if is_returned {
            self.return_message(turn, number, (&exchange, &routing_key), &properties, &body)?;
        }
        self.note(turn, number, published, is_returned);
        Ok(())
    }

    /// Keeps the confirm, if there is to be one.
    fn note(&mut self, turn: &mut Turn<'_>, number: u16, published: Published, is_returned: bool) {
        let channel = self.channels.get_mut(&number);
        let Some(confirms) = channel.and_then(|channel| channel.confirms.as_mut()) else {
            return;
        };
        confirms.publish(Fate {
            is_accepted: published.is_accepted,
            // What goes to no queue waits for none.
            is_late: published.is_routed && turn.chance.percent(15),
        });
        // The confirm follows the return, with all that is ready; others may wait for each other.
        if is_returned || turn.chance.percent(50) {
            self.send_confirms_of(turn, number, false);
        }
    }

    /// `basic.return`, which comes before the confirm.
    fn return_message(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        (exchange, routing_key): (&str, &str),
        properties: &Properties,
        body: &[u8],
    ) -> Result<(), Fault> {
        let method = wire::BasicReturn {
            reply_code: 312,
            reply_text: b"NO_ROUTE",
            exchange: exchange.as_bytes(),
            routing_key: routing_key.as_bytes(),
        };
        self.say_content(turn, number, &method, properties, body)
    }

    /// Sends the confirms that are ready, on all channels; those that are late will not be so for long.
    pub(in crate::testing) fn send_confirms(&mut self, turn: &mut Turn<'_>, all: bool) {
        let waits = |channel: &super::Channel| {
            let confirms = channel.confirms.as_ref();
            confirms.is_some_and(|confirms| !confirms.is_empty())
        };
        let waiting = self.channels.iter().filter(|(_, channel)| waits(channel));
        let numbers: Vec<u16> = waiting.map(|(&number, _)| number).collect();
        for number in numbers {
            self.send_confirms_of(turn, number, all);
        }
        let is_any = self.channels.values().any(waits);
        self.confirm_at = is_any.then(|| self.confirm_at.unwrap_or(turn.now + CONFIRM_DELAY));
    }

    fn send_confirms_of(&mut self, turn: &mut Turn<'_>, number: u16, all: bool) {
        let channel = self.channels.get_mut(&number);
        let Some(confirms) = channel.and_then(|channel| channel.confirms.as_mut()) else {
            return;
        };
        let confirms = if all {
            confirms.take_all(turn.chance)
        } else {
            confirms.take_ready(turn.chance)
        };
        for confirm in confirms {
            let (delivery_tag, multiple) = (confirm.tag, confirm.multiple);
            let said = if confirm.is_accepted {
                self.say(
                    number,
                    &wire::BasicAck {
                        delivery_tag,
                        multiple,
                    },
                )
            } else {
                let requeue = false;
                self.say(
                    number,
                    &wire::BasicNack {
                        delivery_tag,
                        multiple,
                        requeue,
                    },
                )
            };
            debug_assert!(said.is_ok());
        }
    }
}
