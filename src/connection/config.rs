//! What a connection is told at its start: who logs in, the user's options, and whose connection it is.

use std::time::Instant;

use crate::types::client_options::{AuthMechanism, ClientOptions};
use crate::types::ids::{ChannelId, PromiseId, PromiseNumber};
use crate::types::message::Origin;
use crate::wire::FieldTable;

/// What a connection needs to know from the start.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) login: Login,
    pub(crate) options: ClientOptions,
    /// Which client this is, for the promises of its deliveries.
    pub(crate) client: u32,
    /// Channel epochs count from here: no two connections of a client share any.
    pub(crate) epoch: u64,
    /// When it begins.
    pub(crate) now: Instant,
    /// Whether there is another socket once it was open.
    pub(crate) recovers: bool,
}

impl Config {
    pub(crate) fn id(&self, number: PromiseNumber) -> PromiseId {
        PromiseId {
            client: self.client,
            number,
        }
    }

    /// Where a delivery comes from; whose it is shows when the message is whole.
    pub(crate) fn origin(&self, channel: ChannelId, epoch: u64, tag: u64) -> Origin {
        Origin {
            promise: self.id(PromiseNumber(0)),
            channel,
            epoch,
            tag,
            no_ack: false,
            is_returned: false,
        }
    }
}

/// Who logs in, and to what. `Debug` does not show the password.
#[derive(Clone)]
pub(crate) struct Login {
    /// What may be used, the best first.
    pub(crate) mechanisms: Vec<AuthMechanism>,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
}

impl Login {
    /// The best mechanism that the broker offers, too.
    pub(crate) fn mechanism(&self, offered: &[u8]) -> Option<AuthMechanism> {
        let offers = |mechanism: &AuthMechanism| {
            let mut offered = offered.split(|&byte| byte == b' ');
            offered.any(|name| name == mechanism.name().as_bytes())
        };
        self.mechanisms.iter().copied().find(offers)
    }

    /// All that may be used.
    pub(crate) fn mechanism_names(&self) -> String {
        let names: Vec<_> = self.mechanisms.iter().map(|known| known.name()).collect();
        names.join(" ")
    }

    /// What the client says of itself.
    pub(crate) fn response(&self, mechanism: AuthMechanism) -> Vec<u8> {
        let Self {
            username, password, ..
        } = self;
        match mechanism {
            AuthMechanism::Plain => format!("\0{username}\0{password}").into_bytes(),
            // A table without its length.
            AuthMechanism::AmqPlain => {
                let login = FieldTable::new()
                    .with("LOGIN", username.as_str())
                    .with("PASSWORD", password.as_str());
                login.encoded().to_vec()
            }
            // The certificate says it.
            AuthMechanism::External => Vec::new(),
        }
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("mechanisms", &self.mechanisms)
            .field("username", &self.username)
            .field("vhost", &self.vhost)
            .finish_non_exhaustive()
    }
}
