//! What correlations refer to.

use std::collections::{HashMap, HashSet, VecDeque};

use super::load::Loader;
use super::report::{Problem, Standing};

/// Who bears a name that correlations may refer to.
#[derive(Clone, Copy)]
enum Bearer {
    Rule(usize),
    Correlation(usize),
}

impl Loader {
    /// Sigma's `generate: false`, the default: what a correlation joins makes no detections of its own.
    pub(super) fn silence_feeding_rules(&mut self) {
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

    /// A correlation of an unknown rule is a problem; one of a rule that is not evaluated is not evaluated. Either may be a
    /// rule that another correlation joins: whoever asks for it is looked at again, at most twice.
    pub(super) fn resolve_references(&mut self) {
        let bearers = self.bearers();
        let mut asking: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, (rule, _, _)) in self.correlations.iter().enumerate() {
            rule.rules.iter().for_each(|name| asking.entry(name).or_default().push(index));
        }
        let mut standings: Vec<Standing> = self.correlations.iter().map(|(.., entry)| entry.standing.clone()).collect();
        let mut lost: Vec<Option<Problem>> = vec![None; standings.len()];
        let mut queue: VecDeque<usize> = (0..standings.len()).collect();
        while let Some(index) = queue.pop_front() {
            if lost[index].is_some() {
                continue;
            }
            let (rule, own, entry) = &self.correlations[index];
            let mut changed = false;
            for reference in &rule.rules {
                let loaded = bearers.get(reference.as_str()).into_iter().flatten().filter(|bearer| match bearer {
                    Bearer::Rule(_) => true,
                    Bearer::Correlation(other) => lost[*other].is_none(),
                });
                let of = |bearer: &Bearer| match bearer {
                    Bearer::Rule(rule) => &self.rules[*rule].2.standing,
                    Bearer::Correlation(other) => &standings[*other],
                };
                match loaded.map(of).next_back() {
                    None => {
                        let reason = format!("correlates the rule '{reference}', which is not loaded");
                        lost[index] = Some(Problem { file: entry.file.clone(), line: entry.line, reason });
                        changed = true;
                        break;
                    }
                    Some(waits @ Standing::NotEvaluated { .. }) if standings[index] == Standing::Evaluated => {
                        standings[index] = waits.clone();
                        changed = true;
                    }
                    Some(_) => {}
                }
            }
            if changed {
                for name in [Some(own.id.as_str()), rule.name.as_deref()].into_iter().flatten() {
                    queue.extend(asking.get(name).into_iter().flatten());
                }
            }
        }
        let mut fates = standings.into_iter().zip(&lost);
        self.correlations.retain_mut(|(.., entry)| {
            let (standing, lost) = fates.next().expect("each correlation has its fate");
            entry.standing = standing;
            lost.is_none()
        });
        self.problems.extend(lost.into_iter().flatten());
    }

    /// Rules and correlations by id and by name.
    fn bearers(&self) -> HashMap<String, Vec<Bearer>> {
        let mut bearers: HashMap<String, Vec<Bearer>> = HashMap::new();
        let mut note = |id: &str, name: Option<&str>, bearer: Bearer| {
            for name in [Some(id), name].into_iter().flatten() {
                bearers.entry(name.to_owned()).or_default().push(bearer);
            }
        };
        for (index, (rule, own, _)) in self.rules.iter().enumerate() {
            note(&own.id, rule.name.as_deref(), Bearer::Rule(index));
        }
        for (index, (rule, own, _)) in self.correlations.iter().enumerate() {
            note(&own.id, rule.name.as_deref(), Bearer::Correlation(index));
        }
        bearers
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::SignatureSource;
    use super::super::{Signatures, Standing};
    use lapwing_protocol::LocalNetworks;

    /// A rule, and correlations of which each joins the next; the last joins `end`.
    fn chain(length: usize, end: &str, logsource: &str) -> SignatureSource {
        let mut text = format!(
            "title: base\nlogsource: {logsource}\ndetection: {{selection: {{port: 1}}, condition: selection}}\n"
        );
        for link in 0..length {
            let next = if link + 1 < length { format!("c{}", link + 1) } else { end.to_owned() };
            text.push_str(&format!(
                "---\ntitle: c{link}\ncorrelation:\n  type: event_count\n  rules: [{next}]\n  group-by: [port]\n  \
                 timespan: 1m\n  condition: {{gte: 2}}\n"
            ));
        }
        SignatureSource { file: "chain.yml".into(), text: text.into(), cases: None }
    }

    #[test]
    fn a_chain_that_ends_nowhere_is_lost_whole_and_fast() {
        let begun = std::time::Instant::now();
        let source = chain(4_000, "nobody", "{product: lapwing, service: login}");
        let (_, report) = Signatures::load(&[source], LocalNetworks::default());
        assert_eq!((report.rules.len(), report.problems.len()), (1, 4_000));
        assert!(begun.elapsed().as_secs() < 10);
    }

    #[test]
    fn a_chain_that_ends_in_a_rule_that_is_not_evaluated_waits_whole() {
        let source = chain(10, "base", "{product: zeek, service: dns}");
        let (_, report) = Signatures::load(&[source], LocalNetworks::default());
        assert!(report.rules.iter().all(|rule| matches!(rule.standing, Standing::NotEvaluated { .. })));
        assert_eq!((report.rules.len(), report.problems.len()), (11, 0));
    }
}
