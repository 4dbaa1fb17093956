//! The documents of a rule file, and the lines that reasons are about.

use super::source::SignatureSource;

/// One document of a file, with the line it begins at.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) file: &'a str,
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// Splits a file at its `---` lines, so that one broken document does not take the others with it. A file that uses
/// Sigma's collection actions is kept whole, for those reach over documents.
pub(super) fn documents(source: &SignatureSource) -> Vec<Document<'_>> {
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
pub(super) fn line_of(text: &str, reason: &str) -> usize {
    let named = reason
        .split("line ")
        .nth(1)
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok());
    if let Some(line) = named {
        return line.saturating_sub(1);
    }
    let quoted = reason.split(['\'', '"', '`']).skip(1).step_by(2).filter(|word| !word.is_empty());
    for word in quoted.chain(reason.rsplit(": ").next().filter(|word| word.len() > 2)) {
        let word = word.trim();
        let place = |holds: fn(&str, &str) -> bool| text.lines().position(|line| holds(line, word));
        if let Some(line) =
            place(has_key).or_else(|| place(has_word)).or_else(|| place(|line, word| line.contains(word)))
        {
            return line;
        }
    }
    0
}

/// Whether the line has `word` as a key, with modifiers or without.
fn has_key(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let key = line[at + word.len()..].trim_start_matches(['\'', '"']);
        key.starts_with([':', '|']) && !line[..at].ends_with(is_letter)
    })
}

/// Whether the line has `word` with nothing grown on to it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_letter) && !line[at + word.len()..].starts_with(is_letter))
}

fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_where_its_word_is_a_key() {
        let text =
            "description: no failed_port at all\ndetection:\n  s:\n    failed_ports|gte: 1\n    failed_port|gte: 2\n";
        assert_eq!(line_of(text, "there is no field 'failed_port'"), 4);
        assert_eq!(line_of(text, "error at line 3 column 2"), 2);
        assert_eq!(line_of(text, "nothing of this"), 0);
    }
}
