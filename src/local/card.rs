//! What the stand says once everything is up: for people, and as one line of JSON for scripts.

use std::fmt::Write as _;

use serde::Serialize;

/// Where everything is. With `--json` this is printed as one line on standard output.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    /// Endpoint of the embedded Kinesis.
    pub kinesis: String,
    /// Endpoint of the embedded DynamoDB.
    pub dynamodb: String,
    /// Endpoint of the embedded SQS.
    pub sqs: String,
    /// Endpoint of the embedded Timestream Write; `POST /sql` reads back.
    pub timestream: String,
    /// The viewers' address.
    pub websocket: String,
    /// The `@connections` address.
    pub management: String,
    /// The page.
    pub page: String,
    /// Where devices publish by MQTT.
    pub mqtt: String,
    /// Prometheus metrics of the services.
    pub metrics: Vec<String>,
    /// The Kinesis stream.
    pub stream: String,
    /// The lease table.
    pub lease_table: String,
    /// The table of WebSocket connections.
    pub connection_table: String,
    /// The live queues.
    pub queue_urls: Vec<String>,
    /// The queue of dead letters.
    pub dead_letter_queue_url: String,
    /// The Timestream database.
    pub database: String,
    /// The Timestream table.
    pub table: String,
    /// A viewer's token, good for two hours.
    pub token: String,
    /// The config file all of it runs by.
    pub config: String,
}

impl Card {
    /// The same for people, with lines to copy.
    #[must_use]
    pub fn for_people(&self) -> String {
        let mut out = String::new();
        let mut say = |line: &str| {
            // Writing to a String cannot fail.
            let _written = writeln!(out, "{line}");
        };
        say("");
        say(&format!("  Open  {}", self.page));
        say("");
        say(&format!(
            "  kinesis      {}   stream {}",
            self.kinesis, self.stream
        ));
        say(&format!(
            "  timestream   {}   {}.{}, read back by POST /sql",
            self.timestream, self.database, self.table
        ));
        say(&format!("  sqs          {}", self.sqs));
        say(&format!(
            "  dynamodb     {}   {}, {}",
            self.dynamodb, self.lease_table, self.connection_table
        ));
        say(&format!("  websocket    {}", self.websocket));
        say(&format!("  @connections {}", self.management));
        say(&format!("  mqtt         {}", self.mqtt));
        for metrics in &self.metrics {
            say(&format!("  metrics      {metrics}"));
        }
        say(&format!("  config       {}", self.config));
        say("");
        say("  Put a reading of your own on the stream:");
        say("");
        say(
            "    echo '{\"device_id\":\"kitchen\",\"ts\":'$(date +%s%3N)',\"temperature\":21.5}' | tidewire feed -",
        );
        say("");
        say("  or publish it, as a device does on AWS IoT Core:");
        say("");
        say(&format!(
            "    mosquitto_pub -p {} -t devices/kitchen/readings -m '{{\"ts\":'$(date +%s%3N)',\"temperature\":21.5}}'",
            self.mqtt.rsplit(':').next().unwrap_or_default()
        ));
        say("");
        say("  or with any AWS client:");
        say("");
        say("    export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_REGION=us-east-1");
        say(&format!(
            "    aws --endpoint-url {} kinesis put-record --stream-name {} --partition-key kitchen \\",
            self.kinesis, self.stream
        ));
        say(
            "        --cli-binary-format raw-in-base64-out --data '{\"device_id\":\"kitchen\",\"ts\":'$(date +%s%3N)',\"temperature\":21.5}'",
        );
        say(&format!(
            "    curl {}/sql -d 'select * from {} order by time desc limit 5'",
            self.timestream, self.table
        ));
        say(&format!(
            "    aws --endpoint-url {} sqs get-queue-attributes --attribute-names All --queue-url {}",
            self.sqs, self.dead_letter_queue_url
        ));
        say("");
        say("  Ctrl-C drains and ends.");
        out
    }
}
