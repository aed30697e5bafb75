//! Replies that the broker owes.

use crate::connection::request::Call;
use crate::types::ids::PromiseNumber;
use crate::wire::Method;

/// A reply that the broker owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    OpenOk,
    SelectOk,
    Call(Call),
    Get,
    QosOk,
    ConsumeOk,
    /// Of a consumer that ends.
    CancelOk,
    /// Of a consumer that another, with a new prefetch, has replaced; the last one settles `basic_qos`'s promise.
    Replaced(Option<PromiseNumber>),
    /// For `basic_recover`'s promise.
    RecoverOk(PromiseNumber),
}

impl Expect {
    /// Whether that method may be the reply. What comes on a channel of calls is for the oldest call, or for nobody: the
    /// call itself says.
    pub(crate) fn may_be(&self, method: &Method<'_>) -> bool {
        matches!(
            (self, method),
            (Self::OpenOk, Method::ChannelOpenOk(_))
                | (Self::SelectOk, Method::ConfirmSelectOk(_))
                | (Self::Get, Method::BasicGetEmpty(_))
                | (Self::QosOk, Method::BasicQosOk(_))
                | (Self::RecoverOk(_), Method::BasicRecoverOk(_))
                | (Self::CancelOk | Self::Replaced(_), Method::BasicCancelOk(_))
                | (Self::Call(_), _)
        )
    }
}
