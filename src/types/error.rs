//! What can go wrong, told so that a person knows what happened, to what, and what to do next.
//!
//! Errors are `Clone`, for one cause (a lost socket, say) may end many promises.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::types::ids::PromiseId;
use crate::types::message::Returned;
use crate::types::reply::Reply;
use crate::types::results::Cancelled;
use crate::types::text::Printable;
use crate::types::tls_failure::TlsFailure;
use crate::wire::reply_code;

/// A `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that a promise, or a call, may fail with.
///
/// The variants that carry a [`Reply`] are the broker's own errors, one for each of [AMQP's reply
/// codes](https://www.rabbitmq.com/amqp-0-9-1-reference#constants), under puka's names. One of the codes 311, 313 and
/// 403 to 406 ends the one request it answers and nothing else; the others close the connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 311: the message is larger than the broker takes.
    #[error("{0}")]
    ContentTooLarge(Box<Reply>),
    /// 312: a `mandatory` message reached no queue. It comes back with the error.
    #[error("no route: {0}")]
    NoRoute(Box<Returned>),
    /// 313: there was nobody to take the message at once.
    #[error("{0}")]
    NoConsumers(Box<Reply>),
    /// 320: an operator, or the broker shutting down, closed the connection.
    #[error("{0}")]
    ConnectionForced(Box<Reply>),
    /// 402: the client tried an unknown virtual host.
    #[error("{0}")]
    InvalidPath(Box<Reply>),
    /// 403: the user may not do this, or the login failed.
    #[error("{0}")]
    AccessRefused(Box<Reply>),
    /// 404: no such queue or exchange.
    #[error("{0}")]
    NotFound(Box<Reply>),
    /// 405: somebody else has the queue for himself.
    #[error("{0}")]
    ResourceLocked(Box<Reply>),
    /// 406: it exists with other arguments, or is in use, or an acknowledgement came too late.
    #[error("{0}")]
    PreconditionFailed(Box<Reply>),
    /// 501: a frame that cannot be read.
    #[error("{0}")]
    FrameError(Box<Reply>),
    /// 502: a frame that can be read, with nonsense in it.
    #[error("{0}")]
    SyntaxError(Box<Reply>),
    /// 503: a method that may not come here.
    #[error("{0}")]
    CommandInvalid(Box<Reply>),
    /// 504: a frame on a channel that is not open.
    #[error("{0}")]
    ChannelError(Box<Reply>),
    /// 505: a frame in the midst of a message.
    #[error("{0}")]
    UnexpectedFrame(Box<Reply>),
    /// 506: the broker has run out of something.
    #[error("{0}")]
    ResourceError(Box<Reply>),
    /// 530: not allowed here: an unknown virtual host, a limit that is reached.
    #[error("{0}")]
    NotAllowed(Box<Reply>),
    /// 540: the broker knows no such thing.
    #[error("{0}")]
    NotImplemented(Box<Reply>),
    /// 541: something went wrong inside the broker, or it refuses a deprecated feature.
    #[error("{0}")]
    InternalError(Box<Reply>),
    /// A reply code that AMQP 0-9-1 does not name.
    #[error("{0}")]
    Other(Box<Reply>),

    /// The connection could not be made, or was lost. [`Client::connect`](crate::Client::connect) may be called again.
    #[error("connection broken: {0}")]
    ConnectionBroken(Disconnect),
    /// The broker offers no [way to log in](crate::ClientOptions::auth_mechanisms) that this client may use. Nobody is
    /// wrong: the broker is configured for one thing, and the client for another.
    #[error(
        "no login mechanism in common: the broker offers {offered:?}, and this client may use {allowed:?} (see \
         ClientOptions::auth_mechanisms)"
    )]
    NoMechanism {
        /// What the broker offers, with blanks between.
        offered: String,
        /// What the client may use, with blanks between.
        allowed: String,
    },
    /// The peer answered in another protocol.
    #[error("unsupported protocol: {0}")]
    UnsupportedProtocol(String),

    /// The broker did not take this message (`basic.nack`): most often because a queue is full that has
    /// [`overflow: reject-publish`](https://www.rabbitmq.com/docs/maxlength), or because a queue's node went down. Other
    /// queues that it was routed to may have it, and so may one whose node went down before it could say so.
    #[error(
        "the broker refused the message (basic.nack); a full queue with overflow reject-publish does that"
    )]
    Nacked,
    /// This message was surely never taken by the broker: to publish it again cannot double it.
    #[error("not sent: {0}")]
    NotSent(Box<Self>),
    /// The broker has taken no messages for longer than
    /// [`blocked_timeout`](crate::ClientOptions::blocked_timeout), for this reason
    /// ([connection.blocked](https://www.rabbitmq.com/docs/connection-blocked)).
    #[error("the broker takes no messages at the moment: {}", Printable(.0))]
    Blocked(String),
    /// No reply to a [call](crate::Client::call) came in that time. The other program may be at work on it yet, or has
    /// replied without the request's `correlation_id`: the client logs such a reply as a warning, and drops it.
    #[error(
        "no reply within {0:?}: does anybody serve that queue, and reply with the request's correlation_id?"
    )]
    NoReply(Duration),
    /// This message may be in its queues or not.
    ///
    /// The cause came before the broker's confirm: a lost connection; or the broker's error for one of several publishes,
    /// each of which may be the one that it means, or have arrived before that one. Or a connection was lost, the message
    /// was published again ([`Recovery`](crate::Recovery)), and the broker refused it then: it may have taken it the first
    /// time.
    #[error("outcome unknown, the message may have arrived or not: {0}")]
    OutcomeUnknown(Box<Self>),

    /// The consumer has ended.
    #[error("{0}")]
    Cancelled(Box<Cancelled>),

    /// The client was closed while this was under way.
    #[error("the client was closed")]
    Closed,
    /// There is no connection: wait for [`Client::connect`](crate::Client::connect) first. A publish says so inside of
    /// [`NotSent`](Self::NotSent).
    #[error("not connected: call connect() first")]
    NotConnected,
    /// [`Client::connect`](crate::Client::connect) on a client that is connected, or about to be.
    #[error(
        "connected already, or about to be: call close() first and wait for it; there is no connection then, even \
         if close() fails"
    )]
    AlreadyConnected,
    /// Every channel that the broker allows is held by a consumer or an unacknowledged delivery, so waiting for a free
    /// one might take for ever.
    #[error(
        "all {0} channels of this connection are held by consumers and unacknowledged deliveries: settle or cancel \
         some, raise the broker's channel_max, or use a second client"
    )]
    NoFreeChannel(u16),

    /// Deliveries that nobody has read, or that a prefetch holds back, come to this many bytes, which is the client's
    /// [mark](crate::ClientOptions::unread_high_water_mark): what was waited for is behind them, and could only come by
    /// reading more.
    #[error(
        "{0} bytes of deliveries are unread, and the client reads no more of them: wait for their consumer, and \
         settle what it gives; loop if it has a callback, cancel it, or start it with a prefetch_count"
    )]
    UnreadDeliveries(usize),

    /// The text is no AMQP URL.
    #[error("invalid URL: {0}")]
    InvalidUrl(String),
    /// An argument that AMQP has no way to say, or a file of [`TlsOptions`](crate::TlsOptions) that cannot be used.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// The promise's result has been given out, or its consumer has ended and said so; or it was dropped unread, long
    /// ago (see [`Client::wait`](crate::Client::wait)).
    #[error("promise {0} has no result to wait for: it was given out before, or dropped unread")]
    UnknownPromise(PromiseId),
    /// A promise, or a delivery, of another client.
    #[error("promise {0} belongs to another client")]
    ForeignPromise(PromiseId),
    /// The delivery was settled before, by an acknowledgement of many.
    #[error("delivery {0} is settled already")]
    AlreadySettled(u64),
    /// The broker has closed the delivery's channel, or the program its connection; the broker has queued its message again.
    #[error(
        "delivery {0} is stale: its channel has gone, and the broker has queued the message again"
    )]
    StaleDelivery(u64),
    /// The delivery came with `no_ack`, so the broker has forgotten it already.
    #[error("delivery {0} came with no_ack: there is nothing to acknowledge")]
    NoAck(u64),
    /// The promise's callback has run, and taken the delivery.
    #[error("the delivery went to the promise's callback")]
    HandledByCallback,
    /// A [`Handle`](crate::Handle) whose client was dropped.
    #[error("the client was dropped")]
    ClientGone,
    /// The system's poll failed.
    #[error("polling failed: {0}")]
    Poll(Arc<io::Error>),
    /// A wait, or a loop, that nothing can ever end: in a world in memory (the feature `testing`), where that can be known.
    #[error("{0}")]
    WaitsForever(String),
    /// Something that cannot happen has happened in this crate. No program, and no broker, is to blame.
    #[error("this is a fault of the crate puka, please report it: {0}")]
    Bug(&'static str),
}

/// Why a connection was lost, or could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// The name of the host means nothing.
    #[error("cannot resolve the host {host:?}: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// No address of the host answered; what each said.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No [host](crate::ClientOptions::hosts) could be connected to: each one, and why.
    #[error("no host could be connected to: {}", Failures(.0))]
    Hosts(Arc<Vec<(String, Error)>>),
    /// The socket failed.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// The peer closed the socket without a word.
    #[error("the peer closed the socket")]
    Eof,
    /// Connecting, or closing, took longer than [`connect_timeout`](crate::ClientOptions::connect_timeout).
    #[error("{what} took longer than {limit:?}")]
    TimedOut {
        /// What took so long.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The peer closed the socket, perhaps because this client sent no heartbeats: the program was busy elsewhere for
    /// longer than a broker waits for one. Nothing proves it: the broker may have had another reason.
    #[error(
        "the peer closed the socket; the program did not run the client for {away:?}, which may be why, for the \
         heartbeat is {interval:?}: see ClientOptions::background_heartbeats, or ask for no heartbeats"
    )]
    ProgramAway {
        /// For how long the client did not run.
        away: Duration,
        /// The heartbeat that was agreed on.
        interval: Duration,
    },
    /// Nothing came from the broker for two heartbeat intervals.
    #[error("no sign of life from the broker for {0:?} (two heartbeats)")]
    BrokerSilent(Duration),
    /// The TLS session could not be set up, or failed.
    #[error("TLS: {0}")]
    Tls(TlsFailure),
}

impl Disconnect {
    /// Whether the peer has closed the socket: no network fails so.
    pub(crate) fn is_by_peer(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match self {
            Self::Eof => true,
            Self::Io(error) => matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset
            ),
            _ => false,
        }
    }
}

/// Hosts, and what came of each.
struct Failures<'a>(&'a [(String, Error)]);

impl fmt::Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (host, error)) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{host}: {error}")?;
        }
        Ok(())
    }
}

impl Error {
    /// What cannot happen has happened: tests stop here, and programs go on.
    pub(crate) fn bug(what: &'static str) -> Self {
        debug_assert!(false, "{what}");
        Self::Bug(what)
    }

    /// The broker's error of this code.
    pub(crate) fn from_reply(reply: Reply) -> Self {
        let code = reply.code;
        let reply = Box::new(reply);
        match code {
            reply_code::CONTENT_TOO_LARGE => Self::ContentTooLarge(reply),
            reply_code::NO_CONSUMERS => Self::NoConsumers(reply),
            reply_code::CONNECTION_FORCED => Self::ConnectionForced(reply),
            reply_code::INVALID_PATH => Self::InvalidPath(reply),
            reply_code::ACCESS_REFUSED => Self::AccessRefused(reply),
            reply_code::NOT_FOUND => Self::NotFound(reply),
            reply_code::RESOURCE_LOCKED => Self::ResourceLocked(reply),
            reply_code::PRECONDITION_FAILED => Self::PreconditionFailed(reply),
            reply_code::FRAME_ERROR => Self::FrameError(reply),
            reply_code::SYNTAX_ERROR => Self::SyntaxError(reply),
            reply_code::COMMAND_INVALID => Self::CommandInvalid(reply),
            reply_code::CHANNEL_ERROR => Self::ChannelError(reply),
            reply_code::UNEXPECTED_FRAME => Self::UnexpectedFrame(reply),
            reply_code::RESOURCE_ERROR => Self::ResourceError(reply),
            reply_code::NOT_ALLOWED => Self::NotAllowed(reply),
            reply_code::NOT_IMPLEMENTED => Self::NotImplemented(reply),
            reply_code::INTERNAL_ERROR => Self::InternalError(reply),
            _ => Self::Other(reply),
        }
    }

    /// The bytes of messages and texts that are not in the value itself.
    pub(crate) fn shared_bytes(&self) -> usize {
        match self.cause() {
            Self::NoRoute(returned) => {
                let names = returned.exchange.len() + returned.routing_key.len();
                let message = returned.body.len() + returned.properties.shared_bytes();
                size_of::<Returned>() + names + message
            }
            cause => cause.reply().map_or(0, |reply| reply.text.len()),
        }
    }

    /// What the broker said, if this error is its own.
    ///
    /// Looks through [`NotSent`](Self::NotSent) and [`OutcomeUnknown`](Self::OutcomeUnknown).
    pub fn reply(&self) -> Option<&Reply> {
        match self.cause() {
            Self::ContentTooLarge(reply)
            | Self::NoConsumers(reply)
            | Self::ConnectionForced(reply)
            | Self::InvalidPath(reply)
            | Self::AccessRefused(reply)
            | Self::NotFound(reply)
            | Self::ResourceLocked(reply)
            | Self::PreconditionFailed(reply)
            | Self::FrameError(reply)
            | Self::SyntaxError(reply)
            | Self::CommandInvalid(reply)
            | Self::ChannelError(reply)
            | Self::UnexpectedFrame(reply)
            | Self::ResourceError(reply)
            | Self::NotAllowed(reply)
            | Self::NotImplemented(reply)
            | Self::InternalError(reply)
            | Self::Other(reply) => Some(reply),
            _ => None,
        }
    }

    /// AMQP's reply code, if this error has one.
    pub fn reply_code(&self) -> Option<u16> {
        match self.cause() {
            Self::NoRoute(returned) => Some(returned.reply_code),
            _ => self.reply().map(|reply| reply.code),
        }
    }

    /// What lies behind [`NotSent`](Self::NotSent) and [`OutcomeUnknown`](Self::OutcomeUnknown); else the error itself.
    pub fn cause(&self) -> &Self {
        match self {
            Self::NotSent(cause) | Self::OutcomeUnknown(cause) => cause.cause(),
            _ => self,
        }
    }

    /// Whether there is no connection: it was lost, or could not be made, or the broker closed it because it shuts down
    /// (320), or the peer broke the protocol; and then [`NotConnected`](Self::NotConnected).
    ///
    /// Not so if the broker closed it for what the program had asked for: to connect again and do the same would be no use.
    pub fn is_connection_broken(&self) -> bool {
        match self.cause() {
            Self::ConnectionBroken(_)
            | Self::UnsupportedProtocol(_)
            | Self::ConnectionForced(_)
            | Self::NotConnected => true,
            cause => cause.reply().is_some_and(|reply| !reply.from_broker),
        }
    }
}

#[cfg(test)]
mod tests;
