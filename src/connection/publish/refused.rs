//! Which publish the broker refused when it closed the channel. It names the exchange, the size or a property, not the
//! tag.
//!
//! What is certain: it handles the publishes of a channel in order. The refused one is none that it has handled, and none
//! that the socket has not been given; what came after it was never taken. What came before it may be in its queue with
//! the confirm lost, be it to the same exchange: that may have been deleted in between. So where several fit the text,
//! any may be the one, and those before that one may have arrived.

use crate::connection::Connection;
use crate::connection::publish::clue::{Clue, Fit};
use crate::connection::publish::mark::lost;
use crate::connection::publish::publisher::InFlight;
use crate::types::error::Error;
use crate::types::reply::Reply;
use crate::wire::BasicPublish;

/// Who may be the refused one.
#[derive(Debug, PartialEq, Eq)]
struct Suspects {
    /// The tag of the last of them: whatever came after it came after the refused one.
    last: u64,
    /// The tag of the refused one, if it can be told from all others.
    refused: Option<u64>,
}

impl Connection {
    /// The broker closed the publishing channel with `error`.
    pub(crate) fn publisher_closed(&mut self, error: &Error) {
        self.publisher.channel_gone();
        let entries = self.publisher.take_in_flight();
        let suspects = self.suspects(&entries, error.reply());
        let mut again = Vec::new();
        for (tag, entry) in entries {
            if entry.resolved {
                continue;
            }
            if tag > suspects.last {
                again.push(entry);
                continue;
            }
            self.out.unpin(&entry.span);
            // What an earlier connection did with it, this one's error does not say.
            let is_refused = suspects.refused == Some(tag) && !entry.sent_before;
            let result = if is_refused {
                error.clone()
            } else {
                lost(true, error)
            };
            self.resolve(entry.promise, Err(result));
        }
        self.publish_again(again, suspects.last, error);
    }

    fn suspects(&mut self, entries: &[(u64, InFlight)], reply: Option<&Reply>) -> Suspects {
        let handled = self.publisher.handled;
        let method = reply.map_or((0, 0), |reply| (reply.class_id, reply.method_id));
        let clue = Clue::of(reply.map_or("", |reply| &reply.text));
        // Where confirms are emulated, the message behind each may be it.
        let emulates = !self.publisher.confirms;
        let footer_fits = emulates && clue.fits_footer() != Fit::No;
        let (mut all, mut fitting) = (Vec::new(), Vec::new());
        let mut is_found = false;
        for (tag, entry) in entries {
            // What was handled, or not even sent, cannot be what was refused.
            if *tag <= handled || self.out.is_unsent(&entry.span) {
                continue;
            }
            all.push((*tag, entry.resolved || emulates));
            if is_found {
                continue;
            }
            // Of one that was given up nothing is known any more.
            let fit = match entry.resolved {
                true => Fit::May,
                false => clue.fits(&self.out.head(&entry.span)),
            };
            if fit != Fit::No {
                fitting.push((*tag, entry.resolved));
            }
            // It is the one, if none before it was.
            is_found = fit == Fit::Would;
            if footer_fits && !is_found {
                fitting.push((*tag, true));
            }
        }
        // A broker may not say what failed; but if it was something else, no publish is known to have been refused.
        let is_publish = matches!(method, BasicPublish::ID | (0, 0));
        if fitting.is_empty() || !is_publish {
            fitting = all;
        }
        let last = fitting.last().map_or(handled, |(tag, _)| *tag);
        let refused = match fitting[..] {
            // And the promise is its own, and open.
            [(tag, false)] if is_publish => Some(tag),
            _ => None,
        };
        Suspects { last, refused }
    }
}
