//! Texts in, rules out: what is broken is reported and left out, the rest loads.

use std::collections::{HashMap, HashSet};

use rsigma_parser::{
    ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType, Detections, FilterRule, Level,
    LogSource, SigmaCollection, SigmaRule, parse_sigma_yaml,
};
use serde::Deserialize;

use super::MAX_GROUP_EVENTS;
use super::document::{Document, documents, line_of};
use super::explain::Joined;
use super::limits::Budget;
use super::report::{LoadReport, Problem, RuleEntry, Standing};
use super::rule::{Extra, Rule, thresholds};
use super::source::SignatureSource;
use super::vocabulary::{Vocabulary, fields_of, no_such_service, placeholders};
use crate::DETECTORS;

/// The rules that take part.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) collection: SigmaCollection,
    pub(super) rules: HashMap<String, Rule>,
    pub(super) services: Vec<String>,
    pub(super) judges_flows: bool,
}

/// Reads all sources. A later rule with the id of an earlier one replaces it; a kind belongs to the file that claimed it
/// first.
pub(super) fn load(sources: &[SignatureSource]) -> (Loaded, LoadReport) {
    let mut loader = Loader::default();
    for source in sources {
        let mut budget = Budget::default();
        for document in documents(source) {
            loader.document(&document, &mut budget);
        }
    }
    loader.finish()
}

#[derive(Default)]
pub(super) struct Loader {
    pub(super) rules: Vec<(SigmaRule, Rule, RuleEntry)>,
    pub(super) correlations: Vec<(CorrelationRule, Rule, RuleEntry)>,
    pub(super) problems: Vec<Problem>,
    warnings: Vec<Problem>,
    filters: Vec<FilterRule>,
    /// The file that each kind belongs to.
    owners: HashMap<String, String>,
    /// Ids met so far.
    ids: HashSet<String>,
    next: usize,
}

/// What rules and correlations have in common.
struct Head<'a> {
    id: &'a str,
    title: &'a str,
    level: Option<Level>,
    tags: &'a [String],
}

impl Loader {
    fn document(&mut self, document: &Document<'_>, budget: &mut Budget) {
        if let Some(reason) = budget.unfit(document.text) {
            return self.problem(document, &reason);
        }
        let collection = match parse_sigma_yaml(document.text) {
            Ok(collection) => collection,
            Err(error) => return self.problem(document, &said_once(&error.to_string())),
        };
        for error in &collection.errors {
            self.problem(document, &said_once(error));
        }
        collection.rules.into_iter().for_each(|rule| self.rule(document, rule));
        collection.correlations.into_iter().for_each(|rule| self.correlation(document, rule));
        for filter in collection.filters {
            if filter.logsource.as_ref().is_none_or(|log| self.knows_fields(document, log, &filter.detection, None)) {
                self.filters.push(filter);
            }
        }
    }

    fn rule(&mut self, document: &Document<'_>, mut rule: SigmaRule) {
        if let Err(error) = rsigma_eval::compile_rule(&rule) {
            return self.problem(document, &error.to_string());
        }
        let id = rule.id.get_or_insert_with(|| slug(&rule.title)).clone();
        let extra = rule.custom_attributes.get("lapwing").cloned();
        let Some(extra) = self.extra(document, extra.map(Extra::deserialize)) else { return };
        if !self.knows_fields(document, &rule.logsource, &rule.detection, extra.explanation.as_deref()) {
            return;
        }
        let head = Head { id: &id, title: &rule.title, level: rule.level, tags: &rule.tags };
        let mut own = self.own(&head, extra);
        own.thresholds = thresholds(&rule.detection);
        own.mentions = fields_of(&rule.detection).into_iter().map(str::to_owned).collect();
        let entry = entry(document, &own, logsource_text(&rule.logsource), standing(&rule.logsource));
        if !self.ids.insert(id.clone()) {
            self.rules.retain(|(_, earlier, _)| earlier.id != id);
        }
        self.rules.push((rule, own, entry));
    }

    fn correlation(&mut self, document: &Document<'_>, mut rule: CorrelationRule) {
        require_all_rules(&mut rule);
        if let Some(reason) = out_of_reach(&rule) {
            return self.problem(document, &reason);
        }
        let id = rule.id.get_or_insert_with(|| slug(&rule.title)).clone();
        let extra = rule.custom_attributes.get("lapwing").cloned();
        let Some(extra) = self.extra(document, extra.map(Extra::deserialize)) else { return };
        let head = Head { id: &id, title: &rule.title, level: rule.level, tags: &rule.tags };
        let mut own = self.own(&head, extra);
        own.joined = Some(Joined::from(&rule));
        let entry = entry(document, &own, rule.rules.join(", "), Standing::Evaluated);
        if !self.ids.insert(id.clone()) {
            self.correlations.retain(|(_, earlier, _)| earlier.id != id);
        }
        self.correlations.push((rule, own, entry));
    }

    fn own(&mut self, head: &Head<'_>, extra: Extra) -> Rule {
        self.next += 1;
        Rule {
            order: self.next,
            id: head.id.to_owned(),
            title: head.title.to_owned(),
            level: head.level,
            tags: head.tags.to_vec(),
            extra,
            thresholds: Vec::new(),
            mentions: Vec::new(),
            joined: None,
            only_feeds: false,
        }
    }

    /// Whether the rule asks only for fields that its log has. Another name is a mistake in a rule on our own measurements,
    /// which does not load then. Rules for Zeek are published for sites with more columns than we set: they load unchanged,
    /// with a warning.
    fn knows_fields(
        &mut self,
        document: &Document<'_>,
        logsource: &LogSource,
        detection: &Detections,
        explanation: Option<&str>,
    ) -> bool {
        let Some(vocabulary) = Vocabulary::of(logsource) else {
            if let (Some("lapwing"), Some(service)) = (logsource.product.as_deref(), logsource.service.as_deref()) {
                self.warnings.push(at(document, &no_such_service(service)));
            }
            return true;
        };
        let asked = fields_of(detection).into_iter().chain(explanation.into_iter().flat_map(placeholders));
        let mut unknown: Vec<&str> = asked.filter(|name| !vocabulary.has(name)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        for name in &unknown {
            let reason = vocabulary.lacks(name);
            if vocabulary.is_closed {
                self.problem(document, &reason);
            } else {
                let warning = at(document, &format!("{reason} Here it is never set"));
                self.warnings.push(warning);
            }
        }
        unknown.is_empty() || !vocabulary.is_closed
    }

    /// Checks the `lapwing:` block; `None` after a problem was noted.
    fn extra<E: std::fmt::Display>(
        &mut self,
        document: &Document<'_>,
        extra: Option<Result<Extra, E>>,
    ) -> Option<Extra> {
        let extra = match extra.transpose() {
            Ok(extra) => extra.unwrap_or_default(),
            Err(error) => {
                self.problem(document, &format!("lapwing: {error}"));
                return None;
            }
        };
        if extra.confidence.is_some_and(|confidence| !(0.0..=1.0).contains(&confidence)) {
            self.problem(document, "lapwing: 'confidence' is a probability: use 0.0 to 1.0");
            return None;
        }
        if let Some(kind) = &extra.kind {
            if kind.is_empty() || !kind.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
                self.problem(document, &format!("lapwing: kind '{kind}' is not kebab-case, such as 'port-scan'"));
                return None;
            }
            let owner = self.owners.entry(kind.clone()).or_insert_with(|| document.file.to_owned());
            if owner != document.file {
                let reason = format!("lapwing: the kind '{kind}' belongs to {owner}; choose another name");
                self.problem(document, &reason);
                return None;
            }
        }
        Some(extra)
    }

    fn problem(&mut self, document: &Document<'_>, reason: &str) {
        self.problems.push(at(document, reason));
    }

    fn finish(mut self) -> (Loaded, LoadReport) {
        self.resolve_references();
        self.silence_feeding_rules();
        let mut loaded = Loaded { collection: SigmaCollection::new(), ..Loaded::default() };
        let mut entries = Vec::new();
        for (rule, own, entry) in self.rules {
            if entry.standing == Standing::Evaluated {
                match (rule.logsource.product.as_deref(), &rule.logsource.service) {
                    (Some("zeek"), _) => loaded.judges_flows = true,
                    (_, Some(service)) if !loaded.services.contains(service) => loaded.services.push(service.clone()),
                    _ => {}
                }
                loaded.collection.rules.push(rule);
                loaded.rules.insert(own.id.clone(), own.clone());
            }
            entries.push((own.order, entry));
        }
        for (rule, own, entry) in self.correlations {
            if entry.standing == Standing::Evaluated {
                loaded.collection.correlations.push(rule);
                loaded.rules.insert(own.id.clone(), own.clone());
            }
            entries.push((own.order, entry));
        }
        loaded.collection.filters = self.filters;
        entries.sort_by_key(|(order, _)| *order);
        let rules = entries.into_iter().map(|(_, entry)| entry).collect();
        (loaded, LoadReport { rules, problems: self.problems, warnings: self.warnings })
    }
}

/// What is wrong with a document, at the line that the reason is about.
fn at(document: &Document<'_>, reason: &str) -> Problem {
    let line = document.line + line_of(document.text, reason);
    Problem { file: document.file.to_owned(), line, reason: reason.trim().to_owned() }
}

/// The parser of conditions says its errors once for each level it met them in; once is enough.
fn said_once(error: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in error.split(": ") {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

/// Sigma: a temporal correlation without a condition asks for all its rules. rsigma 0.23 reads it as any one of them.
fn require_all_rules(rule: &mut CorrelationRule) {
    let is_temporal = matches!(rule.correlation_type, CorrelationType::Temporal | CorrelationType::TemporalOrdered);
    if let (true, CorrelationCondition::Threshold { predicates, .. }) = (is_temporal, &mut rule.condition)
        && predicates.as_slice() == [(ConditionOperator::Gte, 1)]
    {
        *predicates = vec![(ConditionOperator::Gte, rule.rules.len() as u64)];
    }
}

/// Why a correlation could never fire: it counts more events than a group remembers. Sums and averages are of values, not of
/// events.
fn out_of_reach(rule: &CorrelationRule) -> Option<String> {
    let counts = !matches!(
        rule.correlation_type,
        CorrelationType::ValueSum
            | CorrelationType::ValueAvg
            | CorrelationType::ValuePercentile
            | CorrelationType::ValueMedian
    );
    let CorrelationCondition::Threshold { predicates, .. } = &rule.condition else { return None };
    let most = MAX_GROUP_EVENTS as u64;
    let beyond = predicates.iter().filter(|_| counts).find_map(|(operator, value)| match operator {
        ConditionOperator::Gte | ConditionOperator::Eq => (*value > most).then_some(value),
        ConditionOperator::Gt => (*value >= most).then_some(value),
        _ => None,
    })?;
    Some(format!(
        "the condition asks for '{beyond}' events, and at most {most} of a group are remembered: it could never fire"
    ))
}

fn entry(document: &Document<'_>, rule: &Rule, reads: String, standing: Standing) -> RuleEntry {
    RuleEntry {
        file: document.file.to_owned(),
        line: document.line,
        id: rule.id.clone(),
        title: rule.title.clone(),
        kind: rule.kind().0.into_owned(),
        severity: rule.severity(),
        reads,
        standing,
        feeds_only: false,
    }
}

fn standing(logsource: &LogSource) -> Standing {
    let needs = |needs: String| Standing::NotEvaluated { needs };
    match (logsource.product.as_deref(), logsource.service.as_deref(), logsource.category.as_deref()) {
        (Some("lapwing"), Some(service), _) if produced(service) => Standing::Evaluated,
        (Some("zeek"), Some("conn"), _) => Standing::Evaluated,
        (Some("lapwing" | "zeek"), Some(service), _) => needs(service.to_owned()),
        (Some(product), _, _) => needs(format!("product {product}")),
        (None, Some(service), _) => needs(format!("service {service}")),
        (None, None, Some(category)) => needs(format!("category {category}")),
        (None, None, None) => needs("a logsource".to_owned()),
    }
}

/// Whether some behaviour measures for that service.
fn produced(service: &str) -> bool {
    DETECTORS.iter().any(|entry| entry.info.services.contains(&service))
}

fn logsource_text(logsource: &LogSource) -> String {
    let parts = [&logsource.product, &logsource.category, &logsource.service];
    parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("/")
}

/// An id for a rule without one: its title in kebab-case.
fn slug(title: &str) -> String {
    let letters = title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    letters.collect::<String>().split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}
