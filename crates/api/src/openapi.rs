//! The OpenAPI document (version 3.1) of the table of operations.

use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::access::Access;
use crate::operation::{Given, Operation, Taken};
use crate::problem::{MEDIA_TYPE, ProblemView};

/// What every operation may answer with when its parameters, or its caller, are not as they should be.
const COMMON: [u16; 3] = [400, 429, 503];

/// Describes the operations.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for operation in operations {
        let described = describe(operation, &mut generator);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_lowercase()] = described;
    }
    let tags: BTreeSet<&str> = operations.iter().map(|operation| operation.tag).collect();
    let tags: Vec<Value> = tags.into_iter().map(|name| json!({ "name": name })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lapwing",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a running Lapwing sees, finds and is told. Every answer but those of login, set-up, health \
                and readiness needs a session or an API token: `Authorization: Bearer TOKEN`. Lists go on after `next`, \
                given back as `cursor`. Problems are those of RFC 9457.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A session's token or an API token" },
                "session": { "type": "apiKey", "in": "cookie", "name": "lapwing_session" },
            },
        },
    })
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = path_parameters(operation.path).collect();
    if let Some(query) = operation.query {
        parameters.extend(query_parameters(&query(generator)));
    }
    let mut responses = Map::new();
    for (status, given) in &operation.answers {
        responses.insert(status.to_string(), answer(*given, generator));
    }
    for status in problems(operation) {
        let schema = generator.subschema_for::<ProblemView>();
        let described = json!({ "description": title(status), "content": { MEDIA_TYPE: { "schema": schema } } });
        responses.entry(status.to_string()).or_insert(described);
    }
    if operation.method == "GET" && !operation.path.contains(".pcap") {
        responses.entry("304").or_insert_with(|| json!({ "description": title(304) }));
    }
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters,
        "responses": responses,
        "x-role": operation.access.name(),
    });
    described["security"] = match operation.access {
        Access::Open => json!([]),
        Access::Role(_) => json!([{ "bearer": [] }, { "session": [] }]),
    };
    if let Some(body) = body(operation.taken, generator) {
        described["requestBody"] = body;
    }
    described
}

fn body(taken: Taken, generator: &mut SchemaGenerator) -> Option<Value> {
    let (media_type, schema) = match taken {
        Taken::Nothing => return None,
        Taken::Json(describe) => ("application/json", describe(generator)),
        Taken::Form(describe) => ("multipart/form-data", describe(generator)),
    };
    Some(json!({ "required": true, "content": { media_type: { "schema": schema } } }))
}

fn answer(given: Given, generator: &mut SchemaGenerator) -> Value {
    match given {
        Given::Nothing => json!({ "description": "Done" }),
        Given::Json(describe) => {
            json!({ "description": "Done", "content": { "application/json": { "schema": describe(generator) } } })
        }
        Given::Other(media_type) => json!({ "description": "Done", "content": { media_type: {} } }),
    }
}

/// Statuses of problems, those of every operation among them.
fn problems(operation: &Operation) -> BTreeSet<u16> {
    let mut problems: BTreeSet<u16> = COMMON.into_iter().chain(operation.problems.iter().copied()).collect();
    if matches!(operation.access, Access::Role(_)) {
        problems.extend([401, 403]);
    }
    if operation.path.contains('{') {
        problems.insert(404);
    }
    if !matches!(operation.taken, Taken::Nothing) {
        problems.extend([413, 415]);
    }
    problems
}

fn path_parameters(path: &str) -> impl Iterator<Item = Value> + '_ {
    path.split('/').filter_map(|part| part.strip_prefix('{')).filter_map(|rest| rest.split('}').next()).map(|name| {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 128 });
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    })
}

/// One parameter for each property of an object.
fn query_parameters(schema: &Schema) -> Vec<Value> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({ "name": name, "in": "query", "schema": set(schema) });
        if required.contains(&name.as_str()) {
            parameter["required"] = true.into();
        }
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    };
    properties.iter().map(parameter).collect()
}

/// The schema of a parameter that is there: one that is not is left out, and never `null`.
fn set(mut schema: Value) -> Value {
    if let Some(kinds) = schema.get_mut("type").filter(|kinds| kinds.is_array()) {
        let given: Vec<Value> =
            kinds.as_array().into_iter().flatten().filter(|kind| *kind != "null").cloned().collect();
        if let [kind] = given.as_slice() {
            *kinds = kind.clone();
        }
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let given: Vec<&Value> = choices.iter().filter(|choice| choice["type"] != "null").collect();
        if let [choice] = given.as_slice() {
            return (*choice).clone();
        }
    }
    schema
}

fn operation_id(operation: &Operation) -> String {
    let words = operation.path.split(['/', '{', '}', '.', '-', '_']).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    format!("{}_{}", operation.method.as_str().to_lowercase(), words.join("_"))
}

fn title(status: u16) -> &'static str {
    let known = axum::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.unwrap_or("Problem")
}

#[cfg(test)]
mod tests {
    use crate::routes;

    use super::*;

    #[test]
    fn the_document_is_as_it_was_agreed_on() {
        let mut document = document(&routes::operations());
        document["info"]["version"] = "*".into();
        insta::assert_json_snapshot!(document);
    }

    #[test]
    fn every_operation_is_described_once_with_its_role() {
        let operations = routes::operations();
        let document = document(&operations);
        let mut ids = BTreeSet::new();
        for operation in &operations {
            let described = &document["paths"][operation.path][operation.method.as_str().to_lowercase()];
            assert_eq!(described["x-role"], operation.access.name(), "{}", operation.path);
            assert!(ids.insert(described["operationId"].to_string()), "{} twice", described["operationId"]);
            assert!(!operation.tag.is_empty() && !operation.answers.is_empty(), "{}", operation.path);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn look(value: &Value, document: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                    }
                    fields.values().for_each(|value| look(value, document));
                }
                Value::Array(values) => values.iter().for_each(|value| look(value, document)),
                _ => {}
            }
        }
        let document = document(&routes::operations());
        look(&document, &document);
    }
}
