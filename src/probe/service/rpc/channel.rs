//! One connection or socket on which calls are made, one after the other.

use super::message::{Call, record};
use crate::probe::dial::{Connection, Stop};
use crate::probe::reader::Reader;
use crate::probe::udp::exchange::{Exchange, Heard};

/// Most fragments of one record.
const FRAGMENTS: usize = 8;
/// Largest record, bytes.
const RECORD_LIMIT: usize = 32 << 10;

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The stream.
    #[error("{0}")]
    Stream(#[from] Stop),
    /// The datagram.
    #[error("no answer in time")]
    Datagram,
}

/// Where calls are made.
pub enum Channel {
    /// Records of a TCP connection.
    Stream(Connection),
    /// Datagrams.
    Datagrams(Exchange),
}

impl Channel {
    /// Whether long replies fit.
    pub const fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Makes one call; the reply's message.
    pub async fn call(&mut self, call: &Call<'_>) -> Result<Vec<u8>, Lost> {
        match self {
            Self::Stream(connection) => {
                connection.send(&record(&call.bytes())).await?;
                self.hear().await
            }
            Self::Datagrams(exchange) => match exchange.ask(&call.bytes(), |b| call.is_reply(b)).await {
                Heard::Answer(bytes) => Ok(bytes),
                _ => Err(Lost::Datagram),
            },
        }
    }

    /// The next record of a stream.
    pub async fn hear(&mut self) -> Result<Vec<u8>, Lost> {
        let Self::Stream(connection) = self else {
            return Err(Lost::Datagram);
        };
        let mut message = Vec::new();
        for _ in 0..FRAGMENTS {
            let mark = connection.exactly(4).await?;
            let mark = Reader::new(&mark).u32().ok_or(Stop::Malformed)?;
            let length = usize::try_from(mark & 0x7fff_ffff).map_err(|_| Stop::Limit)?;
            if message.len() + length > RECORD_LIMIT {
                return Err(Stop::Limit.into());
            }
            message.extend(connection.exactly(length).await?);
            if mark >> 31 == 1 {
                return Ok(message);
            }
        }
        Err(Stop::Limit.into())
    }
}
