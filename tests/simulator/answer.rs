//! Promises and results of every type under one roof.

use std::time::Duration;

use puka::{
    CancelOk, Client, Connected, Delivery, Promise, PromiseId, PromiseValue, QueueDeclareOk,
    Response, Result,
};

/// What a promise gave.
#[derive(Debug)]
pub(crate) enum Value {
    Done,
    Connected(Box<Connected>),
    Queue(QueueDeclareOk),
    Count,
    Cancelled,
    Got(Option<Delivery>),
    Response(Response),
    Delivery(Delivery),
}

/// A promise whose type is known only here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Any {
    Done(Promise<()>),
    Connected(Promise<Connected>),
    Queue(Promise<QueueDeclareOk>),
    Count(Promise<u32>),
    Cancelled(Promise<CancelOk>),
    Got(Promise<Option<Delivery>>),
    Response(Promise<Response>),
    Delivery(Promise<Delivery>),
}

/// The types of results that this program knows.
pub(crate) trait Known: PromiseValue + Send {
    fn any(promise: Promise<Self>) -> Any
    where
        Self: Sized;
    fn value(self) -> Value;
}

macro_rules! known {
    ($($type:ty, $variant:ident, $it:ident => $value:expr;)*) => {
        $(
            impl Known for $type {
                fn any(promise: Promise<Self>) -> Any {
                    Any::$variant(promise)
                }
                fn value(self) -> Value {
                    let $it = self;
                    $value
                }
            }
        )*
    };
}

known! {
    (), Done, it => { let () = it; Value::Done };
    Connected, Connected, it => Value::Connected(Box::new(it));
    QueueDeclareOk, Queue, it => Value::Queue(it);
    u32, Count, it => { let _ = it; Value::Count };
    CancelOk, Cancelled, it => { drop(it); Value::Cancelled };
    Option<Delivery>, Got, it => Value::Got(it);
    Response, Response, it => Value::Response(it);
    Delivery, Delivery, it => Value::Delivery(it);
}

/// The same for each type.
macro_rules! each {
    ($any:expr, $promise:ident => $do:expr) => {
        match $any {
            Any::Done($promise) => $do,
            Any::Connected($promise) => $do,
            Any::Queue($promise) => $do,
            Any::Count($promise) => $do,
            Any::Cancelled($promise) => $do,
            Any::Got($promise) => $do,
            Any::Response($promise) => $do,
            Any::Delivery($promise) => $do,
        }
    };
}

impl Any {
    pub(crate) fn id(self) -> PromiseId {
        each!(self, promise => promise.id())
    }

    /// Without a limit it is `wait`, with one it is `wait_timeout`.
    pub(crate) fn wait(
        self,
        client: &mut Client,
        limit: Option<Duration>,
    ) -> Result<Option<Value>> {
        each!(self, promise => match limit {
            None => client.wait(promise).map(|it| Some(it.value())),
            Some(limit) => Ok(client.wait_timeout(promise, limit)?.map(Known::value)),
        })
    }

    /// `wait_any` over some of one type.
    pub(crate) fn wait_any(
        all: &[Self],
        client: &mut Client,
    ) -> Result<(PromiseId, Result<Value>)> {
        fn of<T: Known>(
            client: &mut Client,
            all: &[Promise<T>],
        ) -> Result<(PromiseId, Result<Value>)> {
            let (promise, result) = client.wait_any(all)?;
            Ok((promise.id(), result.map(Known::value)))
        }
        macro_rules! of_type {
            ($($variant:ident)*) => {
                match all.first() {
                    $(Some(Self::$variant(_)) => {
                        let same = all.iter().filter_map(|any| match any {
                            Self::$variant(promise) => Some(*promise),
                            _ => None,
                        });
                        let same: Vec<_> = same.collect();
                        of(client, &same)
                    })*
                    None => of::<()>(client, &[]),
                }
            };
        }
        of_type!(Done Connected Queue Count Cancelled Got Response Delivery)
    }
}
