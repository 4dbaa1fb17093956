// Reading an OpenAPI 3.1 document.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
  pattern?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
}

export interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

interface Content {
  description?: string;
  content?: Record<string, { schema?: Schema }>;
}

export interface Operation {
  method: string;
  path: string;
  operationId?: string;
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: Content & { required?: boolean };
  responses?: Record<string, Content>;
  security?: Record<string, string[]>[];
  "x-role"?: string;
}

export interface Document {
  openapi: string;
  info: { title: string; version: string; description?: string };
  paths: Record<string, Record<string, unknown>>;
  tags?: { name: string; description?: string }[];
  components?: {
    schemas?: Record<string, Schema>;
    responses?: Record<string, Content>;
    parameters?: Record<string, Parameter>;
  };
}

const METHODS = ["get", "post", "put", "patch", "delete"];

/** What `#/components/…` stands for. */
export function resolve<T extends object>(document: Document, value: T): T {
  const reference = (value as { $ref?: unknown }).$ref;
  if (typeof reference !== "string" || !reference.startsWith("#/")) return value;
  let found: unknown = document;
  for (const part of reference.slice(2).split("/"))
    found = (found as Record<string, unknown> | undefined)?.[part.replaceAll("~1", "/").replaceAll("~0", "~")];
  return (found as T | undefined) ?? value;
}

/** Operations in order of tags, then as the document has them. */
export function operationsByTag(document: Document): { tag: string; description: string; operations: Operation[] }[] {
  const groups = new Map<string, Operation[]>((document.tags ?? []).map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method] as Omit<Operation, "method" | "path"> | undefined;
      if (!operation) continue;
      const parameters = [...((item.parameters as Parameter[] | undefined) ?? []), ...(operation.parameters ?? [])];
      const tag = operation.tags?.[0] ?? "other";
      const group = groups.get(tag) ?? [];
      group.push({ ...operation, method, path, parameters });
      groups.set(tag, group);
    }
  }
  const described = new Map((document.tags ?? []).map((tag) => [tag.name, tag.description ?? ""]));
  return [...groups]
    .filter(([, operations]) => operations.length > 0)
    .map(([tag, operations]) => ({ tag, description: described.get(tag) ?? "", operations }));
}

/** The name of a referenced schema. */
export function nameOf(schema: Schema): string | null {
  return schema.$ref?.split("/").at(-1) ?? null;
}

/** A type in a few words: `array of Alert`, `string or null`, `"open" | "closed"`. */
export function typeOf(schema: Schema | undefined): string {
  if (!schema) return "anything";
  const name = nameOf(schema);
  if (name) return name;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map(typeOf).join(" or ");
  if (schema.allOf) return schema.allOf.map(typeOf).join(" and ");
  const types = [schema.type ?? "anything"].flat();
  return types
    .map((type) => {
      if (type === "array") return `array of ${typeOf(schema.items)}`;
      if (type === "object" && typeof schema.additionalProperties === "object")
        return `object of ${typeOf(schema.additionalProperties)}`;
      return schema.format && type !== "null" ? `${type} (${schema.format})` : type;
    })
    .join(" or ");
}

/** Bounds and defaults, as far as they are stated. */
export function boundsOf(schema: Schema | undefined): string {
  if (!schema) return "";
  return [
    schema.minimum !== undefined && `from ${schema.minimum}`,
    schema.maximum !== undefined && `to ${schema.maximum}`,
    schema.minLength !== undefined && `at least ${schema.minLength} characters`,
    schema.maxLength !== undefined && `at most ${schema.maxLength} characters`,
    schema.maxItems !== undefined && `at most ${schema.maxItems}`,
    schema.pattern && `matches ${schema.pattern}`,
    schema.default !== undefined && `default ${JSON.stringify(schema.default)}`,
  ]
    .filter(Boolean)
    .join(", ");
}
