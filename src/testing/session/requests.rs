//! What a channel asks for: each method's question to the model, and its answer.

use super::confirms::Confirms;
use super::fault::{Fault, name, table};
use super::{Session, Turn};
use crate::testing::model::{Bind, Caller, Consume, ExchangeDeclare, QueueDeclare, Refusal};
use crate::wire::{self, Method, WireMethod};

impl Session {
    pub(super) fn call(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &Method<'_>,
    ) -> Result<(), Fault> {
        turn.troubles.meet(method)?;
        match method.id().0 {
            20 => self.call_channel(turn, number, method),
            40 => self.call_exchange(turn, number, method),
            50 => self.call_queue(turn, number, method),
            60 => self.call_basic(turn, number, method),
            90 => self.refuse_transactions(number),
            _ => match method {
                Method::AccessRequest(_) => {
                    self.say(number, &wire::AccessRequestOk { reserved_1: 1 })
                }
                Method::ConfirmSelect(select) => {
                    if let Some(channel) = self.channels.get_mut(&number) {
                        channel.confirms.get_or_insert_with(Confirms::default);
                    }
                    self.reply(number, select.no_wait, &wire::ConfirmSelectOk {})
                }
                _ => Err(unimplemented()),
            },
        }
    }

    fn refuse_transactions(&self, number: u16) -> Result<(), Fault> {
        let channel = self.channels.get(&number);
        if channel.is_some_and(|channel| channel.confirms.is_some()) {
            let text = "cannot switch from confirm to tx mode";
            return Err(Refusal::channel(406, text).into());
        }
        Err(Refusal::unsupported("transactions").into())
    }

    fn call_channel(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &Method<'_>,
    ) -> Result<(), Fault> {
        match method {
            Method::ChannelClose(_) => self.client_closes_channel(turn, number),
            Method::ChannelOpen(_) => Err(Fault::connection(504, "second 'channel.open' seen")),
            Method::ChannelFlow(wire::ChannelFlow { active: true }) => {
                self.say(number, &wire::ChannelFlowOk { active: true })
            }
            Method::ChannelFlow(_) => Err(Fault::connection(540, "active=false")),
            _ => Err(unimplemented()),
        }
    }

    fn call_exchange(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &Method<'_>,
    ) -> Result<(), Fault> {
        let caller = Caller::Channel(self.key(number));
        match method {
            Method::ExchangeDeclare(declare) => {
                let request = ExchangeDeclare {
                    exchange: name(declare.exchange)?,
                    kind: name(declare.kind)?,
                    passive: declare.passive,
                    durable: declare.durable,
                    auto_delete: declare.auto_delete,
                    internal: declare.internal,
                    arguments: table(declare.arguments)?,
                };
                turn.model.declare_exchange(caller, request)?;
                self.reply(number, declare.no_wait, &wire::ExchangeDeclareOk {})
            }
            Method::ExchangeDelete(delete) => {
                let exchange = name(delete.exchange)?;
                turn.model
                    .delete_exchange(caller, exchange, delete.if_unused)?;
                self.reply(number, delete.no_wait, &wire::ExchangeDeleteOk {})
            }
            Method::ExchangeBind(bind) => {
                let ends = (bind.source, bind.destination, bind.routing_key);
                let request = binding(ends, bind.arguments)?;
                turn.model.bind_exchange(caller, request)?;
                self.reply(number, bind.no_wait, &wire::ExchangeBindOk {})
            }
            Method::ExchangeUnbind(unbind) => {
                let ends = (unbind.source, unbind.destination, unbind.routing_key);
                let request = binding(ends, unbind.arguments)?;
                turn.model.unbind_exchange(caller, request)?;
                self.reply(number, unbind.no_wait, &wire::ExchangeUnbindOk {})
            }
            _ => Err(unimplemented()),
        }
    }

    fn call_queue(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &Method<'_>,
    ) -> Result<(), Fault> {
        let caller = Caller::Channel(self.key(number));
        match method {
            Method::QueueDeclare(declare) => self.declare_queue(turn, number, declare),
            Method::QueueDelete(delete) => {
                let queue = name(delete.queue)?;
                let (if_unused, if_empty) = (delete.if_unused, delete.if_empty);
                let message_count = turn
                    .model
                    .delete_queue(caller, queue, if_unused, if_empty)?;
                self.reply(
                    number,
                    delete.no_wait,
                    &wire::QueueDeleteOk { message_count },
                )
            }
            Method::QueuePurge(purge) => {
                let message_count = turn.model.purge_queue(caller, name(purge.queue)?)?;
                self.reply(number, purge.no_wait, &wire::QueuePurgeOk { message_count })
            }
            Method::QueueBind(bind) => {
                let ends = (bind.exchange, bind.queue, bind.routing_key);
                let request = binding(ends, bind.arguments)?;
                turn.model.bind_queue(caller, request)?;
                self.reply(number, bind.no_wait, &wire::QueueBindOk {})
            }
            Method::QueueUnbind(unbind) => {
                let ends = (unbind.exchange, unbind.queue, unbind.routing_key);
                let request = binding(ends, unbind.arguments)?;
                turn.model.unbind_queue(caller, request)?;
                self.say(number, &wire::QueueUnbindOk {})
            }
            _ => Err(unimplemented()),
        }
    }

    fn declare_queue(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        declare: &wire::QueueDeclare<'_>,
    ) -> Result<(), Fault> {
        let caller = Caller::Channel(self.key(number));
        let request = QueueDeclare {
            queue: name(declare.queue)?,
            passive: declare.passive,
            durable: declare.durable,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            arguments: table(declare.arguments)?,
        };
        let declared = turn.model.declare_queue(caller, request)?;
        let ok = wire::QueueDeclareOk {
            queue: declared.queue.as_bytes(),
            message_count: declared.messages,
            consumer_count: declared.consumers,
        };
        self.reply(number, declare.no_wait, &ok)
    }

    fn call_basic(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &Method<'_>,
    ) -> Result<(), Fault> {
        let key = self.key(number);
        let model = &mut *turn.model;
        match method {
            Method::BasicQos(qos) => {
                model.qos(key, qos.prefetch_size, qos.prefetch_count, qos.global)?;
                self.say(number, &wire::BasicQosOk {})
            }
            Method::BasicConsume(consume) => self.consume(turn, number, consume),
            Method::BasicCancel(cancel) => {
                model.cancel(key, name(cancel.consumer_tag)?);
                let consumer_tag = cancel.consumer_tag;
                self.reply(
                    number,
                    cancel.no_wait,
                    &wire::BasicCancelOk { consumer_tag },
                )
            }
            Method::BasicGet(get) => self.get(turn, number, get),
            Method::BasicAck(ack) => Ok(model.ack(key, ack.delivery_tag, ack.multiple)?),
            Method::BasicReject(reject) => {
                Ok(model.nack(key, reject.delivery_tag, false, reject.requeue)?)
            }
            Method::BasicNack(nack) => {
                Ok(model.nack(key, nack.delivery_tag, nack.multiple, nack.requeue)?)
            }
            Method::BasicRecover(recover) => {
                model.recover(key, recover.requeue)?;
                self.say(number, &wire::BasicRecoverOk {})
            }
            Method::BasicRecoverAsync(recover) => Ok(model.recover(key, recover.requeue)?),
            _ => Err(unimplemented()),
        }
    }

    fn consume(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        consume: &wire::BasicConsume<'_>,
    ) -> Result<(), Fault> {
        let request = Consume {
            queue: name(consume.queue)?,
            tag: name(consume.consumer_tag)?,
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            arguments: table(consume.arguments)?,
        };
        let tag = turn.model.consume(self.key(number), request)?;
        let consumer_tag = tag.as_bytes();
        self.reply(
            number,
            consume.no_wait,
            &wire::BasicConsumeOk { consumer_tag },
        )
    }

    fn get(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        get: &wire::BasicGet<'_>,
    ) -> Result<(), Fault> {
        let caller = Caller::Channel(self.key(number));
        let Some(got) = turn.model.get(caller, name(get.queue)?, get.no_ack)? else {
            return self.say(number, &wire::BasicGetEmpty::default());
        };
        let message = &got.message;
        let ok = wire::BasicGetOk {
            delivery_tag: got.delivery_tag,
            redelivered: got.redelivered,
            exchange: message.exchange.as_bytes(),
            routing_key: message.routing_key.as_bytes(),
            message_count: got.message_count,
        };
        self.say_content(turn, number, &ok, &message.properties, &message.body)
    }

    fn reply(&mut self, number: u16, no_wait: bool, method: &impl WireMethod) -> Result<(), Fault> {
        if no_wait {
            return Ok(());
        }
        self.say(number, method)
    }
}

fn binding<'a>(
    (source, destination, routing_key): (&'a [u8], &'a [u8], &'a [u8]),
    arguments: &[u8],
) -> Result<Bind<'a>, Fault> {
    Ok(Bind {
        source: name(source)?,
        destination: name(destination)?,
        routing_key: name(routing_key)?,
        arguments: table(arguments)?,
    })
}

/// A method that no client may send.
fn unimplemented() -> Fault {
    Fault::connection(503, "unimplemented method")
}
