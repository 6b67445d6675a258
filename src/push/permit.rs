//! Which devices a viewer may see: the row's `allowed`, asked at subscribe and again at every post.

/// Ends a pattern: any device id that begins with what stands before it.
pub const ANY_SUFFIX: char = '*';

/// Whether `allowed`, a connection row's list of ids and patterns, lets its viewer see `device`.
/// `None` (no list in the row) allows every device; an empty list none. A pattern is an id's
/// beginning followed by one [`ANY_SUFFIX`]; `*` alone stands for all.
#[must_use]
pub fn permits(allowed: Option<&[String]>, device: &str) -> bool {
    allowed.is_none_or(|list| list.iter().any(|entry| covers(entry, device)))
}

/// Whether `entry`, an id or a pattern, takes in everything that `other` does.
#[must_use]
pub fn covers(entry: &str, other: &str) -> bool {
    match entry.strip_suffix(ANY_SUFFIX) {
        Some(beginning) => other.starts_with(beginning),
        None => entry == other,
    }
}

/// Whether a viewer with this list may ask for `entry`, an id or a pattern: an id it may see, or a
/// pattern that covers something it may see. The rest of the pattern is then not shown.
#[must_use]
pub fn permits_asking(allowed: Option<&[String]>, entry: &str) -> bool {
    allowed.is_none_or(|list| list.iter().any(|right| common(right, entry).is_some()))
}

/// What two entries, ids or patterns, have in common: the narrower of them, or nothing.
#[must_use]
pub fn common<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    match (one.strip_suffix(ANY_SUFFIX), other.strip_suffix(ANY_SUFFIX)) {
        (Some(wide), _) if other.starts_with(wide) => Some(other),
        (_, Some(wide)) if one.starts_with(wide) => Some(one),
        (None, None) if one == other => Some(one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|&entry| entry.to_owned()).collect()
    }

    #[test]
    fn no_list_allows_all_and_an_empty_list_nothing() {
        assert!(permits(None, "pump-1"));
        assert!(!permits(Some(&[]), "pump-1"));
    }

    #[test]
    fn ids_match_whole_and_patterns_by_their_beginning() {
        let allowed = list(&["pump-1", "hall-7/*"]);
        assert!(permits(Some(&allowed), "pump-1"));
        assert!(!permits(Some(&allowed), "pump-10"));
        assert!(permits(Some(&allowed), "hall-7/fan"));
        assert!(!permits(Some(&allowed), "hall-70/fan"));
        assert!(permits(Some(&list(&["*"])), "anything"));
    }

    #[test]
    fn of_two_entries_the_narrower_is_common_to_both() {
        let of = |one, other| {
            let common = common(one, other);
            assert_eq!(common, super::common(other, one), "{one} {other}");
            common
        };
        assert_eq!(of("pump-*", "pump-1"), Some("pump-1"));
        assert_eq!(of("pump-*", "pump-1*"), Some("pump-1*"));
        assert_eq!(of("*", "pump-*"), Some("pump-*"));
        assert_eq!(of("pump-1", "pump-1"), Some("pump-1"));
        assert_eq!(of("pump-1*", "pump-2*"), None);
        assert_eq!(of("pump-1", "pump-10"), None);
        assert_eq!(of("pump-*", "fan-1"), None);
    }

    #[test]
    fn asking_for_a_pattern_needs_a_right_to_something_in_it() {
        let allowed = list(&["pump-1", "hall-7/*"]);
        assert!(permits_asking(Some(&allowed), "pump-*"));
        assert!(permits_asking(Some(&allowed), "hall-*"));
        assert!(permits_asking(Some(&allowed), "hall-7/fan*"));
        assert!(!permits_asking(Some(&allowed), "hall-8/*"));
        assert!(permits_asking(None, "anything*") && !permits_asking(Some(&[]), "anything*"));
    }

    #[test]
    fn an_empty_entry_allows_nothing() {
        assert!(!permits(Some(&list(&[""])), "pump-1"));
    }
}
