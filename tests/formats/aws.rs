//! Messages in the shapes that AWS's documents show: a device's state as AWS IoT publishes it, a
//! thing's shadow, a rule's output with a binary message in base64, and the blog's sensor message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ciborium::cbor;

use crate::shown;

#[test]
fn a_sensor_message_as_in_the_iot_core_rule_tutorial() {
    // AWS IoT Core developer guide, "Republishing an MQTT message": topic device/+/data.
    let payload = r#"{"temperature": 28, "humidity": 80, "barometer": 1013,
        "wind": {"velocity": 22, "bearing": 255}}"#;
    let settings = "[decode]\ndevice_id = \"partition_key\"\n";
    assert_eq!(
        shown(settings, payload.as_bytes()).lines(),
        "{\"device_id\":\"pump-9\",\"time_ns\":\"1700000000000000000\",\"measures\":\
         {\"barometer\":1013.0,\"humidity\":80.0,\"temperature\":28.0,\"wind.bearing\":255.0,\
         \"wind.velocity\":22.0},\"sub\":0,\"i\":0}\n"
    );
}

#[test]
fn a_shadow_document_as_the_shadow_service_publishes_it() {
    // AWS IoT Core developer guide, "Shadow documents": /update/accepted, times in seconds.
    let payload = r#"{"state": {"reported": {"color": "red", "on": true}},
        "metadata": {"reported": {"color": {"timestamp": 1699999999}, "on": {"timestamp": 1699999999}}},
        "version": 10, "clientToken": "client-1", "timestamp": 1699999999}"#;
    let settings = r#"
[decode]
device_id = "partition_key"
time_field = "timestamp"
time_unit = "s"
include = ["state.reported.*"]
rename = { "state.reported.color" = "color", "state.reported.on" = "on" }
"#;
    assert_eq!(
        shown(settings, payload.as_bytes()).lines(),
        "{\"device_id\":\"pump-9\",\"time_ns\":\"1699999999000000000\",\"measures\":\
         {\"color\":\"red\",\"on\":true},\"sub\":0,\"i\":0}\n"
    );
}

#[test]
fn a_binary_message_as_a_rule_encodes_it() {
    // AWS IoT Core developer guide, "Working with binary payloads": SELECT encode(*, 'base64') AS
    // data, topic(2) AS device, timestamp() AS ts.
    let object = cbor!({ "t" => 21.5 }).unwrap();
    let mut cbor = Vec::new();
    ciborium::into_writer(&object, &mut cbor).unwrap();
    let payload = serde_json::json!({
        "data": STANDARD.encode(cbor), "device": "pump-1", "ts": 1_699_999_999_250_i64,
    });
    let settings = r#"
[decode]
format = "cbor"
envelope = "field:data"
device_id = "field:device"
time_field = "ts"
time_unit = "ms"
"#;
    assert_eq!(
        shown(settings, payload.to_string().as_bytes()).lines(),
        "{\"device_id\":\"pump-1\",\"time_ns\":\"1699999999250000000\",\"measures\":{\"t\":21.5},\
         \"sub\":0,\"i\":0}\n"
    );
}
