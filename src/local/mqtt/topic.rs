//! Topics and topic filters (MQTT 3.1.1, section 4.7; limits of AWS IoT Core's quotas).

/// Bytes of a topic.
const TOPIC_BYTES_MAX: usize = 256;
/// Slashes in a topic.
const SLASHES_MAX: usize = 7;

/// Whether messages may be published on it: some text without wildcards, within AWS's limits.
#[must_use]
pub fn is_topic(topic: &str) -> bool {
    !topic.contains(['+', '#', '\0']) && is_within_limits(topic)
}

/// Whether it may be subscribed to: `+` and `#` fill a level of their own, and `#` is the last.
#[must_use]
pub fn is_filter(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let is_level = |(place, level): (usize, &&str)| match *level {
        "#" => place + 1 == levels.len(),
        "+" => true,
        text => !text.contains(['+', '#', '\0']),
    };
    is_within_limits(filter) && levels.iter().enumerate().all(is_level)
}

fn is_within_limits(text: &str) -> bool {
    let slashes = text.bytes().filter(|byte| *byte == b'/').count();
    !text.is_empty() && text.len() <= TOPIC_BYTES_MAX && slashes <= SLASHES_MAX
}

/// Whether a filter takes a topic in. Wildcards in the first level leave out topics that begin with
/// `$`, and `a/#` takes `a` in.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_in_what_the_standard_says() {
        for (filter, topic, takes) in [
            ("devices/+/readings", "devices/kitchen/readings", true),
            ("devices/+/readings", "devices/a/b/readings", false),
            ("devices/+/readings", "devices//readings", true),
            ("devices/#", "devices", true),
            ("devices/#", "devices/a/b", true),
            ("devices/+", "devices", false),
            ("#", "devices/a", true),
            ("#", "$aws/things", false),
            ("+/things", "$aws/things", false),
            ("$aws/#", "$aws/things", true),
            ("é/+", "é/ü", true),
            ("a", "a/b", false),
        ] {
            assert_eq!(matches(filter, topic), takes, "{filter} and {topic}");
        }
    }

    #[test]
    fn what_is_no_filter_or_no_topic_is_refused() {
        for filter in ["a/#", "#", "+", "+/a", "/", "a//b"] {
            assert!(is_filter(filter), "{filter}");
        }
        for filter in ["", "a#", "a/#/b", "a+/b", "1/2/3/4/5/6/7/8/9"] {
            assert!(!is_filter(filter), "{filter}");
        }
        assert!(is_topic("devices/kitchen/readings"));
        for topic in ["", "a/+", "a/#", &"x".repeat(257)] {
            assert!(!is_topic(topic), "{topic}");
        }
    }
}
