//! What a rule's text may not be: some small texts make the parsers of YAML, conditions and patterns work for minutes or
//! run out of stack. The limits lie far from any rule that people write.

use regex::RegexBuilder;
use serde::Deserialize as _;
use yaml_serde::Value;

/// Negations in one condition: each is a level of recursion in whoever parses, compiles or evaluates it.
const MAX_NEGATIONS: usize = 64;

/// Bytes of one value to search for. What the pattern matcher is built from grows with their square.
const MAX_VALUE: usize = 2_048;

/// Wildcards (`*`, `?`) in one value: a value that has any becomes a regular expression, and each is a loop in it.
const MAX_WILDCARDS: usize = 32;

/// Bytes a compiled regular expression may take: `\w{20}` needs some 100 KB, as there are many letters.
const MAX_REGEX: usize = 256 << 10;

/// Up to here a compiled regular expression counts as a small one.
const SMALL_REGEX: usize = 16 << 10;

/// Deeper content is left to the parser, which refuses it.
const MAX_DEPTH: usize = 128;

/// What one file may cost, in steps of a few nanoseconds for the YAML scanner and in microseconds for patterns: half a second
/// at most of each on a machine of today. The shipped rules need a thousandth of it.
const SCANNING: u64 = 200_000_000;
const PATTERNS: u64 = 500_000;

/// What a file may still cost.
#[derive(Debug)]
pub(super) struct Budget {
    scanning: u64,
    patterns: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { scanning: SCANNING, patterns: PATTERNS }
    }
}

impl Budget {
    /// Why a document of rules is not even parsed.
    pub(super) fn unfit(&mut self, text: &str) -> Option<String> {
        if let Some(reason) = self.tangled(text) {
            return Some(reason);
        }
        // What is no YAML the parser of rules says better.
        let documents =
            yaml_serde::Deserializer::from_str(text).map_while(|document| Value::deserialize(document).ok());
        documents.flat_map(|document| self.unfit_value(&document, "", 0)).next()
    }

    /// Why a text is not even given to the YAML parser: for each token its scanner looks at every bracket that is open. Which
    /// are open only a scanner can say (those in quotes, comments and blocks of text are none), so each counts as open from
    /// where it stands to the end.
    pub(super) fn tangled(&mut self, text: &str) -> Option<String> {
        let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
        let steps = brackets as u64 * text.len() as u64;
        self.scanning = match self.scanning.checked_sub(steps) {
            Some(rest) => rest,
            None => {
                let length = text.len();
                return Some(format!("{brackets} brackets in {length} bytes are too many to read; split the file"));
            }
        };
        None
    }

    /// Why a value under `key` is refused.
    fn unfit_value(&mut self, value: &Value, key: &str, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        match value {
            Value::String(condition) if key == "condition" => {
                let words = condition.split(|c: char| !c.is_alphanumeric() && c != '_');
                let negations = words.filter(|word| word.eq_ignore_ascii_case("not")).count();
                (negations > MAX_NEGATIONS)
                    .then(|| format!("the condition negates {negations} times, the most is {MAX_NEGATIONS}"))
            }
            Value::String(text) if !PROSE.contains(&key) => self.unfit_text(text, key),
            Value::Sequence(values) => values.iter().find_map(|value| self.unfit_value(value, key, depth + 1)),
            Value::Mapping(entries) => entries.iter().find_map(|(name, value)| {
                self.unfit_value(name, "", depth + 1)
                    .or_else(|| self.unfit_value(value, name.as_str().unwrap_or(key), depth + 1))
            }),
            Value::Tagged(tagged) => self.unfit_value(&tagged.value, key, depth + 1),
            _ => None,
        }
    }

    /// Why a text to search for is refused; `key` is its field with the modifiers.
    fn unfit_text(&mut self, text: &str, key: &str) -> Option<String> {
        let length = text.len();
        if length > MAX_VALUE {
            return Some(format!("a value has {length} bytes, the most is {MAX_VALUE}"));
        }
        let has = |modifier: &str| key.split('|').skip(1).any(|known| known == modifier);
        let cost = if has("re") {
            match regex_cost(text) {
                Ok(cost) => cost,
                Err(reason) => return Some(reason),
            }
        } else {
            let wildcards = text.bytes().filter(|byte| matches!(byte, b'*' | b'?')).count();
            if wildcards > MAX_WILDCARDS {
                return Some(format!("a value has {wildcards} wildcards, the most is {MAX_WILDCARDS}"));
            }
            // Each dash stands for five: so many values are searched for. More than eight are refused by who compiles them.
            let dashes = text.bytes().filter(|byte| *byte == b'-').count().min(8) as u32;
            let variants = if has("windash") { 5_u64.pow(dashes) } else { 1 };
            let bytes = if has("base64offset") { 2 * length } else { length / 8 };
            (1 + 40 * wildcards as u64 + bytes as u64).saturating_mul(variants)
        };
        self.patterns = match self.patterns.checked_sub(cost) {
            Some(rest) => rest,
            None => return Some("the patterns of this file take too long to prepare; split the file".to_owned()),
        };
        None
    }
}

/// What compiling costs, in microseconds, from the size of what comes of it. A pattern that is no regular expression costs
/// nothing: who compiles it says what is wrong.
fn regex_cost(pattern: &str) -> Result<u64, String> {
    let fits = |limit| match RegexBuilder::new(pattern).size_limit(limit).build() {
        Err(regex::Error::CompiledTooBig(_)) => false,
        Ok(_) | Err(_) => true,
    };
    if fits(SMALL_REGEX) {
        Ok(300)
    } else if fits(MAX_REGEX) {
        Ok(10_000)
    } else {
        let most = MAX_REGEX >> 10;
        Err(format!("the regular expression takes more than {most} KiB; repeat less, or write [a-z0-9_] for \\w"))
    }
}

/// Keys of texts for people.
const PROSE: [&str; 3] = ["description", "explanation", "falsepositives"];

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use lapwing_protocol::LocalNetworks;

    use super::super::{SignatureSource, Signatures};
    use super::*;

    fn rule(values: &str, condition: &str) -> String {
        format!(
            "title: T\nlogsource: {{product: zeek, service: conn}}\ndetection:\n  s: {values}\n  condition: {condition}\n"
        )
    }

    fn unfit(text: &str) -> Option<String> {
        Budget::default().unfit(text)
    }

    #[test]
    fn shipped_rules_are_fit_and_far_from_every_limit() {
        for source in super::super::shipped() {
            let mut budget = Budget::default();
            assert_eq!(budget.unfit(&source.text), None, "{}", source.file);
            assert_eq!(source.cases.as_deref().and_then(|cases| budget.tangled(cases)), None);
            assert!(budget.scanning > SCANNING / 100 * 99 && budget.patterns > PATTERNS / 100 * 99, "{budget:?}");
        }
    }

    #[test]
    fn a_condition_of_thousands_of_negations_does_not_overflow_the_stack() {
        let reason = unfit(&rule("{a: 1}", &format!("{}s", "not ".repeat(10_000)))).unwrap();
        assert!(reason.contains("negates 10000 times"), "{reason}");
        assert_eq!(unfit(&rule("{a: 1}", "s and not (not s)")), None);
        let escaped = unfit(&rule("{a: 1}", &format!("\"{}s\"", "\\x6eot ".repeat(10_000))));
        assert!(escaped.is_some());
    }

    #[test]
    fn a_value_without_end_does_not_keep_the_pattern_matcher_busy() {
        let reason = unfit(&rule(&format!("{{source|base64offset|contains: '{}'}}", "a".repeat(10_000)), "s")).unwrap();
        assert_eq!(reason, "a value has 10000 bytes, the most is 2048");
        let reason = unfit(&rule(&format!("{{history: '{}'}}", "*a".repeat(100)), "s")).unwrap();
        assert_eq!(reason, "a value has 100 wildcards, the most is 32");
        let reason = unfit(&rule("{history|re: '(\\w{50}){50}'}", "s")).unwrap();
        assert!(reason.contains("repeat less"), "{reason}");
        assert_eq!(unfit(&rule("{history|re: '^[a-z0-9-]{20,40}\\.example\\.(com|net)$'}", "s")), None);
    }

    /// Texts of at most 300 KB that kept a parser busy for seconds to minutes.
    #[test]
    fn hostile_files_are_read_or_refused_quickly() {
        let list = |count: usize, value: &dyn Fn(usize) -> String| -> String {
            (0..count).map(|at| format!("\n      - '{}'", value(at))).collect()
        };
        let texts = [
            ("brackets", rule(&format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)), "s")),
            ("braces", rule(&format!("{}1{}", "{a: ".repeat(60_000), "}".repeat(60_000)), "s")),
            // Each pair looks closed to who does not know about quotes.
            ("quoted", rule(&format!("{}1{}", "[\"]\", ".repeat(30_000), "]".repeat(30_000)), "s")),
            ("commented", rule(&format!("{}1", "[ # ]\n".repeat(30_000)), "s")),
            (
                "wildcards",
                rule(&format!("\n    history:{}", list(8_000, &|at| format!("{}{at}", "*a?".repeat(10)))), "s"),
            ),
            ("regexes", rule(&format!("\n    history|re:{}", list(2_000, &|at| format!("\\w{{9}}{at}"))), "s")),
            (
                "dashes",
                rule(&format!("\n    history|windash|contains:{}", list(300, &|at| format!("-a-b-c-d-e-f-{at}"))), "s"),
            ),
            (
                "base64",
                rule(&format!("\n    history|base64offset|contains:{}", list(140, &|_| "x".repeat(2_000))), "s"),
            ),
        ];
        for (name, text) in texts {
            let begun = Instant::now();
            let source = SignatureSource { file: name.into(), text: text.into(), cases: None };
            let _ = Signatures::load(&[source], LocalNetworks::default());
            // Well under a second where the program is optimised and the machine idle; tests run in neither way.
            assert!(begun.elapsed() < Duration::from_secs(8), "{name}: {:?}", begun.elapsed());
        }
    }
}
