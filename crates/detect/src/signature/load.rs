//! Texts in, rules out: what is broken is reported and left out, the rest loads.

use std::collections::{HashMap, HashSet};

use rsigma_parser::{
    ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType, FilterRule, LogSource, SigmaCollection,
    SigmaRule, parse_sigma_yaml,
};
use serde::Deserialize;

use super::limits;
use super::rule::{Extra, Rule, thresholds};
use super::source::SignatureSource;
use crate::{DETECTORS, Severity};

/// Something in a rule file that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// What is wrong, and where it helps, what to do.
    pub reason: String,
}

/// Whether a rule takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is evaluated.
    Evaluated,
    /// Nothing here produces the log that it needs.
    NotEvaluated {
        /// What it needs: `smb_files`, or `product windows`.
        needs: String,
    },
}

/// A rule as `signatures list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    /// Its file.
    pub file: String,
    /// The line where it begins.
    pub line: usize,
    /// Its id; a name made from its title where it has none.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What its detections are called.
    pub kind: String,
    /// Its level.
    pub severity: Severity,
    /// The log it reads, `lapwing/pair_window`; for a correlation the rules it joins.
    pub reads: String,
    /// Whether it takes part.
    pub standing: Standing,
    /// Its matches only feed a correlation.
    pub feeds_only: bool,
}

/// What came of loading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// The rules that loaded, in order.
    pub rules: Vec<RuleEntry>,
    /// What did not.
    pub problems: Vec<Problem>,
}

/// The rules that take part.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) collection: SigmaCollection,
    pub(super) rules: HashMap<String, Rule>,
    pub(super) services: Vec<String>,
    pub(super) judges_flows: bool,
}

/// One document of a file, with the line it begins at.
struct Document<'a> {
    file: &'a str,
    line: usize,
    text: &'a str,
}

/// Reads all sources. A later rule with the id of an earlier one replaces it; a kind belongs to the file that claimed it
/// first.
pub(super) fn load(sources: &[SignatureSource]) -> (Loaded, LoadReport) {
    let mut loader = Loader::default();
    for source in sources {
        for document in documents(source) {
            loader.document(&document);
        }
    }
    loader.finish()
}

#[derive(Default)]
struct Loader {
    rules: Vec<(SigmaRule, Rule, RuleEntry)>,
    correlations: Vec<(CorrelationRule, Rule, RuleEntry)>,
    filters: Vec<FilterRule>,
    owners: HashMap<String, String>,
    problems: Vec<Problem>,
    next: usize,
}

impl Loader {
    fn document(&mut self, document: &Document<'_>) {
        if let Some(reason) = limits::unfit(document.text) {
            return self.problem(document, &reason);
        }
        let collection = match parse_sigma_yaml(document.text) {
            Ok(collection) => collection,
            Err(error) => return self.problem(document, &error.to_string()),
        };
        for error in &collection.errors {
            self.problem(document, error);
        }
        collection.rules.into_iter().for_each(|rule| self.rule(document, rule));
        collection.correlations.into_iter().for_each(|rule| self.correlation(document, rule));
        self.filters.extend(collection.filters);
    }

    fn rule(&mut self, document: &Document<'_>, mut rule: SigmaRule) {
        if let Err(error) = rsigma_eval::compile_rule(&rule) {
            return self.problem(document, &error.to_string());
        }
        let id = rule.id.get_or_insert_with(|| slug(&rule.title)).clone();
        let extra = rule.custom_attributes.get("lapwing").cloned();
        let Some(extra) = self.extra(document, extra.map(Extra::deserialize)) else { return };
        let own = Rule {
            order: self.next_order(),
            id: id.clone(),
            title: rule.title.clone(),
            level: rule.level,
            tags: rule.tags.clone(),
            extra,
            thresholds: thresholds(&rule.detection),
            only_feeds: false,
        };
        let entry = entry(document, &own, logsource_text(&rule.logsource), standing(&rule.logsource));
        self.rules.retain(|(_, earlier, _)| earlier.id != id);
        self.rules.push((rule, own, entry));
    }

    fn correlation(&mut self, document: &Document<'_>, mut rule: CorrelationRule) {
        require_all_rules(&mut rule);
        let id = rule.id.get_or_insert_with(|| slug(&rule.title)).clone();
        let extra = rule.custom_attributes.get("lapwing").cloned();
        let Some(extra) = self.extra(document, extra.map(Extra::deserialize)) else { return };
        let own = Rule {
            order: self.next_order(),
            id: id.clone(),
            title: rule.title.clone(),
            level: rule.level,
            tags: rule.tags.clone(),
            extra,
            thresholds: Vec::new(),
            only_feeds: false,
        };
        let entry = entry(document, &own, rule.rules.join(", "), Standing::Evaluated);
        self.correlations.retain(|(_, earlier, _)| earlier.id != id);
        self.correlations.push((rule, own, entry));
    }

    fn next_order(&mut self) -> usize {
        self.next += 1;
        self.next
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
        let line = document.line + line_of(document.text, reason);
        self.problems.push(Problem { file: document.file.to_owned(), line, reason: reason.trim().to_owned() });
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
        (loaded, LoadReport { rules, problems: self.problems })
    }

    /// Sigma's `generate: false`, the default: what a correlation joins makes no detections of its own.
    fn silence_feeding_rules(&mut self) {
        let silent = self.correlations.iter().filter(|(rule, _, _)| !rule.generate);
        let references: HashSet<String> = silent.flat_map(|(rule, _, _)| rule.rules.iter().cloned()).collect();
        let feeds = |id: &str, name: Option<&str>| {
            references.contains(id) || name.is_some_and(|name| references.contains(name))
        };
        for (rule, own, entry) in &mut self.rules {
            own.only_feeds = feeds(&own.id, rule.name.as_deref());
            entry.feeds_only = own.only_feeds;
        }
        for (rule, own, entry) in &mut self.correlations {
            own.only_feeds = feeds(&own.id, rule.name.as_deref());
            entry.feeds_only = own.only_feeds;
        }
    }

    /// A correlation of an unknown rule is a problem; one of a rule that is not evaluated is not evaluated.
    fn resolve_references(&mut self) {
        loop {
            let mut known: HashMap<&str, &Standing> = HashMap::new();
            for (rule, own, entry) in &self.rules {
                known.insert(&own.id, &entry.standing);
                rule.name.as_deref().map(|name| known.insert(name, &entry.standing));
            }
            for (rule, own, entry) in &self.correlations {
                known.insert(&own.id, &entry.standing);
                rule.name.as_deref().map(|name| known.insert(name, &entry.standing));
            }
            let mut unknown: HashSet<usize> = HashSet::new();
            let mut waiting: Vec<(usize, Standing)> = Vec::new();
            let mut problems = Vec::new();
            for (index, (rule, _, entry)) in self.correlations.iter().enumerate() {
                for reference in &rule.rules {
                    match known.get(reference.as_str()) {
                        None => {
                            let reason = format!("correlates the rule '{reference}', which is not loaded");
                            problems.push(Problem { file: entry.file.clone(), line: entry.line, reason });
                            unknown.insert(index);
                        }
                        Some(Standing::NotEvaluated { needs }) if entry.standing == Standing::Evaluated => {
                            waiting.push((index, Standing::NotEvaluated { needs: needs.clone() }));
                        }
                        Some(_) => {}
                    }
                }
            }
            let settled = unknown.is_empty() && waiting.is_empty();
            for (index, standing) in waiting {
                self.correlations[index].2.standing = standing;
            }
            let mut index = 0;
            self.correlations.retain(|_| {
                index += 1;
                !unknown.contains(&(index - 1))
            });
            self.problems.extend(problems);
            if settled {
                return;
            }
        }
    }
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

/// Splits a file at its `---` lines, so that one broken document does not take the others with it. A file that uses
/// Sigma's collection actions is kept whole, for those reach over documents.
fn documents(source: &SignatureSource) -> Vec<Document<'_>> {
    let text = source.text.as_ref();
    let whole = Document { file: &source.file, line: 1, text };
    if text.lines().any(|line| line.starts_with("action:")) {
        return vec![whole];
    }
    let mut documents = Vec::new();
    let (mut begin, mut begin_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            documents.push(Document { file: &source.file, line: begin_line, text: &text[begin..offset] });
            (begin, begin_line) = (offset + line.len(), index + 2);
        }
        offset += line.len();
    }
    documents.push(Document { file: &source.file, line: begin_line, text: &text[begin..] });
    let has_content = |text: &str| text.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'));
    documents.retain(|document| has_content(document.text));
    documents
}

/// Lines from the document's first to the one that `reason` is about: the line it names, or the first that holds a word it
/// quotes.
fn line_of(text: &str, reason: &str) -> usize {
    let named = reason
        .split("line ")
        .nth(1)
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok());
    if let Some(line) = named {
        return line.saturating_sub(1);
    }
    let quoted = reason.split(['\'', '"', '`']).skip(1).step_by(2).filter(|word| !word.is_empty());
    for word in quoted.chain(reason.rsplit(": ").next().filter(|word| word.len() > 2)) {
        if let Some(line) = text.lines().position(|line| line.contains(word.trim())) {
            return line;
        }
    }
    0
}

/// An id for a rule without one: its title in kebab-case.
fn slug(title: &str) -> String {
    let letters = title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    letters.collect::<String>().split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}
