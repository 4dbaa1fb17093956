//! Every operation of the document, asked as everybody: what the table says of roles is what is done.

use serde_json::{Map, Value, json};

use crate::server::{Asked, Server};

/// What anybody may ask for.
const OPEN: [(&str, &str); 7] = [
    ("get", "/auth/setup"),
    ("get", "/health"),
    ("get", "/ready"),
    ("post", "/auth/login"),
    ("post", "/auth/refresh"),
    ("post", "/auth/setup"),
    ("get", "/docs"),
];

struct Operation {
    method: String,
    path: String,
    described: Value,
}

fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &Value)| -> Vec<Operation> {
        let methods = methods.as_object().unwrap().iter();
        let operation = |(method, described): (&String, &Value)| Operation {
            method: method.clone(),
            path: path.clone(),
            described: described.clone(),
        };
        methods.map(operation).collect()
    };
    paths.iter().flat_map(of).collect()
}

/// Something of that schema: the first of every choice, no more than has to be.
fn example(schema: &Value, document: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let place = name.trim_start_matches('#');
        return example(document.pointer(place).unwrap(), document);
    }
    if let Some(value) = schema["enum"].get(0).or_else(|| schema.get("const")) {
        return value.clone();
    }
    if let Some(choice) = schema["oneOf"].get(0).or_else(|| schema["anyOf"].get(0)) {
        return example(choice, document);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let field = |name: &str| (name.to_owned(), example(&schema["properties"][name], document));
            Value::Object(required.map(field).collect::<Map<_, _>>())
        }
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            (0..least).map(|_| example(&schema["items"], document)).collect()
        }
        Some("integer" | "number") => schema["minimum"].as_i64().unwrap_or(1).into(),
        Some("boolean") => false.into(),
        Some("string") => "x".repeat(schema["minLength"].as_u64().unwrap_or(1) as usize).into(),
        _ => Value::Null,
    }
}

impl Operation {
    fn asked(&self, document: &Value) -> Asked {
        let mut path = self.path.clone();
        while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
            path.replace_range(from..=to, "nobody");
        }
        let required = self.described["parameters"].as_array().into_iter().flatten();
        let required = required.filter(|it| it["in"] == "query" && it["required"] == true);
        let query: Vec<String> = required
            .map(|it| {
                format!("{}={}", it["name"].as_str().unwrap(), example(&it["schema"], document).as_str().unwrap())
            })
            .collect();
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let asked = Asked::new(&self.method.to_uppercase(), &path);
        let content = &self.described["requestBody"]["content"];
        match content.get("application/json") {
            Some(described) => asked.json(&example(&described["schema"], document)),
            None if content.is_object() => asked.form(&[], "x", b"x"),
            None => asked,
        }
    }

    fn role(&self) -> &str {
        self.described["x-role"].as_str().unwrap()
    }
}

#[test]
fn every_operation_does_for_every_role_what_the_document_says() {
    let server = Server::start();
    let document = server.get("/openapi.json", &server.admin).given();
    let operations = operations(&document);
    assert!(operations.len() > 60, "{}", operations.len());
    let callers =
        [("none", String::new()), ("viewer", server.account("viewer")), ("analyst", server.account("analyst"))];
    let rank = |role: &str| ["none", "viewer", "analyst", "admin"].iter().position(|known| *known == role).unwrap();
    for operation in &operations {
        let name = format!("{} {}", operation.method, operation.path);
        assert_eq!(
            operation.role() == "none",
            OPEN.contains(&(operation.method.as_str(), operation.path.as_str())),
            "{name} is open to {}",
            operation.role()
        );
        assert_eq!(operation.described["security"] == json!([]), operation.role() == "none", "{name}");
        for (role, token) in &callers {
            // It would be the last thing that they did.
            if operation.path == "/auth/logout" && !token.is_empty() {
                continue;
            }
            let answer = server.send(&operation.asked(&document).token(token));
            let documented = operation.described["responses"].get(answer.status.to_string());
            assert!(documented.is_some(), "{name} as {role}: {answer:?}");
            assert!(answer.status < 500, "{name} as {role}: {answer:?}");
            if rank(operation.role()) > rank(role) {
                let expected = if token.is_empty() { 401 } else { 403 };
                answer.refused(expected);
            } else if operation.role() != "none" {
                let is_refused = answer.status == 401 || answer.text().contains("this takes the role");
                assert!(!is_refused, "{name} as {role}: {answer:?}");
            }
        }
    }
}

#[test]
fn every_operation_answers_an_admin_as_the_document_says() {
    let server = Server::start();
    let document = server.get("/openapi.json", &server.admin).given();
    for operation in operations(&document) {
        let ends = ["/auth/logout", "/api/v1/source", "/api/stop_monitor"];
        if operation.method != "get" && ends.contains(&operation.path.as_str()) {
            continue;
        }
        let answer = server.send(&operation.asked(&document).token(&server.admin));
        let name = format!("{} {}", operation.method, operation.path);
        let documented = &operation.described["responses"][answer.status.to_string()];
        assert!(documented.is_object() && answer.status < 500, "{name}: {answer:?}");
        let media_type = answer.header("content-type");
        match documented["content"].as_object() {
            None => assert!(answer.body.is_empty(), "{name}: {answer:?}"),
            Some(content) => {
                assert!(content.contains_key(media_type.unwrap_or_default()), "{name}: {media_type:?}");
            }
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{name}");
        assert!(answer.header("x-request-id").is_some(), "{name}");
        let caching = answer.header("cache-control").unwrap();
        assert!(caching.contains("no-store") || caching.contains("private"), "{name}: {caching}");
    }
}
