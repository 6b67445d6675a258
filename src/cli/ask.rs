//! Asking a tidewire that runs, at the address of its own HTTP server.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Host and port of `http://host:port/...`.
pub(super) fn authority(url: &str) -> Result<String, String> {
    let wrong = || format!("`{url}` is not such as http://127.0.0.1:9090");
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    match port.map(str::parse::<u16>) {
        Some(Ok(_)) => Ok(authority.to_owned()),
        _ => Err(wrong()),
    }
}

/// The status and the body of the answer, of which no more than `bytes_max` are read.
pub(super) async fn get(
    authority: &str,
    path: &str,
    bytes_max: u64,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(bytes_max).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    match (status, body) {
        (Some(status), Some(body)) => Ok((status, body.to_owned())),
        _ => Err(std::io::Error::other("the answer is not HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_care() {
        assert_eq!(authority("http://h:1/x"), Ok("h:1".to_owned()));
        for rubbish in ["h:1", "https://h:1", "http://h", "http://h:x"] {
            assert!(authority(rubbish).is_err(), "{rubbish}");
        }
    }
}
