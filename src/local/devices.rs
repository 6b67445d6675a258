//! Simulated devices: believable values, so that the page has something worth looking at.

use serde_json::json;

use crate::model::EpochMillis;

/// One simulated message, ready to be put on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The device's id, which is also the partition key: a device's readings keep their order.
    pub device_id: String,
    /// The payload: one flat JSON object.
    pub data: Vec<u8>,
}

/// A number of devices that speak in turn.
#[derive(Debug)]
pub struct Fleet {
    devices: Vec<Device>,
    turn: usize,
}

#[derive(Debug)]
struct Device {
    id: String,
    kind: Kind,
    /// Where in its daily and hourly swing this device stands, so that no two look alike.
    phase: f64,
    wander: f64,
    last_ts: i64,
    dice: fastrand::Rng,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Greenhouse,
    Pump,
    Truck,
    Meter,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Greenhouse, "greenhouse"),
    (Kind::Pump, "pump"),
    (Kind::Truck, "truck"),
    (Kind::Meter, "meter"),
];

impl Fleet {
    /// `count` devices; the same seed makes the same devices.
    #[must_use]
    pub fn new(count: usize, seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let devices = (0..count)
            .map(|index| {
                let (kind, name) = KINDS[index % KINDS.len()];
                Device {
                    id: format!("{name}-{:03}", index / KINDS.len() + 1),
                    kind,
                    phase: dice.f64() * std::f64::consts::TAU,
                    wander: 0.0,
                    last_ts: i64::MIN,
                    dice: dice.fork(),
                }
            })
            .collect();
        Self { devices, turn: 0 }
    }

    /// The next `count` messages, devices in turn, as measured at `now`.
    pub fn speak(&mut self, count: usize, now: EpochMillis) -> Vec<Message> {
        if self.devices.is_empty() {
            return Vec::new();
        }
        (0..count)
            .map(|_| {
                let index = self.turn;
                self.turn = (self.turn + 1) % self.devices.len();
                self.devices[index].speak(now)
            })
            .collect()
    }
}

impl Device {
    fn speak(&mut self, now: EpochMillis) -> Message {
        // One device measures once a millisecond at most: the same instant twice with other
        // values would be a conflict, and a conflict here would be our own doing.
        let ts = now.0.max(self.last_ts.saturating_add(1));
        self.last_ts = ts;
        self.wander = (self.wander + self.dice.f64() - 0.5).clamp(-4.0, 4.0) * 0.98;
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of today fit f64 exactly"
        )]
        let seconds = ts as f64 / 1000.0;
        let swing = (seconds / 20.0 + self.phase).sin();
        let wander = self.wander;
        let id = &self.id;
        let body = match self.kind {
            Kind::Greenhouse => json!({
                "device_id": id, "ts": ts,
                "temperature": round(23.0 + 4.0 * swing + wander),
                "humidity": round(61.0 - 9.0 * swing + 2.0 * wander),
            }),
            Kind::Pump => json!({
                "device_id": id, "ts": ts,
                "pressure": round(5.2 + 0.6 * swing + 0.2 * wander),
                "vibration": round((0.8 + 0.3 * swing + 0.2 * wander).abs()),
                "running": swing > -0.9,
            }),
            Kind::Truck => json!({
                "device_id": id, "ts": ts,
                "speed": round((62.0 + 25.0 * swing + 3.0 * wander).max(0.0)),
                "cargo_temperature": round(-18.0 + swing + 0.5 * wander),
            }),
            Kind::Meter => json!({
                "device_id": id, "ts": ts,
                "power": round((1450.0 + 600.0 * swing + 80.0 * wander).max(0.0)),
                "voltage": round(230.0 + 1.5 * wander),
            }),
        };
        Message {
            device_id: id.clone(),
            data: body.to_string().into_bytes(),
        }
    }
}

/// Two decimals, as sensors send them.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_device_measures_twice_at_one_instant() {
        let mut fleet = Fleet::new(3, 7);
        let mut seen = std::collections::BTreeSet::new();
        for message in fleet.speak(300, EpochMillis(1_000_000)) {
            let body: serde_json::Value = serde_json::from_slice(&message.data).unwrap();
            assert!(seen.insert((message.device_id, body["ts"].as_i64())));
        }
    }

    #[test]
    fn devices_speak_in_turn() {
        let ids: Vec<_> = Fleet::new(4, 1)
            .speak(4, EpochMillis(0))
            .into_iter()
            .map(|m| m.device_id)
            .collect();
        assert_eq!(
            ids,
            ["greenhouse-001", "pump-001", "truck-001", "meter-001"]
        );
    }

    #[test]
    fn no_devices_say_nothing() {
        assert!(Fleet::new(0, 1).speak(10, EpochMillis(0)).is_empty());
    }
}
