//! Against a real RabbitMQ, at `AMQP_URL`: `scripts/test` starts one. Each test has names of its own there; one that
//! may harm a broker starts a broker of its own.

mod basic;
mod cancel;
mod connection;
mod consume;
mod embedding;
mod exchange;
mod limits;
mod loops;
mod loss;
mod publish;
mod queue;
mod support;
mod trouble;
