//! Traces: the exporter that runs beside a service.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::model::Sampling;
use crate::otlp::{self, Otlp};
use crate::service::settings::Settings;
use crate::service::tasks::Tasks;
use crate::service::telemetry::build;
use crate::service::traces::standard::{self, Choice, Chosen};
use crate::service::traces::{Exporter, Tracer};

/// The longest that spans are waited for at the end: they are worth less than a prompt end.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Of the grace period, the share that the last spans get: half of what services leave of it
/// ([`crate::service::shutdown::Shares`]).
const FLUSH_PERCENT: u32 = 5;

/// The tracer of one service, and what brings its spans away.
#[derive(Debug)]
pub(super) struct Traces {
    /// For the service.
    pub(super) tracer: Tracer,
    exporter: Option<Exporter<Otlp>>,
    flush: Duration,
}

impl Traces {
    /// By the settings and OpenTelemetry's own variables. `service` is what it is called where
    /// nobody names it, `instance` tells it from others of that name.
    ///
    /// # Errors
    /// Headers or certificates cannot be used.
    pub(super) fn of(settings: &Settings, service: &str, instance: &str) -> Result<Self, Failure> {
        let grace = Duration::from_secs(settings.shutdown.grace_s);
        let flush = FLUSH_MAX.min(grace * FLUSH_PERCENT / 100);
        let env = |name: &str| std::env::var(name).ok();
        let chosen = match standard::choose(&settings.traces, env, otlp::PATH, service) {
            Choice::To(chosen) => Some(chosen),
            Choice::Off => None,
            Choice::Unfit(why) => {
                tracing::warn!(why, "no traces are exported");
                None
            }
        };
        let Some(chosen) = chosen else {
            return Ok(Self {
                tracer: Tracer::off(),
                exporter: None,
                flush,
            });
        };
        let one_in = settings.traces.one_in;
        let collector = collector(chosen, instance)?;
        let (tracer, spans) = Tracer::on(Sampling::one_in(one_in));
        tracing::info!(?collector, one_in, "traces are exported");
        Ok(Self {
            tracer,
            exporter: Some(Exporter::new(collector, spans)),
            flush,
        })
    }

    /// Does the work with the exporter beside it, then exports what is left, for a while. Dropping
    /// the future ends both.
    pub(super) async fn beside<T>(self, work: impl Future<Output = T>) -> T {
        let Some(exporter) = self.exporter else {
            return work.await;
        };
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        let stops = stop.clone().drop_guard();
        tasks.spawn("traces", exporter.run(stop));
        let ended = work.await;
        self.tracer.leave();
        drop(stops);
        if tokio::time::timeout(self.flush, tasks.ended())
            .await
            .is_err()
        {
            tracing::info!("the last spans were not exported in time");
        }
        ended
    }
}

fn collector(chosen: Chosen, instance: &str) -> Result<Otlp, Failure> {
    let headers = match &chosen.headers {
        Some(text) => otlp::headers(text.reveal()).ok_or_else(|| {
            Failure::settings(
                "`traces.headers` is not usable (not shown: it is a secret): expected \
                 `name=value`, several separated by commas, values percent-encoded",
            )
        })?,
        None => Vec::new(),
    };
    let mut resource = chosen.resource;
    let own = [
        ("service.version", build::VERSION),
        ("service.instance.id", instance),
    ];
    for (name, value) in own {
        if resource.iter().all(|(given, _)| given != name) {
            resource.push((name.to_owned(), value.to_owned()));
        }
    }
    let target = otlp::Target {
        url: chosen.url,
        headers,
        ca_pem: chosen.ca_file.as_deref().map(pem).transpose()?,
        resource,
    };
    Otlp::new(target).map_err(|error| Failure::settings(error.to_string()))
}

fn pem(path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::settings(format!(
            "`traces.ca_file`: {path} cannot be read ({error}): give the path of a readable PEM file"
        ))
    })
}
