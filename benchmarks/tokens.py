"""`python -m benchmarks.tokens`: counts the sample texts with a reconstruction of Claude's tokenizers, and writes what it found.

The tokenizer (`ctok` from the package index, which says that it wants a newer Python, though it runs on ours) goes into a
temporary folder, never beside the product's own packages. Tests compare the estimate with the written counts, so they need
neither it nor a network. Refuses to know the estimate. Invariant: the same texts and the same `ctok` give the same file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CTOK = "ctok==1.3.0"
FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "proxy_app" / "bedrock" / "fixtures"
TEXTS, COUNTS = FIXTURES / "token_texts.json", FIXTURES / "token_counts.json"
RECORDED = FIXTURES / "claude_code_requests.json"
FILLINGS = ("english prose", "markdown", "python", "typescript", "json records", "log lines", "chinese", "korean")
_STANDIN = re.compile(r"<str (\d+)>")
# What surrounds texts in a prompt: per message, and once when there are tools (Anthropic's documentation, Claude 4 models).
_MESSAGE, _TOOLS = 4, 346
# Tokenizer generation -> (a version that has it, the tokens that it puts around one message).
_GENERATIONS = {"older": ("3.0", 7), "newer": ("4.8", 6)}
_PROGRAM = """
import json, sys
from ctok import token_count
texts, generations = json.load(sys.stdin)
frame = lambda text, version, around: token_count(text, version) - around
print(json.dumps([{name: frame(text, *given) for name, given in generations.items()} for text in texts]))
"""


def main() -> None:
    texts: dict[str, str] = json.loads(TEXTS.read_text())
    recorded = {name: each["body"] for name, each in json.loads(RECORDED.read_text()).items()}
    bodies = {(name, kind): filled(body, texts[kind]) for name, body in recorded.items() for kind in FILLINGS}
    parts = sorted({*texts.values(), *(part for body in bodies.values() for part in _parts(body))})
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--no-deps", "--ignore-requires-python", "--target", folder]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, CTOK, "regex==2026.11.19"], check=True)
        counts = dict(zip(parts, _counted(parts, folder), strict=True))
    requests: dict[str, dict[str, dict[str, int]]] = {name: {} for name in recorded}
    for (name, kind), body in bodies.items():
        requests[name][kind] = _whole(body, [counts[part] for part in _parts(body)])
    found = {"source": CTOK, "texts": {kind: counts[text] for kind, text in texts.items()}, "requests": requests}
    COUNTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(texts)} texts and {len(bodies)} requests counted into {COUNTS.name}")


def filled(value: Any, text: str) -> Any:
    """A recorded body whose cut-out texts are filled with `text`, repeated to their length."""
    if isinstance(value, dict):
        return {key: filled(part, text) for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part, text) for part in value]
    if not isinstance(value, str):
        return value
    return _STANDIN.sub(lambda cut: (text * (int(cut[1]) // len(text) + 1))[: int(cut[1])], value)


def _parts(body: dict[str, Any]) -> list[str]:
    """The texts of a prompt, tools as JSON."""
    tools = [json.dumps(tool, separators=(",", ":"), ensure_ascii=False) for tool in body.get("tools", [])]
    messages = [text for message in body["messages"] for text in _texts(message["content"])]
    return [*_texts(body.get("system", [])), *tools, *messages]


def _whole(body: dict[str, Any], counted: list[dict[str, int]]) -> dict[str, int]:
    around = _MESSAGE * len(body["messages"]) + (_TOOLS if body.get("tools") else 0)
    return {name: around + sum(each[name] for each in counted) for name in _GENERATIONS}


def _texts(content: Any) -> list[str]:
    return [content] if isinstance(content, str) else [block["text"] for block in content]


def _counted(texts: list[str], folder: str) -> Any:
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps([texts, _GENERATIONS]),
        env={"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)


if __name__ == "__main__":
    main()
