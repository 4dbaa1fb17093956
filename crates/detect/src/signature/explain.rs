//! The sentence that a match is explained by.

use rsigma_eval::{CorrelationBody, Event, EventValue};
use rsigma_parser::{ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType};

use super::event::Judged;
use super::rule::Rule;
use super::sentence::{Said, fill, number};
use crate::Measured;

/// Fields that a sentence made up for a rule without one names at most.
const MOST_NAMED: usize = 6;

/// What a correlation counts, and from where on it matters.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    counts: CorrelationType,
    /// The fields whose values it counts or sums up.
    fields: Vec<String>,
    bounds: Vec<(ConditionOperator, u64)>,
    rules: Vec<String>,
}

impl From<&CorrelationRule> for Joined {
    fn from(rule: &CorrelationRule) -> Self {
        let (bounds, fields) = match &rule.condition {
            CorrelationCondition::Threshold { predicates, field, .. } => {
                (predicates.clone(), field.clone().unwrap_or_default())
            }
            CorrelationCondition::Extended(_) => (Vec::new(), Vec::new()),
        };
        Self { counts: rule.correlation_type, fields, bounds, rules: rule.rules.clone() }
    }
}

impl Joined {
    /// What was counted against the bound that it reached.
    pub(super) fn measured(&self, correlation: &CorrelationBody) -> Vec<Measured> {
        use ConditionOperator::{Eq, Gt, Gte};
        let rising = self.bounds.iter().find(|(operator, _)| matches!(operator, Gte | Gt | Eq));
        let measured = |&(_, threshold): &(ConditionOperator, u64)| Measured {
            name: if self.is_temporal() { "rules_matched" } else { self.counts.as_str() }.to_owned(),
            value: correlation.aggregated_value,
            threshold: threshold as f64,
        };
        rising.map(measured).into_iter().collect()
    }

    fn is_temporal(&self) -> bool {
        matches!(self.counts, CorrelationType::Temporal | CorrelationType::TemporalOrdered)
    }

    /// `5 events (threshold >= 3) within 10 minutes for source 10.0.0.1`.
    fn sentence(&self, correlation: &CorrelationBody) -> String {
        let value = number(correlation.aggregated_value);
        let fields = self.fields.join(", ");
        let what = match self.counts {
            CorrelationType::EventCount => format!("{value} events"),
            CorrelationType::ValueCount => format!("{value} different values of {fields}"),
            CorrelationType::Temporal => format!("matches of {}", self.rules.join(", ")),
            CorrelationType::TemporalOrdered => format!("matches of {}, in this order,", self.rules.join(", ")),
            CorrelationType::ValueSum => format!("{fields} sums up to {value}"),
            CorrelationType::ValueAvg => format!("{fields} is {value} on average"),
            CorrelationType::ValuePercentile => format!("the percentile of {fields} is {value}"),
            CorrelationType::ValueMedian => format!("the median of {fields} is {value}"),
        };
        let bounds: Vec<String> = self.bounds.iter().map(|(is, bound)| format!("{} {bound}", sign(*is))).collect();
        let bounds = if bounds.is_empty() || self.is_temporal() {
            String::new()
        } else {
            format!(" (threshold {})", bounds.join(" and "))
        };
        let group: Vec<String> =
            correlation.group_key.iter().map(|(field, value)| format!("{field} {value}")).collect();
        let group = if group.is_empty() { String::new() } else { format!(" for {}", group.join(", ")) };
        format!("{what}{bounds} within {}{group}", duration(correlation.timespan_secs))
    }
}

impl Rule {
    /// The rule's own sentence with the values in it, or else one that says what was measured, counted or found.
    pub(super) fn explanation(
        &self,
        event: &Judged<'_>,
        counted: Option<(&Joined, &CorrelationBody)>,
        measured: &[Measured],
    ) -> String {
        if let Some(template) = &self.extra.explanation {
            return fill(template, |name| self.value_of(name, event, counted, measured));
        }
        if let Some((joined, correlation)) = counted {
            return format!("{}: {}.", self.title, joined.sentence(correlation));
        }
        let mut facts: Vec<String> = measured
            .iter()
            .map(|m| format!("{} is {} (threshold {})", m.name, number(m.value), number(m.threshold)))
            .collect();
        if facts.is_empty() {
            let value = |name: &String| match said(&event.get_field(name)?) {
                Said::Text(text) => Some(format!("{name} is {text}")),
                Said::Number(value) => Some(format!("{name} is {}", number(value))),
            };
            facts = self.mentions.iter().filter_map(value).take(MOST_NAMED).collect();
        }
        match facts.as_slice() {
            [] => format!("{}: nothing of what the rule asks for was there.", self.title),
            facts => format!("{}: {}.", self.title, facts.join(", ")),
        }
    }

    /// What stands for `{name}`: `{count}`, `{count.threshold}` and `{timespan}` of a correlation, what its events have in
    /// common, a field of the event, or `{field.threshold}`.
    fn value_of(
        &self,
        name: &str,
        event: &Judged<'_>,
        counted: Option<(&Joined, &CorrelationBody)>,
        measured: &[Measured],
    ) -> Option<Said> {
        if let Some((_, correlation)) = counted {
            if let Some((_, value)) = correlation.group_key.iter().find(|(field, _)| field == name) {
                return Some(Said::Text(value.clone()));
            }
            match name {
                "count" => return Some(Said::Number(correlation.aggregated_value)),
                "count.threshold" => return measured.first().map(|m| Said::Number(m.threshold)),
                "timespan" => return Some(Said::Text(duration(correlation.timespan_secs))),
                _ => {}
            }
        }
        match name.strip_suffix(".threshold") {
            Some(field) => measured.iter().find(|m| m.name == field).map(|m| Said::Number(m.threshold)),
            None => event.get_field(name).map(|value| said(&value)),
        }
    }
}

const fn sign(operator: ConditionOperator) -> &'static str {
    match operator {
        ConditionOperator::Lt => "<",
        ConditionOperator::Lte => "<=",
        ConditionOperator::Gt => ">",
        ConditionOperator::Gte => ">=",
        ConditionOperator::Eq => "=",
        ConditionOperator::Neq => "!=",
    }
}

/// A length of time in the largest unit that divides it.
fn duration(seconds: u64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (length, unit) =
        units.into_iter().find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length)).unwrap_or((1, "second"));
    match seconds / length {
        1 => format!("1 {unit}"),
        count => format!("{count} {unit}s"),
    }
}

fn said(value: &EventValue<'_>) -> Said {
    match value {
        EventValue::Int(value) => Said::Number(*value as f64),
        EventValue::Float(value) => Said::Number(*value),
        EventValue::Bool(value) => Said::Text(value.to_string()),
        _ => Said::Text(value.as_str().unwrap_or_default().into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_told_in_the_largest_whole_unit() {
        let told = [1, 90, 600, 3_600, 7_200, 86_400].map(duration);
        assert_eq!(told, ["1 second", "90 seconds", "10 minutes", "1 hour", "2 hours", "1 day"]);
    }
}
