//! Explanations: sentences with measured values in them.
//!
//! `{field}` stands for the value. A number may be given a form, `{field|form}`: `percent` of a share from 0 to 1, `bytes` and
//! `seconds` with the unit that a person would choose; or a noun, `{field|host|hosts}`, before it `about` where counts of more than
//! 32 are estimates, `{field|about|host|hosts}`. `upper` writes a
//! word in capitals.

/// A value as a sentence takes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Number(f64),
    Text(String),
}

/// Puts values in the place of `{name}`; a name without a value becomes `?`.
pub(super) fn fill(template: &str, value: impl Fn(&str) -> Option<Said>) -> String {
    let mut filled = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((place, after)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        let (name, form) = place.split_once('|').map_or((place, None), |(name, form)| (name, Some(form)));
        match (value(name), form) {
            (None, _) => filled.push('?'),
            (Some(Said::Text(text)), Some("upper")) => filled.push_str(&text.to_uppercase()),
            (Some(Said::Text(text)), _) => filled.push_str(&text),
            (Some(Said::Number(value)), form) => filled.push_str(&in_form(value, form)),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled.trim_end().to_owned()
}

fn in_form(value: f64, form: Option<&str>) -> String {
    match form {
        None => number(value),
        Some("percent") => percent(value),
        Some("bytes") => bytes(value),
        Some("seconds") => seconds(value),
        Some(form) if form.starts_with("about|") => estimate(value, &form["about|".len()..]),
        Some(nouns) => {
            let (one, many) = nouns.split_once('|').unwrap_or((nouns, nouns));
            let number = number(value);
            let noun = if number == "1" { one } else { many };
            format!("{number} {noun}")
        }
    }
}

/// Counts of different things are exact up to here, and estimates above.
const EXACT: f64 = 32.0;

/// A count of different things: above [`EXACT`] with the word and the digits of an estimate.
fn estimate(value: f64, noun: &str) -> String {
    if value <= EXACT {
        return in_form(value, Some(noun));
    }
    let unit = 10_f64.powf((value.log10().floor() - 1.0).max(0.0));
    format!("about {}", in_form((value / unit).round() * unit, Some(noun)))
}

/// A number as a person reads it: three digits say enough of what is not whole.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Whole per cent; what is more than none and less than all never reads as none or all.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 1.0 {
        "less than 1 %".to_owned()
    } else if percent > 99.0 && percent < 100.0 {
        "more than 99 %".to_owned()
    } else {
        format!("{percent:.0} %")
    }
}

/// Decimal units: kB is 1,000 bytes.
fn bytes(value: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match UNITS.iter().find(|(size, _)| value >= *size) {
        Some((size, unit)) => format!("{} {unit}", number(value / size)),
        None => in_form(value.round(), Some("byte|bytes")),
    }
}

/// Milliseconds to hours.
fn seconds(value: f64) -> String {
    match value {
        v if v < 0.0005 => "0 s".to_owned(),
        v if v < 1.0 => format!("{:.0} ms", v * 1e3),
        v if v < 120.0 => format!("{} s", number(v)),
        v if v < 7_200.0 => format!("{:.0} min", v / 60.0),
        v => format!("{} h", number(v / 3_600.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(template: &str, value: f64) -> String {
        fill(template, |name| (name == "x").then_some(Said::Number(value)))
    }

    #[test]
    fn nouns_agree_with_their_numbers() {
        assert_eq!(with("{x|host|hosts} answered", 1.0), "1 host answered");
        assert_eq!(with("{x|host|hosts} answered", 0.0), "0 hosts answered");
        assert_eq!(with("{x|host|hosts} answered", 12.0), "12 hosts answered");
    }

    #[test]
    fn numbers_carry_units() {
        assert_eq!(with("{x|percent}", 0.14), "14 %");
        assert_eq!(with("{x|percent}", 0.004), "less than 1 %");
        assert_eq!(with("{x|percent}", 1.0), "100 %");
        assert_eq!(with("{x|bytes}", 1.0), "1 byte");
        assert_eq!(with("{x|bytes}", 206_879.0), "207 kB");
        assert_eq!(with("{x|bytes}", 25_400_000.0), "25.4 MB");
        assert_eq!(with("{x|seconds}", 0.041), "41 ms");
        assert_eq!(with("{x|seconds}", 59.96), "60 s");
        assert_eq!(with("{x|seconds}", 602.9), "10 min");
        assert_eq!(with("{x|seconds}", 10_800.0), "3 h");
    }

    #[test]
    fn estimates_are_told_as_such() {
        assert_eq!(with("{x|about|host|hosts}", 1.0), "1 host");
        assert_eq!(with("{x|about|host|hosts}", 32.0), "32 hosts");
        assert_eq!(with("{x|about|host|hosts}", 218.0), "about 220 hosts");
        assert_eq!(with("{x|about|host|hosts}", 61_234.0), "about 61000 hosts");
    }

    #[test]
    fn what_is_not_there_shows() {
        assert_eq!(with("{y} and {x", 1.0), "? and {x");
    }
}
