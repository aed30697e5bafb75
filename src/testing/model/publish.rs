//! A message comes in.

use super::Model;
use super::arguments::{LONGEST, Overflow};
use super::consume::REPLY_TO;
use super::dead_letter::{DeadLetter, Reason};
use super::queue::Stored;
use super::refusal::{Outcome, Refusal};
use super::request::{Caller, ConsumerKey, Event, Message, Publish, Published, PublishedView};
use super::resource::{Resource, type_name};
use super::rights::{Actor, Right};
use super::vhost::copied_to;
use crate::wire::FieldValue;

impl Model {
    pub(crate) fn publish(
        &mut self,
        caller: Caller<'_>,
        publish: Publish<'_>,
    ) -> Outcome<Published> {
        let actor = self.actor(caller)?;
        self.check_publish(&actor, &publish)?;
        let mut properties = publish.properties;
        let keys = |name: &str| {
            copied_to(&properties.headers, name).ok_or_else(|| {
                let value = properties.headers.get(name).unwrap_or(FieldValue::Void);
                let text = format!(
                    "invalid message: {{unacceptable_type_in_header,\"{name}\",{}}}",
                    type_name(&value)
                );
                Refusal::channel(406, text)
            })
        };
        let (copies, hidden_keys) = (keys("CC")?, keys("BCC")?);
        properties.headers.remove("BCC");
        if let Some(queue) = self.reply_queue(&actor, properties.reply_to())? {
            properties.set_reply_to(&queue);
        }
        let message = Message {
            exchange: publish.exchange.to_owned(),
            routing_key: publish.routing_key.to_owned(),
            properties,
            body: publish.body,
        };
        if publish.is_confirmed && self.takes_nack() {
            return Ok(Published {
                is_routed: true,
                is_accepted: false,
            });
        }
        let mut keys = vec![message.routing_key.clone()];
        keys.extend(copies);
        keys.extend(hidden_keys.iter().cloned());
        let published = self.route(&actor, message.clone(), &keys, hidden_keys)?;
        if published.is_accepted {
            self.published.push(PublishedView {
                vhost: actor.vhost,
                message,
                is_routed: published.is_routed,
                at: self.now,
            });
        }
        self.follow_up();
        Ok(published)
    }

    /// Whether one of those that are asked for is due; then it is one less.
    fn takes_nack(&mut self) -> bool {
        let left = self.to_nack.checked_sub(1);
        self.to_nack = left.unwrap_or(0);
        left.is_some()
    }

    fn check_publish(&mut self, actor: &Actor, publish: &Publish<'_>) -> Outcome<()> {
        if publish.immediate {
            return Err(Refusal::connection(540, "immediate=true"));
        }
        let (size, max) = (publish.body.len() as u64, self.settings.max_message_size);
        if size > max {
            let text = format!("message size {size} is larger than configured max size {max}");
            return Err(Refusal::channel(406, text));
        }
        let resource = Resource::exchange(&actor.vhost, publish.exchange);
        self.check(actor, Right::Write, resource)?;
        if !publish.exchange.is_empty() {
            let exchange = self.vhost(actor)?.exchanges.get(publish.exchange);
            let exchange = exchange.ok_or_else(|| resource.not_found())?;
            // An operator's message is a test's, which may come from where it wants.
            if exchange.internal && actor.channel.is_some() {
                let text = format!("cannot publish to internal {resource}");
                return Err(Refusal::channel(403, text));
            }
        }
        check_user(actor, publish.properties.user_id())?;
        check_expiration(publish.properties.expiration())
    }

    /// The queue that replies will come from, if the publisher wants them straight.
    fn reply_queue(&self, actor: &Actor, reply_to: Option<&str>) -> Outcome<Option<String>> {
        let Some(key) = actor.channel.filter(|_| reply_to == Some(REPLY_TO)) else {
            return Ok(None);
        };
        let channel = self.channels.get(&key);
        let replies = channel.and_then(|channel| channel.replies.as_ref());
        match replies {
            Some(replies) => Ok(Some(replies.queue.clone())),
            None => {
                let text = "fast reply consumer does not exist";
                Err(Refusal::channel(406, text))
            }
        }
    }

    fn route(
        &mut self,
        actor: &Actor,
        message: Message,
        keys: &[String],
        hidden_keys: Vec<String>,
    ) -> Outcome<Published> {
        if message.exchange.is_empty() {
            for key in keys {
                self.reply(key, &message);
            }
        }
        let now = self.now;
        let vhost = self.vhost(actor)?;
        let queues = vhost.route(&message.exchange, keys, &message.properties.headers);
        let is_routed = !queues.is_empty();
        let mut is_accepted = true;
        for name in queues {
            let Some(queue) = self.vhost(actor)?.queues.get_mut(&name) else {
                continue;
            };
            let stored = Stored::new(message.clone(), hidden_keys.clone());
            if queue.refuses(&message) {
                is_accepted = false;
                if queue.settings.overflow == Overflow::RejectPublishDlx {
                    let dead = DeadLetter::new(&actor.vhost, &name, queue, stored, Reason::MaxLen);
                    self.dead.extend(dead);
                }
            } else {
                queue.push(stored, now);
                self.changed.insert((actor.vhost.clone(), name));
            }
        }
        Ok(Published {
            is_routed,
            is_accepted,
        })
    }

    /// A reply goes straight to the channel that waits for it. RabbitMQ does not call it routed, before 4.2.
    fn reply(&mut self, queue: &str, message: &Message) {
        let Some((channel, tag)) = self.reply_consumer(queue) else {
            return;
        };
        let Ok(it) = self.channel(channel) else {
            return;
        };
        it.last_tag += 1;
        let delivery_tag = it.last_tag;
        self.events.push(Event::Deliver {
            consumer: ConsumerKey { channel, tag },
            delivery_tag,
            redelivered: false,
            message: message.clone(),
        });
    }

    /// The next `n` messages on channels that confirm are refused (`Published::is_accepted` false).
    pub(crate) fn nack_next(&mut self, n: u32) {
        self.to_nack = n;
    }
}

fn check_user(actor: &Actor, claimed: Option<&str>) -> Outcome<()> {
    match (claimed, actor.user()) {
        (Some(claimed), Some(user)) if claimed != user => {
            let text =
                format!("user_id property set to '{claimed}' but authenticated user was '{user}'");
            Err(Refusal::channel(406, text))
        }
        _ => Ok(()),
    }
}

/// Milliseconds, as for queues.
fn check_expiration(expiration: Option<&str>) -> Outcome<()> {
    let Some(text) = expiration else {
        return Ok(());
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|char: char| !char.is_ascii_digit());
    let (number, rest) =
        text.split_at(end.map_or(text.len(), |end| text.len() - digits.len() + end));
    let why = match number.parse::<i64>() {
        Err(_) => "no_integer".to_owned(),
        Ok(_) if !rest.is_empty() => format!("{{leftover_string,\"{rest}\"}}"),
        Ok(number) if number < 0 => format!("{{value_negative,{number}}}"),
        Ok(number) if number > LONGEST as i64 => format!("{{value_too_large,{number}}}"),
        Ok(_) => return Ok(()),
    };
    let text = format!("invalid expiration '{text}': {why}");
    Err(Refusal::channel(406, text))
}
