//! One client's connection, from CONNECT to its end.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, Packet, PubAck, Publish, SubAck, Subscribe,
    SubscribeReasonCode, UnsubAck,
};
use rumqttc::mqttbytes::{Error as Malformed, Protocol, QoS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Shared, topic};
use crate::door::put::Put;

/// Bytes of a payload (AWS IoT Core: MQTT message size).
const PAYLOAD_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a packet: a payload, and a topic with what is around it.
const PACKET_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 1024;
/// From a connection's beginning to its CONNECT.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A packet that is not taken for so long ends its connection.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// What a keep-alive of none counts as (AWS IoT Core: the longest).
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(1_200);
/// Filters of one SUBSCRIBE (AWS IoT Core: subscriptions per subscribe request).
const FILTERS_A_REQUEST_MAX: usize = 8;

const MQTT_5: &str = "MQTT 5 is not served here, 3.1.1 is (mosquitto_pub -V mqttv311)";

/// Why a connection ends that was not closed by a DISCONNECT.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it sent what is no MQTT 3.1.1: {0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    Refused(&'static str),
}

/// Whether accepting goes on after this.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// A socket that speaks in packets.
struct Wire {
    stream: TcpStream,
    input: BytesMut,
}

/// MQTT 5's way to say that it is not spoken: CONNACK, no properties, reason 0x84.
const NOT_MQTT_5: [u8; 5] = [0x20, 3, 0, 0x84, 0];
/// The header that a CONNECT of MQTT 3.1.1 and of 5 begins with has so many bytes at most.
const CONNECT_HEAD_BYTES: usize = 12;

impl Wire {
    /// The first packet; a client of MQTT 5 is told that this is not spoken, in its own words.
    async fn first(&mut self) -> Result<Option<Packet>, Ended> {
        while self.input.len() < CONNECT_HEAD_BYTES {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                break;
            }
        }
        let head = &self.input[..self.input.len().min(CONNECT_HEAD_BYTES)];
        if head.windows(5).any(|bytes| bytes == b"MQTT\x05") {
            self.stream.write_all(&NOT_MQTT_5).await?;
            return Err(Ended::Refused(MQTT_5));
        }
        self.read().await
    }

    /// The next packet; none at the end of the stream. Dropped half way it loses nothing.
    async fn read(&mut self) -> Result<Option<Packet>, Ended> {
        loop {
            match Packet::read(&mut self.input, PACKET_BYTES_MAX) {
                Ok(packet) => return Ok(Some(packet)),
                Err(Malformed::InsufficientBytes(_)) => {}
                Err(error) => return Err(error.into()),
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn write(&mut self, packet: &Packet) -> Result<(), Ended> {
        let mut output = BytesMut::new();
        packet.write(&mut output, PACKET_BYTES_MAX)?;
        let written = tokio::time::timeout(WRITE_WITHIN, self.stream.write_all(&output)).await;
        written.map_err(|_| Ended::Refused("it does not read"))??;
        Ok(())
    }
}

struct Session<'a, P> {
    wire: Wire,
    name: String,
    shared: &'a Shared<P>,
}

/// Serves one connection.
///
/// # Errors
/// It ended otherwise than by DISCONNECT.
pub(super) async fn run<P: Put>(
    stream: TcpStream,
    number: u64,
    shared: &Shared<P>,
) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    let mut wire = Wire {
        stream,
        input: BytesMut::new(),
    };
    let first = tokio::time::timeout(CONNECT_WITHIN, wire.first()).await;
    let first = first.map_err(|_| Ended::Refused("it sent no CONNECT in time"))??;
    let Some(Packet::Connect(connect)) = first else {
        return Err(Ended::Refused("its first packet was no CONNECT"));
    };
    let name = admit(&mut wire, &connect, number).await?;
    let leave = CancellationToken::new();
    let mail = shared.subscribers.enter(&name, number, leave.clone());
    let mut session = Session { wire, name, shared };
    let ended = session.serve(&connect, mail, leave).await;
    shared.subscribers.leave(&session.name, number);
    if let (Err(_), Some(will)) = (&ended, &connect.last_will) {
        let will = Publish::new(&will.topic, QoS::AtMostOnce, &will.message[..]);
        let _broken_off = session.publish(&will).await;
    }
    ended
}

/// Answers a CONNECT; the client's name.
async fn admit(wire: &mut Wire, connect: &Connect, number: u64) -> Result<String, Ended> {
    let is_named = !connect.client_id.is_empty();
    let (code, refusal) = match (connect.protocol, is_named || connect.clean_session) {
        (Protocol::V5, _) => (ConnectReturnCode::RefusedProtocolVersion, Some(MQTT_5)),
        (Protocol::V4, false) => (
            ConnectReturnCode::BadClientId,
            Some("a session that is to be kept needs a client id"),
        ),
        (Protocol::V4, true) => (ConnectReturnCode::Success, None),
    };
    wire.write(&Packet::ConnAck(ConnAck::new(code, false)))
        .await?;
    match refusal {
        Some(refusal) => Err(Ended::Refused(refusal)),
        None if is_named => Ok(connect.client_id.clone()),
        None => Ok(format!("unnamed-{number}")),
    }
}

impl<P: Put> Session<'_, P> {
    async fn serve(
        &mut self,
        connect: &Connect,
        mut mail: mpsc::Receiver<Publish>,
        leave: CancellationToken,
    ) -> Result<(), Ended> {
        // A client is given up after one and a half of what it promised (MQTT 3.1.1, 3.1.2.10).
        let silence = match connect.keep_alive {
            0 => KEEP_ALIVE_MAX,
            seconds => Duration::from_secs(seconds.into()).min(KEEP_ALIVE_MAX),
        };
        let mut heard = tokio::time::Instant::now();
        loop {
            let packet = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return Ok(()),
                () = leave.cancelled() => {
                    return Err(Ended::Refused("another client came under its name"));
                }
                () = tokio::time::sleep_until(heard + silence * 3 / 2) => {
                    return Err(Ended::Refused("it said nothing for longer than its keep-alive"));
                }
                Some(message) = mail.recv() => {
                    self.wire.write(&Packet::Publish(message)).await?;
                    continue;
                }
                packet = self.wire.read() => packet?,
            };
            let Some(packet) = packet else {
                return Err(Ended::Refused("it went without a DISCONNECT"));
            };
            if packet == Packet::Disconnect {
                return Ok(());
            }
            self.answer(packet).await?;
            heard = tokio::time::Instant::now();
        }
    }

    async fn answer(&mut self, packet: Packet) -> Result<(), Ended> {
        let answer = match packet {
            Packet::Publish(message) => {
                check(&message)?;
                if !self.publish(&message).await {
                    // Not acknowledged: the client says it again to whoever listens next.
                    return Err(Ended::Refused("the stand ends"));
                }
                match message.qos {
                    QoS::AtLeastOnce => Packet::PubAck(PubAck::new(message.pkid)),
                    _ => return Ok(()),
                }
            }
            Packet::Subscribe(subscribe) => Packet::SubAck(self.subscribe(&subscribe)?),
            Packet::Unsubscribe(unsubscribe) => {
                for filter in &unsubscribe.topics {
                    self.shared.subscribers.unsubscribe(&self.name, filter);
                }
                Packet::UnsubAck(UnsubAck::new(unsubscribe.pkid))
            }
            Packet::PingReq => Packet::PingResp,
            _ => {
                return Err(Ended::Refused(
                    "it sent a packet that is not a client's to send",
                ));
            }
        };
        self.wire.write(&answer).await
    }

    /// Whether it is where it belongs, rather than broken off by the stand's end.
    async fn publish(&self, message: &Publish) -> bool {
        let mut copy = Publish::from_bytes(
            message.topic.clone(),
            QoS::AtMostOnce,
            message.payload.clone(),
        );
        copy.retain = false;
        self.shared.subscribers.publish(&copy);
        // A stand that ends does not wait for a stream that throttles.
        let taken = self.shared.onto.take(&self.name, message);
        let taken = self.shared.stop.run_until_cancelled(taken).await;
        taken.is_some()
    }

    fn subscribe(&self, asked: &Subscribe) -> Result<SubAck, Ended> {
        if asked.filters.len() > FILTERS_A_REQUEST_MAX {
            return Err(Ended::Refused("more than 8 filters in one SUBSCRIBE"));
        }
        let codes = asked.filters.iter().map(|filter| {
            match self.shared.subscribers.subscribe(&self.name, &filter.path) {
                true => SubscribeReasonCode::Success(QoS::AtMostOnce),
                false => SubscribeReasonCode::Failure,
            }
        });
        Ok(SubAck::new(asked.pkid, codes.collect()))
    }
}

/// What AWS IoT Core closes a connection for.
fn check(message: &Publish) -> Result<(), Ended> {
    if message.qos == QoS::ExactlyOnce {
        return Err(Ended::Refused(
            "QoS 2 is not served, by AWS IoT Core neither",
        ));
    }
    if !topic::is_topic(&message.topic) {
        return Err(Ended::Refused(
            "a topic has 1 to 256 bytes, at most 7 slashes and no wildcard",
        ));
    }
    if message.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Ended::Refused("a payload has at most 128 KB"));
    }
    Ok(())
}
