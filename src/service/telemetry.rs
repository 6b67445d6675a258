//! What the process says about itself: log lines here, metrics in [`exporter`].

pub mod build;
pub mod document;
pub mod exporter;
mod repeats;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use self::repeats::Sparing;
use super::clock::Clock;
use super::settings::{Log, LogFormat};

/// Crates whose chatter below `warn` says nothing about our work; directives that an operator gives
/// for one of them win. `aws_config` looks for regions and keys in places that need not have them
/// and warns with whole answers of each: what is missing in the end, we say in a sentence.
const QUIET: &str = "aws_config=error,aws_credential_types=warn,aws_runtime=warn,\
    aws_sdk_apigatewaymanagement=warn,aws_sdk_dynamodb=warn,aws_sdk_kinesis=warn,aws_sdk_sqs=warn,\
    aws_sdk_timestreamwrite=warn,aws_sigv4=warn,aws_smithy_http_client=warn,\
    aws_smithy_runtime=warn,aws_smithy_runtime_api=warn,dynoxide=warn,ferrokinesis=warn,h2=warn,hyper=warn,hyper_util=warn,\
    lambda_runtime=warn,rustls=warn,tower=warn";

/// Log lines cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `RUST_LOG` is not a filter.
    #[error(
        "RUST_LOG is `{given}`: expected a level such as `info` or directives such as \
         `info,tidewire=debug`: {source}"
    )]
    Filter {
        /// What it is.
        given: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process has a subscriber already.
    #[error("log lines are set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up log lines for the process, on standard error: standard output belongs to what a
/// subcommand prints. `rust_log` is the variable `RUST_LOG`, which wins over the setting.
///
/// # Errors
/// `rust_log` is no filter, or this was called before.
pub fn init(log: &Log, rust_log: Option<&str>) -> Result<(), Error> {
    use tracing_subscriber::util::SubscriberInitExt as _;

    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(log, rust_log)?)
        .with_writer(std::io::stderr);
    let clock = Clock::start();
    if as_json(log.format, terminal) {
        let lines = builder
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_current_span(true)
            .map_event_format(|format| Sparing::new(format, true, clock));
        lines.finish().try_init()?;
    } else {
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        let lines = builder
            .with_ansi(colour)
            .map_event_format(|format| Sparing::new(format, false, clock));
        lines.finish().try_init()?;
    }
    Ok(())
}

fn as_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

fn filter(log: &Log, rust_log: Option<&str>) -> Result<EnvFilter, Error> {
    let given = rust_log
        .filter(|text| !text.is_empty())
        .unwrap_or(log.level.as_str());
    let build = |text: &str| EnvFilter::builder().parse(text);
    // A later directive replaces an earlier one for the same crate.
    build(&format!("{QUIET},{given}")).map_err(|source| Error::Filter {
        given: given.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::settings::Settings;

    fn log() -> Log {
        Settings::load(None, |_| None).unwrap().log
    }

    #[test]
    fn the_sdk_is_quiet_until_asked() {
        let quiet = filter(&log(), None).unwrap().to_string();
        assert!(quiet.contains("aws_smithy_runtime=warn"), "{quiet}");
        assert!(quiet.contains("info"), "{quiet}");
        let asked = filter(&log(), Some("debug,aws_smithy_runtime=trace")).unwrap();
        let asked = asked.to_string();
        assert!(asked.contains("aws_smithy_runtime=trace"), "{asked}");
        assert!(!asked.contains("aws_smithy_runtime=warn"), "{asked}");
    }

    #[test]
    fn a_bad_filter_is_named_with_its_remedy() {
        let error = filter(&log(), Some("tidewire=loud"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("RUST_LOG is `tidewire=loud`"), "{error}");
    }

    #[test]
    fn auto_is_text_for_people_and_json_for_machines() {
        assert!(!as_json(LogFormat::Auto, true));
        assert!(as_json(LogFormat::Auto, false));
        assert!(as_json(LogFormat::Json, true));
        assert!(!as_json(LogFormat::Text, false));
    }
}
