"""Stands in for the `aws` command: writes down its arguments, a JSON list a line, and its region and profile.

It answers from `answers.json` beside it: {"if": [words that are all among the arguments], "say": text, "exit": status}; the first
that fits is given.
"""

import json
import os
import sys
from pathlib import Path

HERE = Path(sys.argv[0]).resolve().parent


def main() -> int:
    arguments = sys.argv[1:]
    with (HERE / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    (HERE / "surroundings").write_text(" ".join(os.environ.get(name, "") for name in ("AWS_REGION", "AWS_PROFILE")))
    for answer in json.loads((HERE / "answers.json").read_text()):
        if all(any(word in argument for argument in arguments) for word in answer["if"]):
            print(answer.get("say", ""))
            return int(answer.get("exit", 0))
    return 0


sys.exit(main())
