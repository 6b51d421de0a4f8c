"""The JSON Schema of scenario files, for editors.

Invariant: it admits the shorthands that reading a file admits.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from scenarios.scenario import POLICIES, Scenario
from scenarios.stopping import IMPORT_PATH
from scenarios.world.schema import ARGUMENT_TYPES


class _Generator(GenerateJsonSchema):
    """Admits the shorthands of the models: one value for a list of one, a name for a policy."""

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        full = super().function_before_schema(schema)
        shorthand = schema["function"]["function"].__name__
        if shorthand == "as_policy":
            own = {"type": "string", "pattern": IMPORT_PATH}
            return {"anyOf": [{"enum": list(POLICIES)}, own, full]}
        if shorthand == "as_expression":
            return {"anyOf": [full, {"type": "number"}, {"type": "boolean"}]}
        if shorthand == "as_argument":
            return {"anyOf": [{"enum": list(ARGUMENT_TYPES)}, full]}
        if shorthand == "as_next":
            return {"anyOf": [{"type": "string"}, full["items"], full]}
        return {"anyOf": [full["items"], full]} if "items" in full else full

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file, with the models' docstrings as descriptions."""
    schema = Scenario.model_json_schema(schema_generator=_Generator)
    return {"$schema": GenerateJsonSchema.schema_dialect, **_unwrap(schema)}


def _unwrap(schema: Any) -> Any:
    """Return the schema with the line breaks inside the paragraphs of descriptions taken out."""
    if isinstance(schema, list):
        return [_unwrap(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: re.sub(r"(?<!\n)\n(?!\n)", " ", part)
        if key == "description" and isinstance(part, str)
        else _unwrap(part)
        for key, part in schema.items()
    }
