//! What stands for `tls.rs` where TLS is not compiled in: no session can come to be.

use std::io::{self, IoSlice, Write};

use super::io::ReadOutcome;
use super::stream::Endpoint;
use crate::types::error::Disconnect;
use crate::types::tls_options::TlsOptions;

#[derive(Debug, Clone)]
pub(crate) enum TlsConfig {}

impl TlsConfig {
    pub(crate) fn new(_: &TlsOptions) -> Result<Self, String> {
        Err(
            "TLS is not compiled in: puka = { version = \"0.1\", features = [\"tls\"] } in Cargo.toml does"
                .into(),
        )
    }
}

#[derive(Debug)]
pub(super) enum Session {}

impl Session {
    pub(super) fn new(config: &TlsConfig, _: &str) -> Result<Self, Disconnect> {
        match *config {}
    }

    pub(super) fn read(
        &mut self,
        _: &mut Endpoint,
        _: [&mut [u8]; 2],
    ) -> Result<ReadOutcome, Disconnect> {
        match *self {}
    }

    pub(super) fn write(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn flush(&mut self, _: &mut dyn Write) -> io::Result<bool> {
        match *self {}
    }

    pub(super) fn wants_write(&self) -> bool {
        match *self {}
    }

    pub(super) fn is_up(&self) -> bool {
        match *self {}
    }

    pub(super) fn explain(&mut self, _: &mut Endpoint, _: Disconnect) -> Disconnect {
        match *self {}
    }

    pub(super) fn goodbye(&mut self, _: &mut Endpoint) {
        match *self {}
    }
}
