//! What a rule's text may not be: some small texts make the parsers of YAML, conditions and patterns work for minutes or
//! run out of stack. The limits lie far from any rule that people write.

use serde::Deserialize as _;
use yaml_serde::Value;

/// Brackets that may be open at once. The YAML scanner looks at all of them again for each token.
const MAX_OPEN: usize = 64;

/// Negations in one condition: each is a level of recursion in whoever parses, compiles or evaluates it.
const MAX_NEGATIONS: usize = 64;

/// Bytes of one value to search for. What the pattern matcher is built from grows with their square.
const MAX_VALUE: usize = 2_048;

/// Deeper content is left to the parser, which refuses it.
const MAX_DEPTH: usize = 128;

/// Why a document of rules is not even parsed.
pub(super) fn unfit(text: &str) -> Option<String> {
    if let Some(reason) = too_deep(text) {
        return Some(reason);
    }
    // What is no YAML the parser of rules says better.
    let documents = yaml_serde::Deserializer::from_str(text).map_while(|document| Value::deserialize(document).ok());
    documents.flat_map(|document| unfit_value(&document, "", 0)).next()
}

/// Why a text is not even given to the YAML parser.
pub(super) fn too_deep(text: &str) -> Option<String> {
    let mut open = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_OPEN {
            return Some(format!("more than {MAX_OPEN} brackets are open at once"));
        }
    }
    None
}

/// Why a value under `key` is refused.
fn unfit_value(value: &Value, key: &str, depth: usize) -> Option<String> {
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
        Value::String(text) if !PROSE.contains(&key) => {
            (text.len() > MAX_VALUE).then(|| format!("a value has {} bytes, the most is {MAX_VALUE}", text.len()))
        }
        Value::Sequence(values) => values.iter().find_map(|value| unfit_value(value, key, depth + 1)),
        Value::Mapping(entries) => entries.iter().find_map(|(name, value)| {
            unfit_value(name, "", depth + 1).or_else(|| unfit_value(value, name.as_str().unwrap_or(key), depth + 1))
        }),
        Value::Tagged(tagged) => unfit_value(&tagged.value, key, depth + 1),
        _ => None,
    }
}

/// Keys of texts for people.
const PROSE: [&str; 3] = ["description", "explanation", "falsepositives"];

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(values: &str, condition: &str) -> String {
        format!("title: T\nlogsource: {{product: lapwing}}\ndetection:\n  s: {values}\n  condition: {condition}\n")
    }

    #[test]
    fn shipped_rules_are_fit() {
        for source in super::super::shipped() {
            assert_eq!(unfit(&source.text), None, "{}", source.file);
            assert_eq!(source.cases.as_deref().and_then(too_deep), None);
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
    fn brackets_in_brackets_do_not_keep_the_yaml_scanner_busy() {
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            let nested = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            assert!(unfit(&rule(&nested, "s")).unwrap().contains("brackets"));
        }
    }

    #[test]
    fn a_value_without_end_does_not_keep_the_pattern_matcher_busy() {
        let reason = unfit(&rule(&format!("{{source|base64offset|contains: '{}'}}", "a".repeat(10_000)), "s")).unwrap();
        assert_eq!(reason, "a value has 10000 bytes, the most is 2048");
    }
}
