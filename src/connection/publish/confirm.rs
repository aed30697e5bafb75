//! What the broker says of publishes: confirms and returns. And what becomes of those of which it says nothing more.

use crate::connection::Connection;
use crate::connection::event::Event;
use crate::connection::publish::mark::{FOOTER, MARK, lost};
use crate::connection::publish::publisher::Publisher;
use crate::connection::violation::Violation;
use crate::types::error::Error;
use crate::types::ids::PromiseNumber;
use crate::types::message::Returned;
use crate::wire::reply_code;

impl Connection {
    /// `basic.ack` and `basic.nack`: one tag, or all up to it.
    pub(crate) fn confirmed(
        &mut self,
        tag: u64,
        multiple: bool,
        taken: bool,
    ) -> Result<(), Violation> {
        let next = self.publisher.first_tag + self.publisher.in_flight.len() as u64;
        // Tag 0 with `multiple` is AMQP's word for all of them.
        let last = if tag == 0 && multiple { next - 1 } else { tag };
        if last >= next || tag == 0 && !multiple || !self.publisher.confirms {
            return Err(Violation::new(
                reply_code::COMMAND_INVALID,
                "a confirm of something never published",
            ));
        }
        self.publisher.handled = self.publisher.handled.max(last);
        self.has_got_on = true;
        // Answered ones in front are forgotten: what is left below may still be open.
        let first = if multiple {
            self.publisher.first_tag
        } else {
            last
        };
        for tag in first..=last {
            if taken {
                self.published(tag);
            } else {
                self.fail_publish(tag, Error::Nacked);
            }
        }
        self.publisher.advance();
        Ok(())
    }

    fn published(&mut self, tag: u64) {
        let Some(promise) = self.resolve_publish(tag) else {
            return;
        };
        match self.events.back_mut() {
            Some(Event::Published { last, .. }) if last.0 + 1 == promise.0 => *last = promise,
            _ => self.events.push_back(Event::Published {
                first: promise,
                last: promise,
            }),
        }
    }

    /// The broker did not take a publish.
    fn fail_publish(&mut self, tag: u64, error: Error) {
        let entry = self.publisher.entry(tag);
        // This says nothing of what an earlier connection did with it.
        let error = match entry.is_some_and(|entry| entry.sent_before) {
            true => lost(true, &error),
            false => error,
        };
        if let Some(promise) = self.resolve_publish(tag) {
            self.resolve(promise, Err(error));
        }
    }

    /// The promise of a publish that was not settled before, and now is.
    fn resolve_publish(&mut self, tag: u64) -> Option<PromiseNumber> {
        let entry = self.publisher.entry(tag).filter(|entry| !entry.resolved)?;
        entry.resolved = true;
        let (promise, span) = (entry.promise, entry.span);
        self.out.unpin(&span);
        Some(promise)
    }

    /// `basic.return`: a message that no queue took, or one of our own that none could take.
    pub(crate) fn returned(&mut self, mut returned: Box<Returned>) -> Result<(), Violation> {
        let headers = &mut returned.properties.headers;
        let mark = headers.get(MARK).and_then(|value| value.as_i64());
        let tag = mark.and_then(|promise| {
            self.publisher
                .tag_of(PromiseNumber(promise.cast_unsigned()))
        });
        let Some(tag) = tag else {
            return Err(Violation::new(
                reply_code::COMMAND_INVALID,
                "the return of something never published",
            ));
        };
        let confirms = self.publisher.confirms;
        let is_footer = !confirms && headers.contains(FOOTER);
        // Behind a message that comes back its footer is still to come.
        let handled = if confirms || is_footer { tag } else { tag - 1 };
        self.publisher.handled = self.publisher.handled.max(handled);
        if is_footer {
            self.published(tag);
            self.publisher.advance();
        } else {
            headers.remove(MARK);
            self.fail_publish(tag, Error::NoRoute(returned));
            // It stays in its place: its ack, or its footer, is still to come.
        }
        Ok(())
    }

    /// Takes back the publishes that the socket has none of, and all that was to be written after them.
    pub(crate) fn take_back_unsent(&mut self, error: &Error) {
        let unsent = self
            .publisher
            .in_flight
            .iter()
            .find(|entry| self.out.is_unsent(&entry.span));
        let start = unsent.map(|entry| entry.span.start);
        if self.will_recover(error) {
            self.suspend_publishes();
        } else {
            self.publisher_lost(error);
        }
        if let Some(start) = start {
            self.out.truncate(start);
        }
    }

    /// Publishes that the broker has not handled, as far as is known, given up or not: promises, whether an earlier connection may have
    /// taken them, and whether they are with the socket.
    pub(crate) fn publishes_under_way(&self) -> impl Iterator<Item = (PromiseNumber, bool, bool)> {
        let Publisher {
            first_tag, handled, ..
        } = self.publisher;
        let entries = (first_tag..).zip(&self.publisher.in_flight);
        let open = entries.filter(move |(tag, _)| *tag > handled);
        open.map(|(_, entry)| {
            let is_sent = !self.out.is_unsent(&entry.span);
            (entry.promise, entry.sent_before, is_sent)
        })
    }

    /// The connection has gone: what is known of each publish.
    pub(crate) fn publisher_lost(&mut self, error: &Error) {
        for (_, entry) in self.publisher.take_unresolved() {
            let sent = entry.sent_before || !self.out.is_unsent(&entry.span);
            self.out.unpin(&entry.span);
            self.resolve(entry.promise, Err(lost(sent, error)));
        }
        self.held_lost(error);
    }

    /// Gives up the promises of what is under way; it may yet arrive.
    pub(crate) fn abandon_publishes(&mut self, error: &Error) {
        let mut abandoned = Vec::new();
        for entry in &mut self.publisher.in_flight {
            if !std::mem::replace(&mut entry.resolved, true) {
                abandoned.push((entry.promise, entry.span));
            }
        }
        for (promise, span) in abandoned {
            self.out.unpin(&span);
            self.resolve(promise, Err(lost(true, error)));
        }
        self.held_lost(error);
    }
}
