//! `GET /openapi.json`: the HTTP side for other programs. Requests come from the table of routes, bodies and answers from
//! their types, commands and their data from the registry.

use std::sync::OnceLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    answers::{CloudEvent, ProblemAnswer},
    routes::{Content, ROUTES, Route, Who},
};
use crate::event::command::REGISTRY;

/// Events in one batch.
const BATCH_MAX: usize = 1000;

pub async fn get() -> Response {
    // It is the same for as long as the process lives.
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string());
    ([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}

fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.lower()] = schemas.operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "pikiosk event server", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "An operator's key, or a JWT."}},
            "schemas": schemas.all(),
        },
    })
}

/// Schemas are written once and named where they are used. What is read has other required members than what is written.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Schemas {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    fn operation(&mut self, route: &Route) -> Value {
        let parameter = |name: &str, place: &str, text: &str| json!({"name": name, "in": place, "required": place == "path", "description": text, "schema": {"type": "string"}});
        let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = in_path.map(|name| parameter(name, "path", ""));
        let in_query = route.query.iter().map(|(name, text)| parameter(name, "query", text));
        let parameters: Vec<Value> = in_path.chain(in_query).collect();
        let mut responses = Map::new();
        for (status, content) in route.answers {
            let described = match content {
                Content::Nothing => json!({"description": "done"}),
                content => json!({"description": "", "content": held(*content, &mut self.written)}),
            };
            responses.insert(status.to_string(), described);
        }
        let problem = json!({"schema": self.written.subschema_for::<ProblemAnswer>()});
        responses.insert(
            "default".to_owned(),
            json!({"description": "RFC 9457", "content": {"application/problem+json": problem}}),
        );
        let mut described = json!({"summary": route.summary, "parameters": parameters, "responses": responses});
        described["security"] = if route.who == Who::Bearer { json!([{"bearer": []}]) } else { json!([]) };
        if !matches!(route.body, Content::Nothing) {
            described["requestBody"] = json!({"content": held(route.body, &mut self.read)});
        }
        described
    }

    fn all(mut self) -> Value {
        let mut all = self.read.take_definitions(true);
        all.append(&mut self.written.take_definitions(true));
        for spec in REGISTRY {
            // The registry's schemas stand alone, with what they share inside of each.
            let text = spec.schema().to_string().replace("#/$defs/", "#/components/schemas/");
            let mut schema: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
            schema.remove("$schema");
            if let Some(Value::Object(mut shared)) = schema.remove("$defs") {
                all.append(&mut shared);
            }
            schema.insert("description".to_owned(), spec.summary.into());
            all.insert(format!("kiosk.{}", spec.name), schema.into());
        }
        all.into()
    }
}

fn held(content: Content, schemas: &mut SchemaGenerator) -> Value {
    match content {
        Content::Nothing => json!({}),
        Content::Json(schema) => json!({"application/json": {"schema": schema(schemas)}}),
        Content::Bytes => json!({"*/*": {}}),
        Content::Text => json!({"text/plain": {}}),
        Content::Events => {
            let named = schemas.subschema_for::<CloudEvent>();
            let batch = json!({"type": "array", "maxItems": BATCH_MAX, "items": named});
            json!({
                "application/cloudevents+json": {"schema": named},
                "application/cloudevents-batch+json": {"schema": batch},
                "*/*": {"description": "binary mode: the attributes are ce-* headers, the body is the data"},
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_that_is_named_is_there_and_every_command_has_one() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        for named in text.split("#/components/schemas/").skip(1) {
            let name = named.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        assert!(!text.contains("#/$defs/"), "every schema is one of the document's own");
        for spec in REGISTRY {
            assert!(schemas.contains_key(&format!("kiosk.{}", spec.name)), "{}", spec.name);
        }
    }

    #[test]
    fn what_is_sent_and_what_is_answered_have_schemas_of_their_own() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        let required = |name: &str| schemas[name]["required"].as_array().cloned().unwrap_or_default();
        assert!(required("Display").contains(&json!("missing_since")), "it is always answered, null or not");
        assert!(!required("Problem").contains(&json!("index")));
        let post = &document["paths"]["/v1/events"]["post"];
        assert!(post["requestBody"]["content"]["application/cloudevents-batch+json"].is_object(), "{post}");
        assert!(post["responses"]["202"]["content"]["application/json"]["schema"].is_object(), "{post}");
    }
}
