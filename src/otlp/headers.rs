//! Headers as OpenTelemetry writes them into one variable: `name=value,name=value`, values
//! percent-encoded where they hold a comma and the like.

use crate::model::Secret;
use crate::model::percent::decoded;

/// A header of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name, in lower case.
    pub name: String,
    /// Its value, often a token.
    pub value: Secret,
}

/// Reads headers; none where the text is not of that form. What is wrong is not said: it is a
/// secret.
#[must_use]
pub fn headers(text: &str) -> Option<Vec<Header>> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(header).collect()
}

fn header(part: &str) -> Option<Header> {
    let (name, value) = part.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    let value = decoded(value.trim())?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let named = !name.is_empty() && name.bytes().all(is_token);
    let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (named && printable).then(|| Header::new(&name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let read = headers("Authorization=Basic%20dTpw, x-scope = a=b ,").unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|header| (header.name.as_str(), header.value.reveal()))
            .collect();
        assert_eq!(read, [("authorization", "Basic dTpw"), ("x-scope", "a=b")]);
        assert_eq!(headers(""), Some(Vec::new()));
        for bad in [
            "token", "=x", "a b=c", "a=%4", "a=%zz", "a=\u{e9}", "a=x%0ay",
        ] {
            assert_eq!(headers(bad), None, "{bad}");
        }
    }
}
