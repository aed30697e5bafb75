//! What other programs do with the broker, and its operator: publish, take, add users.

use super::broker::Broker;
use super::model::{Permissions, Publish, Refusal};
use super::view::MessageView;
use crate::types::error::{Error, Result};
use crate::types::message::{Message, Returned};
use crate::types::reply::Reply;
use crate::wire::ShortStr;

impl Broker {
    /// Publishes a message, as some other program would.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such exchange, [`Error::NoRoute`] if the message is
    /// [`mandatory`](Message::mandatory) and no queue gets it, [`Error::Nacked`] if a queue is full that refuses what is
    /// too much; and whatever else a client's publish would fail with.
    pub fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        message: impl Into<Message>,
    ) -> Result<()> {
        let message = message.into();
        let publish = Publish {
            exchange,
            routing_key,
            immediate: false,
            is_confirmed: false,
            properties: message.properties.clone(),
            body: message.body.clone(),
        };
        let published = self.settled().node.publish(&self.vhost, publish);
        let published = published.map_err(refused)?;
        if message.mandatory && !published.is_routed {
            return Err(Error::NoRoute(Box::new(Returned {
                reply_code: 312,
                reply_text: ShortStr::from("NO_ROUTE"),
                exchange: exchange.into(),
                routing_key: routing_key.into(),
                properties: message.properties,
                body: message.body,
            })));
        }
        match published.is_accepted {
            true => Ok(()),
            false => Err(Error::Nacked),
        }
    }

    /// Takes a message away, as some other program would, and acknowledges it; `None` if none is ready.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such queue; [`Error::ResourceLocked`] if a connection has it for itself.
    pub fn take(&self, queue: &str) -> Result<Option<MessageView>> {
        let got = self.settled().node.get(&self.vhost, queue);
        let got = got.map_err(refused)?;
        Ok(got.map(|got| MessageView::of(got.message, got.redelivered)))
    }

    /// A user, who may do nothing yet; if he is there, he has another password now.
    pub fn add_user(&self, name: &str, password: &str) {
        self.cluster.lock().node.add_user(name, password);
    }

    /// What a user may do in this virtual host: [three
    /// patterns](https://www.rabbitmq.com/docs/access-control#authorisation) of names, in the order of `rabbitmqctl
    /// set_permissions`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there is no such user, or for a regular expression that `puka::testing` does not know.
    pub fn set_permissions(
        &self,
        user: &str,
        configure: &str,
        write: &str,
        read: &str,
    ) -> Result<()> {
        let permissions = Permissions {
            configure: configure.into(),
            write: write.into(),
            read: read.into(),
        };
        let mut state = self.cluster.lock();
        let set = state.node.set_permissions(user, &self.vhost, permissions);
        set.map_err(Error::InvalidArgument)
    }
}

/// As a client would be told.
fn refused(refusal: Refusal) -> Error {
    let text = refusal.text.as_bytes();
    Error::from_reply(Reply::from_broker(refusal.code, text, 0, 0))
}
