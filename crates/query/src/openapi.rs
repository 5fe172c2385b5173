//! The OpenAPI document, made from the types of questions and answers.

use crate::ask::{self, Form, Parameter, Question};
use crate::meta::Meta;
use crate::tell;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The document, JSON. `H` is what health answers with, which is the server's.
#[must_use]
pub fn document<H: ToSchema>() -> String {
    let mut all = Document::default();
    all.question::<ask::Map, tell::Map>("Who talks to whom.");
    all.question::<ask::Series, tell::Series>("What is counted over time.");
    all.question::<ask::Top, tell::Top>("The most of something.");
    all.question::<ask::Heatmap, tell::Heatmap>("How durations are distributed over time.");
    all.question::<ask::Requests, tell::Requests>("Requests that were kept one by one.");
    all.question::<ask::Entity, tell::Entity>("Everything about somebody.");
    all.question::<ask::Entities, tell::Entities>("Who is there.");
    all.question::<ask::Dns, tell::Dns>("Which names are looked up, and what comes of it.");
    all.schemas::<Meta>();
    all.schemas::<H>();
    all.finish(&H::name())
}

#[derive(Default)]
struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    /// A type, and those that it is made of.
    fn schemas<T: ToSchema>(&mut self) {
        let mut found: Vec<(String, RefOr<Schema>)> = vec![(T::name().into_owned(), <T as PartialSchema>::schema())];
        T::schemas(&mut found);
        for (name, schema) in found {
            // Our own types have neither maps with keys that are no strings nor serialisers that fail.
            self.schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
    }

    fn question<Q: Question, T: ToSchema>(&mut self, summary: &str) {
        self.schemas::<T>();
        let parameters: Vec<Value> = ask::parameters::<Q>().iter().map(parameter).collect();
        let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        let answer = json!({"type": "object", "required": ["meta", "data"],
            "properties": {"meta": reference("Meta"), "data": reference(&T::name())}});
        let why = |text: &str| json!({"description": text, "content": {"text/plain": {"schema": {"type": "string"}}}});
        let mut responses = json!({
            "200": {"description": "The answer.", "content": {"application/json": {"schema": answer}}},
            "400": why("A parameter is unknown, there twice, or not what it must be; or the answer would be too large."),
            "401": why("A token is asked for."),
            "403": why("Asked under another name, or by a page of a stranger."),
            "429": why("Too many wrong tokens, or too many questions, from this address."),
            "503": why("Too many questions at once, or no answer in time, or the store does not answer."),
        });
        if Q::PATH == <ask::Entity as Question>::PATH {
            responses["404"] = why("Nobody with this id is kept.");
        }
        let operation =
            json!({"operationId": Q::PATH, "summary": summary, "parameters": parameters, "responses": responses});
        self.paths.insert(format!("/api/v1/{}", Q::PATH), json!({"get": operation}));
    }

    fn finish(mut self, health: &str) -> String {
        let any = |summary: &str, kind: &str, id: &str, schema: Value| {
            json!({"get": {"operationId": id, "summary": summary, "parameters": [],
                "responses": {"200": {"description": "So it is.", "content": {(kind): {"schema": schema}}}}}})
        };
        let health = any(
            "Hooks, own cost, the ledger, all counters.",
            "application/json",
            "health",
            json!({"$ref": format!("#/components/schemas/{health}")}),
        );
        self.paths.insert("/api/v1/health".to_owned(), health);
        let text = json!({"type": "string"});
        self.paths.insert("/metrics".to_owned(), any("The same as Prometheus text.", "text/plain", "metrics", text));
        let session = json!({"post": {"operationId": "session", "summary": "A session for the token, as a cookie.",
            "requestBody": {"required": true, "content": {"application/x-www-form-urlencoded": {"schema":
                {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}}}}},
            "responses": {"303": {"description": "The session has begun."}, "401": {"description": "Another token is asked for."},
                "429": {"description": "Too many wrong tokens from this address."}}}});
        self.paths.insert("/api/v1/session".to_owned(), session);
        let document = json!({
            "openapi": "3.1.0",
            "info": {"title": "steth", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
                "description": "What the agent has seen. docs/api.md explains it."},
            "servers": [{"url": "/"}],
            "paths": self.paths,
            "components": {"schemas": self.schemas, "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "steth-{agent}",
                    "description": "The session's cookie; its name has eight digits of the agent in it."}}},
            "security": [{}, {"token": []}, {"session": []}],
        });
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }
}

fn parameter(Parameter { name, help, form, required }: &Parameter) -> Value {
    let schema = match form {
        Form::Number { least, most: u64::MAX } => json!({"type": "integer", "format": "int64", "minimum": least}),
        Form::Number { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Form::Milliseconds => json!({"type": "number", "minimum": 0}),
        Form::Flag => json!({"type": "boolean"}),
        Form::Word(words) => json!({"type": "string", "enum": words}),
        Form::Text => json!({"type": "string", "maxLength": 4096}),
        Form::Entity => json!({"type": "string", "minLength": 1}),
        Form::Length => json!({"type": "string", "pattern": "^[0-9]+[smhd]$"}),
    };
    json!({"name": name, "in": "query", "required": required, "description": help, "schema": schema})
}
