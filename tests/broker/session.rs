//! A connected client with names of its own, on whatever broker.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use puka::{Client, ClientOptions, Delivery, Get, Promise};

use super::{LEAVES_NAMES, new_client, new_client_with, now, unique, url};

/// Longer than anything takes that will ever come.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Long enough that what has not come by then will mostly not come; never a proof.
pub(crate) const MOMENT: Duration = Duration::from_millis(200);

/// The version of a connected client's broker.
pub(crate) fn version(client: &Client) -> (u32, u32) {
    let version = client.connected().expect("it is connected").version();
    let mut parts = version
        .split('.')
        .map(|part| part.parse().expect("a number"));
    (parts.next().expect("major"), parts.next().expect("minor"))
}

/// A connected client whose queues and exchanges are deleted in the end.
pub(crate) struct Session {
    client: Client,
    url: String,
    names: Vec<String>,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self::with(ClientOptions::new())
    }

    pub(crate) fn with(options: ClientOptions) -> Self {
        Self::at(&url(), options)
    }

    pub(crate) fn at(url: &str, options: ClientOptions) -> Self {
        let mut client = new_client_with(url, options).unwrap();
        client.connect().wait(&mut client).unwrap();
        Self {
            client,
            url: url.into(),
            names: Vec::new(),
        }
    }

    /// A name for a queue or an exchange.
    pub(crate) fn name(&mut self) -> String {
        let name = unique("test");
        self.names.push(name.clone());
        name
    }

    /// A queue that is there.
    pub(crate) fn queue(&mut self) -> String {
        let name = self.name();
        self.client
            .queue_declare(&name)
            .wait(&mut self.client)
            .unwrap();
        name
    }

    pub(crate) fn publish(&mut self, queue: &str, body: &'static str) {
        self.client
            .basic_publish("", queue, body)
            .wait(&mut self.client)
            .unwrap();
    }

    /// Takes one message for good.
    pub(crate) fn take(&mut self, queue: &str) -> Option<Delivery> {
        self.client
            .basic_get(Get::new(queue).no_ack(true))
            .wait(&mut self.client)
            .unwrap()
    }

    /// The next delivery, which has to come.
    pub(crate) fn next(&mut self, consumer: Promise<Delivery>) -> Delivery {
        self.client
            .wait_timeout(consumer, LIMIT)
            .unwrap()
            .expect("a delivery")
    }

    /// Asserts that no delivery comes, as far as one can see.
    pub(crate) fn nothing(&mut self, consumer: Promise<Delivery>) {
        let delivery = self.client.wait_timeout(consumer, MOMENT).unwrap();
        assert!(delivery.is_none(), "{delivery:?}");
    }

    /// Messages ready in a queue, once that many are: the broker counts a moment later than it confirms.
    pub(crate) fn wait_for_messages(&mut self, queue: &str, count: u32) {
        let until = now() + LIMIT;
        loop {
            let declare = puka::QueueDeclare::new(queue).passive(true);
            let found = self
                .client
                .queue_declare(declare)
                .wait(&mut self.client)
                .unwrap()
                .message_count;
            if found == count {
                return;
            }
            assert!(now() < until, "{found} messages in {queue}, not {count}");
            self.client.sleep(MOMENT / 200).unwrap();
        }
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !LEAVES_NAMES || self.names.is_empty() {
            return;
        }
        // The client of the test may be in any state.
        let Ok(mut client) = new_client(&self.url) else {
            return;
        };
        if client.connect().wait(&mut client).is_err() {
            return;
        }
        for name in &self.names {
            let _ = client.queue_delete(name).wait(&mut client);
            let _ = client.exchange_delete(name).wait(&mut client);
        }
        let _ = client.close().wait(&mut client);
    }
}
