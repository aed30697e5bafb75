//! A RabbitMQ in memory, whole: the state of its queues, and the connections to it.
//!
//! Whoever carries bytes calls [`Node::accept`], `receive` and `take_output`, and `handle_timeout` when
//! `poll_timeout` says so. There is no clock in it, and no socket; what chance does comes from the seed.

use std::collections::BTreeMap;
use std::time::Instant;

use super::chance::Chance;
use super::model::{
    Bind, Caller, ConsumerKey, Event, ExchangeDeclare, Got, LinkId, Model, Outcome, Permissions,
    Publish, Published, PublishedView, QueueDeclare, QueueDeclared, QueueView, Settings,
};
pub(crate) use super::session::Death;
pub(crate) use super::session::HostSettings;
use super::session::{Session, Troubles, Turn};

/// One RabbitMQ cluster: its virtual hosts, users, exchanges, queues; and the connections to it.
#[derive(Debug)]
pub(crate) struct Node {
    model: Model,
    sessions: BTreeMap<LinkId, Session>,
    /// How many connections there were.
    accepted: u64,
    chance: Chance,
    /// The latest that it was told.
    now: Option<Instant>,
    /// Why it takes no messages, if it does not.
    alarm: Option<String>,
    troubles: Troubles,
}

impl Node {
    /// The seed 0 leaves nothing to chance; with another one confirms come late and together, frames of different channels
    /// change places, bodies are cut in odd places.
    pub(crate) fn new(seed: u64, settings: Settings) -> Self {
        Self {
            model: Model::new(settings),
            sessions: BTreeMap::new(),
            accepted: 0,
            chance: Chance::new(seed),
            now: None,
            alarm: None,
            troubles: Troubles::default(),
        }
    }

    // Connections.

    /// A TCP connection is there, to that host of the cluster.
    pub(crate) fn accept(&mut self, now: Instant, host: &HostSettings) -> LinkId {
        self.advance(now);
        self.accepted += 1;
        let id = LinkId(self.accepted);
        self.sessions
            .insert(id, Session::new(id, host.clone(), now));
        id
    }

    /// Bytes have come.
    pub(crate) fn receive(&mut self, now: Instant, link: LinkId, bytes: &[u8]) {
        self.advance(now);
        if let Some(session) = self.sessions.get_mut(&link) {
            session.receive(bytes);
        }
        self.read(now, link);
    }

    /// Takes what is to be sent, at most `max` bytes.
    pub(crate) fn take_output(&mut self, link: LinkId, max: usize) -> Vec<u8> {
        let session = self.sessions.get_mut(&link);
        session.map_or_else(Vec::new, |session| {
            session.take_output(max, &mut self.chance)
        })
    }

    pub(crate) fn has_output(&self, link: LinkId) -> bool {
        let session = self.sessions.get(&link);
        session.is_some_and(Session::has_output)
    }

    /// Whether the node wants the socket closed: all output has been taken, and there will be no more.
    pub(crate) fn is_done(&self, link: LinkId) -> bool {
        self.sessions.get(&link).is_none_or(Session::is_done)
    }

    /// Whether the node reads from it: not from connections that publish while an alarm blocks.
    pub(crate) fn wants_read(&self, link: LinkId) -> bool {
        let session = self.sessions.get(&link);
        session.is_some_and(Session::wants_read)
    }

    /// The socket is gone.
    pub(crate) fn disconnected(&mut self, now: Instant, link: LinkId) {
        self.advance(now);
        if let Some(mut session) = self.sessions.remove(&link) {
            session.end(&mut self.turn(now).1);
            self.tell();
        }
    }

    // Time.

    /// When `handle_timeout` wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.sessions.values().filter_map(Session::poll_timeout);
        sessions.chain(self.model.poll_timeout()).min()
    }

    /// The same without heartbeats: what could still change something by itself.
    pub(crate) fn next_event(&self) -> Option<Instant> {
        let sessions = self.sessions.values().filter_map(Session::next_event);
        sessions.chain(self.model.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.each(now, Session::handle_timeout);
    }

    // On demand: what a real one does once a year.

    /// An alarm: connections that publish are told the reason, and not read any more.
    pub(crate) fn block(&mut self, reason: &str) {
        self.alarm = Some(reason.to_owned());
    }

    /// The alarm is over.
    pub(crate) fn unblock(&mut self) {
        self.alarm = None;
        let links: Vec<LinkId> = self.sessions.keys().copied().collect();
        for link in links {
            let session = self.sessions.get_mut(&link);
            if session.is_some_and(Session::unblock)
                && let Some(now) = self.now
            {
                self.read(now, link);
            }
        }
    }

    /// Refuses the next `n` messages that are published on channels that confirm.
    pub(crate) fn nack_next(&mut self, n: u32) {
        self.model.nack_next(n);
    }

    /// Ends all consumers of a queue.
    pub(crate) fn cancel_consumers(&mut self, vhost: &str, queue: &str) {
        self.model.cancel_consumers(vhost, queue);
        self.tell();
    }

    /// Sends `connection.close` to all, as an operator does (320, say). The text is sent as it is.
    pub(crate) fn close_connections(&mut self, now: Instant, code: u16, text: &str) {
        self.advance(now);
        self.each(now, |session, turn| {
            if session.is_running() {
                session.close(turn, code, text, (0, 0));
            }
        });
    }

    /// The same to one.
    pub(crate) fn close_link(&mut self, now: Instant, link: LinkId, code: u16, text: &str) {
        self.advance(now);
        self.one(now, link, |session, turn| {
            if session.is_running() {
                session.close(turn, code, text, (0, 0));
            }
        });
    }

    /// It dies, and is there again: with its durable queues and exchanges, and persistent messages; connections are
    /// gone without a word, and so is the alarm.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.advance(now);
        self.model.restart();
        self.each(now, Session::lose);
        self.alarm = None;
    }

    // As another program, or to set a test up.

    pub(crate) fn publish(&mut self, vhost: &str, publish: Publish<'_>) -> Outcome<Published> {
        self.ask(|model| model.publish(Caller::Operator(vhost), publish))
    }

    /// Takes a message away.
    pub(crate) fn get(&mut self, vhost: &str, queue: &str) -> Outcome<Option<Got>> {
        self.ask(|model| model.get(Caller::Operator(vhost), queue, true))
    }

    pub(crate) fn declare_queue(
        &mut self,
        vhost: &str,
        declare: QueueDeclare<'_>,
    ) -> Outcome<QueueDeclared> {
        self.ask(|model| model.declare_queue(Caller::Operator(vhost), declare))
    }

    /// How many messages went with it.
    pub(crate) fn delete_queue(&mut self, vhost: &str, queue: &str) -> Outcome<u32> {
        self.ask(|model| model.delete_queue(Caller::Operator(vhost), queue, false, false))
    }

    pub(crate) fn declare_exchange(
        &mut self,
        vhost: &str,
        declare: ExchangeDeclare<'_>,
    ) -> Outcome<()> {
        self.ask(|model| model.declare_exchange(Caller::Operator(vhost), declare))
    }

    pub(crate) fn delete_exchange(&mut self, vhost: &str, exchange: &str) -> Outcome<()> {
        self.ask(|model| model.delete_exchange(Caller::Operator(vhost), exchange, false))
    }

    /// Binds a queue to an exchange.
    pub(crate) fn bind(&mut self, vhost: &str, bind: Bind<'_>) -> Outcome<()> {
        self.ask(|model| model.bind_queue(Caller::Operator(vhost), bind))
    }

    pub(crate) fn add_vhost(&mut self, vhost: &str) {
        self.model.add_vhost(vhost);
    }

    pub(crate) fn add_user(&mut self, user: &str, password: &str) {
        self.model.add_user(user, password);
    }

    pub(crate) fn set_permissions(
        &mut self,
        user: &str,
        vhost: &str,
        permissions: Permissions,
    ) -> Result<(), String> {
        self.model.set_permissions(user, vhost, permissions)
    }

    // To be asked.

    pub(crate) fn queue(&self, vhost: &str, queue: &str) -> Option<QueueView> {
        self.model.queue(vhost, queue)
    }

    /// The names of a virtual host's queues, in order.
    pub(crate) fn queue_names(&self, vhost: &str) -> Vec<String> {
        self.model.queue_names(vhost)
    }

    /// Everything that was ever published and accepted, in order.
    pub(crate) fn published(&self) -> &[PublishedView] {
        self.model.published()
    }

    /// The connections that are open, the oldest first.
    pub(crate) fn open_links(&self) -> Vec<LinkId> {
        let open = self
            .sessions
            .iter()
            .filter(|(_, session)| session.is_running());
        open.map(|(&link, _)| link).collect()
    }

    /// The connections that are open, the oldest first, and what each client calls itself.
    pub(crate) fn names(&self) -> Vec<(LinkId, String)> {
        let named = self.sessions.iter();
        named
            .filter(|(_, session)| session.is_running())
            .map(|(&link, session)| (link, session.name().to_owned()))
            .collect()
    }

    /// What else a broker may have.
    pub(crate) fn troubles(&mut self) -> &mut Troubles {
        &mut self.troubles
    }

    // Within.

    /// It is that late; what was due until then happens.
    fn advance(&mut self, now: Instant) {
        self.now = Some(now);
        self.model.advance(now);
        self.tell();
    }

    /// The sessions, and what one of them may use of the rest.
    fn turn(&mut self, now: Instant) -> (&mut BTreeMap<LinkId, Session>, Turn<'_>) {
        let turn = Turn {
            now,
            model: &mut self.model,
            chance: &mut self.chance,
            alarm: self.alarm.as_deref(),
            troubles: &mut self.troubles,
        };
        (&mut self.sessions, turn)
    }

    /// Reads what has come, frame by frame.
    fn read(&mut self, now: Instant, link: LinkId) {
        let mut goes_on = true;
        while goes_on {
            goes_on = false;
            self.one(now, link, |session, turn| goes_on = session.step(turn));
        }
        self.one(now, link, |session, turn| {
            session.send_confirms(turn, false);
        });
    }

    /// Lets one session do something, and tells all what came of it.
    fn one(&mut self, now: Instant, link: LinkId, act: impl FnOnce(&mut Session, &mut Turn<'_>)) {
        let (sessions, mut turn) = self.turn(now);
        if let Some(session) = sessions.get_mut(&link) {
            act(session, &mut turn);
            self.tell();
        }
    }

    fn each(&mut self, now: Instant, mut act: impl FnMut(&mut Session, &mut Turn<'_>)) {
        let links: Vec<LinkId> = self.sessions.keys().copied().collect();
        for link in links {
            self.one(now, link, &mut act);
        }
    }

    fn ask<T>(&mut self, act: impl FnOnce(&mut Model) -> Outcome<T>) -> Outcome<T> {
        let outcome = act(&mut self.model);
        self.tell();
        outcome
    }

    /// Sends what the model does by itself; until there is nothing more, since who fails thereby gives back what he has.
    fn tell(&mut self) {
        let Some(now) = self.now else { return };
        loop {
            let events = self.model.take_events();
            if events.is_empty() {
                return;
            }
            for event in events {
                let (Event::Deliver { consumer, .. } | Event::Cancel(consumer)) = &event;
                let ConsumerKey { channel, .. } = consumer;
                let (sessions, mut turn) = self.turn(now);
                if let Some(session) = sessions.get_mut(&channel.link) {
                    session.tell(&mut turn, &event);
                }
            }
        }
    }
}
