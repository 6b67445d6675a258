//! The other ways in: published keys, and tickets.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::door::key_set::{Fetching, KeySet};
use crate::model::{Ticket, TicketHash};
use crate::service::gateway::keys::Keys;

const TICKET: &str = "0123456789abcdef0123456789abcdef";
/// `printf %s $TICKET | sha256sum`, by bytes.
const HASH: [u8; 32] = [
    0x3e, 0xb1, 0xbd, 0x43, 0x99, 0x47, 0xeb, 0x76, 0x29, 0x98, 0xe5, 0x66, 0xcc, 0xc2, 0xe0, 0x99,
    0xc7, 0x91, 0x11, 0x8b, 0x2f, 0x40, 0x57, 0x9c, 0xc4, 0xf7, 0xda, 0x2b, 0x50, 0x61, 0xb7, 0xf9,
];

/// A stand that takes tickets, and one of them, good until `ends_s`.
fn with_ticket(ends_s: i64, ticket: Ticket, change: impl FnOnce(&mut Options)) -> Stand {
    let stand = Stand::with(|options| {
        options.tickets = true;
        change(options);
    });
    let filed = (ends_s, ticket);
    let mut tickets = stand.table.tickets.lock().unwrap();
    tickets.insert(TicketHash::of(&HASH), filed);
    drop(tickets);
    stand
}

fn offer(token: &str) -> String {
    format!("tidewire.v1, bearer.{token}")
}

#[tokio::test]
async fn a_ticket_lets_in_once_with_the_right_that_its_row_gives() {
    let right = Ticket {
        principal: Some("grace".to_owned()),
        allowed: Some(vec!["pump-*".to_owned()]),
        session_expires_at: Some(NOW_S + 600),
    };
    let stand = with_ticket(NOW_S + 5, right, |_| {});
    let log = Log::default();
    let listening = log.listen();
    let first = stand.connect(&offer(TICKET)).await;
    assert_eq!(
        (first.status_code, echoed(&first)),
        (200, Some("tidewire.v1"))
    );
    let row = stand.table.row(ID).unwrap();
    assert_eq!(row.principal.as_deref(), Some("grace"));
    assert_eq!(row.allowed, Some(vec!["pump-*".to_owned()]));
    assert_eq!(row.expires_at, Some(NOW_S + 600));
    assert_eq!(stand.connect(&offer(TICKET)).await.status_code, 401);
    drop(listening);
    let told = format!("{:?} {:?} {first:?} {}", stand.told(), row, log.text());
    assert!(!told.contains(TICKET), "{told}");
}

#[tokio::test]
async fn a_ticket_that_ran_out_is_refused_and_one_without_an_end_of_session_lasts_two_hours() {
    let late = with_ticket(NOW_S - 30, Ticket::default(), |_| {});
    assert_eq!(late.connect(&offer(TICKET)).await.status_code, 401);
    // The clocks of two machines may differ by what is forgiven to tokens as well.
    let just = with_ticket(NOW_S - 29, Ticket::default(), |_| {});
    assert_eq!(just.connect(&offer(TICKET)).await.status_code, 200);
    let row = just.table.row(ID).unwrap();
    assert_eq!(row.expires_at, Some(CONNECTED_AT / 1000 + 7_200));
}

#[tokio::test]
async fn a_ticket_needs_the_setting_and_the_claim_where_one_is_asked_for() {
    let off = with_ticket(NOW_S + 5, Ticket::default(), |options| {
        options.tickets = false
    });
    assert_eq!(off.connect(&offer(TICKET)).await.status_code, 401);
    assert_eq!(off.table.tickets.lock().unwrap().len(), 1, "not spent");
    let claim = with_ticket(NOW_S + 5, Ticket::default(), |options| {
        options.rules.allowed_claim = Some("devices".to_owned());
    });
    assert_eq!(claim.connect(&offer(TICKET)).await.status_code, 403);
    // A JWT is good beside it.
    let both = with_ticket(NOW_S + 5, Ticket::default(), |_| {});
    assert_eq!(both.connect(&offer(&token())).await.status_code, 200);
}

#[tokio::test]
async fn a_table_that_fails_is_no_verdict_on_the_ticket() {
    let stand = with_ticket(NOW_S + 5, Ticket::default(), |_| {});
    *stand.table.mood.lock().unwrap() = Mood::Broken;
    assert_eq!(stand.connect(&offer(TICKET)).await.status_code, 500);
}

/// Publishes nothing at first, then all stored keys.
#[derive(Debug, Default)]
struct Rotating {
    asked: AtomicUsize,
}

impl KeySet for Rotating {
    fn fetch(&self) -> Fetching<'_> {
        let before = self.asked.fetch_add(1, Ordering::SeqCst);
        let stored: Value = serde_json::from_str(include_str!("../token/tokens.json")).unwrap();
        Box::pin(async move {
            match before {
                0 => Err(CallFailed {
                    operation: "JWKS",
                    fault: Fault::Transient,
                    message: "nobody there".to_owned(),
                }),
                _ => Ok(stored["jwks"].to_string()),
            }
        })
    }
}

fn stored_token(name: &str) -> String {
    let stored: Value = serde_json::from_str(include_str!("../token/tokens.json")).unwrap();
    stored[name].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn published_keys_let_in_once_they_can_be_read() {
    let set = Arc::new(Rotating::default());
    let mut stand = Stand::with(|options| {
        options.rules.keys = Keys::none();
        options.rules.audiences = vec!["tidewire".to_owned()];
    });
    stand.gateway = stand
        .gateway
        .with_key_set(Arc::clone(&set) as Arc<dyn KeySet>, Clock::of_the_runtime());
    let good = offer(&stored_token("es256"));
    assert_eq!(stand.connect(&good).await.status_code, 503);
    assert_eq!(
        stand.connect(&good).await.status_code,
        503,
        "too soon to ask again"
    );
    // What is no token at all is never a reason to ask.
    assert_eq!(stand.connect(&offer("rubbish")).await.status_code, 401);
    assert_eq!(set.asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(stand.connect(&good).await.status_code, 200);
    assert_eq!(
        stand
            .connect(&offer(&stored_token("rs256")))
            .await
            .status_code,
        200
    );
    // Signed with a secret of somebody's own: no published key is for that.
    assert_eq!(stand.connect(&offer(&token())).await.status_code, 401);
    assert_eq!(set.asked.load(Ordering::SeqCst), 2);
}
