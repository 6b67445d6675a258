//! Changes and rows in DynamoDB's words. Every name goes through a placeholder, since several of
//! them may become reserved words.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::lease::change::{Clause, Edit};
use crate::lease::item::{Item, Value};

/// A row as the SDK has it.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// A row in our words.
pub(super) fn item(attributes: Attributes) -> Item {
    attributes
        .into_iter()
        .map(|(name, value)| (name, from_sdk(value)))
        .collect()
}

fn from_sdk(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::S(text),
        AttributeValue::N(digits) => Value::N(digits),
        AttributeValue::Ss(set) => Value::Ss(set.into_iter().collect()),
        _ => Value::Other,
    }
}

/// `Other` is never written: no edit of ours holds it.
fn to_sdk(value: &Value) -> AttributeValue {
    match value {
        Value::S(text) => AttributeValue::S(text.clone()),
        Value::N(digits) => AttributeValue::N(digits.clone()),
        Value::Ss(set) => AttributeValue::Ss(set.iter().cloned().collect()),
        Value::Other => AttributeValue::Null(true),
    }
}

/// The names and values that an expression refers to.
#[derive(Debug, Default)]
pub(super) struct Expression {
    names: Vec<&'static str>,
    values: Vec<AttributeValue>,
}

impl Expression {
    /// The condition: all clauses.
    pub(super) fn condition(&mut self, clauses: &[Clause]) -> String {
        let clauses: Vec<_> = clauses.iter().map(|clause| self.clause(clause)).collect();
        clauses.join(" AND ")
    }

    fn clause(&mut self, clause: &Clause) -> String {
        match clause {
            Clause::Is(name, value) => format!("{} = {}", self.name(name), self.value(value)),
            Clause::Lacks(name) => format!("attribute_not_exists({})", self.name(name)),
        }
    }

    /// The update: each kind of edit together, as the grammar wants it.
    pub(super) fn update(&mut self, edits: &[Edit]) -> String {
        let (mut set, mut remove, mut add) = (Vec::new(), Vec::new(), Vec::new());
        for edit in edits {
            match edit {
                Edit::Set(name, value) => {
                    set.push(format!("{} = {}", self.name(name), self.value(value)));
                }
                Edit::Remove(name) => remove.push(self.name(name)),
                Edit::Add(name, by) => {
                    let by = self.value(&Value::number(*by));
                    add.push(format!("{} {by}", self.name(name)));
                }
            }
        }
        let part = |verb: &str, edits: &[String]| {
            (!edits.is_empty()).then(|| format!("{verb} {}", edits.join(", ")))
        };
        let parts = [
            part("SET", &set),
            part("REMOVE", &remove),
            part("ADD", &add),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.join(" ")
    }

    fn name(&mut self, name: &'static str) -> String {
        let known = self.names.iter().position(|known| *known == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        format!("#{index}")
    }

    fn value(&mut self, value: &Value) -> String {
        self.values.push(to_sdk(value));
        format!(":{}", self.values.len() - 1)
    }

    /// The placeholders of names; DynamoDB refuses an empty map.
    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        let names = self.names.iter().enumerate();
        let map: HashMap<_, _> = names
            .map(|(index, name)| (format!("#{index}"), (*name).to_owned()))
            .collect();
        (!map.is_empty()).then_some(map)
    }

    /// The placeholders of values; DynamoDB refuses an empty map.
    pub(super) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        let values = self.values.iter().enumerate();
        let map: HashMap<_, _> = values
            .map(|(index, value)| (format!(":{index}"), value.clone()))
            .collect();
        (!map.is_empty()).then_some(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_groups_its_edits_and_names_no_attribute_itself() {
        let mut expression = Expression::default();
        let condition = expression.condition(&[
            Clause::Is("leaseCounter", Value::number(7)),
            Clause::Lacks("checkpointOwner"),
        ]);
        let update = expression.update(&[
            Edit::Set("leaseCounter", Value::number(8)),
            Edit::Remove("checkpointOwner"),
            Edit::Add("ownerSwitchesSinceCheckpoint", 1),
            Edit::Set("leaseOwner", Value::text("w")),
        ]);
        assert_eq!(condition, "#0 = :0 AND attribute_not_exists(#1)");
        assert_eq!(update, "SET #0 = :1, #3 = :3 REMOVE #1 ADD #2 :2");
        assert_eq!(expression.names().unwrap().len(), 4);
        let values = expression.values().unwrap();
        assert_eq!(values[":1"], AttributeValue::N("8".to_owned()));
    }
}
