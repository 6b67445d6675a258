//! Settings of traces.

use std::collections::BTreeMap;

use super::super::key::section;
use super::super::kinds::Url;
use super::super::secret::Secret;

section! {
    /// Traces by OTLP, of worker and broadcaster; off unless `endpoint` is set. docs/traces.md says
    /// what is in them. OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`,
    /// `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, ...) are heeded where nothing is set here.
    Traces "traces" {
        /// The collector, as in `http://collector:4318`: OTLP over HTTP, to which `/v1/traces` is
        /// appended.
        endpoint: Option<Url>;
        /// Headers of every request, such as a token, as in `authorization=Bearer%20abc`; several
        /// are separated by commas, and values percent-encoded.
        headers: Option<Secret>;
        /// One reading in so many is followed. Which ones, their places on the stream decide, so
        /// that a reading that is read again is followed again, in the same trace.
        one_in: u64 = "1000", 1..=1_000_000_000;
        /// The service's name in traces. Not set: `tidewire-worker` and `tidewire-broadcaster`.
        service_name: Option<String>;
        /// What else is to be said of the process, as in `{ "deployment.environment.name" = "test" }`.
        attributes: BTreeMap<String, String>;
        /// A file with a private authority's certificates in PEM, trusted beside the system's.
        ca_file: Option<String>;
    }
}
