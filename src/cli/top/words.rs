//! Numbers and text as people read them, within a width.

/// What is not known.
pub(super) fn unknown() -> String {
    "-".to_owned()
}

/// Seconds, minutes, hours or days.
pub(super) fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => unknown(),
        Some(s) if s < 120.0 => format!("{s:.1} s"),
        Some(s) if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        Some(s) if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        Some(s) => format!("{:.1} d", s / 86_400.0),
    }
}

/// How many, in three or four digits.
pub(super) fn count(count: Option<f64>) -> String {
    match count {
        None => unknown(),
        Some(0.0) => "0".to_owned(),
        Some(n) if n < 10.0 => format!("{n:.1}"),
        Some(n) if n < 10_000.0 => format!("{n:.0}"),
        Some(n) if n < 1e6 => format!("{:.1}k", n / 1e3),
        Some(n) => format!("{:.1}M", n / 1e6),
    }
}

/// Bytes, as AWS counts them: a KB has 1,000 here.
pub(super) fn bytes(bytes: Option<f64>) -> String {
    match bytes {
        None => unknown(),
        Some(n) if n < 1e3 => format!("{n:.0} B"),
        Some(n) if n < 1e5 => format!("{:.1} KB", n / 1e3),
        Some(n) if n < 1e6 => format!("{:.0} KB", n / 1e3),
        Some(n) => format!("{:.1} MB", n / 1e6),
    }
}

/// Text without anything that a terminal would obey, or draw wider than a column: what a row or a
/// worker says of itself is not ours to trust.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            ' '..='~' => char,
            _ => '?',
        })
        .collect()
}

/// How many columns text takes once it is printable.
pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}

/// Text that is printable and no wider; `~` says that it was cut.
pub(super) fn fit(text: &str, most: usize) -> String {
    let text = printable(text);
    if text.len() <= most {
        return text;
    }
    match most.checked_sub(1) {
        Some(kept) => format!("{}~", &text[..kept]),
        None => String::new(),
    }
}
