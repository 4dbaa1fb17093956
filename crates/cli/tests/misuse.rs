//! Wrong flags, missing files, full disks, broken settings: what a user is told, and what is left untouched.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(name)
}

/// Exit status, standard output, standard error.
fn lapwing(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("lapwing").unwrap().args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs, expects status 2 and each of the words on standard error.
fn refused(arguments: &[&str], words: &[&str]) {
    let (status, _, told) = lapwing(arguments);
    assert_eq!(status, 2, "{arguments:?}: {told}");
    for word in words {
        assert!(told.contains(word), "{arguments:?} does not say '{word}': {told}");
    }
}

#[test]
fn every_verb_shows_an_example() {
    for verb in [
        &["scan"][..],
        &["train"],
        &["flows"],
        &["features"],
        &["models"],
        &["models", "show"],
        &["models", "verify"],
        &["signatures"],
        &["signatures", "check"],
        &["signatures", "list"],
        &["signatures", "test"],
        &["selftest"],
        &["config"],
        &["config", "check"],
        &["config", "show"],
    ] {
        let (status, help, _) = lapwing(&[verb, &["--help"]].concat());
        assert_eq!(status, 0);
        assert!(help.contains("Example"), "{verb:?}");
    }
}

#[test]
fn what_prints_a_result_prints_it_as_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("home.lapwing");
    let clean = corpus("first-look/clean.pcap");
    let json = |arguments: &[&str]| -> serde_json::Value {
        let (_, out, told) = lapwing(arguments);
        assert!(out.starts_with('{'), "{arguments:?}: {out} {told}");
        serde_json::from_str(&out).unwrap()
    };
    assert_eq!(json(&["train", text(&clean), "--output", text(&model), "--json"])["schema"]["name"], "connection");
    assert!(json(&["models", "show", text(&model), "--json"])["threshold"].is_number());
    assert_eq!(json(&["models", "verify", text(&model), "--json"])["models"][0]["fit"], true);
    assert!(json(&["signatures", "list", "--json"])["rules"].as_array().unwrap().len() > 10);
    assert!(json(&["signatures", "check", "--json"])["warnings"].is_array());
    assert!(json(&["signatures", "test", "--json"])["cases"].as_array().unwrap().len() > 10);
}

#[test]
fn a_bad_model_does_not_keep_the_next_from_being_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.lapwing"), folder.path().join("bad.lapwing"));
    lapwing(&["train", text(&corpus("first-look/clean.pcap")), "--output", text(&good)]);
    fs::write(&bad, "no model").unwrap();
    let (status, out, told) = lapwing(&["models", "verify", text(&bad), text(&good)]);
    assert_eq!(status, 2);
    assert!(
        out.contains("good.lapwing: whole") && told.contains("bad.lapwing") && told.contains("1 of 2"),
        "{out}{told}"
    );
}

#[test]
fn training_finds_at_the_beginning_what_would_fail_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let capture = corpus("first-look/clean.pcap");
    let model = folder.path().join("m.lapwing");
    let train = |more: &[&str], words: &[&str]| {
        let output = if more.contains(&"--output") { vec![] } else { vec!["--output", text(&model)] };
        let arguments = [&["train", text(&capture)], &output[..], more].concat();
        refused(&arguments, words);
        let (.., told) = lapwing(&arguments);
        assert!(!told.contains("learnt from"), "{told}");
    };
    train(&["--set", "trees=0"], &["--set trees", "1 to 10000"]);
    train(&["--set", "leaves=5"], &["leaves", "trees, sample and seed"]);
    train(&["--set", "trees=10000", "--set", "sample=32768"], &["--set"]);
    train(&["--budget", "0"], &["a number above 0"]);
    train(&["--output", "/no/such/folder/m.lapwing"], &["/no/such/folder/m.lapwing: cannot be written"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_result_takes_the_place_of_an_older_one_only_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("flows.csv");
    fs::write(&out, "the good one").unwrap();
    refused(&["flows", text(&folder.path().join("none.pcap")), "--output", text(&out)], &["none.pcap"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "the good one");
    let capture = corpus("port-scan-connect/capture.pcap");
    assert_eq!(lapwing(&["flows", text(&capture), "--output", text(&out)]).0, 0);
    assert!(fs::read_to_string(&out).unwrap().starts_with("ts,"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_result_does_not_overwrite_what_its_run_reads() {
    let folder = tempfile::tempdir().unwrap();
    let capture = corpus("port-scan-connect/capture.pcap");
    let (rules, config) = (folder.path().join("rules"), folder.path().join("lapwing.toml"));
    fs::create_dir(&rules).unwrap();
    let (good, broken) = (rules.join("good.yml"), rules.join("broken.yml"));
    fs::write(
        &good,
        "title: T\nlogsource: {product: zeek, service: conn}\ndetection: {s: {proto: tcp}, condition: s}\n",
    )
    .unwrap();
    fs::write(&broken, [0xff; 8]).unwrap();
    fs::write(&config, "").unwrap();
    for own in [&good, &broken, &config] {
        let before = fs::read(own).unwrap();
        let arguments = ["scan", text(&capture), "--signatures", text(&rules), "--config", text(&config)];
        refused(&[&arguments[..], &["--output", text(own)]].concat(), &["is read by this run"]);
        assert_eq!(fs::read(own).unwrap(), before);
    }
}

#[test]
fn what_was_not_read_of_a_baseline_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, clean) = (corpus("port-scan-connect/capture.pcap"), corpus("first-look/clean.pcap"));
    let (cut, none) = (folder.path().join("cut.pcap"), folder.path().join("none.pcap"));
    let bytes = fs::read(&clean).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();
    let scan = |baseline: &[&Path]| {
        let baseline = baseline.iter().flat_map(|path| ["--baseline", text(path)]);
        let arguments: Vec<&str> = ["scan", text(&capture), "--format", "json"].into_iter().chain(baseline).collect();
        let (status, out, told) = lapwing(&arguments);
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        (status, document["summary"]["baseline"].clone(), told)
    };
    let (status, baseline, _) = scan(&[&cut]);
    assert_eq!((status, &baseline["coverage"]["inputs_cut_off_or_damaged"]), (0, &1.into()));
    let (status, baseline, told) = scan(&[&clean, &none]);
    assert_eq!(status, 2);
    assert!(baseline["inputs"][1]["refused"].is_string() && told.contains("the baseline: 1 of 2 inputs"), "{told}");
    let model = folder.path().join("home.lapwing");
    refused(&["train", text(&clean), text(&none), "--output", text(&model)], &["1 of 2 inputs", "nothing was written"]);
    assert!(!model.exists());
}

#[test]
fn a_folder_tells_of_captures_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(corpus("port-scan-connect/capture.pcap"), folder.path().join("good.pcap")).unwrap();
    fs::write(folder.path().join("random.pcap"), "no capture").unwrap();
    let (status, out, told) = lapwing(&["scan", text(folder.path()), "--format", "json"]);
    assert!(status == 0 && told.contains("random.pcap"), "{told}");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let inputs = document["summary"]["inputs"].as_array().unwrap();
    assert!(inputs[0]["refused"].is_null() && inputs[1]["refused"].is_string(), "{inputs:?}");
}

#[test]
fn a_full_disk_is_told() {
    let capture = corpus("port-scan-connect/capture.pcap");
    for verb in ["scan", "flows", "features"] {
        refused(&[verb, text(&capture), "--output", "/dev/full"], &["cannot be written", "No space left"]);
    }
    assert_eq!(lapwing(&["scan", text(&capture), "--output", "/dev/null"]).0, 0);
}

#[test]
fn the_name_of_the_output_says_the_form() {
    let folder = tempfile::tempdir().unwrap();
    let capture = corpus("port-scan-connect/capture.pcap");
    for (name, begins) in [
        ("o.eve", "{\"timestamp\""),
        ("eve.json", "{\"timestamp\""),
        ("o.json", "{\n"),
        ("o.csv", "id,"),
        ("o", "{\"id\""),
    ] {
        let out = folder.path().join(name);
        let (status, _, told) = lapwing(&["scan", text(&capture), "--output", text(&out)]);
        assert_eq!((status, told.as_str()), (0, ""));
        assert!(fs::read_to_string(&out).unwrap().starts_with(begins), "{name}");
    }
    let strange = folder.path().join("o.xlsx");
    let (_, _, told) = lapwing(&["scan", text(&capture), "--output", text(&strange)]);
    assert!(told.contains(".eve") && told.contains("--format"), "{told}");
}

#[test]
fn an_input_named_twice_is_read_once() {
    let capture = corpus("port-scan-connect/capture.pcap");
    let other = corpus("port-scan-connect/../port-scan-connect/capture.pcap");
    let (status, twice, told) = lapwing(&["scan", text(&capture), text(&other), "--format", "jsonl"]);
    let (_, once, _) = lapwing(&["scan", text(&capture), "--format", "jsonl"]);
    assert_eq!((status, twice), (0, once));
    assert!(told.contains("named twice, read once"), "{told}");
}

#[test]
fn errors_say_each_cause_once_and_what_to_do() {
    let (_, _, told) = lapwing(&["scan", "/no/such.pcap"]);
    assert_eq!(told.matches("No such file").count(), 1, "{told}");
    let (_, _, told) = lapwing(&["models", "show", "/no/such.lapwing"]);
    assert_eq!(told.matches("No such file").count(), 1, "{told}");
    refused(&["scan", "x.pcap", "--limit", "0"], &["--limit", "0 is out of range; use 1 or more"]);
    refused(&["scan", "x.pcap", "--threads", "65"], &["65 is out of range; use 1 to 64"]);
    refused(&["scan", "x.pcap", "--filter", "prot 5"], &["--filter", "prot"]);
    refused(&["scan", "x.pcap", "--local", "10.0.0.0/99"], &["--local", "10.0.0.0/99"]);
}

#[test]
fn without_signatures_the_summary_says_so() {
    let capture = corpus("port-scan-connect/capture.pcap");
    let (status, out, _) = lapwing(&["scan", text(&capture), "--no-shipped-signatures", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, document["alerts"].as_array().unwrap().len()), (0, 0));
    assert!(document["summary"]["not_evaluated"].to_string().contains("the shipped ones were left out"));
}

#[test]
fn a_configuration_is_read_and_arguments_win() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lapwing.toml");
    let capture = corpus("port-scan-connect/capture.pcap");
    fs::write(&config, "[signatures]\nshipped = false\n[capture]\nlimit = 10\n").unwrap();
    let summary = |more: &[&str]| -> serde_json::Value {
        let arguments = [&["scan", text(&capture), "--format", "json", "--config", text(&config)], more].concat();
        let document: serde_json::Value = serde_json::from_str(&lapwing(&arguments).1).unwrap();
        document["summary"].clone()
    };
    let flows = |summary: &serde_json::Value| summary["flows"].as_u64().unwrap();
    let (few, more) = (summary(&[]), summary(&["--limit", "500"]));
    assert!(flows(&few) <= 10 && flows(&more) > 10, "{few} {more}");
    assert!(few["not_evaluated"].to_string().contains("shipped"));
    fs::write(&config, "[flow]\ncapacity = 3\n").unwrap();
    refused(
        &["flows", text(&capture), "--config", text(&config)],
        &["lapwing.toml:2: flow.capacity: 3 is out of range; use 64 to 16777216"],
    );
    refused(&["features", text(&capture), "--config", "/no/such.toml"], &["--config /no/such.toml: cannot be read"]);
}

#[test]
fn the_reference_of_the_configuration_is_rendered_from_the_types() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let rendered = reference();
    if std::env::var_os("LAPWING_BLESS").is_some() {
        fs::write(&page, &rendered).unwrap();
    }
    assert_eq!(fs::read_to_string(page).unwrap(), rendered, "LAPWING_BLESS=1 writes it anew");
}

fn reference() -> String {
    let schema = serde_json::to_value(schemars::schema_for!(lapwing_engine::Config)).unwrap();
    let mut page = "# lapwing.toml\n\nRendered from the types by a test. `lapwing VERB … --config lapwing.toml` reads it; no file is read \
                    unless it is named, and\nan argument wins over it. A key that is not listed is refused, and so is a value out \
                    of its range, with file, line, key and range.\n`lapwing config check` does only that, `lapwing config show` \
                    prints every setting.\n\n\
                    ```toml\nlocal = [\"192.168.0.0/16\"]\n\n[capture]\nfilter = \"not port 22\"\n\n[train]\nbudget = 0.5\n```\n"
        .to_owned();
    Reference { definitions: &schema["$defs"] }.table(&schema, "", &mut page);
    page
}

/// Renders tables of keys; those inside a table follow it.
struct Reference<'a> {
    definitions: &'a serde_json::Value,
}

impl<'a> Reference<'a> {
    fn table(&self, object: &'a serde_json::Value, path: &str, page: &mut String) {
        let heading = if path.is_empty() { "Top level, before any table".to_owned() } else { format!("[{path}]") };
        page.push_str(&format!("\n## {heading}\n\n"));
        if !path.is_empty() {
            let description = object["description"].as_str().expect("every table is documented");
            page.push_str(&format!("{}\n\n", description.replace('\n', " ")));
        }
        page.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        let properties = object["properties"].as_object().unwrap();
        for (key, property) in properties.iter().filter(|(_, property)| self.table_of(property).is_none()) {
            let meaning = property["description"].as_str().expect("every key is documented");
            let is_required = object["required"].as_array().is_some_and(|keys| keys.iter().any(|known| known == key));
            let default = match &property["default"] {
                serde_json::Value::Null if is_required => "required".to_owned(),
                serde_json::Value::Null => "none".to_owned(),
                value => format!("`{value}`"),
            };
            let value = self.value_of(property);
            page.push_str(&format!("| `{key}` | {value} | {default} | {} |\n", meaning.replace('\n', " ")));
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        for (key, property) in properties {
            let Some((table, named)) = self.table_of(property) else { continue };
            let heading = format!("{prefix}{key}{}", if named { ".NAME" } else { "" });
            // Every receiver has the same table of whom to trust; it is shown once.
            if !page.contains("tls]\n") || key != "tls" {
                self.table(table, &heading, page);
            }
        }
    }

    /// The table of keys that a key stands for, if it does, and whether there are several under names of their own.
    fn table_of(&self, property: &'a serde_json::Value) -> Option<(&'a serde_json::Value, bool)> {
        let target = self.target(property)?;
        if target["properties"].is_object() {
            return Some((target, false));
        }
        let named = self.target(&target["additionalProperties"])?;
        named["properties"].is_object().then_some((named, true))
    }

    /// What a key refers to, optional or not.
    fn target(&self, property: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        if let Some(reference) = property["$ref"].as_str() {
            return Some(&self.definitions[reference.strip_prefix("#/$defs/")?]);
        }
        let one = property["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null"));
        one.map_or_else(|| property.is_object().then_some(property), |one| self.target(one))
    }

    /// What may stand for a key: type and range.
    fn value_of(&self, property: &'a serde_json::Value) -> String {
        let property = self.target(property).unwrap();
        let names = |names: Vec<&serde_json::Value>| {
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
        };
        if let Some(values) = property["enum"].as_array() {
            return names(values.iter().collect());
        }
        if let Some(one_of) = property["oneOf"].as_array() {
            let each = one_of.iter().flat_map(|one| match one["enum"].as_array() {
                Some(values) => values.iter().collect(),
                None => vec![&one["const"]],
            });
            return names(each.collect());
        }
        let kind = match &property["type"] {
            serde_json::Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null").unwrap(),
            kind => kind,
        };
        let range = match (&property["minimum"], &property["maximum"]) {
            (least, most) if most.is_number() => format!(", {least} to {most}"),
            (least, _) if least.is_number() => format!(", {least} or more"),
            _ if property["exclusiveMinimum"].is_number() => format!(", above {}", property["exclusiveMinimum"]),
            _ => String::new(),
        };
        let name = match kind.as_str().expect("every key has a type") {
            "integer" => "whole number",
            "number" => "number",
            "boolean" => "`true` or `false`",
            "array" => "list of texts",
            _ => "text",
        };
        format!("{name}{range}")
    }
}
