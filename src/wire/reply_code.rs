//! Why a channel or a connection is closed, or a message returned: AMQP's reply codes, under its own names.

macro_rules! reply_codes {
    ($($code:literal $name:ident)*) => {
        $(
            #[doc = stringify!($code)]
            pub(crate) const $name: u16 = $code;
        )*
    };
}

reply_codes! {
    200 REPLY_SUCCESS
    311 CONTENT_TOO_LARGE
    313 NO_CONSUMERS
    320 CONNECTION_FORCED
    402 INVALID_PATH
    403 ACCESS_REFUSED
    404 NOT_FOUND
    405 RESOURCE_LOCKED
    406 PRECONDITION_FAILED
    501 FRAME_ERROR
    502 SYNTAX_ERROR
    503 COMMAND_INVALID
    504 CHANNEL_ERROR
    505 UNEXPECTED_FRAME
    506 RESOURCE_ERROR
    530 NOT_ALLOWED
    540 NOT_IMPLEMENTED
    541 INTERNAL_ERROR
}
