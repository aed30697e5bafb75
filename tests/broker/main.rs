//! Against a real RabbitMQ, at `AMQP_URL`: `scripts/test` starts one. Each test has names of its own there; one that
//! may harm a broker starts a broker of its own.
//!
//! Where each of the scenarios of Python's puka has its counterpart:
//!
//! | puka | here |
//! |---|---|
//! | `test_basic`: `simple_roundtrip`, `..._with_connection_properties`, `purge`, `basic_get_ack`, `persistent`, `basic_reject`, `basic_reject_no_requeue`, `..._dead_letter_exchange`, `properties`, `broken_ack_on_close`, `close` | `basic`, `queue` |
//! | `test_basic`: `basic_publish_bad_exchange`, `basic_return` | `publish` |
//! | `test_basic`: `basic_ack_fail` | a forged tag does not compile, and twice is refused (`basic`); the broker's 406 is in `trouble` |
//! | `test_basic`: `basic_cancel` | `cancel` |
//! | `test_basic`: `basic_consume_fail`, `basic_qos` | `consume` |
//! | `test_basic`: `simple_roundtrip_with_heartbeat` | `connection`, `loss` |
//! | `test_async` (3) | `loops` |
//! | `test_bug3` (2) | `basic`: acknowledgements get out |
//! | `test_cancel` (5) | `cancel` |
//! | `test_connection` (3, and the one that puka leaves out, `wrong_vhost`) | `connection` |
//! | `test_consume` (5) | `consume`, `queue` (`access_refused`) |
//! | `test_exchange` (3) | `exchange`; deleting what is not there is no error since RabbitMQ 3.2 |
//! | `test_limits` (1) | `limits` |
//! | `test_publish_async` (6, in each of three ways) and `TestPublishAckDetection` | `publish`, each in three ways |
//! | `test_queue` (5) | `queue` |

mod auth;
mod basic;
mod blocked;
mod callers;
mod cancel;
mod connection;
mod consume;
mod dead_letters;
mod embedding;
mod exchange;
mod features;
mod handle;
mod limits;
mod liveness;
mod loops;
mod loss;
mod nodes;
mod publish;
mod queue;
mod recovery;
mod restored;
mod routing;
mod rules;
mod streams;
#[allow(
    dead_code,
    unused_imports,
    reason = "other test binaries need more of it"
)]
mod support;
mod table;
mod threads;
mod trouble;
mod unread;
mod words;
