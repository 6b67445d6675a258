//! Which port each part of the stand listens on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

/// The stand's listeners, all on 127.0.0.1, in the order of the ports they take from the base.
#[derive(Debug)]
pub struct Ports {
    /// The page.
    pub page: TcpListener,
    /// Kinesis.
    pub kinesis: TcpListener,
    /// DynamoDB.
    pub dynamodb: TcpListener,
    /// SQS.
    pub sqs: TcpListener,
    /// Timestream Write and its SQL endpoint.
    pub timestream: TcpListener,
    /// The WebSocket API and its `@connections`.
    pub websocket: TcpListener,
    /// Metrics, health and state of the services that run in the stand.
    pub metrics: TcpListener,
    /// MQTT, where devices publish.
    pub mqtt: TcpListener,
}

/// How many ports a stand takes.
pub const PORTS: u16 = 8;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody has the port.
    #[error(
        "port {port} on 127.0.0.1 is taken (by another `tidewire local`?): end that program, or \
         choose other ports with `--port-base N` (0 lets the system choose)"
    )]
    Taken {
        /// The port.
        port: u16,
    },
    /// The range does not fit.
    #[error(
        "`--port-base {base}` leaves no room for {PORTS} ports below 65536: choose a lower one"
    )]
    NoRoom {
        /// The base given.
        base: u16,
    },
    /// Anything else.
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose other ports with `--port-base N`")]
    Refused {
        /// The port.
        port: u16,
        /// The system's words.
        source: io::Error,
    },
}

impl Ports {
    /// Takes [`PORTS`] ports from `base` on; with 0, whatever the system has.
    ///
    /// # Errors
    /// A port that cannot be had.
    pub async fn take(base: u16) -> Result<Self, PortError> {
        if base.checked_add(PORTS).is_none() {
            return Err(PortError::NoRoom { base });
        }
        let port = |offset: u16| if base == 0 { 0 } else { base + offset };
        Ok(Self {
            page: listen(port(0)).await?,
            kinesis: listen(port(1)).await?,
            dynamodb: listen(port(2)).await?,
            sqs: listen(port(3)).await?,
            timestream: listen(port(4)).await?,
            websocket: listen(port(5)).await?,
            metrics: listen(port(6)).await?,
            mqtt: listen(port(7)).await?,
        })
    }
}

async fn listen(port: u16) -> Result<TcpListener, PortError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => PortError::Taken { port },
            _ => PortError::Refused { port, source },
        })
}

/// `http://127.0.0.1:PORT` of a listener.
#[must_use]
pub fn url(listener: &TcpListener) -> String {
    match listener.local_addr() {
        Ok(address) => format!("http://{address}"),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_remedy() {
        let taken = listen(0).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen(port).await.unwrap_err().to_string();
        assert!(
            error.contains(&port.to_string()) && error.contains("--port-base"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_base_too_high_is_refused() {
        assert!(matches!(
            Ports::take(65_530).await,
            Err(PortError::NoRoom { .. })
        ));
    }
}
