use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::service::tasks::Tasks;

struct Served {
    address: std::net::SocketAddr,
    tasks: Tasks,
    shutdown: CancellationToken,
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Served {
    async fn start() -> Self {
        let minted = AtomicU32::new(0);
        let token = move || format!("token-{}", minted.fetch_add(1, Ordering::Relaxed));
        let info = PageInfo::new("ws://127.0.0.1:4009/local", "sensors", token, || async {
            json!({ "rows": 7 })
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let served = Self {
            address: listener.local_addr().unwrap(),
            tasks: Tasks::new(),
            shutdown: CancellationToken::new(),
        };
        let shutdown = served.shutdown.clone();
        served.tasks.spawn("page", async move {
            serve(listener, info, shutdown).await.unwrap();
        });
        served
    }

    /// Asks for a path with these header lines.
    async fn ask(&self, path: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Answer {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(path, &format!("Host: {}\r\n", self.address)).await
    }
}

#[tokio::test]
async fn every_file_is_served_with_its_type_and_the_page_names_them() {
    let served = Served::start().await;
    for (path, kind, text) in FILES {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["content-type"], kind, "{path}");
        assert_eq!(answer.body, text, "{path}");
    }
    assert_eq!(served.get("/page.rs").await.status, 404);
    for (path, _, text) in FILES {
        // Imports and references: whatever one file names, another is.
        for quoted in text
            .split('"')
            .filter(|part| part.ends_with(".js") || part.ends_with(".css"))
        {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let named = match quoted.strip_prefix('.') {
                Some(beside) => format!("{folder}{beside}"),
                None => quoted.to_owned(),
            };
            assert!(
                FILES.iter().any(|(path, ..)| *path == named),
                "{path} names {quoted}"
            );
        }
    }
}

/// A module that is not served would be missed in a browser only.
#[test]
fn every_file_beside_it_is_served() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, below) in [("src/local/page", ""), ("clients/browser", "/client")] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".d.ts") || !(name.ends_with(".js") || name.ends_with(".css")) {
                continue;
            }
            let path = format!("{below}/{name}");
            assert!(FILES.iter().any(|file| file.0 == path), "{path}");
        }
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let served = Served::start().await;
    let answer = served.get("/").await;
    let policy = &answer.headers["content-security-policy"];
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(
        policy.contains("connect-src 'self' ws://127.0.0.1:* http://127.0.0.1:*;"),
        "{policy}"
    );
    for (path, _, text) in FILES {
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_page_is_told_where_to_connect_and_gets_a_fresh_token_each_time() {
    let served = Served::start().await;
    for token in ["token-0", "token-1"] {
        let answer = served.get("/api/info").await;
        let info: Value = serde_json::from_str(&answer.body).unwrap();
        let expected = json!({
            "websocket": "ws://127.0.0.1:4009/local", "stream": "sensors", "token": token,
        });
        assert_eq!(info, expected);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let state = served.get("/api/state").await;
    assert_eq!((state.status, state.body.as_str()), (200, r#"{"rows":7}"#));
}

#[tokio::test]
async fn other_names_for_this_machine_are_refused() {
    let served = Served::start().await;
    let port = served.address.port();
    for (headers, status) in [
        (format!("Host: 127.0.0.1:{port}\r\n"), 200),
        (format!("Host: LocalHost:{port}\r\n"), 200),
        (format!("Host: [::1]:{port}\r\n"), 200),
        ("Host: localhost\r\n".to_owned(), 200),
        (format!("Host: evil.example:{port}\r\n"), 403),
        (format!("Host: localhost.evil.example:{port}\r\n"), 403),
        ("Host: 127.0.0.1.evil.example\r\n".to_owned(), 403),
        ("Host: localhost@evil.example\r\n".to_owned(), 403),
        ("Host: 10.0.0.1\r\n".to_owned(), 403),
        (String::new(), 403),
        ("Host: localhost\r\nHost: evil.example\r\n".to_owned(), 403),
    ] {
        for path in ["/", "/api/info"] {
            assert_eq!(
                served.ask(path, &headers).await.status,
                status,
                "{path} {headers}"
            );
        }
    }
}

#[tokio::test]
async fn pages_of_other_origins_get_no_token() {
    let served = Served::start().await;
    for (site, status) in [
        ("same-origin", 200),
        ("none", 200),
        ("same-site", 403),
        ("cross-site", 403),
        ("", 403),
    ] {
        let headers = format!("Host: localhost\r\nSec-Fetch-Site: {site}\r\n");
        assert_eq!(
            served.ask("/api/info", &headers).await.status,
            status,
            "{site}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_that_never_comes_is_503() {
    let info = PageInfo::new("ws://127.0.0.1:1/x", "s", String::new, std::future::pending);
    assert_eq!(
        tell_state(State(info)).await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn it_is_served_on_loopback_only_and_ends_when_told() {
    let info = PageInfo::new("", "", String::new, || async { Value::Null });
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = serve(listener, info, CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);

    let served = Served::start().await;
    assert_eq!(served.get("/").await.status, 200);
    served.shutdown.cancel();
    served.tasks.ended().await;
}
