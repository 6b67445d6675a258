//! `tidewire health`: the check for containers, whose images have no other tool to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::ask;

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
        let authority = ask::authority(url)?;
        match tokio::time::timeout(PATIENCE, ask::get(&authority, path, ANSWER_BYTES_MAX)).await {
            Ok(Ok((200, body))) => Ok(one_line(&body)),
            Ok(Ok((status, body))) => {
                let body = one_line(&body);
                Err(format!("{authority}{path} answers {status}: {body}"))
            }
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

fn one_line(body: &str) -> String {
    body.trim().replace('\n', "; ")
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
    fn a_listener_on_every_address_is_asked_on_this_host() {
        let any = "0.0.0.0:9090".parse().unwrap();
        assert_eq!(reachable(any).to_string(), "127.0.0.1:9090");
    }
}
