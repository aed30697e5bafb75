//! What one does with a promise: waiting for it, giving it a callback; and the types that promises come to.

use std::sync::Arc;
use std::time::Duration;

use crate::Client;
use crate::client::closures::Callback;
use crate::types::error::{Error, Result};
use crate::types::ids::Promise;
use crate::types::message::{Delivery, Response};
use crate::types::results::{CancelOk, Connected, Item, Outcome, QueueDeclareOk};

impl<T: PromiseValue> Promise<T> {
    /// [`Client::wait`], the other way round.
    ///
    /// # Errors
    /// Those of [`Client::wait`].
    pub fn wait(self, client: &mut Client) -> Result<T> {
        client.wait(self)
    }

    /// [`Client::wait_timeout`], the other way round.
    ///
    /// # Errors
    /// Those of [`Client::wait`].
    pub fn wait_timeout(self, client: &mut Client, timeout: Duration) -> Result<Option<T>> {
        client.wait_timeout(self, timeout)
    }

    /// Sets the callback for the promise's result, in place of any other, and hands the promise back.
    ///
    /// The callback runs inside [`Client::loop_forever`] and its kin, or when this promise is waited for; never at
    /// once. On a consumer it takes one delivery, the next; [`for_each`](Promise::for_each) takes them all.
    /// On a promise that has nothing more to give it runs with [`Error::UnknownPromise`].
    pub fn then(
        self,
        client: &mut Client,
        callback: impl FnOnce(&mut Client, Self, Result<T>) + Send + 'static,
    ) -> Self {
        let run = move |client: &mut Client, item: Result<Item>| {
            let result = item.and_then(|item| T::from_item(item, client));
            callback(client, self, result);
        };
        client.attach(self.id(), Callback::Once(Box::new(run)));
        self
    }
}

impl Promise<Delivery> {
    /// Sets the callback for every delivery of a consumer, in place of any other, and hands the promise back.
    ///
    /// Its last call brings the error that says how the consumer ended.
    pub fn for_each(
        self,
        client: &mut Client,
        callback: impl FnMut(&mut Client, Self, Result<Delivery>) + Send + 'static,
    ) -> Self {
        client.set_callback(self, callback);
        self
    }
}

/// The type of a promise's result. Sealed: there is no other.
pub trait PromiseValue: sealed::FromItem + 'static {}

mod sealed {
    use super::{Client, Item, Result};

    pub trait FromItem: Sized {
        #[doc(hidden)]
        fn from_item(item: Item, client: &mut Client) -> Result<Self>;
    }
}

/// What each kind of item comes to.
macro_rules! values {
    ($client:ident; $($pattern:pat => $type:ty: $value:expr;)*) => {
        $(
            impl PromiseValue for $type {}
            impl sealed::FromItem for $type {
                #[allow(unused_variables)]
                fn from_item(item: Item, $client: &mut Client) -> Result<Self> {
                    match item {
                        $pattern => Ok($value),
                        // No promise is made with another type than its request's result.
                        _ => Err(Error::bug("a promise has come to a value of another type")),
                    }
                }
            }
        )*
    };
}

values! { client;
    Item::Outcome(Outcome::Published | Outcome::Done) => (): ();
    Item::Outcome(Outcome::Connected(connected)) => Connected: Arc::unwrap_or_clone(connected);
    Item::Outcome(Outcome::QueueDeclareOk(ok)) => QueueDeclareOk: ok;
    Item::Outcome(Outcome::MessageCount(count)) => u32: count;
    Item::Outcome(Outcome::CancelOk(ok)) => CancelOk: ok;
    Item::Outcome(Outcome::Response(response)) => Response: *response;
    Item::Delivery(delivery) => Delivery: client.driver.unpack(delivery);
    Item::Outcome(Outcome::Got(got)) => Option<Delivery>: got.map(|delivery| client.driver.unpack(delivery));
}
