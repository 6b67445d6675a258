//! Which table a reading belongs to, where there are several.

use crate::model::{Reading, Value};

/// What of a reading a route looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteBy {
    /// The device's id.
    Device,
    /// The value of this dimension or, where there is none, of this text measure.
    Field(String),
}

/// Readings that fit go to this table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What is looked at.
    pub by: RouteBy,
    /// What it must be; `*` stands for any text.
    pub pattern: String,
    /// Where readings that fit go.
    pub table: String,
}

/// All routes, and the table of whatever fits none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// The first that fits counts.
    pub routes: Vec<Route>,
    /// The table of all other readings.
    pub otherwise: String,
}

impl Routes {
    /// A reading's table.
    #[must_use]
    pub fn table_of(&self, reading: &Reading) -> &str {
        let fits = |route: &&Route| {
            let value = match &route.by {
                RouteBy::Device => Some(reading.device.as_str()),
                RouteBy::Field(name) => text_of(reading, name),
            };
            value.is_some_and(|value| fits(&route.pattern, value))
        };
        let route = self.routes.iter().find(fits);
        route.map_or(&self.otherwise, |route| &route.table)
    }

    /// Every table, each once, in the order in which they are named; the one of all other readings
    /// first.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        let mut tables = vec![self.otherwise.as_str()];
        for route in &self.routes {
            if !tables.contains(&route.table.as_str()) {
                tables.push(&route.table);
            }
        }
        tables
    }
}

fn text_of<'a>(reading: &'a Reading, field: &str) -> Option<&'a str> {
    let mut dimensions = reading.dimensions.iter();
    if let Some((_, value)) = dimensions.find(|(name, _)| **name == *field) {
        return Some(value);
    }
    let measure = reading.measures.iter().find(|(name, _)| **name == *field);
    match measure {
        Some((_, Value::Text(text))) => Some(text),
        _ => None,
    }
}

/// Whether a text fits a pattern in which each `*` stands for any text, the empty one included.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::super::tests::reading;
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text) in [
            ("pump-*", "pump-1"),
            ("pump-*", "pump-"),
            ("*", ""),
            ("*-1", "pump-1"),
            ("p*-*1", "pump-21"),
            ("a*a", "aa"),
            ("exact", "exact"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("pump-*", "pum"),
            ("*-1", "pump-12"),
            ("a*a", "a"),
            ("p*x*1", "pump-1"),
            ("exact", "exactly"),
            ("", "x"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_route_that_fits_counts() {
        let route = |by, pattern: &str, table: &str| Route {
            by,
            pattern: pattern.to_owned(),
            table: table.to_owned(),
        };
        let site = RouteBy::Field("site".to_owned());
        let routes = Routes {
            routes: vec![
                route(RouteBy::Device, "pump-*", "pumps"),
                route(site, "north", "north"),
                route(RouteBy::Device, "valve-*", "pumps"),
            ],
            otherwise: "readings".to_owned(),
        };
        let mut one = reading("pump-1", 1, &[("t", 1.0)]);
        assert_eq!(routes.table_of(&one), "pumps");
        one.device = "x".into();
        assert_eq!(routes.table_of(&one), "readings");
        one.dimensions = vec![("site".into(), "north".into())];
        assert_eq!(routes.table_of(&one), "north");
        assert_eq!(routes.tables(), ["readings", "pumps", "north"]);
    }
}
