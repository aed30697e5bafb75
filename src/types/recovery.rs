//! What a user may say of a lost connection, and what the program is told. How it is done is in
//! `connection/recovery/` and `driver/hosts.rs`.

use std::time::Duration;

use crate::types::error::Error;
use crate::wire::ShortStr;

/// How a lost connection is made anew: see [`ClientOptions::recovery`](crate::ClientOptions::recovery).
///
/// ```
/// # use std::time::Duration;
/// # use puka::{Client, ClientOptions, Recovery};
/// let recovery = Recovery::new().limit(Duration::from_secs(600));
/// let options = ClientOptions::new().recovery(recovery).heartbeat(10);
/// let client = Client::with_options("amqp://localhost/", options)?;
/// # Ok::<(), puka::Error>(())
/// ```
///
/// # What happens
/// When the connection is lost, or the broker closes it, the client connects again while the program waits or loops, to the next host if there are
/// [several](crate::ClientOptions::hosts), with growing pauses. Then, in this order:
/// - it declares again what this client has declared and not deleted: exchanges, queues, bindings. A queue whose name the
///   broker made gets a new name; its bindings and consumers follow, and so do later requests and publishes of this
///   client that name the old one, in [`reply_to`](crate::Message::reply_to) too. What deletes itself counts as gone with
///   this client's last consumer or binding, until you consume, bind or purge it, or declare it passively, with success;
/// - it starts the consumers again, under the same promises and tags;
/// - it publishes again what was not confirmed, under the same promises, in the same order;
/// - it does what was asked for meanwhile.
///
/// What the broker had done for this client before and refuses now, it is asked for again for as long as the
/// [`limit`](Self::limit) says: an exclusive queue is locked until the broker has noticed the loss, a queue's node may be on
/// its way back. Meanwhile the rest goes on, except publishes: they wait for the exchanges, queues and bindings that this
/// client had made, for messages that find none are lost. A queue that somebody else has locked is waited for 10 seconds, or
/// three heartbeats, and a declaration that the broker calls wrong is not waited for.
///
/// Declarations and bindings that were under way are made again, under the same promises. Deletes, purges, gets and
/// [calls](crate::Client::call) that were under way may have been done or not: they fail with
/// [`Error::ConnectionBroken`], or the broker's word.
///
/// # What is guaranteed
/// Every publish whose promise succeeded the broker has taken at least once, into the queues that it was routed to (a
/// [`mandatory`](crate::Message::mandatory) one into a queue at least, any other perhaps into none). One that was under way when the
/// connection was lost may be there twice; nothing marks the second one, so a consumer that must not do a thing twice
/// needs a [`message_id`](crate::Message::message_id) or the like to know it by. Publishes that arrive for the first
/// time are in the order of their calls.
///
/// A consumer gets every message that was not acknowledged, again; the broker marks it
/// [`redelivered`](crate::Delivery::redelivered). An acknowledgement that was under way may be lost, so a message that
/// the program is done with may come again, too. Deliveries that the program had not read are dropped (not those with
/// `no_ack`). To settle one that it had succeeds and does nothing, so that `client.basic_ack(delivery)?` does not end a program
/// at a loss; [`Client::is_stale`](crate::Client::is_stale) tells, for those who want to know before they work on it. A consumer of
/// a stream goes on behind the last delivery up to which all were acknowledged. A stream is known by its declaration by this
/// client, by the offset that its consumer was asked for with, or by its deliveries, until the broker says otherwise.
///
/// # A request that ends the connection
/// The broker closes the connection for some errors (a queue of a kind that it refuses, an exchange of a type that it does
/// not know), and names the kind of request. If one such request was under way, it fails with that error, and the rest
/// goes on: a declaration of before is in [`Restored::failed`]. If several may have been it, or the broker names nothing,
/// what was under way on one dying connection after another is sent one at a time, and what a connection dies of again
/// fails: a publish with [`Error::OutcomeUnknown`].
///
/// # What ends it
/// [`Client::close`](crate::Client::close); the [`limit`](Self::limit); a login that the broker refuses. Then every promise
/// fails with the cause, and the program is told ([`ConnectionEvent::GivenUp`]).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    pub(crate) first_delay: Duration,
    pub(crate) max_delay: Duration,
    pub(crate) limit: Duration,
    pub(crate) topology: bool,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
            limit: Duration::from_secs(300),
            topology: true,
        }
    }
}

impl Recovery {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pause when every host has been tried in vain: `first`, and twice as long each time, up to `longest`, less some
    /// chance so that not all clients come back at once. 100 milliseconds and 5 seconds by default. The first attempt
    /// comes at once.
    #[must_use]
    pub fn delay(mut self, first: Duration, longest: Duration) -> Self {
        // Without any it would try without a pause.
        self.first_delay = first.max(Duration::from_millis(1));
        self.max_delay = longest.max(self.first_delay);
        self
    }

    /// How long to try, from the loss on; 5 minutes by default.
    ///
    /// A connection that is lost again counts as never made, unless something has come of it: a confirm, the answer to a
    /// request, a delivery that you acknowledged or that needs no acknowledgement, or the knowledge of what it was lost for; or
    /// it has lasted for the longest delay, or for the limit if that is shorter. Otherwise the time runs on, from the first
    /// loss; the next loss has one more attempt if the time is over by then.
    ///
    /// The limit is looked at before each host. An attempt may take its share of the time that is left, with the hosts that
    /// are to be tried after it, but always a second, and never more than
    /// [`connect_timeout`](crate::ClientOptions::connect_timeout). So the end comes a second late at most.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Whether what this client has declared is declared again; `true` by default.
    #[must_use]
    pub fn topology(mut self, topology: bool) -> Self {
        self.topology = topology;
        self
    }
}

/// What has become of a connection: for [`Client::on_connection_event`](crate::Client::on_connection_event).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// The broker takes no messages, for this reason
    /// ([connection.blocked](https://www.rabbitmq.com/docs/connection-blocked)). Publishes wait.
    Blocked(String),
    /// The broker takes messages again.
    Unblocked,
    /// The connection is lost, and will be made anew ([`Recovery`]).
    Lost(Error),
    /// The connection is there again. It comes once more, with [`Restored::renamed`] only, if a queue whose name the broker
    /// makes could be declared only later.
    Restored(Restored),
    /// The connection is lost for good, for this reason: [`Recovery::limit`] has passed, or the broker refuses the login.
    /// Every promise fails.
    GivenUp(Error),
}

/// What became of all that was there before the loss.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Restored {
    /// Queues that the broker has given another name: the old one, and the new one.
    pub renamed: Vec<(ShortStr, ShortStr)>,
    /// What could not be declared again, or not yet, and why. Consumers and publishes are not among it: their promises
    /// tell.
    pub failed: Vec<(String, Error)>,
    /// How many publishes are made again.
    pub republished: usize,
}
