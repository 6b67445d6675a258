//! Which collector, and who the spans are from: by our settings, else by OpenTelemetry's own
//! variables ("OpenTelemetry Protocol Exporter", "Environment Variable Specification").

use std::collections::BTreeMap;

use crate::model::Secret;
use crate::model::percent::decoded;
use crate::service::settings::Traces;

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// Nobody asked for traces.
    Off,
    /// The variables ask for what there is not; why.
    Unfit(String),
    /// To this collector.
    To(Chosen),
}

/// A collector, and who the spans are from.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The whole address.
    pub url: String,
    /// Headers, as OpenTelemetry writes them.
    pub headers: Option<Secret>,
    /// The file of a private authority.
    pub ca_file: Option<String>,
    /// OpenTelemetry's resource: `service.name` first.
    pub resource: Vec<(String, String)>,
}

/// Decides. `path` is where spans go below a collector's address, `service` the name where nobody
/// gives another.
///
/// What is set wins over variables. A variable's headers and certificates go to a variable's
/// collector only: they are secrets of that one.
#[must_use]
pub fn choose(
    traces: &Traces,
    env: impl Fn(&str) -> Option<String>,
    path: &str,
    service: &str,
) -> Choice {
    let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    // A variable for traces alone wins over the one for all signals.
    let signal = |name: &str| {
        let own = env(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
        own.or_else(|| env(&format!("OTEL_EXPORTER_OTLP_{name}")))
    };
    let resource = resource(traces, env, service);
    if let Some(endpoint) = &traces.endpoint {
        return Choice::To(Chosen {
            url: below(endpoint.as_str(), path),
            headers: traces.headers.clone(),
            ca_file: traces.ca_file.clone(),
            resource,
        });
    }
    let is_off = env("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
        || env("OTEL_TRACES_EXPORTER").is_some_and(|names| !names.contains("otlp"));
    let whole = env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let base = || env("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| below(&base, path));
    let Some(url) = whole.or_else(base).filter(|_| !is_off) else {
        return Choice::Off;
    };
    if signal("PROTOCOL").is_some_and(|protocol| protocol == "grpc") {
        return Choice::Unfit(
            "OTEL_EXPORTER_OTLP_PROTOCOL asks for gRPC: set it to `http/protobuf` and the endpoint to \
             the collector's port for that, mostly 4318, or set `traces.endpoint`"
                .to_owned(),
        );
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Choice::Unfit(
            "OTEL_EXPORTER_OTLP_ENDPOINT does not begin with `http://` or `https://`".to_owned(),
        );
    }
    Choice::To(Chosen {
        url,
        headers: traces
            .headers
            .clone()
            .or_else(|| signal("HEADERS").map(Secret::new)),
        ca_file: traces.ca_file.clone().or_else(|| signal("CERTIFICATE")),
        resource,
    })
}

fn below(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    match base.ends_with(path) {
        true => base.to_owned(),
        false => format!("{base}{path}"),
    }
}

/// `service.name` is in it once, whoever gives it.
fn resource(
    traces: &Traces,
    env: impl Fn(&str) -> Option<String>,
    service: &str,
) -> Vec<(String, String)> {
    const NAME: &str = "service.name";
    let given = env("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let pairs = given.split(',').filter_map(|pair| pair.split_once('='));
    let mut all: BTreeMap<String, String> = pairs
        .filter_map(|(name, value)| Some((name.trim().to_owned(), decoded(value.trim())?)))
        .collect();
    all.extend(traces.attributes.clone());
    let named = all.remove(NAME);
    let name = traces.service_name.clone();
    let name = name.or_else(|| env("OTEL_SERVICE_NAME")).or(named);
    let name = name.unwrap_or_else(|| service.to_owned());
    let mut resource = vec![(NAME.to_owned(), name)];
    resource.extend(all);
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::settings::Settings;

    fn chosen(settings: &[(&str, &str)], variables: &[(&str, &str)]) -> Choice {
        let of = |set: &[(&str, &str)], name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let read = Settings::load(None, |name| of(settings, name)).unwrap();
        choose(
            &read.traces,
            |name| of(variables, name),
            "/v1/traces",
            "toys",
        )
    }

    fn to(choice: Choice) -> Chosen {
        match choice {
            Choice::To(chosen) => chosen,
            other => panic!("{other:?}"),
        }
    }

    const OURS: (&str, &str) = ("TIDEWIRE_TRACES__ENDPOINT", "http://ours:4318/");
    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs:4318");
    const TOKEN: (&str, &str) = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=theirs");

    #[test]
    fn nobody_is_traced_who_did_not_ask() {
        assert_eq!(chosen(&[], &[]), Choice::Off);
        assert_eq!(
            chosen(&[], &[("OTEL_SERVICE_NAME", "x"), TOKEN]),
            Choice::Off
        );
        for off in [
            ("OTEL_SDK_DISABLED", "True"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ] {
            assert_eq!(chosen(&[], &[BASE, off]), Choice::Off);
            let ours = to(chosen(&[OURS], &[BASE, off]));
            assert_eq!(ours.url, "http://ours:4318/v1/traces", "what is set wins");
        }
    }

    #[test]
    fn a_token_of_the_variables_goes_to_their_collector_only() {
        let theirs = to(chosen(&[], &[BASE, TOKEN]));
        assert_eq!(theirs.url, "http://theirs:4318/v1/traces");
        assert_eq!(theirs.headers, Some(Secret::new("authorization=theirs")));
        let ours = to(chosen(&[OURS], &[BASE, TOKEN]));
        assert_eq!(ours.url, "http://ours:4318/v1/traces");
        assert_eq!(ours.headers, None);
    }

    #[test]
    fn the_variable_for_traces_alone_is_taken_as_it_is() {
        let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/otlp/x");
        assert_eq!(to(chosen(&[], &[BASE, whole])).url, "https://t/otlp/x");
    }

    #[test]
    fn what_there_is_not_is_said_and_ends_nothing() {
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let Choice::Unfit(why) = chosen(&[], &[BASE, grpc]) else {
            panic!("taken");
        };
        assert!(why.contains("4318"), "{why}");
        let odd = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
        assert!(matches!(chosen(&[], &[odd]), Choice::Unfit(_)));
    }

    #[test]
    fn a_service_has_one_name() {
        let given = (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=a,site=north%2Cwest,odd",
        );
        let names = |settings: &[(&str, &str)], variables: &[(&str, &str)]| {
            let mut all = vec![BASE];
            all.extend(variables);
            to(chosen(settings, &all)).resource
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(names(&[], &[]), [pair("service.name", "toys")]);
        let site = pair("site", "north,west");
        assert_eq!(names(&[], &[given]), [pair("service.name", "a"), site]);
        let named = ("OTEL_SERVICE_NAME", "b");
        assert_eq!(names(&[], &[given, named])[0], pair("service.name", "b"));
        let ours = ("TIDEWIRE_TRACES__SERVICE_NAME", "c");
        assert_eq!(
            names(&[ours], &[given, named])[0],
            pair("service.name", "c")
        );
        let more = ("TIDEWIRE_TRACES__ATTRIBUTES", "site=south");
        assert_eq!(names(&[more], &[given])[1], pair("site", "south"));
    }
}
