//! Names of queues that the broker made, and that are others after each declaration: where an old one is used, the new one is
//! meant.

use std::collections::{BTreeMap, HashMap};

use crate::connection::recovery::step::Step;
use crate::connection::request::Request;
use crate::types::message::Message;
use crate::wire::{Properties, ShortStr};

#[derive(Debug, Default)]
pub(crate) struct Names {
    /// From every name that the broker made to the one it has now.
    renamed: HashMap<ShortStr, ShortStr>,
    /// The other way round.
    former: HashMap<ShortStr, Vec<ShortStr>>,
    /// New names that the program has not been told of, and those that it knows.
    untold: BTreeMap<ShortStr, ShortStr>,
}

impl Names {
    /// The broker made another name for a queue.
    pub(crate) fn rename(&mut self, old: &ShortStr, new: ShortStr) {
        let known = self.untold.remove(old).unwrap_or_else(|| old.clone());
        self.untold.insert(new.clone(), known);
        let mut former = self.former.remove(old).unwrap_or_default();
        former.push(old.clone());
        for name in &former {
            self.renamed.insert(name.clone(), new.clone());
        }
        self.former.insert(new, former);
    }

    /// Names that the program knows, and the new ones that it has yet to be told of.
    pub(crate) fn take_untold(&mut self) -> Vec<(ShortStr, ShortStr)> {
        let untold = std::mem::take(&mut self.untold).into_iter();
        untold.map(|(new, known)| (known, new)).collect()
    }

    /// The name that a queue has now.
    pub(crate) fn follow_name(&self, name: &mut ShortStr) {
        if let Some(new) = self.renamed.get(name) {
            name.clone_from(new);
        }
    }

    /// Whether a queue of the first name has the second one now.
    pub(crate) fn is_now(&self, name: &ShortStr, new: &ShortStr) -> bool {
        self.renamed.get(name).unwrap_or(name) == new
    }

    /// The names that the queues of a step have now.
    pub(crate) fn follow_step(&self, step: &mut Step) {
        match step {
            Step::Queue(name, _) => self.follow_name(name),
            Step::QueueBinding(binding) => self.follow_name(&mut binding.queue),
            Step::Exchange(_) | Step::ExchangeBinding(_) => {}
        }
    }

    /// The names that the queues of a request have now.
    pub(crate) fn follow(&self, request: &mut Request) {
        if self.renamed.is_empty() {
            return;
        }
        match request {
            Request::QueueDeclare(request) => self.follow_name(&mut request.queue),
            Request::QueueDelete(request) => self.follow_name(&mut request.queue),
            Request::QueuePurge(queue) => self.follow_name(queue),
            Request::QueueBind(request) | Request::QueueUnbind(request) => {
                self.follow_name(&mut request.queue);
            }
            Request::Get(request) => self.follow_name(&mut request.queue),
            Request::Consume(request) => {
                for consumer in &mut request.consumers {
                    self.follow_name(&mut consumer.queue);
                }
            }
            Request::Rpc(request) if request.exchange.is_empty() => {
                self.follow_name(&mut request.routing_key);
            }
            _ => {}
        }
    }

    /// Whether any queue has another name now.
    pub(crate) fn has_renamed(&self) -> bool {
        !self.renamed.is_empty()
    }

    /// The names that a message uses; the routing key's, if it has another now.
    pub(crate) fn follow_message(
        &self,
        exchange: &str,
        routing_key: &str,
        message: &mut Message,
    ) -> Option<ShortStr> {
        if self.renamed.is_empty() {
            return None;
        }
        self.follow_reply_to(&mut message.properties);
        self.renamed_key(exchange.as_bytes(), routing_key.as_bytes())
    }

    /// The queue that a reply should go to; whether it has another name now.
    pub(crate) fn follow_reply_to(&self, properties: &mut Properties) -> bool {
        let name = properties.reply_to();
        let new = name.and_then(|name| self.renamed.get(&ShortStr::from(name)));
        if let Some(new) = new {
            properties.set_reply_to(new);
        }
        new.is_some()
    }

    /// What the routing key of a publish is now, if it is another.
    pub(crate) fn renamed_key(&self, exchange: &[u8], routing_key: &[u8]) -> Option<ShortStr> {
        if self.renamed.is_empty() || !exchange.is_empty() {
            return None;
        }
        let name = str::from_utf8(routing_key).ok()?;
        self.renamed.get(&ShortStr::from(name)).cloned()
    }
}
