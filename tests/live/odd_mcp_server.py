"""A tool server that speaks the Model Context Protocol on stdin and stdout: one tool, whose schema is an odd but lawful one.

Run as a script by the real Claude Code CLI. Knows no upstream. Invariant: every request is answered, notifications never are.
"""

from __future__ import annotations

import json
import sys
from typing import Any

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {"Tree": {"type": "object", "properties": {"leaf": {"type": ["string", "null"]}, "next": {"$ref": "#/$defs/Tree"}}}},
    "type": "object",
    "properties": {"always-null": {"const": None}, "tree": {"$ref": "#/$defs/Tree"}, "any": {}},
    "patternProperties": {"^x-": True},
    "required": [],
    "additionalProperties": {"anyOf": [{"type": "number", "multipleOf": 1e-9}, {"type": "array", "prefixItems": [True]}]},
}
TOOL = {"name": "grow", "description": "", "inputSchema": SCHEMA}
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
RESULT = [
    {"type": "text", "text": "grown"},
    {"type": "image", "data": PICTURE, "mimeType": "image/png"},
    {"type": "resource", "resource": {"uri": "tree://1", "mimeType": "text/plain", "text": "rings"}},
]


def answer(method: str, asked: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        versions = {"protocolVersion": asked["protocolVersion"], "serverInfo": {"name": "odd", "version": "1"}}
        return {**versions, "capabilities": {"tools": {}}}
    return {"tools": [TOOL]} if method == "tools/list" else {"content": RESULT} if method == "tools/call" else {}


if __name__ == "__main__":
    for line in sys.stdin:
        said = json.loads(line)
        if "id" in said:
            result = answer(said["method"], said.get("params", {}))
            print(json.dumps({"jsonrpc": "2.0", "id": said["id"], "result": result}), flush=True)
