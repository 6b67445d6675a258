//! `tidewire health`: the check for containers, whose images have no other tool to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Asks a running tidewire whether it is well; exits 0 if it is and 1 if not.
#[derive(Clone, Debug, clap::Args)]
pub struct Health {
    /// Its address [default: that of `http.listen`, on this host]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Ask whether it is ready to work rather than whether it is alive
    #[arg(long)]
    pub ready: bool,
}

/// Below the three seconds after which orchestrators commonly give up on a check.
const PATIENCE: Duration = Duration::from_secs(2);

/// More than any answer of `/livez` and `/readyz` needs.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

impl Health {
    /// Asks, where `listen` is the setting `http.listen`. `Ok` and `Err` both hold the one line to
    /// print.
    ///
    /// # Errors
    /// It is not well, cannot be reached, or does not answer in time.
    pub async fn run(&self, listen: SocketAddr) -> Result<String, String> {
        let default = format!("http://{}", reachable(listen));
        let url = self.url.as_deref().unwrap_or(&default);
        let path = if self.ready { "/readyz" } else { "/livez" };
        let authority = authority(url)?;
        match tokio::time::timeout(PATIENCE, get(&authority, path)).await {
            Ok(Ok((200, body))) => Ok(body),
            Ok(Ok((status, body))) => Err(format!("{authority}{path} answers {status}: {body}")),
            Ok(Err(error)) => Err(format!(
                "cannot ask {authority} ({error}): is tidewire running there?"
            )),
            Err(_) => Err(format!(
                "{authority}{path} does not answer within {} s",
                PATIENCE.as_secs()
            )),
        }
    }
}

/// The address by which a listener can be reached from its own host.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Host and port of `http://host:port/...`.
fn authority(url: &str) -> Result<String, String> {
    let wrong = || format!("`{url}` is not such as http://127.0.0.1:9090");
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    match port.map(str::parse::<u16>) {
        Some(Ok(_)) => Ok(authority.to_owned()),
        _ => Err(wrong()),
    }
}

async fn get(authority: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    match (status, body) {
        (Some(status), Some(body)) => Ok((status, body.trim().replace('\n', "; "))),
        _ => Err(std::io::Error::other("the answer is not HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::service::clock::Clock;
    use crate::service::http::{self, Probes, beat::Beats};
    use crate::service::tasks::Tasks;
    use crate::service::telemetry::exporter;

    #[tokio::test]
    async fn it_tells_a_live_process_from_an_unready_one_and_from_none() {
        let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let probes = Probes {
            beats: Beats::new(Clock::start()),
            ready: Arc::new(|| Err("no credentials".to_owned())),
            state: Arc::new(|| serde_json::Value::Null),
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let tasks = Tasks::new();
        let metrics = exporter::install().unwrap();
        tasks.spawn("http", async move {
            let shutdown = async { drop(stopped.await) };
            http::serve(listener, metrics, probes, shutdown)
                .await
                .unwrap();
        });

        let mut health = Health {
            url: None,
            ready: false,
        };
        assert_eq!(health.run(address).await, Ok("alive".to_owned()));
        health.ready = true;
        let unready = health.run(address).await.unwrap_err();
        assert!(
            unready.ends_with("/readyz answers 503: no credentials"),
            "{unready}"
        );
        drop(stop);
        tasks.ended().await;
        let gone = health.run(address).await.unwrap_err();
        assert!(gone.contains("is tidewire running there?"), "{gone}");
    }

    #[test]
    fn addresses_are_read_with_care() {
        let any = "0.0.0.0:9090".parse().unwrap();
        assert_eq!(reachable(any).to_string(), "127.0.0.1:9090");
        assert_eq!(authority("http://h:1/x"), Ok("h:1".to_owned()));
        for rubbish in ["h:1", "https://h:1", "http://h", "http://h:x"] {
            assert!(authority(rubbish).is_err(), "{rubbish}");
        }
    }
}
