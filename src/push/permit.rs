//! Which devices a viewer may see: the row's `allowed`, asked at subscribe and again at every post.

/// Ends a pattern: any device id that begins with what stands before it.
pub const ANY_SUFFIX: char = '*';

/// Whether `allowed`, a connection row's list of ids and patterns, lets its viewer see `device`.
/// `None` (no list in the row) allows every device; an empty list none. A pattern is an id's
/// beginning followed by one [`ANY_SUFFIX`]; `*` alone stands for all.
#[must_use]
pub fn permits(allowed: Option<&[String]>, device: &str) -> bool {
    allowed.is_none_or(|list| list.iter().any(|entry| matches(entry, device)))
}

fn matches(entry: &str, device: &str) -> bool {
    match entry.strip_suffix(ANY_SUFFIX) {
        Some(beginning) => device.starts_with(beginning),
        None => entry == device,
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
    fn an_empty_entry_allows_nothing() {
        assert!(!permits(Some(&list(&[""])), "pump-1"));
    }
}
